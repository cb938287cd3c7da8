"""Both declarations over the real models of Uniswap v3 ranges: what they do there, in the kernel and in the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.strategy import Strategy
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena.testing.reference import ReferenceProtocol
from treasury_arena_range.strategy import RANGE, RANGE_TVL
from treasury_arena_uniswap.protocol import UniswapProtocol

Over = Callable[..., StrategyCase]


def test_ranges_are_held_recentred_and_left(over: Over) -> None:
    case = over(RANGE)
    kernel = case.kernel()
    genomes = RANGE.space.sample(64, stream(6, 0, "test/uniswap"))
    outcome = kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)
    held = outcome.max_share[:, 1:].max(axis=1)
    assert (held > 0.04).mean() > 0.3
    assert (outcome.trades > 2.0).mean() > 0.2
    assert np.median(outcome.trades) < case.frame.rows / 20
    assert not outcome.failed.any()


@pytest.mark.parametrize("strategy", [RANGE, RANGE_TVL], ids=["liquidity", "tvl"])
def test_the_books_in_exact_integers_follow_the_kernel(over: Over, live: Any, strategy: Strategy) -> None:
    case = over(strategy)
    kernel = case.kernel()
    genome = RANGE.space.genome({"share": 0.5, "edge": -0.1, "slack": 0.5, "vol_limit": 0.12, "patience": 2.0})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, (UniswapProtocol(), ReferenceProtocol()), genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-8)
