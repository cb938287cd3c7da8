"""Position models of a v3 pool of a coin against the base currency: scalar float functions, compiled as they stand.

Human units throughout: tokens, USD, price in USD per coin, and liquidity L in ``sqrt(coin * USD)``, so that a pool at price P
has the virtual reserves ``L / sqrt(P)`` coins and ``L sqrt(P)`` USD. A swap is one step at constant L, in the forms that do not
subtract near-equal prices: x USD buy ``x / (P (1 + u))`` coins with ``u = x / (L sqrt(P))``, y coins sell for ``y P / (1 + u)``
with ``u = y sqrt(P) / L``, x and y after the fee (from SqrtPriceMath of v3-core). A swap that moves the price by more than
`max_move` is not made; neither is one where there is no liquidity.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class SpotState(NamedTuple):
    """A coin held outright: tokens."""

    units: float = 0.0


class SpotMarket(NamedTuple):
    """``price`` USD per coin, ``liquidity`` L in range in sqrt(coin * USD), ``gas`` USD per action."""

    price: float
    liquidity: float
    gas: float


class SpotTvlMarket(NamedTuple):
    """`SpotMarket` for data without liquidity: ``tvl`` USD locked in the pool."""

    price: float
    tvl: float
    gas: float


class SpotParams(NamedTuple):
    """``fee`` fraction of what comes in, ``dust`` USD, ``max_move`` largest relative move of the price by one trade.

    ``coin_is_token0`` (1 or 0) is the pool's token order; it decides the exact market's rounding only.
    """

    fee: float = 0.0005
    dust: float = 1.0
    max_move: float = 0.02
    coin_is_token0: float = 1.0


class SpotTvlParams(NamedTuple):
    """`SpotParams` and ``concentration``: virtual USD reserve ``L sqrt(P)`` over half the value locked."""

    fee: float = 0.0005
    dust: float = 1.0
    max_move: float = 0.02
    coin_is_token0: float = 1.0
    concentration: float = 12.0


def virtual_liquidity(price: float, tvl: float, concentration: float) -> float:
    """L from the value locked: the virtual USD reserve ``L sqrt(P)`` is ``concentration * tvl / 2``."""
    return 0.5 * concentration * tvl / math.sqrt(price) if price > 0.0 else 0.0


def step_of_base(net: float, root: float, liquidity: float) -> float:
    """By which fraction `net` USD (after the fee) raise the square root of the price."""
    return net / (liquidity * root)


def step_of_coin(net: float, root: float, liquidity: float) -> float:
    """By which fraction `net` coins (after the fee) lower it: the root becomes ``root / (1 + step)``."""
    return net * root / liquidity


def too_far(step: float, max_move: float) -> bool:
    """Whether the step moves the price by more than `max_move`."""
    return (1.0 + step) * (1.0 + step) > 1.0 + max_move


def spot_value(s: SpotState, m: SpotMarket, p: SpotParams) -> float:
    """USD that the coins are worth."""
    return s.units * m.price


def spot_trade(s: SpotState, target: float, m: SpotMarket, p: SpotParams, c: None) -> tuple[SpotState, float]:
    """Swap up to ``target`` USD along constant liquidity; nothing below `dust` or that moves the price by more than `max_move`.

    Returns the state and the cash that came (negative: went), gas taken off.
    """
    move = target - s.units * m.price
    if not m.price > 0.0 or not m.liquidity > 0.0 or abs(move) < p.dust:
        return s, 0.0
    root = math.sqrt(m.price)
    if move > 0.0:
        net = (move - m.gas) * (1.0 - p.fee)
        step = step_of_base(net, root, m.liquidity)
        if net <= 0.0 or too_far(step, p.max_move):
            return s, 0.0
        return SpotState(s.units + net / (m.price * (1.0 + step))), -move
    net = -move / m.price * (1.0 - p.fee)
    step = step_of_coin(net, root, m.liquidity)
    cash = net * m.price / (1.0 + step) - m.gas
    if cash <= 0.0 or too_far(step, p.max_move):
        return s, 0.0
    return SpotState(target / m.price), cash


def spot_tvl_value(s: SpotState, m: SpotTvlMarket, p: SpotTvlParams) -> float:
    """USD that the coins are worth."""
    return s.units * m.price


def spot_tvl_trade(s: SpotState, target: float, m: SpotTvlMarket, p: SpotTvlParams, c: None) -> tuple[SpotState, float]:
    """As `spot_trade`, with the liquidity that the value locked stands for."""
    market = SpotMarket(m.price, virtual_liquidity(m.price, m.tvl, p.concentration), m.gas)
    return spot_trade(s, target, market, SpotParams(p.fee, p.dust, p.max_move, p.coin_is_token0), c)


SPOT = PositionModel("uniswap.spot", "spot", SpotState, SpotMarket, SpotParams, spot_value, spot_trade)
SPOT_TVL = PositionModel(
    "uniswap.spot_tvl", "spot", SpotState, SpotTvlMarket, SpotTvlParams, spot_tvl_value, spot_tvl_trade
)
