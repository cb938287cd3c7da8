"""A watchdog for code of others: a call that runs beyond its limit gets an exception raised inside it.

Works for Python code on any thread (an endless loop included); a call stuck inside compiled code cannot be
interrupted this way, which is why the lint refuses data-dependent loops in kernel functions. Code that swallows every
exception for ever is interrupted for ever, and ends when one arrives outside its ``try``.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import time
import weakref
from types import TracebackType

from treasury_arena.clock import Stopwatch
from treasury_arena.errors import ValidationError

#: A call that computes nothing is ended after this many seconds of wall time, or this many times its limit.
WALL_SECONDS, WALL_FACTOR = 60.0, 30.0

#: A call that swallowed the exception gets it again so often, and threads take turns so quickly meanwhile.
CHASE_SECONDS, HURRY_SECONDS = 2e-4, 1e-5

Leave = functools.partial[None]


class LoopLimitError(BaseException):
    """Raised inside a call that ran beyond its limit. Not an Exception, so that ``except Exception`` does not swallow it."""


class Watchdog:
    """Guards the calls of one thread at a time; a call guarded inside another shares the outer one's limit.

    The limit is processor time of the guarded thread, so that a busy or sleeping machine kills nobody; a call that waits
    without computing is ended by the wall clock after a much longer while.

    Used as a context manager around each call: entering and leaving cost about a microsecond, because one thread
    looks at the clock every `poll` seconds (default: a quarter of the limit) instead of a timer being set for each call. A
    call that swallows the exception gets it again and again until it ends.

    It does not look more often than it must: while it waits for its turn, each turn the guarded thread gives away, as array
    code does all the time, wakes it in vain, and that costs more than the call.
    """

    def __init__(self, limit_seconds: float, poll: float | None = None) -> None:
        self.limit_seconds = limit_seconds
        self._poll = limit_seconds / 4 if poll is None else poll
        self._wall = Stopwatch()
        self._lock = threading.Lock()
        self._since: float | None = None
        self._depth = 0
        self._fired = False
        self._again = False
        self._leave: Leave | None = None
        self._held: weakref.ref[Leave] | None = None
        self._thread_id = 0
        self._clock_id = 0
        self._wall_since = 0.0
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
        # The with statement alone keeps its way out alive: while it lives, the call is inside.
        self._held, self._leave = None if self._leave is None else weakref.ref(self._leave), None
        self._thread_id, self._fired, self._again = threading.get_ident(), False, False
        self._clock_id = time.pthread_getcpuclockid(self._thread_id)
        self._wall_since = self._wall.seconds()
        self._since = time.thread_time()
        return self

    @property
    def __exit__(self) -> Leave:
        leave = functools.partial(self._out)
        if not self._depth:
            self._leave = leave
        return leave

    def _out(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._depth = max(0, self._depth - 1)
            if not self._depth:
                self._since = None
            pending = self._fired and (self._again or kind is not LoopLimitError)
            self._fired = self._again = False
        if pending:
            _absorb()

    def _late(self) -> bool:
        if self._since is None:
            return False
        if time.clock_gettime(self._clock_id) - self._since > self.limit_seconds:
            return True
        return self._wall.seconds() - self._wall_since > max(WALL_SECONDS, WALL_FACTOR * self.limit_seconds)

    def close(self) -> None:
        """End the watching thread."""
        self._closed.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def _watch(self) -> None:
        while not self._closed.wait(self._poll):
            if self._fired:
                with _HURRY:
                    while self._chase() and not self._closed.wait(CHASE_SECONDS):
                        pass
            with self._lock:
                if self._late() and _interruptible(self._thread_id):
                    # Everything is settled before the exception is on its way: it may interrupt __exit__ itself.
                    self._since, self._depth, self._fired = None, 0, True
                    _send(self._thread_id, LoopLimitError)

    def _chase(self) -> bool:
        """Send the exception again to a call that swallowed it and is still inside; False when there is none."""
        with self._lock:
            if not self._fired or self._held is None or self._held() is None:
                return False
            if _interruptible(self._thread_id):
                self._again = True
                _send(self._thread_id, LoopLimitError)
            return True


class _Hurry:
    """While any call is chased, threads change places often: an exception that arrives in the very handler that swallowed
    the one before is swallowed no more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chasing = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._chasing:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(HURRY_SECONDS)
            self._chasing += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._chasing -= 1
            if not self._chasing:
                sys.setswitchinterval(self._usual)


_HURRY = _Hurry()


def _interruptible(thread_id: int) -> bool:
    """Whether the thread runs code that may be torn out of: not this module, nor what holds locks of its own.

    The exception arrives in the very frame seen here, because threads switch where exceptions are looked for. A tracing tool
    or `threading` interrupted between taking and releasing a lock would hang the process; the next poll looks again.
    """
    frame = sys._current_frames().get(thread_id)
    if frame is None:
        return False
    module = str(frame.f_globals.get("__name__", ""))
    return module not in {__name__, "threading"} and module.partition(".")[0] != "coverage"


def _absorb() -> None:
    """Let an exception that was sent and has not arrived arrive here, not later in code that is not guarded.

    It arrives at the next jump backwards, or was swallowed already. Taking it back instead (sending NULL) leaves the
    interpreter's flag set for ever, which costs every later loop and hangs traced code on Python 3.11.
    """
    try:
        for _ in range(64):
            pass
    except LoopLimitError:
        return


def _send(thread_id: int, error: type[BaseException]) -> None:
    """Raise `error` inside a thread at its next call or jump backwards."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))
