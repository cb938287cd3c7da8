"""Uniswap v3 on a chain: SwapRouter02, NonfungiblePositionManager and QuoterV2 through a session, as one account.

Every order is looked at before anything is signed: the pool and its liquidity, amounts, ticks, the least that must come back, the
deadline, and both tokens (paused, blocked, a fee on transfer, ...). What would be refused by the contracts raises RevertError,
also before signing. Amounts are base units; results come from the receipts' own events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_evm import v3
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.v3 import Pool, Quote
from treasury_arena_uniswap import orders
from treasury_arena_uniswap.reading import Held, PositionsReader

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

UINT_128_MAX = 2**128 - 1
DEADLINE_SECONDS = 600
"""From sending a transaction of a market here until it may no longer be mined."""
#: What the contracts' short reasons for a token that does not move mean.
REASONS = {
    "STF": "a token cannot be taken from the account",
    "TF": "a token cannot be paid out",
    "M0": "less of token0 arrived than is due",
    "M1": "less of token1 arrived than is due",
    "IIA": "less arrived than is due",
}


@attrs.frozen
class Swapped:
    """A swap that was mined: amounts, the pool behind it, and the receipts (approvals first, the swap last)."""

    amount_in: int
    amount_out: int
    sqrt_price_x96: int
    tick: int
    receipts: tuple[Receipt, ...]


@attrs.frozen
class Moved:
    """Liquidity that was mined: amounts that went in or came back, and the receipts, the last of which did it."""

    token_id: int
    liquidity: int
    amount0: int
    amount1: int
    receipts: tuple[Receipt, ...]


class UniswapV3(PositionsReader):
    """Orders of the account `who` on the session's chain; contract addresses are the chain's pinned ones."""

    def __init__(self, session: Session, who: LocalAccount) -> None:
        super().__init__(session, who.address)
        self.session, self.who = session, who
        self.router = session.chain.contract("uniswap_v3_router")

    # ---------------------------------------------------------------- swaps
    def swap(self, token_in: str, token_out: str, fee: int, amount_in: int, least_out: int, deadline: int) -> Swapped:
        """Swap exactly `amount_in` for at least `least_out` before `deadline` (seconds since 1970)."""
        v3.check_least(least_out, "a least amount out")
        quote = self._checked(token_in, token_out, fee, amount_in, True, deadline)
        if quote.amount_out < least_out:
            raise ValidationError(
                f"the swap would give {quote.amount_out} base units of {token_out} now, fewer than {least_out}"
            )
        return self._swapped(token_in, token_out, fee, (amount_in, least_out), True, deadline)

    def swap_for(
        self, token_in: str, token_out: str, fee: int, amount_out: int, most_in: int, deadline: int
    ) -> Swapped:
        """Swap at most `most_in` for exactly `amount_out` before `deadline`."""
        v3.check_amount(most_in, "a most amount in")
        quote = self._checked(token_in, token_out, fee, amount_out, False, deadline)
        if quote.amount_in > most_in:
            raise ValidationError(
                f"the swap would take {quote.amount_in} base units of {token_in} now, more than {most_in}"
            )
        return self._swapped(token_in, token_out, fee, (amount_out, most_in), False, deadline)

    def _checked(self, token_in: str, token_out: str, fee: int, amount: int, exact_in: bool, deadline: int) -> Quote:
        v3.check_deadline(deadline, self.session.now)
        quote = self.quote(token_in, token_out, fee, amount, exact_in)
        pool = self.pool(token_in, token_out, fee)
        self._token(token_in).check(self.who.address, pool.address, quote.amount_in)
        if quote.amount_out:
            self._token(token_out).check(pool.address, self.who.address, quote.amount_out)
        return quote

    def _swapped(
        self, token_in: str, token_out: str, fee: int, amounts: tuple[int, int], exact_in: bool, deadline: int
    ) -> Swapped:
        spent = self._token(token_in)
        pool = self.pool(token_in, token_out, fee)
        name = "exactInputSingle" if exact_in else "exactOutputSingle"
        call = v3.swap_calldata(
            spent.token, self._token(token_out).token, fee, self.who.address, amounts, deadline, name
        )
        offer = spent, amounts[0] if exact_in else amounts[1]
        with approved(self.session, self.who, self.router, offer) as heard:
            receipt = self._send(self.router, *call)
        event = _event(receipt, V3_POOL.event("Swap"), pool.address)
        moved = event["amount0"], event["amount1"]
        came, went = moved if spent.token == pool.token0 else moved[::-1]
        return Swapped(came, -went, event["sqrtPriceX96"], event["tick"], last(heard, receipt))

    # ---------------------------------------------------------------- liquidity
    def mint(
        self,
        pool: Pool,
        lower: int,
        upper: int,
        amount0: int,
        amount1: int,
        deadline: int,
        slippage_bps: int = 50,
    ) -> Moved:
        """Open a position with at most these amounts; one of them may be 0 where the range needs only the other."""
        orders.check_ticks(pool, lower, upper)
        pool, least = self._offered(pool, lower, upper, amount0, amount1, deadline, slippage_bps)
        tokens = pool.token0.address, pool.token1.address
        order = (*tokens, pool.fee, lower, upper, amount0, amount1, *least, self.who.address, deadline)
        return self._added(pool, V3_POSITIONS.function("mint"), order, amount0, amount1)

    def increase(self, token_id: int, amount0: int, amount1: int, deadline: int, slippage_bps: int = 50) -> Moved:
        """Add to a position of ours."""
        held = self._ours(token_id)
        pool, least = self._offered(held.pool, held.lower, held.upper, amount0, amount1, deadline, slippage_bps)
        order = (token_id, amount0, amount1, *least, deadline)
        return self._added(pool, V3_POSITIONS.function("increaseLiquidity"), order, amount0, amount1)

    def _offered(
        self, pool: Pool, lower: int, upper: int, amount0: int, amount1: int, deadline: int, slippage_bps: int
    ) -> tuple[Pool, tuple[int, int]]:
        """The pool as it is now, and the least amounts; everything is looked at here."""
        v3.check_deadline(deadline, self.session.now)
        for token, amount in ((pool.token0, amount0), (pool.token1, amount1)):
            check_whole(amount, f"an offer of {token.symbol} in base units")
        pool = self.pool_at(pool.address, pool.token0, pool.token1, pool.fee)
        v3.check_priced(pool)
        if amount0 == amount1 == 0:
            raise ValidationError("a position of nothing")
        for token, amount in ((pool.token0, amount0), (pool.token1, amount1)):
            if amount:
                v3.check_amount(amount, f"an offer of {token.symbol}")
        least = orders.least_amounts(pool, lower, upper, amount0, amount1, slippage_bps)
        for token, amount in ((pool.token0, amount0), (pool.token1, amount1)):
            if amount:
                Erc20(self.session, token).check(self.who.address, pool.address, amount)
        return pool, least

    def _added(self, pool: Pool, function: Any, order: tuple[Any, ...], amount0: int, amount1: int) -> Moved:
        offers = [(Erc20(self.session, token), n) for token, n in ((pool.token0, amount0), (pool.token1, amount1))]
        # What the mint does not take stays ours, and so does the right to it.
        with approved(self.session, self.who, self.positions, *offers) as heard:
            receipt = self._send(self.positions, function, order)
        event = _event(receipt, V3_POSITIONS.event("IncreaseLiquidity"), self.positions)
        receipts = last(heard, receipt)
        return Moved(event["tokenId"], event["liquidity"], event["amount0"], event["amount1"], receipts)

    def decrease(self, token_id: int, liquidity: int | None, deadline: int, slippage_bps: int = 50) -> Moved:
        """Take liquidity (None: all) out of a position of ours; what it was worth then waits for `collect`."""
        held = self._ours(token_id)
        v3.check_deadline(deadline, self.session.now)
        amount = held.liquidity if liquidity is None else liquidity
        v3.check_amount(amount, "a decrease")
        if amount > held.liquidity:
            raise ValidationError(f"position {token_id} has a liquidity of {held.liquidity}, less than {amount}")
        least = orders.least_returned(held.pool, held.lower, held.upper, amount, slippage_bps)
        receipt = self._send(
            self.positions, V3_POSITIONS.function("decreaseLiquidity"), (token_id, amount, *least, deadline)
        )
        event = _event(receipt, V3_POSITIONS.event("DecreaseLiquidity"), self.positions)
        return Moved(token_id, event["liquidity"], event["amount0"], event["amount1"], (receipt,))

    def collect(self, token_id: int) -> Moved:
        """Take everything that is owed to a position of ours: fees, and liquidity that was taken out."""
        held = self._ours(token_id)
        if not held.fees0 and not held.fees1:
            raise ValidationError(f"nothing is owed to position {token_id}")
        for token, amount in ((held.pool.token0, held.fees0), (held.pool.token1, held.fees1)):
            if amount:
                Erc20(self.session, token).check(held.pool.address, self.who.address, amount)
        order = (token_id, self.who.address, UINT_128_MAX, UINT_128_MAX)
        receipt = self._send(self.positions, V3_POSITIONS.function("collect"), order)
        event = _event(receipt, V3_POOL.event("Collect"), held.pool.address)
        return Moved(token_id, 0, event["amount0"], event["amount1"], (receipt,))

    def burn(self, token_id: int) -> Receipt:
        """Forget an empty position of ours."""
        held = self._ours(token_id)
        if held.liquidity or held.fees0 or held.fees1:
            raise ValidationError(
                f"position {token_id} still has a liquidity of {held.liquidity} and is owed {held.fees0} and {held.fees1} "
                f"base units; decrease and collect first"
            )
        return self._send(self.positions, V3_POSITIONS.function("burn"), token_id)

    # ---------------------------------------------------------------- parts
    def _send(self, to: str, function: Any, *arguments: Any) -> Receipt:
        try:
            return self.session.send(self.who, to, function, *arguments)
        except RevertError as error:
            if error.reason in REASONS:
                raise RevertError(f"{error} ({REASONS[error.reason]})", error.reason) from error
            raise

    def _token(self, symbol: str) -> Erc20:
        return Erc20(self.session, self.session.tokens.symbol(symbol))

    def _ours(self, token_id: int) -> Held:
        held = self.position(token_id)
        if held.owner.lower() != self.who.address.lower():
            raise ValidationError(f"position {token_id} belongs to {held.owner}, not to {self.who.address}")
        return held


@contextmanager
def approved(session: Session, who: LocalAccount, spender: str, *offers: tuple[Erc20, int]) -> Iterator[list[Receipt]]:
    """Let a spender take exactly these amounts inside the block, and nothing after it; what is mined meanwhile is in the list."""
    heard: list[Receipt] = []
    with session.listening(heard.append), ExitStack() as approvals:
        for token, amount in offers:
            approvals.enter_context(token.allowed(who, spender, amount))
        yield heard


def last(heard: list[Receipt], receipt: Receipt) -> tuple[Receipt, ...]:
    """The receipts of an order, its approvals first."""
    return (*(one for one in heard if one.hash != receipt.hash), receipt)


def _event(receipt: Receipt, event: Any, address: str) -> dict[str, Any]:
    """The last such event of a contract; ChainError when the receipt lacks it."""
    found = receipt.events(event, address)
    if not found:
        raise ChainError(f"the receipt of {receipt.hash} lacks the event {event.name} of {address}")
    return found[-1]
