"""The published distance of model and exact market over the range of real pools."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest

from treasury_arena.errors import ValidationError
from treasury_arena_uniswap import gap
from treasury_arena_uniswap.gap import DUST, DUST_ZONE, ModelGap, apart, gaps
from treasury_arena_uniswap.market import SpotMarket
from treasury_arena_uniswap.protocol import UniswapProtocol
from treasury_arena_uniswap.range_market import RangeMarket

NAMES = [model.name for model in UniswapProtocol().models]


BOUNDS = (
    ("WETH", 10.0, 5e-6),
    ("WETH", 50.0, 1e-6),
    ("WETH", 5_000.0, 1e-8),
    ("SOL", 10.0, 5e-6),
    ("SOL", 50.0, 1e-6),
    ("SOL", 5_000.0, 1e-8),
    ("WBTC", 100.0, 1e-4),
    ("WBTC", 10_000.0, 1e-6),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("coin", "least", "bound"), BOUNDS)
def test_the_published_bound_holds(name: str, coin: str, least: float, bound: float) -> None:
    found = gaps(name, 200, seed=3, least_usd=least, coin=coin)
    assert len(found) > 380
    assert found == sorted(found)
    assert found[-1] <= bound
    assert found[len(found) // 2] <= bound / 10.0


class Ends(random.Random):
    """Draws the highest price and the smallest position, where a base unit is worth most of what was paid."""

    def uniform(self, a: float, b: float) -> float:
        if (a, b) == (-1.0, 1.0):
            return b
        return a if b == 5.0 else super().uniform(a, b)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("coin", "least", "bound"), BOUNDS)
def test_the_published_bound_holds_at_the_ends_of_its_range(
    name: str, coin: str, least: float, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gap.random, "Random", Ends)
    assert gaps(name, 400, seed=5, least_usd=least, coin=coin)[-1] <= bound


def test_the_same_seed_gives_the_same_distances() -> None:
    assert gaps("uniswap.range", 20, seed=1) == gaps("uniswap.range", 20, seed=1) != gaps("uniswap.range", 20, seed=2)


@pytest.mark.parametrize("name", NAMES)
def test_what_arena_parity_says_of_the_models(name: str) -> None:
    told: list[int] = []
    result = ModelGap(name).run(90, 4, lambda done, of: told.append(done))
    assert result.ok, result
    assert result.name == name
    assert result.cases == 180
    assert 0.0 < result.median <= result.high <= result.largest <= result.bound
    assert told == list(range(1, 91))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sales", [True, False], ids=["sales", "purchases"])
@pytest.mark.parametrize("raises", [True, False], ids=["refuses", "does nothing"])
def test_an_exact_market_that_does_not_trade_where_the_model_does_is_no_agreement(
    monkeypatch: pytest.MonkeyPatch, name: str, sales: bool, raises: bool
) -> None:
    for market in (SpotMarket, RangeMarket):

        def trade(self: Any, state: Any, target: int, *more: Any, whole: Any = market.trade) -> Any:
            if (target == 0) is not sales:
                return whole(self, state, target, *more)
            if raises:
                raise ValidationError("closed")
            return None

        monkeypatch.setattr(market, "trade", trade)
    result = ModelGap(name).run(12, 4, lambda done, of: None)
    assert not result.ok
    assert result.largest == 1.0
    assert result.cases == (24 if sales else 12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sales", [True, False], ids=["sales", "purchases"])
def test_a_model_that_does_not_trade_where_the_exact_market_does_is_no_agreement(
    monkeypatch: pytest.MonkeyPatch, name: str, sales: bool
) -> None:
    model = gap.MODELS[name]

    def trade(state: Any, target: float, *more: Any) -> Any:
        return (state, 0.0) if (target == 0.0) is sales else model.trade(state, target, *more)

    monkeypatch.setitem(gap.MODELS, name, attrs.evolve(model, trade=trade))
    result = ModelGap(name).run(12, 4, lambda done, of: None)
    assert (result.ok, result.largest, result.cases) == (False, 1.0, 24 if sales else 12)


def test_only_next_to_the_smallest_move_may_one_side_trade_alone() -> None:
    for move, error in (
        (DUST, 0.0),
        (DUST * (1 + 0.9 * DUST_ZONE), 0.0),
        (DUST * (1 - 0.9 * DUST_ZONE), 0.0),
        (DUST * (1 + 1.1 * DUST_ZONE), 1.0),
        (DUST * (1 - 1.1 * DUST_ZONE), 1.0),
        (50.0, 1.0),
    ):
        assert apart(move, None, move, move) == error
    assert apart(0.0, None, 50.0, 50.0) == 0.0
