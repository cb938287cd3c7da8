"""Aave in live orders: what its planners share, and lending. See `treasury_arena_aave.account_planner` for loans.

Every operation is quoted on an exact copy of the pool when it is planned and once more when it is bound, so that what the
contracts, the tokens or the health floor would refuse is refused before anything is signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from treasury_arena.contracts.chain import Holding, Plan, PlannedStep, PlannerContext, Step, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, ConfigError, ValidationError
from treasury_arena_aave.exact.wad_ray import MAX_UINT256
from treasury_arena_aave.reading import HEALTH_MIN, PRICE_AGE_SECONDS_MAX, USER, VARIABLE, AaveReader
from treasury_arena_evm.errors import AbiError, ChainError
from treasury_arena_evm.interfaces.aave import POOL, SCALED_TOKEN
from treasury_arena_evm.planning import EvmPlanner, Expected
from treasury_arena_evm.transport import LostError, NodeError

GAS: Mapping[StepKind, int] = {
    StepKind.SUPPLY: 450_000,
    StepKind.WITHDRAW: 500_000,
    StepKind.BORROW: 550_000,
    StepKind.REPAY: 400_000,
}
"""Most gas of an operation: twice what one took on the local chain (supply 216,000, withdraw 247,000, borrow 268,000, repay
196,000 gas), for rewards and e-mode that the local market has not."""
SWITCH_GAS = 350_000
"""Letting a supply secure nothing took 170,000 gas beside a debt."""
CASH_IN = (StepKind.SUPPLY, StepKind.REPAY)


class AavePlanner(EvmPlanner):
    """A market on Aave v3, of a version that `AaveReader` knows.

    Settings: `provider`, the PoolAddressesProvider (the chain's pinned one); `pool` and `data_provider`, held against what the
    provider says; `health_min`, the health factor that no step goes below; `price_age_seconds_max`, 0 for any age.

    Raises ConfigError for a market of another version, and for addresses that the provider contradicts.
    """

    def __init__(self, context: PlannerContext, keys: Iterable[str] = ()) -> None:
        own = ("provider", "pool", "data_provider", "health_min", "price_age_seconds_max")
        super().__init__(context, (*own, *keys))
        age = self.places.whole("price_age_seconds_max", PRICE_AGE_SECONDS_MAX, 0, 10**9)
        try:
            self.aave = AaveReader(
                self.reader,
                health_min=self.places.number("health_min", HEALTH_MIN, 1.0, 100.0),
                price_age_seconds_max=age or None,
                provider=self.places.address("provider", "aave_v3_provider"),
            )
        except (LostError, NodeError) as error:
            raise ChainUnavailableError(f"market {self.market!r}: {error}") from error
        except (ChainError, AbiError) as error:
            raise ConfigError(f"live.markets.{self.market}.provider is no Aave market to trade on: {error}") from error
        for key, told in (("pool", self.aave.at.pool), ("data_provider", self.aave.at.data_provider)):
            if self.places.given(key) and (given := self.places.address(key)).lower() != told.lower():
                raise ConfigError(f"live.markets.{self.market}.{key} = {given}, but the market's provider says {told}")
        for asset in {self.asset, self.base}:
            try:
                self.aave.reserve(asset.symbol)
            except ValidationError as error:
                raise ConfigError(f"market {self.market!r}: {error}") from error

    def supplied(self, asset: Asset) -> int:
        """Base units that the treasury has on Aave, with their interest."""
        return self._balance(self.aave.reserve(asset.symbol).a_token)

    def owed(self, asset: Asset) -> int:
        """Base units that the treasury owes on Aave, with their interest."""
        return self._balance(self.aave.reserve(asset.symbol).debt_token)

    def _balance(self, token: str) -> int:
        return int(self.reader.call(token, SCALED_TOKEN.function("balanceOf"), self.sender))

    def operation(
        self, step: PlannedStep, asset: Asset, amount: int, *, everything: bool = False, least: float | None = None
    ) -> Step:
        """A step's calldata, once the pool and the token would let it through.

        Args:
            amount: base units; with `everything`, the most that a repayment may take.
            least: another health floor than the market's.
        """
        kind, at, symbol = step.kind, self.aave.reserve(asset.symbol), asset.symbol
        raw = MAX_UINT256 if everything else amount
        moved = self.aave.quote(str(kind), symbol, self.sender, raw, least).result.amount
        parties = (self.sender, at.a_token) if kind in CASH_IN else (at.a_token, self.sender)
        self.token(asset).check(*parties, moved)
        expects: Expected = {"asset": at.asset, "amount_raw": raw}
        arguments: tuple[Any, ...] = (at.asset, raw)
        if kind is StepKind.WITHDRAW:
            arguments, expects["recipient"] = (*arguments, self.sender), self.sender
        else:
            expects["on_behalf_of"] = self.sender
            if kind is StepKind.SUPPLY:
                arguments = (*arguments, self.sender, 0)
            else:
                expects["rate_mode"] = VARIABLE
                borrows = (VARIABLE, 0, self.sender)
                arguments = (*arguments, *(borrows if kind is StepKind.BORROW else (VARIABLE, self.sender)))
        spends = {symbol: amount} if kind in CASH_IN else {}
        return self.called(step, self.aave.at.pool, POOL.function(str(kind)), arguments, expects, spends)


class SupplyPlanner(AavePlanner):
    """The base asset lent on Aave.

    It never secures a loan: Aave makes a first supply collateral by itself, which a step of its own switches off again, so that
    a debt of the same address cannot be paid out of it.
    """

    def __init__(self, context: PlannerContext) -> None:
        super().__init__(context)
        if self.asset != self.base:
            raise ConfigError(
                f"market {self.market!r} lends {self.asset.symbol}, but cash is {self.base.symbol}; on a chain the base asset "
                f"is lent"
            )

    def _value(self, holding: Holding) -> int:
        return self.share(holding.held.get(self.base.symbol, 0), self.supplied(self.base))

    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        return {self.base.symbol: (self.supplied(self.base), 0)}

    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        worth = self._value(holding)
        if self.still(worth, target_raw):
            return None
        symbol, size, at = self.base.symbol, abs(target_raw - worth), self.aave.reserve(self.base.symbol)
        if target_raw > worth:
            self.aave.quote("supply", symbol, self.sender, size)
            self.token(self.base).check(self.sender, at.a_token, size)
            supply = PlannedStep(StepKind.SUPPLY, symbol, size, GAS[StepKind.SUPPLY])
            switch = PlannedStep(StepKind.SUPPLY, symbol, 0, SWITCH_GAS, {"use_as_collateral": False})
            return Plan((*self.spending(self.base, self.aave.at.pool, size, supply), switch), size, size, False)
        details = {"everything": target_raw == 0}
        step = PlannedStep(StepKind.WITHDRAW, symbol, size, GAS[StepKind.WITHDRAW], details)
        self._withdrawal(step, size)
        return Plan((step,), size, 0, True)

    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        if step.kind is StepKind.SUPPLY and "use_as_collateral" in step.details:
            return self._switch(step)
        if not amount_raw:
            return None
        if step.kind is StepKind.SUPPLY:
            return self.operation(step, self.base, amount_raw)
        if step.kind is StepKind.WITHDRAW:
            return self._withdrawal(step, amount_raw)
        raise ValidationError(f"market {self.market!r}: lending has no step of the kind {step.kind!s}")

    def _withdrawal(self, step: PlannedStep, amount: int) -> Step:
        there = self.supplied(self.base)
        everything = bool(step.details["everything"]) and there - amount < self.dust
        return self.operation(step, self.base, min(amount, there), everything=everything)

    def _switch(self, step: PlannedStep) -> Step | None:
        """Let the supply secure nothing; None when it does not."""
        at, symbol = self.aave.reserve(self.base.symbol), self.base.symbol
        if not self.aave.pool(self.sender).collaterals.get((symbol, USER)):
            return None
        self.aave.quote("use_as_collateral", symbol, self.sender, False)
        function = POOL.function("setUserUseReserveAsCollateral")
        expects: Expected = {"asset": at.asset, "use_as_collateral": 0}
        return self.called(step, self.aave.at.pool, function, (at.asset, False), expects)
