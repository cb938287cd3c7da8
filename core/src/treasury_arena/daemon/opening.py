"""A daemon put together: its folder and clock, the store under its lease, the arena, the fuses, the scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.arena.cycle import CycleReport
from treasury_arena.audience import following, make_audience
from treasury_arena.clock import Clock, PacedClock, WallClock, from_epoch, iso
from treasury_arena.config.daemon import LIVE
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.runtime import Scheduler, SchedulerContext
from treasury_arena.daemon.brain import Brain
from treasury_arena.daemon.fusing import Fuses, NoChain, Operator, make_fuses
from treasury_arena.daemon.hands import ChainHands
from treasury_arena.daemon.service import Service, Told, told
from treasury_arena.daemon.trading import ChainTrading
from treasury_arena.errors import ConfigError, LeaseLostError
from treasury_arena.events.daemon import DaemonStarted, DaemonStopped
from treasury_arena.events.event import Draft
from treasury_arena.isolation import calling
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.lease import Lease, LeaseKeeper
from treasury_arena.store.slot_book import StoreSlotBook
from treasury_arena.store.stop import STOP_FILE


def pace(settings: Settings, now: datetime) -> dict[str, Any]:
    """What a daemon's folder notes of its clock when it is begun at `now`; empty for the wall's own."""
    daemon = settings.daemon
    if daemon.speed == 1.0:
        return {}
    if daemon.mode == LIVE:
        raise ConfigError(
            f"daemon.speed is {daemon.speed:g}; expected 1 in live mode: real markets keep their own time"
        )
    start = datetime.combine(settings.start, time(), UTC)
    return {"begun": iso(now), "start": iso(start), "speed": daemon.speed}


def paced(notes: Mapping[str, Any], wall: Clock) -> Clock:
    """The arena's clock, as noted when the daemon was begun."""
    if not notes:
        return wall
    begun, start = (datetime.fromisoformat(notes[key]) for key in ("begun", "start"))
    return PacedClock(start, float(notes["speed"]), wall, begun)


"""The stop file of an arena whose store is no file, in the daemon's folder."""


@attrs.frozen(eq=False)
class Opened:
    """A daemon that holds the lease and is ready to run."""

    service: Service
    scheduler: Scheduler
    slots: StoreSlotBook
    tell: Told

    def run(self) -> None:
        """Work until the scheduler is stopped."""
        self.scheduler.run([told(job, self.tell) for job in self.service.jobs()], self.slots)


def stop_file(store: EventStore, folder: Path) -> Path:
    """The file whose presence stops everything: beside the arena's SQLite store, else in the daemon's folder."""
    return Path(f"{store.path}.stop") if store.path is not None else folder / STOP_FILE


@contextlib.contextmanager
def opened(
    settings: Settings,
    registry: Registry,
    store: EventStore,
    folder: Path,
    live_url: str | None,
    clock: Clock,
    *,
    data: Path | None,
    workers: int | None,
    tell: Told,
    progress: Callable[[CycleReport], None],
) -> Iterator[Opened]:
    """Take the lease, open the arena and everything that watches it, and look at the market once.

    `live_url`: database of orders on a chain, None where nothing leaves the books.

    Raises LeaseLostError while another daemon holds the store; ConfigError, DataError and PluginError as `assemble` does; with
    orders on a chain ChainUnavailableError and SignerError when it cannot be reconciled with.
    """
    daemon, wall = settings.daemon, WallClock()
    fuses = make_fuses(settings, registry, live=daemon.mode == LIVE)
    factory = registry.require("schedulers", daemon.scheduler)
    with calling(f"scheduler {daemon.scheduler!r}"):
        context = SchedulerContext(clock, store.database.url.render_as_string(hide_password=False), folder)
        scheduler: Scheduler = factory(settings.sections.get(f"scheduler.{daemon.scheduler}"), context)

    def lost(error: LeaseLostError) -> None:
        tell(f"stopping: {error}")
        scheduler.stop()

    with contextlib.ExitStack() as stack:
        live = None
        if live_url is not None:
            live = stack.enter_context(open_store(live_url))
        audience = make_audience(settings, registry, store, folder.resolve().name, folder)
        if live is not None:
            audience.listen(live, live=True)
        wake = stack.enter_context(following(audience))
        lease = Lease(store, wall, seconds=daemon.lease_seconds)
        stack.enter_context(LeaseKeeper(lease, lost))
        fenced = guarded = lease.guarded()
        trading: ChainTrading | None = None
        if live is not None:
            second = Lease(live, wall, seconds=daemon.lease_seconds)
            stack.enter_context(LeaseKeeper(second, lost))
            guarded = second.guarded()
            names = tuple(fuse.name for fuse in fuses)
            trading = ChainTrading(settings, registry, guarded, fenced, wall, stop_file(store, folder), names, tell)
            trading.begin()
        guards, operator = Fuses(guarded, fuses, wall), Operator(guarded, wall)
        brain = Brain(
            settings, registry, fenced, clock, data=data, workers=workers, halted=guards.level, tell=wake, say=tell
        )
        stack.callback(brain.close)
        hands: ChainHands | NoChain
        if trading is None:
            hands = NoChain(operator.call, operator.called)
        else:
            hands = ChainHands(trading.desk, trading.specs, operator, wall)
        service = Service(daemon, brain, guards, hands, hands, wall, tell, progress, trading)
        service.look(0)  # the fuses are asked about nothing before there is something to judge
        slots = StoreSlotBook(lease)
        for job, slot in slots.interrupted():
            tell(f"{job}: the run of slot {iso(from_epoch(slot))} was cut short; what it left undone is due again")
        jobs = {job.name: job.every_seconds for job in service.jobs()}
        holder = lease.holder.name
        said = [DaemonStarted(holder, lease.token, daemon.mode, version("treasury-arena-core"), jobs)]
        fenced.append([Draft(payload, iso(wall.now())) for payload in said])
        with trading.advancing(daemon.order_seconds, lost) if trading is not None else contextlib.nullcontext():
            yield Opened(service, scheduler, slots, tell)
        with contextlib.suppress(LeaseLostError):  # whoever took the lease has said so in the log
            fenced.append([Draft(DaemonStopped(holder, lease.token, "asked to stop"), iso(wall.now()))])
