"""What a stored table is: its name, its columns and its key."""

from __future__ import annotations

import attrs

INT, REAL, TEXT, AMOUNT, JSON = "BIGINT", "DOUBLE PRECISION", "TEXT", "AMOUNT", "JSON"


@attrs.frozen
class Table:
    """A table's columns (name -> INT, REAL, TEXT, AMOUNT or JSON), in stored order; the first `key_columns` are its key."""

    name: str
    columns: dict[str, str]
    key_columns: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.columns)[: self.key_columns]
