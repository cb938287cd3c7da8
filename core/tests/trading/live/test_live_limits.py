"""Limits of live orders: exactly the limit passes, one base unit more is refused with the limit's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from treasury_arena.errors import ValidationError
from treasury_arena.events.catalog import OrderRejected
from treasury_arena.testing.orders import House
from treasury_arena.trading.live import LiveLimits
from treasury_arena.trading.live.records import Reserved

AT = "2024-01-01T00:00:00Z"
RECENT = [
    (0, Reserved("me", 1, AT)),
    (3_599, Reserved("other", 2, AT)),
    (3_600, Reserved("me", 4, AT)),
    (86_400, Reserved("other", 8, AT)),
]


def code(
    limits: LiveLimits,
    notional: int = 0,
    cash: int = 0,
    deployed: int = 0,
    recent: Sequence[tuple[int, Reserved]] = RECENT,
    armed: int = 10**9,
) -> str:
    refusal = limits.refuse("me", notional, cash, deployed, recent, armed)
    return "" if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("limits", "order", "wanted"),
    [
        ({"order_raw": 10}, {"notional": 10}, "order_limit"),
        ({"hourly_raw": 10}, {"notional": 7}, "hourly_limit"),
        ({"daily_raw": 20}, {"notional": 5}, "daily_limit"),
        ({"agent_daily_raw": 10}, {"notional": 5}, "agent_limit"),
        ({"arena_raw": 10}, {"deployed": 7, "cash": 3}, "arena_limit"),
        ({}, {"deployed": 7, "cash": 3, "armed": 10}, "armed_limit"),
    ],
)
def test_both_sides_of_every_limit(limits: dict[str, int], order: dict[str, int], wanted: str) -> None:
    last = next(name for name in ("cash", "notional") if name in order)
    assert code(LiveLimits(**limits), **order) == ""  # type: ignore[arg-type]
    assert code(LiveLimits(**limits), **{**order, last: order[last] + 1}) == wanted  # type: ignore[arg-type]
    without = {**order, last: 10**6} if "armed" not in order else order
    assert code(LiveLimits(), **without) == ""  # type: ignore[arg-type]


def test_capital_at_work_is_what_is_limited_not_the_notional() -> None:
    assert code(LiveLimits(arena_raw=10), notional=10**6, cash=3, deployed=7, armed=10) == ""


@pytest.mark.parametrize("value", [-1, True, 1.0, "5"])
@pytest.mark.parametrize("name", [field.name for field in attrs.fields(LiveLimits)])
def test_a_limit_is_a_whole_number_from_zero(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"limit {name} must be a whole number"):
        LiveLimits(**{name: value})
    assert getattr(LiveLimits(**{name: 0}), name) == 0
    assert getattr(LiveLimits(), name) is None


@pytest.mark.parametrize(
    ("name", "timed"),
    [
        ("order_raw", False),
        ("hourly_raw", True),
        ("daily_raw", True),
        ("agent_daily_raw", True),
        ("arena_raw", False),
    ],
)
def test_which_limits_look_back(name: str, timed: bool) -> None:
    assert LiveLimits(**{name: 0}).timed is timed


AMOUNT = 10**9


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"order_raw": AMOUNT}, []),
        ({"order_raw": AMOUNT - 1}, ["order_limit"]),
        ({"arena_raw": AMOUNT}, []),
        ({"arena_raw": AMOUNT - 1}, ["arena_limit"]),
    ],
)
def test_the_engine_keeps_them(house_of: Callable[..., House], limits: dict[str, int], wanted: list[str]) -> None:
    house = house_of("supply")
    house.limits = LiveLimits(**limits)
    house.start()
    assert (house.submit(AMOUNT) is None) is bool(wanted)
    refused = [event.payload for event in house.store.read(event_type="OrderRejected")]
    assert [one.code for one in refused if isinstance(one, OrderRejected)] == wanted
    house.finish()
    leaving = house.submit(0, row=2)  # what only reduces risk is not limited
    assert (leaving is None) is bool(wanted)


@pytest.mark.parametrize(
    ("name", "seconds", "passes"),
    [
        ("hourly_raw", 3_599, False),
        ("hourly_raw", 3_600, True),
        ("daily_raw", 86_400, False),
        ("daily_raw", 86_401, True),
    ],
)
def test_what_was_reserved_longer_ago_no_longer_counts(
    house_of: Callable[..., House], name: str, seconds: int, passes: bool
) -> None:
    house = house_of("supply")
    house.limits = LiveLimits(**{name: AMOUNT})
    house.start()
    assert house.submit(AMOUNT) is not None
    house.finish()
    began = next(event for event in house.store.read(event_type="IntentReserved"))
    assert began.payload.notional_raw == AMOUNT
    last, first = house.world.blocks[-1], house.world.blocks[0].ref.timestamp
    house.world.blocks[-1] = attrs.evolve(last, ref=attrs.evolve(last.ref, timestamp=first + seconds))
    assert (house.submit(2 * AMOUNT, row=2) is not None) is passes


def test_capital_at_work_counts_wherever_it_is_until_it_is_back(house_of: Callable[..., House]) -> None:
    house = house_of("supply")
    house.limits = LiveLimits(arena_raw=2 * AMOUNT)
    house.start()
    assert house.submit(AMOUNT) is not None
    assert house.submit(AMOUNT + 1, role="other") is None  # what is reserved counts
    house.finish()
    assert house.submit(2 * AMOUNT + 1, row=2) is None  # and what is in a market
    assert [event.payload.code for event in house.store.read(event_type="OrderRejected")] == ["arena_limit"] * 2
    assert house.submit(2 * AMOUNT, row=3) is not None
    house.finish()
    assert house.submit(0, row=4) is not None
    house.finish()
    assert house.submit(2 * AMOUNT, row=5) is not None
