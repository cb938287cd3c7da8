"""A run's folder: its configuration, where its data and store are, and its results."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL, make_url

from treasury_arena.config.daemon import PAPER
from treasury_arena.config.keys import dereference, is_reference
from treasury_arena.errors import ConfigError, has_halves
from treasury_arena.store.database import parse_url
from treasury_arena.store.stop import STOP_FILE, StopFile

CONFIG, NOTES, STORE, LIVE_STORE, RESULTS = "config.toml", "run.json", "arena.db", "live.db", "results.json"
MEMORY = ":memory:"
SUFFIXES = (".db", ".db3", ".sqlite", ".sqlite3")


@attrs.frozen
class RunFolder:
    """One run's folder, usually ``runs/<run id>``."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration the run was begun with."""
        return self.path / CONFIG

    def kept_config(self) -> Path:
        """`config`, to read it; raises ConfigError when somebody removed it."""
        if not self.config.exists():
            raise ConfigError(f"{self.config} is missing: put the configuration back that {self.path} was begun with")
        return self.config

    @property
    def begun(self) -> bool:
        """True when a run was begun here."""
        return (self.path / NOTES).exists()

    def begin(self, config_text: str, notes: dict[str, Any]) -> None:
        """Create the folder and note what resuming will need; raises ConfigError when a run was begun here already."""
        self._refuse_begun()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with _alone(self.path):
                self._refuse_begun()
                fresh = not self.config.exists()
                try:
                    _write(self.config, config_text)
                    _write(self.path / NOTES, json.dumps(notes, indent=1, sort_keys=True) + "\n")
                except OSError:
                    if fresh:
                        self.config.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise ConfigError(f"cannot write the run's folder {self.path}: {error.strerror}") from error

    def _refuse_begun(self) -> None:
        if self.begun:
            raise ConfigError(f"{self.path} already holds a run: `arena resume {self.path}` goes on with it")

    def keep(self, config_text: str) -> None:
        """Keep the configuration that a daemon goes on with: what computes nothing may have changed in it."""
        _write(self.config, config_text)

    @contextlib.contextmanager
    def beginning(self, config_text: str, notes: dict[str, Any]) -> Iterator[Callable[[], None]]:
        """`begin`, taken back when what follows fails: neither files nor folders that it made stay behind.

        Noted before anything else is done, a run that is killed at any later moment can be resumed. Gives what takes it back
        later still.
        """
        fresh = [path for path in (self.config, self.path / NOTES) if not path.exists()]
        folders = [path for path in (self.path, *self.path.parents) if not path.exists()]

        def remove(paths: list[Path]) -> None:
            with contextlib.suppress(OSError):
                for path in paths:
                    path.unlink(missing_ok=True)
            for path in folders:
                with contextlib.suppress(OSError):  # one that holds something else stays, or was never made
                    path.rmdir()

        def take_back() -> None:
            remove(fresh)

        try:
            self.begin(config_text, notes)
        except BaseException:
            remove([])  # files may be those of another run that began here meanwhile
            raise
        try:
            yield take_back
        except BaseException:
            take_back()
            raise

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

    def timings(self) -> dict[str, float]:
        """How long the run took, as its results say; empty where they were not written, or are no such document."""
        try:
            document = json.loads((self.path / RESULTS).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        timings = document.get("timings") if isinstance(document, dict) else None
        if not isinstance(timings, dict) or not all(isinstance(value, int | float) for value in timings.values()):
            return {}
        return timings

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
        inside = notes.get("db_inside")
        return str(self.path / inside) if inside else dereference(str(notes.get("db") or self.store_file))

    def stop_file(self, db: str | None = None) -> StopFile | None:
        """The file that stops the run without its database `db` (default: as it was begun); None where nobody would read one.

        A daemon's on a server is known without the server's address, which may be a secret that is not at hand.
        """
        notes = self.notes()
        live = notes.get("mode") not in (None, PAPER)
        if live and db is None and (notes.get("db_on_server") or notes.get("db_has_password")):
            return StopFile(self.path / STOP_FILE)
        url = dereference(db) if db else self.store_url()
        return StopFile.of(url, self.path) if live else StopFile.beside(url)

    def live_url(self) -> str | None:
        """Database of a daemon's orders on a chain; None for a run without any."""
        notes = self.notes()
        if notes.get("mode") in (None, PAPER):
            return None
        inside = notes.get("live_inside", LIVE_STORE)
        return str(self.path / inside) if inside else dereference(str(notes["live"]))

    def where(self, url: str | None) -> dict[str, Any]:
        """What to note of the run's database: one inside the folder by its place there, so that the folder can be moved."""
        kept, secret = without_password(url)
        path = sqlite_path(url)
        inside = None
        if path is not None and path.is_relative_to(self.path.absolute()):
            kept, inside = None, str(path.relative_to(self.path.absolute()))
        server = url is not None and parse_url(dereference(url)).get_backend_name() != "sqlite"
        return {"db": kept, "db_inside": inside, "db_has_password": secret, "db_on_server": server}


def check_database(given: str) -> None:
    """Raise ConfigError unless `given`, or what it refers to, is a URL or looks like the path of a database file."""
    text = dereference(given)
    if "\0" in text or has_halves(text):
        raise ConfigError(
            "the database given is no text in this machine's encoding; expected a URL, or a path in UTF-8"
        )
    if text == MEMORY or (text.startswith("sqlite") and "://" in text and in_memory(parse_url(text))):
        raise ConfigError("a database in memory ends with the command, and keeps nothing; expected a URL or a path")
    if "://" in text or os.sep in text or text.lower().endswith(SUFFIXES) or os.path.isfile(text):
        return
    # What stands for a URL may hold its password.
    named = f"what {given} holds" if is_reference(given) else "the text given" if "@" in text else repr(given)
    raise ConfigError(
        f"{named} is no database: expected a URL (postgresql://USER@HOST/NAME, sqlite:///PATH), a reference to one "
        "(env:NAME, file:PATH), or the path of a SQLite file (arena.db, ./arena)"
    )


def absolute(url: str | None) -> str | None:
    """A database's path or URL that means the same in every working directory; references and servers as they are.

    Raises ConfigError for a text that is neither.
    """
    if url:
        check_database(url)
    path = sqlite_path(url)
    if url is None or path is None:
        return url
    return str(path) if "://" not in url else make_url(url).set(database=str(path)).render_as_string()


def sqlite_path(url: str | None) -> Path | None:
    """The file of a SQLite database, absolute; None for a server, for memory and for a reference."""
    if not url or url.startswith(("env:", "file:")):
        return None
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or in_memory(parsed):
        return None
    return Path(os.path.normpath(Path(str(parsed.database)).absolute()))


def in_memory(url: URL) -> bool:
    """Whether a database of SQLite is no file."""
    return url.database in (None, "", MEMORY)


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


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several processes one at a time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def latest(runs: Path) -> RunFolder:
    """The folder of the newest run under `runs`; raises ConfigError when there is none."""
    found = sorted((path for path in runs.glob(f"*/{NOTES}")), key=lambda path: (path.stat().st_mtime, str(path)))
    if not found:
        raise ConfigError(f"no run found under {runs}/: name a run's folder, or begin one with `arena run CONFIG`")
    return RunFolder(found[-1].parent)
