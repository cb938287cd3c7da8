"""Uniswap v3 pools as a chain shows them: state, quotes, calldata of swaps, and what no order of ours may be."""

from __future__ import annotations

from typing import Any

import attrs

from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_evm.abi import Read
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.erc20 import TokenReader
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY, V3_POOL, V3_QUOTER, V3_ROUTER02
from treasury_arena_evm.reading import ChainReader
from treasury_arena_evm.tokens import Token

AMOUNT_MAX = 2**127
"""No amount of ours is as large; one that seems to be is a "take all" that does not belong here."""
DEADLINE_SECONDS_MAX = 86_400
SLIPPAGE_BPS_MAX = 1_000
BPS = 10_000
NOWHERE = "0x" + "00" * 20


@attrs.frozen
class Pool:
    """A v3 pool on the chain and its state at one block. `token0`, `token1` are pinned tokens, `fee` is in millionths."""

    address: str
    token0: Token
    token1: Token
    fee: int
    spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int

    @property
    def name(self) -> str:
        return f"{self.token0.symbol}/{self.token1.symbol} {self.fee / 10_000:g}%"

    def worth(self, amount0: int, amount1: int, token: Token) -> int:
        """Base units of `token` (one of the two) that the amounts are worth at the pool's price, rounded down."""
        square = self.sqrt_price_x96 * self.sqrt_price_x96
        if token == self.token0:
            return amount0 + (amount1 << 192) // square
        if token == self.token1:
            return amount1 + (amount0 * square >> 192)
        raise ValidationError(f"{token.symbol} is not a token of the pool {self.name}")


@attrs.frozen
class Quote:
    """What a swap would do now. `impact_bps`: what comes out against the pool's price before, fee included."""

    amount_in: int
    amount_out: int
    sqrt_price_after_x96: int
    ticks_crossed: int
    impact_bps: float


def check_amount(amount: int, what: str) -> None:
    """Raise ValidationError for nothing, less, and amounts that can only be a mistake."""
    check_whole(amount, f"{what} in base units")
    if amount <= 0:
        raise ValidationError(f"{what} of {amount} base units is none")
    if amount >= AMOUNT_MAX:
        raise ValidationError(f"{what} of {amount} base units is beyond any amount of ours; give the exact one")


def check_least(least: int, what: str) -> None:
    """Raise ValidationError for an order that would take any price."""
    check_whole(least, f"{what} in base units")
    if least <= 0:
        raise ValidationError(f"{what} of {least} would take any price; say what is the least")


def check_deadline(deadline: int, now: int) -> None:
    """Raise ValidationError for a time that has passed, or one so far that it is no deadline."""
    check_whole(deadline, "the deadline in seconds since 1970")
    if deadline <= now:
        raise ValidationError(f"the deadline {deadline} is not after the chain's time {now}")
    if deadline > now + DEADLINE_SECONDS_MAX:
        raise ValidationError(
            f"the deadline {deadline} is {deadline - now} s away; at most {DEADLINE_SECONDS_MAX} s are allowed"
        )


def check_priced(pool: Pool) -> None:
    """Raise ValidationError for a pool without a price."""
    if not pool.sqrt_price_x96:
        raise ValidationError(f"the pool {pool.name} at {pool.address} has no price yet")


def check_liquid(pool: Pool) -> None:
    """Raise ValidationError for a pool without a price, or without liquidity at its price."""
    check_priced(pool)
    if not pool.liquidity:
        raise ValidationError(f"the pool {pool.name} at {pool.address} is empty at its price")


def check_slippage(slippage_bps: int) -> None:
    """Raise ValidationError for a tolerance of nothing (it would never be met) or of more than a tenth."""
    check_whole(slippage_bps, "a slippage in bps")
    if not 1 <= slippage_bps <= SLIPPAGE_BPS_MAX:
        raise ValidationError(f"a slippage of {slippage_bps} bps must lie from 1 to {SLIPPAGE_BPS_MAX}")


def check_move_limit(move_bps_max: int) -> None:
    """Raise ValidationError for a move of the price that nothing stays below, or everything does."""
    if not 1 <= move_bps_max < BPS:
        raise ValidationError(f"a move of the price by {move_bps_max} bps must lie from 1 to {BPS - 1}")


def least_out(expected: int, slippage_bps: int) -> int:
    """The least that a swap may bring of what is expected of it; never nothing."""
    return max(1, expected * (BPS - slippage_bps) // BPS)


def check_unmoved(pool: Pool, quoted_x96: int, slippage_bps: int) -> None:
    """Raise ValidationError where the pool's price has moved by more than the slippage since it was `quoted_x96`."""
    if beyond(quoted_x96, pool.sqrt_price_x96, slippage_bps):
        was, now = quoted_x96**2, pool.sqrt_price_x96**2
        raise ValidationError(
            f"the price of {pool.name} has moved by {abs(now - was) * BPS // was} bps since the quote, more than {slippage_bps}"
        )


def beyond(was_x96: int, now_x96: int, bps: int) -> bool:
    """Whether a price (as square roots, Q64.96) is further from what it was than so many parts in 10,000."""
    was, now = was_x96**2, now_x96**2
    return abs(now - was) * BPS > was * bps


def check_move(pool: Pool, after_x96: int, move_bps_max: int, what: str) -> None:
    """Raise SizeRefusedError for an order (`what` it is, in words) after which the pool's price is too far from where it was."""
    low, high = sorted((pool.sqrt_price_x96, after_x96))
    was, now = low**2, high**2
    if beyond(low, high, move_bps_max):
        raise SizeRefusedError(
            f"{what} would move the price of {pool.name} by {(now - was) * BPS // was} bps, more than {move_bps_max}; split it"
        )


def pool_reads(address: str) -> tuple[Read, ...]:
    """What `V3Reader.pool_at` reads of a pool."""
    return tuple((address, V3_POOL.function(name), ()) for name in ("slot0", "tickSpacing", "liquidity"))


class V3Reader:
    """Pools of pinned tokens and what swapping in them would do, for the account `owner`.

    Contract addresses are the chain's pinned ones unless given.
    """

    def __init__(
        self, reader: ChainReader, owner: str, *, factory: str | None = None, quoter: str | None = None
    ) -> None:
        self.reader, self.owner = reader, owner
        self.factory = factory or reader.chain.contract("uniswap_v3_factory")
        self.quoter = quoter or reader.chain.contract("uniswap_v3_quoter")

    def pool(self, a: str, b: str, fee: int) -> Pool:
        """The pool of two pinned tokens (by symbol) at a fee in millionths; ValidationError when there is none."""
        one, other = self.reader.tokens.symbol(a), self.reader.tokens.symbol(b)
        token0, token1 = sorted((one, other), key=lambda token: int(token.address, 16))
        with self.reader.pinned():
            return self._pool_of(token0, token1, fee)

    def _pool_of(self, token0: Token, token1: Token, fee: int) -> Pool:
        check_whole(fee, "the fee in millionths")
        if not 0 <= fee < 1_000_000:
            raise ValidationError(
                f"a fee of {fee} millionths is none of a pool; expected 0 to 999999, as 500 for 0.05%"
            )
        address = self.reader.call(self.factory, V3_FACTORY.function("getPool"), token0.address, token1.address, fee)
        if address == NOWHERE:
            raise ValidationError(
                f"there is no pool of {token0.symbol} and {token1.symbol} with a fee of {fee / 10_000:g}% on "
                f"{self.reader.chain.name}"
            )
        return self.pool_at(address, token0, token1, fee)

    def pool_at(self, address: str, token0: Token, token1: Token, fee: int) -> Pool:
        """A pool whose address is known."""

        def read(name: str) -> Any:
            return self.reader.call(address, V3_POOL.function(name))

        with self.reader.pinned():
            self.reader.read_ahead(pool_reads(address))
            price, tick, *_ = read("slot0")
            return Pool(checksummed(address), token0, token1, fee, read("tickSpacing"), price, tick, read("liquidity"))

    def quote(self, token_in: str, token_out: str, fee: int, amount: int, exact_in: bool = True) -> Quote:
        """What swapping exactly `amount` in (or, not `exact_in`, out) would do, by QuoterV2.

        Raises ValidationError for an empty pool or an amount that is none, and where the token that would come out is one
        that cannot be paid (paused, ...); SizeRefusedError where the pool cannot take or give it all.
        """
        with self.reader.pinned():
            pool = self.pool(token_in, token_out, fee)
            check_liquid(pool)
            check_amount(amount, "a swap")
            tokens = self.reader.tokens.symbol(token_in), self.reader.tokens.symbol(token_out)
            name = "quoteExactInputSingle" if exact_in else "quoteExactOutputSingle"
            order = (tokens[0].address, tokens[1].address, amount, fee, 0)
            try:
                other, price, crossed, _ = self.reader.call(self.quoter, V3_QUOTER.function(name), order)
            except RevertError as error:
                # A pool pays before it is paid, also the quoter: a token that it cannot pay with says more than the quoter does.
                TokenReader(self.reader, tokens[1]).check(pool.address, self.owner, 1)
                if not exact_in:  # the quoter only says "Unexpected error" where the pool ends before the amount is out
                    raise _too_much(pool, f"give {amount} base units of {token_out}") from error
                raise
        came, went = (amount, other) if exact_in else (other, amount)
        forward = tokens[0] == pool.token0
        fair = pool.worth(came, 0, tokens[1]) if forward else pool.worth(0, came, tokens[1])
        if not self._within(pool, price):
            raise _too_much(pool, f"swap {amount} base units")
        return Quote(came, went, price, crossed, max(0.0, 10_000.0 * (fair - went) / fair) if fair else 0.0)

    @staticmethod
    def _within(pool: Pool, price_after: int) -> bool:
        """Whether a swap ended inside the liquidity: without any it runs on to the end of all prices, and is partial."""
        return pool.sqrt_price_x96 >> 16 < price_after < pool.sqrt_price_x96 << 16


def _too_much(pool: Pool, what: str) -> SizeRefusedError:
    return SizeRefusedError(f"the pool {pool.name} has not the liquidity to {what}; split it")


def swap_calldata(
    token_in: Token, token_out: Token, fee: int, recipient: str, amounts: tuple[int, int], deadline: int, name: str
) -> tuple[Any, ...]:
    """SwapRouter02's function and arguments for one swap before a deadline; `name` is `exactInputSingle` (amounts: in, least
    out) or `exactOutputSingle` (out, most in).
    """
    order = (token_in.address, token_out.address, fee, recipient, *amounts, 0)
    return V3_ROUTER02.function("multicall"), deadline, [V3_ROUTER02.function(name).encode(order)]
