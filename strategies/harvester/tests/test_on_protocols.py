"""Both declarations over the real models of Aave, ERC-4626 vaults and Uniswap v3."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from pool_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_erc4626.protocol import VaultProtocol
from treasury_arena_harvester.strategy import HARVESTER, HARVESTER_TVL
from treasury_arena_uniswap.protocol import UniswapProtocol

PROTOCOLS = (AaveProtocol(), VaultProtocol(), UniswapProtocol())
MODELS: dict[str, PositionModel] = {model.name: model for protocol in PROTOCOLS for model in protocol.models}


def aave_spec(market: str, asset: str, swap_fee: float) -> MarketSpec:
    spec = lending_spec(market, asset)
    columns = {**spec.columns, "supplied": f"{asset}.supplied", "borrowed": f"{asset}.borrowed"}
    return attrs.evolve(spec, model="aave.supply", asset=asset, columns=columns, params={"swap_fee": swap_fee})


def over(strategy: Strategy, model: str) -> StrategyCase:
    frame = make_frame(45 * 24 + 1, 7)
    columns = {name: frame[name] for name in frame.columns}
    for asset in ("USDC", "USDT", "DAI"):
        columns[f"{asset}.supplied"] = np.full(frame.rows, 2.0e8)
        columns[f"{asset}.borrowed"] = np.full(frame.rows, 1.6e8)
    specs = {
        "usdc": aave_spec("usdc_lending", "USDC", 0.0),
        "usdt": aave_spec("usdt_lending", "USDT", 0.0005),
        "dai": aave_spec("dai_lending", "DAI", 0.0005),
        "vault": attrs.evolve(lending_spec("vault", "VAULT"), model="erc4626.vault"),
        "pool": range_spec("eth_range", "low", MODELS[model], 0.0005),
    }
    models = {role: MODELS[spec.model] for role, spec in specs.items()}
    return StrategyCase(strategy, models, specs, MarketFrame(frame.start, frame.step_seconds, columns))


class TestHarvester(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(HARVESTER, "uniswap.range")


class TestHarvesterTvl(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over(HARVESTER_TVL, "uniswap.range_tvl")


def test_every_protocol_is_used() -> None:
    case = over(HARVESTER, "uniswap.range")
    kernel = case.kernel()
    genomes = HARVESTER.space.sample(64, stream(6, 0, "test/protocols"))
    outcome = kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)
    assert (outcome.max_share > 0.04).mean(axis=0).min() > 0.1
    assert np.median(outcome.trades) < case.frame.rows / 20
    assert not outcome.failed.any()


def test_the_books_in_exact_integers_follow_the_kernel(live: Any) -> None:
    case = over(HARVESTER, "uniswap.range")
    kernel = case.kernel()
    genome = HARVESTER.space.genome({"minimum_advantage": 0.005, "smoothing": 24.0, "pool_max": 0.4, "recentre": 0.8})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, PROTOCOLS, genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-4)
