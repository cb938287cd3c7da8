"""The account over a market frame, for the books: every number from `exact`, every float made an integer once."""

from collections.abc import Mapping

from example_savings.exact import RAY, Savings
from example_savings.model import ACCOUNT
from treasury_arena.contracts.bound import BoundMarket, fixed, legs
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError

ME = "me"


class SavingsMarket(BoundMarket):
    """One saver's account. The state is ``(units, index)``, the index 1 ray when the position was opened."""

    def __init__(self, spec: MarketSpec, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, ACCOUNT, frame, asset, base)
        if asset != base:
            raise ConfigError(
                f"market {spec.name!r}: a savings account takes the base asset {base.symbol}, not {asset.symbol}"
            )
        if self._params["step_seconds"] != frame.step_seconds:
            raise ConfigError(
                f"market {spec.name!r}: step_seconds = {self._params['step_seconds']:g}, but the market data have a row "
                f"every {frame.step_seconds} s"
            )
        self._dust = fixed(self._params["dust"], base.unit)

    def open(self) -> ExactState:
        return (0, RAY)

    @staticmethod
    def _savings(state: ExactState, rate: int = 0) -> Savings:
        return Savings(rate, state[1], units={ME: state[0]})

    def value(self, state: ExactState, row: int) -> int:
        return self._savings(state).balance(ME, 0)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.base.symbol: self._savings(state).balance(ME, 0)}

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
        savings, held, gas = self._savings(state), self.value(state, row), self._gas(row)
        move = target_raw - held
        if not move or abs(move) < self._dust or abs(move) <= gas:
            return None
        if move > 0:
            savings.deposit(ME, move - gas, 0)
        else:
            savings.cash = held
            savings.withdraw(ME, -move, 0)
        after = (savings.units[ME], savings.index) if savings.units[ME] else self.open()
        moved, symbol = self.value(after, row) - held, self.base.symbol
        cash = -move if move > 0 else -move - gas
        postings = [("cash", cash), ("gas", gas), ("position", moved), ("world", -cash - gas - moved)]
        return Fill(after, legs(*((account, symbol, amount) for account, amount in postings)), abs(move), gas, 0.0)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        if not state[0]:
            return state, ()
        after = state
        for row in range(row_from + 1, row_to + 1):
            rate = fixed(float(self._columns["rate"][row]), RAY)
            after = (after[0], self._savings(after, rate).index_at(self._frame.step_seconds))
        gained, symbol = self.value(after, row_to) - self.value(state, row_from), self.base.symbol
        return after, legs(("position", symbol, gained), ("world", symbol, -gained))
