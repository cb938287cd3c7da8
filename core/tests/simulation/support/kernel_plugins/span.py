"""A concentrated-liquidity position between two prices, in floats: liquidity, square-root bounds, uncollected fees."""

import math
from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class State(NamedTuple):
    liquidity: float = 0.0
    lower: float = 1.0
    upper: float = 2.0
    fees: float = 0.0


class Market(NamedTuple):
    price: float
    fee_growth: float
    gas: float


class Params(NamedTuple):
    swap_cost: float = 0.0003
    dust: float = 1.0


class Control(NamedTuple):
    width: float


def inside(s: State, m: Market, p: Params) -> float:
    root = math.sqrt(m.price)
    return 1.0 if (root > s.lower) & (root < s.upper) else 0.0


def accrue(s: State, m: Market, p: Params) -> State:
    return State(s.liquidity, s.lower, s.upper, s.fees + s.liquidity * m.fee_growth * inside(s, m, p))


def value(s: State, m: Market, p: Params) -> float:
    now = math.sqrt(m.price)
    root = s.lower if now < s.lower else (s.upper if now > s.upper else now)
    base = s.liquidity * (s.upper - root) / (root * s.upper)
    return base * m.price + s.liquidity * (root - s.lower) + s.fees


def trade(s: State, target: float, m: Market, p: Params, c: Control) -> tuple[State, float]:
    """Always a full exit and a new entry around the price; half of what moves is swapped."""
    worth = value(s, m, p)
    move = target - worth
    if abs(move) < p.dust and inside(s, m, p) > 0.0:
        return s, 0.0
    cost = 0.5 * (worth + target) * p.swap_cost + m.gas
    net = target - cost if move >= 0.0 else target
    net = net if net > 0.0 else 0.0
    cash = -move if move >= 0.0 else -move - cost
    if net == 0.0:
        return State(0.0, 1.0, 2.0, 0.0), cash
    root = math.sqrt(m.price)
    widen = math.sqrt(1.0 + c.width)
    lower, upper = root / widen, root * widen
    per_unit = (1.0 / root - 1.0 / upper) * m.price + (root - lower)
    return State(net / per_unit, lower, upper, 0.0), cash


MODEL = PositionModel("test.span", "span", State, Market, Params, value, trade, accrue, Control, {"inside": inside})
