"""Positions of the manager as a chain shows them, with the fees that they could collect."""

from __future__ import annotations

from typing import Any

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY, V3_POSITIONS
from treasury_arena_evm.reading import ChainReader
from treasury_arena_evm.tokens import Token
from treasury_arena_evm.v3 import Pool, V3Reader, pool_reads
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.owed import Noted, owed, owed_reads


@attrs.frozen
class Held:
    """A position now: what its liquidity amounts to and what it has earned, rounded down as the contracts pay it out."""

    token_id: int
    owner: str
    pool: Pool
    lower: int
    upper: int
    liquidity: int
    amount0: int
    amount1: int
    fees0: int
    fees1: int

    @property
    def inside(self) -> bool:
        """Whether the price is in the range."""
        return self.lower <= self.pool.tick < self.upper

    def worth(self, token: Token) -> int:
        """Base units of one of the pool's tokens that liquidity and fees are worth at the pool's price."""
        return self.pool.worth(self.amount0 + self.fees0, self.amount1 + self.fees1, token)


class PositionsReader(V3Reader):
    """Pools, quotes and positions for the account `owner`; contract addresses are the chain's pinned ones unless given."""

    def __init__(self, reader: ChainReader, owner: str, *, positions: str | None = None, **more: Any) -> None:
        super().__init__(reader, owner, **more)
        self.positions = positions or reader.chain.contract("uniswap_v3_positions")

    def position(self, token_id: int) -> Held:
        """A position by its token, with the fees it could collect; RevertError when there is no such token.

        Raises ValidationError for a number that no token can have.
        """
        check_whole(token_id, "the token of a position")
        if not 0 <= token_id < 2**256:
            raise ValidationError(f"{token_id} is the token of no position; expected a number from 0 to 2^256 - 1")
        with self.reader.pinned() as block:
            return self._position(token_id, block)

    def _position(self, token_id: int, block: int) -> Held:
        def read(name: str) -> Any:
            return self.reader.call(self.positions, V3_POSITIONS.function(name), token_id)

        self.reader.read_ahead(
            (self.positions, V3_POSITIONS.function(name), (token_id,)) for name in ("positions", "ownerOf")
        )
        _, _, address0, address1, fee, lower, upper, *noted = read("positions")
        owner = checksummed(read("ownerOf"))
        tokens = self.reader.tokens.address(address0), self.reader.tokens.address(address1)
        address = self.reader.call(self.factory, V3_FACTORY.function("getPool"), address0, address1, fee)
        self.reader.read_ahead((*pool_reads(address), *owed_reads(address, self.positions, lower, upper)))
        pool = self.pool_at(address, *tokens, fee)
        fees = owed(self.reader, pool, self.positions, lower, upper, Noted(*noted), block)
        bounds = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
        amounts = amounts_for_liquidity(pool.sqrt_price_x96, *bounds, noted[0])
        return Held(token_id, owner, pool, lower, upper, noted[0], *amounts, *fees)

    def owned(self) -> tuple[int, ...]:
        """Tokens of all positions of the account."""
        ask = V3_POSITIONS.function("tokenOfOwnerByIndex")
        with self.reader.pinned():
            count = self.reader.call(self.positions, V3_POSITIONS.function("balanceOf"), self.owner)
            return tuple(self.reader.call(self.positions, ask, self.owner, index) for index in range(count))
