"""How a run that was interrupted goes on: the command that can be typed as it stands."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from sqlalchemy import make_url

from treasury_arena.cli.codes import INTERRUPTED
from treasury_arena.cli.folder import without_password
from treasury_arena.errors import PluginError, TreasuryArenaError
from treasury_arena.isolation import message

PASSWORD = "PASSWORD"


class RunInterruptedError(TreasuryArenaError):
    """Somebody pressed Ctrl-C during a run."""

    exit_code = INTERRUPTED


def resume_command(folder: Path, db: str | None = None, data: Path | None = None) -> str:
    """`arena resume` for the run in `folder`, with the database and the data it was given; a password is left for the person.

    >>> resume_command(Path("../my run"), db="env:ARENA_DB")
    "arena resume '../my run' --db env:ARENA_DB"
    """
    words = ["arena", "resume", str(folder)]
    if db is not None:
        bare, secret = without_password(db)
        shown = make_url(str(bare)).set(password=PASSWORD).render_as_string(hide_password=False) if secret else db
        words += ["--db", shown]
    if data is not None:
        words += ["--data", str(data)]
    return shlex.join(words)


@contextlib.contextmanager
def resumable(command: str) -> Iterator[None]:
    """Tell with what a run goes on that Ctrl-C, or code of a plugin that exits, ended within.

    Raises RunInterruptedError or PluginError.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        click.echo(err=True)  # ends the line with the terminal's ^C
        raise RunInterruptedError(f"interrupted; {_goes_on(command)}") from error
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # of rich, which draws the progress on stderr
            raise
        raise PluginError(
            f"code of a plugin ended the program (SystemExit: {message(end)}); {_goes_on(command)}"
        ) from end


def _goes_on(command: str) -> str:
    secret = f" (with the database's password in the place of {PASSWORD})" if f":{PASSWORD}@" in command else ""
    return f"nothing is lost: `{command}`{secret} goes on from the last cycle"
