"""The pool's book: reserves, scaled balances, flags, prices and time; every change can be undone when an operation reverts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import attrs

from treasury_arena.errors import ValidationError, nearest
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.interest import linear
from treasury_arena_aave.exact.state import AccountData, EMode, ReserveConfig, ReserveState
from treasury_arena_aave.exact.versions import Version
from treasury_arena_aave.exact.wad_ray import MAX_UINT128, MAX_UINT256, ray_mul

TREASURY = "treasury"
"""The user that mints of the treasury and liquidation fees go to."""


class Book:
    """State of a pool and the arithmetic that all operations share.

    Args:
        version: whose rules.
        now: seconds.
    """

    def __init__(self, version: Version, now: int = 0) -> None:
        self.version = version
        self.now = now
        self.configs: dict[str, ReserveConfig] = {}
        self.reserves: dict[str, ReserveState] = {}
        self.supplies: dict[tuple[str, str], int] = {}
        self.debts: dict[tuple[str, str], int] = {}
        self.collaterals: dict[tuple[str, str], bool] = {}
        self.borrowings: dict[tuple[str, str], bool] = {}
        self.categories: dict[int, EMode] = {}
        self.emodes: dict[str, int] = {}
        self.prices: dict[str, int] = {}
        self._undo: list[Callable[[], None]] = []

    def advance(self, now: int) -> None:
        """Set the time in seconds; raises ValidationError when it would run backwards."""
        if now < self.now:
            raise ValidationError(f"time cannot run backwards from {self.now} to {now}")
        self.now = now

    def set_price(self, source: str, price: int) -> None:
        """Price of one whole token (or of an e-mode's source) with 8 decimals; raises ValidationError when not above zero."""
        if price <= 0:
            raise ValidationError(f"the price of {source!r} must be above zero, not {price}")
        self.prices[source] = price

    def config(self, asset: str) -> ReserveConfig:
        """Configuration of a listed asset; raises ValidationError with the nearest name."""
        if asset not in self.configs:
            raise ValidationError(f"the pool does not list {asset!r}: {nearest(asset, self.configs)}")
        return self.configs[asset]

    def income(self, asset: str) -> int:
        """Liquidity index as of now, ray."""
        reserve = self.reserves[asset]
        if reserve.updated == self.now:
            return reserve.liquidity_index
        return ray_mul(linear(reserve.liquidity_rate, self.now - reserve.updated), reserve.liquidity_index)

    def debt_index(self, asset: str) -> int:
        """Borrow index as of now, ray."""
        reserve = self.reserves[asset]
        if reserve.updated == self.now:
            return reserve.borrow_index
        return ray_mul(self.version.compounded(reserve.borrow_rate, self.now - reserve.updated), reserve.borrow_index)

    def balance_of(self, asset: str, user: str) -> int:
        """What a user has supplied with its interest, base units."""
        return self.version.balance(self.supplies.get((asset, user), 0), self.income(asset))

    def debt_of(self, asset: str, user: str) -> int:
        """What a user owes with its interest, base units."""
        return self.version.debt(self.debts.get((asset, user), 0), self.debt_index(asset))

    def account(self, user: str) -> AccountData:
        """A user's collateral, debt, limits and health factor as the contract computes them (GenericLogic.sol)."""
        version = self.version
        collateral = debt = ltv_sum = threshold_sum = 0
        zero_ltv = False
        category = self.emodes.get(user, 0)
        emode = self.categories.get(category)
        for asset, config in self.configs.items():
            secures, owes = self.collaterals.get((asset, user)), self.borrowings.get((asset, user))
            if not (secures or owes):
                continue
            inside = emode is not None and config.emode == category
            price = self.price(asset, category)
            if secures and config.threshold:
                value = self.balance_of(asset, user) * price // config.unit
                collateral += value
                if config.ltv:
                    ltv_sum += value * (emode.ltv if inside and emode else config.ltv)
                else:
                    zero_ltv = True
                threshold_sum += value * (emode.threshold if inside and emode else config.threshold)
            if owes:
                debt += version.debt_value(self.debt_of(asset, user), price, config.unit)
        return AccountData(
            version.name,
            collateral,
            debt,
            ltv_sum // collateral if collateral else 0,
            threshold_sum // collateral if collateral else 0,
            version.health(collateral, threshold_sum, debt) if debt else MAX_UINT256,
            zero_ltv,
        )

    def price(self, asset: str, category: int = 0) -> int:
        """The oracle's price of an asset for a user in an e-mode category; ValidationError when there is none."""
        emode = self.categories.get(category)
        own = emode is not None and emode.price_source is not None and self.configs[asset].emode == category
        source = emode.price_source if own and emode and emode.price_source else asset
        if source not in self.prices:
            raise ValidationError(f"no price is set for {source!r}: {nearest(source, self.prices)}")
        return self.prices[source]

    def borrows(self, user: str) -> bool:
        """Whether a user has any debt flag set."""
        return any(self.borrowings.get((asset, user)) for asset in self.configs)

    # What follows changes the book, inside an operation only.

    @contextmanager
    def _operation(self) -> Iterator[None]:
        """All of it happens or, when a RefusalError or another error leaves the block, nothing."""
        self._undo = []
        try:
            yield
        except BaseException:
            for restore in reversed(self._undo):
                restore()
            raise
        finally:
            self._undo = []

    def _write(self, table: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        before = table.get(key)
        if before is None:
            self._undo.append(lambda: table.pop(key, None))
        else:
            self._undo.append(lambda: table.__setitem__(key, before))
        table[key] = value

    def _change(self, asset: str, **changes: Any) -> None:
        self._write(self.reserves, asset, attrs.evolve(self.reserves[asset], **changes))

    def _update_state(self, asset: str) -> None:
        """Bring indexes and the treasury's part up to now (ReserveLogic.updateState); an index beyond 128 bits is refused."""
        reserve, now = self.reserves[asset], self.now
        if reserve.updated == now:
            return
        seconds = now - reserve.updated
        liquidity, borrow, accrued = reserve.liquidity_index, reserve.borrow_index, reserve.accrued
        if reserve.liquidity_rate:
            liquidity = ray_mul(linear(reserve.liquidity_rate, seconds), liquidity)
        if reserve.debt_scaled:
            borrow = ray_mul(self.version.compounded(reserve.borrow_rate, seconds), borrow)
        if max(liquidity, borrow) > MAX_UINT128:
            raise RefusalError("uint128", self.version.name, asset)
        factor = self.configs[asset].reserve_factor
        if factor:
            accrued += self.version.treasury_scaled(
                reserve.debt_scaled, reserve.borrow_index, borrow, factor, liquidity
            )
        self._change(asset, liquidity_index=liquidity, borrow_index=borrow, accrued=accrued, updated=now)

    def _update_rates(self, asset: str, added: int = 0, taken: int = 0) -> None:
        """New rates for the cash as it will be; refuses with 0x11 when the cash does not suffice."""
        reserve = self.reserves[asset]
        debt = self.version.debt(reserve.debt_scaled, reserve.borrow_index)
        cash = reserve.cash + added - taken
        if cash < 0:
            raise RefusalError("0x11" if debt or self.version.later else "transfer", self.version.name, asset)
        liquidity_rate, borrow_rate = reserve.strategy.rates(
            cash, debt, self.configs[asset].reserve_factor, self.version, reserve.deficit
        )
        self._change(asset, liquidity_rate=liquidity_rate, borrow_rate=borrow_rate)

    def _move_cash(self, asset: str, amount: int) -> None:
        cash = self.reserves[asset].cash + amount
        if cash < 0:
            raise RefusalError("transfer", self.version.name, asset)
        self._change(asset, cash=cash)

    def _mint_supply(self, asset: str, user: str, scaled: int) -> None:
        if scaled == 0:
            raise RefusalError("24", self.version.name, asset)
        self._write(self.supplies, (asset, user), self.supplies.get((asset, user), 0) + scaled)
        self._change(asset, supplied_scaled=self.reserves[asset].supplied_scaled + scaled)

    def _burn_supply(self, asset: str, user: str, scaled: int) -> None:
        left = self._less(self.supplies, asset, user, scaled, refuse_zero=True)
        self._write(self.supplies, (asset, user), left)
        self._change(asset, supplied_scaled=self.reserves[asset].supplied_scaled - scaled)

    def _move_supply(self, asset: str, sender: str, recipient: str, scaled: int) -> None:
        self._write(self.supplies, (asset, sender), self._less(self.supplies, asset, sender, scaled, refuse_zero=False))
        self._write(self.supplies, (asset, recipient), self.supplies.get((asset, recipient), 0) + scaled)

    def _mint_debt(self, asset: str, user: str, scaled: int) -> None:
        if scaled == 0:
            raise RefusalError("24", self.version.name, asset)
        self._write(self.debts, (asset, user), self.debts.get((asset, user), 0) + scaled)
        self._change(asset, debt_scaled=self.reserves[asset].debt_scaled + scaled)

    def _burn_debt(self, asset: str, user: str, scaled: int) -> None:
        left = self._less(self.debts, asset, user, scaled, refuse_zero=True)
        self._write(self.debts, (asset, user), left)
        self._change(asset, debt_scaled=self.reserves[asset].debt_scaled - scaled)

    def _less(self, table: dict[tuple[str, str], int], asset: str, user: str, scaled: int, *, refuse_zero: bool) -> int:
        if scaled == 0 and refuse_zero:
            raise RefusalError("25", self.version.name, asset)
        left = table.get((asset, user), 0) - scaled
        if left < 0:
            raise RefusalError("0x11", self.version.name, asset)
        return left
