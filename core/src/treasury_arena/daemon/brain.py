"""The arena of a daemon: it learns what became known of its market, thinks in cycles, and says what everything is worth."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from treasury_arena.arena.cycle import CycleReport
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.assembly import Assembled, assemble
from treasury_arena.clock import Clock, from_epoch, iso, to_epoch
from treasury_arena.config.settings import Settings
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import DataError
from treasury_arena.events.event import Draft, Event
from treasury_arena.events.live import MarketObserved, TreasuryMarked
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore
from treasury_arena.trading.account import Account


@attrs.frozen(eq=False)
class Mark:
    """The treasury at a row.

    Attributes:
        row, time: which moment of the market, seconds since 1970.
        worth_raw, peak_raw, day_peak_raw: base units, now and at most, ever and on this day.
        accounts: the funded agents as they are at it.
    """

    row: int
    time: int
    worth_raw: int
    peak_raw: int
    day_peak_raw: int
    accounts: tuple[Account, ...]


class Brain:
    """An arena in a market that goes on.

    Whatever it stores it stores under `lock`, so that no other writer of the same process is in a cycle's way.

    Args:
        settings, registry: of the arena.
        store: of its events.
        clock: what time it is for the arena.
        data, cache, workers: as `assemble` takes them.
        halted: what stops new risk besides the emergency stop, as a level of it.
        tell: hears of every cycle's events; the configured observers unless given.

    Raises ConfigError when the store holds another arena, or the arena begins in the future.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: EventStore,
        clock: Clock,
        *,
        data: Path | None = None,
        cache: Path | None = None,
        workers: int | None = None,
        halted: Callable[[], str] = lambda: OFF,
        tell: Callable[[Sequence[Event]], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings, self.registry, self.store, self.clock = settings, registry, store, clock
        self.lock = threading.RLock()
        self._data, self._cache, self._workers, self._say = data, cache, workers, say
        self._assembled = self._assemble()
        self.manager: ArenaManager = self._assembled.manager(store, halted=halted, tell=tell)
        self._noted = self._last_noted()
        self._note()

    def close(self) -> None:
        """Release threads; the store stays open."""
        self.manager.close()
        self._assembled.close()

    @property
    def frame(self) -> MarketFrame:
        """What is known of the market."""
        return self.manager.world.frame

    @property
    def newest(self) -> int:
        """The newest row that is known."""
        return self.frame.rows - 1

    def _assemble(self, before: Assembled | None = None) -> Assembled:
        return assemble(
            self.settings,
            self.registry,
            data=self._data,
            cache=self._cache,
            workers=self._workers,
            until=to_epoch(self.clock.now()),
            before=before,
            say=self._say,
        )

    def observe(self) -> bool:
        """Learn what became known since; False when nothing did.

        Raises DataError when rows that were known have changed: an arena must not go on with another past than it decided on.
        """
        with self.lock:
            if to_epoch(self.clock.now()) < self.frame.end or self.newest >= self.manager.world.last_row:
                return False
            fresh = self._assemble(self._assembled)
            fresh.close()  # only its world is new; the arena keeps its threads
            self._unchanged(fresh.world.frame)
            self.manager.observe(fresh.world)
            self._note()
            return True

    def cycles(self, progress: Callable[[CycleReport], None] | None = None) -> int:
        """Run every cycle that is due, and return how many; what a stop or an error leaves undone is due again."""
        with self.lock:
            count = 0
            self.manager.observe(self.manager.world)
            while (report := self.manager.run_evolution_cycle()) is not None:
                count += 1
                if progress is not None:
                    progress(report)
            return count

    def mark(self) -> Mark:
        """Say what everything is worth at the newest row, and store it once for each row."""
        with self.lock:
            row = self.newest
            accounts = self.manager.preview(row)
            worth = self.manager.worth_raw(accounts, row)
            before = next((event.payload for event in self.store.read(event_type="TreasuryMarked", tail=1)), None)
            peak = day_peak = worth
            if before is not None:
                peak = max(peak, before.peak_raw)
                if self._day(before.row) == self._day(row):
                    day_peak = max(day_peak, before.day_peak_raw)
            if before is None or before.row < row:
                self._append(TreasuryMarked(row, worth, peak, day_peak))
            return Mark(row, self.frame.epoch(row), worth, peak, day_peak, tuple(accounts))

    def _day(self, row: int) -> int:
        return self.frame.epoch(row) // 86_400

    # -- that the past stays as it was

    def _last_noted(self) -> MarketObserved | None:
        found = next((event.payload for event in self.store.read(event_type="MarketObserved", tail=1)), None)
        if found is not None:
            self._noted = found
            self._unchanged(self.frame)
        return found

    def _unchanged(self, frame: MarketFrame) -> None:
        noted = self._noted
        if noted is None:
            return
        if noted.row >= frame.rows:
            raise DataError(
                f"the market data end at {frame.time(frame.rows - 1)}, but were known up to {noted.time} before: rows are missing"
            )
        if digest(frame, noted.row) != noted.digest:
            raise DataError(
                f"market data up to {noted.time} are not what they were when the arena decided on them: the source "
                f"{self.settings.source.name!r} has rewritten its past; nothing was done"
            )

    def _note(self) -> None:
        row = self.newest
        if self._noted is None or self._noted.row < row:
            self._noted = MarketObserved(row, iso(from_epoch(self.frame.epoch(row))), digest(self.frame, row))
            self._append(self._noted)

    def _append(self, payload: MarketObserved | TreasuryMarked) -> None:
        self.store.append([Draft(payload, iso(self.clock.now()))])


def digest(frame: MarketFrame, row: int) -> str:
    """sha256 over grid, names and values of all rows up to `row`."""
    known = hashlib.sha256(f"{frame.start}/{frame.step_seconds}".encode())
    for name in sorted(frame.columns):
        known.update(name.encode() + b"\0")
        known.update(frame.columns[name][: row + 1].astype("<f8").tobytes())
    return known.hexdigest()
