"""A watchdog for code of others: a call that runs beyond its limit gets an exception raised inside it.

Works for Python code on any thread (an endless loop included); a call stuck inside compiled code cannot be
interrupted this way, which is why the lint refuses data-dependent loops in kernel functions.
"""

from __future__ import annotations

import ctypes
import threading
from types import TracebackType

from treasury_arena.clock import Stopwatch
from treasury_arena.errors import AgentError


class LoopLimitError(AgentError):
    """Raised inside a call that ran beyond its limit."""


class Watchdog:
    """Guards one call at a time on the thread that enters it.

    Used as a context manager around each call: entering and leaving cost about a microsecond, because one thread
    looks at the clock every `poll` seconds instead of a timer being set for each call.
    """

    def __init__(self, limit_seconds: float, poll: float = 0.02) -> None:
        self.limit_seconds = limit_seconds
        self._poll = poll
        self._clock = Stopwatch()
        self._lock = threading.Lock()
        self._since: float | None = None
        self._thread_id = 0
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Watchdog:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="arena-watchdog", daemon=True)
            self._watcher.start()
        self._thread_id = threading.get_ident()
        self._since = self._clock.seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._since = None

    def close(self) -> None:
        """End the watching thread."""
        self._closed.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def _watch(self) -> None:
        while not self._closed.wait(self._poll):
            with self._lock:
                since = self._since
                if since is not None and self._clock.seconds() - since > self.limit_seconds:
                    self._since = None
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._thread_id), ctypes.py_object(LoopLimitError)
                    )
