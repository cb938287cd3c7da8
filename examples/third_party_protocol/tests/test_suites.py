"""The arena's own suites on all three fidelities: what every protocol must hold."""

from typing import Any

import pytest

from example_savings.chain import SavingsOnChain
from example_savings.model import ACCOUNT
from example_savings.parity import deploy
from example_savings.plugin import SavingsProtocol
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.testing.conformance import (
    FidelityConformance,
    Holder,
    MarketHolder,
    ModelHolder,
    ProtocolCase,
    ProtocolConformance,
)
from treasury_arena.testing.frames import synthetic_frame

ASSETS = AssetTable(KNOWN_ASSETS)
USDC = ASSETS["USDC"]
FRAME = synthetic_frame(20, step_seconds=3600)
COLUMNS = {"rate": "USDC.lending_rate", "gas": "gas.usd"}
SPEC = MarketSpec("savings", "savings.account", "lending", "USDC", COLUMNS)


class TestProtocol(ProtocolConformance):
    @pytest.fixture
    def case(self) -> ProtocolCase:
        return ProtocolCase(SavingsProtocol(), FRAME, (SPEC,), ASSETS, USDC, bound=1e-9)


class TestModel(FidelityConformance):
    @pytest.fixture
    def holder(self) -> Holder:
        return ModelHolder(ACCOUNT, SPEC, FRAME)


class TestExact(FidelityConformance):
    @pytest.fixture
    def holder(self) -> Holder:
        return MarketHolder(SavingsProtocol().exact(SPEC, FRAME, ASSETS, USDC))


class TestChain(FidelityConformance):
    @pytest.fixture
    def holder(self, local_market: Any) -> Holder:
        address = deploy(local_market, 5 * 10**25, 1_000 * USDC.unit)  # 5 % a year
        market = SavingsOnChain(SPEC, local_market.session, local_market.users[0].signer, USDC, address)
        # Interest of the seconds between a quote and its block is more than a rounding: 0.0002 USD in 12 s here.
        return MarketHolder(market, "chain", lambda: local_market.chain.advance(3600), grain=0.001)
