"""The strategy in the search kernel: it lints clean, and compiled code and plain Python agree bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.simulation.lint import advise
from treasury_arena.testing.frames import START
from treasury_arena.testing.reference import LENDING, SPOT
from treasury_arena_peg.strategy import STRATEGY, decide

ROWS = 1_500
NAMES = ("curve", "final", "max_drawdown", "trades", "costs", "mean_share", "max_share", "failed_row")
SPECS = {
    "usd": MarketSpec(
        "usdc_lending",
        LENDING.name,
        "lending",
        "USDC",
        {"rate": "USDC.lending_rate", "price": "USDC.price", "gas": "gas.usd"},
    ),
    "usdt": MarketSpec("usdt", SPOT.name, "spot", "USDT", {"price": "USDT.price", "gas": "gas.usd"}, {"fee": 0.0002}),
}


def depegs(rows: int, seed: int) -> MarketFrame:
    """Hourly: a coin that falls below its peg again and again, by up to three cents, and once by a tenth for good."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    below = 0.03 * np.maximum(np.sin(hours / 60.0), 0.0) ** 4 + 0.1 * (hours > 1_300)
    columns: dict[str, Any] = {
        "USDT.price": 1.0 - below + 0.0003 * rng.standard_normal(rows),
        "USDC.price": np.ones(rows),
        "USDC.lending_rate": np.full(rows, 0.05),
        "gas.usd": np.full(rows, 0.3),
    }
    return MarketFrame(START, 3600, columns)


def test_compiled_and_plain_results_are_the_same_bits() -> None:
    made = prepare(STRATEGY, {"usd": LENDING, "usdt": SPOT}, SPECS)
    tables = made.tables(depegs(ROWS, 11))
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
    assert (blocked.max_share[:, 1] > 0.04).mean() > 0.5
    assert (blocked.trades < ROWS / 4).all()


def test_it_uses_no_slow_function() -> None:
    assert advise(decide) == []
