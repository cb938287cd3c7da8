"""The protocol passes the conformance suite: spot and ranges, both token orders, with and without liquidity data."""

from __future__ import annotations

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.testing.conformance import ProtocolCase, ProtocolConformance
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_uniswap.protocol import UniswapProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
ROWS = 20 * 24 + 1
WAVE = 1.0 + 0.3 * np.sin(np.arange(ROWS) / 7.0)
FRAME = synthetic_frame(
    20,
    step_seconds=3600,
    gas=0.4,
    columns={
        "WBTC.price": 43_210.5,
        "WETH.liquidity": 1.9e6 * WAVE,
        "WBTC.liquidity": 2.0e5 * WAVE,
        "WETH.tvl": 1.0e8 * WAVE,
        "WETH.volume": 7.0e6 * WAVE,
    },
)
PRICE = {"price": "WETH.price", "gas": "gas.usd"}
DEEP = {**PRICE, "liquidity": "WETH.liquidity"}
LOCKED = {**PRICE, "tvl": "WETH.tvl"}
VOLUME = {"volume": "WETH.volume"}
BITCOIN = {"price": "WBTC.price", "gas": "gas.usd", "liquidity": "WBTC.liquidity"}


def spec(name, model, asset, columns, **params):
    return MarketSpec(name, f"uniswap.{model}", model.split("_")[0], asset, columns, params, coin=True)


SPOT = (
    spec("eth", "spot", "WETH", DEEP),
    spec("eth1", "spot", "WETH", DEEP, coin_is_token0=0.0, fee=0.003),
    spec("btc", "spot", "WBTC", BITCOIN),
    spec("eth_tvl", "spot_tvl", "WETH", LOCKED),
)
RANGE = (
    spec("lp", "range", "WETH", {**DEEP, **VOLUME}),
    spec("lp1", "range", "WETH", {**DEEP, **VOLUME}, coin_is_token0=0.0, fee=0.003, spacing=60.0, fee_protocol=4.0),
    spec("lp_btc", "range", "WBTC", {**BITCOIN, **VOLUME}, decimals_apart=2.0),
    spec("lp_tvl", "range_tvl", "WETH", {**LOCKED, **VOLUME}),
)


class TestSpot(ProtocolConformance):
    @pytest.fixture
    def case(self) -> ProtocolCase:
        return ProtocolCase(UniswapProtocol(), FRAME, SPOT, ASSETS, ASSETS["USDC"], bound=1e-9)


@pytest.mark.parametrize("case", [0.02, 0.3, 4.0], indirect=True, ids=lambda width: f"width{width}")
class TestRange(ProtocolConformance):
    @pytest.fixture
    def case(self, request: pytest.FixtureRequest) -> ProtocolCase:
        control = (request.param,)
        return ProtocolCase(UniswapProtocol(), FRAME, RANGE, ASSETS, ASSETS["USDC"], control=control, bound=1e-9)
