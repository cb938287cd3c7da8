"""Aave v3 on a chain: supply, withdraw, borrow and repay through a session, quoted by the exact pool, refused before signing.

An operation is first quoted (`treasury_arena_aave.reading`), which refuses what the contracts would, and the token is looked at.
Then the exact amount is approved, the transaction sent, and its receipt read. Every result names the version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena_aave.exact.state import AccountData
from treasury_arena_aave.exact.wad_ray import MAX_UINT256
from treasury_arena_aave.reading import MINED_WITHIN_SECONDS, USER, VARIABLE, AaveReader, Quote
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.aave import POOL, SCALED_TOKEN
from treasury_arena_evm.receipts import Receipt

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

EVENTS = {"supply": "Supply", "withdraw": "Withdraw", "borrow": "Borrow", "repay": "Repay"}
CASH_IN = ("supply", "repay")


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


class AaveMarket(AaveReader):
    """One Aave v3 market through a session that signs. Versions, arguments and errors as `AaveReader`."""

    def __init__(self, session: Session, **more: Any) -> None:
        super().__init__(session, **more)
        self.session = session

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
