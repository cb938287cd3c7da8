"""Intents: what an agent wants done, with an id that a replayed decision gives again."""

from __future__ import annotations

import hashlib
import json
import math

import attrs

from treasury_arena.errors import ValidationError

CLOSE = "close"
"""Purpose of an order on the way home."""


@attrs.frozen
class Intent:
    """A wish to move one position to a value.

    Attributes:
        agent_id: who wants it.
        role: the strategy's role; with the agent it names the position.
        market: the market's configured name.
        target_raw: wanted value of the position in base units of the base asset, at least 0.
        row: market row (the decision's number: one intent per agent, role, row and purpose).
        control: the role's controls, in the order of the position model's Control.
        purpose: ``strategy``, ``withdraw`` or ``close``; the last two only ever reduce.
        again: which one it is of several orders for the same decision, from 0.
    """

    agent_id: str
    role: str
    market: str
    target_raw: int
    row: int
    control: tuple[float, ...] = ()
    purpose: str = "strategy"
    again: int = 0

    def __attrs_post_init__(self) -> None:
        if isinstance(self.target_raw, bool) or not isinstance(self.target_raw, int) or self.target_raw < 0:
            raise ValidationError(f"an intent needs a whole target of at least 0 base units, not {self.target_raw!r}")
        for value in self.control:
            if not math.isfinite(value):
                raise ValidationError(f"an intent needs finite numbers as controls, not {value}")

    def body(self) -> str:
        """Canonical JSON of the action."""
        action = {
            "role": self.role,
            "market": self.market,
            "target": str(self.target_raw),
            "control": list(self.control),
        }
        return json.dumps(action, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def intent_id(self, arena_id: str) -> str:
        """sha256 over arena, agent, decision and action: a replayed decision gives the same id."""
        again = f"/{self.again}" if self.again else ""
        text = f"{arena_id}|{self.agent_id}|{self.row}/{self.role}/{self.purpose}{again}|{self.body()}"
        return hashlib.sha256(text.encode()).hexdigest()
