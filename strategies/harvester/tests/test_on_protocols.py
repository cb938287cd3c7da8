"""Both declarations over the real models of Aave, ERC-4626 vaults and Uniswap v3: what they do there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.protocol import Protocol
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena_harvester.strategy import HARVESTER

Over = Callable[..., StrategyCase]


def test_every_protocol_is_used(over: Over) -> None:
    case = over(HARVESTER)
    kernel = case.kernel()
    genomes = HARVESTER.space.sample(64, stream(6, 0, "test/protocols"))
    outcome = kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)
    assert (outcome.max_share > 0.04).mean(axis=0).min() > 0.1
    assert np.median(outcome.trades) < case.frame.rows / 20
    assert not outcome.failed.any()


def test_the_books_in_exact_integers_follow_the_kernel(over: Over, live: Any, protocols: tuple[Protocol, ...]) -> None:
    case = over(HARVESTER)
    kernel = case.kernel()
    genome = HARVESTER.space.genome({"minimum_advantage": 0.005, "smoothing": 24.0, "pool_max": 0.4, "recentre": 0.8})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, protocols, genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-8)
