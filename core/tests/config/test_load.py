"""Whole configurations: what a right one gives, and what every kind of mistake says."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.config import Settings, load_config
from treasury_arena.config.resolve import (
    asset_table,
    benchmark_market,
    bound_strategies,
    fitness_terms,
    idle_market,
    left_out,
    market_specs,
    operator,
)
from treasury_arena.config.settings import Limits
from treasury_arena.contracts.strategy import Role
from treasury_arena.domain.rules import PROFILES
from treasury_arena.errors import ConfigError
from treasury_arena.markers import hookimpl
from treasury_arena.registry import Registry, load_registry
from treasury_arena.trading.limits import Limits as OrderLimits

Load = Callable[..., Settings]
Mistakes = Callable[[str], list[str]]


def test_a_right_configuration_gives_exact_typed_values(load: Load, good: str) -> None:
    settings = load(good)
    assert settings.start == datetime.date(2024, 1, 1)
    assert (settings.capital.total, settings.capital.proving) == (Decimal(373261), Decimal("10000.00"))
    assert settings.trading.limits.for_orders() == OrderLimits(daily_trades_max=10)
    assert "trade_raw_max" not in settings.trading.limits.for_orders().as_mapping()
    assert settings.sections["source.simulated"].volatility == 0.7
    assert settings.agents[0].genome == {"level": 0.5, "count": 3.0, "window": 72.0}
    assert settings.step_seconds == 3600


def test_limits_that_are_not_configured_are_the_engines_own() -> None:
    limits, known = Limits().for_orders(), OrderLimits()
    assert limits == known
    assert [field.name for field in attrs.fields(Limits)] == [field.name for field in attrs.fields(OrderLimits)]


def test_rules_are_the_profiles_with_overrides(load: Load, good: str) -> None:
    rules = load(good).resolved_rules()
    assert (rules.death_drawdown, rules.simulation_psr_min) == (0.3, None)
    assert rules.simulation_floored_min == PROFILES["balanced"].simulation_floored_min


def test_settings_and_plugins_resolve_to_what_engines_receive(load: Load, good: str, registry: Registry) -> None:
    settings = load(good)
    markets = market_specs(settings, registry)
    assert (markets["eth"].kind, markets["eth"].coin, markets["eth"].params) == ("spot", True, {"fee": 0.001})
    assert (markets["usdc_lending"].kind, markets["usdc_lending"].coin) == ("lending", False)
    assert asset_table(settings)["LINK"].decimals == 18
    assert list(bound_strategies(settings, registry)) == ["farmer"]
    assert operator(settings.evolution.selection, registry).size == 4
    assert [(weight, function.name) for weight, function in fitness_terms(settings.fitness.search, registry)] == [
        (0.5, "floored_sharpe"),
        (1.0, "owner"),
    ]


def test_without_names_a_strategy_whose_market_is_not_there_is_left_out(
    load: Load, good: str, registry: Registry
) -> None:
    text = re.sub(r"(?m)^enabled = .*$", "", good)
    taken = load(text)
    assert left_out(taken, registry) == {}
    names = bound_strategies(taken, registry)
    lonely = attrs.evolve(taken, markets={}, strategies=attrs.evolve(taken.strategies, bind={}))
    assert (
        left_out(lonely, registry) == {}
    )  # of none that could be served, all are taken, so that the checks say what lacks
    assert set(bound_strategies(lonely, registry)) == set(registry.strategies)
    assert set(names) == set(registry.strategies)


def test_a_mistake_in_the_table_of_strategies_is_told_alone(good: str, mistakes: Mistakes) -> None:
    wrong = mistakes(good.replace("enabled = ", "enabld = ", 1))
    assert len(wrong) == 1
    assert "strategies.enabld" in wrong[0]


def test_no_enabled_strategy_means_all_that_are_installed(load: Load, good: str, registry: Registry) -> None:
    settings = load(good.replace('enabled = ["farmer"]', ""))
    assert list(bound_strategies(settings, registry)) == ["farmer", "trend"]


@pytest.mark.parametrize(("profile", "judge"), [("owner", "owner"), ("balanced", "floored_sharpe")])
def test_living_agents_are_ranked_by_the_profiles_fitness(load: Load, good: str, profile: str, judge: str) -> None:
    assert [term.name for term in load(f'profile = "{profile}"\n' + good).judge_terms()] == [judge]


TWO = """
[markets.dai_lending]
model = "toy.lending"
asset = "DAI"
columns.rate = "DAI.lending_rate"

[markets.a_weth_lending]
model = "toy.lending"
asset = "WETH"
columns.rate = "WETH.lending_rate"
"""


@pytest.mark.parametrize(
    ("said", "change", "idle", "benchmark"),
    [
        ('idle_market = "dai_lending"', {}, "dai_lending", "dai_lending"),
        ("", {}, "usdc_lending", "usdc_lending"),
        ('idle_market = "auto"', {}, "usdc_lending", "usdc_lending"),
        ('idle_market = "none"', {}, "", "usdc_lending"),
        ("", {'asset = "USDC"': 'asset = "USDT"'}, "dai_lending", "dai_lending"),
        ("", {'asset = "USDC"': 'asset = "WETH"', 'asset = "DAI"': 'asset = "WETH"'}, "", ""),
        ("", {'asset = "USDC"': 'asset = "USDC"\nenabled = false'}, "dai_lending", "dai_lending"),
    ],
)
def test_the_idle_market_is_found_once_for_pools_and_benchmark(
    load: Load, registry: Registry, good: str, said: str, change: dict[str, str], idle: str, benchmark: str
) -> None:
    text = good.replace('idle_market = "usdc_lending"', said) + TWO
    for right, wrong in change.items():
        text = text.replace(right, wrong, 1)
    settings = load(text)
    specs = market_specs(settings, registry)
    assert (idle_market(settings, specs), benchmark_market(settings, specs)) == (idle, benchmark)


def test_the_nearest_stable_lending_market_is_named(mistakes: Mistakes, good: str) -> None:
    lines = mistakes(good.replace('idle_market = "usdc_lending"', 'idle_market = "a_weth_lending"') + TWO)
    assert len(lines) == 1
    assert "capital.idle_market" in lines[0]
    assert "lends WETH, which is not stable" in lines[0]
    assert "dai_lending" in lines[0]
    assert "'a_weth_lending'?" not in lines[0]


def test_a_reserve_that_is_to_be_lent_needs_a_market(mistakes: Mistakes, good: str) -> None:
    text = good.replace('idle_market = "usdc_lending"', 'reserve_use = "lend"').replace(
        'asset = "USDC"', 'asset = "WETH"'
    )
    lines = mistakes(text)
    assert len(lines) == 1
    assert "capital.reserve_use" in lines[0]
    assert "no market lends a stable asset" in lines[0]


def test_overrides_replace_the_file(load: Load, good: str) -> None:
    settings = load(good, seed=11, workers=2, db="sqlite:///x.db")
    assert (settings.seed, settings.executor.workers, settings.store.url) == (11, 2, "sqlite:///x.db")
    assert load(good, seed=None).seed == 7


def test_a_wrong_override_names_its_key(registry: Registry, good: str) -> None:
    with pytest.raises(ConfigError, match=r"executor\.workers: is 0; expected >= 1"):
        load_config(good, registry, {"workers": 0})


def test_a_file_is_named_with_its_line(tmp_path: Path, registry: Registry, good: str) -> None:
    path = tmp_path / "arena.toml"
    path.write_text(good.replace("seed = 7", "sed = 7"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, registry)
    assert str(caught.value) == f"{path}:4: sed: unknown key; did you mean 'seed'?"


# One wrong line in an otherwise right file: (right, wrong, key path, what is said).
SINGLE = [
    ("seed = 7", "seed = -1", "seed", "is -1; expected >= 0"),
    ("seed = 7", "seed = true", "seed", "is true; expected a whole number"),
    ("seed = 7", "seed = 7.0", "seed", "is the number 7.0; expected a whole number"),
    ("seed = 7", 'profile = "balance"', "profile", "did you mean 'balanced'?"),
    ("seed = 7", 'step = "1d"', "step", 'expected "1h"'),
    ("start = 2024-01-01", "start = 2024-02-30", "start", "is 2024-02-30, an impossible date"),
    ("start = 2024-01-01", 'start = "2023-02-29"', "start", "is 2023-02-29, an impossible date"),
    ("start = 2024-01-01", "start = 2024-01-01T00:00:00Z", "start", "expected a day as YYYY-MM-DD"),
    ("start = 2024-01-01", "start = 20240101", "start", "expected a day as YYYY-MM-DD"),
    ("end = 2024-03-31", "end = 2024-01-01", "end", "expected a day after start, 2024-01-01"),
    ("end = 2024-03-31", "", "end", "is missing; expected a day as YYYY-MM-DD"),
    ("arena = 200_000", "arena = 200_001", "capital", "is 373262.00, but total is 373261; the difference is +1.00"),
    ('reserve = "163261"', 'reserve = "lots"', "capital.reserve", 'is the text "lots"; expected an amount'),
    (
        "arena = 200_000",
        "arena = 200000.0000000000000000000000001",
        "capital",
        "the difference is +0.0000000000000000000000001",
    ),
    ("arena = 200_000", "proving_slot = 1e16", "capital.proving_slot", "expected <= 1000000000000000"),
    ('reserve = "163261"', "reserve = -1", "capital.reserve", "is -1; expected >= 0"),
    ('reserve = "163261"', "reserve = nan", "capital.reserve", "expected a finite number"),
    ('reserve = "163261"', 'reserve = "NaN"', "capital.reserve", "expected an amount"),
    ("arena = 200_000", "proving_agents = 11", "capital", "is 11000; expected at most the proving pool, 10000.00"),
    ("proving = 10000.00", "proving_slot = 0.0000001", "capital.proving_slot", "more than 6 decimals"),
    ('idle_market = "usdc_lending"', 'reserve_use = "lend"\nidle_market = "none"', "capital", 'idle_market is "none"'),
    ('idle_market = "usdc_lending"', 'idle_market = ""', "capital.idle_market", "unknown market ''; known: auto, "),
    ('idle_market = "usdc_lending"', 'idle_market = "atuo"', "capital.idle_market", "did you mean 'auto'?"),
    ('idle_market = "usdc_lending"', 'idle_market = "usdc_lendin"', "capital.idle_market", "'usdc_lending'?"),
    (
        'idle_market = "usdc_lending"',
        'idle_market = "eth"',
        "capital.idle_market",
        "is of kind spot; expected lending: known: usdc_lending",
    ),
    ('asset = "USDC"', 'asset = "WETH"', "capital.idle_market", "lends WETH, which is not stable"),
    (
        "[markets.eth]",
        '[markets.auto]\nmodel = "toy.lending"\nasset = "DAI"\ncolumns.rate = "DAI.lending_rate"\n[markets.eth]',
        "markets.auto",
        "a market must not be named 'auto'",
    ),
    ('idle_market = "usdc_lending"', 'base = "USDCC"', "capital.base", "unknown asset 'USDCC'; did you mean 'USDC'?"),
    ("death_drawdown = 0.3", "death_drawdown = 1.3", "rules.death_drawdown", "is 1.3; expected <= 1.0"),
    ("death_drawdown = 0.3", 'death_drawdown = "on"', "rules.death_drawdown", 'expected a number or "off"'),
    ("death_drawdown = 0.3", 'coin_cap = "off"', "rules.coin_cap", "expected a number"),
    ("death_drawdown = 0.3", "death_drawdwn = 0.3", "rules.death_drawdwn", "did you mean 'death_drawdown'?"),
    ("death_drawdown = 0.3", "tier_elite_share = 0.3", "", "sum to 1.1; expected exactly 1"),
    ("daily_trades_max = 10", "daily_trade_max = 10", "trading.limits.daily_trade_max", "'daily_trades_max'?"),
    ("daily_trades_max = 10", "trade_raw_max = 0", "trading.limits.trade_raw_max", "is 0.0; expected > 0.0"),
    ("size = 4", "size = 0", "evolution.selection.params.size", "is 0; expected >= 1"),
    ("size = 4", "sise = 4", "evolution.selection.params.sise", "did you mean 'size'?"),
    ('"tournament"', '"tournment"', "evolution.selection.name", "did you mean 'tournament'?"),
    ('"tournament"', '"sbx"', "evolution.selection.name", "'sbx' is no selection operator"),
    ("floor = 0.03", "floor = 0", "fitness.search[0].params.floor", "is 0.0; expected > 0.0"),
    ("floor = 0.03", "flor = 1", "fitness.search[0].params.flor", "did you mean 'floor'?"),
    (
        '{ name = "owner" }',
        '{ name = "owner", params = { x = 1 } }',
        "fitness.search[1].params.x",
        "takes no parameters",
    ),
    ('{ name = "owner" }', '{ name = "ownr" }', "fitness.search[1].name", "did you mean 'owner'?"),
    ('{ name = "owner" }', "{ weight = 1 }", "fitness.search[1].name", "is missing; expected a text"),
    ('model = "toy.spot"', 'model = "toy.sport"', "markets.eth.model", "did you mean 'toy.spot'?"),
    ('model = "toy.spot"', "", "markets.eth.model", "is missing; expected a text"),
    ('asset = "WETH"', 'asset = "WETTH"', "markets.eth.asset", "did you mean 'WETH'?"),
    (', gas = "gas.usd"', "", "markets.eth.columns", "also reads gas"),
    ("gas = ", "gass = ", "markets.eth.columns.gass", "did you mean 'gas'?"),
    ("fee = 0.001", "fees = 0.001", "markets.eth.params.fees", "did you mean 'fee'?"),
    ("fee = 0.001", "fee = true", "markets.eth.params.fee", "is true; expected a number"),
    ('symbol = "LINK"', 'symbol = "WETH"', "assets[0].symbol", "'WETH' is already defined"),
    ("decimals = 18", "decimals = 37", "assets[0].decimals", "is 37; expected <= 36"),
    ('["farmer"]', '["framer"]', "strategies.enabled[0]", "did you mean 'farmer'?"),
    ('["farmer"]', '["farmer", "farmer"]', "strategies.enabled[1]", "is named twice"),
    ('["farmer"]', '"farmer"', "strategies.enabled", "expected a list"),
    ('farmer.coin = "eth"', 'farmer.coin = "ethh"', "strategies.bind.farmer.coin", "there is no market 'ethh'"),
    ('farmer.coin = "eth"', 'farmer.coin = "usdc_lending"', "strategies.bind.farmer.coin", "expected spot"),
    ('farmer.coin = "eth"', 'farmer.coins = "eth"', "strategies.bind.farmer.coins", "did you mean 'coin'?"),
    ('farmer.coin = "eth"', 'framer.coin = "eth"', "strategies.bind.framer", "did you mean 'farmer'?"),
    ("level = 0.5", "level = 1.5", "agents[0].genome.level", "must lie in [0.0, 1.0], not 1.5"),
    ("window = 72", "window = 71", "agents[0].genome.window", "must be one of [24.0, 72.0]"),
    ("level = 0.5", "levl = 0.5", "agents[0].genome.levl", "did you mean 'level'?"),
    ('strategy = "farmer"', 'strategy = "trend"', "agents[0].strategy", "'trend' is not enabled"),
    ('strategy = "farmer"', 'strategy = "ternd"', "agents[0].strategy", "did you mean 'trend'?"),
    ("volatility = 0.7", "volatility = 0", "source.simulated.volatility", "expected > 0.0"),
    ("volatility = 0.7", "volatilty = 0.7", "source.simulated.volatilty", "did you mean 'volatility'?"),
    (
        "[source.simulated]",
        "[source]\nname = 'history'\n[source.simulated]",
        "source.history",
        "this source needs folder",
    ),
    (
        "[source.simulated]",
        "[source.history]\n[source.simulated]",
        "source.history.folder",
        "is missing; expected a file",
    ),
    ("[source.simulated]", "[source]\nname = 'hist'\n[source.simulated]", "source.name", "unknown source 'hist'"),
    ("[source.simulated]", "[sauce]\n[source.simulated]", "sauce", "did you mean 'source'?"),
    ("[source.simulated]", "[executor]\nname = 'thread'\n[source.simulated]", "executor.name", "'threads'?"),
    ("[source.simulated]", "[report]\nreporters = ['x']\n[source.simulated]", "report.reporters[0]", "there are none"),
    ("seed = 7", "capital = 3", None, "not TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "path", "said"), SINGLE, ids=[f"{one[2]}-{one[1]}" for one in SINGLE])
def test_one_mistake_is_told_once_with_line_key_and_expectation(
    mistakes: Mistakes, good: str, right: str, wrong: str, path: str | None, said: str
) -> None:
    assert good.count(right) >= 1
    lines = mistakes(good.replace(right, wrong, 1))
    assert len(lines) == 1, lines
    assert said in lines[0]
    if path is not None:
        assert re.match(rf"<text>(:\d+)?: {re.escape(path)}", lines[0])


def test_every_mistake_is_told_at_once(mistakes: Mistakes, good: str) -> None:
    text = good
    for right, wrong in (
        ("seed = 7", "sed = 7"),
        ("size = 4", "size = 0"),
        ("fee = 0.001", "fee = true"),
        ("decimals = 18", "decimals = 37"),
        ("level = 0.5", "level = 1.5"),
        ("start = 2024-01-01", "start = 2024-02-30"),
        ("daily_trades_max = 10", 'daily_trades_max = "ten"'),
        ('model = "toy.lending"', 'model = "toy.lendin"'),
    ):
        text = text.replace(right, wrong, 1)
    lines = mistakes(text)
    assert len(lines) == 8
    numbers = [int(re.match(r"<text>:(\d+): ", line).group(1)) for line in lines]  # type: ignore[union-attr]
    assert numbers == sorted(numbers)
    for number, line in zip(numbers, lines, strict=True):
        last = re.sub(r"\[\d+\]$", "", line.split(": ")[1]).split(".")[-1]
        assert last in text.splitlines()[number - 1]


def test_without_any_market_that_is_said_once_and_after_what_has_a_line(mistakes: Mistakes, good: str) -> None:
    text = re.sub(r"(?ms)^\[markets\..*?(?=^\[(?!markets))", "", good.replace("seed = 7", "sed = 7", 1))
    text = re.sub(r"(?m)^idle_market.*\n", "", text)
    first, *others = mistakes(text)
    assert re.match(r"<text>:\d+: sed: unknown key", first)
    assert others == [
        "<text>: markets: there is no market for a strategy to trade in; expected at least one [markets.NAME]"
    ]


def test_a_rejected_plugin_is_named_beside_an_unknown_key(good: str) -> None:
    class Broken:
        @hookimpl
        def arena_config_sections(self) -> dict[str, type]:
            raise RuntimeError("no sections today")

    with pytest.raises(ConfigError) as caught:
        load_config("[alerts]\nto = 'x'\n", load_registry(only=[], extra={"alerts": Broken()}))
    assert "alerts: unknown key" in str(caught.value)
    assert "note: plugin 'alerts' of (in process) was rejected: RuntimeError: no sections today" in str(caught.value)


def test_a_role_of_a_kind_that_nobody_offers_is_the_strategys_mistake(good: str, registry: Registry) -> None:
    farmer = registry.strategies["farmer"]
    wrong = attrs.evolve(farmer, name="wrong", roles={**farmer.roles, "coin": Role("spott", "eth")})

    found = attrs.evolve(registry, strategies={**registry.strategies, "wrong": wrong})
    with pytest.raises(ConfigError) as caught:
        load_config(good.replace('enabled = ["farmer"]', 'enabled = ["farmer", "wrong"]'), found)
    assert str(caught.value) == (
        "strategy 'wrong': its role 'coin' asks for a market of kind 'spott', which no installed protocol offers; "
        "did you mean 'spot'?"
    )


@st.composite
def damaged(draw: st.DrawFn, good: str) -> str:
    """The right configuration with lines dropped, doubled, swapped, or a value replaced by one of another kind."""
    lines = good.splitlines()
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        other = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "value", "cut"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "value":
                values = [
                    '"x"',
                    '""',
                    "3",
                    "-1",
                    "nan",
                    "true",
                    "[]",
                    "{}",
                    "[{}]",
                    "{ name = 3 }",
                    "2024-02-30",
                    "[[3]]",
                ]
                lines[at] = f"{lines[at].split('=')[0]}= {draw(st.sampled_from(values))}"
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return "\n".join(lines)


@settings(deadline=None)
@given(st.data())
def test_no_text_escapes_as_anything_but_a_configuration_error(
    registry: Registry, good: str, data: st.DataObject
) -> None:
    text = data.draw(damaged(good))
    said: list[str] = []
    try:
        load_config(text, registry)
    except ConfigError as error:
        said = str(error).splitlines()
    assert all(line.startswith("<text>:") for line in said)
