"""A watchdog for code of others: a call that runs beyond its limit gets an exception raised inside it.

Works for Python code on any thread (an endless loop included); a call stuck inside compiled code cannot be
interrupted this way, which is why the lint refuses data-dependent loops in kernel functions.
"""

from __future__ import annotations

import ctypes
import threading
from types import TracebackType

from treasury_arena.clock import Stopwatch
from treasury_arena.errors import ValidationError


class LoopLimitError(BaseException):
    """Raised inside a call that ran beyond its limit. Not an Exception, so that ``except Exception`` does not swallow it."""


class Watchdog:
    """Guards the calls of one thread at a time; a call guarded inside another shares the outer one's limit.

    Used as a context manager around each call: entering and leaving cost about a microsecond, because one thread
    looks at the clock every `poll` seconds instead of a timer being set for each call.
    """

    def __init__(self, limit_seconds: float, poll: float = 0.02) -> None:
        self.limit_seconds = limit_seconds
        self._poll = poll
        self._clock = Stopwatch()
        self._lock = threading.Lock()
        self._since: float | None = None
        self._depth = 0
        self._fired = False
        self._thread_id = 0
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Watchdog:
        if self._depth and self._thread_id != threading.get_ident():
            raise ValidationError("a watchdog guards one thread at a time; give every thread its own")
        self._depth += 1
        if self._depth > 1:
            return self
        if self._watcher is None:
            self._closed.clear()
            self._watcher = threading.Thread(target=self._watch, name="arena-watchdog", daemon=True)
            self._watcher.start()
        self._thread_id, self._fired = threading.get_ident(), False
        self._since = self._clock.seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._depth = max(0, self._depth - 1)
            if not self._depth:
                self._since = None
            if self._fired:
                # One that was sent and has not arrived must not arrive later, in code that is not guarded.
                self._fired = False
                _send(self._thread_id, None)

    def close(self) -> None:
        """End the watching thread."""
        self._closed.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def _watch(self) -> None:
        while not self._closed.wait(self._poll):
            with self._lock:
                if self._since is not None and self._clock.seconds() - self._since > self.limit_seconds:
                    # Everything is settled before the exception is on its way: it may interrupt __exit__ itself.
                    self._since, self._depth, self._fired = None, 0, True
                    _send(self._thread_id, LoopLimitError)


def _send(thread_id: int, error: type[BaseException] | None) -> None:
    """Raise `error` inside a thread at its next bytecode, or take back one that has not arrived."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if error is None else ctypes.py_object(error)
    )
