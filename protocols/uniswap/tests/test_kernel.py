"""The models compile in the search kernel, and blocked, scalar and plain Python give the same bits."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from pool_strategies.provider import STRATEGY

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena.simulation.outcome import Outcome
from treasury_arena_uniswap.protocol import UniswapProtocol

ROWS = 400
FIELDS = [f.name for f in attrs.fields(Outcome) if f.name != "steps"]
MODELS = {model.name: model for model in UniswapProtocol().models}


def frame() -> MarketFrame:
    rng = stream(7, 0, "test/pool")
    price = 2000.0 * np.exp(np.cumsum(0.012 * rng.standard_normal(ROWS)))
    return MarketFrame(
        1_704_067_200,
        3600,
        {
            "price": price,
            "liquidity": 1e7 * rng.lognormal(0.0, 0.3, ROWS),
            "tvl": 1.5e8 * rng.lognormal(0.0, 0.1, ROWS),
            "volume": 2e7 * rng.lognormal(0.0, 0.7, ROWS),
            "gas": 2.0 * rng.lognormal(0.0, 0.4, ROWS),
        },
    )


def kernel(suffix: str, cache: Path) -> Kernel:
    names = {"eth": f"uniswap.spot{suffix}", "lp": f"uniswap.range{suffix}"}
    models = {role: MODELS[name] for role, name in names.items()}
    specs = {
        role: MarketSpec(role, model.name, model.kind, "WETH", {f: f for f in model.market._fields}, coin=True)
        for role, model in models.items()
    }
    return prepare(STRATEGY, models, specs, cache=cache)


def same(a: Outcome, b: Outcome) -> None:
    for name in FIELDS:
        assert np.ascontiguousarray(getattr(a, name)).tobytes() == np.ascontiguousarray(getattr(b, name)).tobytes(), (
            name
        )


def one(outcome: Outcome, agent: int) -> Outcome:
    return attrs.evolve(outcome, **{name: getattr(outcome, name)[agent : agent + 1] for name in FIELDS})


@pytest.mark.parametrize("suffix", ["", "_tvl"])
def test_kernels_and_plain_python_give_the_same_bits(suffix: str, cache: Path) -> None:
    made = kernel(suffix, cache)
    tables = made.tables(frame())
    genomes = made.strategy.space.sample(70, np.random.default_rng(3))
    cash = np.random.default_rng(4).lognormal(10.0, 2.0, 70)
    span = {"low": 0, "high": ROWS, "sample": 24}
    blocked = made.run(tables, genomes, **span, cash=cash)
    assert (blocked.trades > 1).mean() > 0.8
    assert not blocked.failed.any()
    same(blocked, made.run(tables, genomes, **span, cash=cash, kind="scalar"))
    for agent in range(0, 70, 5):
        same(one(blocked, agent), interpret(made, tables, genomes[agent], **span, cash=cash[agent]))
