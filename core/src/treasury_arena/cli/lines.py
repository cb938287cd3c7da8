"""Events, speeds and a run's standing as people read them: one line each, the reason first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from treasury_arena.clock import iso
from treasury_arena.config.settings import STEP_SECONDS
from treasury_arena.domain.assets import Asset
from treasury_arena.events.catalog import ArenaOpened
from treasury_arena.events.event import Event

#: Event type -> the fields that a line shows after the reason; a dotted name is a key of a field. The rest is in `--json`.
FIELDS: dict[str, tuple[str, ...]] = {
    "ArenaOpened": ("name", "profile", "seed", "start", "end"),
    "EvolutionCycleStarted": ("cycle",),
    "AgentSpawned": ("strategy", "origin", "parents", "replaces", "training.score"),
    "PerformanceRecorded": ("label", "days", "metrics.fitness", "metrics.total_return", "metrics.max_drawdown"),
    "AgentGraduated": ("from_stage", "to_stage", "label", "deflated_sharpe", "pbo", "trials"),
    "AgentKilled": ("rule", "metrics.fitness", "metrics.total_return"),
    "AgentRetired": ("rule", "metrics.fitness", "metrics.total_return"),
    "AgentFailed": ("kind",),
    "CapitalAllocated": ("pool", "amount_raw"),
    "CapitalReturned": ("pool", "amount_raw"),
    "IdleCapitalMoved": ("pool", "market", "amount_raw", "cost_raw"),
    "OrderReserved": ("market", "value_raw", "target_raw"),
    "OrderSettled": ("market", "status", "notional_raw", "cost_raw", "slippage_bps"),
    "OrderRejected": ("code", "market", "notional_raw"),
    "OrderFailed": ("market", "cost_raw"),
    "OrderQuarantined": ("market",),
    "AgentMarked": ("equity_raw", "cash_raw", "orders", "costs_raw"),
    "PoolMarked": ("pool", "cash_raw", "lent_raw"),
    "CapitalConservationChecked": ("cycle", "totals"),
    "EvolutionCycleComplete": ("cycle", "population", "best", "median", "capital_raw", "trials"),
    "RunCompleted": ("cycle", "capital_raw"),
    "EmergencyStopEngaged": ("level", "operator"),
    "EmergencyStopReleased": ("operator",),
    "FuseArmed": ("fuse",),
    "FuseChecked": ("fuse", "state", "valid_until"),
    "FuseWarned": ("fuse", "warnings"),
    "FuseTriggered": ("fuse", "triggers"),
    "FuseCleared": ("fuse", "triggers", "warnings"),
    "FuseTripped": ("fuse", "trip", "actions"),
    "FuseLocked": ("fuse",),
    "FuseCooling": ("fuse", "trip"),
    "FuseRearmed": ("fuse",),
    "FuseReset": ("fuse", "from_state", "operator", "unfinished"),
    "FuseActionBegun": ("fuse", "trip", "action", "target_raw"),
    "FuseActionTaken": ("fuse", "trip", "action", "attempt", "done"),
    "DaemonStarted": ("mode", "version", "holder", "token"),
    "DaemonStopped": ("holder", "token"),
    "LeaseTaken": ("lease", "holder", "host", "pid", "token"),
    "LeaseLost": ("lease", "holder", "token"),
    "LeaseReleased": ("lease", "holder", "token"),
    "JobClaimed": ("job", "slot", "token"),
    "JobFinished": ("job", "slot", "error"),
    "JobInterrupted": ("job", "slot"),
    "JobMissed": ("job", "count", "first", "last"),
}


@attrs.frozen
class RowClock:
    """When a market row was: `row` was at `start`, and each further one `step_seconds` later."""

    row: int
    start: datetime
    step_seconds: int

    def of(self, payload: object) -> str | None:
        """The time of the row that an event tells of; None for one without a row."""
        row = getattr(payload, "row", None)
        if not isinstance(row, int):
            return None
        return iso(self.start + timedelta(seconds=(row - self.row) * self.step_seconds))


def row_clock(opened: ArenaOpened | None, first_row: int | None) -> RowClock | None:
    """The clock of a run whose first cycle was at `first_row`; None where the run does not tell its step."""
    step = STEP_SECONDS.get(opened.config.get("step", "")) if opened is not None else None
    if opened is None or first_row is None or step is None:
        return None
    return RowClock(first_row, datetime.fromisoformat(opened.start), step)


def event_line(event: Event, base: Asset | None, clock: RowClock | None = None) -> str:
    """Seq, time, type, agent, the reason where there is one, and the few fields that matter; `base` tells what money is in.

    The time is that of the commit; that of the market row, where it is another, is the last field.
    """
    payload = attrs.asdict(event.payload, recurse=False)
    when = clock.of(event.payload) if clock is not None else None
    shown = [_field(name, payload, base) for name in FIELDS.get(event.event_type, tuple(payload)) if name != "reason"]
    shown += [f"at {when}"] if when not in (None, event.timestamp) else []
    told = "; ".join(part for part in (str(payload.get("reason") or ""), ", ".join(filter(None, shown))) if part)
    line = f"{event.seq:7} {event.timestamp} {event.event_type:26} {event.agent_id or '-':16} {told}"
    return _plain(line)


def standing_line(value: Any) -> str:
    """A value of `status` in words."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {amount}" for name, amount in value.items()) or "none"
    return str(value)


def speed(steps: float, seconds: float) -> str:
    """Agent-steps a second, in the unit that leaves a digit to read."""
    rate = steps / max(seconds, 1e-9)
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if rate >= 0.95 * size:
            return f"{rate / size:.1f}{unit} agent-steps/s"
    return f"{rate:.0f} agent-steps/s"


def _field(name: str, payload: Mapping[str, Any], base: Asset | None) -> str:
    outer, _, inner = name.partition(".")
    value = payload.get(outer)
    if inner:
        value = value.get(inner) if isinstance(value, Mapping) else None
    if value is None or value in ("", [], {}):
        return ""
    key = inner or outer
    if key.endswith("_raw"):
        return f"{key.removesuffix('_raw')} {_money(value, base)}"
    if key == "cycle":
        return f"cycle {value + 1}"
    return f"{key.replace('_', ' ')} {_worded(value)}"


def _money(raw: int, base: Asset | None) -> str:
    return f"{raw} base units" if base is None else f"{base.to_float(raw):,.2f} {base.symbol}"


def _worded(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        # Triggers and warnings of a fuse say what they are themselves.
        return " ".join(str(one.get("text", one)) if isinstance(one, Mapping) else str(one) for one in value)
    return str(value)


def _plain(text: str) -> str:
    """One line that no terminal mistakes for a command."""
    return "".join(sign if sign.isprintable() else " " if sign in "\n\t\r" else "\ufffd" for sign in text)


def barren(strategy: str, why: str) -> str:
    """A strategy that bred no agents."""
    return f"warning: not one genome of {strategy} could be simulated, it bred no agents" + (f": {why}" if why else "")
