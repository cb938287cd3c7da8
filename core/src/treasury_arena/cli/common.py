"""What all commands share: options, output, and finding a run's folder and store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from treasury_arena.cli.folder import RunFolder, latest
from treasury_arena.store import EventStore, open_store

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")


def emit(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=1, sort_keys=True, allow_nan=False, default=str))


def say(text: str) -> None:
    """Tell the person something, on stderr."""
    click.echo(text, err=True)


def run_options(function: Function) -> Function:
    """Which run a command looks at: RUN (its folder), --out (the same), or --db."""
    function = click.option("--db", "db", metavar="URL", help="Database of the run, instead of the one in its folder.")(function)
    function = click.option("--out", type=click.Path(path_type=Path), help="The run's folder (same as RUN).")(function)
    return click.argument("run", required=False, type=click.Path(path_type=Path))(function)


def find_folder(run: Path | None, out: Path | None) -> RunFolder:
    """The named run's folder, or the newest one under runs/."""
    if run is not None and out is not None and run != out:
        raise click.UsageError("give the run's folder once, as RUN or as --out")
    chosen = run or out
    return RunFolder(chosen) if chosen is not None else latest(Path("runs"))


def find_store(run: Path | None, out: Path | None, db: str | None, *, readonly: bool = True) -> EventStore:
    """Open the store of a run that exists."""
    if db is not None and run is None and out is None:
        return open_store(db, create=False, readonly=readonly)
    folder = find_folder(run, out)
    return open_store(db or folder.store_url(), create=False, readonly=readonly)
