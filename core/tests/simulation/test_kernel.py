"""Hand-checked small runs: costs, timing, scaling, limits, failures, statistics; and what a kernel refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import attrs
import numpy as np
import pytest
from kernel_plugins import build, farmer, six, spot

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import FORCE, HOLD, Column, Real, Role, Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import AgentError, DataError, PluginError, ValidationError
from treasury_arena.simulation.features import FloatArray
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import Kernel, Outcome, Tables, prepare


class Genes(NamedTuple):
    eth: Annotated[float, Real(-1.0, 2.0)]
    btc: Annotated[float, Real(-1.0, 2.0)]
    usd: Annotated[float, Real(-1.0, 2.0)]
    band: Annotated[float, Real(-1.0, 1.0)]
    flips: Annotated[float, Real(0.0, 100.0)]
    divisor: Annotated[float, Real(0.0, 1.0, 1.0)]


class Features(NamedTuple):
    eth: Annotated[float, Column("raw", 1, "eth")]


class Book(NamedTuple):
    step: float
    drawdown: float


class Target(NamedTuple):
    eth: float
    btc: float
    usd: float
    band: float


class State(NamedTuple):
    seen: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """The genes as target until row `flips` of the agent's life, nothing from then on; a band of 1 holds."""
    eth, btc, usd = g.eth / g.divisor, g.btc, g.usd
    if book.step >= g.flips:
        eth, btc, usd = 0.0, 0.0, 0.0
    band = HOLD if g.band == 1.0 else g.band
    return Target(eth, btc, usd, band), State(s.seen + 1.0)


ROLES = {"eth": Role("spot", "eth"), "btc": Role("spot", "btc"), "usd": Role("lending", "usd")}
STRATEGY = Strategy("by_hand", ROLES, Genes, Features, Book, Target, State, decide)
ROWS = 12
NEVER = 100.0


def frame(price: FloatArray | float = 100.0, rate: float = 0.0, gas: float = 2.0) -> MarketFrame:
    return MarketFrame(
        0,
        3600,
        {
            "WETH.price": np.broadcast_to(np.asarray(price, dtype=np.float64), ROWS),
            "WBTC.price": np.full(ROWS, 1000.0),
            "USDC.lending_rate": np.full(ROWS, rate),
            "gas.usd": np.full(ROWS, gas),
        },
    )


@pytest.fixture(scope="module")
def kernel(cache: Path) -> Kernel:
    return build.kernel(STRATEGY, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))


def attrs_fee(name: str, fee: float) -> MarketSpec:
    spec = build.SPECS[name]
    return MarketSpec(
        spec.name, spec.model, spec.kind, spec.asset, spec.columns, {"fee": fee, "impact": 0.0}, coin=True
    )


def run(kernel: Kernel, market: MarketFrame, genome: list[float], **changes: object) -> Outcome:
    arguments: dict[str, object] = {"low": 0, "high": ROWS, "cash": 1000.0, "sample": 1} | changes
    genome = [*genome, 1.0] if len(genome) == 5 else genome
    return kernel.run(kernel.tables(market), [genome], **arguments)  # type: ignore[arg-type]


def test_a_purchase_pays_its_cost_at_the_row_after_the_decision(kernel: Kernel) -> None:
    out = run(kernel, frame(), [0.5, 0.0, 0.0, 0.1, NEVER])
    # decided at row 0, bought at row 1: 500 USD of which 1 % and 2 USD of gas are cost
    assert out.curve[0, 0] == 1000.0
    assert out.curve[0, 1:] == pytest.approx(1000.0 - 5.0 - 2.0)
    assert out.costs[0] == pytest.approx(7.0)
    assert out.trades[0] == 1.0
    assert out.turnover[0] == pytest.approx(493.0 / 1000.0)
    assert out.final[0] == out.curve[0, -1]


def test_a_sale_ends_at_the_target_and_returns_less_cash(kernel: Kernel) -> None:
    out = run(kernel, frame(), [0.5, 0.0, 0.0, 0.1, 4.0])
    # sold at row 5: 493 USD less 1 % and gas
    assert out.curve[0, 4] == pytest.approx(993.0)
    assert out.curve[0, 5:] == pytest.approx(993.0 - 4.93 - 2.0)
    assert out.trades[0] == 2.0
    assert out.costs[0] == pytest.approx(7.0 + 6.93)
    assert out.mean_share[0] == pytest.approx([4 * 493.0 / 993.0 / 12, 0.0, 0.0])
    assert out.max_share[0] == pytest.approx([493.0 / 993.0, 0.0, 0.0])


def test_price_changes_reach_equity_return_and_drawdown(kernel: Kernel) -> None:
    price = np.full(ROWS, 100.0)
    price[3:] = 80.0
    price[6:] = 120.0
    out = run(kernel, frame(price, gas=0.0), [0.0, 0.0, 0.0, 1.0, NEVER])
    assert (out.final[0], out.max_drawdown[0], out.mean[0], out.deviation[0]) == (1000.0, 0.0, 0.0, 0.0)
    out = run(kernel, frame(price, gas=0.0), [1.0, 0.0, 0.0, 0.9, NEVER])
    curve = [1000.0, 990.0, 990.0, 792.0, 792.0, 792.0, *[1188.0] * 6]
    assert out.curve[0] == pytest.approx(curve)
    assert out.max_drawdown[0] == pytest.approx(0.208)
    returns = np.diff(curve) / np.array(curve[:-1])
    assert out.mean[0] == pytest.approx(returns.mean())
    assert out.deviation[0] == pytest.approx(returns.std())


def test_interest_accrues_from_the_row_after_the_deposit(kernel: Kernel) -> None:
    out = run(kernel, frame(rate=8.76, gas=0.0), [0.0, 0.0, 1.0, 0.5, NEVER])  # 0.1 % an hour
    assert out.curve[0] == pytest.approx([1000.0, *(1000.0 * 1.001**hour for hour in range(ROWS - 1))])


def test_sales_come_first_and_purchases_are_scaled_to_the_cash(kernel: Kernel) -> None:
    # at row 1 all in; at row 3 the coin has doubled, at row 4 the excess is sold (1 % and gas) before lending
    price = np.full(ROWS, 100.0)
    price[3:] = 200.0
    out = run(kernel, frame(price), [0.5, 0.0, 0.5, 0.1, NEVER])
    units, lent = (500.0 - 5.0 - 2.0) / 100.0, 498.0
    assert out.curve[0, 1] == pytest.approx(units * 100.0 + lent)
    equity = units * 200.0 + lent
    assert out.curve[0, 3] == pytest.approx(equity)
    sold = units * 200.0 - 0.5 * equity
    assert out.curve[0, 4] == pytest.approx(equity - 0.01 * sold - 2.0 - 2.0)
    # the sale returned less than the purchase asked for, so the purchase took all cash and no more
    assert out.mean_share[0].sum() <= 1.0
    assert out.trades[0] == 2.0


@pytest.mark.parametrize(("band", "trades"), [(0.499, 1.0), (0.5, 0.0), (1.0, 0.0)])
def test_trade_happens_only_beyond_the_band(kernel: Kernel, band: float, trades: float) -> None:
    assert run(kernel, frame(), [0.5, 0.0, 0.0, band, NEVER]).trades[0] == trades


def test_forced_settlements_that_move_nothing_are_not_trades(kernel: Kernel) -> None:
    out = run(kernel, frame(), [0.0, 0.0, 0.0, FORCE, NEVER])
    assert (out.trades[0], out.costs[0], out.final[0]) == (0.0, 0.0, 1000.0)


def test_an_agent_is_inert_before_its_start(kernel: Kernel) -> None:
    market = frame(np.linspace(100.0, 200.0, ROWS))
    late = run(kernel, market, [0.5, 0.0, 0.0, 0.1, 4.0], starts=[5])
    assert late.curve[0, :6].tolist() == [1000.0] * 6
    assert late.curve[0, 6] == pytest.approx(993.0)
    assert late.trades[0] == 2.0  # its own step 4 is row 9, so it has sold by row 10
    assert late.steps == 7
    never = run(kernel, market, [0.5, 0.0, 0.0, 0.1, 4.0], starts=[ROWS])
    assert never.curve[0].tolist() == [1000.0] * ROWS
    assert (never.steps, never.trades[0], never.failed_row[0], never.final[0]) == (0, 0.0, -1, 1000.0)
    assert never.mean_share[0].tolist() == [0.0, 0.0, 0.0]


def test_limits_cap_each_role_then_the_coins_together(kernel: Kernel) -> None:
    genome = [0.5, 0.3, 0.2, 0.05, NEVER]

    def shares(**changes: object) -> list[float]:
        return run(kernel, frame(gas=0.0), genome, **changes).max_share[0].tolist()

    assert shares() == pytest.approx([0.495 / 0.995, 0.3 / 0.995, 0.2 / 0.995])
    assert shares(limits=[[0.1, 1.0, 0.05]]) == pytest.approx([0.099 / 0.999, 0.3 / 0.999, 0.05 / 0.999])
    halved = shares(coin_limit=0.4)
    assert halved == pytest.approx([0.2475 / 0.9975, 0.15 / 0.9975, 0.6 / 0.9975])
    assert shares(limits=[[0.1, 1.0, 1.0]], coin_limit=0.4) == pytest.approx([0.099 / 0.999, 0.3 / 0.999, 0.6 / 0.999])
    assert shares(coin_limit=0.0)[:2] == [0.0, 0.0]


def buys_then_holds(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """The genes as target at the first row; from then on HOLD, with a target that must not matter."""
    if book.step == 0.0:
        return Target(g.eth, g.btc, g.usd, FORCE), s
    return Target(0.0, 0.0, 0.0, HOLD), s


HELD = Strategy("held", ROLES, Genes, Features, Book, Target, State, buys_then_holds)


def everywhere(kernel: Kernel, market: MarketFrame, genome: list[float], **changes: object) -> Outcome:
    """The outcome of the blocked kernel, after checking that scalar and plain Python give the same bits."""
    blocked = run(kernel, market, genome, **changes)
    scalar = run(kernel, market, genome, kind="scalar", **changes)
    limits = changes.pop("limits", [None])
    plain = interpret(
        kernel, kernel.tables(market), genome, low=0, high=ROWS, cash=1000.0, sample=1, limits=limits[0], **changes
    )  # type: ignore[arg-type, index]
    for other in (scalar, plain):
        assert other.curve.tobytes() == blocked.curve.tobytes()
        assert other.trades.tolist() == blocked.trades.tolist()
        assert other.mean_share.tobytes() == blocked.mean_share.tobytes()
    return blocked


# Half of 1,000 USD buys coins for 495; their share is 61% when their price has risen by 305 / 193.05 = 1.57990.
@pytest.mark.parametrize(("rise", "trades"), [(1.5798, 1.0), (1.5801, 2.0)])
@pytest.mark.parametrize("limit", [{"limits": [[0.6, 1.0, 1.0]]}, {"coin_limit": 0.6}], ids=["role", "coins"])
@pytest.mark.parametrize("strategy", [STRATEGY, HELD], ids=["band", "hold"])
def test_what_drifts_beyond_a_limit_is_traded_back_to_it(
    cache: Path, strategy: Strategy, limit: dict[str, object], rise: float, trades: float
) -> None:
    kernel = build.kernel(strategy, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))
    price = np.where(np.arange(ROWS) < 4, 100.0, 100.0 * rise)
    genome = [0.5, 0.0, 0.0, 0.4, NEVER, 1.0]
    out = everywhere(kernel, frame(price, gas=0.0), genome, **limit)
    assert out.trades[0] == trades
    free = everywhere(kernel, frame(price, gas=0.0), genome)
    assert free.trades[0] == 1.0
    assert (out.mean_share[0, 2] > 0.0) == (strategy is HELD and trades == 2.0)  # what is cut is lent, not left as cash
    again = everywhere(kernel, frame(price * np.where(np.arange(ROWS) < 8, 1.0, 1.2), gas=0.0), genome, **limit)
    # A target within the limit is traded to; one who holds is left at the limit, and drifts beyond it again.
    assert again.trades[0] == (trades + 1.0 if strategy is HELD or trades == 1.0 else trades)


def test_holding_within_the_limits_stays_holding(cache: Path) -> None:
    kernel = build.kernel(HELD, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))
    price = 100.0 * 1.05 ** np.arange(ROWS)
    out = everywhere(kernel, frame(price), [0.2, 0.1, 0.3, 0.0, NEVER, 1.0], coin_limit=0.5, limits=[[0.5, 0.5, 0.5]])
    assert out.trades[0] == 1.0


@pytest.mark.parametrize(
    ("genome", "failed"),
    [
        ([1.0, 1e-6, 0.0, 0.1, NEVER], -1),
        ([1.0, 1.2e-6, 0.0, 0.1, NEVER], 0),
        ([-1e-9, 0.5, 0.0, 0.1, NEVER], -1),
        ([-1.1e-9, 0.5, 0.0, 0.1, NEVER], 0),
        ([0.5, 0.6, 0.0, 1.0, NEVER], 0),  # oversized fails even while it holds
        ([0.5, 0.0, 0.0, 0.1, NEVER, 0.0], 0),  # 0.5 / 0 is infinite
        ([0.0, 0.0, 0.0, 0.1, NEVER, 0.0], 0),  # 0 / 0 is NaN
    ],
)
def test_an_invalid_target_fails_the_agent(kernel: Kernel, genome: list[float], failed: int) -> None:
    out = run(kernel, frame(), genome, limits=[[0.1, 0.1, 0.1]])
    assert out.failed_row[0] == failed
    assert out.failed[0] == (failed >= 0)
    if failed >= 0:
        assert (out.trades[0], out.final[0]) == (0.0, 1000.0)


def break_above_150(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """The genes as target, twice what there is in coins once the price is above 150."""
    return Target(g.eth if f.eth < 150.0 else 2.0, g.btc, g.usd, g.band), State(s.seen + 1.0)


BREAKING = Strategy("breaking", ROLES, Genes, Features, Book, Target, State, break_above_150)


def test_an_agent_that_fails_while_it_is_beyond_a_limit_does_not_trade_back_to_it(cache: Path) -> None:
    kernel = build.kernel(BREAKING, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))
    price = np.where(np.arange(ROWS) < 4, 100.0, 160.0)
    out = everywhere(kernel, frame(price, gas=0.0), [0.5, 0.0, 0.0, 0.4, NEVER, 1.0], limits=[[0.5, 1.0, 1.0]])
    assert (out.failed_row[0], out.trades[0]) == (4, 1.0)


def test_an_equity_beyond_all_numbers_fails_the_agent(kernel: Kernel) -> None:
    tables = kernel.tables(frame(np.where(np.arange(ROWS) < 4, 1e-3, 1e9), gas=0.0))
    genome, span = [0.9, 0.0, 0.0, 0.1, NEVER, 1.0], {"low": 0, "high": ROWS, "sample": 1}
    outcomes = [kernel.run(tables, [genome], **span, cash=1e299, kind=kind) for kind in ("blocked", "scalar")]  # type: ignore[arg-type]
    outcomes.append(interpret(kernel, tables, genome, **span, cash=1e299))  # type: ignore[arg-type]
    assert np.isinf(outcomes[0].final[0])
    assert [out.failed_row[0] for out in outcomes] == [4, 4, 4]


@pytest.mark.parametrize(("cash", "trades"), [(1e299, 1.0), (2e300, 0.0)])
def test_a_drift_beyond_all_amounts_is_no_trade(kernel: Kernel, cash: float, trades: float) -> None:
    tables, span = kernel.tables(frame(gas=0.0)), {"low": 0, "high": ROWS, "sample": 1}
    genome = [0.0, 0.9, 0.0, 0.1, NEVER, 1.0]
    outcomes = [kernel.run(tables, [genome], **span, cash=cash, kind=kind) for kind in ("blocked", "scalar")]  # type: ignore[arg-type]
    outcomes.append(interpret(kernel, tables, genome, **span, cash=cash))  # type: ignore[arg-type]
    assert [out.trades[0] for out in outcomes] == [trades] * 3
    assert [out.final[0] for out in outcomes] == [pytest.approx(cash)] * 3


def test_a_share_a_little_below_nothing_is_nothing(cache: Path) -> None:
    kernel = build.kernel(STRATEGY, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))
    tables, span = kernel.tables(frame(gas=0.0)), {"low": 0, "high": ROWS, "sample": 1}
    genome = [-1e-9, 0.5, 0.0, 0.1, NEVER, 1.0]  # of 1e12 USD, 1,000 are more than dust
    outcomes = [kernel.run(tables, [genome], **span, cash=1e12, kind=kind) for kind in ("blocked", "scalar")]  # type: ignore[arg-type]
    outcomes.append(interpret(kernel, tables, genome, **span, cash=1e12))  # type: ignore[arg-type]
    assert [(out.final[0], out.trades[0], out.costs[0]) for out in outcomes] == [(1e12, 1.0, 0.0)] * 3


class Lowest(NamedTuple):
    low: float = float("inf")
    high: float = float("-inf")
    seen: float = float("nan")


def half_above_the_lowest(f: Features, g: Genes, book: Book, s: Lowest) -> tuple[Target, Lowest]:
    """Half in coins while the price is not the lowest so far."""
    eth = 0.5 if f.eth > s.low else 0.0
    return Target(eth, 0.0, 0.0, 0.1), Lowest(min(s.low, f.eth), max(s.high, f.eth), s.seen)


LOWEST = Strategy("lowest", ROLES, Genes, Features, Book, Target, Lowest, half_above_the_lowest)


def test_a_state_may_open_beyond_all_numbers(cache: Path) -> None:
    kernel = build.kernel(LOWEST, cache, eth=attrs_fee("eth", 0.01), btc=attrs_fee("btc", 0.0))
    out = everywhere(kernel, frame(100.0 + np.arange(ROWS) % 3), [0.0, 0.0, 0.0, 0.0, NEVER, 1.0])
    assert out.trades[0] > 1.0
    assert out.failed_row[0] == -1


def test_failure_is_recorded_once_and_ends_trading(kernel: Kernel) -> None:
    out = run(kernel, frame(), [0.5, 0.0, 0.0, FORCE, 100.0])
    assert out.trades[0] > 1.0
    first = run(kernel, frame(), [1.5, 0.0, 0.0, FORCE, 6.0], starts=[3])
    assert first.failed_row[0] == 3  # its target is valid again from row 9, but it never trades
    assert first.trades[0] == 0.0


def test_neighbours_of_a_failing_agent_do_not_notice(kernel: Kernel) -> None:
    tables = kernel.tables(frame())
    good = [0.5, 0.0, 0.0, 0.1, 4.0, 1.0]
    both = kernel.run(tables, [good, [0.5, 0.0, 0.0, 0.1, NEVER, 0.0], good], low=0, high=ROWS, cash=1000.0, sample=1)
    alone = kernel.run(tables, [good], low=0, high=ROWS, cash=1000.0, sample=1)
    assert both.failed.tolist() == [False, True, False]
    assert both.curve[0].tobytes() == both.curve[2].tobytes() == alone.curve[0].tobytes()


def test_plain_python_says_which_row_raised(kernel: Kernel) -> None:
    tables = kernel.tables(frame())
    with pytest.raises(
        AgentError, match=r"decide\(\) of 'by_hand' failed at row 0: ZeroDivisionError: .*test_kernel\.py:\d+\)"
    ):
        interpret(kernel, tables, [0.5, 0.0, 0.0, 0.1, NEVER, 0.0], low=0, high=ROWS, cash=1.0, sample=1)


def brittle(s: spot.State, m: spot.Market, p: spot.Params) -> float:
    away = m.price - 160.0
    return s.units * m.price * (away / away)


def test_plain_python_says_which_position_model_raised(cache: Path) -> None:
    models = {role: build.MODELS[wanted.kind] for role, wanted in ROLES.items()}
    models["eth"] = attrs.evolve(spot.MODEL, value=brittle)
    kernel = prepare(STRATEGY, models, {role: build.SPECS[role] for role in ROLES}, cache=cache)
    tables = kernel.tables(frame(np.linspace(100.0, 210.0, ROWS)))
    genome = [0.5, 0.0, 0.0, 0.1, NEVER, 1.0]
    assert kernel.run(tables, [genome], low=0, high=ROWS, cash=1.0, sample=1).failed_row.tolist() == [6]
    said = r"^brittle\(\) of the position model 'test\.spot' \(role 'eth' of 'by_hand'\) failed at row 6: ZeroDivisionError"
    with pytest.raises(AgentError, match=said):
        interpret(kernel, tables, genome, low=0, high=ROWS, cash=1.0, sample=1)


@pytest.mark.parametrize(("sample", "points"), [(1, 12), (5, 3), (6, 2), (12, 1), (13, 1)])
def test_curve_holds_every_sampled_row_below_high(kernel: Kernel, sample: int, points: int) -> None:
    market = frame(np.linspace(100.0, 200.0, ROWS))
    every = run(kernel, market, [0.5, 0.0, 0.0, 0.1, NEVER])
    sampled = run(kernel, market, [0.5, 0.0, 0.0, 0.1, NEVER], sample=sample)
    assert sampled.curve.shape == (1, points)
    assert sampled.curve[0].tolist() == every.curve[0, ::sample].tolist()
    assert sampled.final[0] == every.final[0]


def test_gene_windows_choose_their_column(cache: Path) -> None:
    kernel = build.kernel(farmer.STRATEGY, cache)
    market = build.frame(100)
    tables = kernel.tables(market)
    features = kernel.features(tables, kernel.strategy.space.default, 50)
    assert features.log_price == np.log(market["WETH.price"][50])
    assert features.gas == market["gas.usd"][50]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": 5, "high": 5}, "rows 5 to 5 are not inside tables of 12 rows"),
        ({"high": 13}, "rows 0 to 13 are not inside"),
        ({"sample": 0}, "sampled every 0 rows"),
        ({"low": 2, "starts": [1]}, "the start of agent 0 must be a row from 2 to 12"),
        ({"starts": [13]}, "the start of agent 0 must be"),
        ({"cash": 0.0}, "the cash of agent 0 must be positive"),
        ({"cash": np.nan}, "the cash of agent 0 must be positive and finite"),
        ({"limits": [[1.0, -0.1, 1.0]]}, "the limit of agent 0 must be finite and not negative"),
        ({"coin_limit": np.inf}, "the coin limit of agent 0 must be finite"),
    ],
)
def test_impossible_runs_are_refused(kernel: Kernel, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        run(kernel, frame(), [0.5, 0.0, 0.0, 0.1, NEVER], **changes)


@pytest.mark.parametrize("value", [-1.0, 4.0, 1.5, np.nan])
def test_a_choice_gene_outside_its_values_is_refused(cache: Path, value: float) -> None:
    from kernel_plugins import tactical

    kernel = build.kernel(tactical.STRATEGY, cache)
    genome = kernel.strategy.space.default.copy()
    genome[0] = value
    tables = Tables(np.ones((5, 20)), np.ones((5, 20)), np.zeros(20, dtype=np.int64), np.zeros(3, dtype=np.int64))
    with pytest.raises(ValidationError, match=r"gene 0 of agent 0 is .*, outside its declaration"):
        kernel.run(tables, genome[None, :], low=0, high=5, cash=1.0, sample=1)


def test_genomes_of_another_strategy_are_refused(kernel: Kernel) -> None:
    with pytest.raises(ValidationError, match=r"genomes have shape \(1, 3\), expected \(N, 6\)"):
        kernel.run(kernel.tables(frame()), [[0.0, 0.0, 0.0]], low=0, high=5, cash=1.0, sample=1)


def test_a_missing_column_is_named(kernel: Kernel) -> None:
    market = MarketFrame(0, 3600, {"WETH.prize": np.ones(5)})
    with pytest.raises(DataError, match=r"no column 'WETH.price': did you mean 'WETH.prize'"):
        kernel.tables(market)


def test_logarithms_of_rates_that_touch_zero_are_refused(cache: Path) -> None:
    kernel = build.kernel(farmer.STRATEGY, cache)
    columns = dict(build.frame(50).columns)
    columns["WETH.price"] = columns["WETH.price"].copy()
    columns["WETH.price"][7] = 0.0
    with pytest.raises(DataError, match=r"'log_price' takes a logarithm, but the column is 0.0 at row 7"):
        kernel.tables(MarketFrame(0, 3600, columns))


class Peeking(NamedTuple):
    eth: Annotated[float, Column(lambda column, window: column / column.max(), 3, "eth")]


def test_a_third_party_feature_that_looks_ahead_is_named(cache: Path) -> None:
    strategy = Strategy("peeker", ROLES, Genes, Peeking, Book, Target, State, decide)
    with pytest.raises(PluginError, match=r"strategy 'peeker', feature 'eth' of 'WETH.price': .* looks ahead"):
        build.kernel(strategy, cache).tables(build.frame(50))


def test_features_over_the_same_data_share_columns(cache: Path) -> None:
    class Shared(NamedTuple):
        one: Annotated[float, Column("sma", 5, "eth")]
        two: Annotated[float, Column("sma", 5, "eth")]
        three: Annotated[float, Column("sma", 5, "btc")]

    globals()["Shared"] = Shared
    Shared.__qualname__ = "Shared"
    tables = build.kernel(Strategy("sharer", ROLES, Genes, Shared, Book, Target, State, decide), cache).tables(
        build.frame(30)
    )
    assert tables.features.shape == (30, 2)
    assert tables.feature_columns.tolist() == [0, 0, 1]


def test_no_agents_is_an_empty_outcome(cache: Path) -> None:
    kernel = build.kernel(six.STRATEGY, cache)
    out = kernel.run(kernel.tables(build.frame(30)), np.zeros((0, 8)), low=0, high=30, cash=1.0, sample=10, workers=2)
    assert out.curve.shape == (0, 3)
    assert out.steps == 0
