"""A coin in live orders: bought and sold in one v3 pool by SwapRouter02, worth what the pool would pay for it."""

from __future__ import annotations

from collections.abc import Mapping

from treasury_arena.contracts.chain import Holding, Plan, PlannedStep, PlannerContext, Step, StepKind
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_evm.planning import EvmPlanner
from treasury_arena_evm.swaps import KEYS, Swaps


class SpotPlanner(EvmPlanner):
    """Swaps of the base asset for a coin and back. Settings: `Swaps`'.

    Coins of all holders lie in the treasury's wallet, together with those of other markets that keep them there.
    """

    def __init__(self, context: PlannerContext) -> None:
        super().__init__(context, KEYS)
        if self.asset == self.base:
            raise ConfigError(
                f"market {self.market!r} trades {self.base.symbol} against itself; a pool needs a coin beside the base asset"
            )
        self.swaps = Swaps(self)

    def _coins(self, holding: Holding) -> int:
        return min(holding.held.get(self.asset.symbol, 0), self.token(self.asset).balance(self.sender))

    def _value(self, holding: Holding) -> int:
        coins = self._coins(holding)
        return (
            self.swaps.v3.quote(self.asset.symbol, self.base.symbol, self.swaps.fee, coins).amount_out if coins else 0
        )

    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        return {}

    def wallet(self) -> frozenset[str]:
        return frozenset({self.asset.symbol})

    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        coins, worth = self._coins(holding), self._value(holding)
        if self.still(worth, target_raw):
            return None
        buys, size = target_raw > worth, abs(target_raw - worth)
        amount = size if buys else coins - coins * target_raw // worth
        quote = self.swaps.checked(buys, amount)
        given = self.base if buys else self.asset
        swap = self.swaps.step(buys, amount, (amount, quote.amount_out))
        steps = self.spending(given, self.swaps.router, amount, swap)
        return Plan(steps, size, size if buys else 0, not buys, quote.impact_bps)

    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        if step.kind is not StepKind.SWAP:
            raise ValidationError(f"market {self.market!r}: a coin held outright has no step of the kind {step.kind!s}")
        return self.swaps.bind(step, amount_raw, now) if amount_raw else None
