"""The figures that Prometheus reads, kept up to date by events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from treasury_arena.clock import Stopwatch
from treasury_arena.domain.fuses import FuseState
from treasury_arena.domain.stops import OFF, STOP_LEVELS, known_level
from treasury_arena.events.event import Event

#: Event -> the state that an order is in after it.
ORDERS = {
    "OrderReserved": "reserved",
    "OrderSettled": "settled",
    "OrderFailed": "failed",
    "OrderQuarantined": "quarantined",
    "OrderRejected": "rejected",
    "IntentReserved": "reserved",
    "IntentQuarantined": "quarantined",
}
#: Event -> the state that a fuse is in after it.
FUSES = {
    "FuseWarned": FuseState.WARNED,
    "FuseTripped": FuseState.TRIPPED,
    "FuseLocked": FuseState.LOCKED,
    "FuseCooling": FuseState.COOLING,
    "FuseRearmed": FuseState.ARMED,
    "FuseReset": FuseState.ARMED,
}
#: Types whose newest event says how things stand when an observer begins.
KNOWN = (
    "ArenaOpened",
    "EvolutionCycleComplete",
    "TreasuryMarked",
    "EmergencyStopEngaged",
    "EmergencyStopReleased",
    "FuseArmed",
    "FuseChecked",
    "RunCompleted",
    *FUSES,
)


class Figures:
    """Gauges and counters of one run. Counters begin at 0 with the process; money is in whole units of the base asset."""

    def __init__(self, registry: CollectorRegistry, run: str) -> None:
        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(f"treasury_arena_{name}", help, labels, registry=registry)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"treasury_arena_{name}", help, labels, registry=registry)

        self.run = Info("treasury_arena_run", "The run", registry=registry)
        self.run.info({"run": run})
        self.capital = gauge("capital", "Capital after the newest cycle, in the base asset")
        self.worth = gauge("worth", "What everything is worth at the newest mark, in the base asset")
        self.peak = gauge("worth_peak", "The highest worth ever marked, in the base asset")
        self.drawdown = gauge("drawdown_ratio", "Share that is missing to the highest worth")
        self.day_drawdown = gauge("day_drawdown_ratio", "Share that is missing to the highest worth of the day")
        self.agents = gauge("agents", "Agents by stage after the newest cycle", "stage")
        self.cycle = gauge("cycle", "Number of the newest complete cycle, from 1")
        self.completed = gauge("run_completed", "1 when the run has reached its end")
        self.fuse = gauge("fuse_state", "1 for the state that a fuse is in", "fuse", "state")
        self.stop = gauge("emergency_stop_level", "0 off, 1 soft, 2 hard", "log")
        self.seq = gauge("last_event_seq", "Number of the newest event", "log")
        self.age = gauge("event_age_seconds", "Seconds since the newest event came in, or since the start", "log")
        self.cycles = counter("cycles", "Cycles completed")
        self.events = counter("events", "Events", "log", "type")
        self.orders = counter("orders", "Orders that entered a state", "log", "state")
        self.misses = counter("job_misses", "Slots that nobody ran", "job")
        self.failures = counter("job_failures", "Slots that ended with an error or were cut short", "job")
        self.halts = counter("agent_halts", "Live agents that were halted")
        self._unit = 1
        self._heard: dict[str, Stopwatch] = {}
        self.stop.labels(log="arena").set(0)
        self._came("arena")

    def recall(self, event: Event) -> None:
        """Learn how things stood from an event of the arena that is in the past; nothing is counted."""
        self._state(event, "arena")

    def take(self, event: Event, log: str) -> None:
        """Learn from an event of the log ``arena`` or ``live``."""
        name, payload = event.event_type, event.payload
        self._state(event, log)
        self.seq.labels(log=log).set(event.seq)
        self.events.labels(log=log, type=name).inc()
        if name in ORDERS:
            self.orders.labels(log=log, state=ORDERS[name]).inc()
        elif name == "IntentEnded":
            self.orders.labels(log=log, state=payload.status.lower()).inc()
        elif name == "EvolutionCycleComplete":
            self.cycles.inc()
        elif name == "JobMissed":
            self.misses.labels(job=payload.job).inc(payload.count)
        elif name == "JobInterrupted" or (name == "JobFinished" and payload.error):
            self.failures.labels(job=payload.job).inc()
        elif name == "AgentHalted":
            self.halts.inc()
        self._came(log)

    def _came(self, log: str) -> None:
        watch = self._heard[log] = Stopwatch()
        self.age.labels(log=log).set_function(watch.seconds)

    def _state(self, event: Event, log: str) -> None:
        name, payload = event.event_type, event.payload
        if name in FUSES:
            self._fuse(payload.fuse, FUSES[name])
        elif name in _STATES:
            _STATES[name](self, payload, log)

    def _opened(self, payload: Any, log: str) -> None:
        self._unit = 10 ** payload.assets[payload.base_asset]

    def _cycle(self, payload: Any, log: str) -> None:
        self.cycle.set(payload.cycle + 1)
        self.capital.set(payload.capital_raw / self._unit)
        self.agents.clear()
        for stage, count in payload.population.items():
            self.agents.labels(stage=stage).set(count)

    def _marked(self, payload: Any, log: str) -> None:
        self.worth.set(payload.worth_raw / self._unit)
        self.peak.set(payload.peak_raw / self._unit)
        self.drawdown.set(_missing(payload.worth_raw, payload.peak_raw))
        self.day_drawdown.set(_missing(payload.worth_raw, payload.day_peak_raw))

    def _fuse(self, fuse: str, state: str) -> None:
        for one in FuseState:
            self.fuse.labels(fuse=fuse, state=one).set(one == state)

    def _checked(self, payload: Any, log: str) -> None:
        self._fuse(payload.fuse, payload.state)

    def _stopped(self, payload: Any, log: str) -> None:
        self.stop.labels(log=log).set(STOP_LEVELS.index(known_level(payload.level)))

    def _released(self, payload: Any, log: str) -> None:
        self.stop.labels(log=log).set(STOP_LEVELS.index(OFF))

    def _ended(self, payload: Any, log: str) -> None:
        self.completed.set(1)


def _missing(now: int, highest: int) -> float:
    return max(0.0, 1.0 - now / highest) if highest > 0 else 0.0


_STATES: dict[str, Callable[[Figures, Any, str], None]] = {
    "ArenaOpened": Figures._opened,
    "EvolutionCycleComplete": Figures._cycle,
    "TreasuryMarked": Figures._marked,
    "FuseChecked": Figures._checked,
    "EmergencyStopEngaged": Figures._stopped,
    "EmergencyStopReleased": Figures._released,
    "RunCompleted": Figures._ended,
}
