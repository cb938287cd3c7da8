"""The state machine of the survival fuse: pure, one look at the readings at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from treasury_arena.clock import aware, iso
from treasury_arena.contracts.fuse import Action, Fuse, FuseContext, Guard, Judgement, Readings, Step, Task, Trigger
from treasury_arena.contracts.fuse_record import FuseEvent, FuseRecord, fold
from treasury_arena.domain.fuses import FuseState
from treasury_arena.errors import ConfigError, TreasuryArenaError, nearest
from treasury_arena.events import catalog as c
from treasury_arena.isolation import calling, message, plain
from treasury_arena_risk.actions import CancelUnmined, Delever, HaltNewRisk, Notify, Reduce
from treasury_arena_risk.config import CONDITIONS, GUARDS, SurvivalSection
from treasury_arena_risk.guards import DataStale, built_in, merged

ARMED, WARNED, TRIPPED, COOLING, LOCKED = FuseState
_TEXT_MAX = 300


class _Pen:
    """Writes events, and folds each as it is written: what the machine says and what is remembered cannot differ."""

    def __init__(self, record: FuseRecord, now: datetime) -> None:
        self.record = record
        self.now = now
        self.events: list[FuseEvent] = []

    def write(self, payload: FuseEvent) -> None:
        self.record = fold(self.record, payload, self.now)
        self.events.append(payload)


@attrs.frozen(eq=False)
class SurvivalFuse(Fuse):
    """The survival fuse over its guards and actions.

    Attributes:
        section: limits and times.
        guards: what it judges by, in this order.
        actions: by name; `section.halt_actions` and `section.exit_actions` choose among them.
    """

    section: SurvivalSection
    guards: tuple[Guard, ...]
    actions: Mapping[str, Action]
    name: str = "survival"
    needs: tuple[str, ...] = attrs.field(init=False)

    @needs.default
    def _needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for guard in self.guards for name in guard.readings))

    def step(self, record: FuseRecord | None, readings: Readings, now: datetime) -> Step:
        now = aware(now)
        armed: list[FuseEvent] = []
        if record is None:
            armed.append(c.FuseArmed(self.name, [guard.name for guard in self.guards]))
            record = fold(None, armed[0], now)
        pen = _Pen(record, now)
        found = self._judge(readings, now)
        restarted = self._blind(record, now)
        self._note(pen, found)
        if pen.record.state in (ARMED, WARNED, COOLING) and found.triggers:
            self._trip(pen, found)
        elif pen.record.state in (TRIPPED, LOCKED):
            self._again(pen, found, record)
        if not restarted and pen.record.state is record.state:
            self._better(pen)
        if armed or pen.events or restarted or self._due(record, now):
            until = iso(now + timedelta(seconds=self.section.blind_after_s))
            state = pen.record.state.value
            listed = _listed(found.triggers), _listed(found.warnings)
            pen.write(c.FuseChecked(self.name, state, until, restarted, *listed))
        return Step(pen.record, (*armed, *pen.events), self._actions_due(pen.record, now))

    # -- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, readings: Readings, now: datetime) -> Judgement:
        found = merged(self._ask(guard, readings, now) for guard in self.guards)
        triggers = {one.key: one for one in found.triggers}
        return Judgement(tuple(triggers.values()), tuple({one.key: one for one in found.warnings}.values()))

    def _ask(self, guard: Guard, readings: Readings, now: datetime) -> Judgement:
        try:
            with calling(f"guard {guard.name!r}"):
                judged = guard.judge(readings, now)
                found = Judgement(*(tuple(map(_clean, part)) for part in (judged.triggers, judged.warnings)))
            if all(one.guard == guard.name for one in (*found.triggers, *found.warnings)):
                return found
            told = f"guard {guard.name!r} speaks for another one"
        except TreasuryArenaError as error:
            told = message(error)
        return Judgement((Trigger(guard.name, "", "failed", "", "", f"{guard.name}: {told}"[:_TEXT_MAX]),))

    def _note(self, pen: _Pen, found: Judgement) -> None:
        """Record what is new and what is over. Triggers are recorded in every state."""
        held = {one.key for one in pen.record.triggers}, {one.key for one in pen.record.warnings}
        now = {one.key for one in found.triggers}, {one.key for one in found.warnings}
        over = (
            [one for one in pen.record.triggers if one.key not in now[0]],
            [one for one in pen.record.warnings if one.key not in now[1]],
        )
        if any(over):
            pen.write(c.FuseCleared(self.name, *map(_listed, over)))
        warnings = [one for one in found.warnings if one.key not in held[1]]
        if warnings:
            pen.write(c.FuseWarned(self.name, _listed(warnings)))
        triggers = [one for one in found.triggers if one.key not in held[0]]
        if triggers:
            asked = self._asked(found) if pen.record.state in (TRIPPED, LOCKED) else []
            there = {one.task.action for one in pen.record.tasks}
            pen.write(c.FuseTriggered(self.name, _listed(triggers), [name for name in asked if name not in there]))

    # -- transitions -------------------------------------------------------------------------------------------------

    def _trip(self, pen: _Pen, found: Judgement) -> None:
        window = timedelta(seconds=self.section.trips_window_s)
        # A trip that lies ahead counts: the clock went back, the trip happened.
        counted = [moment for moment in pen.record.trips if pen.now - moment < window]
        trips = [*map(iso, counted), iso(pen.now)]
        reason = "; ".join(one.text for one in found.triggers)
        pen.write(c.FuseTripped(self.name, pen.record.trip + 1, reason, self._asked(found), trips))
        if len(trips) >= self.section.trips_max:
            pen.write(c.FuseLocked(self.name, f"{len(trips)} trips within {self.section.trips_window_s:g} s: {reason}"))
        elif locking := self._locking(found):
            pen.write(c.FuseLocked(self.name, locking))

    def _again(self, pen: _Pen, found: Judgement, before: FuseRecord) -> None:
        """What new triggers of a tripped fuse change, and what a fuse that somebody else locked asks for."""
        if pen.record.state is TRIPPED and (locking := self._locking(found)):
            pen.write(c.FuseLocked(self.name, locking))
        if before.state is LOCKED and not before.tasks and (asked := self._asked(found)):
            trips = [iso(moment) for moment in before.trips]
            pen.write(c.FuseTripped(self.name, before.trip + 1, before.reason, asked, trips))

    def _better(self, pen: _Pen) -> None:
        record, section = pen.record, self.section
        if record.quiet_since is None:
            return
        quiet = pen.now - record.quiet_since
        if record.state is TRIPPED and quiet >= timedelta(seconds=section.halt_s) and self._settled(record):
            pen.write(c.FuseCooling(self.name, record.trip))
        elif record.state is COOLING and quiet >= timedelta(seconds=section.cooldown_s):
            told = f"every reading kept its distance for {section.cooldown_s:g} s"
            pen.write(c.FuseRearmed(self.name, told))
        elif record.state is WARNED and quiet >= timedelta(seconds=section.warned_s):
            pen.write(c.FuseRearmed(self.name, "the warnings are over"))

    def _settled(self, record: FuseRecord) -> bool:
        """Whether no action keeps the fuse tripped; one that this fuse does not know does."""
        return all(
            one.done or (one.task.action in self.actions and not self.actions[one.task.action].holds)
            for one in record.tasks
        )

    def _locking(self, found: Judgement) -> str:
        locks = {guard.name for guard in self.guards if guard.locks}
        return "; ".join(one.text for one in found.triggers if one.guard in locks)

    def _asked(self, found: Judgement) -> list[str]:
        reduces = {guard.name for guard in self.guards if guard.reduces}
        measured = any(one.why == "limit" and one.guard in reduces for one in found.triggers)
        return list(dict.fromkeys((*self.section.halt_actions, *(self.section.exit_actions if measured else ()))))

    # -- time --------------------------------------------------------------------------------------------------------

    def _blind(self, record: FuseRecord, now: datetime) -> bool:
        """Whether nobody watched since the last recorded check, or the clock went back: no wait goes on over that."""
        if record.checked_at is None:
            return False
        return not timedelta(0) <= now - record.checked_at < timedelta(seconds=self.section.blind_after_s)

    def _due(self, record: FuseRecord, now: datetime) -> bool:
        every = timedelta(seconds=self.section.check_every_s)
        return record.checked_at is None or now - record.checked_at >= every

    def _actions_due(self, record: FuseRecord, now: datetime) -> tuple[Task, ...]:
        due = []
        for one in record.tasks:
            action = self.actions.get(one.task.action)
            if action is None:
                continue
            if one.done:
                if action.standing and record.state in (TRIPPED, LOCKED):
                    due.append(one.task)
                continue
            wait = min(self.section.retry_s_max, self.section.retry_s * 2.0 ** min(30, max(0, one.attempts - 1)))
            if one.tried_at is None or not timedelta(0) <= now - one.tried_at < timedelta(seconds=wait):
                due.append(one.task)
        return tuple(due)


def _listed(triggers: Iterable[Trigger]) -> list[dict[str, str]]:
    return [attrs.asdict(one) for one in triggers]


def _clean(one: Trigger) -> Trigger:
    """A trigger that every database holds, whatever the guard of another plugin wrote."""
    values: dict[str, Any] = attrs.asdict(one)
    return Trigger(**{name: plain(str(value))[:_TEXT_MAX] for name, value in values.items()})


def build(section: SurvivalSection | None, context: FuseContext) -> SurvivalFuse:
    """The survival fuse of a configuration section.

    Raises ConfigError for a name that does not exist, and in live mode for a guard that is left out though it may not be.
    """
    section = section or SurvivalSection()
    offered = built_in(section)
    for key, chosen, known in (
        ("conditions", section.conditions, CONDITIONS),
        ("guards", section.guards, GUARDS),
        ("more_guards", section.more_guards, tuple(context.guards)),
    ):
        for name in chosen:
            if name not in known:
                raise ConfigError(f"fuse.survival.{key}: unknown name {name!r}; {nearest(name, known)}")
    taken = sorted({*offered, "data_stale"} & set(context.guards))
    if taken:
        raise ConfigError(f"fuse.survival: guard {taken[0]!r} of another plugin has the name of one of the fuse's own")
    names = dict.fromkeys((*section.conditions, *section.guards))
    guards = [offered[name] for name in names if name in offered]
    guards += [context.guards[name] for name in dict.fromkeys(section.more_guards)]
    if "data_stale" in names:
        needed = dict.fromkeys(reading for guard in guards for reading in guard.readings)
        guards.append(DataStale(tuple(needed), section.stale_after_s))
    if context.live:
        always = {*GUARDS, *(name for name, guard in context.guards.items() if guard.always_on)}
        missing = sorted(always - {guard.name for guard in guards})
        if missing:
            raise ConfigError(f"fuse.survival.guards: {', '.join(missing)} cannot be switched off in live mode")
    return SurvivalFuse(section, tuple(guards), _actions(section, context))


def _actions(section: SurvivalSection, context: FuseContext) -> dict[str, Action]:
    own: list[Action] = [
        HaltNewRisk(),
        CancelUnmined(),
        Notify(),
        Delever(section.leverage_target),
        Reduce(section.reduce_share),
    ]
    taken = sorted({action.name for action in own} & set(context.actions))
    if taken:
        raise ConfigError(f"fuse.survival: action {taken[0]!r} of another plugin has the name of one of the fuse's own")
    actions = {**context.actions, **{action.name: action for action in own}}
    for key in ("halt_actions", "exit_actions"):
        for name in getattr(section, key):
            if name not in actions:
                raise ConfigError(f"fuse.survival.{key}: unknown action {name!r}; {nearest(name, actions)}")
    return actions
