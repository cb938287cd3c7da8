"""Aave v3 on a chain: supply, withdraw, borrow and repay through a session, quoted by the exact pool, refused before signing.

An operation is first done on an exact pool that is read from the chain (`treasury_arena_aave.mirror`), so whatever the
contracts would refuse is refused with their error's number and name and costs nothing; so are reserves that are not pinned,
prices that are old or missing, tokens that misbehave, and a health factor below the floor. Then the exact amount is approved,
the transaction sent, and its receipt read. Every result names the version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.errors import ValidationError, nearest
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import AccountData, Result
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import V3_0
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, WAD
from treasury_arena_aave.mirror import PoolAt, ReserveAt, read_pool
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import AbiError, ChainError, RevertError
from treasury_arena_evm.interfaces.aave import ORACLE, POOL, PRICE_SOURCE, PROVIDER, SCALED_TOKEN
from treasury_arena_evm.receipts import Receipt

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

VARIABLE = 2
REVISIONS_3_0 = (1, 2, 3)
"""`POOL_REVISION` of the 3.0 line; 3.4 has 7, 3.6 has 10, 3.7 has 11."""
PRICE_AGE_SECONDS_MAX = 90_000
"""Chainlink answers at least once a day for the assets here; an hour of grace."""
HEALTH_MIN = 1.05
MINED_WITHIN_SECONDS = 600
"""For how long the interest of a full repayment is approved in advance."""
USER = "self"
EVENTS = {"supply": "Supply", "withdraw": "Withdraw", "borrow": "Borrow", "repay": "Repay"}
CASH_IN = ("supply", "repay")
RISKY = ("withdraw", "borrow", "use_as_collateral", "set_emode")


@attrs.frozen
class Quote:
    """What an operation would do at the latest block.

    Attributes:
        version: whose arithmetic.
        result: amounts in base units.
        balance_raw, debt_raw: the user's supply and debt of the asset afterwards.
        health: health factor afterwards (infinite without debt); `account` has it in wad.
        supply_rate, borrow_rate: of the reserve afterwards, fractions a year.
    """

    version: str
    result: Result
    balance_raw: int
    debt_raw: int
    account: AccountData
    supply_rate: float
    borrow_rate: float

    @property
    def health(self) -> float:
        """Health factor as a number, infinite without debt."""
        return float("inf") if self.account.health == MAX_UINT256 else self.account.health / WAD


@attrs.frozen
class Done:
    """What an operation did, by its receipts and the chain's state afterwards.

    Attributes:
        version: whose rules the market follows.
        operation, asset: what was done.
        amount_raw: base units that moved, by the pool's event; 0 for switches.
        quote: what was expected.
        receipts: approvals first, the operation last but for an approval taken back.
        fee_raw: wei of the native coin, all receipts together.
        balance_raw, debt_raw: the user's supply and debt of the asset now.
        account: the user's account now.
    """

    version: str
    operation: str
    asset: str
    amount_raw: int
    quote: Quote
    receipts: tuple[Receipt, ...]
    fee_raw: int
    balance_raw: int
    debt_raw: int
    account: AccountData


class AaveMarket:
    """One Aave v3 market of the 3.0 line through a session.

    Args:
        session: of the chain; its pinned tokens are the reserves that may be touched.
        health_min: health factor below which no operation may bring an account.
        price_age_seconds_max: oldest price that is traded on; None to take prices whose age nobody tells.

    Raises ChainError for a market of another version.
    """

    def __init__(
        self,
        session: Session,
        *,
        health_min: float = HEALTH_MIN,
        price_age_seconds_max: int | None = PRICE_AGE_SECONDS_MAX,
    ) -> None:
        if not health_min >= 1.0:
            raise ValidationError(f"health_min = {health_min} must be at least 1: below it an account is liquidated")
        self.session, self.version = session, V3_0
        self.health_min, self.price_age_seconds_max = health_min, price_age_seconds_max
        self._curves: dict[str, RateStrategy] = {}
        provider = session.chain.contract("aave_v3_provider")
        pool = str(session.call(provider, PROVIDER.function("getPool")))
        revision = int(session.call(pool, POOL.function("POOL_REVISION")))
        if revision not in REVISIONS_3_0:
            raise ChainError(
                f"the Aave pool of {session.chain.name} has revision {revision}; the adapter knows revisions 1 to 3 (Aave 3.0)"
            )
        self.at = PoolAt.read(session, provider, {token.symbol: token.address for token in session.tokens})

    def reserve(self, symbol: str) -> ReserveAt:
        """Addresses of a reserve; TokenError for a token that is not pinned, ValidationError for one that is not listed."""
        self.session.tokens.symbol(symbol)
        if symbol not in self.at.reserves:
            raise ValidationError(
                f"the Aave market of {self.session.chain.name} does not list {symbol}; {nearest(symbol, self.at.reserves)}"
            )
        return self.at.reserves[symbol]

    # Reading.

    def pool(self, address: str, later_seconds: int = 0) -> Pool:
        """The exact pool as of the latest block (and so many seconds later), with one user, `USER`.

        Raises ValidationError when the oracle has no price for a reserve.
        """
        try:
            pool = read_pool(
                self.session, self.at, {USER: address}, self.session.now, self.version, curves=self._curves
            )
        except RevertError as error:
            self._refuse_prices()
            raise ChainError(f"the Aave market of {self.session.chain.name} cannot be read: {error}") from error
        pool.advance(pool.now + later_seconds)
        return pool

    def account(self, address: str) -> AccountData:
        """The account as the contract computes it; equal to the exact pool's."""
        found = self.session.call(self.at.pool, POOL.function("getUserAccountData"), address)
        collateral, debt, _, threshold, ltv, health = (int(value) for value in found)
        return AccountData(self.version.name, collateral, debt, ltv, threshold, health, zero_ltv=False)

    def balance(self, symbol: str, address: str) -> int:
        """What an address has supplied with its interest, base units."""
        self.reserve(symbol)
        return self.pool(address).balance_of(symbol, USER)

    def debt(self, symbol: str, address: str) -> int:
        """What an address owes with its interest, base units."""
        self.reserve(symbol)
        return self.pool(address).debt_of(symbol, USER)

    def quote(
        self, operation: str, symbol: str, address: str, amount_raw: int | bool, health_min: float | None = None
    ) -> Quote:
        """What an operation would do now; nothing is signed.

        Args:
            operation: supply, withdraw, borrow, repay (base units, `MAX_UINT256` for everything), use_as_collateral (a bool),
                or set_emode (a category; no symbol).
            health_min: another floor than the market's.

        Raises RefusalError (the contract's number and name), ValidationError or ChainError; see the module.
        """
        if operation not in (*EVENTS, "use_as_collateral", "set_emode"):
            raise ValidationError(
                f"unknown operation {operation!r}; {nearest(operation, (*EVENTS, 'use_as_collateral', 'set_emode'))}"
            )
        if symbol or operation != "set_emode":
            self.reserve(symbol)
        if operation == "use_as_collateral":
            if not isinstance(amount_raw, bool):
                raise ValidationError(f"use_as_collateral {symbol}: {amount_raw!r} is neither True nor False")
        else:
            check_whole(
                amount_raw, f"{operation} {symbol}: the amount in base units" if symbol else "the e-mode category"
            )
        if operation in ("supply", "borrow") and int(amount_raw) >= 2**128:
            raise ValidationError(f"{operation} needs an amount of {symbol}; 'everything' is for withdraw and repay")
        pool = self.pool(address)
        self.check_prices(pool, *([symbol] if symbol else []))
        before = pool.account(USER)
        if operation == "set_emode":
            result = pool.set_emode(USER, int(amount_raw))
        elif operation == "use_as_collateral":
            result = pool.use_as_collateral(symbol, USER, bool(amount_raw))
        else:
            result = getattr(pool, operation)(symbol, USER, int(amount_raw))
        quote = _quoted(pool, result, symbol)
        floor = self.health_min if health_min is None else health_min
        if operation in RISKY and quote.health < floor and quote.account.health < before.health:
            raise ValidationError(
                f"{operation} {symbol}: the health factor would be {quote.health:.4f}, below the floor of {floor:g}"
            )
        return quote

    # Writing.

    def supply(self, who: LocalAccount, symbol: str, amount_raw: int) -> Done:
        """Lend."""
        return self._do(who, "supply", symbol, amount_raw, (amount_raw, who.address, 0))

    def withdraw(self, who: LocalAccount, symbol: str, amount_raw: int, health_min: float | None = None) -> Done:
        """Take back; `MAX_UINT256` for everything. `health_min`: another floor than the market's."""
        return self._do(who, "withdraw", symbol, amount_raw, (amount_raw, who.address), health_min)

    def borrow(self, who: LocalAccount, symbol: str, amount_raw: int) -> Done:
        """Borrow at the variable rate."""
        return self._do(who, "borrow", symbol, amount_raw, (amount_raw, VARIABLE, 0, who.address))

    def repay(self, who: LocalAccount, symbol: str, amount_raw: int) -> Done:
        """Pay back; `MAX_UINT256` for everything, the interest until it is mined included."""
        return self._do(who, "repay", symbol, amount_raw, (amount_raw, VARIABLE, who.address))

    def use_as_collateral(self, who: LocalAccount, symbol: str, use: bool) -> Done:
        """Let a supply secure loans, or no longer."""
        quote = self.quote("use_as_collateral", symbol, who.address, use)
        function = POOL.function("setUserUseReserveAsCollateral")
        receipt = self.session.send(who, self.at.pool, function, self.reserve(symbol).asset, use)
        return self._done(who, quote, symbol, (receipt,), 0)

    def set_emode(self, who: LocalAccount, category: int) -> Done:
        """Enter an e-mode category, or leave with 0."""
        quote = self.quote("set_emode", "", who.address, category)
        receipt = self.session.send(who, self.at.pool, POOL.function("setUserEMode"), category)
        return self._done(who, quote, "", (receipt,), 0)

    def _do(
        self,
        who: LocalAccount,
        operation: str,
        symbol: str,
        amount_raw: int,
        arguments: tuple[Any, ...],
        health_min: float | None = None,
    ) -> Done:
        quote = self.quote(operation, symbol, who.address, amount_raw, health_min)
        reserve, receipts = self.reserve(symbol), list[Receipt]()
        token = Erc20(self.session, self.session.tokens.symbol(symbol))

        def heard(mined: Receipt) -> None:
            if mined.sender.lower() == who.address.lower():
                receipts.append(mined)

        def send() -> Receipt:
            return self.session.send(who, self.at.pool, POOL.function(operation), reserve.asset, *arguments)

        with self.session.listening(heard):
            if operation in CASH_IN:
                needed = quote.result.amount
                if operation == "repay" and amount_raw == MAX_UINT256:
                    needed = self.pool(who.address, MINED_WITHIN_SECONDS).debt_of(symbol, USER)
                token.check(who.address, reserve.a_token, needed)
                with token.allowed(who, self.at.pool, needed):
                    receipt = send()
            else:
                token.check(reserve.a_token, who.address, quote.result.amount)
                receipt = send()
        events = receipt.events(POOL.event(EVENTS[operation]), self.at.pool)
        if len(events) != 1:
            raise ChainError(
                f"{operation} {symbol}: {receipt.hash} has {len(events)} {EVENTS[operation]} events, expected one"
            )
        return self._done(who, quote, symbol, tuple(receipts), int(events[0]["amount"]))

    def _done(self, who: LocalAccount, quote: Quote, symbol: str, receipts: tuple[Receipt, ...], amount: int) -> Done:
        def holds(token: str) -> int:
            return int(self.session.call(token, SCALED_TOKEN.function("balanceOf"), who.address))

        at = self.reserve(symbol) if symbol else None
        return Done(
            self.version.name,
            quote.result.operation,
            symbol,
            amount,
            quote,
            receipts,
            sum(receipt.fee_raw for receipt in receipts),
            holds(at.a_token) if at else 0,
            holds(at.debt_token) if at else 0,
            self.account(who.address),
        )

    # Prices.

    def _refuse_prices(self) -> None:
        for symbol, reserve in self.at.reserves.items():
            try:
                self.session.call(self.at.oracle, ORACLE.function("getAssetPrice"), reserve.asset)
            except RevertError as error:
                raise ValidationError(f"Aave's oracle has no price for {symbol}") from error

    def check_prices(self, pool: Pool, *symbols: str) -> None:
        """Every price that is asked for or that the account's health depends on must be young enough; else ValidationError."""
        if self.price_age_seconds_max is None:
            return
        touched = set(symbols)
        for asset in pool.configs:
            if pool.supplies.get((asset, USER)) or pool.debts.get((asset, USER)):
                touched.add(asset)
        for asset in sorted(touched):
            source = str(
                self.session.call(self.at.oracle, ORACLE.function("getSourceOfAsset"), self.at.reserves[asset].asset)
            )
            try:
                updated = int(self.session.call(source, PRICE_SOURCE.function("latestRoundData"))[3])
            except (RevertError, AbiError) as error:
                raise ValidationError(
                    f"the price source of {asset} does not tell when it answered; price_age_seconds_max = None takes it as it is"
                ) from error
            if pool.now - updated > self.price_age_seconds_max:
                raise ValidationError(
                    f"the price of {asset} is {pool.now - updated} s old; at most {self.price_age_seconds_max} s are accepted"
                )


def _quoted(pool: Pool, result: Result, symbol: str) -> Quote:
    reserve = pool.reserves.get(symbol)
    return Quote(
        pool.version.name,
        result,
        pool.balance_of(symbol, USER) if symbol else 0,
        pool.debt_of(symbol, USER) if symbol else 0,
        pool.account(USER),
        reserve.liquidity_rate / 1e27 if reserve else 0.0,
        reserve.borrow_rate / 1e27 if reserve else 0.0,
    )
