"""A process that trips its fuse and stops at a chosen point, to be killed there: ``killed.py DATABASE DIARY POINT``.

The diary is a file that its hands write each deed to, durably, before they go on: what really happened outside the store.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from treasury_arena.clock import VirtualClock
from treasury_arena.contracts.fuse import FuseContext, FuseHands, FuseView, Reading, Step, Task
from treasury_arena.store import open_store
from treasury_arena.trading.fuses import FuseKeeper
from treasury_arena_risk.machine import SurvivalFuse, build

T0 = datetime(2024, 5, 1, tzinfo=UTC)
POINTS = ("decided", "committed", "acting", "acted", "finished")


class Outside(FuseView, FuseHands):
    """A treasury that lives in the diary: one line per deed."""

    def __init__(self, diary: Path, point: str) -> None:
        self.diary, self.point = diary, point

    def deeds(self) -> list[str]:
        return self.diary.read_text().split() if self.diary.exists() else []

    def waiting_orders(self) -> int:
        return 0 if "halt_new_risk" in self.deeds() else 3

    def unmined_orders(self) -> int:
        return 0 if "cancel_unmined" in self.deeds() else 2

    def leverage(self) -> float:
        return 1.0 if "delever" in self.deeds() else 2.0

    def exposure_raw(self) -> int:
        return 500 if "reduce" in self.deeds() else 1_000

    def notified(self, key: str) -> bool:
        return "notify" in self.deeds()

    def _do(self, task: Task) -> None:
        if task.action == "cancel_unmined":
            hang_at("acting", self.point)
        with self.diary.open("a") as file:
            file.write(f"{task.action}\n")
            file.flush()
            os.fsync(file.fileno())
        if task.action == "cancel_unmined":
            hang_at("acted", self.point)

    def drop_waiting(self, task: Task) -> None:
        self._do(task)

    def cancel_unmined(self, task: Task) -> None:
        self._do(task)

    def delever(self, task: Task, leverage: float) -> None:
        self._do(task)

    def reduce(self, task: Task, exposure_raw: int) -> None:
        self._do(task)

    def notify(self, task: Task) -> None:
        self._do(task)


def hang_at(here: str, point: str) -> None:
    if here == point:
        print(here, flush=True)
        time.sleep(600)


class Hanging(SurvivalFuse):
    """Stops inside the transaction, after the decision and before the commit."""

    point = ""

    def step(self, record: Any, readings: Any, now: datetime) -> Step:
        step = super().step(record, readings, now)
        hang_at("decided", self.point)
        return step


def readings(drawdown: float, now: datetime) -> dict[str, Reading | None]:
    values: dict[str, float] = {
        "volatility": 0.5,
        "drawdown": drawdown,
        "daily_drawdown": 0.0,
        "magnet_conflict": 0.1,
        "magnet_primary": 60.0,
        "magnet_secondary": 20.0,
        "trend_alignment": 0.7,
        "liquidity_score": 80.0,
        "health_factor": 2.0,
        "execution_failures": 0,
        "ledger_mismatch_raw": 0,
        "peg_deviation": 0.0,
        "heartbeat_age_s": 1.0,
    }
    return {name: Reading(value, now) for name, value in values.items()}


def main(database: str, diary: str, point: str) -> None:
    made = build(None, FuseContext(live=True))
    fuse = Hanging(made.section, made.guards, made.actions)
    Hanging.point = point
    with open_store(database, create=False) as store:
        keeper = FuseKeeper(store, fuse, VirtualClock(T0))
        outside = Outside(Path(diary), point)
        step = keeper.check(readings(0.06, T0))
        hang_at("committed", point)
        keeper.act(step, outside, outside)
        hang_at("finished", point)


if __name__ == "__main__":
    main(*sys.argv[1:])
