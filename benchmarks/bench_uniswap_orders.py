"""What an order in Uniswap's markets takes on the local node: quote, settlement, transactions, gas.

Run: python benchmarks/bench_uniswap_orders.py. One agent's orders of a coin and of a range in the pool USDC/WETH 0.05%: each is
repeated from the same state, and the median is told. Blocks are mined at once, so a settlement is what we and the node compute.
"""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena_evm.local.market import LocalMarket, local_market
from treasury_arena_uniswap.onchain import SpotOnChain
from treasury_arena_uniswap.range_onchain import RangeOnChain

REPETITIONS = 15
ASSETS = AssetTable(KNOWN_ASSETS)
USD = ASSETS["USDC"].unit
KINDS = {"spot": SpotOnChain, "range": RangeOnChain}


class Order(NamedTuple):
    """From a value in USD (0: nothing is held) to another, with the control of a range."""

    name: str
    kind: str
    before: int
    after: int
    control: tuple[float, ...] = ()


ORDERS = (
    Order("buying coins", "spot", 0, 10_000),
    Order("selling coins", "spot", 10_000, 0),
    Order("opening a range", "range", 0, 10_000, (0.1,)),
    Order("adding to it", "range", 10_000, 15_000, (0.1,)),
    Order("re-centring", "range", 10_000, 10_000, (-0.2,)),
    Order("leaving", "range", 10_000, 0, (0.0,)),
)


def market(local: LocalMarket, kind: str) -> Any:
    spec = MarketSpec(kind, f"uniswap.{kind}", kind, "WETH", {}, coin=True)
    who = local.users[0].signer
    return KINDS[kind](spec, local.session, who, ASSETS["WETH"], ASSETS["USDC"], native_price=2_000 * USD)


def held(venue: Any, usd: int, kind: str) -> ExactState:
    state: ExactState = venue.open()
    if not usd:
        return state
    fill = venue.trade(state, usd * USD, 0, (0.1,) if kind == "range" else ())
    return venue.settle("before", state, fill, 0).state  # type: ignore[no-any-return]


def measured(local: LocalMarket, order: Order) -> str:
    quotes, settlements, values = [], [], []
    venue = market(local, order.kind)
    state = held(venue, order.before, order.kind)
    for number in range(REPETITIONS):
        snapshot = local.chain.snapshot()
        watch = Stopwatch()
        fill = venue.trade(state, order.after * USD, 0, order.control)
        quotes.append(watch.seconds())
        watch = Stopwatch()
        done = venue.settle(f"order {number}", state, fill, 0)
        settlements.append(watch.seconds())
        watch = Stopwatch()
        venue.value(done.state, 0)
        values.append(watch.seconds())
        receipts = venue._spent
        local.chain.revert(snapshot)
    gas = sum(receipt.gas_used for receipt in receipts)
    return (
        f"{order.name}: quote {median(quotes) * 1e3:.0f} ms, settlement {median(settlements) * 1e3:.0f} ms, "
        f"{len(receipts)} transactions, {gas:,} gas; its value then {median(values) * 1e3:.0f} ms"
    )


def main() -> None:
    with local_market() as local:
        local.fund("USDC", local.users[0].address, 100_000 * USD)
        for order in ORDERS:
            snapshot = local.chain.snapshot()
            print(measured(local, order))
            local.chain.revert(snapshot)


if __name__ == "__main__":
    main()
