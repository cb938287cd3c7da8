"""Both declarations over the real models of Uniswap v3 ranges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pool_markets import RANGE as POOL
from pool_markets import RANGE_TVL as POOL_TVL
from pool_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.strategy import Strategy
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena.testing.reference import LENDING
from treasury_arena_range.strategy import RANGE


def _over(strategy: Strategy, rows: int = 45 * 24 + 1, seed: int = 7) -> StrategyCase:
    model = POOL if strategy is RANGE else POOL_TVL
    specs = {
        "usd": lending_spec("usdc_lending", "USDC"),
        "low": range_spec("eth_range", "low", model, 0.0005),
        "high": range_spec("eth_range_high", "high", model, 0.003),
    }
    models = {"usd": LENDING, "low": model, "high": model}
    return StrategyCase(strategy, models, specs, make_frame(rows, seed))


@pytest.fixture(scope="session")
def over() -> Callable[..., StrategyCase]:
    """``over(strategy, rows, seed)``: one declaration over the model that tells the depth as it wants to know it."""
    return _over
