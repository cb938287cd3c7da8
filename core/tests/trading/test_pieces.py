"""What a market on a chain does not take in one piece goes in pieces, one a decision; in replay it is refused whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena.events.catalog import OrderRejected, OrderReserved, OrderSettled
from treasury_arena.testing.frames import USDC, reference_markets, synthetic_frame
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.orders import HALVINGS_MAX, piece

USD = USDC.unit
COIN: Any = type(reference_markets(synthetic_frame(4))["coin"])


class Thin(COIN):  # type: ignore[misc]
    """A market on a chain that takes no order of more than `depth` USD; a control is a shape that needs `shape` of it."""

    venue, depth, shape = "local", 1_000, 0

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        if abs(target_raw - self.value(state, row)) > (self.depth - self.shape * len(control)) * USD:
            raise SizeRefusedError(f"more than {self.depth}; split it")
        return super().trade(state, target_raw, row, control)


@pytest.fixture
def thin() -> ExactMarket:
    market = reference_markets(synthetic_frame(40, step_seconds=3600))["coin"]
    market.__class__ = Thin
    return market


@pytest.fixture
def make_engine(thin: ExactMarket) -> Callable[..., tuple[TradingEngine, Account, MemoryJournal]]:
    def make(cash: int = 10_000) -> tuple[TradingEngine, Account, MemoryJournal]:
        journal = MemoryJournal()
        engine = TradingEngine("arena", {"coin": thin}, journal, Limits(slippage_bps_max=None), mode="local")
        account = Account("a", "s", "proving", (), {"coin": 1.0}, 1.0, -1, 0, cash_raw=cash * USD, base_raw=cash * USD)
        journal.endow("a", "USDC", cash * USD)
        return engine, account, journal

    return make


def test_a_large_order_goes_in_pieces_one_a_decision(make_engine: Any, thin: Any) -> None:
    engine, account, journal = make_engine()
    values = [0]
    for row, goal in ((0, 5_000), (1, 5_000), (2, 5_000), (3, 5_000), (4, 5_000), (5, 5_000), (6, 5_000), (7, 0)):
        intent = Intent("a", "coin", "coin", goal * USD, row)
        fill = engine.trade(account, intent, account.cash_raw + values[-1])
        assert fill is not None
        assert fill.notional_raw <= 1_000 * USD
        assert engine.trade(account, intent, account.cash_raw + values[-1]) is None  # a decision has one piece
        reserved = journal.payloads(OrderReserved)[-1]
        assert reserved.intent_id == intent.intent_id("arena")
        assert abs(reserved.target_raw - reserved.value_raw) == fill.notional_raw
        values.append(thin.value(account.positions["coin"], row))
    assert values[1] < values[2] < values[3] < values[4]
    assert values[-2] > 4_900 * USD - 5_000 * USD // 50
    assert values[-1] < values[-2]
    assert len(journal.payloads(OrderSettled)) == 8
    assert journal.payloads(OrderRejected) == []
    assert not any(journal.ledger.totals().values())


def test_in_replay_an_order_is_refused_whole(thin: Any) -> None:
    thin.venue = "replay"
    fill, refused, intent = piece(thin, thin.open(), 0, Intent("a", "coin", "coin", 5_000 * USD, 0))
    assert (fill, refused) == (None, "more than 1000; split it")
    assert intent.target_raw == 5_000 * USD


def test_where_no_size_will_do_the_shape_alone_is_moved_or_the_whole_is_refused(thin: Any) -> None:
    state = thin.trade(thin.open(), 900 * USD, 0).state
    value = thin.value(state, 0)
    thin.depth = 0
    asked = Intent("a", "coin", "coin", 10**9 * USD, 0)
    assert piece(thin, state, value, asked)[1:] == ("more than 0; split it", asked)
    fill, refused, intent = piece(thin, state, value, Intent("a", "coin", "coin", 10**9 * USD, 0, (0.5,)))
    assert (fill, refused, intent.target_raw) == (None, "more than 0; split it", value)  # nothing to do, and why
    thin.trade = lambda *_: (_ for _ in ()).throw(ValidationError("closed"))
    assert piece(thin, state, value, asked) == (None, "closed", asked)


@pytest.mark.parametrize(
    ("value", "goal", "control", "wanted"),
    [
        (0, 4_096, (), [4_096, *(2**power for power in range(11, -1, -1))]),
        (10, 2, (), [2, 6, 8, 9, 10]),
        (10, 18, (), [18, 14, 12, 11, 10]),
        (10, 10, (), [10]),
        (-10, 0, (), [0]),  # what is owed is more than what is held: no target lies below nothing
        (-10, 0, (0.5,), [0]),
        (7, 0, (0.5,), [0, 4, 6, 7]),
    ],
)
def test_targets_come_nearer_by_halves_and_a_shape_stays_where_it_is(
    thin: Any, value: int, goal: int, control: tuple[float, ...], wanted: list[int]
) -> None:
    asked: list[int] = []

    def trade(state: ExactState, target_raw: int, row: int, given: tuple[float, ...]) -> None:
        assert (state, row, given) == ((5,), 3, control)
        asked.append(target_raw)
        raise SizeRefusedError("split it")

    thin.trade = trade
    intent = Intent("a", "coin", "coin", goal, 3, control)
    assert piece(thin, (5,), value, intent) == (None, "split it", intent)
    assert asked == wanted


@given(depth=st.integers(2, 10**6), goal=st.integers(0, 10**6), held=st.integers(0, 10**6))
def test_a_piece_is_at_least_half_of_what_fits(depth: int, goal: int, held: int) -> None:
    market = reference_markets(synthetic_frame(4))["coin"]
    market.__class__ = Thin
    market.depth = 10**9  # type: ignore[attr-defined]
    bought = market.trade(market.open(), held * USD, 0)
    state = market.open() if bought is None else bought.state
    value = market.value(state, 0)
    market.depth = depth  # type: ignore[attr-defined]
    fill, refused, intent = piece(market, state, value, Intent("a", "coin", "coin", goal * USD, 0))
    size, whole = abs(intent.target_raw - value), abs(goal * USD - value)
    if whole >> HALVINGS_MAX <= depth * USD:
        assert not refused or fill is None
        assert size <= depth * USD
        assert size >= min(whole, depth * USD // 2 - 1)
    assert min(goal * USD, value) <= intent.target_raw <= max(goal * USD, value)
