"""Many threads and several processes allocate from one pool through one store: never more than the pool has."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treasury_arena.errors import AllocationError
from treasury_arena.store import audit

USD = 10**6

CHILD = """
import json, sys
from pathlib import Path
from treasury_arena.errors import AllocationError
from treasury_arena.testing.worlds import small_arena
from treasury_arena.testing.frames import synthetic_frame
arena = small_arena(Path(sys.argv[1]), frame=synthetic_frame(80), lend_idle=False)
sys.stdin.readline()
given = 0
for agent in json.loads(sys.argv[2]):
    try:
        arena.allocate_capital(agent, 900_000_000)
        given += 1
    except AllocationError:
        pass
arena.close()
print(given)
"""


def test_64_threads_never_over_allocate(make_arena: Callable[..., Any], tmp_path: Path) -> None:
    arena = make_arena(tmp_path)
    agents = [arena.spawn_agent("lender", {"share": 0.05 + index / 100}) for index in range(64)]
    start = threading.Barrier(64)
    given: list[str] = []
    other = make_arena(tmp_path)

    def allocate(index: int) -> None:
        start.wait()
        try:
            (arena if index % 2 else other).allocate_capital(agents[index], 900 * USD)
            given.append(agents[index])
        except AllocationError:
            return

    threads = [threading.Thread(target=allocate, args=(index,)) for index in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arena.reload()
    assert len(given) == 8  # 8 x 900 <= 8,000 < 9 x 900
    breakdown = arena.get_capital_allocation_breakdown()
    assert (breakdown["arena"]["cash"], breakdown["total"]) == (800 * USD, 10_000 * USD)
    assert sorted(breakdown["agents"]) == sorted(given)
    assert audit(arena.store).ok


def test_4_processes_never_over_allocate(make_arena: Callable[..., Any], tmp_path: Path) -> None:
    arena = make_arena(tmp_path, lend_idle=False)
    agents = [arena.spawn_agent("lender", {"share": 0.05 + index / 100}) for index in range(16)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(agents[part::4])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(4)
    ]
    told = [child.communicate("go\n", timeout=120)[0] for child in children]
    arena.reload()
    assert sum(int(line) for line in told) == 8
    assert arena.get_capital_allocation_breakdown()["arena"]["cash"] == 800 * USD
    assert not any(arena.verify_capital_conservation().values())
    assert audit(arena.store).ok
