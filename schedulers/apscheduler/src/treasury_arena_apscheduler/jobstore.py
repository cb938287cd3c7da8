"""The table of persistent jobs: APScheduler's own job store, made safe to read and to lose.

- A row is a pickle. Only the few classes that our jobs consist of are read, and only jobs that call `wake`: who can write the
  table cannot make the daemon run anything else.
- A database that does not answer is told in the log and asked again; APScheduler's own thread would die of it.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, TypeVar

from apscheduler.job import Job as PersistentJob
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

from treasury_arena.clock import WallClock
from treasury_arena.errors import StoreError
from treasury_arena.store.database import Database

LOG = logging.getLogger("treasury_arena.apscheduler")
WAKE = "treasury_arena_apscheduler.waking:wake"
TABLE = "apscheduler_jobs"
RETRY_SECONDS = 10
"""After how long a database that did not answer is asked for wake-ups again; the clock is looked at all the while."""

_READABLE = {
    ("apscheduler.triggers.interval", "IntervalTrigger"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
}

Answer = TypeVar("Answer")


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _READABLE:
            raise pickle.UnpicklingError(f"a persistent job may not hold {module}.{name}")
        return super().find_class(module, name)


class WakeStore(SQLAlchemyJobStore):  # type: ignore[misc]
    """Wake-ups in the arena's database."""

    def __init__(self, database: Database) -> None:
        super().__init__(engine=database.engine, tablename=TABLE)
        self._database = database

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the table; raises StoreError when the database refuses."""
        with self._database.failing_as_store_error():
            super().start(scheduler, alias)

    def get_due_jobs(self, now: datetime) -> list[PersistentJob]:
        return self._asked(lambda: super(WakeStore, self).get_due_jobs(now), [])

    def get_next_run_time(self) -> datetime | None:
        again = WallClock().now() + timedelta(seconds=RETRY_SECONDS)  # without a moment it would sleep for ever
        moment: datetime | None = self._asked(lambda: super(WakeStore, self).get_next_run_time(), again)
        return moment

    def update_job(self, job: PersistentJob) -> None:
        self._asked(lambda: super(WakeStore, self).update_job(job), None)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove the wake-ups of jobs that the daemon has no more."""
        with self._database.failing_as_store_error():
            for job in self.get_all_jobs():
                if job.id not in names:
                    self.remove_job(job.id)

    def shutdown(self) -> None:
        self._database.close()

    def _asked(self, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            with self._database.failing_as_store_error():
                return question()
        except StoreError as error:
            LOG.warning("wake-ups wait for the clock to be looked at: %s", error)
            return otherwise

    def _reconstitute_job(self, job_state: bytes) -> PersistentJob:
        state = _Reader(io.BytesIO(job_state)).load()
        if state["func"] != WAKE:
            raise pickle.UnpicklingError(f"a persistent job may not call {state['func']!r}")
        state["jobstore"] = self
        job = PersistentJob.__new__(PersistentJob)
        job.__setstate__(state)
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job
