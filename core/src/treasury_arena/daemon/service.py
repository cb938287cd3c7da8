"""A daemon's jobs: cycles, marks, heartbeats, and with orders on a chain their advance and reconciliation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from treasury_arena.arena.cycle import CycleReport
from treasury_arena.clock import Clock, iso
from treasury_arena.config.daemon import Daemon as DaemonSettings
from treasury_arena.contracts.fuse import FuseHands, FuseView
from treasury_arena.contracts.runtime import Job
from treasury_arena.daemon.brain import Brain, Mark
from treasury_arena.daemon.fusing import Fuses
from treasury_arena.daemon.readings import FAILURES, Market, measure
from treasury_arena.daemon.trading import ChainTrading
from treasury_arena.errors import TreasuryArenaError
from treasury_arena.isolation import calling
from treasury_arena.store import EventStore

DAY_SECONDS = 86_400
#: A job on a paced clock is not called more often than this in wall time.
WALL_SECONDS_MIN = 0.2

Told = Callable[[str], None]


class Service:
    """The work of one daemon over one arena; each method is a job.

    Args:
        settings: of the daemon.
        brain: the arena.
        fuses: that must be closed before new risk.
        view, hands: of the fuses.
        wall: the machine's time.
        tell: hears one sentence about whatever is worth a line.
        progress: hears of every cycle.
        trading: orders on a chain, None where nothing leaves the books.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        brain: Brain,
        fuses: Fuses,
        view: FuseView,
        hands: FuseHands,
        wall: Clock,
        tell: Told,
        progress: Callable[[CycleReport], None] = lambda report: None,
        trading: ChainTrading | None = None,
    ) -> None:
        self.settings, self.brain, self.fuses, self.wall = settings, brain, fuses, wall
        self.view, self.hands, self.tell, self._progress = view, hands, tell, progress
        self.market, self.trading = Market(brain), trading
        self.mark: Mark | None = None
        self._seen = wall.now()
        self._lock = threading.Lock()

    def jobs(self) -> list[Job]:
        """Every job, on the arena's clock."""
        settings = self.settings
        jobs = [
            Job("cycle", DAY_SECONDS, self.cycle, settings.cycle_grace_seconds),
            Job("mark", self._paced(settings.mark_seconds), self.look, self._paced(settings.mark_seconds)),
            Job(
                "heartbeat",
                self._wall(settings.heartbeat_seconds),
                self.heartbeat,
                self._wall(settings.heartbeat_seconds),
            ),
        ]
        if self.trading is not None:
            every = self._wall(settings.reconcile_seconds)
            jobs.append(Job("reconcile", every, self.trading.reconcile, every))
        return jobs

    def _paced(self, seconds: int) -> int:
        """Seconds of the arena, stretched where they would be too short on the wall."""
        return max(seconds, round(WALL_SECONDS_MIN * self.settings.speed))

    def _wall(self, seconds: int) -> int:
        """Seconds of the wall, in those of the arena."""
        return max(1, round(seconds * self.settings.speed))

    def cycle(self, slot: int) -> None:
        """Learn what became known, and run every cycle that is due."""
        self.brain.observe()
        self.brain.cycles(self._progress)

    def look(self, slot: int) -> None:
        """Learn what became known, and mark the treasury."""
        self.brain.observe()
        mark = self.brain.mark()
        with self._lock:
            self.mark, self._seen = mark, self.wall.now()
        if self.trading is not None:
            self.trading.follow(self.brain, mark)

    def heartbeat(self, slot: int) -> None:
        """A sign of life: measure, and let the fuses judge."""
        if not self.fuses.keepers:
            return
        at = self.wall.now()
        with self._lock:
            mark, seen = self.mark, self._seen
        age = max(0.0, (at - seen).total_seconds() - self._mark_wall_seconds)
        with self.brain.lock:
            readings = measure(
                self.brain,
                self.market,
                mark,
                at,
                failures=self.failures,
                mismatch_raw=self.mismatch_raw,
                heartbeat_age_s=age,
            )
            self.fuses.tick(readings, self.view, self.hands)

    @property
    def _mark_wall_seconds(self) -> float:
        """Between two looks that all succeed, in wall time: what a sign of life may be old without being late."""
        return self._paced(self.settings.mark_seconds) / self.settings.speed

    def failures(self) -> int:
        """Orders and agents that failed in the last day: of the arena, and on a chain of the wall."""
        found = _failed(self.brain.store, self.brain.clock)
        return found if self.trading is None else found + _failed(self.trading.store, self.wall)

    def mismatch_raw(self) -> int:
        """Base units by which the balances that the events add up to and the stored ones differ, over all accounts.

        With orders on a chain, one more for everything that the newest reconciliation could not explain.
        """
        base = self.brain.manager.settings.base.symbol
        self.brain.manager.observe(self.brain.manager.world)
        folded = {key: amount for key, amount in self.brain.manager.state.ledger.balances().items() if key[1] == base}
        stored = {key: amount for key, amount in self.brain.store.balances().items() if key[1] == base}
        differs = sum(abs(folded.get(key, 0) - stored.get(key, 0)) for key in {*folded, *stored})
        return differs if self.trading is None else differs + self.trading.mismatch()


def _failed(store: EventStore, clock: Clock) -> int:
    since = iso(clock.now() - timedelta(days=1))
    return sum(event.timestamp >= since for kind in FAILURES for event in store.read(event_type=kind, tail=50))


def told(job: Job, tell: Told) -> Job:
    """The job, telling of what it raises before the scheduler records it."""

    def call(slot: int) -> None:
        try:
            with calling("its work"):
                job.call(slot)
        except TreasuryArenaError as error:
            tell(f"{job.name}: {error}")
            raise

    return Job(job.name, job.every_seconds, call, job.late_seconds, job.catch_up)
