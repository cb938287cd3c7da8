"""One step of a swap: at constant liquidity, as far as the target price or the amount allows (v3-core SwapMath)."""

from __future__ import annotations

from treasury_arena_uniswap.exact.sqrt_price_math import (
    amount0_delta,
    amount1_delta,
    next_sqrt_price_from_input,
    next_sqrt_price_from_output,
)

PIPS = 1_000_000
"""Fees are millionths of what comes in."""


def compute_swap_step(
    current_x96: int, target_x96: int, liquidity: int, remaining: int, fee_pips: int
) -> tuple[int, int, int, int]:
    """Swap towards `target_x96`.

    Args:
        current_x96, target_x96: square-root prices; token0 comes in when the target is not above.
        liquidity: L in range.
        remaining: what is left of the amount in (positive) or out (negative).
        fee_pips: millionths.

    Returns the square-root price reached, amount in (without fee), amount out, fee.
    """
    if current_x96 >= target_x96:
        if remaining >= 0:
            less_fee = remaining * (PIPS - fee_pips) // PIPS
            amount_in = amount0_delta(target_x96, current_x96, liquidity, True)
            if less_fee >= amount_in:
                reached = target_x96
            else:
                reached = next_sqrt_price_from_input(current_x96, liquidity, less_fee, True)
                if reached != target_x96:
                    amount_in = amount0_delta(reached, current_x96, liquidity, True)
                    out = amount1_delta(reached, current_x96, liquidity, False)
                    return reached, amount_in, out, remaining - amount_in
            amount_out = amount1_delta(reached, current_x96, liquidity, False)
        else:
            amount_out = amount1_delta(target_x96, current_x96, liquidity, False)
            if -remaining >= amount_out:
                reached = target_x96
            else:
                reached = next_sqrt_price_from_output(current_x96, liquidity, -remaining, True)
                if reached != target_x96:
                    amount_out = min(amount1_delta(reached, current_x96, liquidity, False), -remaining)
            amount_in = amount0_delta(reached, current_x96, liquidity, True)
    elif remaining >= 0:
        less_fee = remaining * (PIPS - fee_pips) // PIPS
        amount_in = amount1_delta(current_x96, target_x96, liquidity, True)
        if less_fee >= amount_in:
            reached = target_x96
        else:
            reached = next_sqrt_price_from_input(current_x96, liquidity, less_fee, False)
            if reached != target_x96:
                amount_in = amount1_delta(current_x96, reached, liquidity, True)
                out = amount0_delta(current_x96, reached, liquidity, False)
                return reached, amount_in, out, remaining - amount_in
        amount_out = amount0_delta(current_x96, reached, liquidity, False)
    else:
        amount_out = amount0_delta(current_x96, target_x96, liquidity, False)
        if -remaining >= amount_out:
            reached = target_x96
        else:
            reached = next_sqrt_price_from_output(current_x96, liquidity, -remaining, False)
            if reached != target_x96:
                amount_out = min(amount0_delta(current_x96, reached, liquidity, False), -remaining)
        amount_in = amount1_delta(current_x96, reached, liquidity, True)
    if remaining < 0 and amount_out > -remaining:
        amount_out = -remaining
    return reached, amount_in, amount_out, -(-amount_in * fee_pips // (PIPS - fee_pips))
