"""Whole swaps a second of the exact v3 pool: through ticks and words, with fee growth and the protocol's share.

Run: ``python benchmarks/bench_uniswap.py``. A pool like USDC/WETH 0.05% with overlapping positions; exact input and output,
both directions, sizes over five orders of magnitude. One swap in so many crosses a tick; the line says how many.
"""

from __future__ import annotations

import random
import time
from math import isqrt

from treasury_arena_uniswap.exact import V3Pool
from treasury_arena_uniswap.exact.swap_math import compute_swap_step
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick

SWAPS, REPETITIONS = 50_000, 5


def pool(seed: int, fee_protocol: int) -> V3Pool:
    draw = random.Random(seed)
    made = V3Pool(500, 10)
    made.initialize(isqrt((10**18 << 192) // (3_000 * 10**6)))
    centre = made.tick // 10 * 10
    for number in range(13):
        low, high = centre - 10 * draw.randint(1, 400), centre + 10 * draw.randint(1, 400)
        made.mint(f"provider {number}", low, high, 10 ** draw.randint(15, 18))
    made.mint("everywhere", -887_270, 887_270, 10**17)
    made.set_fee_protocol(fee_protocol, fee_protocol)
    return made


def swaps(seed: int, decades: float) -> list[tuple[bool, int]]:
    draw = random.Random(seed)
    found = []
    for _ in range(SWAPS):
        usd = 10.0 ** draw.uniform(0.0, decades)
        zero_for_one, exact_in = draw.random() < 0.5, draw.random() < 0.7
        amount = int(usd * 1e6) if zero_for_one == exact_in else int(usd / 3_000 * 1e18)
        found.append((zero_for_one, amount if exact_in else -amount))
    return found


def main() -> None:
    for name, fee_protocol, decades in (
        ("up to 100,000 USD", 0, 5.0),
        ("up to 100,000 USD, protocol fee", 5, 5.0),
        ("up to 10,000,000 USD", 0, 7.0),
    ):
        best, crossed = float("inf"), 0
        centre = pool(1, 0).tick
        limits = {True: sqrt_ratio_at_tick(centre - 4_000), False: sqrt_ratio_at_tick(centre + 4_000)}
        todo = swaps(2, decades)
        for _ in range(REPETITIONS):
            one, crossed = pool(1, fee_protocol), 0
            begin = time.perf_counter()
            for zero_for_one, amount in todo:
                # The limits keep the price among the positions; a swap that starts at one goes the other way.
                if one.sqrt_price_x96 == limits[zero_for_one]:
                    zero_for_one, amount = not zero_for_one, 10**10 if amount > 0 else -(10**10)
                crossed += len(one.swap(zero_for_one, amount, limits[zero_for_one]).crossed)
            best = min(best, time.perf_counter() - begin)
        print(f"{name:34} {SWAPS / best:9,.0f} swaps/s   {crossed / SWAPS:.3f} ticks crossed a swap")
    one = pool(1, 0)
    target = one.sqrt_price_x96 * 99 // 100
    begin = time.perf_counter()
    for _ in range(SWAPS):
        compute_swap_step(one.sqrt_price_x96, target, one.liquidity, 10**9, 500)
    print(f"{'one step':34} {SWAPS / (time.perf_counter() - begin):9,.0f} steps/s")


if __name__ == "__main__":
    main()
