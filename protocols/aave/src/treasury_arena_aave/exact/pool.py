"""The pool in integers: what a user can do, in the contract's own order of checks and arithmetic.

Source of the order and of every formula: Pool.sol with SupplyLogic, BorrowLogic, EModeLogic and ValidationLogic of
@aave/core-v3 1.19.3; for version 3.5 and later the same files of aave-dao/aave-v3-origin 3.6.0; for 3.4 those of pool revision 8
as verified on Ethereum (BowTiedDevil/degenbot, contract_reference/aave/Pool/rev_8.sol).
"""

from __future__ import annotations

import attrs

from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_aave.exact.book import TREASURY
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.liquidation import Liquidations
from treasury_arena_aave.exact.state import EMode, ReserveConfig, ReserveState, Result
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, PERCENT, WAD, percent_mul, ray_mul


class Pool(Liquidations):
    """An Aave v3 pool with its reserves and users.

    Amounts are base units of the asset; `MAX_UINT256` in `withdraw` and `repay` means everything. Users pay from outside:
    their own token balances are not kept. Every operation happens wholly or raises RefusalError and changes nothing.
    """

    # Governance.

    def list_reserve(self, asset: str, config: ReserveConfig, strategy: RateStrategy, price: int) -> None:
        """List an asset; raises ConfigError when it is listed already."""
        if asset in self.configs:
            raise ConfigError(f"the pool lists {asset!r} already")
        self.configs[asset], self.reserves[asset] = config, ReserveState(strategy)
        self.set_price(asset, price)

    def configure(self, asset: str, **changes: int | bool) -> None:
        """Set fields of a reserve's configuration.

        Neither indexes nor rates are touched, but that 3.1 and later bring both up to now around a new reserve factor.
        A threshold of zero, or switching off, is refused with 18 while somebody has supplied, as the configurator does.
        """
        before = self.config(asset)
        after = attrs.evolve(before, **changes)  # type: ignore[arg-type]
        closed = (not after.threshold and before.threshold) or (before.active and not after.active)
        if closed and (self.reserves[asset].supplied_scaled or self.reserves[asset].accrued):
            raise RefusalError("18", self.version.name, asset)
        synced = self.version.later and "reserve_factor" in changes
        with self._operation():
            if synced:
                self._update_state(asset)
            self._write(self.configs, asset, after)
            if synced:
                self._update_rates(asset)

    def set_category(self, number: int, emode: EMode) -> None:
        """Define an e-mode category; raises ConfigError for number 0 or impossible values."""
        fits = 0 < emode.ltv <= emode.threshold and emode.bonus > PERCENT
        if number == 0 or not fits or percent_mul(emode.threshold, emode.bonus) > PERCENT:
            raise ConfigError(f"e-mode category {number}: {emode} is impossible")
        self.categories[number] = emode

    # Users.

    def supply(self, asset: str, user: str, amount: int) -> Result:
        """Lend; the first supply becomes collateral by itself unless the loan-to-value is zero."""
        config, version = self.config(asset), self.version
        with self._operation():
            self._update_state(asset)
            reserve = self.reserves[asset]
            index = reserve.liquidity_index
            scaled = version.supply_scaled(_whole(amount), index)
            self._need(amount if not version.directed else scaled, config, asset, frozen=True)
            if config.supply_cap:
                stock = reserve.supplied_scaled + reserve.accrued
                whole = version.directed
                after = version.balance(stock + scaled, index) if whole else ray_mul(stock, index) + amount
                self._check(after <= config.supply_cap * config.unit, "51", asset)
            self._update_rates(asset, added=amount)
            self._move_cash(asset, amount)
            first = not self.supplies.get((asset, user), 0)
            self._mint_supply(asset, user, scaled)
            if first and config.ltv:
                self._write(self.collaterals, (asset, user), True)
        return Result(version.name, "supply", user, asset, amount, scaled)

    def withdraw(self, asset: str, user: str, amount: int) -> Result:
        """Take back what was supplied; refused when the reserve has no cash or the health factor would fall below one."""
        config, version = self.config(asset), self.version
        with self._operation():
            self._update_state(asset)
            index = self.reserves[asset].liquidity_index
            held = self.supplies.get((asset, user), 0)
            balance = version.balance(held, index)
            everything = _whole(amount) == MAX_UINT256
            amount = balance if everything else amount
            scaled = held if everything and version.directed else version.withdraw_scaled(amount, index)
            if version.directed:
                self._check(scaled != 0, "26", asset)
                self._check(scaled <= held, "32", asset)
            else:
                self._check(amount != 0, "26", asset)
                self._check(amount <= balance, "32", asset)
            self._need(1, config, asset, frozen=False)
            self._update_rates(asset, taken=amount)
            secured = bool(self.collaterals.get((asset, user)))
            emptied = scaled == held if version.directed else amount == balance
            if secured and emptied:
                self._write(self.collaterals, (asset, user), False)
            self._burn_supply(asset, user, scaled)
            self._move_cash(asset, -amount)
            if secured and self.borrows(user):
                self._check_health(user, config, asset)
        return Result(version.name, "withdraw", user, asset, amount, scaled)

    def borrow(self, asset: str, user: str, amount: int) -> Result:
        """Borrow at the variable rate against one's collateral."""
        config, version = self.config(asset), self.version
        with self._operation():
            self._update_state(asset)
            reserve = self.reserves[asset]
            scaled = version.borrow_scaled(_whole(amount), reserve.borrow_index)
            self._need(amount, config, asset, frozen=True)
            category = self.emodes.get(user, 0)
            if version.directed and category:
                self._check(config.emode == category, "58", asset)
            else:
                self._check(config.borrowing, "30", asset)
            if version.later:  # validateBorrow, since 3.1: no more than all aTokens, which is not yet the cash
                supplied = version.balance(reserve.supplied_scaled, reserve.liquidity_index)
                asked = version.debt(scaled, reserve.borrow_index) if version.directed else amount
                self._check(supplied >= asked, "26", asset)
            if config.borrow_cap:
                if version.directed:
                    owed = version.debt(reserve.debt_scaled + scaled, reserve.borrow_index)
                else:
                    owed = ray_mul(reserve.debt_scaled, reserve.borrow_index) + amount
                self._check(owed <= config.borrow_cap * config.unit, "50", asset)
            if not version.directed:
                self._check_loan(asset, user, amount, config, category)
            first = not self.debts.get((asset, user), 0)
            self._mint_debt(asset, user, scaled)
            if first:
                self._write(self.borrowings, (asset, user), True)
            self._update_rates(asset, taken=amount)
            self._move_cash(asset, -amount)
            if version.directed:
                account = self.account(user)
                self._check(account.ltv != 0, "57", asset)
                self._check(account.health >= WAD, "35", asset)
                needed = version.needed_collateral(account.debt, account.ltv)
                self._check(needed <= account.collateral, "36", asset)
        return Result(version.name, "borrow", user, asset, amount, scaled)

    def repay(self, asset: str, user: str, amount: int) -> Result:
        """Pay back a debt of one's own; what exceeds the debt is not taken."""
        config, version = self.config(asset), self.version
        with self._operation():
            self._update_state(asset)
            index = self.reserves[asset].borrow_index
            held = self.debts.get((asset, user), 0)
            owed = version.debt(held, index)
            self._need(_whole(amount), config, asset, frozen=False)
            self._check(owed != 0, "39", asset)
            paid = min(amount, owed)
            scaled = version.repay_scaled(paid, index)
            if version.directed and paid == owed:
                scaled = held
            self._burn_debt(asset, user, scaled)
            self._update_rates(asset, added=paid)
            if (scaled == held) if version.later else (paid == owed):  # 3.4: `noMoreDebt` of the token's burn
                self._write(self.borrowings, (asset, user), False)
            self._move_cash(asset, paid)
        return Result(version.name, "repay", user, asset, paid, scaled)

    def use_as_collateral(self, asset: str, user: str, use: bool) -> Result:
        """Let a supply secure loans, or no longer."""
        config, version = self.config(asset), self.version
        with self._operation():
            if not version.later:
                self._check(self.balance_of(asset, user) != 0, "43", asset)
            self._need(1, config, asset, frozen=False)
            if use != bool(self.collaterals.get((asset, user))):
                if use:
                    self._check(self.supplies.get((asset, user), 0) != 0, "43", asset)
                    self._check(config.ltv != 0, "62", asset)
                self._write(self.collaterals, (asset, user), use)
                if not use:
                    self._check_health(user, config, asset)
        return Result(version.name, "use_as_collateral", user, asset)

    def set_emode(self, user: str, category: int) -> Result:
        """Enter an e-mode category, or leave with 0; debts have to be of the category."""
        version = self.version
        with self._operation():
            self._check(category == 0 or category in self.categories, "58", str(category))
            for asset, config in self.configs.items():
                if category and self.borrowings.get((asset, user)):
                    self._check(config.emode == category, "58", asset)
            before = self.emodes.get(user, 0)
            self._write(self.emodes, user, category)
            if before:
                self._check(self.account(user).health >= WAD, "35", f"e-mode {category}")
        return Result(version.name, "set_emode", user, "")

    def mint_to_treasury(self, asset: str) -> Result:
        """Mint what accrued to the treasury."""
        config, version = self.config(asset), self.version
        amount = scaled = 0
        with self._operation():
            accrued = self.reserves[asset].accrued
            if config.active and accrued:
                index = self.income(asset)
                amount = version.balance(accrued, index)
                scaled = accrued if version.directed else version.supply_scaled(amount, index)
                self._change(asset, accrued=0)
                if amount or version.directed:
                    self._mint_supply(asset, TREASURY, scaled)
        return Result(version.name, "mint_to_treasury", TREASURY, asset, amount, scaled)

    # Checks.

    def _need(self, amount: int, config: ReserveConfig, asset: str, *, frozen: bool) -> None:
        self._check(amount != 0, "26", asset)
        self._check(config.active, "27", asset)
        self._check(not config.paused, "29", asset)
        self._check(not (frozen and config.frozen), "28", asset)

    def _check_health(self, user: str, config: ReserveConfig, asset: str) -> None:
        account = self.account(user)
        self._check(account.health >= WAD, "35", asset)
        self._check(not account.zero_ltv or config.ltv == 0, "57", asset)

    def _check_loan(self, asset: str, user: str, amount: int, config: ReserveConfig, category: int) -> None:
        self._check(category == 0 or config.emode == category, "58", asset)
        account = self.account(user)
        self._check(account.collateral != 0, "34", asset)
        self._check(account.ltv != 0, "57", asset)
        self._check(account.health > WAD, "35", asset)
        value = self.price(asset, category) * amount // config.unit
        needed = self.version.needed_collateral(account.debt + value, account.ltv)
        self._check(needed <= account.collateral, "36", asset)


def _whole(amount: int) -> int:
    if type(amount) is not int or not 0 <= amount <= MAX_UINT256:
        raise ValidationError(f"{amount!r} is not an amount in base units from 0 to 2^256 - 1")
    return amount
