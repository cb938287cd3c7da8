"""`arena daemon`: an arena that goes on while its market does."""

from __future__ import annotations

import contextlib
import errno
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from treasury_arena.arena.phases import CycleReport
from treasury_arena.cli.common import (
    config_argument,
    data_option,
    db_option,
    emit,
    json_option,
    out_option,
    quiet_option,
    read_config,
    read_text,
    say,
    workers_option,
)
from treasury_arena.cli.folder import LIVE_STORE, RunFolder, absolute
from treasury_arena.clock import WallClock, iso
from treasury_arena.config.keys import dereference
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.runtime import Scheduler
from treasury_arena.daemon.opening import Opened, opened, pace, paced
from treasury_arena.errors import ConfigError, StoreAwayError, TreasuryArenaError
from treasury_arena.registry.loader import load_registry
from treasury_arena.scheduling.signals import hearing
from treasury_arena.store import open_store


class OutageError(TreasuryArenaError):
    """Something that the daemon needs is away for now: whoever watches over it starts it again."""


@contextlib.contextmanager
def _outages() -> Iterator[None]:
    """A store that is away for now is no mistake of a configuration, which nobody would start again."""
    try:
        yield
    except StoreAwayError as error:
        raise OutageError(str(error)) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise OutageError(f"{error.filename or 'a file'}: {error.strerror}") from error


@click.command("daemon")
@config_argument
@data_option
@db_option
@out_option
@workers_option
@click.option("--seconds", type=click.FloatRange(min=0.0), help="Stop after so many seconds; for trying things out.")
@quiet_option
@json_option
@_outages()
def daemon(
    config: Path,
    data: Path | None,
    db: str | None,
    out: Path | None,
    workers: int | None,
    seconds: float | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run an arena unattended: wake, observe, judge, breed, allocate, until SIGTERM or Ctrl-C.

    The same command goes on after a crash or a restart; its folder (runs/NAME-daemon unless given) keeps everything. One daemon
    at a time works on a store. Exit code 1 when a database, its disk or a node is away for now: start it again later. Exit code
    2 is a mistake that stays one.

    \b
    Example:
      arena daemon examples/daemon.toml --seconds 60
    """
    registry = load_registry()
    text = read_text(config)
    settings = read_config(config if config.is_file() else text, registry, {})
    folder = RunFolder(out if out is not None else Path("runs") / f"{settings.name}-daemon")
    wall = WallClock()
    url = absolute(db or settings.store.url or None)
    if folder.begun:
        notes = _same(folder, settings)
        place = dereference(db) if db else folder.store_url()
    else:
        notes = {
            "run_id": folder.path.resolve().name,
            "data": str(data.resolve()) if data is not None else None,
            **folder.where(url),
            "seed": settings.seed,
            "workers": workers,
            "mode": settings.daemon.mode,
            "live": absolute(settings.live.store or None),
            "live_inside": None if settings.live.store else LIVE_STORE,
            "clock": pace(settings, wall.now()),
        }
        folder.begin(text, notes)
        place = dereference(url) if url else str(folder.store_file)
    tell = _nothing if quiet else say
    clock = paced(notes["clock"], wall)
    given = data or (Path(notes["data"]) if notes["data"] else None)
    summary: dict[str, Any] = {}
    with (
        _Ending(tell) as ending,
        contextlib.suppress(_EndedEarlyError),
        open_store(place) as store,
        opened(
            settings,
            registry,
            store,
            folder.path,
            folder.live_url(),
            clock,
            data=given,
            workers=workers or notes["workers"],
            tell=tell,
            progress=lambda report: tell(_cycle(report, ready)),
        ) as ready,
    ):
        folder.keep(text)
        tell(f"arena daemon in {folder.path}: {settings.daemon.mode}, the arena's time is {iso(clock.now())}")
        with ending.of(ready.scheduler, seconds):
            ready.run()
        summary = _summary(ready)
    if as_json:
        emit({"out": str(folder.path), "mode": settings.daemon.mode, **summary})
    elif summary:
        click.echo(f"stopped after cycle {summary['cycle'] + 1}, event {summary['last_seq']}; the same command goes on")
    else:
        click.echo("stopped before it began; the same command goes on")
    return 0


def _cycle(report: CycleReport, ready: Opened) -> str:
    base = ready.service.brain.manager.settings.base
    capital = f"{base.to_float(report.capital_raw):,.2f} {base.symbol}"
    return f"cycle {report.cycle + 1}  {report.date}  alive {report.alive}  capital {capital}"


def _nothing(text: str) -> None:
    """Say nothing."""


def _same(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """The notes of a daemon's folder; raises ConfigError when it is another kind of run's."""
    notes = folder.notes()
    if "mode" not in notes:
        raise ConfigError(f"{folder.path} holds a run of history, not a daemon: give another --out")
    if notes["mode"] != settings.daemon.mode:
        raise ConfigError(
            f"{folder.path} was begun in mode {notes['mode']!r}, daemon.mode is {settings.daemon.mode!r}: their stores stay "
            "apart, give another --out"
        )
    return notes


def _summary(ready: Opened) -> dict[str, Any]:
    brain = ready.service.brain
    seq, digest = brain.store.last()
    return {"cycle": brain.manager.state.cycle, "row": brain.newest, "last_seq": seq, "digest": digest}


class _EndedEarlyError(KeyboardInterrupt):
    """A signal came before the daemon was ready: what was opened is closed again.

    As Ctrl-C it goes through the guards around plugins' code, which take everything else for a failure of theirs.
    """


class _Ending:
    """SIGTERM, Ctrl-C and a closed terminal end the daemon after the job under way, or its opening at once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._scheduler: Scheduler | None = None
        self._hearing = hearing(self._end)
        self._asked = False

    def __enter__(self) -> _Ending:
        self._hearing.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hearing.__exit__(*error)

    def _end(self, number: signal.Signals) -> None:
        self._asked = True
        if self._scheduler is None:
            raise _EndedEarlyError
        self._scheduler.stop()
        self._tell(f"{number.name}: stopping after the job under way")

    @contextlib.contextmanager
    def of(self, scheduler: Scheduler, seconds: float | None) -> Iterator[None]:
        """From now on a signal stops this scheduler; so does the end of so many seconds.

        Raises _EndedEarlyError for a signal that came before, and that whatever was being opened has taken for an error.
        """
        self._scheduler = scheduler
        if self._asked:
            raise _EndedEarlyError
        timer = None if seconds is None else threading.Timer(seconds, scheduler.stop)
        if timer is not None:
            timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
