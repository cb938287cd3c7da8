"""The strategy passes the core's conformance suite, over the reference protocol."""

from __future__ import annotations

import pytest

from treasury_arena.testing.conformance import StrategyCase, StrategyConformance, reference_case
from treasury_arena_peg.strategy import STRATEGY

CASE = reference_case(STRATEGY)


class TestConformance(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return CASE
