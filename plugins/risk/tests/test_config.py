"""The section `[fuse.survival]`: defaults, limits of limits, unknown keys, and what other plugins add."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from treasury_arena.config.read import read_toml
from treasury_arena.contracts.fuse import Action, FuseContext, FuseHands, FuseView, Guard, Judgement, Readings, Task
from treasury_arena.errors import ConfigError
from treasury_arena.registry.loader import load_registry
from treasury_arena_risk.config import SurvivalSection
from treasury_arena_risk.machine import build


@attrs.frozen
class Sunspots(Guard):
    name: str = "sunspots"
    readings: tuple[str, ...] = ("sunspots",)
    always_on: bool = False

    def judge(self, readings: Readings, now: Any) -> Judgement:
        return Judgement()


@attrs.frozen
class Ring(Action):
    name: str = "ring"

    def done(self, view: FuseView, task: Task) -> bool:
        return True

    def perform(self, hands: FuseHands, task: Task) -> None:
        raise AssertionError("it is done")


def read(text: str) -> list[str]:
    return [str(problem) for problem in read_toml(text, SurvivalSection).problems]


def test_the_defaults_are_the_owner_s_numbers() -> None:
    section = SurvivalSection()
    assert (section.volatility_max, section.drawdown_max, section.daily_drawdown_max) == (2.0, 0.05, 0.025)
    assert (section.conflict_max, section.liquidity_min) == (0.8, 30.0)
    assert (section.halt_s, section.cooldown_s, section.reduce_share, section.leverage_target) == (180, 300, 0.5, 1.0)


#: Key -> values at the ends of what may be, and values just beyond them.
ENDS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "volatility_max": ((5e-324,), (0.0,)),
    "drawdown_max": ((5e-324, 1.0), (0.0, math.nextafter(1.0, 2.0))),
    "daily_drawdown_max": ((5e-324, 1.0), (0.0, math.nextafter(1.0, 2.0))),
    "conflict_max": ((5e-324,), (0.0,)),
    "liquidity_min": ((0.0, math.nextafter(100.0, 0.0)), (-5e-324, 100.0)),
    "health_factor_min": ((1.0,), (math.nextafter(1.0, 0.0),)),
    "execution_failures_max": ((1,), (0,)),
    "ledger_mismatch_raw_max": ((1,), (0,)),
    "peg_deviation_max": ((5e-324, math.nextafter(1.0, 0.0)), (0.0, 1.0)),
    "heartbeat_age_s_max": ((5e-324,), (0.0,)),
    "stale_after_s": ((5e-324,), (0.0,)),
    "warn_share": ((5e-324, math.nextafter(1.0, 0.0)), (0.0, 1.0)),
    "halt_s": ((0.0,), (-5e-324,)),
    "cooldown_s": ((0.0,), (-5e-324,)),
    "warned_s": ((0.0,), (-5e-324,)),
    "check_every_s": ((5e-324,), (0.0, 180.0)),  # a check comes before its validity is over
    "blind_after_s": ((math.nextafter(60.0, 61.0),), (60.0,)),
    "trips_max": ((1,), (0,)),
    "trips_window_s": ((5e-324,), (0.0,)),
    "reduce_share": ((0.3, 0.7), (math.nextafter(0.3, 0.0), math.nextafter(0.7, 1.0))),
    "leverage_target": ((1.0,), (math.nextafter(1.0, 0.0),)),
    "retry_s": ((5e-324, 300.0), (0.0, math.nextafter(300.0, 301.0))),
    "retry_s_max": ((15.0,), (math.nextafter(15.0, 0.0),)),
}


@pytest.mark.parametrize("name", ENDS)
def test_every_number_has_the_ends_that_the_reference_names(name: str) -> None:
    within, beyond = ENDS[name]
    for value in within:
        assert getattr(SurvivalSection(**{name: value}), name) == value
    for value in beyond:
        with pytest.raises(ValueError, match=r"must be|expected"):
            SurvivalSection(**{name: value})


def test_the_ends_of_every_number_are_tried() -> None:
    numbers = {field.name for field in attrs.fields(SurvivalSection) if not isinstance(field.default, tuple)}
    assert set(ENDS) == numbers


def test_the_rest_of_the_defaults() -> None:
    """What stands in the reference; nothing of it changes by accident."""
    section = SurvivalSection()
    assert (section.health_factor_min, section.peg_deviation_max, section.heartbeat_age_s_max) == (1.25, 0.02, 180.0)
    assert (section.execution_failures_max, section.ledger_mismatch_raw_max) == (3, 1)
    assert (section.stale_after_s, section.warn_share, section.warned_s) == (300.0, 0.8, 60.0)
    assert (section.check_every_s, section.blind_after_s) == (60.0, 180.0)
    assert (section.trips_max, section.trips_window_s) == (3, 86_400.0)
    assert (section.retry_s, section.retry_s_max) == (15.0, 300.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("halt_seconds = 1", "unknown key; did you mean"),
        ("reduce_share = 0.29", "reduce_share"),
        ("reduce_share = 0.71", "reduce_share"),
        ("volatility_max = nan", "finite"),
        ("volatility_max = 0", "volatility_max"),
        ("drawdown_max = 1.1", "drawdown_max"),
        ("warn_share = 1.0", "warn_share"),
        ("trips_max = 0", "trips_max"),
        ("halt_s = -1", "halt_s"),
        ("health_factor_min = 0.99", "health_factor_min"),
        ("leverage_target = 0.5", "leverage_target"),
        ("blind_after_s = 60", "expected more than check_every_s, 60.0"),
        ("retry_s_max = 1", "expected at least retry_s, 15.0"),
    ],
)
def test_what_cannot_be_configured(text: str, told: str) -> None:
    (problem,) = read(text)
    assert told in problem


def test_every_key_can_be_set() -> None:
    text = 'conditions = ["trend_flip"]\nreduce_share = 0.3\ncheck_every_s = 10\nblind_after_s = 30\ntrips_max = 5'
    assert read(text) == []


def test_the_plugin_offers_its_fuse_and_its_section() -> None:
    registry = load_registry()
    fuse = registry.fuses["survival"](registry.sections["fuse.survival"](), FuseContext(live=True))
    assert (fuse.name, len(fuse.needs)) == ("survival", 13)
    assert registry.fuses["survival"](None, FuseContext(live=True)).needs == fuse.needs


def test_guards_and_actions_of_other_plugins_take_part_when_they_are_named() -> None:
    context = FuseContext(True, {"sunspots": Sunspots()}, {"ring": Ring()})
    assert "sunspots" not in build(None, context).needs
    fuse = build(SurvivalSection(more_guards=("sunspots",), halt_actions=("ring",)), context)
    assert "sunspots" in fuse.needs
    assert "ring" in fuse.actions
    assert "sunspots" in next(guard for guard in fuse.guards if guard.name == "data_stale").readings


def test_a_guard_of_another_plugin_that_is_always_on_cannot_be_left_out_in_live_mode() -> None:
    guards = {"sunspots": Sunspots(always_on=True)}
    with pytest.raises(ConfigError, match="sunspots cannot be switched off in live mode"):
        build(None, FuseContext(True, guards))
    assert build(None, FuseContext(False, guards)).needs


def test_nobody_takes_a_name_of_the_fuse_s_own() -> None:
    with pytest.raises(ConfigError, match="guard 'heartbeat' of another plugin"):
        build(None, FuseContext(True, {"heartbeat": Sunspots("heartbeat")}))
    with pytest.raises(ConfigError, match="action 'reduce' of another plugin"):
        build(None, FuseContext(True, {}, {"reduce": Ring("reduce")}))
