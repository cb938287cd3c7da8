"""Survival fuses: guards judge readings, a fuse steps from state to state, actions reach what a trip asks for.

A fuse is pure: readings and a time in, events and due actions out. It fails closed: a reading that is missing, no
number, impossible or stale is a trigger as one at its limit is. `treasury_arena.trading.fuses` commits what it says before
anything is done about it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from treasury_arena.contracts.fuse_record import FuseRecord


@attrs.frozen
class Reading:
    """One measured number and when it was measured (UTC). Whoever could not measure gives None, never a guess."""

    value: float | int | None
    at: datetime | None


Readings = Mapping[str, Reading | None]


@attrs.frozen
class Trigger:
    """What a guard found.

    Attributes:
        guard: its name.
        reading: the name of the reading, empty where none is concerned.
        why: ``limit`` for a value at or beyond its limit, else why the reading cannot be relied on: ``missing``,
            ``not_a_number``, ``impossible``, ``stale``, ``future``, or ``failed`` for a guard that broke.
        value, limit: as text, because NaN has no JSON.
        text: one sentence with the numbers.
    """

    guard: str
    reading: str
    why: str
    value: str
    limit: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Two triggers of one key are the same one, going on."""
        return (self.guard, self.reading, self.why)


@attrs.frozen
class Judgement:
    """What a guard says at one moment; neither triggers nor warnings when all its readings keep their distance."""

    triggers: tuple[Trigger, ...] = ()
    warnings: tuple[Trigger, ...] = ()


class Guard(ABC):
    """Judges readings. A condition is a guard that may be left out of the configuration.

    Attributes:
        name: unique within a fuse.
        readings: names of the readings it judges.
        always_on: cannot be switched off in live mode.
        reduces: a trigger by its limit also asks for less exposure, not only for a halt. False where the trouble is that
            the arena does not know how things stand.
        locks: any trigger locks the fuse.
    """

    name: str
    readings: tuple[str, ...]
    always_on: bool = False
    reduces: bool = False
    locks: bool = False

    @abstractmethod
    def judge(self, readings: Readings, now: datetime) -> Judgement:
        """Return triggers and warnings. Pure. Must trip at the limit itself, and on whatever cannot be relied on.

        A guard that raises counts as triggered.
        """


@attrs.frozen
class Task:
    """One action of one trip.

    Attributes:
        fuse, trip, action: which.
        reason: why the fuse tripped.
        target_raw: what is to be reached, as `Action.target` measured it; None where there is nothing to measure, or not yet.
    """

    fuse: str
    trip: int
    action: str
    reason: str
    target_raw: int | None = None

    @property
    def key(self) -> str:
        """The same for every try, so that whatever acts twice can tell."""
        return f"{self.fuse}:{self.trip}:{self.action}"


class FuseView(ABC):
    """How the treasury stands, for the postconditions of actions. Each method raises when it cannot be known."""

    @abstractmethod
    def waiting_orders(self) -> int:
        """Orders that increase risk and have not been sent yet."""

    @abstractmethod
    def unmined_orders(self) -> int:
        """Orders that increase risk, were sent, and are in no block yet."""

    @abstractmethod
    def leverage(self) -> float:
        """The highest leverage of any account: what it holds over its equity, 1.0 without debt."""

    @abstractmethod
    def exposure_raw(self) -> int:
        """What is held beyond lending of the base asset, in its base units."""

    @abstractmethod
    def notified(self, key: str) -> bool:
        """Whether a notification with this key has been delivered."""


class FuseHands(ABC):
    """What a fuse may have done. Each method may be called again with the same task: it goes on, never does it twice."""

    @abstractmethod
    def drop_waiting(self, task: Task) -> None:
        """Cancel orders that increase risk and have not been sent."""

    @abstractmethod
    def cancel_unmined(self, task: Task) -> None:
        """Replace sent orders that increase risk by cancellations."""

    @abstractmethod
    def delever(self, task: Task, leverage: float) -> None:
        """Repay debt until no account's leverage is above `leverage`."""

    @abstractmethod
    def reduce(self, task: Task, exposure_raw: int) -> None:
        """Sell until `FuseView.exposure_raw` is not above `exposure_raw`."""

    @abstractmethod
    def notify(self, task: Task) -> None:
        """Tell people."""


class Action(ABC):
    """Something a trip asks for, with a postcondition. Tried again until the postcondition holds; every try is recorded.

    Attributes:
        name: unique within a fuse.
        holds: the fuse stays tripped until it is done.
        standing: its postcondition is looked at, and restored, for as long as the fuse is tripped or locked.
    """

    name: str
    holds: bool = True
    standing: bool = False

    def target(self, view: FuseView) -> int | None:
        """What is to be reached, measured and recorded once per trip before the first try; None for nothing to measure."""
        return None

    @abstractmethod
    def done(self, view: FuseView, task: Task) -> bool:
        """Whether the postcondition holds."""

    @abstractmethod
    def perform(self, hands: FuseHands, task: Task) -> None:
        """Work towards the postcondition. Idempotent: a try that follows another, even one cut short, does nothing twice."""


@attrs.frozen
class Step:
    """What follows from one look at the readings.

    Attributes:
        record: the fuse afterwards; exactly what folding `events` into the one before gives.
        events: payloads of the catalog, to be committed together, before any action.
        actions: what is to be tried now, in this order.
    """

    record: FuseRecord
    events: tuple[Any, ...]
    actions: tuple[Task, ...]


class Fuse(ABC):
    """A state machine over guards and actions.

    Attributes:
        name: the fuse's name, key of its row in the table `fuses`.
        needs: every reading its guards judge.
        actions: by name.
    """

    name: str
    needs: tuple[str, ...]
    actions: Mapping[str, Action]

    @abstractmethod
    def step(self, record: FuseRecord | None, readings: Readings, now: datetime) -> Step:
        """Judge `readings` at `now` (UTC). Pure; `record` is None for a fuse that was never armed. Never raises for readings."""


@attrs.frozen
class FuseContext:
    """What a fuse's factory gets beside its section: whether money is real, and the guards and actions of other plugins."""

    live: bool
    guards: Mapping[str, Guard] = attrs.field(factory=dict)
    actions: Mapping[str, Action] = attrs.field(factory=dict)
