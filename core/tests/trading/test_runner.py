"""The live runner: the order of a step, what a failing strategy does, and equality with the search kernel's reference."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.strategy import FORCE, HOLD, Strategy
from treasury_arena.events.catalog import OrderRejected, OrderReserved
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.testing.frames import COIN, USD, stepped, synthetic_frame
from treasury_arena.testing.reference import LENDING, SPOT
from treasury_arena.testing.strategies import HOLDER, LENDER, HolderFeatures, HolderGenes, HolderState, HolderTarget
from treasury_arena.trading.account import Account
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.runner import LiveRunner, StrategyDesk

ONE_USD = 10**6
FREE = Limits(
    position_share_max=None, trade_share_max=None, trade_raw_min=None, daily_trades_max=None, slippage_bps_max=None
)


def desk(strategy: Strategy = HOLDER, features: Callable[[Sequence[float], int], Sequence[float]] | None = None) -> Any:
    roles = {role: bound.market for role, bound in strategy.roles.items()}
    models = {role: SPOT if bound.kind == "spot" else LENDING for role, bound in strategy.roles.items()}
    return StrategyDesk(
        strategy, roles, models, features or (lambda genome, row: (0.0,)), frozenset({"coin"} & set(strategy.roles))
    )


def deciding(decide: Callable[..., Any]) -> Any:
    return desk(attrs.evolve(HOLDER, decide=decide))


def targets(script: Mapping[float, tuple[float, float, float]]) -> Any:
    """A holder that says what `script` has for its step, and nothing otherwise."""

    def decide(f: Any, g: Any, book: Any, s: HolderState) -> tuple[HolderTarget, HolderState]:
        return HolderTarget(*script.get(book.step, (0.0, 0.0, HOLD))), HolderState(s.above + 1.0)

    return deciding(decide)


@pytest.fixture
def runner_of(make_bench: Callable[..., Any], frame: Any) -> Iterator[Callable[..., Any]]:
    """``runner_of({name: desk}, limits, over) -> (bench, runner)``."""
    guard = Watchdog(0.3, poll=0.005)

    def make(desks: Mapping[str, Any], limits: Limits = FREE, over: Any = None) -> tuple[Any, LiveRunner]:
        bench, market = make_bench(limits, over=over), frame if over is None else over
        return bench, LiveRunner(bench.engine, desks, market.start, market.step_seconds, guard)

    yield make
    guard.close()


GENOME = (0.5, 0.1, 0.0, 0.0)


def account_of(bench: Any, name: str = "a-0001", strategy: str = "holder", **more: Any) -> Account:
    account: Account = bench.account(name)
    return attrs.evolve(account, strategy=strategy, genome=GENOME, **more)


def test_a_decision_is_executed_one_row_later(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": targets({0.0: (0.5, 0.0, FORCE)})})
    account = account_of(bench)
    runner.step(account, 0)
    assert (account.positions, account.orders) == ({}, 0)
    assert account.target == {"coin": 0.5, "usd": 0.0, "band": FORCE}
    runner.step(account, 1)
    assert (account.target, account.orders) == (None, 1)
    assert account.cash_raw == 5_000 * ONE_USD


def test_sales_come_first_and_pay_for_purchases(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": targets({0.0: (1.0, 0.0, FORCE), 2.0: (0.0, 1.0, FORCE)})})
    account = account_of(bench)
    for row in range(4):
        runner.step(account, row)
    assert account.orders == 3
    assert bench.engine.market("coin").value(account.positions["coin"], 3) == 0
    assert 0 <= account.cash_raw <= 1
    assert "usd" in account.positions


def test_purchases_are_scaled_to_the_cash(runner_of: Callable[..., Any]) -> None:
    """Selling costs money: afterwards less than the wanted purchases is there, and both shrink alike."""
    bench, runner = runner_of({"holder": targets({0.0: (0.5, 0.5, FORCE)})})
    account = account_of(bench)
    runner.step(account, 0)
    bench.journal.endow(account.agent_id, "USDC", 0)
    account.target = {"coin": 0.6, "usd": 0.6, "band": FORCE}
    runner.step(account, 1)
    bought = {role: bench.engine.market(role).value(account.positions[role], 1) for role in ("coin", "usd")}
    assert account.cash_raw == 0
    assert bought["usd"] == pytest.approx(5_000 * ONE_USD, rel=1e-4)
    assert bought["coin"] == pytest.approx(5_000 * ONE_USD * 0.999, rel=1e-4)


@pytest.mark.parametrize(
    ("coin", "usd", "bought_usd"),
    [
        (0.0, 0.8, 6_000),  # 8,000 are wanted, 6,000 are free
        (0.4, 0.6, 3_600),  # 10,000 are wanted, of which 6,000 are free: six tenths of each
        (0.0, 0.5, 5_000),  # all of it is free
    ],
)
def test_purchases_are_scaled_to_the_cash_that_no_other_order_has_reserved(
    runner_of: Callable[..., Any], coin: float, usd: float, bought_usd: int
) -> None:
    bench, runner = runner_of({"holder": targets({})})
    account = account_of(bench, target={"coin": coin, "usd": usd, "band": FORCE})
    waiting = bench.engine.submit_trade(account, bench.intent(account, "coin", 4_000), bench.equity(account))
    assert (account.cash_raw, account.available_raw) == (10_000 * ONE_USD, 6_000 * ONE_USD)
    runner.step(account, 1)
    (lent,) = [order for order in bench.journal.payloads(OrderReserved) if order.role == "usd"]
    assert lent.reserved_raw == bought_usd * ONE_USD
    assert {order.code for order in bench.journal.payloads(OrderRejected)} == ({"position_busy"} if coin else set())
    bench.engine.execute_trade(waiting)
    assert (account.cash_raw, account.reserved_raw) == ((6_000 - bought_usd) * ONE_USD, 0)


def test_shares_are_cut_to_limits_and_coin_cap(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": targets({0.0: (0.9, 0.1, FORCE)})})
    limited = account_of(bench, "a-0001", limits={"coin": 0.2, "usd": 1.0})
    capped = account_of(bench, "a-0002", coin_limit=0.3)
    lender = account_of(bench, "a-0003", limits={"coin": 0.0, "usd": 1.0})
    for account, share in ((limited, 0.2), (capped, 0.3), (lender, 0.0)):
        runner.step(account, 0)
        assert account.target is not None
        assert account.target["coin"] == pytest.approx(share)
        assert account.target["usd"] == pytest.approx(1.0 - share)


@pytest.mark.parametrize("band", [HOLD, 0.6])
def test_no_trade_inside_the_band(runner_of: Callable[..., Any], band: float) -> None:
    bench, runner = runner_of({"holder": targets({0.0: (0.3, 0.3, band)})})
    account = account_of(bench)
    for row in range(3):
        runner.step(account, row)
    assert (account.orders, account.failed) == (0, None)


@pytest.mark.parametrize("band", [HOLD, 0.9])
@pytest.mark.parametrize("kind", ["role", "coins"])
@pytest.mark.parametrize(("beyond", "traded"), [(0.0099, False), (0.0101, True)])
def test_a_holding_beyond_its_limit_is_traded_back(
    runner_of: Callable[..., Any], band: float, kind: str, beyond: float, traded: bool
) -> None:
    """Also when the strategy HOLDs: then what it holds is its target, cut to the limit, and what is cut is lent."""
    said = (0.0, 0.0, HOLD) if band == HOLD else (0.4, 0.1, band)
    bench, runner = runner_of({"holder": targets({0.0: (0.4, 0.1, FORCE), 2.0: said})})
    account = account_of(bench)
    runner.step(account, 0)
    runner.step(account, 1)
    values = runner.values(account, {role: bench.engine.market(role) for role in ("coin", "usd")}, 2)
    equity = account.cash_raw + sum(values.values())
    limit = values["coin"] / equity - beyond
    if kind == "role":
        account.limits = {"coin": limit, "usd": 1.0}
    else:
        account.coin_limit = limit
    bought = account.orders
    runner.step(account, 2)
    assert (account.target is not None) == traded
    if account.target is not None:
        assert account.target["coin"] == pytest.approx(limit)
        cut = (values["coin"] / equity if band == HOLD else 0.4) - limit
        assert account.target["usd"] == pytest.approx((values["usd"] / equity if band == HOLD else 0.1) + cut)
    runner.step(account, 3)
    assert (account.orders > bought) == traded
    assert account.failed is None


def test_new_capital_still_waits_for_a_decision_after_a_forced_sale(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": targets({0.0: (0.4, 0.0, FORCE), 2.0: (0.0, 0.0, HOLD)})})
    account = account_of(bench)
    runner.step(account, 0)
    runner.step(account, 1)
    account.fresh, account.coin_limit = True, 0.2
    runner.step(account, 2)
    assert account.target is not None
    assert account.fresh


def raising(*_: Any) -> Any:
    raise RuntimeError("author's mistake")


def endless(*_: Any) -> Any:
    turns = 0
    while True:
        turns += 1


def giving(*target: Any, state: float = 0.0) -> Callable[..., Any]:
    return lambda *_: (HolderTarget(*target), HolderState(state))


FAILURES: list[tuple[str, Callable[..., Any], str, str]] = [
    ("raise", raising, "raised", "RuntimeError: author's mistake"),
    ("loop", endless, "loop", "ran longer than"),
    ("nan share", giving(math.nan, 0.0, 0.1), "target", "target.coin is nan"),
    ("infinite share", giving(math.inf, 0.0, 0.1), "target", "target.coin is inf"),
    ("nan band", giving(0.1, 0.1, math.nan), "target", "band is NaN"),
    ("over-sized", giving(0.7, 0.4, 0.1), "target", "more than 1"),
    ("negative", giving(-0.1, 0.4, 0.1), "target", "negative"),
    ("no number", giving("much", 0.4, 0.1), "target", "not a number"),
    ("no target", lambda *_: (None, HolderState()), "target", "not its Target"),
    ("nothing", lambda *_: None, "raised", "TypeError"),
    ("nan state", giving(0.1, 0.1, 0.1, state=math.nan), "target", "state is not finite"),
]


@pytest.mark.parametrize(("name", "decide", "kind", "text"), FAILURES, ids=[case[0] for case in FAILURES])
def test_one_agents_error_does_not_reach_the_others(
    runner_of: Callable[..., Any], name: str, decide: Callable[..., Any], kind: str, text: str
) -> None:
    """Historic defect: one agent's exception ended the whole day for everybody."""
    script = targets({0.0: (0.5, 0.5, FORCE)})
    bench, runner = runner_of({"bad": deciding(decide), "holder": script})
    bad, good = account_of(bench, "bad-0001", "bad"), account_of(bench)
    for row in range(4):
        runner.step(bad, row)
        runner.step(good, row)
    alone_bench, alone_runner = runner_of({"holder": script})
    alone = account_of(alone_bench)
    for row in range(4):
        alone_runner.step(alone, row)
    assert bad.failed is not None
    assert bad.failed[0] == kind
    assert text in bad.failed[1]
    assert (bad.orders, bad.cash_raw) == (0, 10_000 * ONE_USD)
    assert good.failed is None
    assert (good.orders, good.cash_raw, good.positions) == (alone.orders, alone.cash_raw, alone.positions)


def test_a_failed_agent_settles_nothing_more(runner_of: Callable[..., Any]) -> None:
    def late(f: Any, g: Any, book: Any, s: Any) -> Any:
        if book.step >= 1.0:
            raise RuntimeError("late")
        return HolderTarget(0.5, 0.0, FORCE), HolderState()

    bench, runner = runner_of({"holder": deciding(late)})
    account = account_of(bench)
    for row in range(5):
        runner.step(account, row)
    assert account.failed == ("raised", "RuntimeError: late")
    assert account.orders == 1
    assert len(account.daily_raw) == 1  # its record goes on: row 4 closes the first day


def test_a_closing_account_is_not_asked(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": deciding(raising)})
    account = account_of(bench, closing=True)
    runner.step(account, 0)
    assert account.failed is None


def test_features_that_raise_are_the_agents_failure(runner_of: Callable[..., Any]) -> None:
    def broken(genome: Sequence[float], row: int) -> Sequence[float]:
        raise KeyError("column")

    bench, runner = runner_of({"holder": desk(features=broken)})
    account = account_of(bench)
    runner.step(account, 0)
    assert account.failed == ("raised", "KeyError: 'column'")


def test_days_close_at_midnight_and_count_orders(runner_of: Callable[..., Any]) -> None:
    flip = {float(row): (0.5 if row % 2 else 0.0, 0.0, FORCE) for row in range(12)}
    bench, runner = runner_of({"holder": targets(flip)}, Limits(daily_trades_max=2))
    account = account_of(bench)
    for row in range(13):
        runner.step(account, row)
    assert [runner.closes_day(row) for row in range(5)] == [True, False, False, False, True]
    made = [order.row for order in bench.journal.payloads(OrderReserved)]
    assert made == [2, 3, 4, 5, 8, 9, 12], "two on each day of four rows; the first has one row to decide in"
    refused = bench.journal.payloads(OrderRejected)
    assert {order.code for order in refused} == {"daily_trades"}
    assert len(account.daily_raw) == len(account.daily_nav) == 3
    assert account.daily_nav[0] == account.daily_raw[0] / account.base_raw


@pytest.mark.parametrize("last", [3, 4, 5, 6, 7])
def test_an_account_taken_up_again_within_a_day_has_placed_that_days_orders(
    runner_of: Callable[..., Any], last: int
) -> None:
    """Rows 4 to 7 are a day with room for two orders, whatever row the account was left at."""
    flip = {float(row): (0.5 if row % 2 else 0.0, 0.0, FORCE) for row in range(12)}
    bench, runner = runner_of({"holder": targets(flip)}, Limits(daily_trades_max=2))
    account = account_of(bench)
    for row in range(last + 1):
        runner.step(account, row)
    again = account_of(bench, cash_raw=0)
    again.restore(account.cash_raw, account.positions, json.loads(json.dumps(account.memory())))
    for row in range(last + 1, 12):
        runner.step(again, row)
    assert [order.row for order in bench.journal.payloads(OrderReserved)] == [2, 3, 4, 5, 8, 9]
    assert [(r.code, r.row) for r in bench.journal.payloads(OrderRejected)] == [
        ("daily_trades", 6),
        ("daily_trades", 10),
    ]


def test_nav_ignores_flows_of_capital(runner_of: Callable[..., Any]) -> None:
    bench, runner = runner_of({"holder": targets({})})
    account = account_of(bench)
    runner.step(account, 0)
    account.nav = 1.25
    account.base_nav, account.base_raw = 1.25, 30_000 * ONE_USD
    account.cash_raw = 30_000 * ONE_USD
    runner.step(account, 1)
    assert account.nav == 1.25


def test_a_restored_account_goes_on_as_if_never_stopped(runner_of: Callable[..., Any]) -> None:
    desks = {"holder": targets({0.0: (0.5, 0.4, FORCE), 5.0: (0.2, 0.7, FORCE)})}
    (bench, runner), (other_bench, other_runner) = runner_of(desks), runner_of(desks)
    account, stopped = account_of(bench), account_of(other_bench)
    for row in range(6):
        runner.step(account, row)
        other_runner.step(stopped, row)
    assert stopped.target is not None
    again = Account("a-0001", "holder", "proving", GENOME, {"coin": 1.0, "usd": 1.0}, 1.0, row=0, first_row=0)
    again.restore(stopped.cash_raw, stopped.positions, stopped.memory())
    account.start_interval()
    for row in range(6, 12):
        runner.step(account, row)
        other_runner.step(again, row)
    assert (again.cash_raw, again.positions, again.own) == (account.cash_raw, account.positions, account.own)
    assert (again.nav, again.peak_nav, again.memory()) == (account.nav, account.peak_nav, account.memory())


def test_memory_is_json_even_with_an_infinite_band(runner_of: Callable[..., Any]) -> None:
    bench, _ = runner_of({"holder": targets({})})
    account = account_of(bench, target={"coin": 0.5, "usd": 0.5, "band": HOLD})
    text = json.dumps(account.memory(), allow_nan=False)
    again = account_of(bench, "a-0002")
    again.restore(0, {}, json.loads(text))
    assert again.target == account.target


class CautiousBook(NamedTuple):
    """Rows since birth, and the positive fraction below the highest equity so far."""

    step: float
    drawdown: float


def flee(f: HolderFeatures, g: HolderGenes, book: CautiousBook, s: HolderState) -> tuple[HolderTarget, HolderState]:
    """Hold `share` in the coin unless the drawdown is beyond the band, then lend everything."""
    share = g.share if book.drawdown < g.band else 0.0
    return HolderTarget(share, 1.0 - share, 0.02), HolderState(s.above + book.drawdown)


CAUTIOUS = attrs.evolve(HOLDER, name="cautious", book=CautiousBook, decide=flee)


@pytest.mark.parametrize(
    ("strategy", "genome"),
    [
        (CAUTIOUS, (0.9, 0.05, 0.0, 0.0)),
        (CAUTIOUS, (0.6, 0.02, 0.0, 0.0)),
        (HOLDER, (0.5, 0.05, 3.0, 1.0)),
        (HOLDER, (1.0, 0.3, 0.0, 0.0)),
        (HOLDER, (0.13, 0.01, 11.0, 0.0)),
        (LENDER, (0.05, 0.8, 0.02)),
        (LENDER, (0.5, 1.0, 0.02)),
    ],
)
def test_the_live_runner_equals_the_interpreter_within_rounding(
    runner_of: Callable[..., Any], strategy: Strategy, genome: tuple[float, ...], tmp_path: Any
) -> None:
    """Exact integers against float64 over 40 days, same costs: apart by base units, a hundredth of a basis point."""
    frame = synthetic_frame(40, volatility=0.03)
    specs = {"coin": stepped(COIN, frame.step_seconds), "usd": stepped(USD, frame.step_seconds)}
    kernel = prepare(
        strategy,
        {role: SPOT if role == "coin" else LENDING for role in strategy.roles},
        {role: specs[role] for role in strategy.roles},
        cache=tmp_path,
    )
    tables = kernel.tables(frame)
    bench, runner = runner_of(
        {strategy.name: desk(strategy, lambda g, row: kernel.features(tables, g, row))}, over=frame
    )
    account = account_of(bench, strategy=strategy.name)
    account.genome = genome
    account.limits = dict.fromkeys(strategy.roles, 1.0)
    curve = []
    for row in range(frame.rows):
        runner.step(account, row)
        curve.append(bench.engine.equity_raw(account, row, runner.desks[strategy.name].roles) / ONE_USD)
    expected = interpret(kernel, tables, np.array(genome), low=0, high=frame.rows, cash=10_000.0, sample=1)
    assert account.failed is None
    assert account.orders > 0 or expected.trades[0] == 0
    assert np.max(np.abs(np.array(curve) / expected.curve[0] - 1.0)) < 1e-6
    shares = [account.share_sum.get(role, 0.0) / account.share_steps for role in strategy.roles]
    assert shares == pytest.approx(expected.mean_share[0].tolist(), abs=1e-5)
    assert account.peak_nav == pytest.approx(max(curve) / 10_000.0)
