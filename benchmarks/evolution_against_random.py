"""Does breeding beat drawing at random, out of sample? A paired comparison on the simulated market with a planted edge.

    python benchmarks/evolution_against_random.py [--seeds 20] [--edge 4] [--json FILE]

For each seed there is one market. Evolution and random search see the same training window, evaluate the same number of
genomes with the same kernel and fitness, and start from the same first population. Then the ten best of each trade the days
after the window, which neither has seen. What is compared is the mean out-of-sample fitness of the ten (floored Sharpe over
lending, after costs).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from treasury_arena.arena.births import Breeder
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.assembly import Assembled, assemble
from treasury_arena.config.load import load_config
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.evolution.search import Evaluation, random_search
from treasury_arena.randomness import stream
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry

BEST = 10
CONFIG = """
name = "evolution against random"
start = 2024-01-01
end = {end}
seed = {seed}
[capital]
idle_market = "usdc_lending"
[population]
training_days = {training_days}
[evolution]
population = {population}
generations = {generations}
[rules]
coin_cap = 1.0
[strategies]
enabled = ["{strategy}"]
[source]
name = "simulated"
[source.simulated]
origin = "2020-01-01"
edge = {edge}
gas_usd = 0.05
[markets.eth]
model = "simulation.spot"
asset = "WETH"
columns = {{ price = "WETH.price", gas = "gas.usd" }}
[markets.btc]
model = "simulation.spot"
asset = "WBTC"
columns = {{ price = "WBTC.price", gas = "gas.usd" }}
[markets.usdc_lending]
model = "simulation.lending_par"
asset = "USDC"
columns = {{ rate = "USDC.lending_rate", gas = "gas.usd" }}
"""


def compare(
    seed: int,
    registry: Registry,
    *,
    edge: float = 4.0,
    strategy: str = "trend",
    population: int = 48,
    generations: int = 10,
    training_days: int = 720,
    end: str = "2024-12-31",
) -> dict[str, float]:
    """One market: training and out-of-sample scores of evolution and of random search, and the trials each had."""
    text = CONFIG.format(
        seed=seed,
        edge=edge,
        strategy=strategy,
        population=population,
        generations=generations,
        training_days=training_days,
        end=end,
    )
    assembled = assemble(load_config(text, registry, {}), registry)
    arena, world = assembled.arena, assembled.world
    breeder = Breeder(arena, world, RecordKeeper(arena, world))
    desk = world.desks[strategy]
    bred, _ = breeder.search(desk, [], 0, world.first_row)

    def evaluate(genomes: Any) -> Evaluation:
        trained = breeder.train(desk, genomes, world.first_row)
        return Evaluation(scores=trained.scores, sharpes=trained.sharpes, failed=trained.failed)

    drawn = random_search(
        desk.space,
        evaluate,
        arena.search,
        arena.operators,
        lambda purpose, index: stream(arena.seed, 0, f"search/{strategy}/{purpose}", index),
        evaluations=bred.trials,
    )
    assembled.close()
    out = {
        "seed": float(seed),
        "trials": float(bred.trials),
        "random_trials": float(drawn.trials),
        "bred_training": float(bred.scores[:BEST].mean()),
        "random_training": float(drawn.scores[:BEST].mean()),
        "bred": out_of_sample(assembled, strategy, bred.genomes[:BEST]),
        "random": out_of_sample(assembled, strategy, drawn.genomes[:BEST]),
    }
    return {**out, "difference": out["bred"] - out["random"]}


def out_of_sample(assembled: Assembled, strategy: str, genomes: Any) -> float:
    """Mean fitness of `genomes` on the days after the training window."""
    world = assembled.world
    keeper = RecordKeeper(assembled.arena, world)
    desk = world.desks[strategy]
    days = (world.last_row - world.first_row) // keeper.day
    outcome = keeper.run(desk, genomes, world.first_row, world.first_row + days * keeper.day)
    batch = RecordBatch(
        curve=outcome.curve,
        lending=keeper.lending(world.first_row, days),
        trades=outcome.trades,
        costs=outcome.costs,
        coin_share=outcome.mean_share[:, desk.coin_mask()].sum(axis=1),
        failed=outcome.failed_row >= 0,
    )
    return float(np.mean(assembled.arena.search_fitness.score(batch)))


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Paired statistics over markets: means, mean difference, its standard error, t, wins."""
    difference = np.array([row["difference"] for row in rows])
    error = float(difference.std(ddof=1) / math.sqrt(len(rows)))
    return {
        "markets": len(rows),
        "bred": float(np.mean([row["bred"] for row in rows])),
        "random": float(np.mean([row["random"] for row in rows])),
        "bred_training": float(np.mean([row["bred_training"] for row in rows])),
        "random_training": float(np.mean([row["random_training"] for row in rows])),
        "mean_difference": float(difference.mean()),
        "standard_error": error,
        "t": float(difference.mean() / error) if error else 0.0,
        "wins": int((difference > 0).sum()),
    }


def main() -> None:
    """Run the comparison and print one line per market and the statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="markets, seeded 1, 2, ... (20)")
    parser.add_argument("--first", type=int, default=1, help="first seed (1)")
    parser.add_argument("--edge", type=float, default=4.0, help="planted edge, annual Sharpe before costs (4)")
    parser.add_argument("--strategy", default="trend", help="strategy (trend)")
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write rows and statistics here")
    given = parser.parse_args()
    registry = load_registry()
    rows = []
    print("seed  trials   bred  random  difference   (training: bred  random)")
    for seed in range(given.first, given.first + given.seeds):
        row = compare(seed, registry, edge=given.edge, strategy=given.strategy, generations=given.generations)
        rows.append(row)
        print(
            f"{seed:4} {row['trials']:7.0f} {row['bred']:6.2f} {row['random']:7.2f} {row['difference']:+11.3f}"
            f"   {row['bred_training']:15.2f} {row['random_training']:7.2f}",
            flush=True,
        )
    found = summary(rows)
    print(
        f"\n{found['markets']} markets, edge {given.edge:g}: bred {found['bred']:.3f}, random {found['random']:.3f}; "
        f"mean difference {found['mean_difference']:+.3f} +- {found['standard_error']:.3f} (t = {found['t']:.1f}), "
        f"wins {found['wins']}"
    )
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": rows, "summary": found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
