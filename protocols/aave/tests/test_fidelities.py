"""One set of laws for lending and accounts in all three fidelities: model, exact integers, and a real node."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from router_exchange import RouterExchange

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.testing.conformance import FidelityConformance, Holder, MarketHolder, ModelHolder
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_aave.model import ACCOUNT, ACCOUNT_RESERVE, SUPPLY
from treasury_arena_aave.onchain import AccountOnChain, SupplyOnChain
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
DAY = 86_400
FRAME = synthetic_frame(
    20,
    step_seconds=3600,
    columns={"USDC.borrow_rate": 0.07, "USDC.supplied": 9_000_000.0, "USDC.borrowed": 7_500_000.0},
)
LENDING = MarketSpec(
    "usdc",
    "aave.supply",
    "lending",
    "USDC",
    {
        "rate": "USDC.lending_rate",
        "price": "USDC.price",
        "supplied": "USDC.supplied",
        "borrowed": "USDC.borrowed",
        "gas": "gas.usd",
    },
    {"swap_fee": 0.0},
)
LOAN = MarketSpec(
    "loan",
    "aave.account",
    "account",
    "WETH",
    {
        "price": "WETH.price",
        "supply_rate": "WETH.lending_rate",
        "borrow_rate": "USDC.borrow_rate",
        "gas": "gas.usd",
    },
    coin=True,
)
DEEP = attrs.evolve(
    LOAN,
    model="aave.account_reserve",
    columns={**LOAN.columns, "supplied": "USDC.supplied", "borrowed": "USDC.borrowed"},
)
FIDELITIES = ("model", "exact", "chain")


def whole(request: pytest.FixtureRequest, spec: MarketSpec, model: Any, fidelity: str, **settings: Any) -> Holder:
    if fidelity == "model":
        return ModelHolder(model, spec, FRAME, **settings)
    if fidelity == "exact":
        return MarketHolder(AaveProtocol().exact(spec, FRAME, ASSETS, ASSETS["USDC"]), **settings)
    local = request.getfixturevalue("local_market")
    who = local.users[0].signer
    local.fund("USDC", who.address, 50_000 * 10**6)
    more = {"native_price": 2_000 * 10**6, "price_age_seconds_max": None}
    if spec is LENDING:
        market: Any = SupplyOnChain(spec, local.session, who, ASSETS["USDC"], **more)
    else:
        exchange = RouterExchange(local.session, who, "WETH", "USDC")
        market = AccountOnChain(spec, local.session, who, ASSETS["WETH"], ASSETS["USDC"], exchange, **more)
    return MarketHolder(market, "chain", lambda: local.chain.advance(DAY), **settings)


@pytest.mark.parametrize("fidelity", FIDELITIES)
class TestSupply(FidelityConformance):
    @pytest.fixture
    def holder(self, request: pytest.FixtureRequest, fidelity: str) -> Holder:
        # A block or two of interest lie between a transaction and what is looked at next.
        grain = {"grain": 0.01} if fidelity == "chain" else {}
        return whole(request, LENDING, SUPPLY, fidelity, **grain)


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("ltv", [0.0, 0.5])
class TestAccount(FidelityConformance):
    @pytest.fixture
    def holder(self, request: pytest.FixtureRequest, fidelity: str, ltv: float) -> Holder:
        grain = {"grain": 0.01} if fidelity == "chain" else {}
        return whole(request, LOAN, ACCOUNT, fidelity, control=(ltv,), **grain)


@pytest.mark.parametrize("fidelity", ["model", "exact"])
@pytest.mark.parametrize("ltv", [0.0, 0.5])
class TestAccountOfAReserve(FidelityConformance):
    """Its chain is the account's: there the reserve is the reserve."""

    @pytest.fixture
    def holder(self, request: pytest.FixtureRequest, fidelity: str, ltv: float) -> Holder:
        return whole(request, DEEP, ACCOUNT_RESERVE, fidelity, control=(ltv,))
