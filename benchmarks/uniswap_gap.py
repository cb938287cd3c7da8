"""How far Uniswap's float models are from the exact markets: the table of protocols/uniswap/README.md.

Run: python benchmarks/uniswap_gap.py. Relative errors, as `treasury_arena_uniswap.gap.gaps` finds them: a position is bought,
held for a day and sold. Median, ninety-ninth percentile and largest of 600 cases, seed 1; the same on every machine.
"""

from __future__ import annotations

import numpy as np

from treasury_arena_uniswap.gap import gaps

CASES, SEED = 600, 1
COLUMNS = (("uniswap.spot", "WETH"), ("uniswap.range", "WETH"), ("uniswap.range", "WBTC"))
LEAST_USD = (1.0, 100.0, 10_000.0)


def cell(model: str, coin: str, least: float) -> str:
    found = gaps(model, CASES, SEED, least_usd=least, coin=coin)
    alone = sum(error == 1.0 for error in found)
    said = ", ".join(f"{part:.1e}" for part in np.quantile(found, [0.5, 0.99, 1.0]))
    return said + (f" ({alone} of {len(found)}: one side traded alone)" if alone else "")


def main() -> None:
    for suffix in ("", "_tvl"):
        print("| position of at least | " + " | ".join(f"`{model}{suffix}` {coin}" for model, coin in COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 1) + "|")
        for least in LEAST_USD:
            cells = " | ".join(cell(model + suffix, coin, least) for model, coin in COLUMNS)
            print(f"| {least:,.0f} USD | {cells} |")
        print()


if __name__ == "__main__":
    main()
