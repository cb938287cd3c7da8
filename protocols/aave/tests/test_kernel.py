"""The models pass the lint, compile, and blocked, scalar and plain Python give the same bits; model and exact stay together."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from aave_looper import STRATEGY
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ValidationError
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import Kernel, Tables, prepare
from treasury_arena.simulation.outcome import Outcome
from treasury_arena_aave.model import ACCOUNT, ACCOUNT_RESERVE, SUPPLY
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
ROWS = 420
FIELDS = [field.name for field in attrs.fields(Outcome) if field.name != "steps"]
GAS = {"gas": "gas.usd"}
USD = MarketSpec(
    "usd",
    "aave.supply",
    "lending",
    "USDC",
    {"rate": "USDC.rate", "price": "USDC.price", "supplied": "USDC.supplied", "borrowed": "USDC.borrowed", **GAS},
    {"swap_fee": 0.0},
)
LOAN = MarketSpec(
    "loan",
    "aave.account",
    "account",
    "WETH",
    {"price": "WETH.price", "supply_rate": "WETH.rate", "borrow_rate": "USDC.borrow_rate", **GAS},
    coin=True,
)


DEEP = attrs.evolve(
    LOAN,
    model="aave.account_reserve",
    columns={**LOAN.columns, "supplied": "USDC.supplied", "borrowed": "USDC.borrowed"},
)


def frame(rows: int = ROWS, seed: int = 7, volatility: float = 0.02) -> MarketFrame:
    """Hours of a coin that falls far enough for liquidations, of a reserve that runs dry now and then, and of rates."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    return MarketFrame(
        1_704_067_200,
        3600,
        {
            "WETH.price": 2000.0 * np.exp(np.cumsum(volatility * rng.standard_normal(rows))),
            "USDC.price": np.ones(rows),
            "USDC.rate": 0.05 + 0.04 * np.sin(t / 50),
            "WETH.rate": np.full(rows, 0.02),
            "USDC.borrow_rate": 0.08 + 0.03 * np.sin(t / 50),
            "USDC.supplied": 2e6 * rng.lognormal(0.0, 0.3, rows),
            "USDC.borrowed": 1.4e6 * rng.lognormal(0.0, 0.3, rows),
            "gas.usd": 0.2 * rng.lognormal(0.0, 0.4, rows),
        },
    )


@pytest.fixture(scope="module", params=["account", "account_reserve"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kernel, Tables]:
    kept = getattr(request.config, "cache", None)
    cache = Path(kept.mkdir("arena_kernels")) if kept else tmp_path_factory.mktemp("kernels")
    loan = {"account": (ACCOUNT, LOAN), "account_reserve": (ACCOUNT_RESERVE, DEEP)}[request.param]
    made = prepare(STRATEGY, {"usd": SUPPLY, "loan": loan[0]}, {"usd": USD, "loan": loan[1]}, cache=cache)
    return made, made.tables(frame())


def same(a: Outcome, b: Outcome, order: np.ndarray | slice = slice(None)) -> None:
    for name in FIELDS:
        left, right = np.ascontiguousarray(getattr(a, name)[order]), np.ascontiguousarray(getattr(b, name))
        assert left.tobytes() == right.tobytes(), name


@given(seed=st.integers(0, 2**32), agents=st.integers(1, 70), low=st.integers(0, 100))
@settings(max_examples=6, deadline=None)
def test_blocked_scalar_and_plain_python_give_the_same_bits(kernel, seed, agents, low):
    made, tables = kernel
    rng = np.random.default_rng(seed)
    genomes = made.strategy.space.sample(agents, rng)
    span = {"low": low, "high": ROWS, "sample": int(rng.integers(1, 40))}
    cash = rng.lognormal(10.0, 2.0, agents)
    blocked = made.run(tables, genomes, **span, cash=cash)
    same(blocked, made.run(tables, genomes, **span, cash=cash, kind="scalar"))
    for a in rng.integers(0, agents, 3):
        same(blocked, interpret(made, tables, genomes[a], **span, cash=cash[a]), np.array([a]))


def test_the_sample_trades_and_is_liquidated(kernel):
    made, tables = kernel
    genomes = made.strategy.space.sample(200, np.random.default_rng(1))
    out = made.run(tables, genomes, low=0, high=ROWS, cash=1e5, sample=24)
    assert (out.trades > 3).mean() > 0.5
    assert np.isfinite(out.curve).all()
    reckless = np.array([[1.0, 0.8, 1.0, 0.2, 48.0]])
    careful = np.array([[1.0, 0.0, 1.0, 0.2, 48.0]])
    lost = made.run(tables, np.vstack([reckless, careful]), low=0, high=ROWS, cash=1e5, sample=24).curve[:, -1]
    assert lost[0] < 0.5 * lost[1]


controls = st.floats(0.0, 0.85)
plans = st.lists(
    st.tuples(st.integers(0, 40), st.one_of(st.just(0.0), st.floats(50.0, 200_000.0)), controls), min_size=1, max_size=8
)


@settings(max_examples=120, deadline=None)
@given(
    plan=plans,
    seed=st.integers(0, 50),
    version=st.sampled_from([3.0, 3.4, 3.5, 3.7]),
    which=st.sampled_from(["usd", "loan", "deep"]),
)
def test_model_and_exact_stay_together_through_any_sequence(plan, seed, version, which):
    """1e-9 of the turnover (swaps included) and a few whole units a trade, as the README says."""
    rows = 1 + sum(wait for wait, _, _ in plan)
    data = frame(rows, seed)
    spec, model = {"usd": (USD, SUPPLY), "loan": (LOAN, ACCOUNT), "deep": (DEEP, ACCOUNT_RESERVE)}[which]
    small = {"small": 0.0} if which != "usd" and version == 3.0 else {}
    spec = attrs.evolve(spec, params={**spec.params, "version": version, **small})
    market = AaveProtocol().exact(spec, data, ASSETS, ASSETS["USDC"])
    params = model.params()._replace(**spec.params)

    def at(row):
        return model.market(*(float(data[spec.columns[field]][row]) for field in model.market._fields))

    held, cash, exact, exact_cash, row, turnover, trades = model.state(), 0.0, market.open(), 0, 0, 1.0, 0
    for wait, target, ltv in plan:
        for step in range(row + 1, row + wait + 1):
            exact, _ = market.accrue(exact, step - 1, step)
            held = model.accrue(held, at(step), params)
            if which != "usd" and (exact == market.open()) != (held == model.state()):
                return  # liquidated on one side of a threshold only: health within 1e-8 of one
        row += wait
        control = model.control(ltv) if model.control else None
        before = held
        held, change = model.trade(held, target, at(row), params, control)
        try:
            fill = market.trade(exact, round(target * 1e6), row, (ltv,))
        except ValidationError:
            fill = None
        if (fill is None) != (held == before):
            assert near_a_threshold(model, before, target, ltv, at(row), params)
            return
        if fill is not None:
            exact, exact_cash = fill.state, exact_cash + fill.cash_raw
            turnover, trades = turnover + fill.notional_raw / 1e6, trades + 1
        cash += change
        grown = 1.0 + row / 1000.0
        allowed = 1e-9 * turnover * grown + (trades + 1) * 2e-5
        assert abs(cash - exact_cash / 1e6) <= allowed
        assert abs(model.value(held, at(row), params) - market.value(exact, row) / 1e6) <= allowed
        for name, view in model.views.items():
            if held != model.state() and model.value(held, at(row), params) > 1.0:
                assert market.views(exact, row)[name] == pytest.approx(view(held, at(row), params), rel=1e-5, abs=5e-6)


def near_a_threshold(model, state, target, ltv, line, params):
    """Whether one of the two may trade and the other not: at dust, at the cost, at the slack, or at the reserve's cash."""
    size = abs(target - model.value(state, line, params))
    edges = [params.dust, line.gas * params.actions * 1.02]
    if model is SUPPLY:
        edges.append(line.supplied - line.borrowed)
        return any(abs(size - edge) <= 0.02 * abs(edge) + 1e-4 for edge in edges)
    if model is ACCOUNT_RESERVE:
        # A loan of a few units more than the reserve's cash: whole units have it where a fraction has not, or the other way.
        more = target * ltv / (1.0 - ltv) - state.debt
        if abs(more - max(0.0, line.supplied - line.borrowed)) <= 2e-5:
            return True
    held = state.collateral * line.price
    edges.append(line.gas * params.actions + params.fee * abs(target / (1.0 - params.ltv_max) - held))
    return size <= 1.1 * max(edges) + 1e-4
