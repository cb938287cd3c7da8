"""The integer pools against the deployed bytecode: random operations on both, differences in wei per quantity.

`check_v3` and `check_v2` need a `LocalMarket` of treasury-arena-evm; nothing of the market is kept: run them inside
`chain.isolated()`. `treasury_arena_uniswap.parity.checks` is what `arena parity` runs.
"""

from treasury_arena_uniswap.parity.report import Counts
from treasury_arena_uniswap.parity.v2 import check_v2
from treasury_arena_uniswap.parity.v3 import check_v3

__all__ = ["Counts", "check_v2", "check_v3"]
