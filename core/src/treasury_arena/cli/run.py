"""`arena run`, `resume`, `backtest` and `evolve`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path
from typing import Any

import attrs
import click

from treasury_arena.arena.begun import BegunError
from treasury_arena.arena.results import build_result
from treasury_arena.assembly import Assembled, assemble
from treasury_arena.cli.common import (
    config_argument,
    data_option,
    db_option,
    emit,
    find_folder,
    json_option,
    out_option,
    quiet_option,
    read_config,
    read_text,
    say,
    seed_option,
    workers_option,
)
from treasury_arena.cli.folder import RunFolder, absolute
from treasury_arena.cli.lines import barren
from treasury_arena.cli.paths import TypedPath
from treasury_arena.cli.progress import RunProgress
from treasury_arena.cli.resuming import resumable, resume_command
from treasury_arena.clock import PhaseTimer, Stopwatch, WallClock
from treasury_arena.config.keys import dereference
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import ConfigError, ReportError
from treasury_arena.isolation import describe
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import EventStore, open_store


@click.command("run")
@config_argument
@data_option
@db_option
@out_option
@seed_option
@workers_option
@quiet_option
@json_option
def run_command(
    config: Path,
    data: Path | None,
    db: str | None,
    out: Path | None,
    seed: int | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Replay history with an arena that only knows the past, and say what it would have made.

    \b
    Example:
      arena run examples/history.toml --data DATA --seed 2 --out runs/second
    """
    registry = load_registry()
    text = read_text(config)
    settings = read_config(config if config.is_file() else text, registry, {"seed": seed})
    stamp = WallClock().now().astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{settings.name}-{settings.profile}-s{settings.seed}-{stamp}"
    folder = RunFolder(out if out is not None else Path("runs") / run_id)
    if out is not None:
        run_id = out.resolve().name
    url = absolute(db or settings.store.url or None)
    notes = {
        "run_id": run_id,
        "data": str(data.resolve()) if data is not None else None,
        **folder.where(url),
        "seed": settings.seed,
        "workers": workers,
    }
    if folder.begun:
        raise ConfigError(f"{folder.path} already holds a run: `arena resume {folder.path}` goes on with it")
    place = dereference(url) if url else str(folder.store_file)
    advice = f"give another {'--db' if url else '--out'} for another run"

    @contextlib.contextmanager
    def begun(assembled: Assembled) -> Iterator[EventStore]:
        with contextlib.ExitStack() as opened:
            with folder.beginning(text, notes) as take_back:
                store = opened.enter_context(open_store(place))
                assembled.refuse_begun(store, advice)
            try:
                yield store
            except BegunError:  # of two runs that were begun here at once this one was the later
                take_back()
                raise

    secret = url if notes["db_has_password"] else None
    again = resume_command(folder.path, db or secret)
    return _go(folder, settings, registry, notes, begun, again, begins=advice, quiet=quiet, as_json=as_json)


@click.command("resume")
@click.argument("run", required=False, type=TypedPath())
@click.option("--out", type=TypedPath(), help="The run's folder (same as RUN).")
@db_option
@data_option
@click.option(
    "--seed", type=click.IntRange(min=0), help="Must be the run's own seed; for scripts that always pass one."
)
@workers_option
@quiet_option
@json_option
def resume(
    run: Path | None,
    out: Path | None,
    db: str | None,
    data: Path | None,
    seed: int | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Go on with an interrupted run from its last committed cycle; the result equals that of an uninterrupted one.

    RUN is the run's folder; the newest one under runs/ unless given.

    \b
    Example:
      arena resume runs/second
    """
    folder = find_folder(run, out)
    notes = folder.notes()
    if seed is not None and seed != notes["seed"]:
        raise ConfigError(f"the run was begun with seed {notes['seed']}, not {seed}: another seed is another run")
    notes = {
        **notes,
        "data": str(data.resolve()) if data is not None else notes["data"],
        "workers": workers or notes["workers"],
    }
    place = dereference(db) if db else folder.store_url()
    registry = load_registry()
    settings = read_config(folder.kept_config(), registry, {"seed": notes["seed"]})
    again = resume_command(folder.path, db, data)

    def kept(_: Assembled) -> EventStore:
        store = open_store(place)
        if not store.last()[0]:
            say("the run's store holds no event: none was stored before it ended, or they were lost; it begins anew")
        return store

    return _go(folder, settings, registry, notes, kept, again, quiet=quiet, as_json=as_json)


def _go(
    folder: RunFolder,
    settings: Settings,
    registry: Registry,
    notes: dict[str, Any],
    opened: Callable[[Assembled], AbstractContextManager[EventStore]],
    again: str,
    *,
    begins: str = "",
    quiet: bool,
    as_json: bool,
) -> int:
    """Assemble first, so that a run whose data or plugins are not good leaves nothing behind; then go in the store.

    `again` is the command that goes on with a run that is ended on its way; `begins` as `Assembled.manager` has it.
    """
    watch = Stopwatch()
    data = Path(notes["data"]) if notes["data"] else None
    assembled = assemble(settings, registry, data=data, workers=notes["workers"], say=None if quiet else say)
    try:
        with opened(assembled) as store, resumable(again):
            result = _cycles(assembled, store, notes["run_id"], folder, watch, begins=begins, quiet=quiet)
        for name in result.barren:
            say(barren(name, assembled.engine().why_barren(name)))
    finally:
        assembled.close()
    with resumable(again):
        return _report(result, folder, settings, registry, as_json=as_json)


def _report(result: RunResult, folder: RunFolder, settings: Settings, registry: Registry, *, as_json: bool) -> int:
    names = settings.report.reporters or tuple(sorted(registry.reporters))
    paths: list[Path] = []
    tables: list[str] = []
    failed: list[str] = []
    for name in names:
        reporter = registry.require("reporters", name)
        try:
            paths.extend(Path(path) for path in reporter.write(result, folder.path))
            if not as_json:
                tables.append(reporter.table(result))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # isolation: a reporter cannot undo a run that is complete
            reason = describe(error)
            if isinstance(error, OSError) and error.strerror:
                reason = f"{type(error).__name__}: {error.strerror}"
            failed.append(
                f"the reporter {name!r} failed in {folder.path}: {reason}; the run itself is "
                f"complete, `arena resume {folder.path}` reports it again"
            )
    if as_json:
        document = {**result.to_dict(), "files": [str(path) for path in paths], "out": str(folder.path)}
        if failed:
            document |= {"error": "; ".join(failed), "exit_code": ReportError.exit_code}
        emit(document)
    else:
        for table in tables:
            click.echo(table)
        for path in paths:
            click.echo(f"wrote {path}")
    if failed:
        say(f"arena: {'; '.join(failed)}")
        return ReportError.exit_code
    return 0


def _cycles(
    assembled: Assembled,
    store: EventStore,
    run_id: str,
    folder: RunFolder,
    watch: Stopwatch,
    *,
    begins: str,
    quiet: bool,
) -> RunResult:
    timer = PhaseTimer()
    manager = assembled.manager(store, timer, run=run_id, folder=folder.path, begins=begins)
    try:
        if manager.state.completed:
            say(f"{folder.path} is complete already: nothing is left to run, this is its result")
            result = build_result(manager, run_id)
            kept = {name: value for name, value in result.timings.items() if name in ("agent_steps", "events")}
            return attrs.evolve(result, timings=folder.timings() or kept)
        rows = manager.schedule()
        setup = watch.seconds()
        with RunProgress(len(rows), assembled.arena.base, quiet=quiet) as progress:
            manager.run(progress)
        spent = {
            "setup_seconds": setup,
            "search_seconds": timer.seconds("breed"),
            "live_seconds": timer.seconds("live"),
            "judge_seconds": timer.seconds("judge"),
            "store_seconds": timer.seconds("commit"),
            "seconds": watch.seconds(),
        }
        result = build_result(manager, run_id, spent)
        # The speed is that of the cycles, the seconds hold the result as well.
        return attrs.evolve(result, timings={**result.timings, "seconds": watch.seconds()})
    finally:
        manager.close()
