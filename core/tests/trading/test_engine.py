"""The trading engine: reserve and settle, limits that count reservations, the emergency stop, and its books."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.protocol import Fill, Leg
from treasury_arena.contracts.validation import OrderFacts, Validator
from treasury_arena.errors import EmergencyStopError, StoreError, ValidationError
from treasury_arena.events.catalog import (
    EmergencyStopEngaged,
    EmergencyStopReleased,
    OrderRejected,
    OrderReserved,
    OrderSettled,
)
from treasury_arena.ledger import accounts
from treasury_arena.testing.frames import COIN, USDC, reference_markets, synthetic_frame
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.lines import check_fill, interest_lines

USD = USDC.unit
OPEN = Limits(trade_raw_min=None, slippage_bps_max=None, daily_trades_max=None)


def conserved(journal: MemoryJournal) -> bool:
    return not any(journal.ledger.totals().values())


def same_books(bench: Any, account: Account) -> None:
    """Ledger and account tell the same of cash and positions."""
    ledger, name = bench.journal.ledger, account.agent_id
    assert ledger.balance(accounts.agent_available(name), "USDC") == account.available_raw
    assert ledger.balance(accounts.agent_reserved(name), "USDC") == account.reserved_raw
    assert conserved(bench.journal)


def test_reserve_moves_the_worst_case_aside(bench: Any) -> None:
    account = bench.account()
    intent_id = bench.engine.submit_trade(account, bench.intent(account, "coin", 4_000), bench.equity(account))
    reserved = bench.journal.payloads(OrderReserved)[0]
    assert (reserved.intent_id, reserved.reserved_raw, reserved.value_raw) == (intent_id, 4_000 * USD, 0)
    assert (account.cash_raw, account.reserved_raw, account.available_raw) == (10_000 * USD, 4_000 * USD, 6_000 * USD)
    same_books(bench, account)


def test_settle_posts_the_legs_of_the_fill(bench: Any) -> None:
    account = bench.account()
    fill = bench.trade(account, "coin", 4_000)
    settled = bench.journal.payloads(OrderSettled)[0]
    ledger = bench.journal.ledger
    assert settled.path == ["PLANNED", "NONCED", "SIGNED", "SENT", "INCLUDED", "FINAL"]
    assert (settled.status, settled.cash_raw, settled.cost_raw) == ("FINAL", -4_000 * USD, fill.cost_raw)
    assert ledger.balance(accounts.fee("coin"), "USDC") == 4 * USD + 1  # the float 0.001 is a little more, rounded up
    assert ledger.balance(accounts.GAS, "USDC") == 50_001  # 0.05 USD, likewise
    held = ledger.balance(accounts.agent_position(account.agent_id, "coin"), "WETH")
    assert bench.engine.market("coin").holdings(account.positions["coin"]) == {"WETH": held}
    assert ledger.balance(accounts.world("coin"), "WETH") == -held
    assert (account.cash_raw, account.reserved_raw) == (6_000 * USD, 0)
    same_books(bench, account)


def test_a_sale_reserves_nothing_and_pays_out(bench: Any) -> None:
    account = bench.account()
    bench.trade(account, "coin", 4_000)
    fill = bench.trade(account, "coin", 1_000, row=1)
    assert bench.journal.payloads(OrderReserved)[1].reserved_raw == 0
    assert fill.cash_raw > 0
    assert account.cash_raw == 6_000 * USD + fill.cash_raw
    same_books(bench, account)


def test_interest_is_posted_with_the_next_order(bench: Any) -> None:
    account = bench.account()
    bench.trade(account, "usd", 5_000)
    before = bench.journal.ledger.balance(accounts.agent_position(account.agent_id, "usd"), "USDC")
    bench.equity(account, 8)  # brings the position up to row 8
    waiting = dict(account.interest)
    bench.trade(account, "usd", 6_000, row=8)
    transfers = [t for entry in bench.journal.posted for t in entry.transfers if t.reason == "interest"]
    posted = sum(line.amount_raw for line in transfers[0].lines if line.account.startswith("agent:"))
    market, name = bench.engine.market("usd"), account.agent_id
    assert posted == waiting["usd", "position", "USDC"] > 0
    assert account.interest == {}
    now = bench.journal.ledger.balance(accounts.agent_position(name, "usd"), "USDC")
    assert now == market.holdings(account.positions["usd"])["USDC"] > before + posted
    same_books(bench, account)


def test_interest_accrues_once_however_often_it_is_asked(bench: Any) -> None:
    first, second = bench.account("a-0001"), bench.account("a-0002")
    for account in (first, second):
        bench.trade(account, "usd", 5_000)
    for row in range(1, 21):
        bench.equity(first, row)
    assert bench.equity(first, 20) == bench.equity(second, 20)
    assert first.interest == second.interest


def test_a_position_accrues_while_an_order_of_another_one_is_open(bench: Any) -> None:
    waiting, free = bench.account("a-0001"), bench.account("a-0002")
    for account in (waiting, free):
        bench.trade(account, "usd", 5_000)
    assert bench.engine.submit_trade(waiting, bench.intent(waiting, "coin", 1_000), bench.equity(waiting)) is not None
    assert bench.equity(waiting, 20) == bench.equity(free, 20) > 10_000 * USD
    assert waiting.interest == free.interest


def test_interest_is_posted_for_its_own_role_alone() -> None:
    market = reference_markets(synthetic_frame(2))["usd"]
    waiting = {("usd", "position", "USDC"): 5, ("coin", "position", "WETH"): 7, ("usd", "debt", "WETH"): 0}
    assert [(line.account, line.asset, line.amount_raw) for line in interest_lines(waiting, "a", "usd", market)] == [
        (accounts.agent_position("a", "usd"), "USDC", 5),
        (accounts.world("usd"), "USDC", -5),
    ]


def test_a_fill_that_cannot_be_booked_is_refused() -> None:
    legs = (Leg("cash", "USDC", -5), Leg("world", "USDC", 5), Leg("position", "WETH", 3), Leg("world", "WETH", -3))
    fill = Fill((3,), legs, 0, 0, 0.0)
    check_fill(fill, "coin")
    check_fill(attrs.evolve(fill, notional_raw=5, cost_raw=1, slippage_bps=1.5), "coin")
    for change in (
        {"notional_raw": -1},
        {"cost_raw": -1},
        {"slippage_bps": -0.5},
        {"slippage_bps": math.nan},
        {"legs": legs[:3]},
        {"legs": (*legs, Leg("fee", "USDC", 1))},
    ):
        with pytest.raises(ValidationError, match="market 'coin' settled with"):
            check_fill(attrs.evolve(fill, **change), "coin")
    with pytest.raises(ValidationError, match="not with a Fill"):
        check_fill(None, "coin")


def test_a_quote_is_the_markets_own_fill_or_its_reason(bench: Any) -> None:
    market = bench.engine.market("coin")
    bought = market.trade(market.open(), 4_000 * USD, 0)
    assert bench.engine.quote(market, bought.state, 1_000 * USD, 3) == (
        market.trade(bought.state, 1_000 * USD, 3),
        "",
    )
    market.trade = lambda *_: (_ for _ in ()).throw(ValidationError("too deep"))
    assert bench.engine.quote(market, bought.state, 1_000 * USD, 3) == (None, "too deep")


def test_nothing_happens_below_dust(bench: Any) -> None:
    account = bench.account()
    assert bench.trade(account, "coin", 0.5) is None
    assert bench.journal.posted == []
    assert account.orders_today == 0


def test_the_same_intent_has_no_second_order(bench: Any) -> None:
    account = bench.account()
    intent = bench.intent(account, "coin", 4_000)
    first = bench.engine.submit_trade(account, intent, bench.equity(account))
    assert bench.engine.submit_trade(account, intent, bench.equity(account)) == first
    bench.engine.execute_trade(first)
    assert bench.engine.submit_trade(account, intent, bench.equity(account)) == first
    assert bench.engine.trade(account, intent, bench.equity(account)) is None
    assert len(bench.journal.payloads(OrderReserved)) == len(bench.journal.payloads(OrderSettled)) == 1
    assert account.orders_today == 1


def test_the_same_id_with_another_body_is_refused(bench: Any) -> None:
    @attrs.frozen
    class Colliding(Intent):
        def intent_id(self, arena_id: str) -> str:
            return "0" * 64

    account = bench.account()
    bench.engine.submit_trade(account, Colliding("a-0001", "coin", "coin", 2_000 * USD, 0), bench.equity(account))
    before = len(bench.journal.posted)
    with pytest.raises(ValidationError, match="already used for another action"):
        bench.engine.submit_trade(account, Colliding("a-0001", "coin", "coin", 3_000 * USD, 0), bench.equity(account))
    assert len(bench.journal.posted) == before


def test_a_position_has_one_order_under_way(bench: Any) -> None:
    account = bench.account()
    first = bench.engine.submit_trade(account, bench.intent(account, "coin", 2_000), bench.equity(account))
    assert bench.engine.submit_trade(account, bench.intent(account, "coin", 3_000), bench.equity(account)) is None
    assert bench.journal.payloads(OrderRejected)[0].code == "position_busy"
    bench.engine.execute_trade(first)
    assert bench.trade(account, "coin", 3_000) is not None
    held = bench.journal.ledger.balance(accounts.agent_position(account.agent_id, "coin"), "WETH")
    assert bench.engine.market("coin").holdings(account.positions["coin"]) == {"WETH": held}


def test_an_unknown_intent_cannot_be_executed(bench: Any) -> None:
    with pytest.raises(ValidationError, match="no open order"):
        bench.engine.execute_trade("f" * 64)


def test_an_unknown_market_names_the_nearest(bench: Any) -> None:
    account = bench.account()
    with pytest.raises(ValidationError, match="did you mean 'coin'"):
        bench.trade(account, "coin", 4_000, market="coins")


@pytest.mark.parametrize("mode", ["paper", "live", "Simulation"])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(ValidationError, match=mode):
        TradingEngine("arena", {}, MemoryJournal(), mode=mode)


class Moody(Validator):
    name = "moody"

    def refuse(self, order: OrderFacts) -> str | None:
        return f"not today: {order.notional_raw}"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(trade_share_max=0.1), "trade_size"),
        (Limits(position_share_max=0.3), "position_limit"),
        (Limits(daily_trades_max=0), "daily_trades"),
        (Limits(slippage_bps_max=5.0), "slippage"),
    ],
)
def test_a_refusal_is_an_event_with_its_code(make_bench: Callable[..., Any], limits: Limits, code: str) -> None:
    bench = make_bench(limits)
    account = bench.account()
    assert bench.trade(account, "coin", 4_000) is None
    rejected = bench.journal.payloads(OrderRejected)
    assert [(entry.code, entry.notional_raw) for entry in rejected] == [(code, 4_000 * USD)]
    assert (account.cash_raw, account.reserved_raw, account.orders_today) == (10_000 * USD, 0, 0)
    assert bench.engine.get_execution_stats()["rejected"] == 1


def test_further_validators_are_asked_after_the_built_in(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(validators=[Moody()])
    account = bench.account()
    bench.trade(account, "coin", 4_000)
    bench.trade(account, "coin", 40_000)
    assert [(r.code, r.reason) for r in bench.journal.payloads(OrderRejected)] == [
        ("moody", "not today: 4000000000"),
        ("trade_size", "40000000000 base units are more than the share 1.0 of 10000000000 equity"),
    ]


class Loosening(Validator):
    """Allows itself everything."""

    name = "loosening"

    def refuse(self, order: OrderFacts) -> str | None:
        order.limits["trade_share_max"] = 99.0  # type: ignore[index]
        return None


def test_a_validator_cannot_change_the_limits(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(Limits(trade_share_max=0.5), validators=[Loosening()])
    account = bench.account()
    for target in (4_000, 6_000):
        assert bench.trade(account, "coin", target) is None
    refused = [(r.code, r.reason) for r in bench.journal.payloads(OrderRejected)]
    assert refused[0][0] == "loosening"
    assert "the validator raised TypeError" in refused[0][1]
    assert refused[1][0] == "trade_size"


def test_a_market_beyond_its_depth_is_a_rejection(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    account = bench.account()

    def shallow(*_: Any) -> None:
        raise ValidationError("the trade exceeds the market's depth: split it")

    monkeypatch.setattr(bench.engine.market("coin"), "trade", shallow)
    assert bench.trade(account, "coin", 4_000) is None
    rejected = bench.journal.payloads(OrderRejected)[0]
    assert (rejected.code, rejected.notional_raw) == ("market", 4_000 * USD)
    assert rejected.reason == "the trade exceeds the market's depth: split it"
    assert account.positions == {}


def test_a_market_that_refuses_a_change_is_told_of_by_its_size(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    account = bench.account()
    bench.trade(account, "usd", 4_000)
    held = bench.engine.market("usd").value(account.positions["usd"], 0)

    def shallow(*_: Any) -> None:
        raise ValidationError("split it")

    monkeypatch.setattr(bench.engine.market("usd"), "trade", shallow)
    assert bench.engine.trade(account, attrs.evolve(bench.intent(account, "usd", 5_000), purpose="close"), 0) is None
    assert bench.journal.payloads(OrderRejected)[0].notional_raw == 5_000 * USD - held


def test_a_disabled_market_can_be_left(make_bench: Callable[..., Any], frame: Any) -> None:
    bench = make_bench()
    account = bench.account()
    bench.trade(account, "coin", 4_000)
    closed = attrs.evolve(COIN, enabled=False)
    bench.engine.markets.update(reference_markets(frame, closed))
    assert bench.trade(account, "coin", 5_000, row=1) is None
    assert bench.journal.payloads(OrderRejected)[0].code == "market_enabled"
    assert bench.trade(account, "coin", 0, row=1) is not None


def test_daily_trades_count_reserved_orders(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(Limits(daily_trades_max=2))
    account = bench.account()
    equity = bench.equity(account)
    for role in ("a", "b", "c"):
        bench.engine.submit_trade(account, bench.intent(account, role, 100, market="coin"), equity)
    assert [r.code for r in bench.journal.payloads(OrderRejected)] == ["daily_trades"]
    assert account.orders_today == 2


def test_reserved_amounts_count_64_threads_never_exceed_the_cash(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(OPEN)
    account = bench.account(cash_raw=10_000 * USD)
    equity = bench.equity(account)
    start = threading.Barrier(64)
    accepted: list[str | None] = [None] * 64

    def submit(index: int) -> None:
        start.wait()
        accepted[index] = bench.engine.submit_trade(
            account, bench.intent(account, f"role{index}", 700, market="coin"), equity
        )

    threads = [threading.Thread(target=submit, args=(index,)) for index in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    orders = [intent_id for intent_id in accepted if intent_id]
    assert len(orders) == len(set(orders)) == 14  # 14 x 700 <= 10,000 < 15 x 700
    assert account.reserved_raw == 14 * 700 * USD <= account.cash_raw
    assert Counter(r.code for r in bench.journal.payloads(OrderRejected)) == {"capital": 50}
    same_books(bench, account)
    for intent_id in orders:
        bench.engine.execute_trade(intent_id)
    assert (account.cash_raw, account.reserved_raw) == (200 * USD, 0)
    same_books(bench, account)


def test_64_threads_trading_one_account_end_balanced(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(OPEN)
    account = bench.account(cash_raw=10_000 * USD)
    start = threading.Barrier(64)

    def trade(index: int) -> None:
        start.wait()
        for turn in range(3):
            bench.trade(account, "coin" if index % 2 else "usd", 100 * ((index * 7 + turn * 13) % 40))

    threads = [threading.Thread(target=trade, args=(index,)) for index in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert account.cash_raw >= 0
    assert account.reserved_raw == 0
    same_books(bench, account)
    for role in account.positions:
        for asset, amount in bench.engine.market(role).holdings(account.positions[role]).items():
            assert bench.journal.ledger.balance(accounts.agent_position(account.agent_id, role), asset) == amount


def test_soft_stop_refuses_new_risk_and_lets_risk_go(bench: Any) -> None:
    account = bench.account()
    bench.trade(account, "coin", 4_000)
    bench.engine.emergency_stop("rates look wrong", "ann", "SOFT")
    assert bench.trade(account, "coin", 5_000, row=1) is None
    assert bench.trade(account, "coin", 3_000, row=1) is not None
    assert bench.journal.payloads(OrderRejected)[0].code == "emergency_stop"
    assert bench.journal.payloads(EmergencyStopEngaged) == [EmergencyStopEngaged("SOFT", "rates look wrong", "ann")]


def test_hard_stop_refuses_everything_until_released(bench: Any) -> None:
    account = bench.account()
    bench.trade(account, "coin", 4_000)
    bench.engine.emergency_stop("halt")
    assert bench.trade(account, "coin", 5_000, row=1) is None
    assert bench.trade(account, "coin", 0, row=1) is None
    assert [r.code for r in bench.journal.payloads(OrderRejected)] == ["emergency_stop"] * 2
    bench.engine.emergency_resume("checked the feed", "ann")
    assert bench.trade(account, "coin", 5_000, row=1) is not None
    assert bench.journal.payloads(EmergencyStopReleased) == [EmergencyStopReleased("checked the feed", "ann")]


def test_a_hard_stop_between_reservation_and_execution_keeps_the_order(bench: Any) -> None:
    account = bench.account()
    intent_id = bench.engine.submit_trade(account, bench.intent(account, "coin", 4_000), bench.equity(account))
    bench.engine.emergency_stop("halt")
    with pytest.raises(EmergencyStopError, match="HARD"):
        bench.engine.execute_trade(intent_id)
    assert account.reserved_raw == 4_000 * USD
    assert bench.engine.get_execution_stats()["open"] == 1
    bench.engine.emergency_resume("false alarm")
    bench.engine.execute_trade(intent_id)
    same_books(bench, account)


def test_a_stop_while_another_is_being_released_holds(bench: Any) -> None:
    """What is stored last is what the engine is in."""
    engine, releasing = bench.engine, threading.Event()
    stored: list[str] = []

    def store(event: Any) -> None:
        stored.append(type(event).__name__)
        if isinstance(event, EmergencyStopReleased):
            releasing.set()
            time.sleep(0.1)

    engine._record_stop = store
    engine.emergency_stop("first")
    other = threading.Thread(target=lambda: releasing.wait(10) and engine.emergency_stop("second"))
    other.start()
    engine.emergency_resume("over")
    other.join(10)
    assert stored == ["EmergencyStopEngaged", "EmergencyStopReleased", "EmergencyStopEngaged"]
    assert engine.stop_level == "HARD"


def test_a_release_that_cannot_be_stored_releases_nothing(bench: Any) -> None:
    account = bench.account()
    bench.engine.emergency_stop("halt")
    record = bench.engine._record_stop

    def failing(event: Any) -> None:
        assert bench.engine.stop_level == "HARD", "nothing is allowed before the release is stored"
        raise StoreError("disk full")

    bench.engine._record_stop = failing
    with pytest.raises(StoreError, match="disk full"):
        bench.engine.emergency_resume("over")
    assert bench.engine.stop_level == "HARD"
    assert bench.trade(account, "coin", 4_000) is None
    bench.engine._record_stop = record
    bench.engine.emergency_resume("over")
    assert bench.trade(account, "coin", 4_000, row=1) is not None


def test_a_stop_that_cannot_be_stored_stops_all_the_same(bench: Any) -> None:
    account = bench.account()

    def failing(event: Any) -> None:
        raise StoreError("disk full")

    bench.engine._record_stop = failing
    with pytest.raises(StoreError, match="disk full"):
        bench.engine.emergency_stop("halt")
    assert bench.trade(account, "coin", 4_000) is None


def test_a_soft_stop_lets_an_order_pass_that_asks_for_what_is_held(bench: Any) -> None:
    account = bench.account()
    fill = bench.trade(account, "coin", 4_000)
    bench.engine.emergency_stop("rates look wrong", "ann", "SOFT")
    for more, refused in ((-1, False), (0, False), (1, True)):
        intent = attrs.evolve(bench.intent(account, "coin", 4_000, row=1), target_raw=4_000 * USD + more)
        said = bench.engine.validate_trade(account, intent, fill, 4_000 * USD, 10_000 * USD)
        assert (said or "").startswith("emergency_stop") is refused, (more, said)


def test_a_soft_stop_lets_a_debt_be_paid_that_nothing_is_left_for(bench: Any) -> None:
    account = bench.account()
    fill = bench.trade(account, "coin", 4_000)
    bench.engine.emergency_stop("rates look wrong", "ann", "SOFT")
    for target, refused in ((0, False), (1, True)):
        intent = attrs.evolve(bench.intent(account, "coin", 0, row=1), target_raw=target)
        said = bench.engine.validate_trade(account, intent, fill, -5 * USD, 10_000 * USD)
        assert (said or "").startswith("emergency_stop") is refused, (target, said)


@pytest.mark.parametrize("level", ["OFF", "hard", ""])
def test_a_stop_has_two_levels(bench: Any, level: str) -> None:
    with pytest.raises(ValidationError, match="SOFT or HARD"):
        bench.engine.emergency_stop("why", level=level)
    assert bench.engine.stop_level == "OFF"


@pytest.mark.parametrize(("reason", "operator"), [("", "ann"), ("  ", "ann"), ("why", " ")])
def test_a_stop_and_its_release_need_reason_and_operator(bench: Any, reason: str, operator: str) -> None:
    with pytest.raises(ValidationError, match="reason"):
        bench.engine.emergency_stop(reason, operator)
    bench.engine.emergency_stop("halt")
    with pytest.raises(ValidationError, match="reason"):
        bench.engine.emergency_resume(reason, operator)
    assert bench.engine.stop_level == "HARD"


def test_stats_add_up(bench: Any) -> None:
    account = bench.account()
    first = bench.trade(account, "coin", 4_000)
    second = bench.trade(account, "usd", 2_000)
    bench.trade(account, "coin", 90_000)
    bench.engine.submit_trade(account, bench.intent(account, "coin", 4_100), bench.equity(account))
    assert bench.engine.get_execution_stats() == {
        "submitted": 3,
        "executed": 2,
        "failed": 0,
        "quarantined": 0,
        "rejected": 1,
        "open": 1,
        "notional_raw": 6_000 * USD,
        "cost_raw": first.cost_raw + second.cost_raw,
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["coin", "usd"]), st.integers(0, 9_000)), min_size=1, max_size=12))
def test_any_sequence_of_orders_conserves_and_only_costs(orders: list[tuple[str, int]]) -> None:
    """At one row, whatever is ordered: sums are zero, cash never negative, equity falls by exactly what costs explain."""
    journal = MemoryJournal()
    engine = TradingEngine("arena", reference_markets(synthetic_frame(2)), journal, OPEN)
    account = Account("a", "holder", "arena", (), {}, 1.0, -1, 0, cash_raw=10_000 * USD)
    journal.endow("a", "USDC", account.cash_raw)
    roles = {"coin": "coin", "usd": "usd"}
    for role, target in orders:
        before = engine.equity_raw(account, 3, roles)
        fill = engine.trade(account, Intent("a", role, role, target * USD, 3), before)
        after = engine.equity_raw(account, 3, roles)
        paid = 0 if fill is None else fill.cost_raw
        assert account.cash_raw >= 0
        assert 0 <= before - after - paid <= 2  # rounding, always against the holder
    assert conserved(journal)
