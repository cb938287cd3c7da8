"""The exact venues: integers only, every rounding against the trader.

A frame's floats become integers in one way: the float's own binary fraction times 10^18 (prices, parameters) or base units
(USD amounts), rounded half up; interest factors are floored at 10^-27 (one ray). A lending position is kept as its balance
in base units times one ray and grows row by row, so that its state means the same in every frame that holds the rows, and
the order in which intervals are split changes nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError, nearest

RAY = 10**27
ONE = 10**18
SECONDS_PER_YEAR = 31_536_000
#: Parameters that are a share of what is traded.
SHARES = frozenset({"fee", "half_spread", "impact", "swap_fee"})


def ceil_div(above: int, below: int) -> int:
    """Quotient rounded up, for a positive divisor."""
    return -(-above // below)


def fixed(value: float, scale: int) -> int:
    """`value` times `scale` as an integer, rounded half up from the float's exact binary value."""
    above, below = value.as_integer_ratio()
    return (2 * above * scale + below) // (2 * below)


class SimulatedMarket(ExactMarket):
    """What both venues share: bound columns, parameters, quoting, and a fill's postings.

    Raises ConfigError for an unknown parameter or market field, a missing one, or an impossible value; DataError for a row
    with a price or depth that is not positive, or a negative gas price or rate.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        self.spec, self.asset, self.base, self._frame = spec, asset, base, frame
        self._columns = {field: frame[column] for field, column in _bound(spec, model).items()}
        for field, low in (("price", 0.0), ("depth", 0.0)):
            self._refuse_rows(field, low, strict=True)
        for field in ("gas", "rate"):
            self._refuse_rows(field, 0.0, strict=False)
        self._params = _parameters(spec, model)
        self._dust = fixed(self._params["dust"], base.unit)
        self._fee = fixed(self._params["fee"] if "fee" in self._params else self._params["swap_fee"], ONE)
        self._actions = fixed(self._params.get("actions", 1.0), ONE)

    def _refuse_rows(self, field: str, low: float, *, strict: bool) -> None:
        if field not in self._columns:
            return
        values = self._columns[field]
        bad = (values <= low if strict else values < low).nonzero()[0]
        if bad.size:
            row = int(bad[0])
            raise DataError(
                f"column {self.spec.columns[field]!r} is {values[row]} at row {row} ({self._frame.time(row)}); market "
                f"{self.spec.name!r} needs {'more than' if strict else 'at least'} {low:g}"
            )

    @abstractmethod
    def _tokens(self, state: ExactState) -> int:
        """Base units of the asset that a position holds."""

    @abstractmethod
    def _moved(self, state: ExactState, tokens: int) -> ExactState:
        """The state after `tokens` base units came in (negative: went out)."""

    def _check_rows(self, row_from: int, row_to: int) -> None:
        if not 0 <= row_from <= row_to < self._frame.rows:
            raise ValidationError(
                f"market {self.spec.name!r}: cannot accrue from row {row_from} to row {row_to} of {self._frame.rows}"
            )

    def _price(self, row: int) -> int:
        return fixed(float(self._columns["price"][row]), ONE) if "price" in self._columns else ONE

    def _worth(self, tokens: int, row: int) -> int:
        return tokens * self._price(row) * self.base.unit // (ONE * self.asset.unit)

    def _tokens_for(self, usd: int, row: int) -> int:
        return usd * ONE * self.asset.unit // (self._price(row) * self.base.unit)

    def _gas(self, row: int) -> int:
        gas = fixed(float(self._columns["gas"][row]), ONE)
        return ceil_div(gas * self._actions * self.base.unit, ONE * ONE)

    def _slippage(self, size: int, row: int) -> int:
        return 0

    def value(self, state: ExactState, row: int) -> int:
        return self._worth(self._tokens(state), row)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: self._tokens(state)}

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        if target_raw < 0:
            raise ValidationError(
                f"market {self.spec.name!r}: the target {target_raw} is negative; a position cannot be"
            )
        held = self._tokens(state)
        move = target_raw - self._worth(held, row)
        size = abs(move)
        if size == 0 or size < self._dust:
            return None
        slippage = self._slippage(size, row)
        fee, gas = ceil_div(size * self._fee, ONE), self._gas(row)
        cost = fee + slippage + gas
        if cost >= size:
            return None
        if move > 0:
            tokens = self._tokens_for(size - cost, row)
            cash, world = -size, size - fee - gas
        else:
            tokens = self._tokens_for(target_raw, row) - held
            cash, world = size - cost, slippage - size
        legs = _legs(
            ("cash", self.base.symbol, cash),
            ("fee", self.base.symbol, fee),
            ("gas", self.base.symbol, gas),
            ("world", self.base.symbol, world),
            ("position", self.asset.symbol, tokens),
            ("world", self.asset.symbol, -tokens),
        )
        return Fill(self._moved(state, tokens), legs, size, cost, 10_000.0 * (fee + slippage) / size)


class SpotExact(SimulatedMarket):
    """An asset held outright; the state is ``(base units,)``."""

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        if asset == base:
            raise ConfigError(
                f"market {spec.name!r} trades {base.symbol} against itself; a spot market needs another asset"
            )
        super().__init__(spec, model, frame, asset, base)
        self._half_spread = fixed(self._params["half_spread"], ONE)
        self._impact = fixed(self._params["impact"], ONE)
        if "depth_usd" in self._params and not self._params["depth_usd"] > 0:
            raise ConfigError(f"market {spec.name!r}: depth_usd = {self._params['depth_usd']} must be positive")

    def _tokens(self, state: ExactState) -> int:
        return state[0]

    def _moved(self, state: ExactState, tokens: int) -> ExactState:
        return (state[0] + tokens,)

    def _slippage(self, size: int, row: int) -> int:
        usd = float(self._columns["depth"][row]) if "depth" in self._columns else self._params["depth_usd"]
        depth = fixed(usd, self.base.unit)
        if size > depth:
            raise ValidationError(
                f"market {self.spec.name!r}: a trade of {self.base.to_text(size)} {self.base.symbol} exceeds the market's "
                f"depth of {self.base.to_text(depth)} at {self._frame.time(row)}; split it"
            )
        return ceil_div(size * (self._half_spread * depth + self._impact * size), ONE * depth)

    def open(self) -> ExactState:
        return (0,)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        return state, ()


class LendingExact(SimulatedMarket):
    """An asset lent at a floating rate; the state is ``(balance in base units times one ray,)``.

    A position must be accrued up to a row before it is valued or traded there, as the model's is.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        if "price" not in self._columns and asset != base and not asset.stable:
            raise ConfigError(
                f"market {spec.name!r}: {spec.model!r} counts {asset.symbol} one for one as {base.symbol}, which only holds "
                f"for a stablecoin; take the model 'simulation.lending'"
            )
        step = self._params["step_seconds"]
        if step != frame.step_seconds:
            raise ConfigError(
                f"market {spec.name!r}: step_seconds = {step:g}, but the market data have a row every {frame.step_seconds} s"
            )
        if asset == base and self._fee:
            raise ConfigError(
                f"market {spec.name!r} lends {base.symbol}, the base asset, which needs no swap: set swap_fee = 0 or take "
                f"the model 'simulation.lending_par'"
            )
        if asset == base and "price" in self._columns and (self._columns["price"] != 1.0).any():
            raise ConfigError(
                f"market {spec.name!r}: the price of {base.symbol}, the base asset, must be 1.0 in every row"
            )

    def _tokens(self, state: ExactState) -> int:
        return state[0] // RAY

    def _moved(self, state: ExactState, tokens: int) -> ExactState:
        # An emptied position drops the fraction of a base unit that is too small to be paid out.
        return (state[0] + tokens * RAY if state[0] // RAY + tokens else 0,)

    def open(self) -> ExactState:
        return (0,)

    def growth(self, row: int) -> int:
        """One plus the interest of the step that ends at `row`, in ray, rounded down."""
        above, below = float(self._columns["rate"][row]).as_integer_ratio()
        return RAY + above * self._frame.step_seconds * RAY // (below * SECONDS_PER_YEAR)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        if not state[0]:
            return state, ()
        balance = state[0]
        for row in range(row_from + 1, row_to + 1):
            balance = balance * self.growth(row) // RAY
        interest = balance // RAY - state[0] // RAY
        symbol = self.asset.symbol
        return (balance,), _legs(("position", symbol, interest), ("world", symbol, -interest))


def _legs(*entries: tuple[str, str, int]) -> tuple[Leg, ...]:
    """One leg per account and asset, without those that cancel."""
    sums: dict[tuple[str, str], int] = {}
    for account, asset, amount in entries:
        sums[account, asset] = sums.get((account, asset), 0) + amount
    return tuple(Leg(account, asset, amount) for (account, asset), amount in sums.items() if amount)


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
        if name in SHARES and value >= 1.0:
            raise ConfigError(
                f"market {spec.name!r}: params.{name} = {value:g} is a share of the trade; expected less than 1"
            )
        params[name] = float(value)
    return params
