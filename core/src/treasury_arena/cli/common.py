"""What all commands share: options, output, and finding a run's folder and store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from treasury_arena.cli.folder import RunFolder, check_database, latest
from treasury_arena.cli.output import emit as emit
from treasury_arena.cli.paths import TypedPath
from treasury_arena.config.keys import dereference
from treasury_arena.config.load import load_config
from treasury_arena.config.parse import toml_text
from treasury_arena.config.resolve import left_out
from treasury_arena.config.settings import Settings
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.stop import StopFile

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr."
)


config_argument = click.argument("config", type=TypedPath())
data_option = click.option("--data", type=TypedPath(), help="Folder the data source's files are relative to.")
seed_option = click.option("--seed", type=click.IntRange(min=0), help="Seed, instead of the configuration's.")
workers_option = click.option("--workers", type=click.IntRange(min=1), help="Threads; no result depends on it.")
out_option = click.option("--out", type=TypedPath(), help="Folder for everything the run leaves behind.")


def _database(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        check_database(value)
    return value


def _db_option(instead: str) -> Callable[[Function], Function]:
    told = f"URL of a database, or path of a SQLite file, instead of {instead}."
    return click.option("--db", metavar="URL", callback=_database, help=told)


db_option = _db_option("a SQLite file in the run's folder")
quiet_option = click.option("--quiet", is_flag=True, help="No progress display.")


def say(text: str) -> None:
    """Tell the person something, on stderr."""
    click.echo(text, err=True)


def run_options(function: Function) -> Function:
    """Which run a command looks at: RUN (its folder), --out (the same), or --db."""
    function = _db_option("the run's own in its folder")(function)
    function = click.option("--out", type=TypedPath(), help="The run's folder (same as RUN).")(function)
    return click.argument("run", required=False, type=TypedPath())(function)


def find_folder(run: Path | None, out: Path | None) -> RunFolder:
    """The named run's folder, or the newest one under runs/."""
    if run is not None and out is not None and run != out:
        raise click.UsageError("give the run's folder once, as RUN or as --out")
    chosen = run or out
    return RunFolder(chosen) if chosen is not None else latest(Path("runs"))


def find_store(run: Path | None, out: Path | None, db: str | None, *, readonly: bool = True) -> EventStore:
    """Open the store of a run that exists."""
    if db is not None and run is None and out is None:
        return open_store(dereference(db), create=False, readonly=readonly)
    folder = find_folder(run, out)
    return open_store(dereference(db) if db else folder.store_url(), create=False, readonly=readonly)


def find_guarded(run: Path | None, out: Path | None, db: str | None, *, readonly: bool = True) -> EventStore:
    """Open the store whose orders fuses guard: that of a daemon's live orders, else the run's own."""
    live = find_live(run, out, db)
    return (
        find_store(run, out, db, readonly=readonly)
        if live is None
        else open_store(live, create=False, readonly=readonly)
    )


def find_live(run: Path | None, out: Path | None, db: str | None) -> str | None:
    """Database of a daemon's orders on a chain; None for a run without any, and for a database that is named alone."""
    if db is not None and run is None and out is None:
        return None
    return find_folder(run, out).live_url()


def find_stop_file(run: Path | None, out: Path | None, db: str | None) -> StopFile | None:
    """The file that stops a run without its database; None where nobody would read one. Opens nothing."""
    if db is not None and run is None and out is None:
        return StopFile.beside(dereference(db))
    return find_folder(run, out).stop_file(db)


def read_config(path: Path | str, registry: Registry, overrides: dict[str, Any]) -> Settings:
    """Load a configuration file, warning of plugins that were rejected."""
    settings = load_config(path, registry, overrides)
    for warning in registry.warnings:
        say(f"warning: {warning}")
    for name, missing in left_out(settings, registry).items():
        say(
            f"note: strategy {name} is left out, it trades in {', '.join(missing)}: define them, or name strategies.enabled"
        )
    return settings


def read_text(path: Path) -> str:
    """The configuration's text; raises ConfigError naming the file."""
    return toml_text(path)
