"""What a comparison counts beside differences: kinds of operations, reasons of refusals, ticks crossed."""

from __future__ import annotations

import attrs

from treasury_arena.contracts.parity import Tally


@attrs.define
class Counts(Tally):
    """A `Tally` that also says how rich a run was.

    Attributes:
        operations: how many were executed on both sides.
        crossed: initialised ticks that swaps crossed (v3).
        at_lower, at_upper: operations on positions while the price stood in the very tick at which the position begins, or
            ends (v3).
        kinds: operations by kind.
        reasons: refusals of the chain by their reason.
    """

    operations: int = 0
    crossed: int = 0
    at_lower: int = 0
    at_upper: int = 0
    kinds: dict[str, int] = attrs.field(factory=dict)
    reasons: dict[str, int] = attrs.field(factory=dict)

    def judge(self, kind: str, ours: str | None, theirs: str | None, where: str) -> bool:
        """Count one operation and compare how it was received: None for done, else the reason it was refused for.

        True when it was done on both sides, so that there are results to compare.
        """
        self.operations += 1
        self.refused += ours is not None and ours == theirs
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if theirs is not None:
            self.reasons[theirs] = self.reasons.get(theirs, 0) + 1
        told = ["done" if reason is None else f"refused: {reason}" for reason in (ours, theirs)]
        self.note(self.operations, where, "refusal", told[0], told[1])
        return ours is None and theirs is None
