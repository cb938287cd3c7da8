"""`arena chaos`: the proof that nothing is lost, to be run again by anybody."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from treasury_arena.cli.common import (
    config_argument,
    data_option,
    db_option,
    emit,
    json_option,
    out_option,
    quiet_option,
    read_config,
)
from treasury_arena.cli.folder import RunFolder
from treasury_arena.cli.live import chain_trading
from treasury_arena.clock import WallClock
from treasury_arena.config.daemon import LIVE, PAPER
from treasury_arena.config.keys import dereference
from treasury_arena.daemon import losses
from treasury_arena.daemon.brain import Brain
from treasury_arena.daemon.chaos import Chaos, Killed
from treasury_arena.daemon.opening import paced
from treasury_arena.errors import ConfigError, StoreError
from treasury_arena.registry.loader import load_registry
from treasury_arena.scheduling.signals import hearing
from treasury_arena.store import open_store

SAID = "chaos.said"
ARENA_STORE, LIVE_STORE = "the arena's store", "the live store"


@click.command("chaos")
@config_argument
@click.option(
    "--minutes", type=click.FloatRange(min=0.0, min_open=True), default=2.0, show_default=True, help="How long."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the moments at which it is killed.")
@data_option
@db_option
@out_option
@quiet_option
@json_option
def chaos(
    config: Path,
    minutes: float,
    seed: int,
    data: Path | None,
    db: str | None,
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Kill a daemon (SIGKILL) and start it again at random moments, then prove that nothing was lost, doubled or hidden.

    For paper, or for a chain of your own (`arena chain local`); never for a live one. Afterwards logs, ledgers and tables are
    audited, every slot of every job is accounted for, the arena's decisions are those of one that nobody interrupted, no order
    was executed twice, and the books are what the chain has. Exit code 1 when anything differs.

    \b
    Example:
      arena chaos examples/chaos.toml --minutes 2
    """
    registry = load_registry()
    settings = read_config(config, registry, {})
    if settings.daemon.mode == LIVE:
        raise ConfigError(
            "daemon.mode is 'live'; expected 'paper' or 'local': nobody kills a daemon that manages real money"
        )
    folder = RunFolder(out if out is not None else Path("runs") / f"{settings.name}-chaos")
    if folder.begun:
        raise ConfigError(f"{folder.path} already holds a run: give another --out")
    folder.path.mkdir(parents=True, exist_ok=True)
    words = ["daemon", str(config), "--out", str(folder.path)]
    words += ["--db", db] if db is not None else []
    words += ["--data", str(data)] if data is not None else []
    seen: dict[str, list[tuple[int, str]]] = {ARENA_STORE: [], LIVE_STORE: []}
    killed = _kill(words, folder, minutes, seed, quiet, lambda: _witness(folder, db, seen))
    found, counts = _lost(folder, db, data, bool(settings.daemon.fuses), seen)
    ready = sorted(killed.ready_seconds)
    document = {
        "out": str(folder.path),
        "kills": killed.kills,
        "kills_before_ready": killed.early,
        "ready_seconds": {"median": statistics.median(ready), "max": ready[-1]},
        **counts,
        "lost": found,
    }
    if as_json:
        emit(document)
    else:
        _tell(document)
    return 1 if found else 0


def _witness(folder: RunFolder, db: str | None, seen: dict[str, list[tuple[int, str]]]) -> None:
    """Note the newest event of every store that is there already."""
    if not folder.begun:
        return
    live = folder.live_url()
    places = {ARENA_STORE: dereference(db) if db is not None else folder.store_url(), LIVE_STORE: live}
    for name, place in places.items():
        try:
            if place is not None:
                with open_store(place, create=False, readonly=True) as store:
                    seen[name].append(store.last())
        except StoreError:
            if seen[name]:  # it was there before
                raise


def _kill(
    words: list[str], folder: RunFolder, minutes: float, seed: int, quiet: bool, witness: Callable[[], None]
) -> Killed:
    console = Console(stderr=True, quiet=quiet)
    with console.status("chaos") as status:
        live = console.is_terminal and not quiet

        def tell(seconds: float, kills: int) -> None:
            text = f"chaos: {seconds:.0f} of {60 * minutes:.0f} s, killed {kills} times"
            if live:
                status.update(text)
            elif kills % 10 == 0:
                console.print(text)

        work = Chaos(words, folder.path / SAID, seed, tell, witness)
        with hearing(lambda _: work.stop()):  # ended by any signal it ends its daemon first
            return work.run(60.0 * minutes)


def _lost(
    folder: RunFolder, db: str | None, data: Path | None, fused: bool, seen: dict[str, list[tuple[int, str]]]
) -> tuple[list[str], dict[str, Any]]:
    """What was lost, and what was looked at."""
    place = dereference(db) if db is not None else folder.store_url()
    with open_store(place, create=False, readonly=True) as store:
        found = losses.damage(store, ARENA_STORE)
        events = [] if found else list(store.read())  # a damaged log is not read
        if not found:
            found += losses.tail(events, [one for one in seen[ARENA_STORE] if one[0]], ARENA_STORE)
        found += losses.slots(events)
        differ, compared = ([], None) if fused or not events else losses.decisions(events, _uninterrupted(folder, data))
        counts: dict[str, Any] = {
            "events": len(events),
            "cycles": sum(event.event_type == "EvolutionCycleComplete" for event in events),
            "starts": sum(event.event_type == "DaemonStarted" for event in events),
            "slots": sum(event.event_type == "JobClaimed" for event in events),
            "slots_missed": sum(event.payload.count for event in events if event.event_type == "JobMissed"),
            "decisions_compared": compared,
        }
    found += differ
    if folder.notes().get("mode") != PAPER:
        more, states = _lost_on_chain(folder, db, seen[LIVE_STORE])
        found += more
        counts["orders"] = states
    return found, counts


def _uninterrupted(folder: RunFolder, data: Path | None) -> list[Any]:
    """The events of an arena of the same configuration that nobody interrupted, until now by its own clock."""
    registry = load_registry()
    notes = folder.notes()
    settings = read_config(folder.kept_config(), registry, {"seed": notes["seed"]})
    with open_store("sqlite://") as store:
        brain = Brain(
            settings, registry, store, paced(notes["clock"], WallClock()), data=data, workers=notes["workers"]
        )
        try:
            brain.observe()
            brain.cycles()
        finally:
            brain.close()
        return list(store.read())


def _lost_on_chain(folder: RunFolder, db: str | None, seen: list[tuple[int, str]]) -> tuple[list[str], dict[str, int]]:
    with chain_trading(folder.path, None, db, readonly=True) as trading:
        found = losses.damage(trading.store, LIVE_STORE)
        if found:  # a damaged log is not read
            return found, {}
        events = list(trading.store.read())
        found += losses.tail(events, [one for one in seen if one[0]], LIVE_STORE)
        more, states = losses.orders(events)
        result = trading.engine.reconcile(write=False)
        return [*found, *more, *result.differences], states


def _tell(document: dict[str, Any]) -> None:
    ready = document["ready_seconds"]
    click.echo(
        f"killed {document['kills']} times, {document['kills_before_ready']} of them before it was ready; ready again after "
        f"{ready['median']:.1f} s, at most {ready['max']:.1f} s"
    )
    click.echo(
        f"{document['starts']} starts, {document['cycles']} cycles, {document['slots']} slots of jobs, "
        f"{document['slots_missed']} missed and told, {document['events']} events"
    )
    compared = document["decisions_compared"]
    click.echo(
        "decisions were not compared: its log is damaged, or the fuses of daemon.fuses halt new risk whenever nobody watches"
        if compared is None
        else f"{compared} decisions compared with those of an arena that nobody interrupted"
    )
    if "orders" in document:
        states = ", ".join(f"{n} {state}" for state, n in sorted(document["orders"].items())) or "none"
        click.echo(f"orders on the chain: {states}")
    for text in document["lost"]:
        click.echo(f"LOST: {text}")
    click.echo("something was lost, doubled or hidden" if document["lost"] else "nothing was lost, doubled or hidden")
