"""Liquidation: how much debt may be repaid, what collateral it costs, and what becomes of the rest.

Source: LiquidationLogic.sol of @aave/core-v3 1.19.3; aave-dao/aave-v3-origin 3.6.0 and docs/3.3 (close factor by size,
deficit, no dust) and docs/3.7/liquidation-rounding.md for later versions; for 3.4 LiquidationLogic of pool revision 8 as verified
on Ethereum (BowTiedDevil/degenbot, contract_reference/aave/Pool/rev_8.sol).
"""

from __future__ import annotations

import attrs

from treasury_arena_aave.exact.book import TREASURY, Book
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.state import AccountData, Liquidation, ReserveConfig
from treasury_arena_aave.exact.versions import Version
from treasury_arena_aave.exact.wad_ray import PERCENT, WAD, percent_mul

CLOSE_FACTOR = PERCENT // 2
CLOSE_FACTOR_HEALTH = 95 * WAD // 100
"""Above this health factor only half of a debt may be repaid, from it on down all of it."""
SMALL_VALUE = 2_000 * 10**8
"""3.3 and later: below this value of collateral or debt all of it may be repaid; 8 decimals of USD."""
DUST_VALUE = SMALL_VALUE // 2
"""3.3 and later: neither side may be left with less than this, unless with nothing."""


@attrs.frozen
class Amounts:
    """Base units: debt to repay, collateral to the liquidator, fee to the treasury (collateral)."""

    debt: int
    collateral: int
    fee: int


@attrs.frozen
class Side:
    """One asset of a liquidation: price of a whole token (8 decimals) and base units in a token."""

    price: int
    unit: int


def closable(
    debt: int, collateral: int, owed: Side, secured: Side, total_debt: int, health: int, version: Version
) -> int:
    """Base units of a debt that one liquidation may repay.

    Args:
        debt, collateral: base units of the two assets that the user has.
        total_debt: value of all debts.
        health: health factor in wad.
    """
    if not version.later:
        return percent_mul(debt, CLOSE_FACTOR if health > CLOSE_FACTOR_HEALTH else PERCENT)
    debt_value = version.debt_value(debt, owed.price, owed.unit)
    collateral_value = collateral * secured.price // secured.unit
    if collateral_value >= SMALL_VALUE and debt_value >= SMALL_VALUE and health > CLOSE_FACTOR_HEALTH:
        half = percent_mul(total_debt, CLOSE_FACTOR)
        if debt_value > half:
            return half * owed.unit // owed.price
    return debt


def liquidation_amounts(
    cover: int, collateral: int, owed: Side, secured: Side, bonus_bps: int, fee_bps: int, version: Version
) -> Amounts:
    """What repaying `cover` of a debt takes from `collateral` base units, bonus and fee included."""
    base = owed.price * cover * secured.unit // (secured.price * owed.unit)
    seized = version.seized(base, bonus_bps)
    if seized > collateral:
        seized = collateral
        cover = version.debt_for(secured.price * seized * owed.unit // (owed.price * secured.unit), bonus_bps)
    fee = version.protocol_fee(seized, bonus_bps, fee_bps) if fee_bps else 0
    return Amounts(cover, seized - fee, fee)


class Liquidations(Book):
    """The pool's liquidation call."""

    def liquidate(
        self,
        collateral_asset: str,
        debt_asset: str,
        user: str,
        liquidator: str,
        amount: int,
        *,
        receive_supply: bool = False,
    ) -> Liquidation:
        """Repay up to `amount` of a user's debt against his collateral.

        Args:
            amount: base units of the debt asset; `MAX_UINT256` for as much as the close factor allows.
            receive_supply: take the collateral as a supply in the pool instead of the token.
        """
        secured_config, owed_config, version = self.config(collateral_asset), self.config(debt_asset), self.version
        with self._operation():
            accrued = self.reserves[debt_asset].accrued
            self._update_state(debt_asset)
            # Up to 3.4 only burning collateral does: whoever takes the supply leaves its reserve as it was.
            if version.directed:
                self._update_state(collateral_asset)
            if version.directed and collateral_asset == debt_asset:
                # The contract updates the reserve from two caches, and the treasury gets its share of the interest twice.
                now = self.reserves[debt_asset].accrued
                self._change(debt_asset, accrued=now + now - accrued)
            account = self.account(user)
            owed = self.debt_of(debt_asset, user)
            self._check_liquidation(secured_config, owed_config, collateral_asset, account, user, liquidator, owed)
            held = self.balance_of(collateral_asset, user)
            amounts = self._amounts(collateral_asset, debt_asset, user, amount, held, owed, account)
            burnt = self._settle(collateral_asset, debt_asset, user, amounts, held, owed, account)
            if receive_supply:
                self._hand_over(collateral_asset, user, liquidator, amounts.collateral)
            else:
                self._update_state(collateral_asset)
                self._update_rates(collateral_asset, taken=amounts.collateral)
                scaled = version.withdraw_scaled(amounts.collateral, self.reserves[collateral_asset].liquidity_index)
                self._burn_supply(collateral_asset, user, scaled)
                # The repayment comes in last of all, though later versions count it as cash already.
                early = amounts.debt if version.later and collateral_asset == debt_asset else 0
                there = self.reserves[collateral_asset].cash - early
                self._check(there >= amounts.collateral, "transfer", collateral_asset)
                self._move_cash(collateral_asset, -amounts.collateral)
            fee = self._pay_fee(collateral_asset, user, amounts.fee) if amounts.fee else 0
            if burnt is not None:
                self._write_off(user)
            if not version.later:
                self._move_cash(debt_asset, amounts.debt)
        return Liquidation(
            version.name,
            user,
            liquidator,
            collateral_asset,
            debt_asset,
            amounts.debt,
            amounts.collateral,
            fee,
            burnt or 0,
        )

    def _check(self, holds: bool, code: str, what: str) -> None:
        if not holds:
            raise RefusalError(code, self.version.name, what)

    def _check_liquidation(
        self,
        secured: ReserveConfig,
        owed_config: ReserveConfig,
        asset: str,
        account: AccountData,
        user: str,
        liquidator: str,
        owed: int,
    ) -> None:
        self._check(not (self.version.later and user == liquidator), "self", user)
        self._check(secured.active and owed_config.active, "27", asset)
        self._check(not secured.paused and not owed_config.paused, "29", asset)
        self._check(account.health < WAD, "45", user)
        self._check(bool(secured.threshold and self.collaterals.get((asset, user))), "46", asset)
        self._check(owed != 0, "47", user)

    def _amounts(
        self, collateral_asset: str, debt_asset: str, user: str, amount: int, held: int, owed: int, account: AccountData
    ) -> Amounts:
        secured_config, owed_config, version = self.configs[collateral_asset], self.configs[debt_asset], self.version
        category = self.emodes.get(user, 0)
        emode = self.categories.get(category)
        bonus = emode.bonus if emode and secured_config.emode == category else secured_config.bonus
        # In the contract the debt takes the category's own price whatever its category: borrowers in a category owe only that.
        source = emode.price_source if emode and emode.price_source else debt_asset
        debt_side = Side(self.prices[source], owed_config.unit)
        side = Side(self.price(collateral_asset, category), secured_config.unit)
        cover = min(amount, closable(owed, held, debt_side, side, account.debt, account.health, version))
        found = liquidation_amounts(cover, held, debt_side, side, bonus, secured_config.protocol_fee, version)
        if version.later and found.debt < owed and found.collateral + found.fee < held:
            left = version.debt_value(owed - found.debt, debt_side.price, debt_side.unit)
            kept = (held - found.collateral - found.fee) * side.price // side.unit
            self._check(left >= DUST_VALUE and kept >= DUST_VALUE, "dust", user)
        return found

    def _settle(
        self,
        collateral_asset: str,
        debt_asset: str,
        user: str,
        amounts: Amounts,
        held: int,
        owed: int,
        account: AccountData,
    ) -> int | None:
        """Burn the debt and set the flags; base units written off when nothing secures the rest, else None."""
        version = self.version
        if amounts.collateral + amounts.fee == held:
            self._write(self.collaterals, (collateral_asset, user), False)
        hopeless = version.later and self._nothing_left(collateral_asset, user, amounts, account)
        index = self.reserves[debt_asset].borrow_index
        scaled_held = self.debts.get((debt_asset, user), 0)
        full = hopeless or amounts.debt == owed
        scaled = (
            scaled_held if full and version.directed else version.repay_scaled(owed if full else amounts.debt, index)
        )
        burnt = owed - amounts.debt if hopeless else 0
        if (scaled == scaled_held) if version.later else full:
            self._write(self.borrowings, (debt_asset, user), False)
        self._burn_debt(debt_asset, user, scaled)
        if burnt:
            self._change(debt_asset, deficit=self.reserves[debt_asset].deficit + burnt)
        self._update_rates(debt_asset, added=amounts.debt)
        if version.later:  # the cash that rates are made of is a number of the pool's own, changed here and now
            self._move_cash(debt_asset, amounts.debt)
        return burnt if hopeless else None

    def _nothing_left(self, asset: str, user: str, amounts: Amounts, account: AccountData) -> bool:
        config, version = self.configs[asset], self.version
        value = (amounts.collateral + amounts.fee) * self.price(asset, self.emodes.get(user, 0)) // config.unit
        if not version.directed_liquidation:
            return account.collateral == value
        others = any(
            self.collaterals.get((other, user)) and self.supplies.get((other, user), 0)
            for other in self.configs
            if other != asset
        )
        index = self.income(asset)
        spent = version.withdraw_scaled(amounts.collateral, index) + version.withdraw_scaled(amounts.fee, index)
        return not others and spent >= self.supplies.get((asset, user), 0)

    def _hand_over(self, asset: str, user: str, liquidator: str, amount: int) -> None:
        fresh = self.balance_of(asset, liquidator) == 0
        self._move_supply(asset, user, liquidator, self.version.withdraw_scaled(amount, self.income(asset)))
        if fresh and self.configs[asset].ltv and not self.version.directed:
            self._write(self.collaterals, (asset, liquidator), True)

    def _pay_fee(self, asset: str, user: str, fee: int) -> int:
        index, version = self.income(asset), self.version
        held = self.supplies.get((asset, user), 0)
        scaled = version.withdraw_scaled(fee, index)
        if scaled > held:
            fee = version.balance(held, index)
            scaled = held if version.directed else version.withdraw_scaled(fee, index)
        self._move_supply(asset, user, TREASURY, scaled)
        return fee

    def _write_off(self, user: str) -> None:
        """Burn every other debt of a user without collateral; the reserves take the deficit (3.3 and later)."""
        for asset, config in self.configs.items():
            if self.borrowings.get((asset, user)) and config.active:
                self._update_state(asset)
                owed = self.debt_of(asset, user)
                self._burn_debt(asset, user, self.debts[asset, user])
                self._write(self.borrowings, (asset, user), False)
                self._change(asset, deficit=self.reserves[asset].deficit + owed)
                self._update_rates(asset)
