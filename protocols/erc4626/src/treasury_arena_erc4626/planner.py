"""A vault in live orders: approve exactly, deposit, take the rest of the allowance back; withdraw, or redeem everything.

The ledger books what a position amounts to in the vault's asset. Shares of all holders lie at the treasury's one address, so a
holder's part is what is booked for it; the last one out redeems every share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treasury_arena.contracts.chain import Holding, Plan, PlannedStep, PlannerContext, Step, StepKind
from treasury_arena.errors import ChainUnavailableError, ConfigError, TreasuryArenaError, ValidationError
from treasury_arena_evm.interfaces.tokens import ERC4626
from treasury_arena_evm.planning import EvmPlanner, Expected
from treasury_arena_evm.transport import NodeError

DEPOSIT_GAS = 400_000
"""A deposit took 103,000 gas on the local vault; vaults that lend on at once take some 300,000."""
WITHDRAW_GAS = 500_000
"""A withdrawal took 74,000 on the local vault; vaults that must call their money in take some 400,000."""
BPS = 10_000


class VaultPlanner(EvmPlanner):
    """Plans for one vault of the base asset.

    Settings: `vault`, its address; `slippage_bps`, how much more shares may cost when a step is bound than when it was planned,
    and how much of an order rounding to whole shares may cost.

    Raises ConfigError for an address that is no vault, and for a vault of another asset.
    """

    def __init__(self, context: PlannerContext) -> None:
        super().__init__(context, ("vault", "slippage_bps"))
        if self.asset != self.base:
            raise ConfigError(
                f"market {self.market!r} is a vault of {self.asset.symbol}, but cash is {self.base.symbol}; on a chain a vault "
                f"takes the base asset"
            )
        self.vault = self.places.address("vault")
        self.slippage_bps = self.places.whole("slippage_bps", 50, 1, 1_000)
        pinned, chain = self.place(self.base), self.reader.chain.name
        try:
            found = str(self._ask("asset"))
        except (ChainUnavailableError, NodeError) as error:
            raise ChainUnavailableError(f"market {self.market!r}: {error}") from error
        except TreasuryArenaError as error:
            raise ConfigError(
                f"market {self.market!r}: {self.vault} is no ERC-4626 vault on {chain}: {error}"
            ) from error
        if found.lower() != pinned.lower():
            raise ConfigError(
                f"market {self.market!r}: the vault {self.vault} holds the token {found}, not {self.base.symbol} ({pinned})"
            )

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self.reader.call(self.vault, ERC4626.function(function), *arguments)

    def _shares(self) -> int:
        return int(self._ask("balanceOf", self.sender))

    def _there(self) -> int:
        """Base units that all shares of the treasury would pay now."""
        shares = self._shares()
        return int(self._ask("previewRedeem", shares)) if shares else 0

    def _value(self, holding: Holding) -> int:
        return self.share(holding.held.get(self.base.symbol, 0), self._there())

    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        return {self.base.symbol: (self._there(), 0)}

    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        worth = self._value(holding)
        if self.still(worth, target_raw):
            return None
        symbol, move = self.base.symbol, target_raw - worth
        if move > 0:
            shares = self._check_deposit(move)
            details: dict[str, Any] = {"shares_raw": shares}
            deposit = PlannedStep(StepKind.SUPPLY, symbol, move, DEPOSIT_GAS, details)
            return Plan(self.spending(self.base, self.vault, move, deposit), move, move, False)
        self._check_withdrawal(-move)
        details = {"everything": target_raw == 0, "shares_raw": self._shares_for(-move, everything=target_raw == 0)}
        return Plan((PlannedStep(StepKind.WITHDRAW, symbol, -move, WITHDRAW_GAS, details),), -move, 0, True)

    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        if not amount_raw:
            return None
        planned = int(step.details["shares_raw"])
        if step.kind is StepKind.SUPPLY:
            self._check_price("shares", planned, planned - self._check_deposit(amount_raw))
            expects: Expected = {"asset": self.place(self.base), "amount_raw": amount_raw, "recipient": self.sender}
            function = ERC4626.function("deposit")
            return self.called(step, self.vault, function, (amount_raw, self.sender), expects, {step.asset: amount_raw})
        if step.kind is StepKind.WITHDRAW:
            return self._withdrawal(step, amount_raw, planned)
        raise ValidationError(f"market {self.market!r}: a vault has no step of the kind {step.kind!s}")

    def _withdrawal(self, step: PlannedStep, amount: int, planned: int) -> Step:
        there = self._there()
        expects: Expected = {"asset": self.place(self.base), "recipient": self.sender, "owner": self.sender}
        if step.details["everything"] and there - amount < self.dust:
            self._check_withdrawal(there)
            shares = self._shares()
            self._check_price("base units", amount, amount - there)
            expects["shares_raw"] = shares
            return self.called(
                step, self.vault, ERC4626.function("redeem"), (shares, self.sender, self.sender), expects
            )
        amount = min(amount, there)
        self._check_withdrawal(amount)
        self._check_price("shares", planned, self._shares_for(amount) - planned)
        expects["amount_raw"] = amount
        return self.called(step, self.vault, ERC4626.function("withdraw"), (amount, self.sender, self.sender), expects)

    # --- refusals

    def _check_deposit(self, amount: int) -> int:
        """The shares of a deposit, once vault and token would take it."""
        if amount > (most := int(self._ask("maxDeposit", self.sender))):
            raise ValidationError(f"market {self.market!r}: the vault takes {most} base units now, not {amount}")
        self.token(self.base).check(self.sender, self.vault, amount)
        shares = int(self._ask("previewDeposit", amount))
        if not shares:
            raise ValidationError(f"market {self.market!r}: {amount} base units are worth no share")
        self._check_rounding(amount, amount - int(self._ask("previewRedeem", shares)))
        return shares

    def _shares_for(self, amount: int, *, everything: bool = False) -> int:
        """The shares that a withdrawal burns, once they are not worth much more than it; all of them are paid for all."""
        shares = int(self._ask("previewWithdraw", amount))
        if not everything:
            self._check_rounding(amount, int(self._ask("convertToAssets", shares)) - amount)
        return shares

    def _check_rounding(self, amount: int, lost: int) -> None:
        """Refuse an order that loses more than a whole share, which is a fee, or of which that share is too large a part.

        Whoever makes a share worth a fortune gets what rounding to whole shares takes.
        """
        if lost <= 2:
            return
        if lost > (one := int(self._ask("convertToAssets", 1))) + 2:
            raise ValidationError(
                f"market {self.market!r}: of {amount} base units the vault would keep {lost}; a vault with fees of its own is "
                f"not for live orders"
            )
        if lost * BPS > amount * self.slippage_bps:
            raise ValidationError(
                f"market {self.market!r}: a share of the vault is worth {one} base units, and rounding to whole shares would "
                f"cost {lost} of {amount}, more than {self.slippage_bps} bps"
            )

    def _check_withdrawal(self, amount: int) -> None:
        if amount > (most := int(self._ask("maxWithdraw", self.sender))):
            raise ValidationError(f"market {self.market!r}: the vault pays {most} base units now, not {amount}")
        self.token(self.base).check(self.vault, self.sender, amount)

    def _check_price(self, what: str, planned: int, worse: int) -> None:
        """Refuse what became dearer since the plan by more than the slippage: a vault has no minimum of its own."""
        if worse * BPS > planned * self.slippage_bps:
            raise ValidationError(
                f"market {self.market!r}: the vault's price moved since the plan: {planned} {what} were planned, now it is "
                f"worse by {worse}, more than {self.slippage_bps} bps"
            )
