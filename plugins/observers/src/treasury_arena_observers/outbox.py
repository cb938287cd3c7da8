"""Delivers letters to one address from a thread of its own: grouped, at a bounded rate, tried again with growing waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from treasury_arena.clock import Stopwatch

HOUR_SECONDS = 3_600.0


@attrs.frozen
class Letter:
    """One event for a person: how grave (a level of `logging`), what, and its line."""

    level: int
    title: str
    text: str


@attrs.frozen(kw_only=True)
class Pace:
    """How letters go out; the keys of ``[observer.notify]`` tell what each is."""

    group_seconds: float
    hourly: int
    tries: int
    retry_seconds: float
    retry_seconds_max: float
    queue: int


class Outbox:
    """The letters to one address.

    Args:
        name: of the address, fit to be shown.
        send: delivers letters, told how many before them were lost; returns why it could not, or an empty text.
        tell: hears of failures and losses, from this thread or the one that puts.
    """

    def __init__(
        self, name: str, send: Callable[[Sequence[Letter], int], str], pace: Pace, tell: Callable[[str], None]
    ) -> None:
        self.name, self._send, self._pace, self._tell = name, send, pace, tell
        self._watch = Stopwatch()
        self._changed = threading.Condition()
        self._waiting: deque[Letter] = deque()
        self._under_way = 0
        self._lost = 0
        self._ending = False
        self._begun = 0.0
        self._sent: deque[float] = deque()
        self._thread = threading.Thread(target=self._work, name=f"outbox {name}", daemon=True)
        self._thread.start()

    def put(self, letter: Letter) -> None:
        """Take a letter; returns at once. When too many wait it is lost, which is told, and counted in the next message."""
        with self._changed:
            full = len(self._waiting) >= self._pace.queue
            first = full and self._lost == 0
            if full:
                self._lost += 1
            else:
                if not self._waiting:
                    self._begun = self._watch.seconds()
                self._waiting.append(letter)
                self._changed.notify_all()
        if first:
            self._tell(f"{self.name}: {self._pace.queue} events wait already; further ones are lost until it answers")

    def end(self) -> None:
        """Send what waits without further grouping, limits or waits, in two tries; no letter is put afterwards."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end; tells what is left undelivered when it does not."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            with self._changed:
                left = len(self._waiting) + self._under_way + self._lost
            self._tell(f"{self.name}: ended with {left} events not delivered: no answer")

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            self._deliver(*taken)

    def _take(self) -> tuple[list[Letter], int] | None:
        """The letters of the next message, once they may go out; None when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            while not self._ending and (wait := self._wait()) > 0.0:
                self._changed.wait(wait)
            if not self._waiting and not self._lost:
                return None
            letters, lost = list(self._waiting), self._lost
            self._waiting.clear()
            self._lost, self._under_way = 0, len(letters)
            self._sent.append(self._watch.seconds())
            return letters, lost

    def _wait(self) -> float:
        """Seconds until the next message may go out."""
        now = self._watch.seconds()
        while self._sent and self._sent[0] <= now - HOUR_SECONDS:
            self._sent.popleft()
        grouping = self._begun + self._pace.group_seconds - now
        limited = self._sent[0] + HOUR_SECONDS - now if len(self._sent) >= self._pace.hourly else 0.0
        return max(grouping, limited)

    def _deliver(self, letters: list[Letter], lost: int) -> None:
        wait = self._pace.retry_seconds
        for number in range(1, self._pace.tries + 1):
            reason = self._send(letters, lost)
            if not reason:
                if number > 1:
                    self._tell(f"{self.name}: delivered at try {number}")
                break
            if number == 1:
                self._tell(f"{self.name}: not delivered, it is tried again: {reason}")
            with self._changed:
                last = self._ending and number > 1
                if not last and number < self._pace.tries:
                    self._changed.wait_for(lambda: self._ending, wait)
            wait = min(wait * 2.0, self._pace.retry_seconds_max)
            if last or number == self._pace.tries:
                self._tell(f"{self.name}: {len(letters) + lost} events given up after {number} tries: {reason}")
                with self._changed:
                    # The next message says so, too; at the end there is none.
                    self._lost += 0 if self._ending else len(letters) + lost
                break
        with self._changed:
            self._under_way = 0
