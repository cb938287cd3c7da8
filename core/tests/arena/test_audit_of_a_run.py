"""The audit of a whole run: one changed byte is told as what it is, not as everything that follows from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.store import EventStore, audit, open_store

CHANGES = {
    "AgentSpawned": 'data = replace(data, \'"strategy":"\', \'"strategY":"\')',
    "CapitalAllocated": 'data = replace(data, \'"amount_raw":"2\', \'"amount_raw":"3\')',
    "OrderReserved": "event_id = 'f' || substr(event_id, 2)",
    "EvolutionCycleStarted": "event_id = 'f' || substr(event_id, 2)",
    "PerformanceRecorded": "agent_id = agent_id || '0'",
}


@pytest.fixture
def run(make_arena: Callable[..., ArenaManager], tmp_path: Path) -> tuple[EventStore, Path]:
    arena = make_arena(tmp_path)
    for _ in range(4):
        arena.run_evolution_cycle()
    assert audit(arena.store).ok
    return arena.store, tmp_path / "arena.db"


@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_one_changed_byte_of_a_run_is_one_place(run: tuple[EventStore, Path], kind: str) -> None:
    store, path = run
    seq = next(event.seq for event in store.read(event_type=kind))
    direct = sqlite3.connect(path, isolation_level=None)
    direct.execute(f"UPDATE events SET {CHANGES[kind]} WHERE seq = ?", (seq,))
    direct.close()
    with open_store(path, readonly=True) as changed:
        report = audit(changed)
    assert report.first_bad_seq == seq
    assert {finding.seq for finding in report.findings} <= {seq, seq + 1}, report.findings
    assert len(report.findings) <= 3


def test_two_changes_are_both_told(run: tuple[EventStore, Path]) -> None:
    """The chain and the sums are still proven to the end."""
    store, path = run
    first, *_, last = (event.seq for event in store.read(event_type="AgentMarked"))
    direct = sqlite3.connect(path, isolation_level=None)
    for seq in (first, last):
        direct.execute("UPDATE events SET data = replace(data, 'equity_raw', 'equitY_raw') WHERE seq = ?", (seq,))
    direct.close()
    with open_store(path, readonly=True) as changed:
        report = audit(changed)
    assert {finding.seq for finding in report.findings if finding.check == "hash"} == {first, last}
    assert report.first_bad_seq == first
