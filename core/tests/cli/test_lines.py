"""What `events`, `status` and the speeds look like to people."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from treasury_arena.cli.lines import FIELDS, event_line, speed, standing_line
from treasury_arena.domain.assets import Asset
from treasury_arena.events import catalog, daemon

USDC = Asset("USDC", 6, stable=True)
PAYLOADS = {
    name: kind
    for module in (catalog, daemon)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__
}


def line(payload: Any, agent: str | None = "trend-0001", base: Asset | None = USDC) -> str:
    event = SimpleNamespace(
        seq=7, timestamp="2024-01-01T00:00:00Z", event_type=type(payload).__name__, agent_id=agent, payload=payload
    )
    return event_line(event, base)  # type: ignore[arg-type]


def test_every_event_of_the_catalog_has_its_fields_and_no_other() -> None:
    assert set(FIELDS) == set(PAYLOADS)
    for name, shown in FIELDS.items():
        fields = {field.name for field in attrs.fields(PAYLOADS[name])}
        assert {field.split(".")[0] for field in shown} <= fields


def test_the_reason_comes_first_then_the_few_fields_that_matter() -> None:
    killed = catalog.AgentKilled(
        "drawdown", "drawdown 1.56%", {"fitness": -7.900976, "total_return": -0.0156, "psr": 0.1}
    )
    assert line(killed) == (
        "      7 2024-01-01T00:00:00Z AgentKilled                trend-0001       drawdown 1.56%; rule drawdown, "
        "fitness -7.901, total return -0.0156"
    )


def test_money_is_in_the_base_asset_and_cycles_are_counted_from_one() -> None:
    done = catalog.RunCompleted(26, 1680, 373_733_280_463)
    assert line(done, None).endswith(" -                cycle 27, capital 373,733.28 USDC")
    assert line(done, None, None).endswith("capital 373733280463 base units")


def test_what_is_empty_is_left_out_and_lists_and_tables_are_words() -> None:
    born = catalog.AgentSpawned("trend", 0, 1, [], {}, ["a-1", "a-2"], None, {}, "search")
    assert line(born).endswith(" strategy trend, origin search, parents a-1 a-2")
    cycle = catalog.EvolutionCycleComplete(0, 1, 5, {}, [], {"arena": 2, "proving": 0}, 0.5, 0.25, 1_000_000, 3)
    assert line(cycle, None).endswith(
        " cycle 1, population arena 2 proving 0, best 0.5, median 0.25, capital 1.00 USDC, trials 5"
    )


def test_a_reason_is_one_line_and_no_command_to_the_terminal() -> None:
    assert line(catalog.AgentFailed("raised", "E: \x1b[2J\nsecond")).endswith(" E: \ufffd[2J second; kind raised")


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0, "0 agent-steps/s"),
        (949, "949 agent-steps/s"),
        (950, "0.9 k agent-steps/s"),
        (34_567, "34.6 k agent-steps/s"),
        (949_000, "949.0 k agent-steps/s"),
        (960_000, "1.0 M agent-steps/s"),
        (61_000_000, "61.0 M agent-steps/s"),
    ],
)
def test_a_speed_has_a_digit_to_read(rate: float, words: str) -> None:
    assert speed(rate * 2.0, 2.0) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        ({"graduations_arena": 2, "births": 9}, "graduations arena 2, births 9"),
        ({}, "none"),
        (0, "0"),
        ("OFF", "OFF"),
    ],
)
def test_the_standing_of_a_run_has_no_signs_of_a_program(value: Any, words: str) -> None:
    assert standing_line(value) == words
