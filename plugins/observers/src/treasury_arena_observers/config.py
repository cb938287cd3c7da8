"""The configuration sections ``[observer.notify]``, ``[observer.metrics]`` and ``[observer.log]``."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, min_len

from treasury_arena.config.keys import Secret, key
from treasury_arena.errors import nearest
from treasury_arena.events.codec import VERSIONS

STDERR = "stderr"
#: What a person is told of unless the configuration says otherwise.
TOLD = (
    "EmergencyStopEngaged",
    "EmergencyStopReleased",
    "FuseTripped",
    "FuseLocked",
    "FuseReset",
    "OperatorCalled",
    "IntentQuarantined",
    "SlotDisplaced",
    "FinalityBroken",
    "AgentHalted",
    "JobMissed",
    "LeaseLost",
    "RunCompleted",
)


def _event_types(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for name in value:
        if name not in VERSIONS:
            raise ValueError(f"there is no event type {name!r}; {nearest(name, VERSIONS)}")


@attrs.frozen(kw_only=True)
class NotifySection:
    """Messages to people, through apprise: Telegram, Discord, e-mail, webhooks and more."""

    urls: Secret = key(
        attrs.NOTHING,
        "Apprise URLs by reference, several ones separated by white space or on lines of their own.",
        secret=True,
    )
    events: tuple[str, ...] = key(TOLD, "Types of the events that are told.", min_len(1), _event_types)
    group_seconds: float = key(
        5.0, "How long a message waits for further events that go into it, in seconds.", ge(0.0), le(3_600.0)
    )
    hourly: int = key(
        60, "Most messages to one address within an hour; what is beyond waits for the next.", ge(1), le(3_600)
    )
    lines: int = key(20, "Most events that a message spells out; the rest is counted.", ge(1), le(1_000))
    tries: int = key(10, "How often a message is tried before it is given up.", ge(1), le(1_000))
    retry_seconds: float = key(
        2.0, "Wait before the second try, in seconds; each further wait is twice as long.", gt(0.0)
    )
    retry_seconds_max: float = key(300.0, "Longest wait between two tries, in seconds.", gt(0.0), le(86_400.0))
    queue: int = key(1_000, "Most events that wait for one address; further ones are lost, and told as lost.", ge(1))
    ending_seconds: float = key(
        10.0, "How long the end of a run waits for messages under way, in seconds.", ge(0.0), le(14.0)
    )


@attrs.frozen(kw_only=True)
class MetricsSection:
    """An endpoint for Prometheus. It has no password: whoever reaches it reads it."""

    port: int = key(attrs.NOTHING, "TCP port; 0 takes a free one and says which.", ge(0), le(65_535))
    host: str = key("127.0.0.1", "Address to listen on.", min_len(1))


@attrs.frozen(kw_only=True)
class LogSection:
    """One line of JSON for each event."""

    path: Path = key(
        attrs.NOTHING, 'File, relative to the run\'s folder where it has one; "stderr" for standard error.'
    )
    level: Literal["debug", "info", "warning", "error"] = key("info", "The least that is written.")
    rotate_bytes: int = key(10_000_000, "Size at which a file is put away as PATH.1 and begun anew.", ge(10_000))
    keep: int = key(5, "Files that are kept beside the one written to.", ge(1), le(1_000))
