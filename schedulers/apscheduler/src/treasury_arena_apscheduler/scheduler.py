"""The scheduler: APScheduler wakes, the core's `SlotRunner` decides.

APScheduler coalesces wake-ups and knows nothing of slots, so none of its misfires matters: each wake-up, and each poll in
between, makes the runner look at the clock and the book.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from treasury_arena.clock import Clock, WallClock, rate_of
from treasury_arena.contracts.runtime import Job, Scheduler, SchedulerContext, SlotBook
from treasury_arena.domain.slots import next_slot
from treasury_arena.scheduling.bell import Bell
from treasury_arena.scheduling.runner import SlotRunner
from treasury_arena.store.database import Database, parse_url
from treasury_arena.store.event_store import BUSY_TIMEOUT_MS
from treasury_arena_apscheduler.config import ApschedulerSection
from treasury_arena_apscheduler.jobstore import WAKE, WakeStore
from treasury_arena_apscheduler.waking import listening

PERSISTENT, FAST = "default", "fast"
FAST_SECONDS = 1.0
"""Wake-ups that come more often, by the machine's clock, are kept in memory: each would be a write to the database."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ApsScheduler(Scheduler):
    """Jobs woken by APScheduler. For one `run`, which raises what `SlotRunner.run` does, and StoreError when the table of
    persistent jobs cannot be made.
    """

    name = "apscheduler"

    def __init__(self, section: ApschedulerSection, context: SchedulerContext) -> None:
        self._poll_seconds = section.poll_seconds
        self._context = context
        self._bell = Bell()

    def run(self, jobs: Sequence[Job], book: SlotBook) -> None:
        clock = self._context.clock
        runner = SlotRunner(jobs, book, clock, self._bell, poll_seconds=self._poll_seconds)
        with listening(self._bell, [job.name for job in jobs]), self._waking(jobs):
            runner.run()

    def stop(self) -> None:
        self._bell.stop()

    @contextmanager
    def _waking(self, jobs: Sequence[Job]) -> Iterator[None]:
        """APScheduler at work with a wake-up for each job."""
        url = parse_url(self._context.url)
        database = Database(url, create=True, readonly=False, busy_timeout_ms=BUSY_TIMEOUT_MS)
        store = WakeStore(database)
        scheduler = BackgroundScheduler(
            jobstores={PERSISTENT: store, FAST: MemoryJobStore()},
            executors={"default": DebugExecutor()},  # a wake-up rings a bell and is over: it needs no thread
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone=UTC,
        )
        try:
            with database.failing_as_store_error():
                scheduler.start(paused=True)
                kept = []
                for job in jobs:
                    trigger = wake_ups(job, self._context.clock)
                    fast = trigger.interval_length < FAST_SECONDS
                    kept += [] if fast else [job.name]
                    scheduler.add_job(
                        WAKE,
                        trigger,
                        args=(job.name,),
                        id=job.name,
                        name=job.name,
                        jobstore=FAST if fast else PERSISTENT,
                        replace_existing=True,
                    )
            store.keep_only(kept)
            scheduler.resume()
            yield
        finally:
            if scheduler.running:
                scheduler.shutdown()
            database.close()


def wake_ups(job: Job, clock: Clock) -> IntervalTrigger:
    """When the machine's clock shows what `clock` calls the slots of a job."""
    rate, now = rate_of(clock), (clock.now() - _EPOCH).total_seconds()
    first = WallClock().now() + timedelta(seconds=(next_slot(now, job.every_seconds) - now) / rate)
    return IntervalTrigger(seconds=job.every_seconds / rate, start_date=first, timezone=UTC)


def build(section: ApschedulerSection | None, context: SchedulerContext) -> Scheduler:
    """The factory."""
    return ApsScheduler(section or ApschedulerSection(), context)
