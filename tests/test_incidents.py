"""The owner reads of an emergency stop, and of agents whose code failed, where the result of the run is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena import assembly


def test_a_run_that_ended_under_a_stop_says_so_everywhere(house: Any, copy_of_interrupted: Any) -> None:
    folder: Path = copy_of_interrupted()
    house.arena("stop", folder, "--reason", "the oracle looks wrong", "--operator", "ann").ok()
    table = house.arena("resume", folder, "--quiet").ok().out
    (stop,) = json.loads((folder / "results.json").read_text())["stops"]
    rejected = house.arena("events", folder, "--type", "OrderRejected", "--json").ok().json
    refused = sum(event["data"]["payload"]["code"] == "emergency_stop" for event in rejected)
    assert refused > 0
    assert (stop["refused"], stop["reason"], stop["end"]) == (refused, "the oracle looks wrong", None)
    sentence = (
        f"Stopped from 2024-01-15 to the end of the run by ann (the oracle looks wrong); {refused} orders refused."
    )
    assert sentence in " ".join(table.split())
    assert sentence in (folder / "report.html").read_text()


def test_a_stop_released_in_between_is_told_too(house: Any, copy_of_interrupted: Any) -> None:
    folder: Path = copy_of_interrupted()
    house.arena("stop", folder, "--soft", "--reason", "drill", "--operator", "ann").ok()
    house.arena("release", folder, "--reason", "over", "--operator", "bob").ok()
    table = house.arena("resume", folder, "--quiet").ok().out
    assert (
        "Stopped from taking new risk from 2024-01-15 to 2024-01-15 by ann (drill), released by bob (over); 0 orders refused."
        in " ".join(table.split())
    )


@pytest.mark.parametrize("soft", [(), ("--soft",)])
def test_a_complete_run_has_nothing_left_to_stop(house: Any, copy_of_finished: Any, soft: tuple[str, ...]) -> None:
    folder: Path = copy_of_finished()
    digest = house.arena("status", folder, "--json").ok().json["digest"]
    done = house.arena("stop", folder, "--reason", "late", "--operator", "ann", *soft, "--json")
    assert done.code == done.json["exit_code"] == 1
    assert done.json["error"] == "the run is complete; there is nothing to stop"
    status = house.arena("status", folder, "--json").ok().json
    assert (status["digest"], status["emergency_stop"]) == (digest, "OFF")
    assert not (folder / "arena.db.stop").exists()


def test_a_second_stop_says_since_when_the_first_holds(house: Any, copy_of_interrupted: Any) -> None:
    folder: Path = copy_of_interrupted()
    said = ("--operator", "ann", "--json")
    assert house.arena("stop", folder, "--soft", "--reason", "drill", *said).ok().json["since"] is None
    (first,) = house.arena("events", folder, "--type", "EmergencyStopEngaged", "--json").ok().json
    again = house.arena("stop", folder, "--reason", "worse", "--operator", "bob").ok().out
    assert again == f"emergency stop engaged (HARD); SOFT since {first['timestamp']} by ann (drill)\n"
    _, second = house.arena("events", folder, "--type", "EmergencyStopEngaged", "--json").ok().json
    third = house.arena("stop", folder, "--reason", "still", "--operator", "eve").ok().out
    assert third == f"emergency stop engaged (HARD); HARD since {second['timestamp']} by bob (worse)\n"
    fourth = house.arena("stop", folder, "--soft", "--reason", "still", *said).ok().json
    assert (fourth["level"], fourth["since"]) == ("SOFT", second["timestamp"])
    house.arena("release", folder, "--reason", "over", *said).ok()
    assert house.arena("stop", folder, "--reason", "anew", *said).ok().json["since"] is None


def test_a_stop_by_its_file_alone_says_since_when_too(house: Any, copy_of_interrupted: Any) -> None:
    folder: Path = copy_of_interrupted()
    (folder / "arena.db.stop").write_text("2024-05-01T00:00:00Z ann: by hand: look\n")
    done = house.arena("stop", folder, "--reason", "again", "--operator", "bob").ok()
    assert done.out == "emergency stop engaged (HARD); HARD since 2024-05-01T00:00:00Z by ann (by hand: look)\n"


def test_a_stop_by_an_empty_file_is_said_to_be_one(house: Any, copy_of_interrupted: Any) -> None:
    folder: Path = copy_of_interrupted()
    (folder / "arena.db.stop").touch()
    done = house.arena("stop", folder, "--reason", "again", "--operator", "bob").ok()
    assert done.out == "emergency stop engaged (HARD); HARD by its file alone\n"


def test_no_error_of_the_question_whether_a_run_is_complete_holds_up_a_stop(
    house: Any, copy_of_interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: Path = copy_of_interrupted()

    def broken(*_: Any) -> bool:
        raise RuntimeError("whatever it is")

    monkeypatch.setattr("treasury_arena.cli.stop._any", broken)
    house.arena("stop", folder, "--reason", "look", "--operator", "bob").ok()
    assert (folder / "arena.db.stop").exists()


def test_a_run_without_a_stop_says_nothing_of_stops(finished: Path, finished_json: dict[str, Any]) -> None:
    assert finished_json["stops"] == finished_json["failures"] == []
    assert "Stopped" not in (finished / "report.html").read_text()


def test_deaths_by_failure_are_told_apart_with_their_most_frequent_reason(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every funded agent's decision raises: the table must not look like that of a run in which strategies lost."""
    desk = assembly._desk

    def raising(*given: Any) -> Any:
        raise ZeroDivisionError("float division by zero")

    def spoiled(strategy: Any, *rest: Any) -> Any:
        """The kernel is compiled from the good decision; the plain Python that trades gets the bad one."""
        return desk(attrs.evolve(strategy, decide=raising), *rest)

    monkeypatch.setattr(assembly, "_desk", spoiled)
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--quiet").ok()
    result = json.loads((tmp_path / "run" / "results.json").read_text())
    (found,) = result["failures"]
    assert found["reason"] == "ZeroDivisionError: float division by zero"
    assert 0 < found["deaths"] <= result["counts"]["deaths"]
    assert (
        f"{result['counts']['deaths']} deaths ({found['deaths']} by failure, most often: ZeroDivisionError: float division by "
        "zero)" in " ".join(done.out.split())
    )


def test_status_and_events_are_written_for_people(house: Any, finished: Path, interrupted: Path) -> None:
    """Cycles are counted as in the progress display, and nothing looks like a program's data."""
    status = house.arena("status", finished).ok().out
    assert "cycle           9 of 9\n" in status
    assert "cycle           3 of 9\n" in house.arena("status", interrupted).ok().out
    for folder, done in ((finished, 9), (interrupted, 3)):
        document = house.arena("status", folder, "--json").ok().json
        assert (document["cycle"], document["cycles"]) == (done, 9)
    assert not set("{}'") & set(status)
    lines = house.arena("events", finished).ok().out.splitlines()
    documents = house.arena("events", finished, "--json").ok().json
    assert [line.split()[0] for line in lines] == [str(document["seq"]) for document in documents]
    assert max(map(len, lines)) < 260
    assert not any("{" in line or '"' in line for line in lines)
    killed = next(document for document in documents if document["type"] == "AgentKilled")
    (line,) = [line for line in lines if line.split()[0] == str(killed["seq"])]
    assert line.split(killed["agent_id"])[1].strip().startswith(killed["data"]["payload"]["reason"])


def test_a_backtest_says_a_speed_that_is_not_zero(house: Any, small_config: Path) -> None:
    assert " 0.0 M" not in (err := house.arena("backtest", small_config).ok().err)
    assert "agent-steps/s" in err
