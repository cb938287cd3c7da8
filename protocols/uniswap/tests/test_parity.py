"""The integers equal the deployed bytecode to the wei; and the comparison bites when one of them is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import treasury_arena_uniswap.exact.swap_math as swap_math
import treasury_arena_uniswap.exact.v2_pool as v2_pool
import treasury_arena_uniswap.exact.v3_pool as v3_pool
from treasury_arena.testing.mutants import Mutant
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.exact import V2Pool
from treasury_arena_uniswap.exact.refusal import require
from treasury_arena_uniswap.exact.ticks import TickTable
from treasury_arena_uniswap.parity import Counts, check_v2, check_v3
from treasury_arena_uniswap.parity.checks import V2Parity, V3Parity, checks
from treasury_arena_uniswap.protocol import UniswapProtocol

V3 = {
    *("refusal", "swap amount0", "swap amount1", "swap sqrtPriceX96", "swap tick after a swap"),
    *("swap liquidity after a swap", "mint amount0", "mint amount1", "burn amount0", "burn amount1"),
    *("collect amount0", "collect amount1", "sqrtPriceX96", "tick", "liquidity", "bitmap word"),
    *("feeGrowthGlobal0X128", "feeGrowthGlobal1X128", "protocolFees0", "protocolFees1"),
    *(f"position {name}" for name in ("liquidity", "fee growth 0", "fee growth 1", "fees owed 0", "fees owed 1")),
    *(f"tick {name}" for name in ("gross liquidity", "net liquidity", "fee growth 0", "fee growth 1")),
}
V2 = {
    *("refusal", "reserve0", "reserve1", "supply", "shares", "k_last", "add amount0", "add amount1"),
    *("remove amount0", "remove amount1", "swap amount0In", "swap amount1In", "swap amount0Out", "swap amount1Out"),
}
V2_REASONS = (
    "K",
    "INSUFFICIENT_LIQUIDITY_MINTED",
    "INSUFFICIENT_OUTPUT_AMOUNT",
    "INSUFFICIENT_LIQUIDITY",
    "INSUFFICIENT_LIQUIDITY_BURNED",
)


@pytest.fixture
def market(make_local_market: Callable[..., LocalMarket]) -> Callable[..., LocalMarket]:
    return lambda usdc_first=True, protocol_fee=0: make_local_market(
        usdc_first=usdc_first, protocol_fee=protocol_fee, liquid=False
    )


@pytest.mark.parametrize("protocol_fee", [0, 5])
@pytest.mark.parametrize("usdc_first", [True, False])
def test_v3_equals_the_contracts(market: Callable[..., LocalMarket], usdc_first: bool, protocol_fee: int) -> None:
    parity = check_v3(market(usdc_first, protocol_fee), operations=2_000, seed=7)
    assert parity.differences == {}
    assert set(parity.compared) >= V3
    assert parity.operations == 2_000
    assert parity.refused > 50
    assert parity.crossed > 100
    assert min(parity.at_lower, parity.at_upper) > 40
    assert set(parity.reasons) >= {"", "AS", "SPL", "TLU", "LO", "LS", "NP"}


@pytest.mark.parametrize("fee", [3_000, 10_000])
def test_v3_equals_the_contracts_at_other_fees(market: Callable[..., LocalMarket], fee: int) -> None:
    parity = check_v3(market(protocol_fee=5), operations=200, seed=8, fee=fee)
    assert parity.differences == {}


@pytest.mark.parametrize("protocol_fee", [False, True])
@pytest.mark.parametrize("usdc_first", [True, False])
def test_v2_equals_the_contracts(market: Callable[..., LocalMarket], usdc_first: bool, protocol_fee: bool) -> None:
    parity = check_v2(market(usdc_first), operations=2_000, seed=7, protocol_fee=protocol_fee)
    assert parity.differences == {}
    assert set(parity.compared) >= V2
    assert parity.refused > 30
    assert set(parity.reasons) >= {"ds-math-sub-underflow", *(f"UniswapV2: {reason}" for reason in V2_REASONS)}


def _fee_rounded_down(monkeypatch: pytest.MonkeyPatch) -> None:
    step = swap_math.compute_swap_step

    def mutated(current: int, target: int, liquidity: int, remaining: int, pips: int) -> tuple[int, int, int, int]:
        reached, paid, got, fee = step(current, target, liquidity, remaining, pips)
        return reached, paid, got, fee if remaining > 0 and reached != target else paid * pips // (10**6 - pips)

    monkeypatch.setattr(v3_pool, "compute_swap_step", mutated)


def _price_rounded_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    move = swap_math.next_sqrt_price_from_input
    monkeypatch.setattr(
        swap_math, "next_sqrt_price_from_input", lambda p, depth, x, down: move(p, depth, x, down) - down
    )


def _received_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    delta = swap_math.amount0_delta
    monkeypatch.setattr(swap_math, "amount0_delta", lambda a, b, liquidity, up: delta(a, b, liquidity, True))


def _beyond_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutated(table: TickTable, tick: int, downwards: bool) -> tuple[int, bool]:
        found = [one for one in table.at if (one <= tick if downwards else one > tick)]
        if not found:
            return (-887_272, False) if downwards else (887_272, False)
        return (max(found) if downwards else min(found)), True

    monkeypatch.setattr(TickTable, "next_within_word", mutated)


def _word_one_tick_long(monkeypatch: pytest.MonkeyPatch) -> None:
    sought = TickTable.next_within_word

    def mutated(table: TickTable, tick: int, downwards: bool) -> tuple[int, bool]:
        found, initialised = sought(table, tick, downwards)
        return (found, True) if initialised else (found - (table.spacing if downwards else -table.spacing), False)

    monkeypatch.setattr(TickTable, "next_within_word", mutated)


def _protocol_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    collect = v3_pool.V3Pool.collect_protocol

    def mutated(pool: v3_pool.V3Pool, most0: int, most1: int) -> tuple[int, int]:
        pool.protocol_fees0 += 1
        return collect(pool, most0, most1)

    monkeypatch.setattr(v3_pool.V3Pool, "collect_protocol", mutated)


def _growth_outside_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    swap = v3_pool.V3Pool.swap

    def mutated(pool: v3_pool.V3Pool, *arguments: object) -> v3_pool.SwapResult:
        before = {tick: (entry.outside0, entry.outside1) for tick, entry in pool.ticks.at.items()}
        result = swap(pool, *arguments)  # type: ignore[arg-type]
        for tick, _ in result.crossed:
            pool.ticks.at[tick].outside0 = before[tick][0]
        return result

    monkeypatch.setattr(v3_pool.V3Pool, "swap", mutated)


def _wrong_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    check = TickTable.check

    def mutated(table: TickTable, lower: int, upper: int) -> None:
        require(lower < upper, "TLM", "another reason")
        check(table, lower, upper)

    monkeypatch.setattr(TickTable, "check", mutated)


MUTATIONS = [
    (_fee_rounded_down, "amount"),
    (_price_rounded_the_other_way, "sqrtPriceX96"),
    (_received_rounded_up, "amount0"),
    (_beyond_the_word, "feeGrowth"),
    (_word_one_tick_long, "amount"),
    (_protocol_rounded_up, "protocol"),
    (_growth_outside_forgotten, "tick fee growth 0"),
    (_wrong_reason, "refusal"),
]


@pytest.mark.parametrize(("mutate", "quantity"), MUTATIONS, ids=lambda value: getattr(value, "__name__", value))
def test_the_comparison_of_v3_bites(
    market: Callable[..., LocalMarket],
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
    quantity: str,
) -> None:
    mutate(monkeypatch)
    parity = check_v3(market(protocol_fee=5), operations=400, seed=7)
    assert [name for name in parity.differences if quantity in name], parity.differences


AMOUNTS, INSIDE, CHANGE = v3_pool._amounts, TickTable.growth_inside, TickTable.change
MODIFY = v3_pool.V3Pool._modify
BOUNDARIES = [
    (Mutant("amounts: the first tick is below", AMOUNTS, "tick < lower", "tick <= lower"), "mint amount"),
    (Mutant("amounts: the tick above is inside", AMOUNTS, "tick < upper", "tick <= upper"), "mint amount"),
    (Mutant("growth: the first tick is below", INSIDE, "current < lower", "current <= lower"), "position fee growth"),
    (Mutant("growth: the tick above is inside", INSIDE, "current >= upper", "current > upper"), "position fee growth"),
    (Mutant("outside: the tick itself is above", CHANGE, "tick <= current", "tick < current"), "tick fee growth"),
    (Mutant("range: the first tick is below", MODIFY, "lower <= self.tick", "lower < self.tick"), "liquidity"),
    (Mutant("range: the tick above is inside", MODIFY, "self.tick < upper", "self.tick <= upper"), "liquidity"),
]


@pytest.mark.parametrize(("mutant", "quantity"), BOUNDARIES, ids=[mutant.name for mutant, _ in BOUNDARIES])
def test_the_comparison_of_v3_bites_at_the_ends_of_positions(
    market: Callable[..., LocalMarket], monkeypatch: pytest.MonkeyPatch, mutant: Mutant, quantity: str
) -> None:
    mutant.switch_on(monkeypatch)
    parity = check_v3(market(), operations=600, seed=7)
    assert [name for name in parity.differences if quantity in name], parity.differences


def test_the_comparison_of_v2_bites_at_the_first_liquidity(
    market: Callable[..., LocalMarket], monkeypatch: pytest.MonkeyPatch
) -> None:
    Mutant("all of it for nobody", V2Pool.mint, "root >= MINIMUM", "root > MINIMUM").switch_on(monkeypatch)
    parity = check_v2(market(), operations=3, seed=7)
    assert parity.differences == {"refusal": 1}
    assert parity.first.endswith(
        "refused: ds-math-sub-underflow, the contract has refused: UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED"
    )


@pytest.mark.parametrize("part", [996, 998])
def test_the_comparison_of_v2_bites(
    market: Callable[..., LocalMarket], monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(v2_pool, "amount_out", lambda x, a, b: x * part * b // (a * 1_000 + x * part))
    parity = check_v2(market(), operations=40, seed=7)
    assert {"swap amount0Out", "refusal"} & set(parity.differences)


def test_a_pool_with_liquidity_is_refused(make_local_market: Callable[..., LocalMarket]) -> None:
    with pytest.raises(ValueError, match="take a market made with liquid=False"):
        check_v3(make_local_market(), operations=1)
    with pytest.raises(ValueError, match="take a market made with liquid=False"):
        check_v2(make_local_market(), operations=1)


def test_a_tally_counts_what_was_refused_and_why() -> None:
    counts = Counts()
    assert counts.judge("swap", None, None, "a swap")
    counts.note(1, "a swap", "amount", 5, 5)
    assert not counts.judge("mint", "LO", "LO", "a mint")
    assert (counts.refused, counts.reasons, counts.kinds) == (1, {"LO": 1}, {"swap": 1, "mint": 1})
    assert counts.result("name", "against", 2, 0.1).ok
    assert not counts.judge("mint", None, "LO", "a mint")
    assert counts.first == "operation 3, a mint: refusal is done, the contract has refused: LO"
    assert (counts.operations, counts.refused, counts.differences) == (3, 1, {"refusal": 1})


def test_what_arena_parity_runs(anvil_path: Path) -> None:
    offered = UniswapProtocol().parity()
    assert [check.name for check in offered] == [check.name for check in checks()]
    assert len({check.name for check in offered}) == 12
    told: list[tuple[int, int]] = []
    for check in (V3Parity(False, 5), V2Parity(False, True), V2Parity(True, False)):
        told.clear()
        result = check.run(121, 2, anvil_path, lambda done, of: told.append((done, of)))
        assert result.ok, result
        assert "-core 1.0.1" in result.against
        assert told == sorted(told)
        assert (result.operations, told[-1]) == (121, (121, 121))
    assert V3Parity(False, 5).name == "Uniswap v3, USDC token1, protocol fee 1/5"
    assert V3Parity(True, 0).name == "Uniswap v3, USDC token0, protocol fee off"
    assert V2Parity(False, True).name == "Uniswap v2, USDC token1, protocol fee 1/6"
    assert V2Parity(True, False).name == "Uniswap v2, USDC token0, protocol fee off"
