"""Parity: what a protocol offers so that anybody can check its arithmetic against the contracts themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

Told = Callable[[int, int], None]
"""``told(done, of)``: how far a check is, for a progress display."""


@attrs.frozen
class ParityResult:
    """What a check of exact arithmetic against a contract's bytecode found.

    Attributes:
        name: what was compared, settings included.
        against: the contracts and their version.
        operations: operations executed on both sides; `refused` of them were refused by both for the same reason.
        compared: quantity -> how often it was compared.
        differences: quantity -> largest absolute difference in base units, only those that differ.
        first: what differed first, empty when nothing did.
        seconds: time it took, the chain's start included.
    """

    name: str
    against: str
    operations: int
    refused: int
    compared: Mapping[str, int]
    differences: Mapping[str, int]
    first: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Equal to the last base unit, and something was compared."""
        return not self.differences and not self.first and sum(self.compared.values()) > 0


@attrs.frozen
class GapResult:
    """How far a model in floats is from the exact market, as a share of what moves.

    Attributes:
        name: the model.
        cases: comparisons made.
        median, high, largest: of the relative error; `high` is its 99th percentile.
        bound: what the documentation promises.
    """

    name: str
    cases: int
    median: float
    high: float
    largest: float
    bound: float

    @property
    def ok(self) -> bool:
        """Within the promise (false for NaN)."""
        return self.cases > 0 and self.largest <= self.bound


class ParityCheck(ABC):
    """Random operations on the exact engine and on the contracts' bytecode, side by side."""

    name: str

    @abstractmethod
    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        """Execute `operations` operations drawn from `seed` on both sides.

        `anvil` is the local node's program, None for the one that the installation brings. Raises ConfigError, PluginError or
        ChainUnavailableError when no chain can be had; any other error counts as a difference.
        """


class GapCheck(ABC):
    """Random positions and moves through a model and through its exact market."""

    name: str

    @abstractmethod
    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        """Compare `cases` cases drawn from `seed`, over the range of real markets."""


@attrs.define
class Tally:
    """Counts what a parity check compares, and keeps what differed.

    Attributes:
        compared, differences: as in `ParityResult`.
        first: what differed first.
        refused: refusals that both sides gave for the same reason.
    """

    compared: dict[str, int] = attrs.field(factory=dict)
    differences: dict[str, int] = attrs.field(factory=dict)
    first: str = ""
    refused: int = 0

    def note(self, number: int, operation: str, quantity: str, ours: int | str, theirs: int | str) -> None:
        """Compare one quantity after operation `number`; texts (reasons of a refusal) differ by 1 or not at all."""
        self.compared[quantity] = self.compared.get(quantity, 0) + 1
        if ours == theirs:
            return
        size = abs(ours - theirs) if isinstance(ours, int) and isinstance(theirs, int) else 1
        self.differences[quantity] = max(self.differences.get(quantity, 0), size)
        if not self.first:
            self.first = f"operation {number}, {operation}: {quantity} is {ours}, the contract has {theirs}"

    def result(self, name: str, against: str, operations: int, seconds: float) -> ParityResult:
        """The finished result."""
        return ParityResult(
            name, against, operations, self.refused, dict(self.compared), dict(self.differences), self.first, seconds
        )
