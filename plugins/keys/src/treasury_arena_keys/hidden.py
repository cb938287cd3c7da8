"""Secrets in memory: text that shows itself nowhere, where it may come from, and a process that leaves no trace of it."""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from treasury_arena.errors import ConfigError, ValidationError

PR_SET_DUMPABLE = 4
RECURSION = 1_000
LENGTH_MIN = 12
"""Of the passphrase of a live key."""


class Hidden:
    """A secret text. Its representation says nothing, it cannot be pickled or compared, and only `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret; use it inside an expression, never as a local variable, which a traceback may show."""
        return self._text

    def __repr__(self) -> str:
        return "Hidden()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def referenced(reference: str, what: str) -> Hidden:
    """The secret behind ``env:NAME`` or ``file:PATH``. A variable is taken out of the environment; a file must be private.

    Raises ConfigError; anything that is no reference is refused without being repeated.
    """
    kind, _, place = reference.partition(":")
    if kind not in ("env", "file") or not place:
        raise ConfigError(f'{what}: expected a reference, "env:NAME" or "file:PATH", never the secret itself')
    if kind == "env":
        if place not in os.environ:
            raise ConfigError(f"{what}: the environment variable {place} is not set")
        return Hidden(os.environ.pop(place))
    path = Path(place)
    try:
        private_file(path, what)
        return Hidden(path.read_text(encoding="utf-8").strip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}: the file {place} cannot be read ({type(error).__name__})") from None


def passphrase(reference: str | None, *, confirm: bool = False) -> Hidden:
    """A passphrase by reference, else from a prompt on the terminal. Raises ConfigError for an empty one."""
    if reference is not None:
        found = referenced(reference, "passphrase")
    elif sys.stdin.isatty() or Path("/dev/tty").exists():
        found = _prompted("Passphrase", confirm)
    else:
        raise ConfigError('no terminal to ask for the passphrase on; give --passphrase "env:NAME" or "file:PATH"')
    if not found.reveal():
        raise ConfigError("the passphrase is empty")
    return found


def _prompted(title: str, confirm: bool) -> Hidden:
    import getpass

    try:
        first = Hidden(getpass.getpass(f"{title}: "))
        if confirm and Hidden(getpass.getpass(f"{title} again: ")).reveal() != first.reveal():
            raise ConfigError("the two passphrases differ; nothing was written")
    except (EOFError, OSError):
        raise ConfigError('no terminal to ask for the passphrase on; give "env:NAME" or "file:PATH"') from None
    return first


def strong(secret: Hidden) -> None:
    """Raise ValidationError for a passphrase too short to protect a live key."""
    if len(secret.reveal()) < LENGTH_MIN:
        raise ValidationError(f"the passphrase of a live key needs at least {LENGTH_MIN} characters")


def private_file(path: Path, what: str) -> None:
    """Refuse a file that others may read or write, or that is not this user's. Raises ConfigError, or OSError when absent."""
    _private(path, what, stat.S_ISREG, "a file", "0600")


def private_folder(path: Path, what: str) -> None:
    """Refuse a folder that others may enter, or that is not this user's. Raises ConfigError, or OSError when absent."""
    _private(path, what, stat.S_ISDIR, "a folder", "0700")


def _private(path: Path, what: str, is_kind: Callable[[int], bool], kind: str, wanted: str) -> None:
    found = os.lstat(path)
    if not is_kind(found.st_mode):
        raise ConfigError(f"{what}: {path} is not {kind} (a link is refused, too)")
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{what}: {path} belongs to user {found.st_uid}; expected user {os.geteuid()}, who runs this")
    if found.st_mode & 0o077:
        raise ConfigError(
            f"{what}: {path} has permissions {stat.S_IMODE(found.st_mode):04o}; expected {wanted} "
            f"(chmod {wanted} {path})"
        )


def harden() -> None:
    """Make this process leave no core dump and let no other of the same user read its memory; its errors show no values.

    Raises ConfigError when the system refuses.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise ConfigError(f"the system refuses to protect this process's memory ({os.strerror(ctypes.get_errno())})")
    sys.excepthook = _plain
    threading.excepthook = _plain_in_thread


def _plain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Only the kind of an unexpected error and where it arose: its text and its locals might hold anything."""
    place = ""
    while trace is not None:
        place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    print(f"arena: the signer failed with {kind.__name__}{place}", file=sys.stderr, flush=True)


def _plain_in_thread(found: threading.ExceptHookArgs) -> None:
    _plain(found.exc_type, found.exc_value or found.exc_type(), found.exc_traceback)
