"""Every operator passes the core's conformance suite of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.testing.conformance import CrossoverConformance, MutationConformance, SelectionConformance
from treasury_arena_genetics.plugin import arena_operators

OPERATORS: dict[str, Any] = dict(arena_operators())


def named(kind: type) -> list[str]:
    return sorted(name for name, operator in OPERATORS.items() if issubclass(operator, kind))


class TestSelections(SelectionConformance):
    @pytest.fixture(params=named(Selection))
    def operator(self, request: pytest.FixtureRequest) -> Any:
        return OPERATORS[request.param]()


class TestCrossovers(CrossoverConformance):
    @pytest.fixture(params=named(Crossover))
    def operator(self, request: pytest.FixtureRequest) -> Any:
        return OPERATORS[request.param]()


class TestMutations(MutationConformance):
    @pytest.fixture(params=named(Mutation))
    def operator(self, request: pytest.FixtureRequest) -> Any:
        return OPERATORS[request.param]()
