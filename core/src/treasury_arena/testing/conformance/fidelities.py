"""One set of laws for every fidelity of a protocol: the model of the search, the exact market of the books, the chain.

A subclass gives the fixture ``holder``: a position that is opened empty, moved and left alone through one fidelity. The
laws see money in floats of the base asset, because that is all that a model has; an exact market or a chain is held to
the same laws in base units by `treasury_arena.testing.conformance.protocols`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.frame import MarketFrame


class Holder(ABC):
    """A position held through one fidelity of a market. Amounts are units of the base asset (USD).

    Attributes:
        name: the fidelity, for messages: ``model``, ``exact`` or ``chain``.
        stake: an amount that the market takes in one piece and that its costs do not eat up.
        cost_share_max: the largest share of a move that its costs may be.
        grain: what whole tokens and base units may round away, in USD.
        control: controls given with every move, in the order of the model's Control.
        left: how much of each token, as `tokens` counts them, may be left when all is sold.
        changes: whether a step of time changes what a position is worth, by its price or by what it earns.
    """

    name: str
    stake: float = 10_000.0
    cost_share_max: float = 0.02
    grain: float = 1e-4
    control: tuple[float, ...] = ()
    left: float = 0.0
    changes: bool = True

    @abstractmethod
    def value(self) -> float:
        """Worth of the position now."""

    @abstractmethod
    def move(self, target: float) -> float | None:
        """Move the position to a value; returns the change of cash, or None when there was nothing to do."""

    @abstractmethod
    def ask(self, target: float) -> float | None:
        """What `move` would change cash by, without doing it."""

    @abstractmethod
    def again(self) -> float:
        """Ask for the last move once more, under the id it had; the change of cash that is told."""

    def cost(self) -> float | None:
        """What the last move is said to have cost; None where nothing says so (a model)."""
        return None

    @abstractmethod
    def wait(self) -> None:
        """Let one step of time pass."""

    @abstractmethod
    def tokens(self) -> Mapping[str, float]:
        """What the position consists of, nonzero amounts by name; empty for an empty position."""


class ModelHolder(Holder):
    """A position in a float model over the rows of a frame."""

    name = "model"
    left = 1e-6

    def __init__(self, model: PositionModel, spec: MarketSpec, frame: MarketFrame, **settings: Any) -> None:
        self._model, self._spec, self._frame, self._row = model, spec, frame, 0
        self._params = build_params(model, spec)
        self._before = self._state = model.state()
        self._target = 0.0
        _settings(self, settings)

    def _line(self) -> Any:
        fields = self._model.market._fields
        return self._model.market(*(float(self._frame[self._spec.columns[field]][self._row]) for field in fields))

    def value(self) -> float:
        return float(self._model.value(self._state, self._line(), self._params))

    def _trade(self, state: Any, target: float) -> tuple[Any, float]:
        control = None if self._model.control is None else self._model.control(*self.control)
        after, cash = self._model.trade(state, target, self._line(), self._params, control)
        return after, float(cash)

    def move(self, target: float) -> float | None:
        self._before, self._target = self._state, target
        self._state, cash = self._trade(self._before, target)
        return None if self._state == self._before and cash == 0.0 else cash

    def ask(self, target: float) -> float | None:
        after, cash = self._trade(self._state, target)
        return None if after == self._state and cash == 0.0 else cash

    def again(self) -> float:
        self._state, cash = self._trade(self._before, self._target)
        return cash

    def wait(self) -> None:
        self._row += 1
        if self._model.accrue is not None:
            self._state = self._model.accrue(self._state, self._line(), self._params)

    def tokens(self) -> Mapping[str, float]:
        empty = self._model.state()
        now = self._state._asdict()
        return {name: value for name, value in now.items() if value != getattr(empty, name)}


class MarketHolder(Holder):
    """A position in an exact market or on a chain.

    Args:
        market: the market; what it quotes is settled at once.
        name: ``exact`` or ``chain``.
        wait: what lets a step of a chain pass; in replay the next row does.
    """

    def __init__(
        self, market: ExactMarket, name: str = "exact", wait: Callable[[], None] | None = None, **settings: Any
    ) -> None:
        self.name, self._market, self._wait, self._row, self._moves = name, market, wait, 0, 0
        self._cost: float | None = None
        self._state = market.open()
        self._order: tuple[str, ExactState, Fill, int] | None = None
        _settings(self, settings)

    def value(self) -> float:
        return self._market.value(self._state, self._row) / self._market.base.unit

    def _quote(self, target: float) -> Fill | None:
        return self._market.trade(self._state, round(target * self._market.base.unit), self._row, self.control)

    def move(self, target: float) -> float | None:
        fill = self._quote(target)
        if fill is None:
            return None
        self._moves += 1
        self._order = (f"conformance/{self._moves}", self._state, fill, self._row)
        return self.again()

    def ask(self, target: float) -> float | None:
        fill = self._quote(target)
        return None if fill is None else fill.cash_raw / self._market.base.unit

    def again(self) -> float:
        assert self._order is not None, "nothing was moved yet"
        settled = self._market.settle(*self._order)
        self._state, self._cost = settled.state, settled.cost_raw / self._market.base.unit
        return settled.cash_raw / self._market.base.unit

    def cost(self) -> float | None:
        return self._cost

    def wait(self) -> None:
        if self._wait is not None:
            self._wait()
        self._row += 1
        self._state, _ = self._market.accrue(self._state, self._row - 1, self._row)

    def tokens(self) -> Mapping[str, float]:
        return {name: float(amount) for name, amount in self._market.holdings(self._state).items() if amount}


def _settings(holder: Holder, settings: Mapping[str, Any]) -> None:
    known = ("stake", "cost_share_max", "grain", "control", "left", "changes")
    for name, value in settings.items():
        if name not in known:
            raise TypeError(f"a holder has no setting {name!r}; known: {', '.join(known)}")
        setattr(holder, name, value)


class FidelityConformance:
    """Laws that hold through model, exact market and chain alike. Subclasses define the fixture ``holder``."""

    @pytest.fixture
    def holder(self) -> Holder:
        """The fidelity to test."""
        raise NotImplementedError("define the fixture `holder` in your subclass")

    def test_an_empty_position_is_nothing(self, holder: Holder) -> None:
        assert holder.value() == 0.0
        assert not holder.tokens()
        assert holder.move(0.0) is None
        assert not holder.tokens()

    def test_a_purchase_takes_what_it_was_told_and_costs_come_out_of_it(self, holder: Holder) -> None:
        cash = holder.move(holder.stake)
        assert cash == pytest.approx(-holder.stake, abs=holder.grain)
        assert holder.stake * (1.0 - holder.cost_share_max) <= holder.value() <= holder.stake + holder.grain
        assert holder.tokens()

    def test_what_a_move_loses_is_told_as_its_cost(self, holder: Holder) -> None:
        """Cash and position lose no more than the cost told; a model tells none, and is compared with the exact market."""
        before = holder.value()
        for share in (1.0, 1.5, 0.5, 0.0):
            cash = holder.move(holder.stake * share)
            assert cash is not None
            after, cost = holder.value(), holder.cost()
            assert cost is None or before - after - cash <= cost + holder.grain
            before = after

    def test_what_is_there_already_is_not_bought_again(self, holder: Holder) -> None:
        holder.move(holder.stake)
        held, worth = holder.tokens(), holder.value()
        assert holder.move(worth) is None
        assert (holder.tokens(), holder.value()) == (held, worth)

    def test_a_partial_sale_leaves_what_it_was_told(self, holder: Holder) -> None:
        holder.move(holder.stake)
        worth = holder.value()
        cash = holder.move(worth / 2.0)
        assert cash is not None
        assert worth / 2.0 * (1.0 - 2.0 * holder.cost_share_max) <= cash <= worth / 2.0 + holder.grain
        assert holder.value() == pytest.approx(worth / 2.0, abs=worth * 1e-6 + holder.grain)

    def test_more_of_it_adds_to_what_is_held(self, holder: Holder) -> None:
        holder.move(holder.stake / 2.0)
        worth = holder.value()
        cash = holder.move(worth + holder.stake / 2.0)
        assert cash == pytest.approx(-holder.stake / 2.0, abs=2.0 * holder.grain)
        assert worth < holder.value() <= worth + holder.stake / 2.0 + holder.grain

    def test_a_round_trip_never_gains_and_leaves_nothing(self, holder: Holder) -> None:
        there = holder.move(holder.stake)
        back = holder.move(0.0)
        assert there is not None
        assert back is not None
        assert -2.0 * holder.cost_share_max * holder.stake <= there + back <= holder.grain
        assert holder.value() == pytest.approx(0.0, abs=holder.grain)
        assert {name: amount for name, amount in holder.tokens().items() if abs(amount) > holder.left} == {}

    def test_time_changes_value_and_asks_for_no_cash(self, holder: Holder) -> None:
        holder.move(holder.stake)
        held = holder.value()
        holder.wait()
        assert math.isfinite(holder.value())
        assert 0.5 * held < holder.value() < 2.0 * held
        assert not holder.changes or holder.value() != held, (
            "a step of time changed nothing; a holder whose price and yield stand still says changes=False"
        )

    def test_a_position_that_waited_can_be_closed(self, holder: Holder) -> None:
        holder.move(holder.stake)
        holder.wait()
        worth = holder.value()
        cash = holder.move(0.0)
        assert cash is not None
        assert worth * (1.0 - 2.0 * holder.cost_share_max) <= cash <= worth * (1.0 + 1e-6) + holder.grain
        assert holder.value() == pytest.approx(0.0, abs=holder.grain)

    def test_what_was_quoted_is_what_happens(self, holder: Holder) -> None:
        quoted = holder.ask(holder.stake)
        assert quoted is not None
        assert not holder.tokens()
        assert holder.move(holder.stake) == pytest.approx(quoted, abs=holder.grain)
        worth, held = holder.value(), holder.tokens()
        quoted = holder.ask(worth / 2.0)
        assert quoted is not None
        assert (holder.value(), holder.tokens()) == (worth, held)
        assert holder.move(worth / 2.0) == pytest.approx(quoted, abs=holder.grain)

    def test_what_is_asked_for_twice_is_done_once(self, holder: Holder) -> None:
        """The second time under the same id a market tells what came of the first."""
        cash = holder.move(holder.stake)
        worth, held = holder.value(), holder.tokens()
        assert holder.again() == cash
        assert holder.tokens() == held
        assert holder.value() == pytest.approx(worth, abs=holder.grain)
        back = holder.move(0.0)
        assert holder.again() == back
        assert holder.value() == pytest.approx(0.0, abs=holder.grain)
