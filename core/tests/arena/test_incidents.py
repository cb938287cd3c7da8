"""What a result says of emergency stops and of failures, from events made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from treasury_arena.arena.incidents import emergency_stops, failures
from treasury_arena.events import catalog


def log(*payloads: Any) -> list[Any]:
    return [SimpleNamespace(payload=payload) for payload in payloads]


def cycle(number: int) -> catalog.EvolutionCycleComplete:
    return catalog.EvolutionCycleComplete(number, 10 * number, 0, {}, [], {}, 0.0, 0.0, 1, 0)


def refused(code: str = "emergency_stop") -> catalog.OrderRejected:
    return catalog.OrderRejected("i", "eth", "eth", 1, code, "why", 5)


def stops(*payloads: Any) -> list[dict[str, Any]]:
    return emergency_stops(log(*payloads), lambda row: f"day {row}", 3)


STOP = catalog.EmergencyStopEngaged("HARD", "drill", "ann")
SOFT = catalog.EmergencyStopEngaged("SOFT", "odd prices", "bob")
RELEASE = catalog.EmergencyStopReleased("over", "cid")
END = catalog.RunCompleted(9, 90, 0)


def test_a_stop_that_held_to_the_end() -> None:
    (stop,) = stops(cycle(1), cycle(2), refused("position_limit"), STOP, refused(), cycle(3), refused(), END)
    assert stop == {
        "level": "HARD",
        "start": "day 20",
        "end": None,
        "operator": "ann",
        "reason": "drill",
        "released_by": None,
        "release_reason": None,
        "refused": 2,
    }


def test_stops_released_in_between_are_told_too() -> None:
    first, second = stops(STOP, refused(), cycle(1), RELEASE, cycle(2), SOFT, RELEASE, refused("market"), END)
    assert (first["start"], first["end"], first["refused"]) == ("day 3", "day 10", 1)
    assert (first["released_by"], first["release_reason"]) == ("cid", "over")
    assert (second["level"], second["operator"], second["refused"], second["end"]) == ("SOFT", "bob", 0, "day 20")


def test_a_stop_on_a_stop_is_one_with_the_first_words_and_the_higher_level() -> None:
    for later in (STOP, SOFT):
        (stop,) = stops(SOFT, later, refused(), END)
        assert (stop["level"], stop["operator"]) == (later.level, "bob")
    (stop,) = stops(STOP, SOFT, END)
    assert (stop["level"], stop["operator"]) == ("HARD", "ann")


def test_a_stop_by_the_file_alone_is_known_by_what_it_refused() -> None:
    (stop,) = stops(cycle(1), refused(), refused(), RELEASE, END)
    assert (stop["operator"], stop["reason"], stop["refused"], stop["released_by"]) == (None, None, 2, "cid")
    (stop,) = stops(cycle(1), refused(), STOP, refused(), END)
    assert (stop["operator"], stop["refused"]) == ("ann", 2)


def test_what_comes_after_the_end_and_a_run_without_stops() -> None:
    assert stops(cycle(1), END, STOP) == []
    assert stops(cycle(1), refused("market"), END) == []


def test_failures_are_counted_by_reason_the_most_frequent_first() -> None:
    def killed(rule: str, reason: str) -> catalog.AgentKilled:
        return catalog.AgentKilled(rule, reason, {})

    events = log(
        killed("failed", "b"),
        killed("drawdown", "c"),
        killed("failed", "a"),
        killed("failed", "z"),
        killed("failed", "z"),
    )
    assert failures(events) == [
        {"reason": "z", "deaths": 2},
        {"reason": "a", "deaths": 1},
        {"reason": "b", "deaths": 1},
    ]
    assert failures(log(END)) == []
