"""Both declarations pass the core's conformance suite, over the real models of Uniswap v3 ranges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena_range.strategy import RANGE, RANGE_TVL

Over = Callable[..., StrategyCase]


class TestRange(StrategyConformance):
    @pytest.fixture
    def case(self, over: Over) -> StrategyCase:
        return over(RANGE)


class TestRangeTvl(StrategyConformance):
    @pytest.fixture
    def case(self, over: Over) -> StrategyCase:
        return over(RANGE_TVL)
