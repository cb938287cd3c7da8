"""Seconds until the local test chain is ready, and until a test has it as it was.

Run: python benchmarks/bench_chain.py. `deployed` is a market that the cache has not: every contract is deployed and dumped (once
per machine and set of options); `ready` starts a node and loads the dump; `returned` is a snapshot taken and gone back to, as
between tests. npm's download of anvil and of the contracts is not in it. The best of the repetitions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from treasury_arena.clock import Stopwatch
from treasury_arena_evm.local.description import MarketOptions
from treasury_arena_evm.local.install import anvil_path
from treasury_arena_evm.local.market import local_market
from treasury_arena_evm.local.state import dumped_market

REPETITIONS = 7


def main() -> None:
    program = anvil_path()
    deployed, ready, returned = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            home = Path(folder) / str(number)
            home.mkdir()
            watch = Stopwatch()
            dumped_market(program, MarketOptions(), home)
            deployed.append(watch.seconds())
    for _ in range(REPETITIONS):
        watch = Stopwatch()
        with local_market(anvil=program) as market:
            market.balance("USDC", market.users[0].address)
            ready.append(watch.seconds())
            watch = Stopwatch()
            market.chain.revert(market.chain.snapshot())
            returned.append(watch.seconds())
    print(f"deployed {min(deployed):.2f} s, ready {min(ready):.2f} s, returned {min(returned) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
