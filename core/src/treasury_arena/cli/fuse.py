"""`arena fuse`: how the survival fuses of a run stand, and a person's reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from treasury_arena.cli.common import emit, find_guarded, json_option, run_options
from treasury_arena.cli.stop import operator_name, operator_option, reason_option
from treasury_arena.clock import WallClock, iso
from treasury_arena.contracts.fuse_record import FuseRecord
from treasury_arena.domain.fuses import FuseState
from treasury_arena.store import fuses


@click.group("fuse")
def fuse() -> None:
    """The survival fuse: how it stands, and its reset by a person.

    \b
    Example:
      arena fuse status runs/second
    """


@fuse.command("status")
@run_options
@json_option
def status(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Show every fuse of a run: its state and why, what holds at present, and how far the actions of its trip are.

    \b
    Example:
      arena fuse status runs/second
    """
    with find_guarded(run, out, db) as store:
        held = fuses.records(store)
        with store.database.read() as connection:
            standings = fuses.fuse_state(connection, (), WallClock().now())
    if as_json:
        emit({"fuses": [_document(held[one.fuse], one.why) for one in standings]})
        return 0
    if not standings:
        click.echo("no fuse was ever armed in this store")
    for one in standings:
        for line in _lines(held[one.fuse], one.why):
            click.echo(line)
    return 0


@fuse.command("reset")
@run_options
@click.option("--fuse", "name", default=None, help="Which one, where the run has several.")
@reason_option
@operator_option
@json_option
def reset(
    run: Path | None,
    out: Path | None,
    db: str | None,
    name: str | None,
    reason: str,
    operator: str | None,
    as_json: bool,
) -> int:
    """Arm a tripped, cooling or locked fuse. No new risk is taken before it has judged its readings again.

    \b
    Example:
      arena fuse reset runs/second --operator ann --reason "checked the feeds, prices are right"
    """
    with find_guarded(run, out, db, readonly=False) as store:
        payload = fuses.reset(store, reason, operator_name(operator), WallClock(), name).payload
    if as_json:
        emit(
            {
                "fuse": payload.fuse,
                "from": payload.from_state,
                "state": FuseState.ARMED.value,
                "reason": reason,
                "operator": payload.operator,
                "unfinished": payload.unfinished,
            }
        )
    else:
        left = f"; not done: {', '.join(payload.unfinished)}" if payload.unfinished else ""
        click.echo(f"fuse {payload.fuse} reset from {payload.from_state}{left}")
    return 0


def _document(record: FuseRecord, why: str) -> dict[str, Any]:
    return {
        "fuse": record.fuse,
        "state": record.state.value,
        "since": iso(record.since),
        "reason": record.reason,
        "operator": record.operator,
        "new_risk": not why,
        "why_no_risk": why,
        "checked_at": None if record.checked_at is None else iso(record.checked_at),
        "trips": record.trip,
        "trips_counted": [iso(moment) for moment in record.trips],
        "triggers": [one.text for one in record.triggers],
        "warnings": [one.text for one in record.warnings],
        "actions": {
            one.task.action: {"done": one.done, "attempts": one.attempts, "trouble": one.trouble}
            for one in record.tasks
        },
    }


def _lines(record: FuseRecord, why: str) -> list[str]:
    lines = [f"{record.fuse}: {record.state} since {iso(record.since)}: {record.reason}"]
    lines.append(f"  new risk: {'refused: ' + why if why else 'allowed'}")
    if record.operator is not None:
        lines.append(f"  last reset by {record.operator}")
    lines += [f"  trigger: {one.text}" for one in record.triggers]
    lines += [f"  warning: {one.text}" for one in record.warnings]
    for one in record.tasks:
        told = "done" if one.done else f"not done after {one.attempts} tries" if one.attempts else "not begun"
        lines.append(f"  action {one.task.action}: {told}{'; ' + one.trouble if one.trouble else ''}")
    return lines
