"""The integer pools against the deployed bytecode: random operations on both, differences in wei per quantity.

Needs a `LocalMarket` of treasury-arena-evm. Nothing of the market is kept: run it inside `chain.isolated()`.
"""

from treasury_arena_uniswap.parity.report import Parity, Quantity
from treasury_arena_uniswap.parity.v2 import check_v2
from treasury_arena_uniswap.parity.v3 import check_v3

__all__ = ["Parity", "Quantity", "check_v2", "check_v3"]
