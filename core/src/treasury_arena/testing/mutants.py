"""Wrong arithmetic for tests that ask whether a check notices: one place of a function's text is replaced while it is on."""

from __future__ import annotations

import inspect
import textwrap
from types import FunctionType
from typing import Any

import attrs
import pytest


@attrs.frozen
class Mutant:
    """One thing that is wrong.

    Attributes:
        name: what is wrong, in words.
        of: the function, or the module that a constant belongs to.
        old: a text of the function that occurs in it once, or the constant's name.
        new: what stands there instead, or the constant's other value.
    """

    name: str
    of: Any
    old: str
    new: Any

    def switch_on(self, patch: pytest.MonkeyPatch) -> None:
        """Be wrong until the patch is undone. The function stays the same object, for whoever imported it."""
        if not isinstance(self.of, FunctionType):
            assert getattr(self.of, self.old) != self.new
            patch.setattr(self.of, self.old, self.new)
            return
        text = textwrap.dedent(inspect.getsource(self.of))
        assert text.count(self.old) == 1, f"{self.name}: {self.old!r} occurs {text.count(self.old)} times"
        made: dict[str, Any] = {}
        exec("from __future__ import annotations\n" + text.replace(self.old, self.new), self.of.__globals__, made)
        patch.setattr(self.of, "__code__", made[self.of.__name__].__code__)
