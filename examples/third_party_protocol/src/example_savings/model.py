"""The account in floats: pure scalar functions that the search compiles as they stand. Amounts are USD."""

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class State(NamedTuple):
    """``units`` of an index, ``growth``, that was 1 when the position was opened."""

    units: float = 0.0
    growth: float = 1.0


class Columns(NamedTuple):
    """What a row of the market says: ``rate`` linear APR as a fraction, ``gas`` USD per action."""

    rate: float
    gas: float


class Params(NamedTuple):
    """``actions`` times gas a move, ``dust`` the smallest move in USD, ``step_seconds`` the length of a row."""

    actions: float = 1.0
    dust: float = 1.0
    step_seconds: float = 3600.0


def value(s: State, m: Columns, p: Params) -> float:
    return s.units * s.growth


def trade(s: State, target: float, m: Columns, p: Params, c: None) -> tuple[State, float]:
    """Costs come out of what moves: a deposit ends a little below the target, a withdrawal pays a little less."""
    move = target - s.units * s.growth
    cost = m.gas * p.actions
    if abs(move) < p.dust or abs(move) <= cost:
        return s, 0.0
    if move > 0.0:
        return State((target - cost) / s.growth, s.growth), -move
    return State(target / s.growth, s.growth), -move - cost


def accrue(s: State, m: Columns, p: Params) -> State:
    """The step that ends at this row, at the rate this row shows."""
    return State(s.units, s.growth * (1.0 + m.rate * (p.step_seconds / 31536000.0)))


ACCOUNT = PositionModel("savings.account", "lending", State, Columns, Params, value, trade, accrue)
