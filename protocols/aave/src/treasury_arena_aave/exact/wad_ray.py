"""Fixed-point arithmetic of the Aave contracts: wads (10^18), rays (10^27) and percentages in basis points.

The functions without a suffix round half up, as every version did everywhere until 3.4; those with ``_floor`` and ``_ceil``
came with 3.5 and 3.7. Source: WadRayMath.sol and PercentageMath.sol of @aave/core-v3 1.19.3 (half up), of
aave-dao/aave-v3-origin 3.6.0 (floor, ceil) and its docs/3.7/liquidation-rounding.md (``percentDivFloor``).
All arguments are non-negative. The contracts' overflow of 256 bits is not modelled, and of 128 bits only that of an index.
"""

from __future__ import annotations

WAD = 10**18
RAY = 10**27
HALF_RAY = RAY // 2
WAD_RAY_RATIO = 10**9
PERCENT = 10_000
"""One hundred percent, in basis points."""
MAX_UINT128 = 2**128 - 1
"""The largest index that a reserve holds, in ray."""
MAX_UINT256 = 2**256 - 1
"""As an amount: everything. As a health factor: no debt."""


def ray_mul(a: int, b: int) -> int:
    """Product of two numbers of which one is in ray, half up."""
    return (a * b + HALF_RAY) // RAY


def ray_mul_floor(a: int, b: int) -> int:
    """`ray_mul` rounded down."""
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    """`ray_mul` rounded up."""
    return -(-a * b // RAY)


def ray_div(a: int, b: int) -> int:
    """Quotient in ray of two numbers of one scale (or number over ray), half up; `b` is above zero."""
    return (a * RAY + b // 2) // b


def ray_div_floor(a: int, b: int) -> int:
    """`ray_div` rounded down."""
    return a * RAY // b


def ray_div_ceil(a: int, b: int) -> int:
    """`ray_div` rounded up."""
    return -(-a * RAY // b)


def wad_div(a: int, b: int) -> int:
    """Quotient in wad, half up; `b` is above zero."""
    return (a * WAD + b // 2) // b


def percent_mul(value: int, share_bps: int) -> int:
    """`share_bps` basis points of `value`, half up."""
    return (value * share_bps + PERCENT // 2) // PERCENT


def percent_mul_floor(value: int, share_bps: int) -> int:
    """`percent_mul` rounded down."""
    return value * share_bps // PERCENT


def percent_mul_ceil(value: int, share_bps: int) -> int:
    """`percent_mul` rounded up."""
    return -(-value * share_bps // PERCENT)


def percent_div(value: int, share_bps: int) -> int:
    """What `value` is `share_bps` basis points of, half up; `share_bps` is above zero."""
    return (value * PERCENT + share_bps // 2) // share_bps


def percent_div_floor(value: int, share_bps: int) -> int:
    """`percent_div` rounded down."""
    return value * PERCENT // share_bps


def percent_div_ceil(value: int, share_bps: int) -> int:
    """`percent_div` rounded up."""
    return -(-value * PERCENT // share_bps)


def mul_div_ceil(a: int, b: int, c: int) -> int:
    """a b / c rounded up; `c` is above zero."""
    return -(-a * b // c)
