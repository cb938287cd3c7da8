"""Both declarations over the real models of Aave, ERC-4626 vaults and Uniswap v3."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import pytest
from pool_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_erc4626.protocol import VaultProtocol
from treasury_arena_harvester.strategy import HARVESTER
from treasury_arena_uniswap.protocol import UniswapProtocol

PROTOCOLS: tuple[Protocol, ...] = (AaveProtocol(), VaultProtocol(), UniswapProtocol())
MODELS: dict[str, PositionModel] = {model.name: model for protocol in PROTOCOLS for model in protocol.models}


def _aave_spec(market: str, asset: str, swap_fee: float) -> MarketSpec:
    spec = lending_spec(market, asset)
    columns = {**spec.columns, "supplied": f"{asset}.supplied", "borrowed": f"{asset}.borrowed"}
    return attrs.evolve(spec, model="aave.supply", asset=asset, columns=columns, params={"swap_fee": swap_fee})


def _over(strategy: Strategy, rows: int = 45 * 24 + 1, seed: int = 7) -> StrategyCase:
    frame = make_frame(rows, seed)
    columns = {name: frame[name] for name in frame.columns}
    for asset in ("USDC", "USDT", "DAI"):
        columns[f"{asset}.supplied"] = np.full(frame.rows, 2.0e8)
        columns[f"{asset}.borrowed"] = np.full(frame.rows, 1.6e8)
    model = MODELS["uniswap.range" if strategy is HARVESTER else "uniswap.range_tvl"]
    specs = {
        "usdc": _aave_spec("usdc_lending", "USDC", 0.0),
        "usdt": _aave_spec("usdt_lending", "USDT", 0.0005),
        "dai": _aave_spec("dai_lending", "DAI", 0.0005),
        "vault": attrs.evolve(lending_spec("vault", "VAULT"), model="erc4626.vault"),
        "pool": range_spec("eth_range", "low", model, 0.0005),
    }
    models = {role: MODELS[spec.model] for role, spec in specs.items()}
    return StrategyCase(strategy, models, specs, MarketFrame(frame.start, frame.step_seconds, columns))


@pytest.fixture(scope="session")
def over() -> Callable[..., StrategyCase]:
    """``over(strategy, rows, seed)``: one declaration over the model that tells the pool's depth as it wants to know it."""
    return _over


@pytest.fixture(scope="session")
def protocols() -> tuple[Protocol, ...]:
    return PROTOCOLS
