"""The strategy in the search kernel: it lints clean, and compiled code and plain Python agree bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from loop_markets import ACCOUNT, make_frame, specs

from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.simulation.lint import advise
from treasury_arena.testing.reference import LENDING
from treasury_arena_looper.strategy import STRATEGY, decide

ROWS = 1_500
NAMES = ("curve", "final", "max_drawdown", "trades", "costs", "mean_share", "max_share", "failed_row")


def test_compiled_and_plain_results_are_the_same_bits() -> None:
    made = prepare(STRATEGY, {"usd": LENDING, "account": ACCOUNT}, specs())
    tables = made.tables(make_frame(ROWS, 11))
    space = STRATEGY.space
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
    assert (blocked.max_share[:, 1] > 0.04).mean() > 0.3
    assert (blocked.trades < ROWS / 4).all()


def test_it_uses_no_slow_function() -> None:
    assert advise(decide) == []
