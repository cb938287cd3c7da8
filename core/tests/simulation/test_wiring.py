"""Names that do not fit are refused before anything is written, with the nearest valid one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import attrs
import pytest
from kernel_plugins import build, farmer, six, tactical

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Choice, Column
from treasury_arena.errors import PluginError
from treasury_arena.simulation.kernel import prepare


def refused(strategy: Any, models: dict[str, PositionModel], specs: dict[str, MarketSpec], folder: Path) -> str:
    with pytest.raises(PluginError) as raised:
        prepare(strategy, models, specs, cache=folder)
    assert not list(folder.iterdir())
    return str(raised.value)


FARMER_MODELS = {"usd": build.MODELS["lending"], "eth": build.MODELS["spot"]}
FARMER_SPECS = {"usd": build.SPECS["usd"], "eth": build.SPECS["eth"]}
ETH = build.SPECS["eth"]


class WrongBook(NamedTuple):
    equty: float


class WrongTarget(NamedTuple):
    eth: float
    loan: float
    span: float
    span_width: float
    band: float


class StrangeTarget(NamedTuple):
    eth: float
    usd: float
    etth: float
    band: float


class NoOpening(NamedTuple):
    quick: float


class WrongKind(NamedTuple):
    x: Annotated[float, Column("momentun", 3, "eth")]


class WrongField(NamedTuple):
    x: Annotated[float, Column("raw", 1, "eth", "rate")]


class HalfGenes(NamedTuple):
    w: Annotated[float, Choice((1.5, 3.0))]


class HalfWindow(NamedTuple):
    x: Annotated[float, Column("sma", "w", "eth")]


class ZeroWindow(NamedTuple):
    x: Annotated[float, Column("sma", 0, "eth")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"book": WrongBook}, "its Book has a field 'equty' that means nothing: did you mean 'equity'?"),
        ({"target": StrangeTarget}, "its Target has a field 'etth' that means nothing: did you mean 'eth'?"),
        ({"state": NoOpening}, "state field 'quick' needs its opening value as default"),
        ({"features": WrongKind}, "there is no built-in feature 'momentun': did you mean 'momentum'?"),
        ({"features": WrongField}, "market 'eth' has no field 'rate': known: gas, price"),
        ({"features": ZeroWindow}, "a window is a whole number of rows, at least 1, not 0"),
        ({"features": HalfWindow, "genes": HalfGenes}, "a window is a whole number of rows, at least 1, not 1.5"),
    ],
)
def test_strategies_that_do_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    strategy = attrs.evolve(farmer.STRATEGY, **change)
    assert message in refused(strategy, FARMER_MODELS, FARMER_SPECS, tmp_path)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"usd": build.SPECS["usd"]}, "role 'eth' has no market: known: usd"),
        (
            {**FARMER_SPECS, "eth": build.SPECS["usd"]},
            "role 'eth': market 'usd' is priced by 'test.supply', not 'test.spot'",
        ),
        (
            {**FARMER_SPECS, "eth": attrs.evolve(ETH, columns={"price": "a.b", "gaz": "c.d"})},
            "market 'eth': test.spot reads no field 'gaz': did you mean 'gas'?",
        ),
        (
            {**FARMER_SPECS, "eth": attrs.evolve(ETH, columns={"price": "a.b"})},
            "market 'eth': field 'gas' of test.spot is not bound to a column",
        ),
        (
            {**FARMER_SPECS, "eth": attrs.evolve(ETH, params={"fees": 0.1})},
            "market 'eth': test.spot has no parameter 'fees': did you mean 'fee'?",
        ),
        (
            {**FARMER_SPECS, "eth": attrs.evolve(ETH, params={"fee": float("nan")})},
            "market 'eth': parameter 'fee' of test.spot is nan; it must be finite",
        ),
    ],
)
def test_markets_that_do_not_fit(tmp_path: Path, specs: dict[str, MarketSpec], message: str) -> None:
    assert message in refused(farmer.STRATEGY, FARMER_MODELS, specs, tmp_path)


def test_a_model_of_another_kind(tmp_path: Path) -> None:
    models = {**FARMER_MODELS, "eth": build.MODELS["lending"]}
    told = refused(farmer.STRATEGY, models, FARMER_SPECS, tmp_path)
    assert "role 'eth' needs a 'spot' position, test.supply is 'lending'" in told
    assert "role 'eth' has no position model" in refused(
        farmer.STRATEGY, {"usd": models["usd"]}, FARMER_SPECS, tmp_path
    )


def test_views_are_names(tmp_path: Path) -> None:
    spot = attrs.evolve(build.MODELS["spot"], views={"in side": build.MODELS["spot"].value})
    told = refused(farmer.STRATEGY, {**FARMER_MODELS, "eth": spot}, FARMER_SPECS, tmp_path)
    assert "a view must be a name like 'inside', not 'in side'" in told


@pytest.mark.parametrize("function", [functools.wraps(farmer.decide)(lambda *a: farmer.decide(*a)), len, print])
def test_only_plain_functions_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    monkeypatch.setattr(farmer, "decide", function)
    strategy = attrs.evolve(farmer.STRATEGY, decide=function)
    assert "must be a plain function written with def" in refused(strategy, FARMER_MODELS, FARMER_SPECS, tmp_path)


def test_functions_without_source_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {"__name__": farmer.__name__}
    exec("def made(f, g, book, s):\n    return 0.0", scope)
    monkeypatch.setattr(farmer, "made", scope["made"], raising=False)
    strategy = attrs.evolve(farmer.STRATEGY, decide=scope["made"])
    assert "cannot be read; define it in a file" in refused(strategy, FARMER_MODELS, FARMER_SPECS, tmp_path)


def test_a_missing_control(tmp_path: Path) -> None:
    models = {role: build.MODELS[wanted.kind] for role, wanted in tactical.STRATEGY.roles.items()}
    specs = {role: build.SPECS[role] for role in models}
    strategy = attrs.evolve(tactical.STRATEGY, target=WrongTarget)
    assert "its Target lacks the control 'loan_ltv'" in refused(strategy, models, specs, tmp_path)


class Taken(NamedTuple):
    a: float
    a_ltv: float
    a_look: float
    band: float


class TakenByControl(NamedTuple):
    a: float
    a_ltv: float
    band: float


@pytest.mark.parametrize(("other", "target", "what"), [("a_ltv", TakenByControl, "control"), ("a_look", Taken, "view")])
def test_a_role_named_as_a_control_or_view_of_another_is_refused(
    tmp_path: Path, other: str, target: type, what: str
) -> None:
    account = attrs.evolve(build.MODELS["account"], views={"look": build.MODELS["account"].value})
    roles = {"a": six.STRATEGY.roles["loan"], other: six.STRATEGY.roles["eth"]}
    strategy = attrs.evolve(six.STRATEGY, roles=roles, target=target)
    told = refused(
        strategy, {"a": account, other: build.MODELS["spot"]}, {"a": build.SPECS["loan"], other: ETH}, tmp_path
    )
    assert f"{other!r} is the name of a {what} and of something else" in told


class Twice(NamedTuple):
    a: float
    a_b: float
    band: float


def test_two_views_of_one_name_are_refused(tmp_path: Path) -> None:
    spot = build.MODELS["spot"]
    models = {
        "a": attrs.evolve(spot, views={"b_look": spot.value}),
        "a_b": attrs.evolve(spot, views={"look": spot.value}),
    }
    roles = {"a": six.STRATEGY.roles["eth"], "a_b": six.STRATEGY.roles["eth"]}
    strategy = attrs.evolve(six.STRATEGY, roles=roles, target=Twice)
    told = refused(strategy, models, {"a": ETH, "a_b": ETH}, tmp_path)
    assert "'a_b_look' is the name of a view and of something else" in told


@pytest.mark.parametrize("opening", [0, False, "a", 10**400])
def test_a_state_that_opens_at_no_float_is_refused(tmp_path: Path, opening: object) -> None:
    class Opening(NamedTuple):
        seen: object = opening

    told = refused(attrs.evolve(farmer.STRATEGY, state=Opening), FARMER_MODELS, FARMER_SPECS, tmp_path)
    assert f"state field 'seen' opens at {opening!r:.40}; expected a float such as 0.0" in told


def test_a_strategy_without_a_decision_is_refused(tmp_path: Path) -> None:
    told = refused(attrs.evolve(farmer.STRATEGY, decide=None), FARMER_MODELS, FARMER_SPECS, tmp_path)
    assert "must be defined at module level" in told


def test_a_market_that_is_not_as_the_strategy_reckons_is_refused(tmp_path: Path) -> None:
    roles = {**farmer.STRATEGY.roles}
    name, value = next(iter(build_params(FARMER_MODELS["eth"], ETH)._asdict().items()))
    assumed = attrs.evolve(roles["eth"], assumes={name: value + 1.0, "unheard_of": 3.0})
    strategy = attrs.evolve(farmer.STRATEGY, roles={**roles, "eth": assumed})
    said = refused(strategy, FARMER_MODELS, FARMER_SPECS, tmp_path)
    assert (
        f"role 'eth' reckons with a market whose {name} is {value + 1.0:g}; that of market {ETH.name!r} is {value:g}"
        in said
    )
    same = attrs.evolve(farmer.STRATEGY, roles={**roles, "eth": attrs.evolve(assumed, assumes={name: value})})
    prepare(same, FARMER_MODELS, FARMER_SPECS, cache=tmp_path)
