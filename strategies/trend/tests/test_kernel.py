"""The strategy in the search kernel: it lints clean, and compiled code and plain Python agree bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.lint import advise
from treasury_arena_trend.strategy import STRATEGY, decide

Make = Callable[..., Any]
ROWS = 1_500


def test_compiled_and_plain_results_are_the_same_bits(kernel: Make, frame: Make) -> None:
    made = kernel(STRATEGY)
    tables = made.tables(frame(ROWS, 11))
    space = STRATEGY.space
    genomes = np.vstack([space.default, space.low, space.high, space.sample(61, np.random.default_rng(4))])
    span: dict[str, Any] = {"low": 100, "high": ROWS, "cash": 50_000.0, "sample": 24}
    blocked = made.run(tables, genomes, kind="blocked", **span)
    scalar = made.run(tables, genomes, kind="scalar", **span)
    names = ("curve", "final", "max_drawdown", "trades", "costs", "mean_share", "max_share", "failed_row")
    for name in names:
        np.testing.assert_array_equal(getattr(blocked, name), getattr(scalar, name), err_msg=name)
    for row in range(0, len(genomes), 8):
        plain = interpret(made, tables, genomes[row], **span)
        for name in names:
            np.testing.assert_array_equal(getattr(plain, name)[0], getattr(blocked, name)[row], err_msg=f"{name} {row}")
    assert not blocked.failed.any()
    assert (blocked.trades > 0.0).mean() > 0.5
    assert (blocked.trades < ROWS / 4).all()


def test_it_uses_no_slow_function() -> None:
    assert advise(decide) == []
