"""The six conditions of the survival fuse, and the guards that cannot be switched off in live mode."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import chain

import attrs

from treasury_arena.contracts.fuse import Guard, Judgement, Readings, Trigger
from treasury_arena_risk.bounds import Bound, doubt, judge, reliable
from treasury_arena_risk.config import SurvivalSection


@attrs.frozen
class Limits(Guard):
    """One guard over one or more readings, each against its own limit."""

    name: str
    bounds: tuple[Bound, ...]
    stale_after_s: float
    always_on: bool = False
    reduces: bool = True
    locks: bool = False
    readings: tuple[str, ...] = attrs.field(init=False)

    @readings.default
    def _readings(self) -> tuple[str, ...]:
        return tuple(bound.reading for bound in self.bounds)

    def judge(self, readings: Readings, now: datetime) -> Judgement:
        return merged(judge(self.name, bound, readings, now, self.stale_after_s) for bound in self.bounds)


@attrs.frozen
class Inversion(Guard):
    """The secondary magnet is as strong as the primary one, or stronger. Strengths are 0 to 100."""

    stale_after_s: float
    warn_share: float
    name: str = "magnet_inversion"
    readings: tuple[str, ...] = ("magnet_primary", "magnet_secondary")
    reduces: bool = True

    def judge(self, readings: Readings, now: datetime) -> Judgement:
        bounds = [Bound(reading, 100.0, most=100.0) for reading in self.readings]
        values = [reliable(self.name, bound, readings, now, self.stale_after_s) for bound in bounds]
        doubtful = tuple(value for value in values if isinstance(value, Trigger))
        if doubtful:
            return Judgement(doubtful)
        primary, secondary = (value for value in values if not isinstance(value, Trigger))
        text = f"{self.name}: the secondary magnet has {secondary!r}, the primary one {primary!r}"
        told = Trigger(self.name, "magnet_secondary", "limit", repr(secondary), repr(primary), text)
        if secondary >= primary:
            return Judgement((told,))
        return Judgement((), (told,)) if secondary >= self.warn_share * primary else Judgement()


@attrs.frozen
class DataStale(Guard):
    """Any reading that another guard needs is missing, no number, or stale."""

    readings: tuple[str, ...]
    stale_after_s: float
    name: str = "data_stale"
    always_on: bool = True

    def judge(self, readings: Readings, now: datetime) -> Judgement:
        triggers = []
        for name in self.readings:
            reading = readings.get(name)
            found = doubt(name, reading, now, self.stale_after_s)
            if found is not None:
                value, limit = repr(getattr(reading, "value", None))[:40], repr(self.stale_after_s)
                triggers.append(Trigger(self.name, name, found[0], value, limit, f"{self.name}: {found[1]}"))
        return Judgement(tuple(triggers))


def merged(judgements: Iterable[Judgement]) -> Judgement:
    """Several judgements as one."""
    listed = list(judgements)
    return Judgement(
        tuple(chain.from_iterable(one.triggers for one in listed)),
        tuple(chain.from_iterable(one.warnings for one in listed)),
    )


def built_in(section: SurvivalSection) -> dict[str, Guard]:
    """Every condition and guard of this plugin by name, chosen or not, but `DataStale`, which depends on the choice."""
    stale, share = section.stale_after_s, section.warn_share

    def high(reading: str, limit: float, most: float = float("inf")) -> Bound:
        return Bound(reading, limit, most=most, warn=limit * share)

    def low(reading: str, limit: float, most: float = float("inf")) -> Bound:
        # Near the top of a bounded scale there must be room left that is neither trigger nor warning.
        return Bound(reading, limit, above=False, most=most, warn=min(limit / share, (limit + most) / 2.0))

    drawdowns = (
        high("drawdown", section.drawdown_max),
        high("daily_drawdown", section.daily_drawdown_max),
    )
    alignment = Bound("trend_alignment", 0.0, above=False, least=-1.0, most=1.0, warn=1.0 - share)
    mismatch = Bound("ledger_mismatch_raw", section.ledger_mismatch_raw_max)
    failures = Bound("execution_failures", section.execution_failures_max)
    guards: list[Guard] = [
        Limits("volatility_spike", (high("volatility", section.volatility_max),), stale),
        Limits("drawdown_breach", drawdowns, stale),
        Limits("magnet_conflict", (high("magnet_conflict", section.conflict_max),), stale),
        Inversion(stale, share),
        Limits("trend_flip", (alignment,), stale),
        Limits("liquidity_dry", (low("liquidity_score", section.liquidity_min, 100.0),), stale),
        Limits("health_factor", (low("health_factor", section.health_factor_min),), stale, True),
        Limits("execution_failures", (failures,), stale, True, False),
        Limits("ledger_mismatch", (mismatch,), stale, True, False),
        Limits("stablecoin_peg", (high("peg_deviation", section.peg_deviation_max),), stale, True),
        Limits("heartbeat", (high("heartbeat_age_s", section.heartbeat_age_s_max),), stale, True, False),
    ]
    return {guard.name: guard for guard in guards}
