"""`arena stop` and `arena release`: the emergency stop and its release."""

from __future__ import annotations

import contextlib
import getpass
from pathlib import Path

import click

from treasury_arena.cli.common import emit, find_folder, find_live, find_stop_file, find_store, json_option, run_options
from treasury_arena.cli.paths import words
from treasury_arena.clock import WallClock
from treasury_arena.domain.stops import HARD, OFF, SOFT
from treasury_arena.errors import ConfigError, NoStoreError, StoreError, TreasuryArenaError, ValidationError
from treasury_arena.store import EventStore, open_store
from treasury_arena.store import stop as emergency

reason_option = click.option("--reason", required=True, callback=words, help="Why; kept in the event log.")
operator_option = click.option("--operator", default=None, callback=words, help="Who; your user name unless given.")


def _live_stores(run: Path | None, out: Path | None, db: str | None) -> list[EventStore]:
    """The store of a daemon's orders on a chain, if it has one yet."""
    url = find_live(run, out, db)
    try:
        return [] if url is None else [open_store(url, create=False)]
    except NoStoreError:  # begun, and no order yet
        return []


def operator_name(name: str | None) -> str:
    """The operator that was given, else the user who runs the program."""
    return name or getpass.getuser()


@click.command("stop")
@run_options
@reason_option
@operator_option
@click.option("--soft", is_flag=True, help="Refuse new risk only; reducing orders go on.")
@json_option
def stop(
    run: Path | None, out: Path | None, db: str | None, reason: str, operator: str | None, soft: bool, as_json: bool
) -> int:
    """Engage the emergency stop: no order is executed until a person releases it. Survives restarts.

    Where there is no store of a run nothing is stopped, and the exit code is 2. A replay of history that is complete
    has nothing left to stop: exit code 1.

    \b
    Example:
      arena stop runs/second --reason "oracle looks wrong"
    """
    level = SOFT if soft else HARD
    clock = WallClock()
    before: emergency.Standing | None = None
    sentinel = find_stop_file(run, out, db)
    try:
        with find_store(run, out, db, readonly=False) as store:
            if _complete(store, run, out, db):
                raise ValidationError("the run is complete; there is nothing to stop")
            engaged = emergency.engage(store, level, reason, operator_name(operator), clock, sentinel)
            before = _earlier(store, engaged)
        note = engaged.note
        for live in _live_stores(run, out, db):
            with live as store:
                emergency.engage(store, level, reason, operator_name(operator), clock)
    except NoStoreError as error:
        raise NoStoreError(f"nothing is stopped: {error}") from error
    except (StoreError, ConfigError) as error:  # an address that is a secret and not at hand, too
        if soft or sentinel is None:
            raise
        sentinel.engage(reason, operator_name(operator), clock)
        note = f"stopped by {sentinel.path} alone: {error}"
    if as_json:
        emit({"level": level, "reason": reason, "note": note, "since": before.since if before else None})
    else:
        again = f"; {before.level} {before}" if before else ""
        click.echo(f"emergency stop engaged ({level})" + again + (f"; {note}" if note else ""))
    return 0


def _complete(store: EventStore, run: Path | None, out: Path | None, db: str | None) -> bool:
    """Whether this is a replay that has ended. A daemon never has; what cannot be told, for whatever reason, holds up no stop."""
    try:
        if db is None and "mode" in find_folder(run, out).notes():
            return False
        return _any(store, "RunCompleted") and not _any(store, "DaemonStarted")
    except Exception:
        return False


def _earlier(store: EventStore, engaged: emergency.Engaged) -> emergency.Standing | None:
    """The stop that held already; None as well where the store cannot tell: the new one is engaged."""
    try:
        return emergency.earlier(store, engaged)
    except TreasuryArenaError:
        return None


def _any(store: EventStore, event_type: str) -> bool:
    return next(iter(store.read(event_type=event_type, tail=1)), None) is not None


@click.command("release")
@run_options
@reason_option
@operator_option
@json_option
def release(
    run: Path | None, out: Path | None, db: str | None, reason: str, operator: str | None, as_json: bool
) -> int:
    """Release the emergency stop.

    A replay of history that is complete has nothing left to release, and its result stays what it was: exit code 1.

    \b
    Example:
      arena release runs/second --reason "oracle confirmed"
    """
    with contextlib.ExitStack() as opened:
        stores = [(opened.enter_context(find_store(run, out, db, readonly=False)), find_stop_file(run, out, db))]
        if _complete(stores[0][0], run, out, db):
            raise ValidationError("the run is complete; there is nothing to release")
        stores += [(opened.enter_context(live), None) for live in _live_stores(run, out, db)]
        # Of two stores one may be released already: somebody was interrupted between them.
        for store, file in [one for one in stores if emergency.level(*one) != OFF] or stores[:1]:
            emergency.release(store, reason, operator_name(operator), WallClock(), file)
    if as_json:
        emit({"level": OFF, "reason": reason})
    else:
        click.echo("emergency stop released")
    return 0
