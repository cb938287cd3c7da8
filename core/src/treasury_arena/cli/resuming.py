"""How a run that was interrupted goes on: the command that can be typed as it stands."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import click
from sqlalchemy import make_url

from treasury_arena.cli.codes import INTERRUPTED
from treasury_arena.cli.folder import without_password
from treasury_arena.errors import PluginError, TreasuryArenaError
from treasury_arena.isolation import message
from treasury_arena.scheduling.signals import hearing

PASSWORD = "PASSWORD"


class RunInterruptedError(TreasuryArenaError):
    """Somebody pressed Ctrl-C during a run, or a signal ended it, with whose number the exit code is told as shells do."""

    def __init__(self, sentence: str, exit_code: int = INTERRUPTED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


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
    """Tell with what a run goes on that Ctrl-C, SIGTERM, SIGHUP, or code of a plugin that exits, ended within.

    Raises RunInterruptedError or PluginError.
    """
    heard: list[signal.Signals] = []

    def hear(number: signal.Signals) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    try:
        with hearing(hear, (signal.SIGTERM, signal.SIGHUP)):
            yield
    except KeyboardInterrupt as error:
        if heard:
            raise RunInterruptedError(f"{heard[0].name}; {_goes_on(command)}", 128 + heard[0]) from error
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
