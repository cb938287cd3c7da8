"""The simulation protocol and its source pass the core's conformance suites."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import Window
from treasury_arena.testing.conformance import (
    FidelityConformance,
    Holder,
    MarketHolder,
    ModelHolder,
    ProtocolCase,
    ProtocolConformance,
    SourceConformance,
)
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.protocol import SimulationProtocol
from treasury_arena_simulation.source import SimulatedSource

ASSETS = AssetTable(KNOWN_ASSETS)
FRAME = synthetic_frame(20, step_seconds=3600, columns={"WETH.depth": 8_000_000.0, "WBTC.price": 43_210.5})
GAS = {"gas": "gas.usd"}
SPECS = (
    MarketSpec("eth", "simulation.spot", "spot", "WETH", {"price": "WETH.price", **GAS}, coin=True),
    MarketSpec("btc", "simulation.spot", "spot", "WBTC", {"price": "WBTC.price", **GAS}, coin=True),
    MarketSpec(
        "deep",
        "simulation.spot_depth",
        "spot",
        "WETH",
        {"price": "WETH.price", "depth": "WETH.depth", **GAS},
        coin=True,
    ),
    MarketSpec(
        "dai", "simulation.lending", "lending", "DAI", {"rate": "USDC.lending_rate", "price": "USDC.price", **GAS}
    ),
    MarketSpec("usdc", "simulation.lending_par", "lending", "USDC", {"rate": "USDC.lending_rate", **GAS}),
)


class TestProtocol(ProtocolConformance):
    @pytest.fixture
    def case(self) -> ProtocolCase:
        return ProtocolCase(SimulationProtocol(), FRAME, SPECS, ASSETS, ASSETS["USDC"])


@pytest.fixture(
    params=[(spec, fidelity) for spec in SPECS for fidelity in ("model", "exact")], ids=lambda p: f"{p[0].name}-{p[1]}"
)
def held(request: pytest.FixtureRequest) -> Holder:
    spec, fidelity = request.param
    protocol, changes = SimulationProtocol(), spec.columns.get("price") != "WBTC.price"  # which stands still
    if fidelity == "model":
        model = next(model for model in protocol.models if model.name == spec.model)
        return ModelHolder(model, spec, FRAME, changes=changes)
    # One satoshi is worth 0.0004 USD.
    return MarketHolder(protocol.exact(spec, FRAME, ASSETS, ASSETS["USDC"]), grain=0.001, changes=changes)


class TestFidelities(FidelityConformance):
    @pytest.fixture
    def holder(self, held: Holder) -> Holder:
        return held


class Context:
    """What a source factory is given."""

    data = cache = None
    seed = 7
    step_seconds = 3600


class TestSource(SourceConformance):
    @pytest.fixture
    def make(self) -> Callable[[], DataSource]:
        return lambda: SimulatedSource(SimulatedSection(), Context())  # type: ignore[arg-type]

    @pytest.fixture
    def window(self) -> Window:
        return Window(1_704_067_200, 1_704_067_200 + 20 * 86_400)
