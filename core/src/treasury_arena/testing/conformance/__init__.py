"""Conformance suites: subclass one in your tests, give the fixture it asks for, and pytest runs every law of the contract.

    class TestMyProtocol(ProtocolConformance):
        @pytest.fixture
        def case(self) -> ProtocolCase:
            return ProtocolCase(MyProtocol(), frame, (eth_spec, usdc_spec), assets, base)

The hypothesis searches are derandomised: they give the same cases on every machine.
"""

from treasury_arena.testing.conformance.cases import ProtocolCase
from treasury_arena.testing.conformance.fidelities import FidelityConformance, Holder, MarketHolder, ModelHolder
from treasury_arena.testing.conformance.fitness import FitnessConformance, sample_records
from treasury_arena.testing.conformance.operators import (
    CrossoverConformance,
    MutationConformance,
    SelectionConformance,
    mixed_space,
)
from treasury_arena.testing.conformance.protocols import ProtocolConformance
from treasury_arena.testing.conformance.reporters import ReporterConformance, sample_result
from treasury_arena.testing.conformance.scheduling import SchedulerConformance
from treasury_arena.testing.conformance.sources import SourceConformance
from treasury_arena.testing.conformance.strategies import StrategyCase, StrategyConformance, reference_case

__all__ = [
    "CrossoverConformance",
    "FidelityConformance",
    "FitnessConformance",
    "Holder",
    "MarketHolder",
    "ModelHolder",
    "MutationConformance",
    "ProtocolCase",
    "ProtocolConformance",
    "ReporterConformance",
    "SchedulerConformance",
    "SelectionConformance",
    "SourceConformance",
    "StrategyCase",
    "StrategyConformance",
    "mixed_space",
    "reference_case",
    "sample_records",
    "sample_result",
]
