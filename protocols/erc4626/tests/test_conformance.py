"""The vault passes the core's conformance suites as model and in exact integers."""

from __future__ import annotations

import pytest

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
from treasury_arena_erc4626.model import VAULT
from treasury_arena_erc4626.protocol import VaultProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
FRAME = synthetic_frame(20, step_seconds=3600)
SPECS = tuple(
    MarketSpec(
        asset.lower(),
        "erc4626.vault",
        "lending",
        asset,
        {"rate": "USDC.lending_rate", "price": price, "gas": "gas.usd"},
        params,
        coin,
    )
    for asset, price, params, coin in (
        ("USDC", "USDC.price", {}, False),
        ("DAI", "USDC.price", {"swap_fee": 0.0005, "actions": 2.0}, False),
        ("WETH", "WETH.price", {"swap_fee": 0.0006, "vault_assets": 3_000.0}, True),
    )
)


class TestProtocol(ProtocolConformance):
    @pytest.fixture
    def case(self) -> ProtocolCase:
        return ProtocolCase(VaultProtocol(), FRAME, SPECS, ASSETS, ASSETS["USDC"])


class TestFidelities(FidelityConformance):
    @pytest.fixture(params=[(spec, fidelity) for spec in SPECS for fidelity in ("model", "exact")], ids=str)
    def holder(self, request: pytest.FixtureRequest) -> Holder:
        spec, fidelity = request.param
        if fidelity == "model":
            return ModelHolder(VAULT, spec, FRAME)
        return MarketHolder(VaultProtocol().exact(spec, FRAME, ASSETS, ASSETS["USDC"]))
