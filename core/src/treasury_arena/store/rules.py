"""What a projection's rule is: which rows an event touches, and what each becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from treasury_arena.events.event import Event

Row = dict[str, Any]
"""Column -> value; a JSON column holds either the value or, as stored, its canonical text."""

Key = tuple[Any, ...]
Fold = Callable[[Row | None, Event, Key], Row | None]
"""(row before or None, event, key) -> row after, or None when the event does not concern a row that is not there."""


@attrs.frozen
class Rule:
    """`keys` names the rows of `table` that an event touches, `fold` makes the new row; `fresh` rows are never read first."""

    table: str
    keys: Callable[[Event], Iterable[Key]]
    fold: Fold
    fresh: bool = False
