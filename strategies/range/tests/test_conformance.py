"""Both declarations pass the core's conformance suite, over small markets of ranges."""

from __future__ import annotations

import pytest
from range_markets import RANGE as SMALL
from range_markets import RANGE_TVL as SMALL_TVL
from range_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena.testing.reference import LENDING
from treasury_arena_range.strategy import RANGE, RANGE_TVL


def over(strategy: Strategy, model: PositionModel) -> StrategyCase:
    specs = {
        "usd": lending_spec("usdc_lending", "USDC"),
        "low": range_spec("eth_range", "low", model, 0.0005),
        "high": range_spec("eth_range_high", "high", model, 0.003),
    }
    models = {"usd": LENDING, "low": model, "high": model}
    return StrategyCase(strategy, models, specs, make_frame(45 * 24 + 1, 7))


class TestRange(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(RANGE, SMALL)


class TestRangeTvl(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(RANGE_TVL, SMALL_TVL)
