"""Both declarations pass the core's conformance suite, over small markets."""

from __future__ import annotations

import pytest
from pool_markets import RANGE as SMALL
from pool_markets import RANGE_TVL as SMALL_TVL
from pool_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena.testing.reference import LENDING
from treasury_arena_harvester.strategy import HARVESTER, HARVESTER_TVL

LENT = {"usdc": "USDC", "usdt": "USDT", "dai": "DAI", "vault": "VAULT"}


def over(strategy: Strategy, model: PositionModel) -> StrategyCase:
    specs = {role: lending_spec(strategy.roles[role].market, asset) for role, asset in LENT.items()}
    specs["pool"] = range_spec("eth_range", "low", model, 0.0005)
    models = {**dict.fromkeys(LENT, LENDING), "pool": model}
    return StrategyCase(strategy, models, specs, make_frame(45 * 24 + 1, 7))


class TestHarvester(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(HARVESTER, SMALL)


class TestHarvesterTvl(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(HARVESTER_TVL, SMALL_TVL)
