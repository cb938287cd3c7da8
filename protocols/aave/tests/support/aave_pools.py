"""Curves, units and times that the tests share."""

from __future__ import annotations

from treasury_arena_aave.exact.strategy import RateStrategy

RAY = 10**27
CURVE = RateStrategy(8 * RAY // 10, RAY // 100, 4 * RAY // 100, 60 * RAY // 100)
STEEP = RateStrategy(45 * RAY // 100, 0, 7 * RAY // 100, 300 * RAY // 100)
NOW = 1_700_000_000
USDC, WETH, WBTC = 10**6, 10**18, 10**8
