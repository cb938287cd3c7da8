"""`arena fuse status` and `arena fuse reset`, on the store of a finished run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.clock import iso
from treasury_arena.events import catalog as c
from treasury_arena.events.event import Draft
from treasury_arena.store import open_store

NOW = iso(datetime.now(UTC))
TRIGGER = {
    "guard": "drawdown_breach",
    "reading": "drawdown",
    "why": "limit",
    "value": "0.06",
    "limit": "0.05",
    "text": "drawdown_breach: drawdown is 0.06, at or beyond the limit 0.05",
}


@pytest.fixture
def fused(finished: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the finished run with a fuse that the given events happened to."""

    def make(*payloads: Any) -> Path:
        folder = tmp_path / "run"
        shutil.copytree(finished, folder)
        with open_store(folder / "arena.db", create=False) as store:
            events = [c.FuseArmed("survival", ["drawdown_breach"]), *payloads]
            store.append([Draft(payload, NOW) for payload in events])
        return folder

    return make


def tripped(house: Any, fused: Callable[..., Path]) -> Path:
    return fused(
        c.FuseTriggered("survival", [TRIGGER], []),
        c.FuseTripped("survival", 1, TRIGGER["text"], ["notify", "reduce"], [NOW]),
        c.FuseActionTaken("survival", 1, "notify", 2, False, "no network"),
    )


def test_a_run_without_a_fuse_says_so(house: Any, finished: Path) -> None:
    assert house.arena("fuse", "status", finished).ok().out == "no fuse was ever armed in this store\n"
    assert house.arena("fuse", "status", finished, "--json").ok().json == {"fuses": []}
    refused = house.arena("fuse", "reset", finished, "--reason", "x", "--operator", "ann", "--json")
    assert refused.code == 1
    assert refused.json["error"] == "no fuse was ever armed in this store; there is nothing to reset"


def test_status_says_why_and_how_far_the_actions_are(house: Any, fused: Callable[..., Path]) -> None:
    folder = tripped(house, fused)
    text = house.arena("fuse", "status", folder).ok().out
    assert text.splitlines() == [
        f"survival: TRIPPED since {NOW}: {TRIGGER['text']}",
        f"  new risk: refused: fuse 'survival' is TRIPPED: {TRIGGER['text']}",
        f"  trigger: {TRIGGER['text']}",
        "  action notify: not done after 2 tries; no network",
        "  action reduce: not begun",
    ]
    (one,) = house.arena("fuse", "status", folder, "--json").ok().json["fuses"]
    assert (one["fuse"], one["state"], one["new_risk"], one["trips"]) == ("survival", "TRIPPED", False, 1)
    assert one["actions"]["notify"] == {"done": False, "attempts": 2, "trouble": "no network"}


def test_an_armed_fuse_allows_new_risk(house: Any, fused: Callable[..., Path]) -> None:
    folder = fused(c.FuseChecked("survival", "ARMED", "2999-01-01T00:00:00Z", False, [], []))
    assert "new risk: allowed" in house.arena("fuse", "status", folder).ok().out
    refused = house.arena("fuse", "reset", folder, "--reason", "x")
    assert (refused.code, refused.err) == (1, "arena: fuse 'survival' is ARMED; there is nothing to reset\n")


def test_a_reset_is_an_event_with_operator_and_reason(house: Any, fused: Callable[..., Path]) -> None:
    folder = tripped(house, fused)
    done = house.arena("fuse", "reset", folder, "--operator", "ann", "--reason", "feeds were wrong", "--json").ok()
    assert done.json == {
        "fuse": "survival",
        "from": "TRIPPED",
        "state": "ARMED",
        "reason": "feeds were wrong",
        "operator": "ann",
        "unfinished": ["notify", "reduce"],
    }
    (event,) = house.arena("events", folder, "--type", "FuseReset", "--json").ok().json
    assert (event["data"]["payload"]["operator"], event["data"]["payload"]["reason"]) == ("ann", "feeds were wrong")
    told = house.arena("fuse", "status", folder).ok().out
    assert "has not been checked since" in told
    assert "last reset by ann" in told
    assert house.arena("audit", folder).ok()


def test_a_reset_in_words(house: Any, fused: Callable[..., Path]) -> None:
    folder = tripped(house, fused)
    out = house.arena("fuse", "reset", folder, "--fuse", "survival", "--reason", "x").ok().out
    assert out == "fuse survival reset from TRIPPED; not done: notify, reduce\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Missing option '--reason'"),
        (("--reason", " "), "is empty"),
        (("--reason", "x", "--operator", ""), "is empty"),
    ],
)
def test_a_reset_without_words_is_a_usage_error(
    house: Any, fused: Callable[..., Path], arguments: tuple[str, ...], told: str
) -> None:
    folder = tripped(house, fused)
    refused = house.arena("fuse", "reset", folder, *arguments)
    assert refused.code == 2
    assert told in refused.err
    assert "TRIPPED" in house.arena("fuse", "status", folder).ok().out


def test_where_there_is_no_store_the_exit_code_is_2(house: Any, tmp_path: Path) -> None:
    for words in (("status",), ("reset", "--reason", "x")):
        assert house.arena("fuse", words[0], "--db", tmp_path / "no.db", *words[1:]).code == 2


def test_events_of_a_fuse_are_told_in_one_line(house: Any, fused: Callable[..., Path]) -> None:
    folder = tripped(house, fused)
    (line,) = [
        line for line in house.arena("events", folder, "--type", "FuseTriggered").ok().out.splitlines() if line.strip()
    ]
    assert f"triggers {TRIGGER['text']}" in line
