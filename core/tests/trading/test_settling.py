"""Positions that owe, fills that differ from their quote, and orders that their market did not execute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg
from treasury_arena.errors import (
    CapitalConservationError,
    ExecutionError,
    StoreError,
    UnknownOutcomeError,
    ValidationError,
)
from treasury_arena.events.catalog import OrderFailed, OrderQuarantined, OrderReserved, OrderSettled
from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import Ledger, accounts
from treasury_arena.testing.frames import USDC, reference_markets, synthetic_frame
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent

USD = USDC.unit
PRICE = 2_000 * USD
TOKEN = 10**18


class Loan(ExactMarket):
    """Twice the stake in WETH, half of it owed in USDC; 2 % of the debt is added a row. The state is (WETH, USDC owed)."""

    venue = "local"

    def __init__(self) -> None:
        self.spec = MarketSpec("loan", "test.loan", "account", "WETH", {}, coin=True)
        self.asset, self.base = reference_markets(synthetic_frame(4))["coin"].asset, USDC
        self.surcharge = self.discount = 0
        self.error: ExecutionError | None = None
        self.asked: list[str] = []

    def open(self) -> ExactState:
        return (0, 0)

    def value(self, state: ExactState, row: int) -> int:
        return state[0] * PRICE // TOKEN - state[1]

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        move = target_raw - self.value(state, row)
        if not move and not (target_raw == 0 and state[1]):
            return None
        tokens, owed = 2 * target_raw * TOKEN // PRICE - state[0], target_raw - state[1]
        return self._fill(state, tokens, owed, -move)

    def _fill(self, state: ExactState, tokens: int, owed: int, cash: int, gas: int = 0) -> Fill:
        legs = (
            Leg("cash", "USDC", cash - gas),
            Leg("gas", "USDC", gas),
            Leg("debt", "USDC", -owed),
            Leg("world", "USDC", owed - cash),
            Leg("position", "WETH", tokens),
            Leg("world", "WETH", -tokens),
        )
        return Fill((state[0] + tokens, state[1] + owed), legs, abs(2 * cash), gas, 0.0)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        owed = state[1]
        for _ in range(row_from, row_to):
            owed += owed // 50
        grown = owed - state[1]
        return (state[0], owed), (Leg("debt", "USDC", -grown), Leg("world", "USDC", grown)) if grown else ()

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {"WETH": state[0], "USDC": -state[1]}

    def settle(self, intent_id: str, state: ExactState, fill: Fill, row: int) -> Fill:
        self.asked.append(intent_id)
        if self.error is not None:
            raise self.error
        owed, tokens = fill.state[1] - state[1], fill.state[0] - state[0]
        return self._fill(state, tokens, owed, fill.cash_raw + self.discount, self.surcharge)


class Bench:
    def __init__(self, cash_usd: int = 10_000, market: Any = None) -> None:
        self.market, self.journal = market or Loan(), MemoryJournal()
        self.engine = TradingEngine("arena", {"loan": self.market}, self.journal, mode="local")
        cash = cash_usd * USD
        self.account = Account("a-1", "s", "proving", (), {"loan": 1.0}, 1.0, -1, 0, cash_raw=cash, base_raw=cash)
        self.journal.endow("a-1", "USDC", cash)

    def submit(self, target_usd: int, row: int = 0) -> str:
        intent = Intent("a-1", "loan", "loan", target_usd * USD, row)
        found = self.engine.submit_trade(self.account, intent, self.equity(row))
        assert found is not None
        return found

    def equity(self, row: int) -> int:
        return self.engine.equity_raw(self.account, row, {"loan": "loan"})

    def balance(self, account: str, asset: str = "USDC") -> int:
        return self.journal.ledger.balance(account, asset)

    def books_agree(self) -> None:
        held = self.market.holdings(self.account.positions.get("loan", (0, 0)))
        assert self.balance(accounts.agent_position("a-1", "loan"), "WETH") == held["WETH"]
        assert self.balance(accounts.agent_debt("a-1", "loan")) == held["USDC"]
        assert self.balance(accounts.agent_available("a-1")) == self.account.available_raw
        assert self.balance(accounts.agent_reserved("a-1")) == self.account.reserved_raw
        assert not any(self.journal.ledger.totals().values())


def test_what_a_position_owes_stands_on_its_debt_account() -> None:
    bench = Bench()
    bench.engine.execute_trade(bench.submit(3_000))
    assert bench.balance(accounts.agent_debt("a-1", "loan")) == -3_000 * USD
    assert bench.balance(accounts.agent_position("a-1", "loan"), "WETH") == 3 * TOKEN
    bench.books_agree()
    assert bench.equity(0) == 10_000 * USD


def test_interest_on_a_debt_is_posted_with_the_next_order_and_closing_pays_it_back() -> None:
    bench = Bench()
    bench.engine.execute_trade(bench.submit(3_000))
    assert bench.equity(1) == 9_940 * USD
    bench.engine.execute_trade(bench.submit(0, row=1))
    assert bench.journal.payloads(OrderReserved)[1].reserved_raw == 0
    assert bench.balance(accounts.agent_debt("a-1", "loan")) == 0
    assert bench.account.cash_raw == 9_940 * USD
    bench.books_agree()


def test_a_leveraged_order_needs_its_cash_not_its_notional() -> None:
    bench = Bench()
    bench.submit(10_000)
    assert bench.account.reserved_raw == 10_000 * USD
    bench.books_agree()


@pytest.mark.parametrize("surcharge", [0, 7, 25 * USD])
def test_a_fill_dearer_than_its_quote_takes_the_rest_from_cash(surcharge: int) -> None:
    bench = Bench()
    bench.market.surcharge = surcharge
    fill = bench.engine.execute_trade(bench.submit(3_000))
    assert fill.cash_raw == -3_000 * USD - surcharge
    assert bench.account.cash_raw == 7_000 * USD - surcharge
    assert bench.balance(accounts.GAS) == surcharge
    assert bench.journal.payloads(OrderSettled)[0].cost_raw == surcharge
    bench.books_agree()


def test_a_fill_cheaper_than_its_quote_frees_what_was_reserved_for_more() -> None:
    bench = Bench()
    bench.market.discount = 40 * USD
    fill = bench.engine.execute_trade(bench.submit(3_000))
    assert fill.cash_raw == -2_960 * USD
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (7_040 * USD, 0)
    bench.books_agree()


@pytest.mark.parametrize("more", [0, 1, 40 * USD])
def test_a_fill_that_costs_nothing_or_pays_out_frees_the_whole_reservation(more: int) -> None:
    bench = Bench()
    bench.market.discount = 3_000 * USD + more
    fill = bench.engine.execute_trade(bench.submit(3_000))
    assert fill.cash_raw == more
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (10_000 * USD + more, 0)
    bench.books_agree()


@pytest.mark.parametrize("costs", [0, 3 * USD])
def test_a_failed_order_gives_back_its_reservation_and_keeps_its_costs(costs: int) -> None:
    bench = Bench()
    lost = (Leg("cash", "USDC", -costs), Leg("gas", "USDC", costs), Leg("gas", "ETH", 7), Leg("world", "ETH", -7))
    bench.market.error = ExecutionError("the transaction reverted: 35 (health factor)", lost, costs)
    intent_id = bench.submit(3_000)
    with pytest.raises(ExecutionError, match="reverted"):
        bench.engine.execute_trade(intent_id)
    failed = bench.journal.payloads(OrderFailed)[0]
    assert (failed.intent_id, failed.cost_raw) == (intent_id, costs)
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (10_000 * USD - costs, 0)
    assert (bench.balance(accounts.GAS), bench.balance(accounts.GAS, "ETH")) == (costs, 7)
    assert bench.account.costs_raw == costs
    assert bench.engine.get_execution_stats() | {"failed": 1, "open": 0} == bench.engine.get_execution_stats()
    bench.books_agree()
    # The same intent is not tried a second time; a new one is.
    again = Intent("a-1", "loan", "loan", 3_000 * USD, 0)
    assert bench.engine.trade(bench.account, again, bench.equity(0)) is None
    assert bench.market.asked == [intent_id]
    bench.market.error = None
    assert bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", 3_000 * USD, 1), bench.equity(1)) is not None
    bench.books_agree()


def test_a_failure_in_trade_is_told_by_its_event_alone() -> None:
    bench = Bench()
    bench.market.error = ExecutionError("reverted")
    assert bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", USD, 0), bench.equity(0)) is None
    assert [event.reason for event in bench.journal.payloads(OrderFailed)] == ["reverted"]


@pytest.mark.parametrize(
    "error", [UnknownOutcomeError("no answer"), RuntimeError("a bug"), ValueError("nonsense"), KeyError("x")]
)
def test_an_order_of_unknown_outcome_stays_reserved_and_is_asked_about_again(error: Exception) -> None:
    bench = Bench()
    settle = bench.market.settle
    bench.market.settle = Mock(side_effect=error)  # type: ignore[method-assign]
    assert bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", 3_000 * USD, 0), bench.equity(0)) is None
    told = bench.journal.payloads(OrderQuarantined)
    assert len(told) == 1
    assert type(error).__name__ in told[0].reason or str(error) in told[0].reason
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (10_000 * USD, 3_000 * USD)
    bench.books_agree()
    # Another order of the position is refused, the first one is asked about again, under its own id, and told once.
    assert bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", 4_000 * USD, 1), bench.equity(1)) is None
    assert [call.args[0] for call in bench.market.settle.call_args_list] == [told[0].intent_id] * 2
    assert len(bench.journal.payloads(OrderQuarantined)) == 1
    stats = bench.engine.get_execution_stats()
    assert (stats["quarantined"], stats["open"], stats["rejected"]) == (1, 1, 1)
    bench.books_agree()
    bench.market.settle = settle  # type: ignore[method-assign]
    assert bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", 3_000 * USD, 2), bench.equity(2)) is not None
    assert bench.journal.payloads(OrderSettled)[0].intent_id == told[0].intent_id
    assert bench.account.reserved_raw == 0
    bench.books_agree()


def test_an_order_found_out_to_have_failed_is_free_again() -> None:
    bench = Bench()
    bench.market.settle = Mock(side_effect=UnknownOutcomeError("no answer"))  # type: ignore[method-assign]
    intent_id = bench.submit(3_000)
    with pytest.raises(UnknownOutcomeError, match="no answer"):
        bench.engine.execute_trade(intent_id)
    bench.market.settle = Mock(side_effect=ExecutionError("never mined"))  # type: ignore[method-assign]
    bench.engine.ask_again()
    assert [event.reason for event in bench.journal.payloads(OrderFailed)] == ["never mined"]
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (10_000 * USD, 0)
    bench.books_agree()


def test_a_position_whose_order_is_unknown_does_not_accrue() -> None:
    bench = Bench()
    bench.engine.execute_trade(bench.submit(3_000))
    bench.market.settle = Mock(side_effect=UnknownOutcomeError("no answer"))  # type: ignore[method-assign]
    bench.engine.trade(bench.account, Intent("a-1", "loan", "loan", 4_000 * USD, 0, purpose="more"), bench.equity(0))
    assert bench.equity(3) == bench.equity(0)
    assert bench.account.interest == {}


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (None, "not with a Fill"),
        (Fill((0, 0), (Leg("cash", "USDC", -5),), 5, 0, 0.0), "do not sum to zero"),
        (Fill((0, 0), (), 5, -1, 0.0), "none may be negative"),
        (Fill((0, 0), (), -5, 0, 0.0), "none may be negative"),
        (Fill((0, 0), (), 5, 0, float("nan")), "none may be negative"),
    ],
)
def test_a_fill_that_cannot_be_booked_is_not(fill: Any, said: str) -> None:
    bench = Bench()
    bench.market.settle = Mock(return_value=fill)  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError, match=said):
        bench.engine.execute_trade(bench.submit(3_000))
    assert bench.journal.payloads(OrderSettled) == []
    assert bench.account.reserved_raw == 3_000 * USD
    bench.books_agree()


class Remembering(Loan):
    """Does an order once, and tells it again until it is booked."""

    def __init__(self) -> None:
        super().__init__()
        self.done: dict[str, Fill | ExecutionError] = {}
        self.executed: list[str] = []

    def settle(self, intent_id: str, state: ExactState, fill: Fill, row: int) -> Fill:
        if intent_id not in self.done:
            self.executed.append(intent_id)
            try:
                self.done[intent_id] = super().settle(intent_id, state, fill, row)
            except ExecutionError as error:
                self.done[intent_id] = error
        outcome = self.done[intent_id]
        if isinstance(outcome, ExecutionError):
            raise outcome
        return outcome

    def booked(self, intent_id: str) -> None:
        del self.done[intent_id]


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("error", [StoreError("disk full"), CapitalConservationError("no such money"), KeyError("x")])
def test_an_order_that_could_not_be_booked_is_not_executed_again(error: Exception, failed: bool) -> None:
    bench = Bench(market=Remembering())
    bench.market.error = ExecutionError("reverted") if failed else None
    intent_id, post = bench.submit(3_000), bench.journal.post
    kind = OrderFailed if failed else OrderSettled

    def broken(payload: Any, *arguments: Any) -> None:
        if isinstance(payload, kind):
            raise error
        post(payload, *arguments)

    bench.journal.post = broken  # type: ignore[method-assign]
    expected = StoreError if isinstance(error, StoreError) else UnknownOutcomeError
    for _ in range(2):
        with pytest.raises(expected, match=str(error)):
            bench.engine.execute_trade(intent_id)
    assert len(bench.journal.payloads(OrderQuarantined)) == 1
    assert (bench.account.cash_raw, bench.account.reserved_raw) == (10_000 * USD, 3_000 * USD)
    bench.books_agree()
    bench.journal.post = post  # type: ignore[method-assign]
    bench.market.error = None
    bench.engine.ask_again()
    assert bench.market.executed == [intent_id]
    assert bench.market.done == {}
    assert len(bench.journal.payloads(kind)) == 1
    assert (bench.account.cash_raw, bench.account.reserved_raw) == ((10_000 if failed else 7_000) * USD, 0)
    bench.books_agree()


def test_a_journal_that_takes_nothing_leaves_the_order_to_be_asked_about() -> None:
    bench = Bench(market=Remembering())
    intent_id, post = bench.submit(3_000), bench.journal.post
    bench.journal.post = Mock(side_effect=StoreError("disk full"))  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="disk full"):
        bench.engine.execute_trade(intent_id)
    bench.journal.post = post  # type: ignore[method-assign]
    bench.engine.ask_again()
    assert bench.market.executed == [intent_id]
    assert [event.intent_id for event in bench.journal.payloads(OrderSettled)] == [intent_id]
    bench.books_agree()


def test_an_unknown_order_of_a_position_that_is_not_traded_again_is_asked_about() -> None:
    bench = Bench()
    other = Loan()
    bench.engine.markets["other"] = other
    bench.market.settle = Mock(side_effect=UnknownOutcomeError("no answer"))  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        bench.engine.execute_trade(bench.submit(3_000))
    del bench.market.settle  # type: ignore[method-assign]
    assert bench.engine.trade(bench.account, Intent("a-1", "other", "other", 1_000 * USD, 1), bench.equity(1))
    assert [event.market for event in bench.journal.payloads(OrderSettled)] == ["loan", "other"]
    assert bench.account.reserved_raw == 0


@pytest.mark.parametrize(("mode", "legal"), [("simulation", False), ("local", True)])
def test_a_mode_trades_on_its_own_venues_only(mode: str, legal: bool) -> None:
    def make() -> Any:
        return TradingEngine(
            "arena", {"loan": Loan(), **reference_markets(synthetic_frame(4))}, MemoryJournal(), mode=mode
        )

    if legal:
        assert make().mode == mode
    else:
        with pytest.raises(
            ValidationError, match="'loan' trades on the venue 'local', which mode 'simulation' does not"
        ):
            make()


@pytest.mark.parametrize("mode", ["paper", "live", "chain"])
def test_modes_that_need_more_than_this_engine_are_refused(mode: str) -> None:
    with pytest.raises(ValidationError, match=f"trading mode {mode!r} is not available here"):
        TradingEngine("arena", {}, MemoryJournal(), mode=mode)


def test_a_debt_account_never_turns_positive() -> None:
    debt, world = accounts.agent_debt("a-1", "loan"), accounts.world("loan")
    book = Ledger({(debt, "USDC"): -10, (world, "USDC"): 10})

    def pay(amount: int) -> Transfer:
        return Transfer("repay", (Line(debt, "USDC", amount), Line(world, "USDC", -amount)))

    with pytest.raises(CapitalConservationError, match=f"{debt} owes 10 base units of USDC and cannot be paid 11"):
        book.apply(pay(11))
    book.apply(pay(10))
    assert book.balance(debt, "USDC") == 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_order_is_of_unknown_outcome_and_found_out_before_the_next(
    monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    bench, settle = Bench(), Loan.settle

    def interrupted(self: Loan, *arguments: Any) -> Fill:
        settle(self, *arguments)
        raise stop

    first = bench.submit(3_000)
    with monkeypatch.context() as patched:
        patched.setattr(Loan, "settle", interrupted)
        with pytest.raises(stop):
            bench.engine.execute_trade(first)
    (told,) = bench.journal.payloads(OrderQuarantined)
    assert (told.intent_id, told.reason) == (first, stop.__name__)
    assert bench.account.reserved_raw == 3_000 * USD
    intent = Intent("a-1", "loan", "loan", 4_000 * USD, 1)
    assert bench.engine.trade(bench.account, intent, bench.equity(0)) is not None
    assert bench.market.asked == [first, first, intent.intent_id("arena")]
    assert [event.intent_id for event in bench.journal.payloads(OrderSettled)] == [first, intent.intent_id("arena")]
    bench.books_agree()
