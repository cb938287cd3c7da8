"""What the exact markets share: bound columns, parameters, a frame's floats as integers, and postings.

A float of the frame or of the parameters is taken at its exact binary value and rounded half up at the scale asked for.
"""

from __future__ import annotations

import attrs

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError, nearest
from treasury_arena_aave.exact.versions import Version, version_of

ONE = 10**18


def ceil_div(above: int, below: int) -> int:
    """Quotient rounded up, for a positive divisor."""
    return -(-above // below)


def fixed(value: float, scale: int) -> int:
    """`value` times `scale` as an integer, rounded half up from the float's exact binary value."""
    above, below = value.as_integer_ratio()
    return (2 * above * scale + below) // (2 * below)


def legs_of(*entries: tuple[str, str, int]) -> tuple[Leg, ...]:
    """One leg per account and asset, without those that cancel."""
    sums: dict[tuple[str, str], int] = {}
    for account, asset, amount in entries:
        sums[account, asset] = sums.get((account, asset), 0) + amount
    return tuple(Leg(account, asset, amount) for (account, asset), amount in sums.items() if amount)


@attrs.frozen
class Holding:
    """Scaled units and their index in ray; the two integers a side of a position is made of."""

    scaled: int
    index: int


class BoundMarket(ExactMarket):
    """A market over a frame.

    Raises ConfigError for an unknown parameter or market field, a missing one, or an impossible value; DataError for a row
    with a price that is not positive, or a negative gas price, rate or amount.
    """

    version: Version

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        self.spec, self.asset, self.base, self._frame = spec, asset, base, frame
        self._columns = {field: frame[column] for field, column in _bound(spec, model).items()}
        self._params = _parameters(spec, model)
        for field in self._columns:
            self._refuse_rows(field, strict=field == "price")
        self.version = version_of(f"{self._params['version']:.1f}")
        self._dust = fixed(self._params["dust"], base.unit)
        self._actions = fixed(self._params["actions"], ONE)
        step = self._params["step_seconds"]
        if step != frame.step_seconds:
            raise ConfigError(
                f"market {spec.name!r}: step_seconds = {step:g}, but the market data have a row every {frame.step_seconds} s"
            )
        self._step = frame.step_seconds

    def _refuse_rows(self, field: str, *, strict: bool) -> None:
        values = self._columns[field]
        bad = (values <= 0.0 if strict else values < 0.0).nonzero()[0]
        if bad.size:
            row = int(bad[0])
            raise DataError(
                f"column {self.spec.columns[field]!r} is {values[row]} at row {row} ({self._frame.time(row)}); market "
                f"{self.spec.name!r} needs {'more than' if strict else 'at least'} 0"
            )

    def _at(self, field: str, row: int, scale: int) -> int:
        return fixed(float(self._columns[field][row]), scale)

    def _worth(self, tokens: int, row: int) -> int:
        return tokens * self._at("price", row, ONE) * self.base.unit // (ONE * self.asset.unit)

    def _tokens_for(self, usd: int, row: int) -> int:
        return usd * ONE * self.asset.unit // (self._at("price", row, ONE) * self.base.unit)

    def _gas(self, row: int) -> int:
        return ceil_div(self._at("gas", row, ONE) * self._actions * self.base.unit, ONE * ONE)

    def _check_rows(self, row_from: int, row_to: int) -> None:
        if not 0 <= row_from <= row_to < self._frame.rows:
            raise ValidationError(
                f"market {self.spec.name!r}: cannot accrue from row {row_from} to row {row_to} of {self._frame.rows}"
            )

    def _check_target(self, target_raw: int) -> None:
        if target_raw < 0:
            raise ValidationError(
                f"market {self.spec.name!r}: the target {target_raw} is negative; a position's value cannot be aimed there"
            )

    # The four moves of a position. Half-up versions may give a unit away: then one unit less (or more) is asked for, so
    # that a trade never makes the holder richer than it says.

    def _balance(self, held: Holding) -> int:
        return self.version.balance(held.scaled, held.index)

    def _owed(self, held: Holding) -> int:
        return self.version.debt(held.scaled, held.index)

    def _lend(self, held: Holding, amount: int) -> Holding:
        before, after = self._balance(held), held
        for less in range(min(amount, 3) + 1):
            after = attrs.evolve(held, scaled=held.scaled + self.version.supply_scaled(amount - less, held.index))
            if self._balance(after) - before <= amount:
                break
        return after

    def _take(self, held: Holding, amount: int) -> Holding:
        before, after = self._balance(held), held
        if amount >= before:
            return attrs.evolve(held, scaled=0)
        for more in range(4):
            burnt = self.version.withdraw_scaled(amount + more, held.index)
            after = attrs.evolve(held, scaled=max(0, held.scaled - burnt))
            if before - self._balance(after) >= amount:
                break
        return after

    def _owe(self, held: Holding, amount: int) -> Holding:
        before, after = self._owed(held), held
        for more in range(4):
            after = attrs.evolve(held, scaled=held.scaled + self.version.borrow_scaled(amount + more, held.index))
            if self._owed(after) - before >= amount:
                break
        return after

    def _pay(self, held: Holding, amount: int) -> Holding:
        before, after = self._owed(held), held
        if amount >= before:
            return attrs.evolve(held, scaled=0)
        for less in range(min(amount, 3) + 1):
            burnt = self.version.repay_scaled(amount - less, held.index)
            after = attrs.evolve(held, scaled=held.scaled - burnt)
            if before - self._owed(after) <= amount:
                break
        return after


def _bound(spec: MarketSpec, model: PositionModel) -> dict[str, str]:
    fields = model.market._fields
    for field in spec.columns:
        if field not in fields:
            raise ConfigError(
                f"market {spec.name!r}: model {model.name!r} reads no market field {field!r}; {nearest(field, fields)}"
            )
    for field in fields:
        if field not in spec.columns:
            raise ConfigError(
                f"market {spec.name!r}: model {model.name!r} needs columns.{field}, the frame column it reads"
            )
    return dict(spec.columns)


def _parameters(spec: MarketSpec, model: PositionModel) -> dict[str, float]:
    params: dict[str, float] = dict(model.params._field_defaults)
    for name, value in spec.params.items():
        if name not in params:
            raise ConfigError(
                f"market {spec.name!r}: model {model.name!r} has no parameter {name!r}; {nearest(name, params)}"
            )
        if not 0.0 <= value < float("inf"):
            raise ConfigError(f"market {spec.name!r}: params.{name} = {value} must be a finite number of at least 0")
        params[name] = float(value)
    return params
