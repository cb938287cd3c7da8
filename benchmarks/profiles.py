"""All four profiles over the same days with several seeds: the table of the README, as it comes out.

    python benchmarks/profiles.py --data DATA [--config examples/history.toml] [--seeds 5]

Prints one Markdown row per profile: mean and standard deviation over the seeds of the return of the whole treasury and of the
managed capital (without the reserve), the deepest drawdown, costs, graduations, and how many runs the verdict called skill.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from treasury_arena.arena.results import build_result
from treasury_arena.assembly import assemble
from treasury_arena.config.load import load_config
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

PROFILES = ("owner", "conservative", "balanced", "adventurous")


def run(config: Path, data: Path, profile: str, seed: int) -> dict[str, Any]:
    """One whole run; returns its result as a dict."""
    registry = load_registry()
    settings = load_config(config, registry, {"seed": seed, "profile": profile})
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "arena.db") as store:
        assembled = assemble(settings, registry, data=data)
        manager = assembled.manager(store)
        try:
            manager.run()
            return build_result(manager, f"{profile}-{seed}", {"seconds": 1.0}).to_dict()
        finally:
            manager.close()
            assembled.close()


def spread(values: list[float], digits: int = 2) -> str:
    """Mean and standard deviation in percent; a dash for that of one value, which has none."""
    deviation = percent(statistics.stdev(values), digits) if len(values) > 1 else "\u2013"
    return f"{percent(statistics.fmean(values), digits)} ± {deviation}"


def percent(value: float, digits: int) -> str:
    """A share in percent; zero has no sign."""
    return f"{100 * value:z.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("examples/history.toml"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print(
        "| profile | whole treasury % | managed capital % | managed, deepest drawdown % | mean coin weight % | costs USD | ",
        end="",
    )
    print("to proving | to arena | births | genomes tried | called skill |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    lending: dict[str, Any] = {}
    for profile in PROFILES:
        results = [run(arguments.config, arguments.data, profile, seed) for seed in range(1, arguments.seeds + 1)]
        lending = results[0]["benchmarks"]["lend_everything"]

        def mean(part: str, key: str, found: list[dict[str, Any]] = results) -> str:
            return f"{statistics.fmean(float(one[part][key]) for one in found):,.0f}"

        coins = statistics.fmean(
            float(one["benchmarks"]["passive_mean_weight"]["label"].split()[1].rstrip("%")) for one in results
        )
        cells = (
            profile,
            spread([one["treasury"]["return"] for one in results]),
            spread([one["managed"]["return"] for one in results]),
            percent(min(one["managed"]["max_drawdown"] for one in results), 1),
            f"{coins:.1f}",
            mean("capital", "costs"),
            mean("counts", "graduations_proving"),
            mean("counts", "graduations_arena"),
            mean("counts", "births"),
            f"{statistics.fmean(one['trials'] for one in results):,.0f}",
            f"{sum(bool(one['verdict']['skill']) for one in results)} of {len(results)}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nLending everything over the same days: {100 * lending['return']:.2f}%.")


if __name__ == "__main__":
    main()
