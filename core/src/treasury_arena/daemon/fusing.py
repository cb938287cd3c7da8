"""The fuses of a daemon: made of the configuration, asked before new risk, and told what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from treasury_arena.clock import Clock, iso
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.fuse import Fuse, FuseContext, FuseHands, FuseView, Reading, Task
from treasury_arena.daemon.readings import MEASURED
from treasury_arena.domain.stops import OFF, SOFT
from treasury_arena.errors import ConfigError, nearest
from treasury_arena.events.event import Draft
from treasury_arena.events.live import OperatorCalled
from treasury_arena.isolation import calling
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore, fuses
from treasury_arena.trading.fuses import FuseKeeper


def make_fuses(settings: Settings, registry: Registry, *, live: bool) -> list[Fuse]:
    """The configured fuses.

    Raises ConfigError for one that judges by what nobody measures, or when none guards real money; PluginError for one that
    is not installed.
    """
    names = settings.daemon.fuses
    if live and not names:
        raise ConfigError('daemon.fuses is empty; live trading needs at least one, for example ["survival"]')
    made = []
    for name in names:
        factory = registry.require("fuses", name)
        with calling(f"fuse {name!r}"):
            fuse: Fuse = factory(
                settings.sections.get(f"fuse.{name}"), FuseContext(live, registry.guards, registry.actions)
            )
        for reading in fuse.needs:
            if reading not in MEASURED:
                raise ConfigError(
                    f"fuse.{name} judges by the reading {reading!r}, which nothing measures here: {nearest(reading, MEASURED)}; "
                    "leave out the condition that needs it"
                )
        made.append(fuse)
    return made


class Fuses:
    """All fuses of one store.

    Args:
        store: keeps their states.
        fuses: as `make_fuses` gives them.
        clock: wall time: nothing that guards runs on a paced clock.
    """

    def __init__(self, store: EventStore, fuses: Sequence[Fuse], clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.keepers = [FuseKeeper(store, fuse, clock) for fuse in fuses]
        self.names = tuple(fuse.name for fuse in fuses)

    def tick(self, readings: Mapping[str, Reading], view: FuseView, hands: FuseHands) -> None:
        """Judge what was measured, and do what is due."""
        for keeper in self.keepers:
            keeper.tick(readings, view, hands)

    def level(self) -> str:
        """What the fuses stop, as a level of the emergency stop: new risk, or nothing."""
        with self.store.database.read() as connection:
            return SOFT if fuses.why_no_risk(connection, self.names, self.clock) else OFF


class NoChain(FuseView, FuseHands):
    """View and hands where no order leaves the books: there is nothing to cancel, to repay or to sell on any chain.

    New risk is halted all the same: the arena reads the fuses before it trades.
    """

    def __init__(self, call: Callable[[Task], None], called: Callable[[str], bool]) -> None:
        self._call, self._called = call, called

    def waiting_orders(self) -> int:
        return 0

    def unmined_orders(self) -> int:
        return 0

    def leverage(self) -> float:
        return 1.0

    def exposure_raw(self) -> int:
        return 0

    def notified(self, key: str) -> bool:
        return self._called(key)

    def drop_waiting(self, task: Task) -> None:
        """Nothing waits."""

    def cancel_unmined(self, task: Task) -> None:
        """Nothing was sent."""

    def delever(self, task: Task, leverage: float) -> None:
        """Nothing is owed."""

    def reduce(self, task: Task, exposure_raw: int) -> None:
        """Nothing is held."""

    def notify(self, task: Task) -> None:
        self._call(task)


class Operator:
    """Calls a person through the event log: observers deliver what they read there."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def call(self, task: Task) -> None:
        """Put a task's reason into the log, once."""
        if not self.called(task.key):
            self.say(task.key, task.reason)

    def say(self, key: str, text: str) -> None:
        """Put a message into the log. `key` names what it is about."""
        self.store.append([Draft(OperatorCalled(key, text), iso(self.clock.now()))])

    def called(self, key: str) -> bool:
        """Whether a message with this key is in the log."""
        return any(event.payload.key == key for event in self.store.read(event_type="OperatorCalled", tail=200))
