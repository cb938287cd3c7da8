"""The Aave protocol passes the core's conformance suite, in every version and at several loan-to-values."""

from __future__ import annotations

import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.testing.conformance import ProtocolCase, ProtocolConformance
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
FRAME = synthetic_frame(
    20,
    step_seconds=3600,
    columns={
        "WBTC.price": 43_210.5,
        "USDC.borrow_rate": 0.07,
        "USDC.supplied": 9_000_000.0,
        "USDC.borrowed": 7_500_000.0,
        "WETH.supplied": 5_000_000.0,
        "WETH.borrowed": 4_000_000.0,
    },
)
GAS = {"gas": "gas.usd"}


def supply(name, asset, rate, like, version, **params):
    columns = {"rate": rate, "price": f"{asset}.price", "supplied": f"{like}.supplied", "borrowed": f"{like}.borrowed"}
    return MarketSpec(name, "aave.supply", "lending", asset, {**columns, **GAS}, {"version": version, **params})


def account(name, asset, version, **params):
    columns = {"price": f"{asset}.price", "supply_rate": "WETH.lending_rate", "borrow_rate": "USDC.borrow_rate", **GAS}
    small = {} if version > 3.0 else {"small": 0.0}
    return MarketSpec(
        name, "aave.account", "account", asset, columns, {"version": version, **small, **params}, coin=True
    )


def account_reserve(name, asset, version, **params):
    like = account(name, asset, version, **params)
    columns = {**like.columns, "supplied": "USDC.supplied", "borrowed": "USDC.borrowed"}
    return MarketSpec(name, "aave.account_reserve", "account", asset, columns, like.params, coin=True)


def specs(version):
    return (
        supply("usdc", "USDC", "USDC.lending_rate", "USDC", version, swap_fee=0.0),
        supply("weth", "WETH", "WETH.lending_rate", "WETH", version),
        account("loop", "WETH", version),
        account("btc", "WBTC", version, fee=0.002, actions=1.0),
        account_reserve("deep", "WETH", version),
        account_reserve("tight", "WETH", version, optimal=0.8, slope2=3.0),
    )


@pytest.mark.parametrize("version", [3.0, 3.5])
class TestProtocol(ProtocolConformance):
    @pytest.fixture(params=[0.0, 0.8])
    def case(self, request: pytest.FixtureRequest, version: float) -> ProtocolCase:
        return ProtocolCase(
            AaveProtocol(), FRAME, specs(version), ASSETS, ASSETS["USDC"], bound=1e-9, control=(request.param,)
        )
