"""Both declarations pass the core's conformance suite, over the real models of Aave, ERC-4626 vaults and Uniswap v3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena_harvester.strategy import HARVESTER, HARVESTER_TVL

Over = Callable[..., StrategyCase]


class TestHarvester(StrategyConformance):
    @pytest.fixture
    def case(self, over: Over) -> StrategyCase:
        return over(HARVESTER)


class TestHarvesterTvl(StrategyConformance):
    @pytest.fixture
    def case(self, over: Over) -> StrategyCase:
        return over(HARVESTER_TVL)
