"""Aave v3 as a chain shows it: what an operation would do at the latest block, tried on an exact copy of the pool.

Whatever the contracts would refuse is refused with their error's number and name and costs nothing; so are reserves that are not
pinned, prices that are old or missing, and a health factor below the floor. Every result names the version.
"""

from __future__ import annotations

import attrs

from treasury_arena.errors import ValidationError, nearest
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import AccountData, Result
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import V3_0, V3_5
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, WAD
from treasury_arena_aave.mirror import PoolAt, ReserveAt, pool_reads, read_pool
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.errors import AbiError, ChainError, RevertError
from treasury_arena_evm.interfaces.aave import (
    ORACLE,
    POOL,
    PRICE_AHEAD_SECONDS_MAX,
    PRICE_SOURCE,
    PROVIDER,
)
from treasury_arena_evm.reading import ChainReader

VARIABLE = 2
REVISIONS = {1: V3_0, 2: V3_0, 3: V3_0, 10: V3_5}
"""`POOL_REVISION` -> whose arithmetic: the 3.0 line, and 3.6, which has that of 3.5; 3.4 has 7, 3.7 has 11."""
PRICE_AGE_SECONDS_MAX = 90_000
"""Chainlink answers at least once a day for the assets here; an hour of grace."""
HEALTH_MIN = 1.05
MINED_WITHIN_SECONDS = 600
"""For how long the interest of a full repayment is approved in advance."""
USER = "self"
USD = 10**8
OPERATIONS = ("supply", "withdraw", "borrow", "repay")
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


class AaveReader:
    """One Aave v3 market of the 3.0 line, or of 3.6, read and quoted; `version` says whose arithmetic it has.

    In 3.6 what the exact pool does not model is refused: accounts in an e-mode, and collateral that is frozen or has a
    loan-to-value of 0.

    Args:
        session: of the chain; its pinned tokens are the reserves that may be touched.
        health_min: health factor below which no operation may bring an account.
        price_age_seconds_max: oldest price that is traded on; None to take prices whose age nobody tells.
        provider: the market's PoolAddressesProvider; the chain's pinned one unless given.

    Raises ChainError for a market of another version.
    """

    def __init__(
        self,
        session: ChainReader,
        *,
        health_min: float = HEALTH_MIN,
        price_age_seconds_max: int | None = PRICE_AGE_SECONDS_MAX,
        provider: str | None = None,
    ) -> None:
        if not isinstance(health_min, int | float) or not 1.0 <= health_min < float("inf"):
            raise ValidationError(
                f"health_min = {health_min!r} must be a finite number of at least 1: below it an account is liquidated"
            )
        if price_age_seconds_max is not None and not 0 <= price_age_seconds_max < float("inf"):
            raise ValidationError(
                f"price_age_seconds_max = {price_age_seconds_max} must be a number of seconds from 0, or None to take any age"
            )
        self.reader = session
        self.health_min, self.price_age_seconds_max = health_min, price_age_seconds_max
        self._curves: dict[str, RateStrategy] = {}
        provider = provider or session.chain.contract("aave_v3_provider")
        pool = str(session.call(provider, PROVIDER.function("getPool")))
        revision = int(session.call(pool, POOL.function("POOL_REVISION")))
        if revision not in REVISIONS:
            raise ChainError(
                f"the Aave pool of {session.chain.name} has revision {revision}; the adapter knows revisions 1 to 3 (Aave 3.0) "
                f"and 10 (Aave 3.6)"
            )
        self.version = REVISIONS[revision]
        self.at = PoolAt.read(session, provider, {token.symbol: token.address for token in session.tokens})

    def reserve(self, symbol: str) -> ReserveAt:
        """Addresses of a reserve; TokenError for a token that is not pinned, ValidationError for one that is not listed."""
        self.reader.tokens.symbol(symbol)
        if symbol not in self.at.reserves:
            raise ValidationError(
                f"the Aave market of {self.reader.chain.name} does not list {symbol}; {nearest(symbol, self.at.reserves)}"
            )
        return self.at.reserves[symbol]

    # Reading.

    def pool(self, address: str, later_seconds: int = 0) -> Pool:
        """The exact pool as of the latest block (and so many seconds later), all of one block, with one user, `USER`.

        Raises ValidationError when the oracle has no price for a reserve, and when Aave counts more (or less) for the account
        than its pinned reserves hold: its health cannot be foretold then.
        """
        with self.reader.pinned():
            account = self.at.pool, POOL.function("getUserAccountData"), (address,)
            self.reader.read_ahead((*pool_reads(self.at, [address], self.version), account))
            try:
                now = self.reader.head().timestamp
                pool = read_pool(self.reader, self.at, {USER: address}, now, self.version, curves=self._curves)
                there = self.account(address)
            except RevertError as error:
                self._refuse_prices()
                raise ChainError(f"the Aave market of {self.reader.chain.name} cannot be read: {error}") from error
        self._check_whole(address, pool.account(USER), there)
        pool.advance(pool.now + later_seconds)
        return pool

    def account(self, address: str) -> AccountData:
        """The account as the contract computes it; equal to the exact pool's."""
        found = self.reader.call(self.at.pool, POOL.function("getUserAccountData"), address)
        collateral, debt, _, threshold, ltv, health = (int(value) for value in found)
        return AccountData(self.version.name, collateral, debt, ltv, threshold, health, zero_ltv=False)

    @staticmethod
    def _check_whole(address: str, here: AccountData, there: AccountData) -> None:
        if (here.collateral, here.debt) != (there.collateral, there.debt):
            raise ValidationError(
                f"Aave counts {there.collateral / USD:.2f} USD of collateral and {there.debt / USD:.2f} USD of debt for "
                f"{address}, its pinned reserves have {here.collateral / USD:.2f} and {here.debt / USD:.2f}: pin the tokens that "
                f"are missing, or use another account"
            )

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
        if operation not in (*OPERATIONS, "use_as_collateral", "set_emode"):
            raise ValidationError(
                f"unknown operation {operation!r}; {nearest(operation, (*OPERATIONS, 'use_as_collateral', 'set_emode'))}"
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
        if operation == "set_emode" and self.version.later:
            raise ValidationError(f"the e-modes of Aave {self.version.name} and later are not modelled")
        with self.reader.pinned():
            pool = self.pool(address)
            self.check_modelled(pool)
            entered = int(amount_raw) if operation == "set_emode" else 0
            self.check_prices(pool, *([symbol] if symbol else []), category=entered)
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

    # What is refused before an operation is tried.

    def check_modelled(self, pool: Pool) -> None:
        """Collateral whose rules the exact pool does not have in this version: ValidationError."""
        if not self.version.later:
            return
        for asset, config in pool.configs.items():
            if pool.collaterals.get((asset, USER)) and (config.frozen or not config.ltv):
                why = "is frozen" if config.frozen else "has a loan-to-value of 0"
                raise ValidationError(
                    f"the collateral {asset} {why}; what Aave {self.version.name} and later do then is not modelled"
                )

    def _refuse_prices(self) -> None:
        for symbol, reserve in self.at.reserves.items():
            try:
                self.reader.call(self.at.oracle, ORACLE.function("getAssetPrice"), reserve.asset)
            except RevertError as error:
                raise ValidationError(f"Aave's oracle has no price for {symbol}") from error

    def check_prices(self, pool: Pool, *symbols: str, category: int = 0) -> None:
        """Every price that is asked for or that the account's health depends on must be young enough; else ValidationError.

        That is also the own price of the account's e-mode, and of the `category` that it is about to enter.
        """
        if self.price_age_seconds_max is None:
            return
        touched = set(symbols)
        for asset in pool.configs:
            if pool.supplies.get((asset, USER)) or pool.debts.get((asset, USER)):
                touched.add(asset)
        for emode in map(pool.categories.get, (pool.emodes.get(USER, 0), category)):
            if emode is not None and emode.price_source is not None:
                touched.add(emode.price_source)
        for asset in sorted(touched):
            address = self.at.reserves[asset].asset if asset in self.at.reserves else asset
            source = str(self.reader.call(self.at.oracle, ORACLE.function("getSourceOfAsset"), address))
            try:
                updated = int(self.reader.call(source, PRICE_SOURCE.function("latestRoundData"))[3])
            except (RevertError, AbiError) as error:
                raise ValidationError(
                    f"the price source of {asset} does not tell when it answered; price_age_seconds_max = None takes it as it is"
                ) from error
            age = pool.now - updated
            if age > self.price_age_seconds_max:
                raise ValidationError(
                    f"the price of {asset} is {age} s old; at most {self.price_age_seconds_max} s are accepted"
                )
            if age < -PRICE_AHEAD_SECONDS_MAX:
                raise ValidationError(
                    f"the price of {asset} is dated {-age} s in the future; its source cannot be believed"
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
