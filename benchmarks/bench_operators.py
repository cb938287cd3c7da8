"""Time per individual of every genetic operator, and the share of a generation that is not evaluation.

    python benchmarks/bench_operators.py [--population 1000] [--genes 16] [--repeats 200]

A generation is compared with an evaluation of `--step-ns` nanoseconds for each of `--steps` steps of each genome, the cost of
the compiled kernel. Medians of repeats; all on one thread.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.genes import CHOICE, INTEGER, REAL, FloatArray, GeneSpace
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.evolution.search import Evaluation, OperatorSet, SearchSettings, search
from treasury_arena.randomness import stream
from treasury_arena_genetics.plugin import arena_operators


def mixed_space(genes: int) -> GeneSpace:
    """Ten real genes to four integer and two choice genes, in that proportion."""
    kind = np.array([(REAL, REAL, REAL, REAL, REAL, INTEGER, INTEGER, CHOICE)[i % 8] for i in range(genes)])
    low = np.where(kind == CHOICE, 0.0, -1.0)
    high = np.select([kind == REAL, kind == INTEGER], [1.0, 40.0], 5.0)
    names = tuple(f"g{i}" for i in range(genes))
    return GeneSpace(
        names=names,
        kind=kind.astype(np.int64),
        low=low,
        high=high,
        default=low,
        scale=np.where(kind == CHOICE, 0.0, 0.1),
        choices={n: (0.0, 1.0, 2.0, 3.0, 4.0, 5.0) for n, k in zip(names, kind, strict=True) if k == CHOICE},
        units=dict.fromkeys(names, ""),
    )


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        watch = Stopwatch()
        work()
        times.append(watch.seconds())
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--population", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4320)
    parser.add_argument("--step-ns", type=float, default=5.0)
    options = parser.parse_args()
    n, space = options.population, mixed_space(options.genes)
    rng = stream(1, 0, "benchmark")
    first, second = space.sample(n, rng), space.sample(n, rng)
    scores = rng.standard_normal(n)

    print(f"{n} individuals of {space.size} genes; microseconds per individual")
    operators = arena_operators()
    for name, cls in operators.items():
        operator = cls()
        work: Callable[[], object]
        if isinstance(operator, Selection):
            work = partial(operator.select, scores, 2 * n, rng)
            note = "two parents"
        elif isinstance(operator, Crossover):
            work = partial(operator.cross, first, second, space, rng)
            note = ""
        else:
            work = partial(operator.mutate, first, space, rng)
            note = ""
        print(f"  {name:<11} {median_seconds(work, options.repeats) / n * 1e6:7.3f}  {note}")

    def evaluate(genomes: FloatArray) -> Evaluation:
        score = -np.abs(genomes).sum(axis=1)
        return Evaluation(score, score, np.zeros(score.size, dtype=np.bool_))

    settings = SearchSettings(population=n, generations=11)
    population = space.sample(n, rng)
    evaluation = median_seconds(lambda: evaluate(population), options.repeats)
    kernel = n * options.steps * options.step_ns * 1e-9
    print(f"a whole generation without evaluation, against a kernel of {kernel * 1e3:.1f} ms")
    for names in (
        ("tournament", "uniform", "owner"),
        ("tournament", "sbx", "polynomial"),
        ("rank", "blend", "gaussian"),
    ):
        chosen = [operators[name]() for name in names]
        assert isinstance(chosen[0], Selection)
        assert isinstance(chosen[1], Crossover)
        assert isinstance(chosen[2], Mutation)
        team = OperatorSet(chosen[0], chosen[1], chosen[2])
        run = median_seconds(
            partial(search, space, evaluate, settings, team, partial(stream, 1, 0)),
            max(3, options.repeats // 20),
        )
        breeding = run / settings.generations - evaluation
        share = breeding / (breeding + kernel)
        print(
            f"  {'+'.join(names):<29} {breeding * 1e3:6.2f} ms  {breeding / n * 1e6:6.3f} us per individual  {share:6.1%}"
        )


if __name__ == "__main__":
    main()
