"""Position models of the simulated venues: scalar float functions that the search kernel compiles as they stand.

Both venues quote a mid price in the base currency (USD). Costs come out of what moves: a purchase takes exactly
``target - value`` cash and ends a little lower; a sale ends at the target and returns less. A move below ``dust`` USD, or
one that its own costs would eat up, is not made; nor is a spot trade beyond the venue's depth.
"""

from __future__ import annotations

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class SpotState(NamedTuple):
    """An asset held outright: tokens."""

    units: float = 0.0


class SpotMarket(NamedTuple):
    """``price`` USD per token, ``gas`` USD per action."""

    price: float
    gas: float


class SpotParams(NamedTuple):
    """Costs of a spot trade.

    ``fee`` and ``half_spread`` are fractions of the notional; ``impact`` is the fraction paid on a trade as large as the
    whole depth (it grows linearly with the share of the depth taken); ``depth_usd`` what one side of the book holds within
    one percent of the mid; ``dust`` USD.
    """

    fee: float = 0.0005
    half_spread: float = 0.0001
    impact: float = 0.005
    depth_usd: float = 10000000.0
    dust: float = 1.0


class DepthMarket(NamedTuple):
    """`SpotMarket` with the depth as a column: ``depth`` USD on one side of the book within one percent of the mid."""

    price: float
    depth: float
    gas: float


class DepthParams(NamedTuple):
    """`SpotParams` without the constant depth."""

    fee: float = 0.0005
    half_spread: float = 0.0001
    impact: float = 0.005
    dust: float = 1.0


class LendingState(NamedTuple):
    """A lent asset: tokens with the interest accrued so far."""

    units: float = 0.0


class LendingMarket(NamedTuple):
    """``rate`` APR as a fraction a year, ``price`` USD per token, ``gas`` USD per action."""

    rate: float
    price: float
    gas: float


class LendingParams(NamedTuple):
    """Costs of lending an asset that is not the base asset.

    ``swap_fee`` is the fraction lost on changing the base asset into the lent one or back, ``actions`` how many times gas is
    paid per move, ``dust`` USD, ``step_seconds`` the length of one row.
    """

    swap_fee: float = 0.0005
    actions: float = 1.0
    dust: float = 1.0
    step_seconds: float = 3600.0


class ParMarket(NamedTuple):
    """``rate`` APR as a fraction a year, ``gas`` USD per action; the asset counts one for one as the base currency."""

    rate: float
    gas: float


class ParParams(NamedTuple):
    """`LendingParams` for the base asset itself: no swap, so no fee."""

    swap_fee: float = 0.0
    actions: float = 1.0
    dust: float = 1.0
    step_seconds: float = 3600.0


def spot_cost(size: float, fee: float, half_spread: float, impact: float, depth: float, gas: float) -> float:
    """USD lost on a trade of `size` USD: fee, half the spread, the impact of taking `size / depth` of the book, and gas."""
    return size * (fee + half_spread + impact * (size / depth)) + gas


def spot_value(s: SpotState, m: SpotMarket, p: SpotParams) -> float:
    """USD that the coins are worth."""
    return s.units * m.price


def spot_trade(s: SpotState, target: float, m: SpotMarket, p: SpotParams, c: None) -> tuple[SpotState, float]:
    """Buy or sell up to ``target`` USD, at `spot_cost`; nothing below `dust` or beyond the depth. Returns state and cash."""
    move = target - s.units * m.price
    size = abs(move)
    if not m.price > 0.0 or not p.depth_usd > 0.0 or size < p.dust or size > p.depth_usd:
        return s, 0.0
    cost = spot_cost(size, p.fee, p.half_spread, p.impact, p.depth_usd, m.gas)
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return SpotState((target - cost) / m.price), -move
    return SpotState(target / m.price), size - cost


def depth_value(s: SpotState, m: DepthMarket, p: DepthParams) -> float:
    """USD that the coins are worth."""
    return s.units * m.price


def depth_trade(s: SpotState, target: float, m: DepthMarket, p: DepthParams, c: None) -> tuple[SpotState, float]:
    """As `spot_trade`, with the depth that the row has."""
    move = target - s.units * m.price
    size = abs(move)
    if not m.price > 0.0 or not m.depth > 0.0 or size < p.dust or size > m.depth:
        return s, 0.0
    cost = spot_cost(size, p.fee, p.half_spread, p.impact, m.depth, m.gas)
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return SpotState((target - cost) / m.price), -move
    return SpotState(target / m.price), size - cost


def lending_value(s: LendingState, m: LendingMarket, p: LendingParams) -> float:
    """USD that the lent tokens are worth."""
    return s.units * m.price


def lending_trade(
    s: LendingState, target: float, m: LendingMarket, p: LendingParams, c: None
) -> tuple[LendingState, float]:
    """Lend or take back up to ``target`` USD, at the swap's fee and gas; nothing below `dust`. Returns state and cash."""
    move = target - s.units * m.price
    size = abs(move)
    if not m.price > 0.0 or size < p.dust:
        return s, 0.0
    cost = size * p.swap_fee + m.gas * p.actions
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return LendingState((target - cost) / m.price), -move
    return LendingState(target / m.price), size - cost


def lending_accrue(s: LendingState, m: LendingMarket, p: LendingParams) -> LendingState:
    """Interest of the step that ends at this row, at the rate observed at its end (linear APR)."""
    return LendingState(s.units * (1.0 + m.rate * (p.step_seconds / 31536000.0)))


def par_value(s: LendingState, m: ParMarket, p: ParParams) -> float:
    """Units of the base currency that are lent."""
    return s.units


def par_trade(s: LendingState, target: float, m: ParMarket, p: ParParams, c: None) -> tuple[LendingState, float]:
    """As `lending_trade` for the base currency itself, one for one."""
    move = target - s.units
    size = abs(move)
    if size < p.dust:
        return s, 0.0
    cost = size * p.swap_fee + m.gas * p.actions
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return LendingState(target - cost), -move
    return LendingState(target), size - cost


def par_accrue(s: LendingState, m: ParMarket, p: ParParams) -> LendingState:
    """Interest of the step that ends at this row, at the rate observed at its end (linear APR)."""
    return LendingState(s.units * (1.0 + m.rate * (p.step_seconds / 31536000.0)))


SPOT = PositionModel("simulation.spot", "spot", SpotState, SpotMarket, SpotParams, spot_value, spot_trade)
SPOT_DEPTH = PositionModel(
    "simulation.spot_depth", "spot", SpotState, DepthMarket, DepthParams, depth_value, depth_trade
)
LENDING = PositionModel(
    "simulation.lending",
    "lending",
    LendingState,
    LendingMarket,
    LendingParams,
    lending_value,
    lending_trade,
    lending_accrue,
)
LENDING_PAR = PositionModel(
    "simulation.lending_par", "lending", LendingState, ParMarket, ParParams, par_value, par_trade, par_accrue
)
