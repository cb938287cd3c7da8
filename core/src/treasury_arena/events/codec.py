"""The codec: event payloads to canonical JSON and back.

A payload is stored under its registered name and version, never under an import path. Canonical JSON has sorted keys, no
spaces, ASCII only, floats in Python's shortest round-trip form, and neither NaN nor infinities. Base-unit integers (fields
and nested keys ending in ``_raw``, and the amounts of ledger lines) are decimal text, because they pass 2^63 and 2^53.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from treasury_arena.errors import IntegrityError, ValidationError, nearest
from treasury_arena.events import catalog, daemon, live
from treasury_arena.events.event import Line, Transfer
from treasury_arena.events.upcasters import upcast

VERSIONS: dict[str, int] = {
    "ArenaOpened": 1,
    "EvolutionCycleStarted": 1,
    "AgentSpawned": 1,
    "PerformanceRecorded": 1,
    "AgentGraduated": 1,
    "AgentKilled": 1,
    "AgentRetired": 1,
    "AgentFailed": 1,
    "CapitalAllocated": 1,
    "CapitalReturned": 1,
    "IdleCapitalMoved": 1,
    "OrderReserved": 1,
    "OrderSettled": 1,
    "OrderRejected": 1,
    "OrderFailed": 1,
    "OrderQuarantined": 1,
    "AgentMarked": 1,
    "PoolMarked": 1,
    "CapitalConservationChecked": 1,
    "EvolutionCycleComplete": 1,
    "RunCompleted": 1,
    "EmergencyStopEngaged": 1,
    "EmergencyStopReleased": 1,
    "IntentReserved": 1,
    "NonceAllocated": 1,
    "NonceReleased": 1,
    "AttemptSigned": 1,
    "SendObserved": 1,
    "IncludedObserved": 1,
    "ReorgDetected": 1,
    "StepFinal": 1,
    "StepSkipped": 1,
    "GateRefused": 1,
    "SlotDisplaced": 1,
    "SenderResumed": 1,
    "IntentQuarantined": 1,
    "IntentEnded": 1,
    "FinalityBroken": 1,
    "LiveArmed": 1,
    "LiveDisarmed": 1,
    "ReconciliationCompleted": 1,
    "ReconciliationFailed": 1,
    "HoldingsAdjusted": 1,
    "MarketObserved": 1,
    "TreasuryMarked": 1,
    "OperatorCalled": 1,
    "CapitalBooked": 1,
    "CapitalAdjusted": 1,
    "CapitalFollowed": 1,
    "LiveMarked": 1,
    "AgentHalted": 1,
    "AgentResumed": 1,
    "FuseArmed": 1,
    "FuseChecked": 1,
    "FuseWarned": 1,
    "FuseTriggered": 1,
    "FuseCleared": 1,
    "FuseTripped": 1,
    "FuseLocked": 1,
    "FuseCooling": 1,
    "FuseRearmed": 1,
    "FuseReset": 1,
    "FuseActionBegun": 1,
    "FuseActionTaken": 1,
    "DaemonStarted": 1,
    "DaemonStopped": 1,
    "LeaseTaken": 1,
    "LeaseLost": 1,
    "LeaseReleased": 1,
    "JobClaimed": 1,
    "JobFinished": 1,
    "JobInterrupted": 1,
    "JobMissed": 1,
}
"""Event name -> present version of its payload."""

_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")


def _encoding() -> Callable[[Any], str]:
    """What writes canonical JSON. `JSONEncoder.encode` makes its compiled half anew for every value, which takes as long as
    writing an event does; here it is made once. An interpreter without one goes the slow way, to the same text.
    """
    encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False)
    compiled = getattr(json.encoder, "c_make_encoder", None)
    if compiled is None:
        return encoder.encode
    quoted = json.encoder.encode_basestring_ascii
    parts = compiled(None, encoder.default, quoted, None, ":", ",", True, False, False)
    return lambda value: "".join(parts(value, 0))


_dumps = _encoding()


def canonical_json(value: Any) -> str:
    """Return `value` as canonical JSON; raises ValidationError for NaN, infinities and anything JSON has no form for."""
    try:
        return _dumps(value)
    except (TypeError, ValueError) as error:
        where, why = _culprit(value, "")
        raise ValidationError(f"{where or 'the value'} cannot be stored: {why or error}") from error


def _culprit(value: Any, path: str) -> tuple[str, str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return path, f"key {key!r} is not text"
            found = _culprit(item, f"{path}.{key}" if path else key)
            if found[1]:
                return found
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            found = _culprit(item, f"{path}[{index}]")
            if found[1]:
                return found
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return path, f"{value!r} is not a finite number"
    elif value is not None and not isinstance(value, str | int):
        return path, f"{type(value).__name__} {value!r} is not text, number, list or dict"
    return "", ""


def _raw_out(value: Any) -> Any:
    if type(value) is int:
        return str(value)
    if isinstance(value, list | tuple):
        return [_raw_out(item) for item in value]
    if isinstance(value, dict):
        return {key: _raw_out(item) for key, item in value.items()}
    raise ValidationError(f"{type(value).__name__} {value!r} is not a whole number of base units")


def _raw_in(value: Any) -> Any:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, list):
        return [_raw_in(item) for item in value]
    if isinstance(value, dict):
        return {key: _raw_in(item) for key, item in value.items()}
    raise IntegrityError(f"{value!r} is not a whole number of base units in decimal text")


def _free_out(value: Any, raw: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _free_out(item, raw or str(key).endswith("_raw")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_free_out(item, raw) for item in value]
    if raw and type(value) is int:
        return str(value)
    if raw and isinstance(value, str) and _DECIMAL.fullmatch(value):
        raise ValidationError(f"text {value!r} under a key ending in '_raw' would come back as a number; give an int")
    return value


def free_in(value: Any, raw: bool = False) -> Any:
    """A free field's value as it was before it was written: base units below a key that ends in ``_raw`` are integers again."""
    if isinstance(value, dict):
        return {key: free_in(item, raw or key.endswith("_raw")) for key, item in value.items()}
    if isinstance(value, list):
        return [free_in(item, raw) for item in value]
    if raw and isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    return value


def _mentions(hint: Any, wanted: Any) -> bool:
    return hint is wanted or any(_mentions(arg, wanted) for arg in typing.get_args(hint))


@attrs.frozen
class Plan:
    """How one payload class is written and read: only the fields in `special` need more than JSON itself.

    `ordered` are the fields as canonical JSON has them, `frame` that JSON with a place for each value, `readers` the special
    fields with their places among `ordered`.
    """

    name: str
    version: int
    cls: type
    fields: tuple[str, ...]
    special: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Any]], ...]
    ordered: tuple[str, ...]
    frame: str
    readers: tuple[tuple[int, str, Callable[[Any], Any]], ...]

    def dump(self, payload: Any) -> dict[str, Any]:
        values = {name: getattr(payload, name) for name in self.fields}
        for name, out, _ in self.special:
            try:
                values[name] = out(values[name])
            except ValidationError as error:
                raise ValidationError(f"{self.name}.{name}: {error}") from error
        return values

    def load(self, values: dict[str, Any]) -> Any:
        if values.keys() != set(self.fields):
            missing, extra = set(self.fields) - values.keys(), values.keys() - set(self.fields)
            raise IntegrityError(f"event {self.name} has fields {sorted(extra)} too many and lacks {sorted(missing)}")
        values = dict(values)
        for name, _, into in self.special:
            try:
                values[name] = into(values[name])
            except IntegrityError as error:
                raise IntegrityError(f"{self.name}.{name}: {error}") from error
        return self.cls(**values)


def _plan(cls: type, version: int) -> Plan:
    hints = typing.get_type_hints(cls)
    names = tuple(field.name for field in attrs.fields(cls))
    special: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = []
    for name in names:
        if _mentions(hints[name], Any):
            special.append((name, _free_out, free_in))
        elif name.endswith("_raw") and _mentions(hints[name], int):
            special.append((name, _raw_out, _raw_in))
    ordered = tuple(sorted(names))
    frame = ",".join(f'"{name}":%s' for name in ordered)
    readers = tuple((ordered.index(name), name, into) for name, _, into in special)
    return Plan(cls.__name__, version, cls, names, tuple(special), ordered, f"{{{frame}}}", readers)


def _payload(name: str) -> type:
    return next(getattr(module, name) for module in (catalog, live, daemon) if hasattr(module, name))  # type: ignore[no-any-return]


_by_name = {name: _plan(_payload(name), version) for name, version in VERSIONS.items()}
_by_class = {plan.cls: plan for plan in _by_name.values()}


def plan_named(name: str) -> Plan | None:
    """How an event is written and read; None for a name that the program does not know."""
    return _by_name.get(name)


def names() -> list[str]:
    """Every event name the program knows, sorted."""
    return sorted(_by_name)


def _plan_of(payload: Any) -> Plan:
    plan = _by_class.get(type(payload))
    if plan is None:
        raise ValidationError(
            f"{type(payload).__name__} is not an event of the catalog; {nearest(type(payload).__name__, _by_name)}"
        )
    return plan


def encode(payload: Any) -> tuple[str, int, dict[str, Any]]:
    """Return ``(event_type, version, fields)`` of a catalog payload, the fields ready for `canonical_json`.

    Raises ValidationError for a payload outside the catalog, or a ``_raw`` field that holds no int.
    """
    plan = _plan_of(payload)
    return plan.name, plan.version, plan.dump(payload)


def decode(event_type: str, version: int, fields: dict[str, Any]) -> Any:
    """Return the payload object of stored `fields`, upcast to the present version.

    Raises IntegrityError for an unknown name or wrong fields, StoreError for a version newer than the program.
    """
    plan = _by_name.get(event_type)
    if plan is None:
        raise IntegrityError(f"event type {event_type!r} is unknown; {nearest(event_type, _by_name)}")
    return plan.load(upcast(event_type, version, fields, plan.version))


def encode_data(payload: Any, transfers: Sequence[Transfer]) -> tuple[str, int, str]:
    """Return ``(event_type, version, data)``: `data` is canonical JSON ``{"payload": ..., "transfers": [...]}``.

    Raises ValidationError naming event and field.
    """
    plan = _plan_of(payload)
    moved = [
        {
            "reason": transfer.reason,
            "lines": [[line.account, line.asset, _raw_out(line.amount_raw)] for line in transfer.lines],
        }
        for transfer in transfers
    ]
    try:
        return plan.name, plan.version, _dumps({"payload": plan.dump(payload), "transfers": moved})
    except (TypeError, ValueError) as error:
        where, why = _culprit(plan.dump(payload), plan.name)
        raise ValidationError(f"{where or plan.name} cannot be stored: {why or error}") from error


def _transfers_in(content: dict[str, Any]) -> tuple[Transfer, ...]:
    moved = content["transfers"]
    if len(content) != 2 or type(moved) is not list:
        raise TypeError("expected a payload and a list of transfers, and nothing else")
    return tuple(map(_transfer_in, moved))


def _transfer_in(item: dict[str, Any]) -> Transfer:
    reason, lines = item["reason"], item["lines"]
    if len(item) != 2 or type(reason) is not str or type(lines) is not list:
        raise TypeError("expected the lines of a transfer and its reason, and nothing else")
    return Transfer(reason, tuple(Line(account, asset, _raw_in(amount)) for account, asset, amount in lines))


def decode_data(event_type: str, version: int, data: str) -> tuple[Any, tuple[Transfer, ...]]:
    """Return payload and transfers of a stored `data`; raises IntegrityError when it is not what `encode_data` writes."""
    try:
        content = json.loads(data)
        transfers = _transfers_in(content)
        return decode(event_type, version, content["payload"]), transfers
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(f"event {event_type} holds data that cannot be read: {error}") from error
