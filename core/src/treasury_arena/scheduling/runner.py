"""SlotRunner: claims, runs and records the slots of jobs. Schedulers differ in what wakes it, and in nothing else.

One thread looks; each run has a thread of its own, which only calls the job. So the book is never asked by two at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import attrs

from treasury_arena.clock import Clock, Stopwatch, rate_of
from treasury_arena.contracts.runtime import Job, SlotBook
from treasury_arena.domain.slots import MissReason, due, newest_slot, next_slot
from treasury_arena.errors import LeaseLostError, StoreError, TreasuryArenaError, ValidationError, required_text
from treasury_arena.isolation import calling, describe
from treasury_arena.scheduling.bell import Bell

LOG = logging.getLogger("treasury_arena.scheduling")
POLL_SECONDS = 1.0
JUMP_SECONDS = 2.0
"""By how much a clock may outrun the machine's monotonic one between two looks before it is said to have jumped."""
LAST_TRIES = 5
"""How often the end of a run is offered to a store that does not answer, when the scheduler is to end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOT_BEGUN = "not begun: the store answered too late"


def in_thread(name: str, work: Callable[[], None]) -> None:
    """Run `work` in a new thread."""
    threading.Thread(target=work, name=name).start()


@attrs.define
class _Track:
    """One job as the runner sees it.

    Attributes:
        last: its newest slot that was run or missed, as far as is known; None before its first.
        known: whether `last` was read in this run.
        under_way: the slot that was claimed and not recorded as finished.
        ended: how its work ended, None while it goes on; set by the thread that did it.
        doubt: a slot whose claim was not answered: it may be claimed.
        busy_until: when its newest run ended, by the clock.
        behind: whether the clock's going back was told.
        unanswered: whether the store did not answer at the last look.
        at, watch: clock and stopwatch at the last look that succeeded.
    """

    job: Job
    last: int | None = None
    known: bool = False
    under_way: int | None = None
    ended: str | None = None
    doubt: int | None = None
    busy_until: float = 0.0
    behind: bool = False
    unanswered: bool = False
    at: float = 0.0
    watch: float = 0.0


class SlotRunner:
    """Runs `jobs` at their slots, as `book` and `clock` have it.

    Args:
        bell: rung when a run ends, and told to stop.
        spawn: begins a run: ``spawn(name, work)``.
        elapsed: seconds of a clock that never jumps.

    Raises ValidationError for jobs that cannot be: a doubled name, a period below a second.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        book: SlotBook,
        clock: Clock,
        bell: Bell,
        *,
        poll_seconds: float = POLL_SECONDS,
        spawn: Callable[[str, Callable[[], None]], None] = in_thread,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        check_jobs(jobs)
        self.book = book
        self.clock = clock
        self.bell = bell
        self.poll_seconds = poll_seconds
        self.trouble = ""
        self._tracks = [_Track(job) for job in jobs]
        self._spawn = spawn
        self._elapsed = elapsed or Stopwatch().seconds
        self._rate = rate_of(clock)
        self._fatal: BaseException | None = None

    def run(self) -> None:
        """Look until the bell says stop, then wait for the runs under way.

        Raises LeaseLostError when the lease is lost, KeyboardInterrupt when a job raised it, StoreError when the end of a
        run could not be recorded; each after the runs under way have ended.
        """
        try:
            while not self.stopping:
                self.bell.wait(self.look())
        finally:
            self.drain()
        if self._fatal is not None:
            raise self._fatal

    @property
    def stopping(self) -> bool:
        """Whether nothing more begins."""
        return self.bell.stopped or self._fatal is not None

    def look(self) -> float:
        """Record what has ended and begin what is due; returns the seconds of the machine's clock until the next look.

        A store that does not answer is asked again at the next look; a lost lease ends everything.
        """
        trouble = ""
        for track in self._tracks:
            try:
                self._look_at(track)
            except LeaseLostError as error:
                self._end(error)
            except StoreError as error:
                track.unanswered = True
                trouble = str(error)
            except TreasuryArenaError as error:
                self._end(error)
        if trouble and not self.trouble:
            LOG.warning("no slot can begin: %s", trouble)
        self.trouble = trouble
        return self._wait()

    def drain(self) -> None:
        """Begin nothing more, wait for the runs under way, and record how they ended."""
        self.bell.stop()
        tries = 0
        while any(track.under_way is not None for track in self._tracks):
            waiting = False
            for track in self._tracks:
                waiting |= track.under_way is not None and track.ended is None
                try:
                    self._record(track)
                except StoreError as error:
                    tries += 1
                    if tries >= LAST_TRIES:
                        self._end(error)
                        track.under_way = None
                except TreasuryArenaError as error:
                    self._end(error)
                    track.under_way = None
            if waiting or any(track.under_way is not None for track in self._tracks):
                self.bell.wait(self.poll_seconds)

    def _end(self, error: BaseException) -> None:
        if self._fatal is None:
            self._fatal = error

    def _record(self, track: _Track) -> None:
        """Record the end of a run, if one has ended."""
        if track.under_way is not None and track.ended is not None:
            self.book.finish(track.job.name, track.under_way, track.ended)
            track.under_way = track.ended = None

    def _look_at(self, track: _Track) -> None:
        job = track.job
        self._record(track)
        if self.stopping:
            return
        self._settle(track)
        if not track.known:
            track.last = self.book.last(job.name)
        now, watch = self._now(), self._elapsed()
        self._tell_of_going_back(track, now)
        gap = self._gap(track, now, watch)
        found = due(
            now,
            job.every_seconds,
            job.late_seconds,
            job.catch_up,
            track.last,
            under_way=track.under_way is not None,
            gap=gap,
        )
        if found.missed:
            self.book.miss(job.name, found.missed, str(found.reason))
            track.last = found.missed[-1]
        if found.run is not None:
            self._begin(track, found.run)
        track.known, track.unanswered = True, False
        track.at, track.watch = now, watch

    def _gap(self, track: _Track, now: float, watch: float) -> MissReason:
        if not track.known:
            return MissReason.ABSENT
        if track.unanswered:
            return MissReason.STORE
        if now - track.at > (watch - track.watch + JUMP_SECONDS) * self._rate:
            return MissReason.JUMPED
        first = now if track.last is None else next_slot(track.last, track.job.every_seconds)
        return MissReason.RUNNING if first <= track.busy_until else MissReason.LATE

    def _tell_of_going_back(self, track: _Track, now: float) -> None:
        """Say once that a job waits because the clock stands before slots that it has run."""
        behind = track.last is not None and now < track.last
        if behind and not track.behind:
            LOG.warning(
                "the clock stands %d seconds before the newest slot of job %r; none begins until it has passed that",
                round((track.last or 0) - now),
                track.job.name,
            )
        track.behind = behind

    def _settle(self, track: _Track) -> None:
        """Find out about a claim that was not answered: begin its slot if there is still time, and give it up otherwise."""
        slot, job = track.doubt, track.job
        if slot is None:
            return
        claimed = self.book.claim(job.name, slot)
        track.doubt = None
        if not claimed:
            track.last = self.book.last(job.name)
            return
        track.last = slot
        now = self._now()
        if now - slot <= job.late_seconds or (job.catch_up and newest_slot(now, job.every_seconds) == slot):
            self._call(track, slot)
        else:
            track.under_way, track.ended = slot, NOT_BEGUN
            self._record(track)

    def _begin(self, track: _Track, slot: int) -> None:
        try:
            claimed = self.book.claim(track.job.name, slot)
        except StoreError:
            track.doubt = slot
            raise
        if claimed:
            track.last = slot
            self._call(track, slot)
        else:
            track.last = self.book.last(track.job.name)

    def _call(self, track: _Track, slot: int) -> None:
        track.under_way, track.ended = slot, None
        try:
            self._spawn(f"job {track.job.name}", lambda: self._work(track, slot))
        except RuntimeError as error:  # the system has no thread left
            track.ended = describe(error)

    def _work(self, track: _Track, slot: int) -> None:
        error = ""
        try:
            with calling(f"job {track.job.name!r}"):
                track.job.call(slot)
        except LeaseLostError as lost:
            error = describe(lost)
            self._end(lost)
        except TreasuryArenaError as failed:
            error = describe(failed) or type(failed).__name__
        except KeyboardInterrupt as interrupt:
            error = "stopped by the user"
            self._end(interrupt)
        finally:
            track.busy_until = self._now()
            track.ended = error
            self.bell.ring()

    def _wait(self) -> float:
        waits = [self.poll_seconds]
        now = self._now()
        for track in self._tracks:
            last = now if track.last is None else max(now, track.last)
            waits.append((next_slot(last, track.job.every_seconds) - now) / self._rate)
        return max(0.0, min(waits))

    def _now(self) -> float:
        return (self.clock.now() - _EPOCH).total_seconds()


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise ValidationError for a doubled or empty name, a period below a second, or a negative allowance."""
    names: set[str] = set()
    for job in jobs:
        required_text(job.name, "a job's name")
        if job.name in names:
            raise ValidationError(f"two jobs are called {job.name!r}; give each a name of its own")
        names.add(job.name)
        if job.every_seconds < 1:
            raise ValidationError(f"job {job.name!r} has the period {job.every_seconds} s; expected at least 1")
        if job.late_seconds < 0:
            raise ValidationError(f"job {job.name!r} may be late by {job.late_seconds} s; expected 0 or more")
