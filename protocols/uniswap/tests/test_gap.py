"""The published distance of model and exact market over the range of real pools."""

from __future__ import annotations

import pytest

from treasury_arena_uniswap.gap import ModelGap, gaps
from treasury_arena_uniswap.protocol import UniswapProtocol

NAMES = [model.name for model in UniswapProtocol().models]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("coin", "least", "bound"),
    [
        ("WETH", 1.0, 5e-6),
        ("WETH", 10.0, 1e-6),
        ("WETH", 1_000.0, 1e-8),
        ("SOL", 10.0, 1e-6),
        ("WBTC", 100.0, 1e-4),
        ("WBTC", 10_000.0, 1e-6),
    ],
)
def test_the_published_bound_holds(name: str, coin: str, least: float, bound: float) -> None:
    found = gaps(name, 200, seed=3, least_usd=least, coin=coin)
    assert len(found) > 380
    assert found == sorted(found)
    assert found[-1] <= bound
    assert found[len(found) // 2] <= bound / 10.0


def test_the_same_seed_gives_the_same_distances() -> None:
    assert gaps("uniswap.range", 20, seed=1) == gaps("uniswap.range", 20, seed=1) != gaps("uniswap.range", 20, seed=2)


@pytest.mark.parametrize("name", NAMES)
def test_what_arena_parity_says_of_the_models(name: str) -> None:
    told: list[int] = []
    result = ModelGap(name).run(90, 4, lambda done, of: told.append(done))
    assert result.ok, result
    assert result.name == name
    assert result.cases > 150
    assert 0.0 < result.median <= result.high <= result.largest <= result.bound
    assert told == list(range(1, 91))
