"""A small market of liquidity in a range, with the columns, control and views of a Uniswap v3 range, and data for it.

Half of what moves is swapped at the pool's fee, at the market's price; nothing else is charged but gas.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.testing.frames import START
from treasury_arena.testing.reference import LENDING

LIQUIDITY = 2.0e6
TVL = 2.0e7


class RangeState(NamedTuple):
    liquidity: float = 0.0
    lower: float = 1.0
    upper: float = 2.0
    width: float = 0.0
    fees: float = 0.0


class RangeMarket(NamedTuple):
    price: float
    liquidity: float
    volume: float
    gas: float


class TvlMarket(NamedTuple):
    price: float
    tvl: float
    volume: float
    gas: float


class RangeParams(NamedTuple):
    fee: float = 0.0005
    dust: float = 1.0


class RangeControl(NamedTuple):
    width: float


def each(root: float, s: RangeState) -> float:
    """USD that one unit of liquidity is worth."""
    at = min(max(root, s.lower), s.upper)
    return (s.upper - at) / (at * s.upper) * root * root + at - s.lower


def worth(s: RangeState, price: float) -> float:
    return s.liquidity * each(math.sqrt(price), s) + s.fees


def inside(s: RangeState, price: float) -> float:
    root = math.sqrt(price)
    return 1.0 if s.liquidity > 0.0 and root >= s.lower and root < s.upper else 0.0


def offset(s: RangeState, price: float) -> float:
    middle = math.log(s.lower * s.upper)
    return (math.log(price) - middle) / math.log(s.upper / s.lower) if s.liquidity > 0.0 else 0.0


def earned(s: RangeState, price: float, liquidity: float, volume: float, p: RangeParams) -> RangeState:
    share = s.liquidity / (s.liquidity + liquidity)
    return RangeState(s.liquidity, s.lower, s.upper, s.width, s.fees + volume * p.fee * share * inside(s, price))


def trade(
    s: RangeState, target: float, price: float, gas: float, p: RangeParams, c: RangeControl
) -> tuple[RangeState, float]:
    root = math.sqrt(price)
    before = worth(s, price)
    move = target - before
    holds = s.liquidity > 0.0
    anew = c.width < 0.0 or (c.width > 0.0 and (not holds or c.width != s.width or inside(s, price) == 0.0))
    if (abs(move) < p.dust and not (holds and anew)) or (not holds and c.width == 0.0):
        return s, 0.0
    if move < 0.0 and target < p.dust:
        cash = before * (1.0 - 0.5 * p.fee) - gas
        return (RangeState(0.0, 1.0, 2.0, 0.0, 0.0), cash) if cash > 0.0 else (s, 0.0)
    size = before if anew and holds else 0.0
    cost = gas + 0.5 * p.fee * (size + abs(move))
    if cost >= max(target, abs(move)):
        return s, 0.0
    lower, upper, width = s.lower, s.upper, s.width
    if anew:
        width = abs(c.width)
        lower, upper = root / math.sqrt(1.0 + width), root * math.sqrt(1.0 + width)
    shape = RangeState(1.0, lower, upper, width, 0.0)
    put = max(target, before) - cost if move >= 0.0 or anew else target
    left = -move if move < 0.0 else 0.0
    if move < 0.0 and anew:
        put = target - cost
    if move < 0.0 and not anew:
        left = left - cost
    if put <= 0.0 or left < 0.0:
        return s, 0.0
    return RangeState(put / each(root, shape), lower, upper, width, 0.0), left - max(move, 0.0)


def range_value(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    return worth(s, m.price)


def range_trade(
    s: RangeState, target: float, m: RangeMarket, p: RangeParams, c: RangeControl
) -> tuple[RangeState, float]:
    return trade(s, target, m.price, m.gas, p, c)


def range_accrue(s: RangeState, m: RangeMarket, p: RangeParams) -> RangeState:
    return earned(s, m.price, m.liquidity, m.volume, p)


def range_inside(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    return inside(s, m.price)


def range_offset(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    return offset(s, m.price)


def tvl_value(s: RangeState, m: TvlMarket, p: RangeParams) -> float:
    return worth(s, m.price)


def tvl_trade(s: RangeState, target: float, m: TvlMarket, p: RangeParams, c: RangeControl) -> tuple[RangeState, float]:
    return trade(s, target, m.price, m.gas, p, c)


def tvl_accrue(s: RangeState, m: TvlMarket, p: RangeParams) -> RangeState:
    return earned(s, m.price, 5.0 * m.tvl / math.sqrt(m.price), m.volume, p)


def tvl_inside(s: RangeState, m: TvlMarket, p: RangeParams) -> float:
    return inside(s, m.price)


def tvl_offset(s: RangeState, m: TvlMarket, p: RangeParams) -> float:
    return offset(s, m.price)


RANGE = PositionModel(
    "small.range",
    "range",
    RangeState,
    RangeMarket,
    RangeParams,
    range_value,
    range_trade,
    range_accrue,
    RangeControl,
    {"inside": range_inside, "offset": range_offset},
)
RANGE_TVL = PositionModel(
    "small.range_tvl",
    "range",
    RangeState,
    TvlMarket,
    RangeParams,
    tvl_value,
    tvl_trade,
    tvl_accrue,
    RangeControl,
    {"inside": tvl_inside, "offset": tvl_offset},
)


def make_frame(rows: int, seed: int, gas: float = 0.2) -> MarketFrame:
    """Hourly: a coin on a random walk with quiet and wild weeks, two pools, lending rates that wander."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    wild = 0.004 + 0.006 * (np.sin(hours / 150.0) > 0.6)
    price = 2_000.0 * np.exp(np.cumsum(wild * rng.standard_normal(rows)))
    wave = np.exp(0.3 * np.sin(hours / 90.0) + 0.2 * rng.standard_normal(rows))
    columns: dict[str, Any] = {"WETH.price": price, "gas.usd": np.full(rows, gas)}
    for pool, volume in (("low", 2.0e6), ("high", 3.3e5)):
        columns[f"{pool}.liquidity"] = LIQUIDITY / wave
        columns[f"{pool}.tvl"] = TVL / wave
        columns[f"{pool}.volume"] = volume * wave
    for asset in ("USDC", "USDT", "DAI", "VAULT"):
        columns[f"{asset}.price"] = np.ones(rows)
        columns[f"{asset}.lending_rate"] = 0.06 * (1.0 + np.sin(np.cumsum(rng.normal(0.0, 0.05, rows))))
    return MarketFrame(START, 3600, columns)


def range_spec(name: str, pool: str, model: PositionModel, fee: float) -> MarketSpec:
    """A pool's market of `model`, over the columns of `make_frame`."""
    columns = {"price": "WETH.price", "gas": "gas.usd", "volume": f"{pool}.volume"}
    depth = "tvl" if "tvl" in model.market._fields else "liquidity"
    return MarketSpec(name, model.name, "range", "WETH", {**columns, depth: f"{pool}.{depth}"}, {"fee": fee}, coin=True)


def lending_spec(name: str, asset: str) -> MarketSpec:
    columns = {"rate": f"{asset}.lending_rate", "price": f"{asset}.price", "gas": "gas.usd"}
    return MarketSpec(name, LENDING.name, "lending", "USDC", columns)
