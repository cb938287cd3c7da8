"""What positions of Aave and Uniswap cost in the search kernel, in nanoseconds per agent-step.

Run: python benchmarks/bench_positions.py [--repetitions 7] [--sizes 50 1000 10000]
Every repetition measures all cases in turn, on one thread, and the best of each is printed: the machine drifts, only figures of
one run compare. Seconds are the processor's, which leaves out the time that others had it. `vector` is the same genomes with a
band that no drift reaches, so that nothing trades: the pass all agents make. `event` is what remains, per step that trades.
"""

from __future__ import annotations

import argparse
import time

import kernel_defi

from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, Kind, Tables

COLUMNS: tuple[tuple[str, Kind, bool], ...] = (
    ("blocked", "blocked", True),
    ("vector", "blocked", False),
    ("scalar", "scalar", True),
)


def measure(kernel: Kernel, tables: Tables, agents: int, kind: Kind, trades: bool = True) -> tuple[float, float]:
    """Nanoseconds per agent-step, and the share of agent-steps with a trade."""
    genomes = kernel.strategy.space.sample(agents, stream(1, 0, "benchmark/genomes"))
    if not trades:
        genomes[:, kernel.strategy.genes._fields.index("band")] = 1e6
    begin = time.process_time()
    outcome = kernel.run(tables, genomes, low=0, high=tables.rows, cash=1e6, sample=24, kind=kind)
    seconds = time.process_time() - begin
    return seconds / outcome.steps * 1e9, float(outcome.trades.sum()) / outcome.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 1_000, 10_000])
    options = parser.parse_args()
    frame = kernel_defi.market()
    kernels = {case: kernel_defi.kernel(case) for case in kernel_defi.CASES}
    tables = {case: kernel.tables(frame) for case, kernel in kernels.items()}
    for case, kernel in kernels.items():
        for _, kind, _ in COLUMNS:
            measure(kernel, tables[case], 32, kind)
    for agents in options.sizes:
        best: dict[tuple[str, str], float] = {}
        trading: dict[str, float] = {}
        for _ in range(options.repetitions if agents < 10_000 else 3):
            for case, kernel in kernels.items():
                for column, kind, trades in COLUMNS:
                    taken, share = measure(kernel, tables[case], agents, kind, trades)
                    best[case, column] = min(best.get((case, column), float("inf")), taken)
                    if trades:
                        trading[case] = share
                    else:
                        assert share == 0.0, case
        print(f"N = {agents}\n{'positions':20}{'trading':>9}{'blocked':>9}{'scalar':>9}{'vector':>9}{'event':>9}  ns")
        for case in kernels:
            blocked, vector = best[case, "blocked"], best[case, "vector"]
            event = (blocked - vector) / trading[case]
            scalar = best[case, "scalar"]
            print(f"{case:20}{trading[case]:>9.2%}{blocked:>9.2f}{scalar:>9.2f}{vector:>9.2f}{event:>9.0f}")


if __name__ == "__main__":
    main()
