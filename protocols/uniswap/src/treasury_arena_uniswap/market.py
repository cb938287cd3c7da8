"""What the exact markets share beside `BoundMarket`: a pool at a row in integers, one swap of it, and a fill's postings.

A pool is a coin against the base asset. A row's price and liquidity stand for the pool: every trade meets them as they are,
as if arbitrage had restored the price since the last one. A float of the frame or of the parameters is taken at its exact
binary value.
"""

from __future__ import annotations

from abc import abstractmethod
from math import isqrt

from treasury_arena.contracts.bound import ONE, BoundMarket, ceil_div, fixed, legs
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, SizeRefusedError, ValidationError
from treasury_arena_uniswap.exact.swap_math import PIPS, compute_swap_step
from treasury_arena_uniswap.exact.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO


class PoolMarket(BoundMarket):
    """A market over one v3 pool.

    Raises ConfigError for an unknown or missing parameter or market field, or an impossible value; DataError for a row with a
    price that is not positive, or a negative liquidity, value locked, volume or gas.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        if asset == base:
            raise ConfigError(
                f"market {spec.name!r} trades {base.symbol} against itself; a pool needs a coin beside the base asset"
            )
        super().__init__(spec, model, frame, asset, base)
        for field in ("liquidity", "tvl", "volume"):
            if field in self._columns:
                self._refuse_rows(field, strict=False)
        self._pips = self._whole("fee", PIPS, 0, PIPS - 1, " of millionths")
        self._coin_is_token0 = self._whole("coin_is_token0", 1, 0, 1, "") == 1
        self._dust = fixed(self._params["dust"], base.unit)
        self._farthest = fixed(1.0 + self._params["max_move"], ONE)
        if not self._params.get("concentration", 1.0) > 0.0:
            raise ConfigError(
                f"market {spec.name!r}: params.concentration = 0 leaves no liquidity; expected more than 0"
            )

    # ---------------------------------------------------------------- rows and parameters as integers
    def _whole(self, name: str, scale: int, low: int, high: int, unit: str) -> int:
        """A parameter that, times `scale`, must be a whole number."""
        value = self._params[name]
        found = round(value * scale)
        if abs(value * scale - found) > 1e-9 * scale or not low <= found <= high:
            raise ConfigError(
                f"market {self.spec.name!r}: params.{name} = {value:g} must be a whole number{unit} from {low} to {high}"
            )
        return found

    def _fraction(self, row: int) -> tuple[int, int]:
        """Base units of the base asset for one base unit of the coin, as a fraction."""
        above, below = self._ratio("price", row)
        return above * self.base.unit, below * self.asset.unit

    def _worth(self, tokens: int, row: int) -> int:
        """Base units of the base asset, rounded down."""
        above, below = self._fraction(row)
        return tokens * above // below

    def _sqrt_price(self, row: int) -> int:
        """The pool's square-root price (Q64.96), rounded down."""
        above, below = self._fraction(row)
        found = isqrt((above << 192) // below) if self._coin_is_token0 else isqrt((below << 192) // above)
        if not MIN_SQRT_RATIO < found < MAX_SQRT_RATIO:
            raise ValidationError(f"market {self.spec.name!r}: the price at row {row} is outside the range of ticks")
        return found

    def _liquidity(self, row: int) -> int:
        """The pool's L in base units, rounded down."""
        units = self.asset.unit * self.base.unit
        if "liquidity" in self._columns:
            above, below = self._ratio("liquidity", row)
            found = isqrt(above * above * units // (below * below))
        else:
            # L sqrt(P) = concentration * tvl / 2, squared.
            above, below = self._ratio("tvl", row)
            times, parts = self._params["concentration"].as_integer_ratio()
            price, per = self._ratio("price", row)
            found = isqrt((above * times) ** 2 * units * per // ((2 * below * parts) ** 2 * price))
        return found

    def _liquidity_needed(self, row: int) -> int:
        """The pool's L, which a trade cannot do without."""
        found = self._liquidity(row)
        if not found:
            raise ValidationError(f"market {self.spec.name!r}: the pool has no liquidity at {self._frame.time(row)}")
        return found

    def _gas(self, row: int, actions: float = 1.0) -> int:
        above, below = self._ratio("gas", row)
        times, parts = actions.as_integer_ratio()
        return ceil_div(above * times * self.base.unit, below * parts)

    # ---------------------------------------------------------------- one swap
    def _swap(self, coin_in: bool, amount: int, row: int) -> tuple[int, int]:
        """Swap coins for the base asset or back at the row's price and liquidity; returns what comes out, and the fee.

        Raises ValidationError where the price would move by more than `max_move`.
        """
        if not amount:
            return 0, 0
        price = self._sqrt_price(row)
        if coin_in == self._coin_is_token0:
            target = max(isqrt(price * price * ONE // self._farthest), MIN_SQRT_RATIO + 1)
        else:
            target = min(isqrt(price * price * self._farthest // ONE), MAX_SQRT_RATIO - 1)
        _, paid, out, fee = compute_swap_step(price, target, self._liquidity_needed(row), amount, self._pips)
        if paid + fee < amount:
            token = self.asset if coin_in else self.base
            raise SizeRefusedError(
                f"market {self.spec.name!r}: swapping {token.to_text(amount)} {token.symbol} moves the price by more than "
                f"{self._params['max_move']:.2%} at {self._frame.time(row)}; split it"
            )
        return out, fee

    @abstractmethod
    def value(self, state: ExactState, row: int) -> int:
        """Worth at the row, rounded down."""

    def _fill(self, before: ExactState, after: ExactState, cash: int, gas: int, fee: int, size: int, row: int) -> Fill:
        """The fill of what moved: `cash` to the holder, `gas`, `fee` as its worth in the base asset, `size` the notional.

        The cost is what holder and position lose together.
        """
        worth, left = self.value(before, row), self.value(after, row)
        cost = worth - left - cash
        fee = max(0, min(fee, cost - gas))
        base, coin = self.base.symbol, self.asset.symbol
        held, holds = self.holdings(before), self.holdings(after)
        coins = holds.get(coin, 0) - held.get(coin, 0)
        bases = holds.get(base, 0) - held.get(base, 0)
        postings = legs(
            ("cash", base, cash),
            ("fee", base, fee),
            ("gas", base, gas),
            ("position", base, bases),
            ("world", base, -(cash + fee + gas + bases)),
            ("position", coin, coins),
            ("world", coin, -coins),
        )
        return Fill(after, postings, size, cost, 10_000.0 * max(0, cost - gas) / size if size else 0.0)


class SpotMarket(PoolMarket):
    """A coin held outright, bought and sold in the pool; the state is ``(base units,)``."""

    def open(self) -> ExactState:
        return (0,)

    def value(self, state: ExactState, row: int) -> int:
        return self._worth(state[0], row)

    def holdings(self, state: ExactState) -> dict[str, int]:
        return {self.asset.symbol: state[0]}

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        return state, ()

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
        move = target_raw - self.value(state, row)
        if not move or abs(move) < self._dust:
            return None
        gas = self._gas(row)
        if move > 0:
            if move <= gas:
                return None
            got, fee = self._swap(False, move - gas, row)
            return self._fill(state, (state[0] + got,), -move, gas, fee, move, row)
        above, below = self._fraction(row)
        kept = min(state[0], ceil_div(target_raw * below, above))
        got, fee = self._swap(True, state[0] - kept, row)
        if got <= gas:
            return None
        return self._fill(state, (kept,), got - gas, gas, self._worth(fee, row), -move, row)
