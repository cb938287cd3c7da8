"""An asset held outright."""

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class State(NamedTuple):
    units: float = 0.0


class Market(NamedTuple):
    price: float
    gas: float


class Params(NamedTuple):
    fee: float = 0.0005
    impact: float = 5e-10
    dust: float = 1.0


def value(s: State, m: Market, p: Params) -> float:
    return s.units * m.price


def trade(s: State, target: float, m: Market, p: Params, c: None) -> tuple[State, float]:
    move = target - s.units * m.price
    size = abs(move)
    if size < p.dust:
        return s, 0.0
    cost = size * (p.fee + p.impact * size) + m.gas
    if move > 0.0:
        return State((target - cost) / m.price), -move
    return State(target / m.price), -move - cost


MODEL = PositionModel("test.spot", "spot", State, Market, Params, value, trade)
