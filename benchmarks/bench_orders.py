"""Live orders a second through the whole protocol, every commit durable, on a chain in memory that mines at once.

    python benchmarks/bench_orders.py [--orders 200] [--url postgresql://...]

An order is planned, held against every limit, reserved, given a nonce, judged, signed, sent, seen in a block, posted when that is
final, and ended: in (approve, supply, revoke: three transactions) and out again (withdraw: one) by turns, so two transactions on
average. `orders` are whole orders, `steps` their transactions. Of each order is also timed, by the clock, how long it takes until
it is judged and reserved: planned, held against balances, positions and every limit, and committed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from treasury_arena.clock import Stopwatch
from treasury_arena.testing.orders import build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an empty database; a SQLite file in a temporary folder unless given")
    parser.add_argument("--orders", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        house = build(options.url or f"sqlite:///{Path(folder) / 'live.db'}", "supply", depth=0)
        first, watch, begun = house.store.last()[0], Stopwatch(), time.process_time()
        judged = []
        for number in range(options.orders):
            judging = Stopwatch()
            assert house.submit(0 if number % 2 else 10**6, row=number) is not None
            judged.append(judging.seconds() * 1_000)
            house.finish()
        seconds, busy = watch.seconds(), time.process_time() - begun
        house.check_books()
        steps, events = len(house.world.executed), house.store.last()[0] - first
        print(
            f"{house.store.url}: {options.orders} orders, {steps} transactions, {events} events, each a commit or part of one"
        )
        print(f"{'':>10} {'orders/s':>9} {'steps/s':>9} {'events/s':>9}")
        for name, spent in (("clock", seconds), ("processor", busy)):
            print(f"{name:>10} {options.orders / spent:>9.1f} {steps / spent:>9.1f} {events / spent:>9.1f}")
        cuts = statistics.quantiles(judged, n=100)
        print(f"judged and reserved: median {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, longest {max(judged):.2f} ms")
        house.store.close()


if __name__ == "__main__":
    main()
