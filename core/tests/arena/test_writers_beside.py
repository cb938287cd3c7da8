"""Others write into the store while a cycle is under way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.arena.results import build_result
from treasury_arena.events.daemon import DaemonStarted, JobClaimed, JobFinished, JobInterrupted, JobMissed
from treasury_arena.events.event import Draft
from treasury_arena.store import audit

NOW = "2024-01-08T00:00:00Z"
SLOTS: list[list[Any]] = [
    [JobMissed("mark", 60, 120, 60, 2, "the one before was under way")],
    [JobClaimed("reconcile", 180, 1)],
    [JobFinished("reconcile", 180, "")],
    [JobClaimed("reconcile", 240, 1), JobInterrupted("reconcile", 240, "ended")],
]
"""What is noted while each cycle is under way."""


def _beside(arena: Any, monkeypatch: pytest.MonkeyPatch, payloads: list[list[Any]]) -> list[int]:
    """Each time that a cycle lives, the next of `payloads` is stored by somebody else; how often it lived."""
    lived: list[int] = []
    kind = type(arena.cycle)
    live = kind.live

    def living(self: Any, before: int, row: int) -> None:
        live(self, before, row)
        if len(lived) < len(payloads):
            arena.store.append([Draft(payload, NOW) for payload in payloads[len(lived)]])
        lived.append(row)

    monkeypatch.setattr(kind, "live", living)
    return lived


def test_slots_of_jobs_that_are_noted_meanwhile_do_not_begin_a_cycle_anew(
    make_arena: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make_arena()
    for _ in SLOTS:
        alone.run_evolution_cycle()
    arena = make_arena(tmp_path)
    lived = _beside(arena, monkeypatch, list(SLOTS))
    for cycle in range(len(SLOTS)):
        assert arena.run_evolution_cycle() is not None
        assert len(lived) == cycle + 1
    noted = [type(payload).__name__ for payloads in SLOTS for payload in payloads]
    assert [event.event_type for event in arena.store.read() if event.event_type in noted] == noted
    own = [event for event in arena.store.read() if event.event_type not in noted]
    assert [(e.event_type, e.agent_id, e.payload) for e in own] == [
        (e.event_type, e.agent_id, e.payload) for e in alone.store.read()
    ]
    arena.reload()
    assert arena.state.ledger.balances() == alone.state.ledger.balances()
    assert audit(arena.store).ok


def test_anything_else_does(make_arena: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arena = make_arena(tmp_path)
    lived = _beside(arena, monkeypatch, [[DaemonStarted("me", 1, "paper", "1", {})]])
    assert arena.run_evolution_cycle() is not None
    assert len(lived) == 2
    assert audit(arena.store).ok


def test_a_result_is_of_all_that_is_stored_whoever_wrote_it(make_arena: Callable[..., Any], tmp_path: Path) -> None:
    first, second = make_arena(tmp_path), make_arena(tmp_path)
    for _ in range(3):
        first.run_evolution_cycle()
    mine, theirs = build_result(first).to_dict(), build_result(second).to_dict()
    assert mine["digest"] == theirs["digest"]
    assert mine["capital"] == theirs["capital"]
    assert second.state.cycle == first.state.cycle == 2
    second.run_evolution_cycle()
    assert build_result(first).to_dict()["digest"] == build_result(second).to_dict()["digest"]
