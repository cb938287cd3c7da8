"""The stop file, looked at without a database: whatever cannot be seen counts as stopped."""

from __future__ import annotations

import os
from pathlib import Path


def placed(path: Path) -> Path:
    """The path with its folder resolved, so that two processes can compare what they watch."""
    return Path(os.path.realpath(path.parent)) / path.name


def why_stopped(path: Path) -> str:
    """Why nothing may be signed, or an empty text. A name that exists in any form stops; so does a folder that cannot be read."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return f"the folder of the stop file {path} cannot be read ({error.strerror}), which counts as stopped"
    try:
        os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the stop file {path} cannot be looked for ({error.strerror}), which counts as stopped"
    finally:
        os.close(folder)
    return f"the stop file {path} exists"
