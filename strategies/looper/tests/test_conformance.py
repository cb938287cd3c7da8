"""The strategy passes the core's conformance suite, over a small market of collateral and debt."""

from __future__ import annotations

import pytest
from loop_markets import ACCOUNT, make_frame, specs

from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena.testing.reference import LENDING
from treasury_arena_looper.strategy import STRATEGY

CASE = StrategyCase(STRATEGY, {"usd": LENDING, "account": ACCOUNT}, specs(), make_frame(45 * 24 + 1, 7))


class TestConformance(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return CASE
