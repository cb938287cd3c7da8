"""One line of JSON for each event, through structlog."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog

from treasury_arena.contracts.runtime import Observer, ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events.event import Event
from treasury_arena.isolation import message
from treasury_arena_observers.config import STDERR, LogSection
from treasury_arena_observers.masking import Mask
from treasury_arena_observers.telling import content, level

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_METHODS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner may read; what it cannot write it raises."""

    def _open(self) -> TextIOWrapper:
        file = open(self.baseFilename, "a", encoding="utf-8", opener=_private)  # noqa: SIM115  the handler closes it
        if file.tell() > 0 and not _ends_well(self.baseFilename):
            file.write("\n")  # a process that was killed left half a line
        return file

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is that of `logging`
        """Raise what writing raised."""
        raise


class Stream(logging.StreamHandler[TextIO]):
    """Standard error as it is when a line is written; what it cannot write it raises."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is that of `logging`
        """Raise what writing raised."""
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ends_well(path: str) -> bool:
    """Whether a file that is not empty ends with a whole line."""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class LogObserver(Observer):
    """Writes each event as one line; lines that cannot be written are counted and told."""

    name = "log"

    def __init__(self, section: LogSection, context: ObserverContext) -> None:
        self._mask, self._tell, self._lost = Mask(), context.tell, 0
        self._level = _LEVELS[section.level]
        self._handler = _handler(section, context.folder)
        lines = logging.Logger("treasury_arena.observers.log")  # a logger of its own, below no other
        lines.addHandler(self._handler)
        self._log = structlog.wrap_logger(
            lines,
            processors=[
                structlog.stdlib.add_log_level,
                self._masked,
                structlog.processors.JSONRenderer(sort_keys=False, allow_nan=False),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind(run=context.run)

    def _masked(self, logger: Any, method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        masked: dict[str, Any] = self._mask.value(line)
        return masked

    def observe(self, events: Sequence[Event]) -> None:
        """Write the events of the arena."""
        self._write(events, "arena")

    def observe_live(self, events: Sequence[Event]) -> None:
        """Write the events of the store of live orders."""
        self._write(events, "live")

    def _write(self, events: Sequence[Event], log: str) -> None:
        for event in events:
            if (grave := level(event)) < self._level:
                continue
            payload = content(event)
            write: Callable[..., Any] = getattr(self._log, _METHODS[grave])
            try:
                write(
                    event.event_type,
                    time=event.timestamp,
                    log=log,
                    seq=event.seq,
                    agent=event.agent_id,
                    order=payload.get("intent_id"),
                    payload=payload,
                )
            except (OSError, ValueError) as error:  # a full disk, a closed stream: the next line may go through
                self._lost += 1
                if self._lost == 1:
                    self._tell(f"observer.log: lines are lost: {type(error).__name__}: {self._mask(message(error))}")
            else:
                if self._lost:
                    self._tell(f"observer.log: it goes on; {self._lost} lines were lost")
                self._lost = 0

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
        if self._lost:
            self._tell(f"observer.log: {self._lost} lines were lost")


def build(section: LogSection, context: ObserverContext) -> Observer:
    """The observer; raises ConfigError when its file cannot be written."""
    return LogObserver(section, context)


def _handler(section: LogSection, folder: Path | None) -> logging.Handler:
    if str(section.path) == STDERR:
        return Stream()
    path = section.path if folder is None else folder / section.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return PrivateFile(path, maxBytes=section.rotate_bytes, backupCount=section.keep, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"observer.log.path: {path} cannot be written ({error.strerror}); expected a file in a folder of yours, or "
            f'"{STDERR}"'
        ) from error
