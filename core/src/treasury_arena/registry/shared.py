"""What a plugin shares with all other code of the process: put back where loading one changed it."""

from __future__ import annotations

import contextlib
import decimal
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _enter(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _context() -> decimal.Context:
    context = decimal.getcontext().copy()
    context.clear_flags()
    return context


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _handlers() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


def _handle(handlers: dict[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():  # no other thread can have changed one
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _numpy_errors() -> dict[str, str]:
    """How numpy treats overflow and its like; its own default as long as nobody imported it."""
    numpy = sys.modules.get("numpy")
    return dict(numpy.geterr()) if numpy is not None else _NUMPY_ERRORS


def _treat(errors: dict[str, str]) -> None:
    if "numpy" in sys.modules:
        sys.modules["numpy"].seterr(**errors)


_SHARED: tuple[tuple[str, Callable[[], Any], Callable[[Any], object]], ...] = (
    ("the working directory", _folder, _enter),
    ("the context of decimal", _context, decimal.setcontext),
    ("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the switch interval of threads", sys.getswitchinterval, sys.setswitchinterval),
    ("standard error", lambda: sys.stderr, lambda stream: setattr(sys, "stderr", stream)),
    ("how numpy treats errors", _numpy_errors, _treat),
    ("the mask of new files' permissions", _mask, os.umask),
    ("the handlers of signals", _handlers, _handle),
)


@contextlib.contextmanager
def undisturbed(changed: list[str]) -> Iterator[None]:
    """Put back, at its end, what code inside changed for all others, and note it in `changed`."""
    before = [read() for _, read, _ in _SHARED]
    try:
        yield
    finally:
        for (name, read, put_back), value in zip(_SHARED, before, strict=True):
            if repr(read()) != repr(value):
                put_back(value)
                changed.append(name)
