"""The pools themselves in Python integers: what the contracts compute, to the wei, with their reasons for refusing.

Nothing here knows a market frame, a price in USD or a token's decimals: amounts are base units, prices are square roots
times 2**96, and token0 and token1 are what the pool calls them.
"""

from treasury_arena_uniswap.exact.refusal import RefusedError
from treasury_arena_uniswap.exact.v2_pool import V2Pool
from treasury_arena_uniswap.exact.v3_pool import SwapResult, V3Pool

__all__ = ["RefusedError", "SwapResult", "V2Pool", "V3Pool"]
