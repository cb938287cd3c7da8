"""The peg reverter over the real model of swaps in a Uniswap v3 pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena.testing.frames import START
from treasury_arena.testing.reference import LENDING, ReferenceProtocol
from treasury_arena_peg.strategy import STRATEGY
from treasury_arena_uniswap.protocol import UniswapProtocol

SPOT = {model.name: model for model in UniswapProtocol().models}["uniswap.spot"]
ROWS = 45 * 24 + 1


def over_a_stable_pool() -> StrategyCase:
    """USDT against the base asset at a fee of 0.01 %, with falls below the peg of up to two cents."""
    hours = np.arange(ROWS)
    columns = {
        "USDT.price": 1.0 - 0.02 * np.maximum(np.sin(hours / 60.0), 0.0) ** 4,
        "USDT.liquidity": np.full(ROWS, 1.0e10),
        "USDC.price": np.ones(ROWS),
        "USDC.lending_rate": np.full(ROWS, 0.05),
        "gas.usd": np.full(ROWS, 0.3),
    }
    pool = {"price": "USDT.price", "liquidity": "USDT.liquidity", "gas": "gas.usd"}
    lending = {"rate": "USDC.lending_rate", "price": "USDC.price", "gas": "gas.usd"}
    specs = {
        "usd": MarketSpec("usdc_lending", LENDING.name, "lending", "USDC", lending),
        "usdt": MarketSpec("usdt", SPOT.name, "spot", "USDT", pool, {"fee": 0.0001}),
    }
    return StrategyCase(STRATEGY, {"usd": LENDING, "usdt": SPOT}, specs, MarketFrame(START, 3600, columns))


class TestPeg(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over_a_stable_pool()


def test_falls_that_recover_are_earned() -> None:
    case = over_a_stable_pool()
    kernel = case.kernel()
    outcome = kernel.run(
        kernel.tables(case.frame), STRATEGY.space.default[None, :], low=0, high=ROWS, cash=100_000.0, sample=24
    )
    assert outcome.trades[0] == 7.0
    assert outcome.final[0] > 100_000.0 * (1.0 + 3 * 0.5 * 0.0024)


def test_the_books_in_exact_integers_follow_the_kernel(live: Any) -> None:
    case = over_a_stable_pool()
    kernel = case.kernel()
    genome = STRATEGY.space.default
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=ROWS, cash=50_000.0, sample=24)
    account, equity = live(case, (UniswapProtocol(), ReferenceProtocol()), genome, 50_000.0)
    assert account.failed is None
    assert equity == pytest.approx(plain.final[0], rel=1e-6)
