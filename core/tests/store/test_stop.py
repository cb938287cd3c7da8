"""The emergency stop: levels, the sentinel, and what happens when the database refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from treasury_arena.clock import VirtualClock
from treasury_arena.errors import StoreError, ValidationError
from treasury_arena.store import EventStore, audit, open_store, stop

CLOCK = VirtualClock(datetime(2024, 5, 1, tzinfo=UTC))


def test_levels_only_rise_until_released(store: EventStore) -> None:
    assert stop.level(store) == "OFF"
    assert stop.engage(store, "SOFT", "odd prices", "ann", CLOCK).event is not None
    assert stop.level(store) == "SOFT"
    stop.engage(store, "HARD", "worse", "ann", CLOCK)
    assert stop.level(store) == "HARD"
    stop.engage(store, "SOFT", "calmer", "bob", CLOCK)
    assert stop.level(store) == "HARD"
    event = stop.release(store, "looked into it", "ann", CLOCK)
    assert (event.event_type, event.timestamp) == ("EmergencyStopReleased", "2024-05-01T00:00:00Z")
    assert stop.level(store) == "OFF"
    assert audit(store).ok


def test_a_stop_survives_restart(store_url: str) -> None:
    with open_store(store_url) as store:
        stop.engage(store, "SOFT", "r", "o", CLOCK)
    with open_store(store_url) as store:
        assert stop.level(store) == "SOFT"


@pytest.mark.parametrize(
    ("level", "reason", "operator"), [("soft", "r", "o"), ("OFF", "r", "o"), ("HARD", " ", "o"), ("HARD", "r", "")]
)
def test_a_stop_needs_level_reason_and_operator(store: EventStore, level: str, reason: str, operator: str) -> None:
    with pytest.raises(ValidationError):
        stop.engage(store, level, reason, operator, CLOCK)
    assert store.last()[0] == 0
    assert stop.level(store) == "OFF"


def test_there_is_nothing_to_release(store: EventStore) -> None:
    with pytest.raises(ValidationError, match="nothing to release"):
        stop.release(store, "r", "o", CLOCK)


def test_the_sentinel_alone_is_hard_and_a_release_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with open_store(path) as store:
        sentinel = stop.StopFile.beside(path)
        assert sentinel == stop.StopFile(tmp_path / "a.db.stop")
        assert sentinel is not None
        sentinel.engage("by hand", "ann", CLOCK)
        sentinel.engage("twice", "bob", CLOCK)
        assert sentinel.path.read_text() == "2024-05-01T00:00:00Z ann: by hand\n"
        assert stop.level(store) == "HARD"
        stop.release(store, "done", "ann", CLOCK)
        assert not sentinel.engaged
        assert stop.level(store) == "OFF"


def test_a_hard_stop_works_on_a_read_only_database_and_a_soft_one_says_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_store(path).close()
    with open_store(path, readonly=True) as store:
        with pytest.raises(StoreError, match="read-only"):
            stop.engage(store, "SOFT", "r", "o", CLOCK)
        assert stop.level(store) == "OFF"
        result = stop.engage(store, "HARD", "r", "o", CLOCK)
        assert result.event is None
        assert "read-only" in result.note
        assert stop.level(store) == "HARD"
    with open_store(path) as store:
        assert stop.level(store) == "HARD"
        with pytest.raises(ValidationError, match="reason"):
            stop.release(store, "", "ann", CLOCK)
        assert stop.level(store) == "HARD"


def test_a_stop_of_which_only_the_file_tells_is_stored_with_its_reason_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_store(path).close()
    with open_store(path, readonly=True) as store:
        stop.engage(store, "HARD", "the oracle is wrong", "ann", CLOCK)
    with open_store(path) as store:
        stop.release(store, "it is right again", "bob", CLOCK)
        said = [(e.event_type, e.payload.reason, e.payload.operator) for e in store.read()]
        assert said == [
            ("EmergencyStopEngaged", "the oracle is wrong", "ann"),
            ("EmergencyStopReleased", "it is right again", "bob"),
        ]
        stop.engage(store, "HARD", "again", "ann", CLOCK)
        stop.release(store, "over", "bob", CLOCK)
        assert len(list(store.read(event_type="EmergencyStopEngaged"))) == 2


def test_a_stop_of_which_only_the_file_tells_is_stored_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_store(path).close()
    with open_store(path, readonly=True) as store:
        stop.engage(store, "HARD", "the oracle is wrong", "ann", CLOCK)
    with open_store(path) as store:
        engaged = stop.engage(store, "HARD", "to be sure", "bob", CLOCK)
        said = [(e.payload.reason, e.payload.operator) for e in store.read(event_type="EmergencyStopEngaged")]
        assert said == [("the oracle is wrong", "ann"), ("to be sure", "bob")]
        assert stop.earlier(store, engaged) == engaged.file_said
        stop.release(store, "over", "bob", CLOCK)
        assert [event.event_type for event in store.read()][2:] == ["EmergencyStopReleased"]


def test_a_hard_stop_is_stored_when_its_file_cannot_be_written(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as store:
        result = stop.engage(store, "HARD", "r", "o", CLOCK, stop.StopFile(tmp_path / "none" / "x.stop"))
        assert result.event is not None
        assert "cannot be written" in result.note
        assert stop.level(store) == "HARD"


def test_a_server_database_uses_the_file_it_is_given(store: EventStore, tmp_path: Path) -> None:
    given = stop.StopFile(tmp_path / "run.stop")
    stop.engage(store, "HARD", "r", "o", CLOCK, given)
    assert given.engaged
    assert stop.level(store, given) == "HARD"
    stop.release(store, "r", "o", CLOCK, given)
    assert stop.level(store, given) == "OFF"
    assert stop.StopFile.beside("postgresql://u:p@h/d") is None
    assert stop.StopFile.beside("sqlite://") is None
