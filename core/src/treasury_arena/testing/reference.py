"""The reference protocol: the smallest honest spot and lending venues, as models and as exact integer markets.

A proportional fee and gas, nothing else. Both arithmetics follow one rule: costs come out of what moves, every rounding
goes against the holder. Read it as the shortest example of a protocol plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from treasury_arena.contracts.bound import check_target
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, ValidationError, nearest

RAY = 10**27
SECONDS_PER_YEAR = 31_536_000


class State(NamedTuple):
    """Tokens held."""

    units: float = 0.0


class SpotMarket(NamedTuple):
    """``price`` USD per token, ``gas`` USD per action."""

    price: float
    gas: float


class SpotParams(NamedTuple):
    """``fee`` fraction of the size, ``dust`` USD."""

    fee: float = 0.001
    dust: float = 1.0


class LendingMarket(NamedTuple):
    """``rate`` APR as a fraction a year, ``price`` USD per token, ``gas`` USD per action."""

    rate: float
    price: float
    gas: float


class LendingParams(NamedTuple):
    """``fee`` fraction of the size, ``dust`` USD, ``step_seconds`` the length of one row."""

    fee: float = 0.0
    dust: float = 1.0
    step_seconds: float = 3600.0


def spot_value(s: State, m: SpotMarket, p: SpotParams) -> float:
    """USD that the coins are worth."""
    return s.units * m.price


def spot_trade(s: State, target: float, m: SpotMarket, p: SpotParams, c: None) -> tuple[State, float]:
    """Buy or sell up to ``target`` USD at a fee; returns the state and the cash that came (negative: went)."""
    move = target - s.units * m.price
    size = abs(move)
    cost = size * p.fee + m.gas
    if size < p.dust or cost >= size:
        return s, 0.0
    if move > 0.0:
        return State((target - cost) / m.price), -move
    return State(target / m.price), size - cost


def lending_value(s: State, m: LendingMarket, p: LendingParams) -> float:
    """USD that is lent."""
    return s.units * m.price


def lending_trade(s: State, target: float, m: LendingMarket, p: LendingParams, c: None) -> tuple[State, float]:
    """Lend or take back up to ``target`` USD; returns the state and the cash that came (negative: went)."""
    move = target - s.units * m.price
    size = abs(move)
    cost = size * p.fee + m.gas
    if size < p.dust or cost >= size:
        return s, 0.0
    if move > 0.0:
        return State((target - cost) / m.price), -move
    return State(target / m.price), size - cost


def lending_accrue(s: State, m: LendingMarket, p: LendingParams) -> State:
    """Simple interest of one step at the rate known at its end, compounded step by step."""
    return State(s.units * (1.0 + m.rate * (p.step_seconds / 31536000.0)))


SPOT = PositionModel("reference.spot", "spot", State, SpotMarket, SpotParams, spot_value, spot_trade)
LENDING = PositionModel(
    "reference.lending", "lending", State, LendingMarket, LendingParams, lending_value, lending_trade, lending_accrue
)


class ReferenceMarket(ExactMarket):
    """The exact market of both models; the state is ``(base units of the asset times one ray,)``.

    Floats of the frame and of the parameters enter as the exact binary fractions they are.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        self.spec, self.asset, self.base, self._frame = spec, asset, base, frame
        self._columns = {field: frame[column] for field, column in spec.columns.items()}
        params: dict[str, float] = {**model.params._field_defaults, **spec.params}
        for where, given, known in (
            ("columns", spec.columns, model.market._fields),
            ("params", params, model.params._fields),
        ):
            for name in given:
                if name not in known:
                    raise ConfigError(f"market {spec.name!r}: {where}.{name} is unknown: {nearest(name, known)}")
            for name in known:
                if name not in given:
                    raise ConfigError(f"market {spec.name!r}: {where}.{name} is missing")
        self._fee = params["fee"].as_integer_ratio()
        self._dust = _ceil(*params["dust"].as_integer_ratio(), base.unit)

    def _ratio(self, field: str, row: int) -> tuple[int, int]:
        return float(self._columns[field][row]).as_integer_ratio()

    def open(self) -> ExactState:
        return (0,)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: state[0] // RAY}

    def value(self, state: ExactState, row: int) -> int:
        above, below = self._ratio("price", row)
        return state[0] // RAY * above * self.base.unit // (below * self.asset.unit)

    def _tokens(self, value_raw: int, row: int) -> int:
        above, below = self._ratio("price", row)
        return value_raw * below * self.asset.unit // (above * self.base.unit)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        if not 0 <= row_from <= row_to < self._frame.rows:
            raise ValidationError(
                f"market {self.spec.name!r}: cannot accrue from row {row_from} to row {row_to} of {self._frame.rows}"
            )
        if "rate" not in self._columns or not state[0]:
            return state, ()
        balance = state[0]
        for row in range(row_from + 1, row_to + 1):
            above, below = self._ratio("rate", row)
            balance += balance * above * self._frame.step_seconds // (below * SECONDS_PER_YEAR)
        interest = balance // RAY - state[0] // RAY
        symbol = self.asset.symbol
        return (balance,), legs(("position", symbol, interest), ("world", symbol, -interest))

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        check_target(self.spec.name, target_raw)
        held = state[0] // RAY
        move = target_raw - self.value(state, row)
        size = abs(move)
        fee = _ceil(*self._fee, size)
        cost = fee + _ceil(*self._ratio("gas", row), self.base.unit)
        if size < max(1, self._dust) or cost >= size:
            return None
        tokens = self._tokens(size - cost, row) if move > 0 else self._tokens(target_raw, row) - held
        cash = -size if move > 0 else size - cost
        base, symbol = self.base.symbol, self.asset.symbol
        postings = legs(
            ("cash", base, cash),
            ("fee", base, fee),
            ("gas", base, cost - fee),
            ("world", base, -cash - cost),
            ("position", symbol, tokens),
            ("world", symbol, -tokens),
        )
        after = state[0] + tokens * RAY if held + tokens else 0
        return Fill((after,), postings, size, cost, 10_000.0 * fee / size)


class ReferenceProtocol(Protocol):
    """Offers ``reference.spot`` and ``reference.lending``."""

    name = "reference"
    version = "0.1.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (SPOT, LENDING)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        models = {model.name: model for model in self.models}
        if spec.model not in models:
            raise ConfigError(
                f"market {spec.name!r}: the reference protocol has no model {spec.model!r}; {nearest(spec.model, models)}"
            )
        return ReferenceMarket(spec, models[spec.model], frame, assets[spec.asset], base)


def legs(*entries: tuple[str, str, int]) -> tuple[Leg, ...]:
    """One leg per account and asset, without those that cancel."""
    sums: dict[tuple[str, str], int] = {}
    for account, asset, amount in entries:
        sums[account, asset] = sums.get((account, asset), 0) + amount
    return tuple(Leg(account, asset, amount) for (account, asset), amount in sums.items() if amount)


def _ceil(above: int, below: int, times: int) -> int:
    """``times * above / below`` rounded up."""
    return -(-times * above // below)
