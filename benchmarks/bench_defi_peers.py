"""Liquidity and lending agents against fractal-defi 1.3.1 and demeter 1.3.0, over the same 4,320 synthetic hours.

Neither is a dependency of this project. Each goes into an environment of its own, whose interpreters are arguments:

    python3.11 -m venv .venv-fractal && .venv-fractal/bin/pip install fractal-defi==1.3.1
    python3.11 -m venv .venv-demeter && .venv-demeter/bin/pip install zelos-demeter==1.3.0
    python benchmarks/bench_defi_peers.py --fractal .venv-fractal/bin/python --demeter .venv-demeter/bin/python

Liquidity agents put all they have into a range of so many ticks around the price and re-centre it when the price has left.
Lending agents hold ETH against USD debt and go back to their loan-to-value when the health factor leaves a band. No gas. All
three value every agent at every step; beyond that
- the kernel (float64, the position models `uniswap.range` and `aave.account`) records daily curves, gains' mean and deviation,
  drawdown, costs, turnover and exposure, and trades at the row after the decision;
- fractal-defi (float) copies both states of every entity at every step into a list and trades at the row of the decision;
- demeter (Decimal and integers, ticks) keeps an account status per step and makes a data frame of them; its loans stay in
  cash.

Fees of the pool stay with the position in both tokens in the kernel and in demeter, fractal-defi turns them into cash at once.
demeter's Aave market cannot swap, so its loans stay in cash and health is set right by repaying from it: those agents keep
their ETH, where the others sell some. Results are therefore compared for agents that open and never trade again (a range the
price cannot leave, a band of health that is never left): all three must agree within `TOLERANCE`, in a pool without volume
and, but for fractal-defi's cash, with it; else the run fails.

The peers run their agents one after another, so their time per agent-step does not depend on how many there are; demeter, the
slow one, runs `--demeter-agents` of them. Times are the processor's, of the simulation alone: tables are built before, the
kernel is compiled before.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import kernel_defi
import numpy as np

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import FORCE, HOLD, Real, Role, Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, Tables, prepare
from treasury_arena_aave.model import ACCOUNT
from treasury_arena_uniswap.range_model import RANGE

AGENTS = 50
EQUITY = 10_000.0
UNLIMITED = 20_000.0  # ticks: a seventh to seven times the price
OURS_REPETITIONS = 200
#: Relative difference of the final values of agents that never trade again. Ends of ranges are rounded to ticks or not, the
#: opening swap moves the price or not and is sized for its fee or not, demeter earns the row at which it opens.
TOLERANCE = {"liquidity": 1e-4, "liquidity, no volume": 1e-4, "lending": 1e-6}
FEES_IN_CASH = 3e-2
PEERS = Path(__file__).parent / "peers"


class RangeGenes(NamedTuple):
    width: Annotated[float, Real(0.001, 8.0)]


class LoanGenes(NamedTuple):
    ltv: Annotated[float, Real(0.0, 0.8)]
    floor: Annotated[float, Real(0.0, 10.0)]
    ceiling: Annotated[float, Real(0.0, 100.0)]


class Features(NamedTuple):
    pass


class Own(NamedTuple):
    pass


class RangeBook(NamedTuple):
    pool: float
    pool_inside: float


class RangeTarget(NamedTuple):
    pool: float
    pool_width: float
    band: float


class LoanBook(NamedTuple):
    loan: float
    loan_health: float


class LoanTarget(NamedTuple):
    loan: float
    loan_ltv: float
    band: float


def recentre(f: Features, g: RangeGenes, book: RangeBook, s: Own) -> tuple[RangeTarget, Own]:
    """In with everything; anew when the price has left the range."""
    held = book.pool > 1.0
    stays = held and book.pool_inside > 0.5
    return RangeTarget(1.0, -g.width if held else g.width, HOLD if stays else FORCE), Own()


def lend(f: Features, g: LoanGenes, book: LoanBook, s: Own) -> tuple[LoanTarget, Own]:
    """In with everything; back to the loan-to-value when health leaves its band."""
    stays = book.loan > 1.0 and book.loan_health >= g.floor and book.loan_health <= g.ceiling
    return LoanTarget(1.0, g.ltv, HOLD if stays else FORCE), Own()


LIQUIDITY = Strategy(
    "peer_liquidity", {"pool": kernel_defi.POOL}, RangeGenes, Features, RangeBook, RangeTarget, Own, recentre
)
LENDING = Strategy(
    "peer_lending", {"loan": Role("account", "loan")}, LoanGenes, Features, LoanBook, LoanTarget, Own, lend
)


def kernels() -> dict[str, Kernel]:
    pool, loan = kernel_defi.SPECS["pool"], kernel_defi.SPECS["loan"]
    loan = MarketSpec("loan", loan.model, loan.kind, loan.asset, loan.columns, {"fee": 0.0}, coin=True)
    return {
        "liquidity": prepare(LIQUIDITY, {"pool": RANGE}, {"pool": pool}),
        "lending": prepare(LENDING, {"loan": ACCOUNT}, {"loan": loan}),
    }


def agents(kind: str) -> list[dict[str, float]]:
    """The first never trades again, the others all differ."""
    rng = stream(3, 0, f"benchmark/{kind}")
    found = []
    for number in range(AGENTS):
        agent = {"equity": EQUITY}
        if kind == "liquidity":
            agent["ticks"] = UNLIMITED if number == 0 else float(10 * rng.integers(50, 400))
        else:
            agent["ltv"] = 0.2 if number == 0 else float(rng.uniform(0.2, 0.6))
            health = 0.83 / agent["ltv"]
            agent["floor"] = 1.0 if number == 0 else 1.0 + (health - 1.0) * float(rng.uniform(0.4, 0.8))
            agent["ceiling"] = 99.0 if number == 0 else health * float(rng.uniform(1.1, 1.5))
        found.append(agent)
    return found


def ours(kernel: Kernel, tables: Tables, kind: str, fleet: list[dict[str, float]]) -> dict[str, Any]:
    if kind == "liquidity":
        genomes = np.array([[1.0001 ** agent["ticks"] - 1.0] for agent in fleet])
    else:
        genomes = np.array([[agent["ltv"], agent["floor"], agent["ceiling"]] for agent in fleet])
    begin = time.process_time()
    outcome = kernel.run(tables, genomes, low=0, high=tables.rows, cash=EQUITY, sample=24)
    seconds = time.process_time() - begin
    trading = float(outcome.trades.sum()) / outcome.steps
    return {"seconds": seconds, "steps": outcome.steps, "finals": outcome.final.tolist(), "trading": trading}


def market(volume: float = 1.0) -> MarketFrame:
    """The market of `kernel_defi` without gas, with its pool's volume times `volume`."""
    frame = kernel_defi.market()
    changed = {"gas.usd": np.zeros(frame.rows), "WETH.volume": volume * frame["WETH.volume"]}
    return MarketFrame(frame.start, frame.step_seconds, dict(frame.columns) | changed)


def write(frame: MarketFrame, path: Path) -> None:
    columns = {
        "price": frame["WETH.price"],
        "liquidity": frame["WETH.liquidity"],
        "volume": frame["WETH.volume"],
        "supply_rate": frame["WETH.rate"],
        "borrow_rate": frame["USDC.borrow_rate"],
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def peer(python: str, script: str, path: Path, kind: str, fleet: list[dict[str, float]]) -> dict[str, Any]:
    fleet = [{name: int(value) if name == "ticks" else value for name, value in agent.items()} for agent in fleet]
    done = subprocess.run(
        [python, str(PEERS / script), str(path), kind, json.dumps(fleet)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fractal", help="the interpreter of an environment with fractal-defi 1.3.1")
    parser.add_argument("--demeter", help="the interpreter of an environment with zelos-demeter 1.3.0")
    parser.add_argument("--demeter-agents", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=2)
    options = parser.parse_args()
    installed = {
        name: (python, script)
        for name, python, script in (
            ("fractal-defi", options.fractal, "fractal_agents.py"),
            ("demeter", options.demeter, "demeter_agents.py"),
        )
        if python is not None
    }
    quiet, frame = market(0.0), market()
    with tempfile.TemporaryDirectory() as folder:
        path, quiet_path = Path(folder) / "market.csv", Path(folder) / "quiet.csv"
        write(frame, path)
        write(quiet, quiet_path)
        for kind, kernel in kernels().items():
            tables, fleet = kernel.tables(frame), agents(kind)
            best: dict[str, dict[str, Any]] = {}
            for _ in range(options.repetitions):
                for name in ("kernel", *installed):
                    if name == "kernel":
                        runs = [ours(kernel, tables, kind, fleet) for _ in range(OURS_REPETITIONS)]
                        found = min(runs, key=lambda run: float(run["seconds"]))
                    else:
                        count = options.demeter_agents if name == "demeter" else AGENTS
                        found = peer(*installed[name], path, kind, fleet[:count])
                    if name not in best or found["seconds"] < best[name]["seconds"]:
                        best[name] = found
            report(kind, best)
            for name in installed:
                cash = kind == "liquidity" and name == "fractal-defi"
                compare(kind, name, best, FEES_IN_CASH if cash else TOLERANCE[kind])
            if kind == "liquidity":
                still = {"kernel": ours(kernel, kernel.tables(quiet), kind, fleet[:1])}
                for name in installed:
                    still[name] = peer(*installed[name], quiet_path, kind, fleet[:1])
                    compare("liquidity, no volume", name, still, TOLERANCE["liquidity, no volume"])


def report(kind: str, best: dict[str, dict[str, Any]]) -> None:
    base = best["kernel"]
    print(f"{kind}: {AGENTS} agents, {kernel_defi.ROWS} rows, {base['trading']:.2%} of the kernel's agent-steps trade")
    own = base["seconds"] / base["steps"]
    for name, found in best.items():
        each = found["seconds"] / found["steps"]
        title = f"{name} {found.get('version', '')}"
        print(f"  {title:<20}{each * 1e9:>14,.1f} ns per agent-step{each / own:>10,.0f} x")


def compare(kind: str, name: str, runs: dict[str, dict[str, Any]], tolerance: float) -> None:
    kernel, other = runs["kernel"]["finals"][0], runs[name]["finals"][0]
    gap = abs(other / kernel - 1.0)
    print(f"  never trades again, {kind}: kernel {kernel:,.2f}, {name} {other:,.2f}, {gap:.1e} apart")
    if gap > tolerance:
        raise SystemExit(f"{name} and the kernel are {gap:.1e} apart, {tolerance:.0e} is allowed")


if __name__ == "__main__":
    main()
