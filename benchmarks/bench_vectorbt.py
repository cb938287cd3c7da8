"""The search kernel against vectorbt on a dual-moving-average sweep: 1,000 pairs of windows over 4,320 hours.

Both go all in when the fast average is above the slow one and all out otherwise, at the price of the next bar, for a fee of
5 basis points. The final equity of every pair must agree to 6 decimals (opening cash 100). Both compute total return,
Sharpe ratio and maximum drawdown. vectorbt is handed its signals ready-made; the kernel decides inside its time.

vectorbt is no dependency of this project. Run it in an environment of its own:

    python3.11 -m venv .venv-vectorbt && .venv-vectorbt/bin/pip install vectorbt -e core
    .venv-vectorbt/bin/python benchmarks/bench_vectorbt.py

Every repetition times both, one after the other; the ratio is that of the best times, as the machine drifts.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Annotated, NamedTuple

import kernel_models
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Choice, Column, Role, Strategy
from treasury_arena.simulation.kernel import prepare

FAST = tuple(float(window) for window in range(6, 81, 3))
SLOW = tuple(float(window) for window in range(100, 500, 10))
FEE = 0.0005
CASH = 100.0
YEAR_HOURS = 8_760.0
REPETITIONS = 5


class State(NamedTuple):
    units: float = 0.0


class Market(NamedTuple):
    price: float


class Params(NamedTuple):
    fee: float = FEE


def value(s: State, m: Market, p: Params) -> float:
    return s.units * m.price


def trade(s: State, target: float, m: Market, p: Params, c: None) -> tuple[State, float]:
    """vectorbt's convention: the fee is a share of the units' worth, on purchases as on sales."""
    move = target - s.units * m.price
    if move > 0.0:
        return State(s.units + move / (m.price * (1.0 + p.fee))), -move
    return State(target / m.price), -move * (1.0 - p.fee)


class Genes(NamedTuple):
    fast: Annotated[float, Choice(FAST)]
    slow: Annotated[float, Choice(SLOW)]


class Features(NamedTuple):
    fast: Annotated[float, Column("sma", "fast", "coin")]
    slow: Annotated[float, Column("sma", "slow", "coin")]


class Book(NamedTuple):
    pass


class Target(NamedTuple):
    coin: float
    band: float


class Own(NamedTuple):
    pass


def decide(f: Features, g: Genes, book: Book, s: Own) -> tuple[Target, Own]:
    return Target(1.0 if f.fast > f.slow else 0.0, 0.5), Own()


STRATEGY = Strategy("crossover", {"coin": Role("spot", "coin")}, Genes, Features, Book, Target, Own, decide)
MODEL = PositionModel("bench.vectorbt_spot", "spot", State, Market, Params, value, trade)
SPEC = MarketSpec("coin", MODEL.name, "spot", "WETH", {"price": "WETH.price"}, coin=True)


def main() -> None:
    warnings.simplefilter("ignore")
    vbt = importlib.import_module("vectorbt")

    frame = kernel_models.market()
    kernel = prepare(STRATEGY, {"coin": MODEL}, {"coin": SPEC})
    tables = kernel.tables(frame)
    genomes = np.array([(i, j) for i in range(len(FAST)) for j in range(len(SLOW))], dtype=np.float64)
    columns = np.array([kernel.feature_columns(tables, genome) for genome in genomes])
    long = tables.features[:, columns[:, 0]] > tables.features[:, columns[:, 1]]
    previous = np.vstack([np.zeros((1, long.shape[1]), dtype=bool), long[:-1]])
    index = pd.date_range("2024-01-01", periods=frame.rows, freq="h")
    price = pd.Series(frame["WETH.price"], index=index)
    entries, exits = pd.DataFrame(previous, index=index), pd.DataFrame(~previous, index=index)

    def peer(statistics: bool) -> NDArray[np.float64]:
        portfolio = vbt.Portfolio.from_signals(price, entries, exits, fees=FEE, init_cash=CASH, freq="1h")
        if statistics:
            for name in ("total_return", "sharpe_ratio", "max_drawdown"):
                getattr(portfolio, name)()
        return np.asarray(portfolio.final_value(), dtype=np.float64)

    def ours(workers: int = 1) -> NDArray[np.float64]:
        outcome = kernel.run(tables, genomes, low=0, high=frame.rows, cash=CASH, sample=24, workers=workers)
        sharpe = outcome.mean / np.maximum(outcome.deviation, 1e-12) * np.sqrt(YEAR_HOURS)
        assert np.isfinite(sharpe).all()
        assert np.isfinite(outcome.max_drawdown).all()
        return outcome.final

    difference = float(np.abs(peer(True) - ours()).max())
    assert difference < 5e-7, f"final equity differs by {difference}"
    print(f"{len(genomes)} pairs, {frame.rows} rows: largest difference in final equity {difference:.1e} of {CASH:.0f}")
    cases: dict[str, Callable[[], NDArray[np.float64]]] = {
        "kernel, 1 thread": lambda: ours(),
        "kernel, 2 threads": lambda: ours(2),
        "vectorbt, simulation and final value": lambda: peer(False),
        "vectorbt, with return, Sharpe, drawdown": lambda: peer(True),
    }
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(REPETITIONS):
        for name, case in cases.items():
            watch = Stopwatch()
            case()
            best[name] = min(best[name], watch.seconds())
    base = best["kernel, 1 thread"]
    for name, seconds in best.items():
        print(
            f"{name:<42}{seconds / genomes.shape[0] / frame.rows * 1e9:>9.2f} ns per agent-step{seconds / base:>9.1f} x"
        )


if __name__ == "__main__":
    main()
