"""Where everything lies: rows of an agent block, columns of the tables, positions in the argument vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from treasury_arena.contracts.position import PositionModel, Struct
from treasury_arena.contracts.strategy import Strategy

LANES = 64
"""Agents of one block: the inner loops, 8 AVX-512 or 16 AVX2 vectors; at most 64, the bits of a mask."""

#: Rows every block starts with. INV and INV_PEAK are 1/EQUITY and 1/PEAK, which spare two divisions a step. DRAWDOWN, BAND
#: and OVER, like VALUE of each role, only carry a number from one loop over the lanes to the next.
COMMON = (
    "CASH",
    "CASH0",
    "START",
    "FAILED",
    "PENDING",
    "EQUITY",
    "INV",
    "PEAK",
    "INV_PEAK",
    "DEEPEST",
    "DRAWDOWN",
    "BAND",
    "OVER",
    "SUM",
    "SQUARES",
    "TRADES",
    "COSTS",
    "TURNOVER",
    "COIN_LIMIT",
)
#: Columns of the raw output before the two blocks (roles each) of summed and largest shares.
OUTPUT = ("EQUITY", "SUM", "SQUARES", "DEEPEST", "TRADES", "COSTS", "TURNOVER", "FAILED")


@attrs.frozen
class Function:
    """A plugin function of a kernel: what it is called there, and the types of its arguments and result.

    In `params` and `result` a type is a NamedTuple class, float, or None for an absent control.
    """

    name: str
    function: Callable[..., Any]
    params: tuple[Any, ...]
    result: tuple[Any, ...]


@attrs.frozen(eq=False)
class Layout:
    """Positions derived from a strategy and the models of its roles; contains no parameter or bound.

    Of the markets only this: `coins` holds, per role, whether its market is a coin's; only writing a module needs it.
    """

    strategy: Strategy
    models: Mapping[str, PositionModel]
    coins: tuple[bool, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.strategy.roles)

    @property
    def positions(self) -> list[tuple[int, str, PositionModel]]:
        """(number, role, model) of every role."""
        return [(i, role, self.models[role]) for i, role in enumerate(self.roles)]

    @property
    def gathered(self) -> list[str]:
        """Features whose window is a gene: their column differs between agents."""
        return [name for name, column in self.strategy.columns.items() if isinstance(column.window, str)]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows of a block, in order; each holds one float64 per lane."""
        s = self.strategy
        rows = list(COMMON)
        for i, _, model in self.positions:
            rows += [f"S{i}_{field}" for field in model.state._fields]
            rows += [f"VALUE{i}", f"SHARE{i}", f"SHARE{i}_MAX", f"LIMIT{i}"]
        rows += [f"OWN_{field}" for field in s.state._fields]
        rows += [f"T_{field}" for field in s.target._fields if field != "band"]
        rows += [f"F_{name}" for name in self.gathered]
        rows += [f"G_{name}" for name in s.genes._fields]
        return tuple(rows)

    @property
    def market(self) -> list[tuple[str, str]]:
        """(role, market field) in the order of the market column map."""
        return [(role, field) for _, role, model in self.positions for field in model.market._fields]

    @property
    def params(self) -> list[tuple[str, str]]:
        """(role, parameter) in the order of the parameter vector."""
        return [(role, field) for _, role, model in self.positions for field in model.params._fields]

    @property
    def functions(self) -> list[Function]:
        """Every plugin function the kernel calls."""
        s = self.strategy
        out = [Function("decide", s.decide, (s.features, s.genes, s.book, s.state), (s.target, s.state))]
        for i, _, m in self.positions:
            at: tuple[Struct, ...] = (m.state, m.market, m.params)
            out.append(Function(f"value{i}", m.value, at, (float,)))
            trade = (m.state, float, m.market, m.params, m.control)
            out.append(Function(f"trade{i}", m.trade, trade, (m.state, float)))
            if m.accrue is not None:
                out.append(Function(f"accrue{i}", m.accrue, at, (m.state,)))
            out += [Function(f"view{i}_{name}", view, at, (float,)) for name, view in m.views.items()]
        return out

    def controls(self, role: str) -> tuple[str, ...]:
        """Control fields of a role's position."""
        control = self.models[role].control
        return tuple(control._fields) if control is not None else ()
