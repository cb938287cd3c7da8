"""What the protocol offers to `arena parity`: pools in both token orders, with and without the protocol's fee, and the models."""

from __future__ import annotations

from pathlib import Path

import attrs

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.parity import GapCheck, ParityCheck, ParityResult, Told
from treasury_arena_uniswap.gap import MODELS, ModelGap

AGAINST_V3 = "@uniswap/v3-core 1.0.1"
AGAINST_V2 = "@uniswap/v2-core 1.0.1, v2-periphery 1.1.0-beta.0"
PROTOCOL_FEE = 5


@attrs.frozen
class V3Parity(ParityCheck):
    """Mints, burns, collections, swaps through ticks and refusals in a USDC/WETH pool of 0.05%."""

    usdc_first: bool
    protocol_fee: int
    name: str = attrs.field(init=False)

    @name.default
    def _setting(self) -> str:
        taken = f"1/{self.protocol_fee}" if self.protocol_fee else "off"
        return f"Uniswap v3, USDC token{0 if self.usdc_first else 1}, protocol fee {taken}"

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        from treasury_arena_evm.local.description import MarketOptions
        from treasury_arena_evm.local.market import local_market
        from treasury_arena_uniswap.parity.v3 import check_v3

        watch = Stopwatch()
        options = MarketOptions(usdc_first=self.usdc_first, protocol_fee=self.protocol_fee, liquid=False)
        with local_market(options, anvil=anvil) as market:
            counts = check_v3(market, operations, seed, told=told)
        return counts.result(self.name, AGAINST_V3, operations, watch.seconds())


@attrs.frozen
class V2Parity(ParityCheck):
    """Additions, removals, swaps through the router and at the pair's own door, of USDC and WETH."""

    usdc_first: bool
    protocol_fee: bool
    name: str = attrs.field(init=False)

    @name.default
    def _setting(self) -> str:
        return (
            f"Uniswap v2, USDC token{0 if self.usdc_first else 1}, protocol fee {'1/6' if self.protocol_fee else 'off'}"
        )

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        from treasury_arena_evm.local.description import MarketOptions
        from treasury_arena_evm.local.market import local_market
        from treasury_arena_uniswap.parity.v2 import check_v2

        watch = Stopwatch()
        with local_market(MarketOptions(usdc_first=self.usdc_first, liquid=False), anvil=anvil) as market:
            counts = check_v2(market, operations, seed, protocol_fee=self.protocol_fee, told=told)
        return counts.result(self.name, AGAINST_V2, operations, watch.seconds())


def checks() -> tuple[ParityCheck | GapCheck, ...]:
    """Every check, the bytecode's first."""
    pools = [V3Parity(first, fee) for first in (True, False) for fee in (0, PROTOCOL_FEE)]
    pairs = [V2Parity(first, fee) for first in (True, False) for fee in (False, True)]
    return *pools, *pairs, *(ModelGap(name) for name in MODELS)
