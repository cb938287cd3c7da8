"""The two outputs, and a command's one JSON document: it goes to stdout, alone; all else that is printed goes to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

import click

_documents: IO[str] | None = None


class _Output(io.FileIO):
    """Standard output, whose failures name it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error


class _Words(io.FileIO):
    """Standard error, which is silence where there is no room (a full disk): no work is undone for want of words."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return memoryview(data).nbytes


def open_outputs(*, alone: bool = False) -> None:
    """Make the process's outputs such that one that is closed or full is told as what it is, or is silence.

    What an output's encoding has no letter for is a question mark there. `alone`: standard output is for a document only, so
    that whatever else is written to its descriptor, by a plugin or a program that one starts, goes to standard error.
    """
    for name, kind in (("stdout", _Output), ("stderr", _Words)):
        stream = getattr(sys, name)
        if stream is None:  # closed by who wants to hear nothing (`>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            stream.flush()
            raw = kind(os.dup(stream.fileno()) if alone and name == "stdout" else stream.fileno(), "w", closefd=False)
            made = io.TextIOWrapper(
                raw if stream.write_through else io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors="replace" if stream.errors == "strict" else stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, made)
    if alone and sys.stdout is not sys.__stdout__ and sys.__stdout__ is not None:
        os.dup2(sys.stderr.fileno(), sys.__stdout__.fileno())


@contextlib.contextmanager
def documents_alone() -> Iterator[None]:
    """Keep stdout for `emit`: what plugins print goes to stderr."""
    global _documents
    before, _documents = _documents, sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _documents = before


def emit(document: Any) -> None:
    """Print one JSON document."""
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, default=str)
    click.echo(text, file=_documents)
