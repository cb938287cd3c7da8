"""Entry point of `arena`: loads the plugins' commands, turns the house's errors into one sentence and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from treasury_arena import __version__
from treasury_arena.cli.codes import INTERRUPTED, UNREAD
from treasury_arena.cli.output import documents_alone, emit, open_outputs
from treasury_arena.errors import TreasuryArenaError, nearest
from treasury_arena.isolation import describe, message
from treasury_arena.registry.loader import load_registry

#: Built-in command -> module and attribute; imported only when asked for, so that `arena plugins` stays light.
BUILT_IN = {
    "run": "treasury_arena.cli.run:run_command",
    "resume": "treasury_arena.cli.run:resume",
    "daemon": "treasury_arena.cli.daemon:daemon",
    "orders": "treasury_arena.cli.orders:orders",
    "chaos": "treasury_arena.cli.chaos:chaos",
    "check": "treasury_arena.cli.orders:check",
    "quarantine": "treasury_arena.cli.deciding:quarantine",
    "correct": "treasury_arena.cli.deciding:correct",
    "flatten": "treasury_arena.cli.deciding:flatten",
    "arm": "treasury_arena.cli.deciding:arm",
    "backtest": "treasury_arena.cli.search:backtest",
    "evolve": "treasury_arena.cli.search:evolve",
    "status": "treasury_arena.cli.inspect:status",
    "agents": "treasury_arena.cli.inspect:agents",
    "events": "treasury_arena.cli.inspect:events",
    "audit": "treasury_arena.cli.inspect:audit",
    "replay": "treasury_arena.cli.inspect:replay",
    "plugins": "treasury_arena.cli.plugins:plugins",
    "config": "treasury_arena.cli.config:config",
    "stop": "treasury_arena.cli.stop:stop",
    "release": "treasury_arena.cli.stop:release",
    "fuse": "treasury_arena.cli.fuse:fuse",
}


class UnreadError(Exception):
    """Nobody reads on what is printed, as in `arena events | head`. No OSError: click would make a SystemExit of it."""


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise UnreadError from error


class ArenaGroup(click.Group):
    """The root group: built-in commands by name, then those of plugins."""

    _plugins: dict[str, click.Command] | None = None

    def _extra(self) -> dict[str, click.Command]:
        if self._plugins is None:
            self._plugins = dict(load_registry().commands)
        return self._plugins

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _reader_may_leave():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader_may_leave():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*BUILT_IN, *self._extra()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in BUILT_IN:
            return self._extra().get(cmd_name)
        module, attribute = BUILT_IN[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}: {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=ArenaGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="arena")
def arena() -> None:
    """Breed treasury strategies on market history, prove them out of sample, let the proven manage capital.

    Exit codes: 0 fine, 1 something was found wrong, 2 usage, configuration or input; 128 and its number
    for a signal that ended it (130 for Ctrl-C).

    \b
    Example:
      arena run examples/quickstart.toml
    """


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit the process with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_outputs(alone=_document_alone(arguments))
    code = execute(arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # else the interpreter tries once more at its end, and has an exit code of its own for it
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(code)


def execute(arguments: list[str]) -> int:
    """Run the command line and return its exit code; errors of the house are told in one sentence, without traceback."""
    with documents_alone() if _document_alone(arguments) else contextlib.nullcontext():
        return _execute(arguments, own=_is_own(arguments))


def _is_own(arguments: list[str]) -> bool:
    return bool(arguments) and arguments[0] in BUILT_IN


def _document_alone(arguments: list[str]) -> bool:
    """Whether standard output is for one document: the house's commands print it with `emit`, plugins print as they like."""
    return _is_own(arguments) and "--json" in arguments and not {"-h", "--help"} & set(arguments)


def _execute(arguments: list[str], *, own: bool) -> int:
    try:
        outcome = arena.main(arguments, prog_name="arena", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return _fail("interrupted", INTERRUPTED, arguments)
    except click.ClickException as error:
        with contextlib.suppress(OSError):  # who takes no words still has the code
            error.show(sys.stderr)
        _document(error.format_message(), error.exit_code, arguments)
        return error.exit_code
    except TreasuryArenaError as error:
        return _fail(str(error), error.exit_code, arguments)
    except (UnreadError, BrokenPipeError):
        return UNREAD
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 2, arguments)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # of rich, which draws the progress on stderr
            return UNREAD
        if not own:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return _fail(f"code of a plugin ended the program (SystemExit: {message(end)})", 2, arguments)
    except BaseException as error:  # the last resort: one sentence, and the traceback on request
        if os.environ.get("TREASURY_ARENA_TRACE"):
            raise
        return _fail(f"failed with {describe(error)} (set TREASURY_ARENA_TRACE=1 for the traceback)", 1, arguments)
    return outcome if isinstance(outcome, int) else 0


def _fail(sentence: str, code: int, arguments: list[str]) -> int:
    with contextlib.suppress(OSError):  # who takes no words still has the code
        click.echo(f"arena: {sentence}", err=True)
    _document(sentence, code, arguments)
    return code


def _document(sentence: str, code: int, arguments: list[str]) -> None:
    if "--json" in arguments:
        with contextlib.suppress(OSError):  # of a stdout that takes nothing more, which may be what the sentence says
            emit({"error": sentence, "exit_code": code})
