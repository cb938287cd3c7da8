"""Protocols: position models for search, and exact integer markets for every fill that touches the books."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import attrs

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError

ExactState = tuple[int, ...]


@attrs.frozen
class Leg:
    """One posting of a fill. `account` is relative to the trading holder.

    ``cash``, ``position`` (tokens it amounts to), ``debt`` (tokens it owes, never positive), ``fee``, ``gas``, ``world``.
    """

    account: str
    asset: str
    amount: int


@attrs.frozen
class Fill:
    """What a trade does, in base units.

    Attributes:
        state: the position's exact state afterwards.
        legs: postings that sum to zero per asset; the ``cash`` leg is in the base asset.
        notional_raw: size of the move in base units of the base asset, or of what is swapped for it where that is larger.
        cost_raw: fee, spread, impact and gas together, in base units of the base asset.
        slippage_bps: price paid against the quoted mid, in basis points, never negative (gas excluded).
    """

    state: ExactState
    legs: tuple[Leg, ...]
    notional_raw: int
    cost_raw: int
    slippage_bps: float

    @property
    def cash_raw(self) -> int:
        """Change of the holder's cash (negative for a purchase)."""
        return sum(leg.amount for leg in self.legs if leg.account == "cash")


class ExactMarket(ABC):
    """One market in exact integer arithmetic with the protocol's own rounding, over one market frame.

    All methods but `settle` and `booked` are pure: they read rows of the frame up to `row` and never keep state of a holder.
    Values are base units of the base asset.

    Attributes:
        venue: where its fills happen: ``replay`` (in the books only), ``local`` (a test chain), ``live``.
    """

    spec: MarketSpec
    asset: Asset
    base: Asset
    venue: str = "replay"

    @abstractmethod
    def open(self) -> ExactState:
        """The state of an empty position."""

    @abstractmethod
    def value(self, state: ExactState, row: int) -> int:
        """Worth of a position at `row`, rounded down (towards the holder's disadvantage)."""

    @abstractmethod
    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        """Quote the move of the position's value to `target_raw` at `row`, costs coming out of what moves.

        Nothing happens until the caller settles the fill. None when the move is below the market's dust and `control`
        asks for no other shape of the position. An empty `control` keeps the position's shape, and a target of 0 leaves
        nothing owed. A purchase changes cash by exactly ``-(target_raw - value)``. Raises ValidationError for a negative
        target, and SizeRefusedError for a move that the market cannot take in one piece.
        """

    @abstractmethod
    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        """What holding from `row_from` to `row_to` does without a trade: the new state and postings (interest).

        Splitting the interval must not change the result.
        """

    @abstractmethod
    def holdings(self, state: ExactState) -> Mapping[str, int]:
        """Tokens the position amounts to, by asset symbol (as of the last accrual).

        They stand on the ledger's ``position`` account; what is owed is negative and stands on the ``debt`` account.
        """

    def settle(self, intent_id: str, state: ExactState, fill: Fill, row: int) -> Fill:
        """Make a quoted fill happen and return what really happened; in replay the quote itself.

        A chain's market sends transactions and reads their receipts. Raises ExecutionError when it did not happen, and
        UnknownOutcomeError while nobody can tell. Asked again with the same `intent_id`, whatever came of the first time, it
        must find out or tell that again instead of doing it twice: until `booked`.
        """
        return fill

    def booked(self, intent_id: str) -> None:  # noqa: B027 - a market that remembers nothing has nothing to forget
        """What became of this intent stands in the journal, and is not asked for again: it may be forgotten."""

    def shape(self, state: ExactState, row: int) -> tuple[float, ...]:
        """What the market's planner is to be told for a position of this shape, as its control; at `row`.

        Orders on a chain follow a position by it. ConfigError unless overridden, which only models with controls need.
        """
        raise ConfigError(
            f"markets.{self.spec.name}: the protocol does not say what shape a position has; no order on a chain can follow it"
        )

    def views(self, state: ExactState, row: int) -> Mapping[str, float]:
        """The model's views of a position at `row`, by name; a market whose model has none need not override this."""
        return {}


class Protocol(ABC):
    """A protocol plugin: models of its positions and their exact markets."""

    name: str
    version: str

    @property
    @abstractmethod
    def models(self) -> tuple[PositionModel, ...]:
        """Every position model the protocol offers."""

    @abstractmethod
    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        """The exact market of `spec` over `frame`; raises ConfigError when `spec` cannot be served."""

    def planner(self, context: PlannerContext) -> StepPlanner:
        """How a market of this protocol is traded on a chain; raises ConfigError unless overridden, or when it cannot be."""
        raise ConfigError(f"markets.{context.spec.name}: the protocol {self.name!r} cannot trade on a chain")

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        """Checks that `arena parity` runs: exact against the bytecode, model against exact. None unless overridden."""
        return ()
