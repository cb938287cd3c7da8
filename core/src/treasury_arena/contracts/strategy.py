"""Strategies: a genome, roles bound to position kinds, the features it needs, and ONE pure decision function.

`decide(f, g, book, s) -> (Target, State)` is a function of scalars over NamedTuples of float. The same function object runs
compiled in the search kernel and as plain Python for a live agent, so the two cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.genes import Choice, GeneSpace, Integer, Real, metadata
from treasury_arena.contracts.position import Struct
from treasury_arena.errors import PluginError, nearest

__all__ = ["FORCE", "HOLD", "Choice", "Column", "Integer", "Real", "Role", "Strategy"]

HOLD = float("inf")
"""Target.band: keep what is held this step; only what has drifted beyond the agent's limits is traded back to them."""
FORCE = -1.0
"""Target.band: trade now, whatever the drift."""

FeatureFunction = Callable[[NDArray[np.float64], int], NDArray[np.float64]]


@attrs.frozen
class Column:
    """A feature column, computed once per frame and shared by all agents.

    Attributes:
        kind: a built-in feature (see `treasury_arena.simulation.features`) or a causal function
            ``(column, window) -> array`` of the same length, whose row t depends on rows up to t only.
        window: a number of rows (one column for everyone) or the name of a Choice gene (one column per value).
        of: the role whose market the data come from, or a frame column's own name such as ``gas.usd``.
        field: the market field read when `of` is a role: ``price``, ``rate``, ...
    """

    kind: str | FeatureFunction
    window: int | str = 1
    of: str = ""
    field: str = "price"


@attrs.frozen
class Role:
    """A slot of a strategy: the position kind it needs and the market it is bound to unless configuration says otherwise.

    Attributes:
        assumes: parameters of the market as the decision reckons with them. A market that has others is refused; a parameter
            that its model does not have says nothing.
    """

    kind: str
    market: str
    assumes: Mapping[str, float] = attrs.field(factory=dict)

    def differs(self, params: Mapping[str, float]) -> tuple[str, float, float] | None:
        """The first parameter of a market that is another than assumed: its name, what it is, what was assumed."""
        for name, value in self.assumes.items():
            if name in params and not math.isclose(params[name], value, rel_tol=1e-12):
                return name, params[name], value
        return None


@attrs.frozen
class Strategy:
    """A strategy plugin's declaration.

    Attributes:
        name: the name in configuration and on every agent it breeds.
        roles: role name -> Role. A target names each role's share of equity.
        genes: NamedTuple, every field ``Annotated[float, Real | Integer | Choice]``.
        features: NamedTuple, every field ``Annotated[float, Column(...)]``.
        book: NamedTuple of what it wants to see: ``equity, cash, drawdown, step, <role>`` (USD), ``<role>_<view>``.
        target: NamedTuple with ``<role>`` for every role, ``<role>_<control>`` where the position has controls, and ``band``:
            trade when the summed drift exceeds ``band * equity``; HOLD never, FORCE now. What is held more than 1% of equity
            beyond the agent's limits is traded back whatever the band.
        state: NamedTuple of float with opening values as defaults (recursive indicators), possibly empty of fields.
        decide: the decision function.
        summary: one line for lists and reports.

    Raises PluginError for declarations that do not fit together.
    """

    name: str
    roles: Mapping[str, Role]
    genes: Struct
    features: Struct
    book: Struct
    target: Struct
    state: Struct
    decide: Callable[..., Any]
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        where = f"strategy {self.name!r}"
        try:
            GeneSpace.of(self.genes)
        except PluginError as error:
            raise PluginError(f"{where}: {error}") from error
        fields = tuple(self.target._fields)
        for role in self.roles:
            if role not in fields:
                raise PluginError(f"{where}: its Target has no field {role!r} for the role of that name")
        if "band" not in fields:
            raise PluginError(f"{where}: its Target needs a field 'band' (a share of equity, HOLD or FORCE)")
        choices = [n for n, gene in metadata(self.genes).items() if isinstance(gene, Choice)]
        columns = self.columns
        for name in self.features._fields:
            column = columns.get(name)
            if not isinstance(column, Column):
                raise PluginError(f"{where}: feature {name!r} needs Annotated[float, Column(...)]")
            if isinstance(column.window, bool) or not isinstance(column.window, int | str):
                raise PluginError(
                    f"{where}: feature {name!r} has the window {column.window!r}; expected a number of rows or a gene's name"
                )
            if isinstance(column.window, str) and column.window not in choices:
                raise PluginError(
                    f"{where}: feature {name!r} takes its window from gene {column.window!r}, which is not a Choice gene; "
                    f"{nearest(column.window, choices)}"
                )
            if column.of not in self.roles and "." not in column.of:
                raise PluginError(
                    f"{where}: feature {name!r} is of {column.of!r}, neither a role ({', '.join(self.roles)}) nor a frame column"
                )

    @property
    def space(self) -> GeneSpace:
        """The genes as arrays."""
        return GeneSpace.of(self.genes)

    @property
    def columns(self) -> dict[str, Column]:
        """Feature name -> its Column."""
        return metadata(self.features)

    @property
    def longest_window(self) -> int:
        """Rows that its longest feature looks back."""
        genes, longest = metadata(self.genes), 1
        for column in self.columns.values():
            if isinstance(column.window, str):
                gene = genes[column.window]
                assert isinstance(gene, Choice)
                longest = max(longest, int(max(gene.values)))
            else:
                longest = max(longest, column.window)
        return longest
