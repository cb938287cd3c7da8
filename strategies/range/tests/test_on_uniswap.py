"""Both declarations over the real models of Uniswap v3 ranges."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from range_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena.testing.reference import LENDING, ReferenceProtocol
from treasury_arena_range.strategy import RANGE, RANGE_TVL
from treasury_arena_uniswap.protocol import UniswapProtocol

MODELS: dict[str, PositionModel] = {model.name: model for model in UniswapProtocol().models}


def over(strategy: Strategy, model: PositionModel) -> StrategyCase:
    specs = {
        "usd": lending_spec("usdc_lending", "USDC"),
        "low": range_spec("eth_range", "low", model, 0.0005),
        "high": attrs.evolve(
            range_spec("eth_range_high", "high", model, 0.003), params={"fee": 0.003, "spacing": 60.0}
        ),
    }
    models = {"usd": LENDING, "low": model, "high": model}
    return StrategyCase(strategy, models, specs, make_frame(45 * 24 + 1, 7))


class TestRange(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(RANGE, MODELS["uniswap.range"])


class TestRangeTvl(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(RANGE_TVL, MODELS["uniswap.range_tvl"])


def test_ranges_are_held_recentred_and_left() -> None:
    case = over(RANGE, MODELS["uniswap.range"])
    kernel = case.kernel()
    genomes = RANGE.space.sample(64, stream(6, 0, "test/uniswap"))
    outcome = kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)
    held = outcome.max_share[:, 1:].max(axis=1)
    assert (held > 0.04).mean() > 0.3
    assert (outcome.trades > 2.0).mean() > 0.2
    assert np.median(outcome.trades) < case.frame.rows / 20
    assert not outcome.failed.any()


@pytest.mark.parametrize("name", ["uniswap.range", "uniswap.range_tvl"])
def test_the_books_in_exact_integers_follow_the_kernel(live: Any, name: str) -> None:
    case = over(RANGE if name == "uniswap.range" else RANGE_TVL, MODELS[name])
    kernel = case.kernel()
    genome = RANGE.space.genome({"share": 0.5, "edge": -0.1, "slack": 0.5, "vol_limit": 0.12, "patience": 2.0})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, (UniswapProtocol(), ReferenceProtocol()), genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-4)
