"""Input at prices so high that the contract's 256 bits do not hold its own formula, and it takes a coarser one: on the bytecode.

A step of a swap ends within one word of the bitmap, so at the usual tick spacings the price falls by less than a factor of 170 in
one step, and amounts stay so small that the precise formula always fits (the last test). A factory's owner may enable a spacing
of 16,383; there one word spans half of all prices.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.testing.mutants import Mutant
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY, V3_POOL, V3_POSITIONS
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.exact import V3Pool
from treasury_arena_uniswap.exact.sqrt_price_math import next_sqrt_price_from_input
from treasury_arena_uniswap.exact.tick_math import MIN_SQRT_RATIO, Q128, Q256, sqrt_ratio_at_tick
from treasury_arena_uniswap.parity.batch import logged
from treasury_arena_uniswap.parity.v3 import CALLER

SPACING, END = 16_383, 54 * 16_383
LIQUIDITY = 2**120 + 12_345
PRICE = 2**150 + 987_654_321_987_654_321
ABOVE = LIQUIDITY << 96
#: The last amounts with which the sum, and then the product alone, of the precise formula stay within 256 bits.
SUM_FITS, PRODUCT_FITS = (Q256 - 1 - ABOVE) // PRICE, (Q256 - 1) // PRICE
INPUTS = (1, 2**90, SUM_FITS, SUM_FITS + 1, PRODUCT_FITS, PRODUCT_FITS + 1, 2**108, 2**114)


def differing(market: LocalMarket) -> list[int]:
    """The inputs after which pool and bytecode do not have the same amounts, price and tick; each from the same first state."""
    chain, owner, user, caller = market.chain, market.owner.address, market.users[0].address, market.uniswap.caller
    chain.send(owner, market.uniswap.factory, V3_FACTORY.function("enableFeeAmount"), 0, SPACING)
    tokens = sorted((market.token(symbol).address for symbol in ("USDC", "DAI")), key=lambda one: int(one, 16))
    create = V3_POSITIONS.function("createAndInitializePoolIfNecessary")
    chain.send(owner, market.uniswap.positions, create, *tokens, 0, PRICE)
    address = chain.call(market.uniswap.factory, V3_FACTORY.function("getPool"), *tokens, 0)
    for symbol in ("USDC", "DAI"):
        market.fund(symbol, user, 2**200)
        market.approve(user, symbol, caller)
    chain.send(user, caller, CALLER.function("mint"), address, -END, END, LIQUIDITY)
    found = []
    for amount in INPUTS:
        pool = V3Pool(0, SPACING)
        pool.initialize(PRICE)
        pool.mint(user, -END, END, LIQUIDITY)
        ours = pool.swap(True, amount)
        with chain.isolated():
            swap = CALLER.function("swap")
            seen = logged(chain.send(user, caller, swap, address, True, amount, MIN_SQRT_RATIO + 1), address, SWAP)
        theirs = tuple(seen[name] for name in ("amount0", "amount1", "sqrtPriceX96", "tick"))
        if theirs != (ours.amount0, ours.amount1, ours.sqrt_price_x96, ours.tick):
            found.append(amount)
    return found


SWAP = V3_POOL.event("Swap")
GUARD = "if product < Q256 and above + product < Q256:"
WRONG = [
    (Mutant("always precise", next_sqrt_price_from_input, GUARD, "if True:"), set(INPUTS[3:7])),
    (
        Mutant("the sum is not looked at", next_sqrt_price_from_input, " and above + product < Q256:", ":"),
        set(INPUTS[3:5]),
    ),
    (Mutant("always coarse", next_sqrt_price_from_input, GUARD, "if False:"), set(INPUTS[:3])),
    (
        Mutant(
            "coarse one unit late",
            next_sqrt_price_from_input,
            "above + product < Q256",
            "above + product < Q256 + sqrt_price_x96",
        ),
        {INPUTS[3]},
    ),
]


def test_a_price_beyond_the_precise_formula_equals_the_contract(make_local_market: Callable[..., LocalMarket]) -> None:
    assert PRODUCT_FITS > SUM_FITS + 1
    assert differing(make_local_market(liquid=False)) == []


@pytest.mark.parametrize(("mutant", "noticed"), WRONG, ids=[mutant.name for mutant, _ in WRONG])
def test_another_choice_of_the_formula_is_noticed(
    make_local_market: Callable[..., LocalMarket], monkeypatch: pytest.MonkeyPatch, mutant: Mutant, noticed: set[int]
) -> None:
    mutant.switch_on(monkeypatch)
    assert set(differing(make_local_market(liquid=False))) == noticed


@pytest.mark.parametrize("spacing", [1, 10, 60, 200])
def test_the_usual_spacings_never_need_the_coarser_formula(spacing: int) -> None:
    """Less comes in than takes the root p of the price to the step's end q: amount * p <= (L << 96) * (p - q) / q. So the sum of
    the precise formula is at most (L << 96) * p / q, and p / q at most what a word spans: the same for every word, but for
    rounding at the lowest prices, where it is far from doubled.
    """
    widest = sqrt_ratio_at_tick(256 * spacing) // sqrt_ratio_at_tick(0) + 1
    assert 2 * widest * (Q128 << 96) < Q256
