"""What a comparison found: per quantity how often it was compared, how often it differed, and by how much at most."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define
class Quantity:
    """One compared quantity.

    Attributes:
        compared, different: how often.
        largest: greatest absolute difference, in the quantity's own units (wei); 1 for texts that differ.
        first: the first difference in words; empty when there is none.
    """

    compared: int = 0
    different: int = 0
    largest: int = 0
    first: str = ""


@attrs.define
class Parity:
    """The outcome of one run.

    Attributes:
        setting: what was run, in words.
        seed: of the random operations.
        operations: how many were executed on both sides, of which both sides refused `refused`.
        crossed: initialised ticks that swaps crossed (v3).
        seconds: wall time.
        counts: operations by kind.
        reasons: refusals of the chain by their reason.
        quantities: by name.
    """

    setting: str
    seed: int
    operations: int = 0
    refused: int = 0
    crossed: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = attrs.field(factory=dict)
    reasons: dict[str, int] = attrs.field(factory=dict)
    quantities: dict[str, Quantity] = attrs.field(factory=dict)

    @property
    def equal(self) -> bool:
        """Whether nothing differed."""
        return not any(quantity.different for quantity in self.quantities.values())

    @property
    def differences(self) -> dict[str, str]:
        """The first difference of every quantity that differed."""
        return {name: quantity.first for name, quantity in self.quantities.items() if quantity.different}

    def compare(self, name: str, ours: int | str, theirs: int | str, where: str) -> None:
        """Count one comparison of `ours` (the integers) with `theirs` (the chain)."""
        quantity = self.quantities.setdefault(name, Quantity())
        quantity.compared += 1
        if ours == theirs:
            return
        quantity.different += 1
        size = abs(ours - theirs) if isinstance(ours, int) and isinstance(theirs, int) else 1
        quantity.largest = max(quantity.largest, size)
        quantity.first = quantity.first or f"{where}: {ours!r} here, {theirs!r} on the chain"

    def judge(self, kind: str, ours: str | None, theirs: str | None, where: str) -> bool:
        """Count one operation and compare how it was received: None for done, else the reason it was refused for.

        True when it was done on both sides, so that there are results to compare.
        """
        self.operations += 1
        self.refused += ours is not None and theirs is not None
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if theirs is not None:
            self.reasons[theirs] = self.reasons.get(theirs, 0) + 1
        told = ["done" if reason is None else f"refused: {reason}" for reason in (ours, theirs)]
        self.compare("refusal", told[0], told[1], where)
        return ours is None and theirs is None

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON's types; numbers beyond 2**53 as text."""
        return {
            **attrs.asdict(self),
            "quantities": {
                name: {**attrs.asdict(quantity), "largest": str(quantity.largest)}
                for name, quantity in self.quantities.items()
            },
            "equal": self.equal,
        }
