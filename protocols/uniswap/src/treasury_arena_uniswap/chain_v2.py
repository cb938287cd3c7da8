"""Uniswap v2 on a chain: swaps through UniswapV2Router02, as one account, quoted by the pair's own arithmetic.

Everything is looked at before anything is signed, as in `treasury_arena_uniswap.chain`. Amounts are base units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_evm import v3
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.uniswap import V2_FACTORY, V2_PAIR, V2_ROUTER
from treasury_arena_evm.receipts import Receipt
from treasury_arena_uniswap.chain import approved, last
from treasury_arena_uniswap.exact.refusal import RefusedError
from treasury_arena_uniswap.exact.v2_pool import amount_in, amount_out

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session
    from treasury_arena_evm.tokens import Token


@attrs.frozen
class Pair:
    """A pair at one block, seen from the token that would go in: its reserve, and the other's."""

    address: str
    token_in: Token
    token_out: Token
    reserve_in: int
    reserve_out: int

    @property
    def name(self) -> str:
        return f"{self.token_in.symbol}/{self.token_out.symbol} (v2)"


@attrs.frozen
class SwappedV2:
    """A swap that was mined, with the receipts: approvals first, the swap last."""

    amount_in: int
    amount_out: int
    receipts: tuple[Receipt, ...]


class UniswapV2:
    """Swaps of the account `who` in one pair; contract addresses are the chain's pinned ones."""

    def __init__(self, session: Session, who: LocalAccount) -> None:
        self.session, self.who = session, who
        self.factory = session.chain.contract("uniswap_v2_factory")
        self.router = session.chain.contract("uniswap_v2_router")

    def pair(self, token_in: str, token_out: str) -> Pair:
        """The pair of two pinned tokens (by symbol); ValidationError when there is none."""
        given, got = self.session.tokens.symbol(token_in), self.session.tokens.symbol(token_out)
        address = self.session.call(self.factory, V2_FACTORY.function("getPair"), given.address, got.address)
        if address == v3.NOWHERE:
            raise ValidationError(
                f"there is no v2 pair of {given.symbol} and {got.symbol} on {self.session.chain.name}"
            )
        reserves = self.session.call(address, V2_PAIR.function("getReserves"))[:2]
        forward = int(given.address, 16) < int(got.address, 16)
        return Pair(checksummed(address), given, got, *(reserves if forward else reserves[::-1]))

    def quote(self, token_in: str, token_out: str, amount: int, exact_in: bool = True) -> int:
        """What exactly `amount` in would give or, not `exact_in`, what exactly `amount` out would take: base units as an int.

        A pair has one price and no ticks, so there is no more to tell; `UniswapV3.quote` returns a Quote.

        Raises ValidationError for an empty pair, an amount that is none, and more than the pair has.
        """
        return self._quoted(self.pair(token_in, token_out), amount, exact_in)

    @staticmethod
    def _quoted(pair: Pair, amount: int, exact_in: bool) -> int:
        v3.check_amount(amount, "a swap")
        if not pair.reserve_in or not pair.reserve_out:
            raise ValidationError(f"the pair {pair.name} at {pair.address} is empty")
        try:
            return (amount_out if exact_in else amount_in)(amount, pair.reserve_in, pair.reserve_out)
        except RefusedError as error:
            raise ValidationError(f"the pair {pair.name} does not swap {amount} base units: {error}") from error

    def swap(self, token_in: str, token_out: str, amount_in: int, least_out: int, deadline: int) -> SwappedV2:
        """Swap exactly `amount_in` for at least `least_out` before `deadline` (seconds since 1970)."""
        v3.check_least(least_out, "a least amount out")
        pair = self.pair(token_in, token_out)
        out = self._quoted(pair, amount_in, True)
        if out < least_out:
            raise ValidationError(f"the swap would give {out} base units of {token_out} now, fewer than {least_out}")
        return self._swapped(pair, "swapExactTokensForTokens", (amount_in, least_out), (amount_in, out), deadline)

    def swap_for(self, token_in: str, token_out: str, amount_out: int, most_in: int, deadline: int) -> SwappedV2:
        """Swap at most `most_in` for exactly `amount_out` before `deadline`."""
        v3.check_amount(most_in, "a most amount in")
        pair = self.pair(token_in, token_out)
        cost = self._quoted(pair, amount_out, False)
        if cost > most_in:
            raise ValidationError(f"the swap would take {cost} base units of {token_in} now, more than {most_in}")
        return self._swapped(pair, "swapTokensForExactTokens", (amount_out, most_in), (cost, amount_out), deadline)

    def _swapped(
        self, pair: Pair, function: str, limits: tuple[int, int], quoted: tuple[int, int], deadline: int
    ) -> SwappedV2:
        v3.check_deadline(deadline, self.session.now)
        spent, got, me = Erc20(self.session, pair.token_in), Erc20(self.session, pair.token_out), self.who.address
        spent.check(me, pair.address, quoted[0])
        if quoted[1]:
            got.check(pair.address, me, quoted[1])
        most = limits[0] if function == "swapExactTokensForTokens" else limits[1]
        path = (spent.token.address, got.token.address)
        call = V2_ROUTER.function(function), *limits, path, me, deadline
        with approved(self.session, self.who, self.router, (spent, most)) as heard:
            receipt = self.session.send(self.who, self.router, *call)
        events = receipt.events(V2_PAIR.event("Swap"), pair.address)
        if not events:
            raise ChainError(f"the receipt of {receipt.hash} lacks the event Swap of {pair.address}")
        event = events[-1]
        came, went = event["amount0In"] + event["amount1In"], event["amount0Out"] + event["amount1Out"]
        return SwappedV2(came, went, last(heard, receipt))
