"""Makes the tests' helpers importable and hands out pools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)

from aave_pools import CURVE, NOW, STEEP  # noqa: E402  the path comes first

from treasury_arena_aave.exact.pool import Pool  # noqa: E402
from treasury_arena_aave.exact.state import ReserveConfig  # noqa: E402
from treasury_arena_aave.exact.versions import V3_0, Version  # noqa: E402


@pytest.fixture(scope="session")
def make_pool() -> Callable[..., Pool]:
    """``make_pool(version)``: USDC 1 USD, WETH 2,000 USD, WBTC 40,000 USD."""

    def make(version: Version = V3_0) -> Pool:
        pool = Pool(version, NOW)
        pool.list_reserve("USDC", ReserveConfig(6, 7700, 8000, 10450, 1000, 1000), CURVE, 10**8)
        pool.list_reserve("WETH", ReserveConfig(18, 8000, 8250, 10500, 1500, 1000), CURVE, 2_000 * 10**8)
        pool.list_reserve("WBTC", ReserveConfig(8, 7000, 7500, 10650, 2000, 1000), STEEP, 40_000 * 10**8)
        return pool

    return make
