"""What a stored table is: its name, its columns and its key."""

from __future__ import annotations

from functools import cached_property

import attrs

INT, REAL, TEXT, AMOUNT, JSON = "BIGINT", "DOUBLE PRECISION", "TEXT", "AMOUNT", "JSON"


@attrs.frozen
class Table:
    """A table's columns (name -> INT, REAL, TEXT, AMOUNT or JSON), in stored order; the first `key_columns` are its key."""

    name: str
    columns: dict[str, str]
    key_columns: int = 1

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Names of the key's columns."""
        return tuple(self.columns)[: self.key_columns]

    @cached_property
    def listed(self) -> str:
        """The columns as SQL lists them."""
        return ", ".join(f'"{name}"' for name in self.columns)

    @cached_property
    def listed_as_text(self) -> str:
        """The columns for a SELECT that gives amounts as decimal text."""
        casts = (
            f'CAST("{name}" AS TEXT) AS "{name}"' if kind == AMOUNT else f'"{name}"'
            for name, kind in self.columns.items()
        )
        return ", ".join(casts)

    @cached_property
    def overwriting(self) -> str:
        """What follows an INSERT that overwrites rows of the same key."""
        keys = ", ".join(f'"{name}"' for name in self.key)
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in self.columns if name not in self.key)
        return f" ON CONFLICT ({keys}) DO UPDATE SET {sets}"
