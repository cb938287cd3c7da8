"""What a fuse remembers, folded from its events and from nothing else: live, after a restart, and in an audit alike.

The fold keeps the laws of the states whoever wrote the events: nothing leaves LOCKED but a reset with operator and
reason, nothing arms a tripped fuse without cooling, and no state is lowered by a trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from treasury_arena.clock import iso
from treasury_arena.contracts.fuse import Task, Trigger
from treasury_arena.domain.fuses import FuseState, known_state
from treasury_arena.errors import IntegrityError, ValidationError, required_text
from treasury_arena.events import catalog as c


@attrs.frozen
class TaskRecord:
    """How far an action of the newest trip is: tries, the last one's time, and whether its postcondition held then."""

    task: Task
    attempts: int = 0
    tried_at: datetime | None = None
    done: bool = False
    trouble: str = ""


@attrs.frozen
class FuseRecord:
    """A fuse as its events tell it.

    Attributes:
        state, since, reason, operator: where it stands, since when, why, and who reset it last (None for nobody).
        trip: trips so far. trips: moments of those that count towards LOCKED.
        triggers, warnings: what held when it was last checked.
        quiet_since: since when nothing speaks against the next better state; None while something does.
        checked_at, valid_until: its last recorded check, and until when its state may be relied on; None before the first
            one and after a reset.
        tasks: actions of the newest trip.
    """

    fuse: str
    state: FuseState
    since: datetime
    reason: str = ""
    operator: str | None = None
    trip: int = 0
    trips: tuple[datetime, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    warnings: tuple[Trigger, ...] = ()
    quiet_since: datetime | None = None
    checked_at: datetime | None = None
    valid_until: datetime | None = None
    tasks: tuple[TaskRecord, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether nothing speaks against the next better state: no trigger, and while cooling or warned no warning either."""
        return not self.triggers and (self.state in (FuseState.TRIPPED, FuseState.LOCKED) or not self.warnings)


FuseEvent = (
    c.FuseArmed
    | c.FuseChecked
    | c.FuseWarned
    | c.FuseTriggered
    | c.FuseCleared
    | c.FuseTripped
    | c.FuseLocked
    | c.FuseCooling
    | c.FuseRearmed
    | c.FuseReset
    | c.FuseActionBegun
    | c.FuseActionTaken
)


def fold(record: FuseRecord | None, payload: FuseEvent, at: datetime) -> FuseRecord:
    """The record after one event that happened `at`.

    A fuse of which nothing is known stands LOCKED. Raises ValidationError for an event that breaks the laws of the states.
    """
    if isinstance(payload, c.FuseArmed):
        if record is not None:
            raise ValidationError(
                f"fuse {payload.fuse!r} was armed before and is {record.state}; it cannot be armed anew"
            )
        required_text(payload.fuse, "the name of a fuse")
        return FuseRecord(payload.fuse, FuseState.ARMED, at, "armed for the first time")
    if record is None:
        record = FuseRecord(payload.fuse, FuseState.LOCKED, at, "never armed")
    handler: Callable[[FuseRecord, Any, datetime], FuseRecord] = _HANDLERS[type(payload)]
    before, after = record, handler(record, payload, at)
    if not after.quiet:
        return attrs.evolve(after, quiet_since=None)
    if after.state is not before.state or before.quiet_since is None:
        return attrs.evolve(after, quiet_since=at)
    return after


def fold_all(record: FuseRecord | None, payloads: Iterable[FuseEvent], at: datetime) -> FuseRecord | None:
    """The record after events that happened together."""
    for payload in payloads:
        record = fold(record, payload, at)
    return record


def _to(record: FuseRecord, state: FuseState, at: datetime, reason: str, **changes: Any) -> FuseRecord:
    return attrs.evolve(record, state=state, since=at, reason=reason, **changes)


def _only_from(record: FuseRecord, payload: Any, *states: FuseState) -> None:
    if record.state not in states:
        raise ValidationError(
            f"{type(payload).__name__} of fuse {record.fuse!r}, which is {record.state}; expected {' or '.join(states)}"
        )


def _checked(record: FuseRecord, payload: c.FuseChecked, at: datetime) -> FuseRecord:
    quiet_since = at if payload.restarted else record.quiet_since
    return attrs.evolve(
        record,
        checked_at=at,
        valid_until=datetime.fromisoformat(payload.valid_until),
        triggers=_triggers(payload.triggers),
        warnings=_triggers(payload.warnings),
        quiet_since=quiet_since,
    )


def _warned(record: FuseRecord, payload: c.FuseWarned, at: datetime) -> FuseRecord:
    new = _triggers(payload.warnings)
    record = attrs.evolve(record, warnings=_merged(record.warnings, new))
    if record.state is FuseState.ARMED:
        record = _to(record, FuseState.WARNED, at, "; ".join(one.text for one in new))
    return record


def _triggered(record: FuseRecord, payload: c.FuseTriggered, at: datetime) -> FuseRecord:
    record = attrs.evolve(record, triggers=_merged(record.triggers, _triggers(payload.triggers)))
    return attrs.evolve(record, tasks=_with_tasks(record, payload.actions, record.trip, record.reason))


def _cleared(record: FuseRecord, payload: c.FuseCleared, at: datetime) -> FuseRecord:
    gone, calm = ({one.key for one in _triggers(listed)} for listed in (payload.triggers, payload.warnings))
    return attrs.evolve(
        record,
        triggers=tuple(one for one in record.triggers if one.key not in gone),
        warnings=tuple(one for one in record.warnings if one.key not in calm),
    )


def _tripped(record: FuseRecord, payload: c.FuseTripped, at: datetime) -> FuseRecord:
    state = FuseState.LOCKED if record.state is FuseState.LOCKED else FuseState.TRIPPED
    record = attrs.evolve(record, tasks=())
    return _to(
        record,
        state,
        at,
        payload.reason,
        trip=payload.trip,
        trips=tuple(datetime.fromisoformat(moment) for moment in payload.trips),
        tasks=_with_tasks(record, payload.actions, payload.trip, payload.reason),
    )


def _locked(record: FuseRecord, payload: c.FuseLocked, at: datetime) -> FuseRecord:
    # Locked by something else than a trip, its own actions are still to be asked for.
    tasks = record.tasks if record.state in (FuseState.TRIPPED, FuseState.LOCKED) else ()
    return _to(record, FuseState.LOCKED, at, payload.reason, tasks=tasks)


def _cooling(record: FuseRecord, payload: c.FuseCooling, at: datetime) -> FuseRecord:
    _only_from(record, payload, FuseState.TRIPPED)
    return _to(record, FuseState.COOLING, at, record.reason)


def _rearmed(record: FuseRecord, payload: c.FuseRearmed, at: datetime) -> FuseRecord:
    _only_from(record, payload, FuseState.COOLING, FuseState.WARNED)
    return _to(record, FuseState.ARMED, at, payload.reason)


def _reset(record: FuseRecord, payload: c.FuseReset, at: datetime) -> FuseRecord:
    check_reset(payload.reason, payload.operator)
    fresh = FuseRecord(record.fuse, FuseState.ARMED, at, payload.reason, payload.operator, trip=record.trip)
    return attrs.evolve(fresh, quiet_since=at)


def _begun(record: FuseRecord, payload: c.FuseActionBegun, at: datetime) -> FuseRecord:
    def begin(one: TaskRecord) -> TaskRecord:
        if one.task.target_raw is not None:
            raise ValidationError(f"action {one.task.key} was begun before; its target stays {one.task.target_raw}")
        return attrs.evolve(one, task=attrs.evolve(one.task, target_raw=payload.target_raw))

    return _with_task(record, payload, begin)


def _taken(record: FuseRecord, payload: c.FuseActionTaken, at: datetime) -> FuseRecord:
    return _with_task(
        record,
        payload,
        lambda one: TaskRecord(one.task, payload.attempt, at, payload.done, payload.reason),
    )


def _with_task(
    record: FuseRecord, payload: c.FuseActionBegun | c.FuseActionTaken, change: Callable[[TaskRecord], TaskRecord]
) -> FuseRecord:
    """One task changed; what is told of a trip that is over, or of an action nobody asked for, changes nothing."""
    place = (payload.trip, payload.action)
    tasks = tuple(change(one) if (one.task.trip, one.task.action) == place else one for one in record.tasks)
    return attrs.evolve(record, tasks=tasks)


def _with_tasks(record: FuseRecord, actions: Iterable[str], trip: int, reason: str) -> tuple[TaskRecord, ...]:
    there = {one.task.action for one in record.tasks}
    new = tuple(TaskRecord(Task(record.fuse, trip, name, reason)) for name in actions if name not in there)
    return (*record.tasks, *new)


def _merged(held: tuple[Trigger, ...], new: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    return tuple({one.key: one for one in (*held, *new)}.values())


def _triggers(listed: Iterable[Mapping[str, str]]) -> tuple[Trigger, ...]:
    try:
        return tuple(Trigger(**one) for one in listed)
    except TypeError as error:
        raise IntegrityError(f"a fuse's trigger cannot be read: {error}") from error


def check_reset(reason: str, operator: str) -> None:
    """Raise ValidationError unless a reset says why and who."""
    required_text(reason, "the reason of a fuse's reset")
    required_text(operator, "the name of its operator")


_HANDLERS: dict[type, Callable[[FuseRecord, Any, datetime], FuseRecord]] = {
    c.FuseChecked: _checked,
    c.FuseWarned: _warned,
    c.FuseTriggered: _triggered,
    c.FuseCleared: _cleared,
    c.FuseTripped: _tripped,
    c.FuseLocked: _locked,
    c.FuseCooling: _cooling,
    c.FuseRearmed: _rearmed,
    c.FuseReset: _reset,
    c.FuseActionBegun: _begun,
    c.FuseActionTaken: _taken,
}


def to_json(record: FuseRecord) -> dict[str, Any]:
    """The record as JSON: what the table `fuses` keeps in its column `data`."""
    data: dict[str, Any] = attrs.asdict(record, value_serializer=_plain)
    return data


def _plain(instance: Any, field: Any, value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value


def from_json(data: Mapping[str, Any]) -> FuseRecord:
    """The record of `to_json`; a state that nobody knows is LOCKED. Raises IntegrityError for anything else that is wrong."""
    try:
        values = dict(data)
        for name in ("since", "quiet_since", "checked_at", "valid_until"):
            values[name] = _time(values[name])
        values["state"] = known_state(values["state"])
        values["trips"] = tuple(datetime.fromisoformat(moment) for moment in values["trips"])
        for name in ("triggers", "warnings"):
            values[name] = _triggers(values[name])
        values["tasks"] = tuple(
            TaskRecord(**{**one, "task": Task(**one["task"]), "tried_at": _time(one["tried_at"])})
            for one in values["tasks"]
        )
        return FuseRecord(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"the record of a fuse cannot be read: {error}; `arena audit` tells more") from error


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
