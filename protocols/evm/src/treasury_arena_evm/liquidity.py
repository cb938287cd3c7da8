"""Liquidity of v3 positions as the ledger has it: an asset of its own for each token of the position manager.

What a mint gives is neither of its tokens but liquidity, a whole number that stays what it is while the price moves. So books
of it equal the chain at every block, and what it is worth is read when it is asked for.
"""

from __future__ import annotations

import re

PREFIX = "UNI-V3-"
#: keccak256 of IncreaseLiquidity(uint256,uint128,uint256,uint256) and DecreaseLiquidity(uint256,uint128,uint256,uint256).
INCREASED = "0x3067048beee31b25b2f1681f88dac838c8bba36af25bfb2b7cf7473a5847e35f"
DECREASED = "0x26f6a048ee9138f2c0ce266f322cb99228e8d619ae2bff30c67f8dcf9d2377b4"


def asset_of(token_id: int) -> str:
    """Symbol of the liquidity of a position's token."""
    return f"{PREFIX}{token_id}"


def token_of(asset: str) -> int | None:
    """The position's token whose liquidity an asset is; None for any other asset."""
    found = re.fullmatch(rf"{PREFIX}(0|[1-9][0-9]*)", asset)
    return int(found[1]) if found else None


def changed(topics: list[str], data: str) -> tuple[str, int] | None:
    """Which liquidity a log of the position manager adds (+) or takes (-), in base units; None for any other log."""
    if len(topics) != 2 or topics[0] not in (INCREASED, DECREASED) or len(data) != 2 + 3 * 64:
        return None
    amount = int(data[2:66], 16)
    return asset_of(int(topics[1], 16)), amount if topics[0] == INCREASED else -amount
