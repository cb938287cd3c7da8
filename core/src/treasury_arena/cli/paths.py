"""Paths that persons type: refused in one sentence where no program could use them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import click

from treasury_arena.errors import has_halves


class TypedPath(click.Path):
    """A path as `pathlib.Path`: a text, not empty, of a length that the file system takes, in no circle of links."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = os.fspath(value)
        if not text:
            self.fail("is empty; expected a path", param, ctx)
        if has_halves(text):
            self.fail(
                f"{text!r} is no text in this machine's encoding; expected a name in UTF-8 (PYTHONUTF8=1 makes it the encoding)",
                param,
                ctx,
            )
        try:
            os.stat(text)
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                self.fail(f"{text:.80}: {error.strerror}", param, ctx)
            if os.path.islink(text):
                self.fail(f"{text} is a link to {os.readlink(text)}, which is not there", param, ctx)
        except ValueError as error:
            self.fail(f"{text!r:.80}: {error}", param, ctx)
        return super().convert(value, param, ctx)


def words(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Callback of an option that takes words: not empty, and text."""
    if value is not None and not value.strip():
        raise click.BadParameter("is empty; say it in words")
    if value is not None and has_halves(value):
        raise click.BadParameter(f"{value!r:.80} is no text in this machine's encoding; say it in words")
    return value
