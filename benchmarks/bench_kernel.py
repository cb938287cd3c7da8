"""Speed of the search kernel with three positions (two coins and lending), in nanoseconds per agent-step.

Run: python benchmarks/bench_kernel.py
Every repetition measures all cases in turn, the best of each is printed: the machine drifts, single figures do not compare.
One thread is measured in the processor's time, which leaves out the time that others had it; two threads in the clock's.
The work includes daily curves, mean and largest exposure, costs and turnover.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kernel_models

from treasury_arena.clock import Stopwatch
from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, Kind, Tables

SIZES = (50, 1_000, 10_000)
REPETITIONS = 7
CASES: tuple[tuple[Kind, int], ...] = (("blocked", 1), ("blocked", 2), ("scalar", 1))

FIRST = """
from treasury_arena.clock import Stopwatch
watch = Stopwatch()
import sys
from pathlib import Path
import kernel_models
kernel = kernel_models.rotation(Path(sys.argv[1]))
tables = kernel.tables(kernel_models.market())
genomes = kernel.strategy.space.default[None, :].repeat(50, axis=0)
kernel.run(tables, genomes, low=0, high=tables.rows, cash=1e6, sample=24)
print(watch.seconds())
"""


def measure(kernel: Kernel, tables: Tables, agents: int, kind: Kind, workers: int) -> tuple[float, float]:
    """Nanoseconds per agent-step, and the share of agent-steps with a trade."""
    genomes = kernel.strategy.space.sample(agents, stream(1, 0, "benchmark/genomes"))
    watch, begin = Stopwatch(), time.process_time()
    outcome = kernel.run(
        tables, genomes, low=0, high=tables.rows, cash=1e6, coin_limit=0.9, sample=24, workers=workers, kind=kind
    )
    seconds = time.process_time() - begin if workers == 1 else watch.seconds()
    return seconds / outcome.steps * 1e9, float(outcome.trades.sum()) / outcome.steps


def first_result(cache: Path) -> float:
    """Seconds from the start of a new process's work to its first result (50 agents)."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST, str(cache)], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    kernel = kernel_models.rotation()
    tables = kernel.tables(kernel_models.market())
    for kind, _ in CASES:
        measure(kernel, tables, 50, kind, 1)
    print(
        f"{'agents':>8} {'trading':>8}"
        + "".join(f"{f'{kind} x{workers}':>14}" for kind, workers in CASES)
        + "  ns per step"
    )
    for agents in SIZES:
        best = [float("inf")] * len(CASES)
        trading = 0.0
        for _ in range(REPETITIONS if agents < 10_000 else 3):
            for i, (kind, workers) in enumerate(CASES):
                seconds, trading = measure(kernel, tables, agents, kind, workers)
                best[i] = min(best[i], seconds)
        print(f"{agents:>8} {trading:>8.2%}" + "".join(f"{value:>14.2f}" for value in best))
    with tempfile.TemporaryDirectory() as folder:
        print(f"first result in a new process: cold {first_result(Path(folder)):.2f} s, ", end="")
        print(f"warm {min(first_result(Path(folder)) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
