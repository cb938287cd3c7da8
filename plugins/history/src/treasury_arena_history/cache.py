"""Built frames on disk, named by the hash of all they depend on; a damaged file is rebuilt, never trusted.

A file is one line ``treasury-arena-frame <sha256 of the rest>``, one line of JSON (key, start, step, rows, columns), then
the columns as little-endian float64.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from treasury_arena.domain.frame import MarketFrame

_MAGIC = b"treasury-arena-frame "
_ABANDONED = 3600 * 1_000_000_000
_log = logging.getLogger(__name__)


def user_cache() -> Path:
    """The user's cache folder of this plugin, by the platform's convention."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "treasury-arena" / "history"


class FrameCache:
    """At most `limit` frames in `folder`, the least recently written removed first. Safe for concurrent writers:
    a file appears whole (`os.replace`) and two writers of one key write the same bytes."""

    def __init__(self, folder: Path, limit: int = 64) -> None:
        self._folder = folder
        self._limit = limit

    def path(self, key: str) -> Path:
        return self._folder / f"{key}.frame"

    def load(self, key: str) -> MarketFrame | None:
        """The frame stored under `key`; None when there is none or its file is damaged (told in the log)."""
        try:
            content = self.path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("the cache file %s cannot be read and is not used: %s", self.path(key), error)
            return None
        head, _, body = content.partition(b"\n")
        if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
            _log.warning("the cache file %s is damaged; it is built anew", self.path(key))
            return None
        meta, _, data = body.partition(b"\n")
        facts = json.loads(meta)
        if facts["key"] != key:
            _log.warning("the cache file %s belongs to another key; it is built anew", self.path(key))
            return None
        table = np.frombuffer(data, dtype="<f8").reshape(len(facts["columns"]), facts["rows"])
        columns = {name: table[index].astype(np.float64) for index, name in enumerate(facts["columns"])}
        return MarketFrame(facts["start"], facts["step_seconds"], columns)

    def save(self, key: str, frame: MarketFrame) -> None:
        """Store the frame; a folder that cannot be written costs speed only, which the log tells."""
        facts = {
            "key": key,
            "start": frame.start,
            "step_seconds": frame.step_seconds,
            "rows": frame.rows,
            "columns": list(frame.columns),
        }
        body = json.dumps(facts).encode() + b"\n"
        body += b"".join(column.astype("<f8").tobytes() for column in frame.columns.values())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
                os.replace(name, self.path(key))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._prune()
        except OSError as error:
            _log.warning("the cache folder %s cannot be written: %s", self._folder, error)

    def _prune(self) -> None:
        files = []
        for path in self._folder.glob("*.frame"):
            # Another process may remove a file between listing and asking.
            with contextlib.suppress(FileNotFoundError):
                files.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(files)[: -self._limit]:
            path.unlink(missing_ok=True)
        newest = max((when for when, _ in files), default=0)
        for path in self._folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                # What a killed process left behind; a writer at work is far younger.
                if newest - path.stat().st_mtime_ns > _ABANDONED:
                    path.unlink()
