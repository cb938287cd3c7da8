"""What exact markets over a frame share: floats that become integers in one way, bound columns, parameters, gas, postings.

A frame's floats become integers in one way: the float's own binary fraction times 10^18 (prices, parameters) or base units
(USD amounts), rounded half up. Everything rounds against the trader.
"""

from __future__ import annotations

import math

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError, nearest

RAY = 10**27
ONE = 10**18
SECONDS_PER_YEAR = 31_536_000
#: Parameters that are a share of what is traded.
SHARES = frozenset({"fee", "half_spread", "impact", "swap_fee"})
#: Parameters that are a difference and may be negative.
DIFFERENCES = frozenset({"decimals_apart"})
VALUE_MAX = 1e30
"""No number of a frame or a parameter is larger: what is computed from it stays a float, too."""
PRICE_MIN = 1e-18
"""The smallest price that eighteen decimals can say."""
TARGET_MAX = 2**255
"""No target is as large; base units."""


def ceil_div(above: int, below: int) -> int:
    """Quotient rounded up, for a positive divisor."""
    return -(-above // below)


def fixed(value: float, scale: int) -> int:
    """`value` times `scale` as an integer, rounded half up from the float's exact binary value.

    Raises ValidationError for NaN and infinity, which are no amount.
    """
    if not math.isfinite(value):
        raise ValidationError(f"{value} is no amount; expected a finite number")
    above, below = value.as_integer_ratio()
    return (2 * above * scale + below) // (2 * below)


def asked(market: str, name: str, control: tuple[float, ...]) -> float | None:
    """The one value of a control, which is called `name` there; None for a control without values.

    Raises ValidationError for NaN and infinity.
    """
    if not control:
        return None
    if not math.isfinite(control[0]):
        raise ValidationError(f"market {market!r}: the control {name} is {control[0]}; expected a finite number")
    return control[0]


def check_target(market: str, target_raw: int) -> None:
    """Raise ValidationError for a target that no position can have: no whole number, negative, or beyond `TARGET_MAX`."""
    if not isinstance(target_raw, int) or isinstance(target_raw, bool):
        raise ValidationError(f"market {market!r}: the target {target_raw!r} is no amount; expected whole base units")
    if target_raw < 0:
        raise ValidationError(f"market {market!r}: the target {target_raw} is negative; a position cannot be")
    if target_raw >= TARGET_MAX:
        raise ValidationError(
            f"market {market!r}: a target of {target_raw.bit_length()} binary digits is no amount; expected less than 2**255 "
            f"base units"
        )


def legs(*entries: tuple[str, str, int]) -> tuple[Leg, ...]:
    """One leg per (account, asset) of `(account, asset, amount)`, without those that cancel."""
    sums: dict[tuple[str, str], int] = {}
    for account, asset, amount in entries:
        sums[account, asset] = sums.get((account, asset), 0) + amount
    return tuple(Leg(account, asset, amount) for (account, asset), amount in sums.items() if amount)


class BoundMarket(ExactMarket):
    """An exact market of one asset against the base, its model's columns and parameters bound.

    Market fields with a meaning of their own here: ``price`` and ``depth`` must be positive, ``gas`` and ``rate`` (any field
    ending in it) not negative; ``gas`` is USD per action. The parameter ``actions`` says how often gas is paid per move.

    Raises ConfigError for an unknown parameter or market field, a missing one, or an impossible value; DataError for a row
    with a price or depth that is not positive, a price below `PRICE_MIN`, a negative gas price or rate, or any number beyond
    `VALUE_MAX`.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        self.spec, self.asset, self.base, self._frame = spec, asset, base, frame
        self._columns = {field: frame[column] for field, column in _bound(spec, model).items()}
        for field in self._columns:
            price = field == "price" or field.endswith("_price")
            if price or field == "depth":
                self._refuse_rows(field, strict=True)
            elif field == "gas" or field.endswith("rate"):
                self._refuse_rows(field, strict=False)
            self._refuse_beyond(field, price=price)
        self._params = _parameters(spec, model)
        self._actions = fixed(self._params.get("actions", 1.0), ONE)
        self._prices: dict[int, int] = {}

    def _refuse_rows(self, field: str, *, strict: bool) -> None:
        values = self._columns[field]
        bad = (values <= 0.0 if strict else values < 0.0).nonzero()[0]
        if bad.size:
            row = int(bad[0])
            raise DataError(
                f"column {self.spec.columns[field]!r} is {values[row]} at row {row} ({self._frame.time(row)}); market "
                f"{self.spec.name!r} needs {'more than' if strict else 'at least'} 0"
            )

    def _refuse_beyond(self, field: str, *, price: bool) -> None:
        """Refuse numbers that are no market's: the integers and floats computed from them would be nobody's money."""
        values, least = self._columns[field], PRICE_MIN if price else -VALUE_MAX
        bad = ((values < least) | (values > VALUE_MAX)).nonzero()[0]
        if bad.size:
            row = int(bad[0])
            raise DataError(
                f"column {self.spec.columns[field]!r} is {values[row]} at row {row} ({self._frame.time(row)}); market "
                f"{self.spec.name!r} needs a number from {least:g} to {VALUE_MAX:g}"
            )

    def _check_rows(self, row_from: int, row_to: int) -> None:
        if not 0 <= row_from <= row_to < self._frame.rows:
            raise ValidationError(
                f"market {self.spec.name!r}: cannot accrue from row {row_from} to row {row_to} of {self._frame.rows}"
            )

    def _check_trade(self, target_raw: int, row: int) -> None:
        check_target(self.spec.name, target_raw)
        if not 0 <= row < self._frame.rows:
            raise ValidationError(f"market {self.spec.name!r}: there is no row {row}; the data have {self._frame.rows}")

    def _price(self, row: int) -> int:
        """USD per token times 10^18; the base asset itself where the model reads no price."""
        price = self._prices.get(row)
        if price is None:
            price = fixed(float(self._columns["price"][row]), ONE) if "price" in self._columns else ONE
            self._prices[row] = price
        return price

    def _worth(self, tokens: int, row: int) -> int:
        """Base units of the base asset that `tokens` base units of the asset are worth, rounded down."""
        return tokens * self._price(row) * self.base.unit // (ONE * self.asset.unit)

    def _tokens_for(self, usd: int, row: int) -> int:
        """Base units of the asset that `usd` base units of the base asset buy at the price, rounded down."""
        return usd * ONE * self.asset.unit // (self._price(row) * self.base.unit)

    def _gas(self, row: int) -> int:
        """Base units of the base asset that one move's actions cost, rounded up."""
        gas = fixed(float(self._columns["gas"][row]), ONE)
        return ceil_div(gas * self._actions * self.base.unit, ONE * ONE)

    def _ratio(self, field: str, row: int) -> tuple[int, int]:
        """A column's value as the exact fraction the float is."""
        above, below = float(self._columns[field][row]).as_integer_ratio()
        return above, below


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
        least = -VALUE_MAX if name in DIFFERENCES else 0.0
        if not least <= value <= VALUE_MAX:
            raise ConfigError(
                f"market {spec.name!r}: params.{name} = {value} must be a finite number of at least {least:g} and at most "
                f"{VALUE_MAX:g}"
            )
        if name in SHARES and value >= 1.0:
            raise ConfigError(
                f"market {spec.name!r}: params.{name} = {value:g} is a share of the trade; expected less than 1"
            )
        params[name] = float(value)
    return params
