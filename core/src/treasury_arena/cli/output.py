"""Where a command's one JSON document goes: to stdout, alone; everything else that is printed goes to stderr meanwhile."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import IO, Any

import click

_documents: IO[str] | None = None


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
