"""A run's folder: its configuration, where its data and store are, and its results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL, make_url

from treasury_arena.config.keys import dereference, is_reference
from treasury_arena.errors import ConfigError
from treasury_arena.store.database import parse_url

CONFIG, NOTES, STORE = "config.toml", "run.json", "arena.db"


@attrs.frozen
class RunFolder:
    """One run's folder, usually ``runs/<run id>``."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration the run was begun with."""
        return self.path / CONFIG

    @property
    def begun(self) -> bool:
        """True when a run was begun here."""
        return (self.path / NOTES).exists()

    def begin(self, config_text: str, notes: dict[str, Any]) -> None:
        """Create the folder and note what resuming will need; raises ConfigError when a run was begun here already."""
        if self.begun:
            raise ConfigError(f"{self.path} already holds a run: `arena resume {self.path}` goes on with it")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.config, config_text)
            _write(self.path / NOTES, json.dumps(notes, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise ConfigError(f"cannot write the run's folder {self.path}: {error.strerror}") from error

    def notes(self) -> dict[str, Any]:
        """What was noted at the beginning; raises ConfigError when this is not a run's folder."""
        try:
            notes: dict[str, Any] = json.loads((self.path / NOTES).read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigError(f"{self.path} is not a run's folder: {NOTES} is missing") from error
        except OSError as error:
            raise ConfigError(f"{self.path / NOTES} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.path / NOTES} is damaged: {error}") from error
        missing = {"run_id", "data", "db", "seed", "workers"} - set(notes if isinstance(notes, dict) else ())
        if missing:
            raise ConfigError(f"{self.path / NOTES} is damaged: it lacks {', '.join(sorted(missing))}")
        return notes

    @property
    def store_file(self) -> Path:
        """The SQLite file of a run that was given no database."""
        return self.path / STORE

    def store_url(self) -> str:
        """Database of the run; raises ConfigError when it wants a password, which is not kept here."""
        notes = self.notes()
        if notes.get("db_has_password"):
            raise ConfigError(
                f"the run's database {notes['db']} wants a password, which is not kept: give --db with the URL, or a "
                "reference to it (env:NAME, file:PATH)"
            )
        return dereference(str(notes.get("db") or self.store_file))


def without_password(url: str | None) -> tuple[str | None, bool]:
    """A database URL as it may be written down, and whether it held a password. References stay as they are.

    Raises StoreError for a URL that cannot be read.
    """
    if not url or "://" not in url or is_reference(url):
        return url, False
    if parse_url(url).password is None:
        return url, False
    given = make_url(url)
    bare = URL.create(given.drivername, given.username, None, given.host, given.port, given.database, given.query)
    return bare.difference_update_query(["password"]).render_as_string(hide_password=False), True


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, path)


def latest(runs: Path) -> RunFolder:
    """The folder of the newest run under `runs`; raises ConfigError when there is none."""
    found = sorted((path for path in runs.glob(f"*/{NOTES}")), key=lambda path: (path.stat().st_mtime, str(path)))
    if not found:
        raise ConfigError(f"no run found under {runs}/: name a run's folder, or begin one with `arena run CONFIG`")
    return RunFolder(found[-1].parent)
