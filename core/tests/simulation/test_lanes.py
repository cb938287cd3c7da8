"""What generated modules need of LLVM itself, against numpy; and that no kernel stores a row under a mask."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_plugins import build, farmer, six, tactical
from numba import njit

from treasury_arena.contracts.strategy import Strategy
from treasury_arena.simulation.kernel import INDEX
from treasury_arena.simulation.lanes import first_lane, gather_row, waiting, without_first
from treasury_arena.simulation.layout import LANES

ROW = 3 * LANES


@njit
def gathered(st, picks, first, table, at):  # type: ignore[no-untyped-def]
    gather_row(st, ROW, picks, first, table, at)


@njit
def visited(st):  # type: ignore[no-untyped-def]
    lanes, seen = waiting(st, ROW), []
    while lanes != 0:
        seen.append(first_lane(lanes))
        lanes = without_first(lanes)
    seen.append(-1)
    return seen


@given(seed=st.integers(0, 2**32), columns=st.integers(1, 20), row=st.integers(0, 4))
def test_a_row_is_gathered_as_numpy_takes_it_and_its_neighbours_stay(seed: int, columns: int, row: int) -> None:
    rng = np.random.default_rng(seed)
    state, table = rng.random(5 * LANES), rng.random(5 * columns)
    picks = rng.integers(0, columns, 2 * LANES).astype(INDEX)
    wanted = state.copy()
    wanted[ROW : ROW + LANES] = table[row * columns + picks[LANES:].astype(np.int64)]
    gathered(state, picks, LANES, table, INDEX(row * columns))
    assert state.tolist() == wanted.tolist()


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -2.5, float("nan"), 5e-324]), min_size=LANES, max_size=LANES))
def test_the_lanes_that_wait_are_visited_in_order(values: list[float]) -> None:
    state = np.ones(5 * LANES)
    state[ROW : ROW + LANES] = values
    assert visited(state) == [j for j, value in enumerate(values) if value != 0.0] + [-1]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instruction is one of x86-64")
@pytest.mark.parametrize("strategy", [farmer.STRATEGY, tactical.STRATEGY, six.STRATEGY], ids=lambda s: s.name)
def test_no_row_is_stored_under_a_mask(strategy: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = build.kernel(strategy, tmp_path)
    monkeypatch.delitem(
        sys.modules, kernel.generated.name, raising=False
    )  # what comes from the cache cannot be looked at
    kernel.compile()
    (code,) = kernel.generated.load().run_blocked.inspect_asm().values()
    assert len(re.findall(r"\bv(?:mul|add|sub)pd\b", code)) > 50, "no vector loops"
    assert re.findall(r"\bvmaskmovpd\s+%\w+, %\w+, [^%]*\(.*", code) == []
    assert re.findall(r"\bvmov[ua]pd\s+%\w+, [^%]*\(.*\) \{%k\d\}", code) == []  # the same where vectors hold eight
