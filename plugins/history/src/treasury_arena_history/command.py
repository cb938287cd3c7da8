"""`arena data check`: look over the files a configuration reads."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np

from treasury_arena.clock import to_epoch
from treasury_arena.config.read import read_toml
from treasury_arena.config.settings import STEP_SECONDS, Settings
from treasury_arena.contracts.source import fetched
from treasury_arena.domain.frame import MarketFrame, Window, check_jumps
from treasury_arena.errors import ConfigError, DataError, TreasuryArenaError
from treasury_arena_history.config import HistorySection, Series
from treasury_arena_history.reader import NANOSECONDS, Reader, Rows, show
from treasury_arena_history.source import build_frame
from treasury_arena_history.survey import Finding, Survey, survey
from treasury_arena_history.units import family_of

DAY = 86_400
NO_WARM_UP = (
    "the configuration cannot be run as it is, so how far its strategies look back before the training window is not known "
    "and those days were not looked at; `arena config check` says what it lacks"
)


@attrs.frozen
class Loaded:
    """What the check needs of a configuration: the section, the period (None: all the files have) and the grid step.

    Attributes:
        low, high: epoch seconds of the rows that a run reads (`high` excluded), training and warm-up included.
        first: epoch seconds of the run's first moment.
        whole: whether the file is good enough to run; if not, the warm-up is not known and no part of `low`.
    """

    section: HistorySection
    low: int | None
    high: int | None
    first: int | None
    step_seconds: int
    whole: bool = True


def load_section(path: Path) -> Loaded:
    """Read ``[source.history]``, the period and the step out of a configuration file.

    Mistakes elsewhere in the file are left to `arena config check`. Raises ConfigError, one line per mistake.
    """
    reading = read_toml(path, Settings, {"source.history": HistorySection})
    # A file that only maps data may leave the period to the options.
    told = [
        problem
        for problem in reading.problems
        if problem.key.startswith("source.history")
        or (problem.key in ("start", "end", "step") and not problem.text.startswith("is missing"))
    ]
    if told:
        raise ConfigError("\n".join(str(problem) for problem in told))
    section = reading.sections.get("source.history")
    if section is None:
        raise ConfigError(f"{path} has no section [source.history]")
    settings = reading.settings
    step = STEP_SECONDS[settings.step]
    first, last = _epoch(settings.start), _epoch(settings.end)
    lead = _lead_days(path)
    low = None if first is None else first - (settings.population.training_days if lead is None else lead) * DAY
    return Loaded(section, low, None if last is None else last + DAY + step, first, step, lead is not None)


def _lead_days(path: Path) -> int | None:
    """Days before `start` that a run of the file reads; None where the file is not good enough to run."""
    # Imported here: every command line loads this module, and few of them need what a run needs.
    from treasury_arena.assembly import lead_days
    from treasury_arena.config.load import load_config
    from treasury_arena.config.resolve import bound_strategies
    from treasury_arena.registry.loader import load_registry

    registry = load_registry()
    try:
        whole = load_config(path, registry)
        return lead_days(whole, list(bound_strategies(whole, registry).values()))
    except TreasuryArenaError:
        return None


@click.group()
def data() -> None:
    """Look at market data.

    \b
    Example:
      arena data check examples/history.toml --data DATA
    """


@data.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder the configured files are relative to.")
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day to look at (default: the first that a run reads, training and warm-up before `start` included).",
)
@click.option(
    "--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day to look at, inclusive (default: the configuration's)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def check(config: Path, folder: Path | None, start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Report gaps, duplicates, order, missing values, outliers and carried-forward stretches of each series.

    Without --start and --end the rows looked at are those that `arena run` reads; data that begin too late for it are told
    with the earliest `start` for which they would do.

    Exit code 0: usable (there may be warnings), 1: something is wrong, 2: usage or configuration.

    \b
    Example:
      arena data check examples/history.toml --data DATA
    """
    document = run_check(load_section(config), folder, start, end)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _print(document)
    raise click.exceptions.Exit(0 if document["ok"] else 1)


def run_check(loaded: Loaded, folder: Path | None, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """The report as one document: per series its facts and findings; `frame` says whether the period can be built."""
    low = loaded.low if start is None else _epoch(start)
    high = loaded.high if end is None else to_epoch(end.replace(tzinfo=UTC)) + DAY
    if low is not None and high is not None and high <= low:
        raise ConfigError("the last day to look at lies before the first")
    reader = Reader(folder)
    if any(series.file is not None for series in loaded.section.series):
        reader.folder()
    entries: list[dict[str, Any]] = []
    for series in loaded.section.series:
        if series.file is None:
            entries.append({"column": series.column, "constant": series.constant, "findings": []})
            continue
        entries.append(_entry(reader, series, low, high))
    frame = None
    if low is not None and high is not None:
        frame = _frame(reader, loaded, Window(low, high), loaded.first if start is None and loaded.whole else None)
    wrong = any(finding["level"] == "error" for entry in entries for finding in entry["findings"])
    unknown = NO_WARM_UP if frame is not None and start is None and not loaded.whole else None
    return {"ok": not wrong and not (frame or {}).get("error"), "series": entries, "frame": frame, "note": unknown}


def _entry(reader: Reader, series: Series, low: int | None, high: int | None) -> dict[str, Any]:
    try:
        rows = _inside(reader.rows(series), low, high)
        result = survey(rows, series)
    except DataError as error:
        result = Survey(series.column, {}, [Finding("error", "file", str(error))])
    return {"column": series.column, **result.facts, "findings": [attrs.asdict(one) for one in result.findings]}


def _inside(rows: Rows, low: int | None, high: int | None) -> Rows:
    keep = np.ones(len(rows), dtype=bool)
    if low is not None:
        keep &= rows.time >= low * NANOSECONDS
    if high is not None:
        keep &= rows.time < high * NANOSECONDS
    if not keep.any():
        raise DataError(f"{rows.name} has no rows in the period")
    return rows.only(keep)


def _frame(reader: Reader, loaded: Loaded, window: Window, first: int | None) -> dict[str, Any]:
    def build(window: Window) -> MarketFrame:
        return build_frame(loaded.section, reader, window.start, window.end, loaded.step_seconds)

    try:
        frame = build(window) if first is None else fetched(build, window, first)
    except DataError as error:
        return {"error": str(error)}
    for series in loaded.section.series:
        if family_of(series.column) == "price":
            try:
                check_jumps(frame, series.column)
            except DataError as error:
                return {"error": str(error)}
    ends = [show(epoch * NANOSECONDS) for epoch in (frame.start, window.end - loaded.step_seconds)]
    return {"rows": frame.rows, "columns": list(frame.columns), "from": ends[0], "to": ends[1], "error": None}


def _epoch(day: date | None) -> int | None:
    return None if day is None else to_epoch(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _print(document: dict[str, Any]) -> None:
    for entry in document["series"]:
        if "constant" in entry:
            click.echo(f"{entry['column']}: constant {entry['constant']:g}")
            continue
        click.echo(f"{entry['column']}: {entry.get('file', '')} {entry.get('title', '')}".rstrip())
        if "rows" in entry:
            click.echo(
                f"  {entry['rows']:,} rows, {entry['first']} to {entry['last']}, every {entry['interval'] or '(irregular)'}; "
                f"gaps {entry['gaps']}, duplicates {entry['duplicates']}, out of order {entry['out_of_order']}, "
                f"missing {entry['missing']}, outliers {entry['outliers']}, carried {entry['carried_share']:.1%}"
            )
        for finding in entry["findings"]:
            click.echo(f"  {finding['level']}: {finding['text']}")
    frame = document["frame"]
    if frame is not None and frame["error"]:
        click.echo(f"error: {frame['error']}")
    elif frame is not None:
        click.echo(
            f"the period gives {frame['rows']:,} rows of {len(frame['columns'])} columns, {frame['from']} to {frame['to']}"
        )
    if document["note"]:
        click.echo(f"note: {document['note']}")
    click.echo("usable" if document["ok"] else "not usable: see the errors above")
