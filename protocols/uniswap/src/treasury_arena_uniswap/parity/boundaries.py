"""Where the v3 comparison takes the price: into the very ticks at which positions begin and end.

Random swaps nearly never stop there, and there every comparison of the pool's tick with a position's ticks (`<` or `<=`) decides.
At the boundary's own price amounts are the same either way, and only fee growth and liquidity tell; in the middle of its tick
amounts tell as well. From above, a swap to the boundary's own price crosses it and stands one tick lower.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from treasury_arena_uniswap.exact import V3Pool
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick

Key = tuple[str, int, int]
"""A position: owner, lower tick, upper tick."""


class Boundary(NamedTuple):
    """A position, and a square-root price (Q64.96) at, in or just below the first tick inside it or the first above it."""

    position: Key
    sqrt_price_x96: int


def any_boundary(draw: random.Random, pool: V3Pool, positions: Sequence[Key], centre: int, far: int) -> Boundary | None:
    """One that is not where the price is already; None where no position begins or ends less than `far` ticks from `centre`."""
    near = [(key, tick) for key in positions for tick in key[1:] if abs(tick - centre) < far]
    if not near:
        return None
    position, tick = draw.choice(near)
    start, end = sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick + 1)
    stops = [start, start, start + 1, (start + end) // 2, end - 1, start - 1]
    return Boundary(position, draw.choice([stop for stop in stops if stop != pool.sqrt_price_x96]))
