"""The kit's own pieces pass the kit's own suites."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.source import DataSource
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import Window
from treasury_arena.testing.conformance import (
    CrossoverConformance,
    FitnessConformance,
    MutationConformance,
    ProtocolCase,
    ProtocolConformance,
    SelectionConformance,
    SourceConformance,
    StrategyCase,
    StrategyConformance,
)
from treasury_arena.testing.frames import (
    ASSETS,
    COIN,
    COIN_LENDING,
    USD,
    USDC,
    SyntheticSource,
    stepped,
    synthetic_frame,
)
from treasury_arena.testing.reference import LENDING, SPOT, ReferenceProtocol
from treasury_arena.testing.strategies import HOLDER, LENDER
from treasury_arena.testing.worlds import BestOfTwo, EitherParent, ExcessReturn, Nudge, SharpeOnly

FRAME = synthetic_frame(30)


class TestReferenceProtocol(ProtocolConformance):
    @pytest.fixture
    def case(self) -> ProtocolCase:
        specs = tuple(stepped(spec, FRAME.step_seconds) for spec in (COIN, USD, COIN_LENDING))
        return ProtocolCase(ReferenceProtocol(), FRAME, specs, ASSETS, USDC)


@pytest.mark.parametrize("strategy", [HOLDER, LENDER], ids=["holder", "lender"])
class TestReferenceStrategies(StrategyConformance):
    @pytest.fixture
    def case(self, strategy: Strategy) -> StrategyCase:
        known = {"coin": (SPOT, COIN), "usd": (LENDING, stepped(USD, FRAME.step_seconds))}
        return StrategyCase(
            strategy,
            {role: known[role][0] for role in strategy.roles},
            {role: known[role][1] for role in strategy.roles},
            FRAME,
        )


@pytest.mark.parametrize("kind", [ExcessReturn, SharpeOnly])
class TestFitness(FitnessConformance):
    @pytest.fixture
    def fitness(self, kind: type[FitnessFunction]) -> FitnessFunction:
        return kind()


class TestBestOfTwo(SelectionConformance):
    @pytest.fixture
    def operator(self) -> BestOfTwo:
        return BestOfTwo()


class TestEitherParent(CrossoverConformance):
    @pytest.fixture
    def operator(self) -> EitherParent:
        return EitherParent()


class TestNudge(MutationConformance):
    @pytest.fixture
    def operator(self) -> Nudge:
        return Nudge()


class TestSyntheticSource(SourceConformance):
    @pytest.fixture
    def make(self) -> Callable[[], DataSource]:
        return lambda: SyntheticSource(synthetic_frame(30))

    @pytest.fixture
    def window(self) -> Window:
        return Window(FRAME.start, FRAME.end)
