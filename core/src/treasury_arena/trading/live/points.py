"""The points at which a process may die, by name: the order engine passes each, and tests kill it there.

The engine is told whom to call (`Passing`); in operation that does nothing. A point that the engine passes and this list does not
have, or the other way round, fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where in the life of an order; the order protocol says what a restart finds there."""

    K0 = "before an intent is reserved (C1)"
    K1 = "reserved, no nonce"
    K2 = "a nonce (C2), nothing signed"
    K3 = "signed (C3), not sent"
    K4 = "sent to one endpoint of several"
    K5 = "sent, the answer not journaled"
    K6 = "the answer journaled (C4), not mined"
    K7 = "mined, its inclusion not journaled"
    K8 = "inclusion journaled (C5), not final"
    K9 = "inside the transaction that posts (C6)"
    K10 = "a replaced block journaled"
    K11 = "a replaced final block journaled"
    K12 = "a replacement signed, not sent"


Passing = Callable[[CrashPoint, str], None]
"""Called with the point and the kind of the step (empty before there is one)."""


def pass_by(point: CrashPoint, kind: str) -> None:
    """What happens at a point in operation: nothing."""
