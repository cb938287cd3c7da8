"""Readings that keep their distance, ways to spoil them, and a treasury in memory that a fuse can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.fuse import FuseContext, FuseHands, FuseView, Reading, Step, Task
from treasury_arena.contracts.fuse_record import FuseRecord
from treasury_arena.domain.fuses import FuseState
from treasury_arena_risk.config import SurvivalSection
from treasury_arena_risk.machine import SurvivalFuse, build

T0 = datetime(2024, 5, 1, tzinfo=UTC)

CALM: dict[str, float | int] = {
    "volatility": 0.5,
    "drawdown": 0.01,
    "daily_drawdown": 0.0,
    "magnet_conflict": 0.1,
    "magnet_primary": 60.0,
    "magnet_secondary": 20.0,
    "trend_alignment": 0.7,
    "liquidity_score": 80.0,
    "health_factor": 2.0,
    "execution_failures": 0,
    "ledger_mismatch_raw": 0,
    "peg_deviation": 0.001,
    "heartbeat_age_s": 5.0,
}

#: Condition -> what makes it trigger, and nothing else.
SPOILED: dict[str, dict[str, float]] = {
    "volatility_spike": {"volatility": 2.5},
    "drawdown_breach": {"drawdown": 0.06},
    "magnet_conflict": {"magnet_conflict": 0.9},
    "magnet_inversion": {"magnet_secondary": 61.0},
    "trend_flip": {"trend_alignment": -0.5},
    "liquidity_dry": {"liquidity_score": 10.0},
}


class Treasury(FuseView, FuseHands):
    """What a fuse looks at and acts on. `calls` counts what was done; an action named in `broken` raises."""

    def __init__(self, waiting: int = 3, unmined: int = 2, leverage: float = 2.5, exposure: int = 1_001) -> None:
        self.waiting, self.unmined, self.lever, self.exposure = waiting, unmined, leverage, exposure
        self.sent: list[str] = []
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.watch: Callable[[Task], None] = lambda task: None

    def waiting_orders(self) -> int:
        return self.waiting

    def unmined_orders(self) -> int:
        return self.unmined

    def leverage(self) -> float:
        return self.lever

    def exposure_raw(self) -> int:
        return self.exposure

    def notified(self, key: str) -> bool:
        return key in self.sent

    def _call(self, task: Task) -> None:
        self.watch(task)
        self.calls.append(task.action)
        if task.action in self.broken:
            raise OSError(f"{task.action} is not possible now")

    def drop_waiting(self, task: Task) -> None:
        self._call(task)
        self.waiting = 0

    def cancel_unmined(self, task: Task) -> None:
        self._call(task)
        self.unmined = 0

    def delever(self, task: Task, leverage: float) -> None:
        self._call(task)
        self.lever = leverage

    def reduce(self, task: Task, exposure_raw: int) -> None:
        self._call(task)
        self.exposure = exposure_raw

    def notify(self, task: Task) -> None:
        self._call(task)
        self.sent.append(task.key)


class Bench:
    """Builders, and the pure machine driven by hand."""

    T0 = T0
    CALM = CALM
    SPOILED = SPOILED
    Treasury = Treasury

    def readings(self, now: datetime, changes: dict[str, Any] | None = None) -> dict[str, Reading | None]:
        """Calm readings of the moment `now`; a change is a value, or a whole Reading, or None for one that is missing."""
        found: dict[str, Reading | None] = {name: Reading(value, now) for name, value in CALM.items()}
        for name, value in (changes or {}).items():
            found[name] = value if value is None or isinstance(value, Reading) else Reading(value, now)
        return found

    def spoiled(self, now: datetime, conditions: Iterable[str]) -> dict[str, Reading | None]:
        """Readings at which exactly these conditions trigger."""
        return self.readings(now, {key: value for name in conditions for key, value in SPOILED[name].items()})

    def fuse(self, live: bool = True, **keys: Any) -> SurvivalFuse:
        return build(SurvivalSection(**keys), FuseContext(live))

    def at(self, seconds: float) -> datetime:
        return T0 + timedelta(seconds=seconds)

    def settled(self, record: FuseRecord) -> FuseRecord:
        """The record with every action done."""
        return attrs.evolve(record, tasks=tuple(attrs.evolve(one, done=True, attempts=1) for one in record.tasks))

    def state(self, state: FuseState, fuse: SurvivalFuse) -> FuseRecord:
        """A record in a state, reached the way the machine reaches it; its last check is at second 0."""
        if state is FuseState.ARMED:
            return fuse.step(None, self.readings(T0), T0).record
        if state is FuseState.COOLING:
            tripped = self.at(-200)
            record = fuse.step(None, self.spoiled(tripped, ["drawdown_breach"]), tripped).record
            return self.run(fuse, self.settled(record), range(-180, 1, 20)).record
        if state is FuseState.LOCKED:
            fuse = SurvivalFuse(attrs.evolve(fuse.section, trips_max=1), fuse.guards, fuse.actions)
        changes = {"volatility": 1.7} if state is FuseState.WARNED else SPOILED["drawdown_breach"]
        return fuse.step(None, self.readings(T0, changes), T0).record

    def run(self, fuse: SurvivalFuse, record: FuseRecord | None, seconds: Iterable[float], changes: Any = None) -> Step:
        """Step at each of `seconds` with equal readings; the last step."""
        step: Step | None = None
        for second in seconds:
            now = self.at(second)
            step = fuse.step(record, self.readings(now, changes), now)
            assert {event.fuse for event in step.events} <= {fuse.name}, step.events
            record = step.record
        assert step is not None
        return step


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench()
