"""What went wrong with a database, in one sentence each."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy import exc

from treasury_arena.errors import ConcurrencyError, StoreAwayError, StoreError

_SQLITE = {
    "SQLITE_BUSY": "is locked by another process; wait until it is done, or stop it",
    "SQLITE_LOCKED": "is locked by another connection; try again",
    "SQLITE_READONLY": "is read-only; check the permissions of the file and of its folder",
    "SQLITE_PERM": "may not be opened; check the permissions of the file and of its folder",
    "SQLITE_FULL": "cannot grow: the disk (or the file size limit) is full; nothing of this change was written",
    "SQLITE_NOTADB": "is not a database, or is damaged",
    "SQLITE_CORRUPT": "is damaged; restore a copy",
    "SQLITE_CANTOPEN": "cannot be opened; check that the folder exists and may be written",
    "SQLITE_IOERR": "cannot be read or written: the disk failed or is full; nothing of this change was written",
}
_POSTGRES = {
    "28P01": "refused the password; check the user and the password in the URL",
    "28000": "refused the user; check the user and the password in the URL",
    "3D000": "does not exist on the server; create it first (createdb)",
    "3F000": "has no schema to write to; check the search path",
    "25006": "is read-only",
    "42501": "may not be written by this user; check its rights",
    "53100": "cannot grow: the server's disk is full; nothing of this change was written",
    "53300": "has no connection free; raise max_connections or close others",
    "55P03": "is locked by another process; wait until it is done, or stop it",
    "57P01": "was shut down",
    "57P03": "is starting up or shutting down; try again",
}

#: What passes without anybody changing a configuration: those of both tables after which a later try may succeed.
_PASSING = {
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR"),
    *("53100", "53300", "55P03", "57P01", "57P03"),
}

#: The one row that two writers may both want to write: an event of the same number.
_NUMBER_TAKEN = re.compile(r"UNIQUE constraint failed: events\.(seq|event_id)\b")
#: How the driver says that it reached no server; why is in the error's cause.
_UNREACHED = re.compile(r"create a connection to host (?P<host>\S+) and port (?P<port>\d+)")


def is_lost(error: BaseException) -> bool:
    """Whether a server's connection broke while it was in use, so that pooled ones are not to be trusted either."""
    invalidated = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    return invalidated or isinstance(error, ConnectionResetError | BrokenPipeError) or "network error" in str(error)


def describe(error: BaseException, label: str) -> StoreError:
    """Return the StoreError that says what `error` (of SQLAlchemy or a driver) means for the store called `label`."""
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    if isinstance(error, exc.TimeoutError):
        return StoreAwayError(f"store {label} has no connection free; too many threads use it at once")
    name = getattr(origin, "sqlite_errorname", None)
    if name is not None:
        if name.startswith("SQLITE_CONSTRAINT"):
            if _NUMBER_TAKEN.search(str(origin)):
                return ConcurrencyError(
                    f"store {label} already holds such a row: another writer was first; read again and retry"
                )
            return StoreError(f"store {label} refuses a row ({origin}); `arena audit` tells whether it is damaged")
        for prefix, sentence in _SQLITE.items():
            if name.startswith(prefix):
                return _kind(prefix)(f"store {label} {sentence}")
    details = origin.args[0] if getattr(origin, "args", None) else ""
    if isinstance(details, dict) and "C" in details:
        code = str(details["C"])
        if code in ("40001", "40P01") or (code == "23505" and details.get("t") == "events"):
            return ConcurrencyError(f"store {label}: another writer was first; read again and retry")
        if code in _POSTGRES:
            return _kind(code)(f"store {label} {_POSTGRES[code]}")
        if code.startswith("23"):
            said = details.get("M", code)
            return StoreError(f"store {label} refuses a row ({said}); `arena audit` tells whether it is damaged")
        return StoreError(f"store {label} failed: {details.get('M', code)} (SQLSTATE {code})")
    if isinstance(origin, sqlite3.Error):
        return StoreError(f"store {label} failed: {origin}")
    if isinstance(error, UnicodeEncodeError):
        return StoreError(f"store {label} holds UTF-8 only; a text to be stored has {error.object[error.start]!r}")
    if isinstance(error, UnicodeError):
        return StoreError(f"store {label} is damaged (text that is not UTF-8); restore a copy")
    if is_lost(error):
        return StoreAwayError(
            f"store {label} lost its connection; read again before repeating a change, it may have been made"
        )
    if (unreached := _UNREACHED.search(str(origin))) is not None:
        why = getattr(origin.__cause__, "strerror", None) or origin.__cause__ or "no answer"
        return StoreAwayError(
            f"store {label} cannot be reached: expected a PostgreSQL server at {unreached['host']}, port "
            f"{unreached['port']} ({why})"
        )
    return StoreAwayError(f"store {label} cannot be reached: {origin}; check host, port and that the server runs")


def _kind(code: str) -> type[StoreError]:
    return StoreAwayError if code in _PASSING else StoreError
