"""The exact venues: integers only, every rounding against the trader.

Interest factors are floored at 10^-27 (one ray). A lending position is kept as its balance
in base units times one ray and grows row by row, so that its state means the same in every frame that holds the rows, and
the order in which intervals are split changes nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from treasury_arena.contracts.bound import ONE, RAY, SECONDS_PER_YEAR, BoundMarket, ceil_div, fixed, legs
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, SizeRefusedError


class SimulatedMarket(BoundMarket):
    """What both venues share: quoting, and a fill's postings."""

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        self._dust = fixed(self._params["dust"], base.unit)
        self._fee = fixed(self._params["fee"] if "fee" in self._params else self._params["swap_fee"], ONE)

    @abstractmethod
    def _tokens(self, state: ExactState) -> int:
        """Base units of the asset that a position holds."""

    @abstractmethod
    def _moved(self, state: ExactState, tokens: int) -> ExactState:
        """The state after `tokens` base units came in (negative: went out)."""

    def _slippage(self, size: int, row: int) -> int:
        return 0

    def value(self, state: ExactState, row: int) -> int:
        return self._worth(self._tokens(state), row)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: self._tokens(state)}

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
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
        postings = legs(
            ("cash", self.base.symbol, cash),
            ("fee", self.base.symbol, fee),
            ("gas", self.base.symbol, gas),
            ("world", self.base.symbol, world),
            ("position", self.asset.symbol, tokens),
            ("world", self.asset.symbol, -tokens),
        )
        return Fill(self._moved(state, tokens), postings, size, cost, 10_000.0 * (fee + slippage) / size)


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
            raise SizeRefusedError(
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
        self._growths: dict[int, int] = {}
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
        growth = self._growths.get(row)
        if growth is None:
            above, below = self._ratio("rate", row)
            growth = self._growths[row] = RAY + above * self._frame.step_seconds * RAY // (below * SECONDS_PER_YEAR)
        return growth

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        if not state[0]:
            return state, ()
        balance = state[0]
        for row in range(row_from + 1, row_to + 1):
            balance = balance * self.growth(row) // RAY
        interest = balance // RAY - state[0] // RAY
        symbol = self.asset.symbol
        return (balance,), legs(("position", symbol, interest), ("world", symbol, -interest))
