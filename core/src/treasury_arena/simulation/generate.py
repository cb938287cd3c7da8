"""Writes kernel modules into a cache folder under content-hash names, and imports them by name.

Only a flat importable module hits numba's cache on disk in a new process (0.4 s instead of 4).
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import attrs

from treasury_arena.errors import PluginError
from treasury_arena.simulation.layout import Layout
from treasury_arena.simulation.source_hash import fingerprint
from treasury_arena.simulation.writer import Writer

PREFIX = "arena_kernel_"
UNUSED_DAYS = 60
#: Every copy of a module gets this modification time: numba's cache is stamped with it, and equal names have equal content.
STAMP = 1_600_000_000
DAY_SECONDS = 86_400.0


@attrs.frozen
class Generated:
    """A generated module on disk: its import name and its folder."""

    name: str
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.py"

    @property
    def compiled(self) -> bool:
        """Whether numba's cache beside it holds the blocked kernel (of some processor; another one compiles anew)."""
        return any((self.folder / "__pycache__").glob(f"{self.name}.run_blocked-*.nbi"))

    def load(self) -> ModuleType:
        """Import it from its own folder (this imports numba). An equal name loaded before is the same content."""
        if self.name in sys.modules:
            return sys.modules[self.name]
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        if spec is None or spec.loader is None:
            raise PluginError(f"the kernel module {self.path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module  # numba's cache refers to it by name
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[self.name]
            raise
        return module


def cache_folder() -> Path:
    """Where kernels are kept: TREASURY_ARENA_CACHE, else the platform's user cache, else a folder for temporary files."""
    given = os.environ.get("TREASURY_ARENA_CACHE")
    if given:
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "treasury-arena" / "cache"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "treasury-arena"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "treasury-arena"
    folder = base / "kernels"
    if _writable(folder):
        return folder
    user = os.getuid() if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"treasury-arena-{user}" / "kernels"
    return fallback if _writable(fallback) else Path(tempfile.mkdtemp(prefix="treasury-arena-"))


def _writable(folder: Path) -> bool:
    """Create the folder for this user alone and see that it is ours: generated code is imported from it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owned = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        with tempfile.TemporaryFile(dir=folder):
            return owned
    except OSError:
        return False


def generate(layout: Layout, folder: Path | None = None) -> Generated:
    """Write the module of `layout` unless it is there already; neither imports it nor numba."""
    folder = (cache_folder() if folder is None else folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    text = Writer(layout).text()
    slug = re.sub(r"\W", "_", layout.strategy.name.lower())
    generated = Generated(f"{PREFIX}{slug}_{fingerprint(layout, text)}", folder)
    if not generated.path.exists():
        _write(generated.path, text)
        prune(folder)
    _mark_used(generated)
    return generated


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.utime(part, (STAMP, STAMP))
    os.replace(part, path)  # two processes may write the same content: either one wins


def _mark_used(generated: Generated) -> None:
    """Touch the module's marker, at most once a day."""
    marker = generated.path.with_suffix(".used")
    try:
        if not marker.exists() or time.time() - marker.stat().st_mtime > DAY_SECONDS:
            marker.touch()
    except OSError:
        return  # a read-only cache still serves; only pruning would miss this use


def prune(folder: Path, unused_days: float = UNUSED_DAYS) -> list[str]:
    """Delete generated modules whose marker is older than `unused_days`, with their compiled code; returns their names.

    Touches only files of this package's naming. A module without a marker is being written and stays.
    """
    gone = []
    for marker in sorted(folder.glob(f"{PREFIX}*.used")):
        try:
            if time.time() - marker.stat().st_mtime <= unused_days * DAY_SECONDS:
                continue
            name = marker.stem
            compiled = (folder / "__pycache__").glob(f"{name}.*")
            for path in (*compiled, folder / f"{name}.py", marker):
                path.unlink(missing_ok=True)
            gone.append(name)
        except OSError:
            continue  # another process prunes or the file is not ours to delete
    return gone
