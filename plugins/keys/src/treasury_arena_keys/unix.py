"""Addresses of Unix sockets in folders of any depth: the kernel takes 107 bytes, so a longer path goes through its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS_BYTES_MAX = 107
"""Most bytes of `sun_path` before its closing zero (Linux, unix(7))."""
NAME_BYTES_MAX = 70
"""Most bytes of a socket's own name, so that its short address always has room."""


@contextmanager
def address(path: Path) -> Iterator[str]:
    """What to bind or connect to while the block lasts. Raises OSError when the folder of a long path cannot be opened."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
