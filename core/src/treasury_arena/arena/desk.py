"""What the arena needs of one strategy over one market frame, ready-made: kernel, tables, bindings."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.genes import GeneSpace
from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import nearest
from treasury_arena.simulation.kernel import Kernel, Tables
from treasury_arena.trading.runner import StrategyDesk

FloatArray = NDArray[np.float64]


@attrs.frozen(eq=False)
class Desk:
    """One strategy at work.

    Attributes:
        roles: role -> market name.
        coin_roles: roles whose market is a coin market.
        tables: market and feature matrices over the whole frame; only rows up to now are ever read.
    """

    strategy: Strategy
    space: GeneSpace
    roles: Mapping[str, str]
    models: Mapping[str, PositionModel]
    coin_roles: frozenset[str]
    kernel: Kernel
    tables: Tables
    _columns: dict[tuple[float, ...], NDArray[np.int64]] = attrs.field(factory=dict)

    @property
    def role_names(self) -> tuple[str, ...]:
        return tuple(self.roles)

    def coin_mask(self) -> NDArray[np.bool_]:
        """(roles,) True where the role is a coin role."""
        return np.array([role in self.coin_roles for role in self.role_names])

    def feature_row(self, genome: tuple[float, ...], row: int) -> list[float]:
        """Features of one genome at one row, in the order of the strategy's Features."""
        columns = self._columns.get(genome)
        if columns is None:
            columns = self._columns[genome] = np.array(self.kernel.feature_columns(self.tables, genome), dtype=np.int64)
        found: list[float] = self.tables.features[row].take(columns).tolist()
        return found

    def live(self) -> StrategyDesk:
        """The same bindings for the live runner."""
        return StrategyDesk(self.strategy, self.roles, self.models, self.feature_row, self.coin_roles)


class Desks(dict[str, Desk]):
    """Desks by strategy; the KeyError of an unknown one tells the nearest."""

    def __missing__(self, name: object) -> Desk:
        raise KeyError(f"unknown strategy {name!r}: {nearest(str(name), self)}")


@attrs.frozen(eq=False)
class World:
    """The market and everything bound to it.

    Attributes:
        frame: the whole history of a replay, or what is known of a market that goes on; the arena reads rows up to the
            present one only.
        desks: strategy name -> Desk, in order of name.
        markets: exact markets by name.
        lending: (rows,) value of one dollar that lends everything at the idle market.
        first_row, last_row: rows of the first and the last moment of the run; the last one may not be known yet.
        data_fingerprint, data_facts: identity and description of the data.
        coins: coin column name -> (rows,) price, for benchmarks.
        eth: (rows,) price of ETH for the holding benchmark, or None where the market has none.
    """

    frame: MarketFrame
    desks: Mapping[str, Desk] = attrs.field(converter=Desks)
    markets: Mapping[str, ExactMarket]
    lending: FloatArray
    first_row: int
    last_row: int
    data_fingerprint: str
    data_facts: Mapping[str, str]
    coins: Mapping[str, FloatArray]
    eth: FloatArray | None = None

    def __repr__(self) -> str:
        return f"<World {', '.join(self.desks)}: {len(self.markets)} markets, {self.frame.rows} rows>"
