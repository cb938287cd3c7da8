"""The strategy in the search kernel: it lints clean, and compiled code and plain Python agree bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.strategy import Strategy
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.lint import advise
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena_range.strategy import RANGE, RANGE_TVL, choose, decide, decide_tvl, plan

ROWS = 1_500
NAMES = ("curve", "final", "max_drawdown", "trades", "costs", "mean_share", "max_share", "failed_row")


@pytest.mark.parametrize("strategy", [RANGE, RANGE_TVL], ids=["liquidity", "tvl"])
def test_compiled_and_plain_results_are_the_same_bits(over: Callable[..., StrategyCase], strategy: Strategy) -> None:
    case = over(strategy, ROWS, 11)
    made = case.kernel()
    tables = made.tables(case.frame)
    space = strategy.space
    genomes = np.vstack([space.default, space.low, space.high, space.sample(61, np.random.default_rng(4))])
    span: dict[str, Any] = {"low": 100, "high": ROWS, "cash": 50_000.0, "sample": 24}
    blocked = made.run(tables, genomes, kind="blocked", **span)
    scalar = made.run(tables, genomes, kind="scalar", **span)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(blocked, name), getattr(scalar, name), err_msg=name)
    for row in range(0, len(genomes), 8):
        plain = interpret(made, tables, genomes[row], **span)
        for name in NAMES:
            np.testing.assert_array_equal(getattr(plain, name)[0], getattr(blocked, name)[row], err_msg=f"{name} {row}")
    assert not blocked.failed.any()
    assert (blocked.trades > 0.0).all()
    assert (blocked.max_share[:, 1:].max(axis=1) > 0.04).mean() > 0.3
    assert (blocked.trades < ROWS / 4).all()


def test_it_uses_no_slow_function() -> None:
    assert [advise(function) for function in (decide, decide_tvl, choose, plan)] == [[]] * 4
