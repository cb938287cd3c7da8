"""Reading a small text file that may be anything: a pipe to which nobody writes, a device without end."""

from __future__ import annotations

import stat
from pathlib import Path

from treasury_arena.errors import ConfigError

#: Where pipes are that a shell has opened: of `COMMAND | arena run /dev/stdin`, and of `arena run <(COMMAND)`.
_OPENED = ("/dev/fd/", "/dev/stdin", "/proc/")


def read_small(path: Path, most: int, expected: str, *, encoding: str = "utf-8") -> str:
    """The text of a file of at most `most` characters.

    Raises ConfigError for a pipe that no shell has opened and for a longer text, OSError and UnicodeDecodeError as reading
    does. `expected` says what the file should hold, as "a configuration".
    """
    if stat.S_ISFIFO(path.stat().st_mode) and not str(path).startswith(_OPENED):
        raise ConfigError(f"{path}: is a pipe, to which perhaps nobody writes; expected a file (or /dev/stdin)")
    with path.open(encoding=encoding) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise ConfigError(f"{path}: has more than {most} characters; expected {expected}")
    return text
