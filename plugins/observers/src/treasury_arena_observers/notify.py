"""Tells people what happened, through apprise."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from treasury_arena.clock import Stopwatch
from treasury_arena.config.keys import dereference
from treasury_arena.contracts.runtime import Observer, ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events.event import Event
from treasury_arena.veiled import Veiled
from treasury_arena_observers.config import NotifySection
from treasury_arena_observers.masking import Mask, MaskedRecords
from treasury_arena_observers.outbox import Letter, Outbox, Pace
from treasury_arena_observers.target import LIBRARIES, Target
from treasury_arena_observers.telling import level, line


class NotifyObserver(Observer):
    """Puts each event of the chosen types into an outbox for every address; it never waits for one of them."""

    name = "notify"

    def __init__(self, section: NotifySection, context: ObserverContext) -> None:
        self._section = section
        self._tell = context.tell
        self._mask = Mask(_urls(section))
        self._records = MaskedRecords(self._mask)
        for logger in LIBRARIES:
            logging.getLogger(logger).addFilter(self._records)
        reference = str(section.urls)
        try:
            targets = [Target(at, reference, self._mask, _opened(section, at)) for at in range(len(_urls(section)))]
        except BaseException:
            self._unfilter()
            raise
        pace = Pace(
            group_seconds=section.group_seconds,
            hourly=section.hourly,
            tries=section.tries,
            retry_seconds=section.retry_seconds,
            retry_seconds_max=section.retry_seconds_max,
            queue=section.queue,
        )
        self._outboxes = [
            Outbox(target.name, _sender(target, context.run, section.lines), pace, self._say) for target in targets
        ]

    def _say(self, text: str) -> None:
        self._tell(f"observer.notify: {text}")

    def observe(self, events: Sequence[Event]) -> None:
        """Take note of the chosen events; returns at once."""
        for event in events:
            if event.event_type in self._section.events:
                letter = Letter(level(event), event.event_type, line(event, self._mask))
                for outbox in self._outboxes:
                    outbox.put(letter)

    def observe_live(self, events: Sequence[Event]) -> None:
        """As `observe`."""
        self.observe(events)

    def close(self) -> None:
        """Send what waits; what is not delivered within ``ending_seconds`` is told."""
        watch = Stopwatch()
        for outbox in self._outboxes:
            outbox.end()
        for outbox in self._outboxes:
            outbox.join(self._section.ending_seconds - watch.seconds())
        self._unfilter()

    def _unfilter(self) -> None:
        for logger in LIBRARIES:
            logging.getLogger(logger).removeFilter(self._records)


def build(section: NotifySection, context: ObserverContext) -> Observer:
    """The observer; raises ConfigError when the reference leads nowhere or to something that apprise does not know."""
    return NotifyObserver(section, context)


def _urls(section: NotifySection) -> list[str]:
    """The addresses; never a local variable of a frame that may fail."""
    return [
        Veiled(part)
        for text in dereference(section.urls.reference).splitlines()
        if not text.lstrip().startswith("#")
        for part in text.split()
    ] or _none(section)


def _none(section: NotifySection) -> list[str]:
    raise ConfigError(f"observer.notify.urls: {section.urls} holds no URL; expected for example tgram://TOKEN/CHAT")


def _opened(section: NotifySection, at: int) -> Callable[[], str]:
    """Reads the address number `at` when it is needed."""
    return lambda: _urls(section)[at]


def _sender(target: Target, run: str, lines: int) -> Callable[[Sequence[Letter], int], str]:
    def send(letters: Sequence[Letter], lost: int) -> str:
        return target.send(*message(run, letters, lost, lines))

    return send


def message(run: str, letters: Sequence[Letter], lost: int, lines: int) -> tuple[str, str, int]:
    """Title, body and gravity of one message about `letters`, of which `lines` are spelled out, the gravest first to stay."""
    worst = max((letter.level for letter in letters), default=logging.ERROR)
    titles = dict.fromkeys(letter.title for letter in sorted(letters, key=lambda one: -one.level))
    shown = sorted(sorted(range(len(letters)), key=lambda at: -letters[at].level)[:lines])
    body = [letters[at].text for at in shown]
    if len(letters) > len(shown):
        body.append(f"and {len(letters) - len(shown)} more")
    if lost:
        body.append(f"{lost} further events could not be told: see `arena events`")
    names = list(titles)
    title = f"{run}: {', '.join(names[:3])}" + (", ..." if len(names) > 3 else "")
    return re.sub(r"\s+", " ", title if names else f"{run}: events were lost"), "\n".join(body), worst
