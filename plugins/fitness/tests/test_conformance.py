"""Every fitness function passes the core's conformance suite."""

from __future__ import annotations

import pytest

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.testing.conformance import FitnessConformance
from treasury_arena_fitness.plugin import arena_fitness

FUNCTIONS = {function.name: function for function in arena_fitness()}


class TestConformance(FitnessConformance):
    @pytest.fixture(params=sorted(FUNCTIONS))
    def fitness(self, request: pytest.FixtureRequest) -> FitnessFunction:
        return FUNCTIONS[request.param]
