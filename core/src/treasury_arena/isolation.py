"""Calls into the code of others: whatever it raises is told in one sentence that names it, and takes nobody with it."""

from __future__ import annotations

import contextlib
import decimal
import sys
import traceback
from collections.abc import Iterator

from treasury_arena.errors import PluginError, TreasuryArenaError

_MESSAGE_MAX = 300


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Guard a call into a plugin; `what` names it in the error, for example ``fitness 'owner'``.

    An error of the house and Ctrl-C pass; everything else, SystemExit included, leaves as PluginError. How decimal and numpy
    calculate is afterwards as it was before.
    """
    numpy = sys.modules.get("numpy")
    try:
        with decimal.localcontext(), contextlib.nullcontext() if numpy is None else numpy.errstate():
            yield
    except (KeyboardInterrupt, TreasuryArenaError):
        raise
    except BaseException as error:
        raise PluginError(f"{what} failed: {describe(error)}") from error


def message(error: BaseException) -> str:
    """The first line of an error's message, cut, as text that can be stored; whatever its ``__str__`` does."""
    try:
        lines = str(error).strip().splitlines()
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # a hostile exception must not take its teller down
        lines = [f"its message cannot be shown ({type(second).__name__})"]
    return plain(lines[0][:_MESSAGE_MAX]) if lines else ""


def plain(text: str) -> str:
    """`text` with what no database holds (NUL, lone surrogates) replaced."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def describe(error: BaseException, package: str = "") -> str:
    """`Type: message (file:line)` of a plugin's failure; the line is the deepest one inside `package`, if that is given."""
    told = message(error)
    text = f"{type(error).__name__}: {told}" if told else type(error).__name__
    if isinstance(error, TreasuryArenaError):
        text = told
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__) if package else ():
        module = str(frame.f_globals.get("__name__", ""))
        if module.split(".")[0] == package:
            place = f" ({frame.f_code.co_filename}:{line})"
    return text + place
