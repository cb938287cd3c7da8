"""A fuse at work: what it decides is committed first, then its actions are tried, and each try is recorded.

A process that dies before the commit leaves a fuse that trips at its next check; one that dies after it leaves a tripped fuse
whose actions are tried from where they were.
"""

from __future__ import annotations

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.clock import Clock, iso
from treasury_arena.contracts.fuse import Action, Fuse, FuseHands, FuseView, Readings, Step, Task
from treasury_arena.contracts.fuse_record import TaskRecord
from treasury_arena.errors import StoreError, TreasuryArenaError
from treasury_arena.events.catalog import FuseActionBegun, FuseActionTaken
from treasury_arena.events.event import Draft
from treasury_arena.isolation import calling, message
from treasury_arena.store import fuses
from treasury_arena.store.event_store import EventStore


class FuseKeeper:
    """Keeps one fuse in one store. `tick` is all that a daemon needs to call."""

    def __init__(self, store: EventStore, fuse: Fuse, clock: Clock) -> None:
        self.store = store
        self.fuse = fuse
        self.clock = clock

    def tick(self, readings: Readings, view: FuseView, hands: FuseHands) -> Step:
        """Check, then try what is due.

        Raises StoreError when the check cannot be committed: nothing was done then, and once the last check has lost its
        validity the store lets no new risk through.
        """
        step = self.check(readings)
        self.act(step, view, hands)
        return step

    def check(self, readings: Readings) -> Step:
        """Judge `readings` against the stored record and commit what follows, in one transaction."""
        taken: list[Step] = []

        def decide(connection: Connection) -> list[Draft]:
            now = self.clock.now()
            before = fuses.record(self.store, connection, self.fuse.name)
            step = self.fuse.step(before, readings, now)
            taken.append(step)
            return [Draft(payload, iso(now)) for payload in step.events]

        self.store.append_decided(decide)
        return taken[-1]

    def act(self, step: Step, view: FuseView, hands: FuseHands) -> None:
        """Try the step's actions, each by itself: whatever one raises is recorded, and the next one is tried."""
        for task in step.actions:
            self._try(task, self.fuse.actions[task.action], view, hands)

    def _try(self, task: Task, action: Action, view: FuseView, hands: FuseHands) -> None:
        with self.store.database.read() as connection:
            held = self._held(connection, task)
        if held is None:
            return  # reset, or tripped anew, meanwhile
        reached = False
        try:
            with calling(f"action {task.action!r}"):
                measured = action.target(view) if held.task.target_raw is None else None
            if measured is not None:
                self._record(FuseActionBegun(task.fuse, task.trip, task.action, measured), task)
            task = held.task if measured is None else attrs.evolve(held.task, target_raw=measured)
            with calling(f"action {task.action!r}"):
                reached = action.done(view, task)
                if reached and held.done:
                    return
                if not reached:
                    action.perform(hands, task)
                    reached = action.done(view, task)
            why = "" if reached else "its postcondition does not hold yet"
        except StoreError:
            raise
        except TreasuryArenaError as error:
            why = message(error)
        self._record(FuseActionTaken(task.fuse, task.trip, task.action, held.attempts + 1, reached, why), task)

    def _record(self, payload: FuseActionBegun | FuseActionTaken, task: Task) -> None:
        def decide(connection: Connection) -> list[Draft]:
            return [Draft(payload, iso(self.clock.now()))] if self._held(connection, task) else []

        self.store.append_decided(decide)

    def _held(self, connection: Connection, task: Task) -> TaskRecord | None:
        """How far the task is; None when the fuse has another trip by now, or none."""
        record = fuses.record(self.store, connection, self.fuse.name)
        held = record.tasks if record is not None else ()
        return next((one for one in held if one.task.key == task.key), None)
