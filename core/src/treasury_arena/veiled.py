"""Text that holds a secret and is shown by no traceback, however it shows local variables."""

from __future__ import annotations

from typing import SupportsIndex


class Veiled(str):
    """A text like any other whose representation, and that of its parts, is stars.

    What is derived from it in other ways is plain text again: keep that in no local variable.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> Veiled:
        return Veiled(super().__getitem__(key))
