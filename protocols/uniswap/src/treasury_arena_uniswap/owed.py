"""What a position could collect now, by reading alone: also while one of its tokens refuses to be paid out.

The same as asking for `collect` of NonfungiblePositionManager 1.4 without sending it, to the wei: the manager brings its position
in the pool up to date, adds the fee growth since to what the token is owed, and pays no more than the pool owes the manager.
"""

from __future__ import annotations

from typing import NamedTuple

from treasury_arena_evm.abi import Read
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.interfaces.uniswap import V3_POOL
from treasury_arena_evm.reading import ChainReader
from treasury_arena_evm.v3 import Pool
from treasury_arena_uniswap.exact.ticks import Tick
from treasury_arena_uniswap.exact.v3_pool import Position, V3Pool

TOKEN, MANAGER = "token", "manager"


class Noted(NamedTuple):
    """What a contract noted of a position at its last touch: fee growth inside (Q128.128), and base units owed."""

    liquidity: int
    inside0: int
    inside1: int
    owed0: int
    owed1: int


def position_key(owner: str, lower: int, upper: int) -> bytes:
    """Under which a pool keeps a position: keccak256(abi.encodePacked(owner, lower, upper))."""
    ticks = b"".join((tick % 2**24).to_bytes(3, "big") for tick in (lower, upper))
    return keccak(bytes.fromhex(owner[2:]) + ticks)


def owed_reads(pool: str, manager: str, lower: int, upper: int) -> tuple[Read, ...]:
    """What `owed` reads of a pool."""
    plain = tuple((pool, V3_POOL.function(name), ()) for name in ("feeGrowthGlobal0X128", "feeGrowthGlobal1X128"))
    ticks = tuple((pool, V3_POOL.function("ticks"), (tick,)) for tick in (lower, upper))
    return (*plain, *ticks, (pool, V3_POOL.function("positions"), (position_key(manager, lower, upper),)))


def owed(
    reader: ChainReader, pool: Pool, manager: str, lower: int, upper: int, token: Noted, block: int
) -> tuple[int, int]:
    """Base units of token0 and token1 that the manager would pay for one of its tokens, at the block that `pool` was read at."""

    def read(name: str, *arguments: object) -> tuple[int, ...]:
        found = reader.call(pool.address, V3_POOL.function(name), *arguments, block=block)
        return found if isinstance(found, tuple) else (found,)

    copy = V3Pool(pool.fee, pool.spacing)
    copy.tick = pool.tick
    (copy.growth0,), (copy.growth1,) = read("feeGrowthGlobal0X128"), read("feeGrowthGlobal1X128")
    for tick in (lower, upper):
        gross, net, outside0, outside1, *_ = read("ticks", tick)
        copy.ticks.at[tick] = Tick(gross, net, outside0, outside1)
    of_manager = Noted(*read("positions", position_key(manager, lower, upper)))
    if not token.liquidity:  # the manager then leaves its position in the pool as it is
        of_manager = of_manager._replace(liquidity=0)
    for owner, noted in ((TOKEN, token), (MANAGER, of_manager)):
        position = copy.positions[owner, lower, upper] = Position()
        position.liquidity, position.inside0, position.inside1 = noted[:3]
        position.owed0, position.owed1 = noted[3:]
    own, most = (copy.owed(owner, lower, upper) for owner in (TOKEN, MANAGER))
    return min(own[0], most[0]), min(own[1], most[1])
