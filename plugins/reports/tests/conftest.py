"""A builder of realistic results: seeded numbers in the shape that a run hands over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.results import RunResult
from treasury_arena.randomness import stream

STRATEGIES = ("defi-yield-farmer", "tactical-trader", "trend-follower", "vol-target")
LABELS = {
    "lend_everything": "Lend everything (USDC)",
    "hold_eth": "Hold ETH",
    "sixty_forty": "60/40 ETH and lending",
    "passive_mean_weight": "Control: mean coin weight, held",
    "weekly_weights_index": "Control: weekly weights, index",
}


def metrics(curve: np.ndarray) -> dict[str, float]:
    returns = curve[1:] / curve[:-1] - 1 if len(curve) > 1 else np.zeros(1)
    total = float(curve[-1] / curve[0] - 1)
    spread = float(returns.std()) or 1.0
    falling = float(np.sqrt(np.mean(np.minimum(returns, 0) ** 2))) or 1.0
    return {
        "return": total,
        "annual_return": (1 + total) ** (365 / len(curve)) - 1,
        "sharpe": float(returns.mean()) / spread * 365**0.5,
        "excess_sharpe": (float(returns.mean()) - 0.0002) / spread * 365**0.5,
        "sortino": float(returns.mean()) / falling * 365**0.5,
        "volatility": spread * 365**0.5,
        "max_drawdown": float((curve / np.maximum.accumulate(curve) - 1).min()),
        "win_rate": float((returns > 0).mean()),
    }


def build(days: int = 366, agents: int = 120, promoted: int = 9, seed: int = 7) -> RunResult:
    rng = stream(seed, 0, "reports", 0)
    start = date(2024, 1, 1)
    dates = [(start + timedelta(days=at)).isoformat() for at in range(days)]
    closed = [
        (start + timedelta(days=at - 1)).isoformat() for at in range(days)
    ]  # a midnight is the close of the day before
    capital = 373_261.0
    eth = np.exp(np.cumsum(rng.normal(0.0008, 0.032, days)))
    eth /= eth[0]
    lend = np.exp(np.cumsum(np.full(days, 0.000195) + rng.normal(0, 0.00001, days)))
    lend /= lend[0]
    curves = {
        "lend_everything": capital * lend,
        "hold_eth": capital * eth,
        "sixty_forty": capital * (0.6 * eth + 0.4 * lend),
        "passive_mean_weight": capital * (0.06 * eth + 0.94 * lend),
        "weekly_weights_index": capital * (0.05 * eth**0.9 + 0.95 * lend),
    }
    treasury = capital * (0.437 + 0.563 * lend * (0.9 + 0.1 * eth**0.8))
    treasury *= capital / treasury[0]
    reserve = np.full(days, 163_261.0)
    managed = treasury - reserve
    ramp = np.clip(np.linspace(-0.3, 0.9, days), 0, 0.8)
    shares = np.abs(rng.normal(1, 0.25, (4, 1))) + 0.3 * np.sin(np.linspace(0, 9, days) + np.arange(4)[:, None])
    shares = np.abs(shares) / np.abs(shares).sum(axis=0)
    allocation = {"reserve": reserve, "pool_cash": managed * 0.02, "pool_lent": managed * (0.98 - ramp)}
    allocation |= {name: managed * ramp * shares[at] for at, name in enumerate(STRATEGIES)}
    cycle_days = list(range(0, days, 7))
    benchmarks = {
        name: {"label": LABELS[name], "final": f"{curve[-1]:.6f}", "costs": "12.500000", **metrics(curve)}
        for name, curve in curves.items()
    }
    treasury_metrics = metrics(treasury)
    return RunResult(
        run_id="history-7-1a2b3c4d",
        name="history",
        profile="balanced",
        seed=seed,
        digest="5f2a" * 16,
        start=dates[0],
        end=closed[-1],
        capital={
            "initial": "373261.000000",
            "final": f"{treasury[-1]:.6f}",
            "reserve": "163261.000000",
            "proving": "10000.000000",
            "arena": "200000.000000",
            "available": f"{managed[-1] * 0.2:.6f}",
            "allocated": f"{managed[-1] * 0.8:.6f}",
            "costs": "842.190000",
            "idle_cost": "12228.030000",
        },
        treasury=treasury_metrics,
        managed=metrics(managed),
        benchmarks=benchmarks,
        verdict={
            "text": "No skill is shown: the managed capital's lead over its own mean coin weight is within its uncertainty.",
            "skill": False,
            "difference": 0.0113,
            "low": -0.0214,
            "high": 0.0402,
            "significant": False,
        },
        agents=_agents(rng, agents, promoted, dates),
        counts={
            "births": agents,
            "deaths": agents // 3,
            "retirements": agents // 10,
            "graduations_proving": promoted,
            "graduations_arena": promoted // 2,
            "failures": 1,
            "orders": 4210,
            "rejected": 37,
        },
        trials=212_480,
        series={
            "dates": closed,
            "treasury": treasury.tolist(),
            **{name: curve.tolist() for name, curve in curves.items()},
            "allocation": {name: values.tolist() for name, values in allocation.items()},
        },
        generations=_generations(rng, dates, cycle_days),
        cycles=[
            {
                "cycle": at,
                "date": dates[day],
                "alive": 50,
                "simulation": 50 - min(at // 3, 10) - min(at // 5, 6),
                "proving": min(at // 3, 10),
                "arena": min(at // 5, 6),
                "dead": at * 2,
                "graduated": at // 4,
                "best": 1.4,
                "median": 0.2,
                "capital": float(treasury[day]),
                "trials": 4086 * (at + 1),
            }
            for at, day in enumerate(cycle_days)
        ],
        data={
            "source": "history",
            "rows": "8784 hours",
            "prices": "ETH/USD, BTC/USD hourly close",
            "rates": "Aave v3 USDC, USDT, DAI, WETH",
            "fingerprint": "9b" * 32,
        },
        timings={
            "seconds": 41.2,
            "agent_steps": 1.83e9,
            "agent_steps_per_second": 6.1e7,
            "setup_seconds": 2.7,
            "search_seconds": 30.4,
            "live_seconds": 6.9,
            "store_seconds": 1.2,
            "events": 5123.0,
            "peak_memory_mib": 612.0,
        },
    )


def _agents(rng: np.random.Generator, total: int, promoted: int, dates: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for at in range(total):
        strategy = STRATEGIES[at % 4]
        day = min(at * len(dates) // max(total, 1), len(dates) - 1)
        elders = [row["id"] for row in rows if row["strategy"] == strategy]
        parents = [str(name) for name in rng.choice(elders, 2)] if len(elders) > 2 and rng.random() < 0.7 else []
        chosen = promoted > 0 and at % max(total // promoted, 1) == 0 and at // max(total // promoted, 1) < promoted
        ended = dates[min(day + 60, len(dates) - 1)] if at % 3 == 0 and not chosen else None
        value = float(rng.normal(0.3, 0.6))
        rows.append(
            {
                "id": f"{strategy.split('-')[0]}-{at:04d}",
                "strategy": strategy,
                "stage": ("arena" if at % 2 else "proving") if chosen else ("dead" if ended else "simulation"),
                "born": dates[day],
                "ended": ended,
                "reason": "negative return at age 90: -1.20%" if ended else None,
                "parents": parents,
                "genome": {
                    "buy_below": float(rng.uniform(0.6, 1.2)),
                    "sell_above": float(rng.uniform(1.2, 4)),
                    "window": float(rng.choice([24.0, 168.0, 720.0])),
                    "most": float(rng.uniform(0, 1)),
                },
                "fitness": value,
                "sharpe": value * 2,
                "total_return": value / 20,
                "return_since_promotion": value / 100 if chosen else None,
                "max_drawdown": -abs(value) / 10,
                "coin_share": float(rng.uniform(0, 0.4)),
                "capital": f"{rng.uniform(500, 40000):.6f}" if chosen else "0.000000",
                "deflated_sharpe": float(rng.uniform(0.05, 0.7)) if chosen else None,
                "pbo": float(rng.uniform(0.2, 0.8)) if chosen else None,
                "trials": 4086 * (at + 1) if chosen else None,
                "fidelity_bps": float(rng.uniform(0, 3)) if chosen else None,
                "gap_bps": float(rng.uniform(-1, 1) * 1e-6) if chosen else None,
                "promoted": chosen,
                "label": "lender" if chosen and at % 5 == 0 else "",
            }
        )
    return rows


def _generations(rng: np.random.Generator, dates: list[str], cycle_days: list[int]) -> list[dict[str, Any]]:
    rows = []
    for cycle, day in enumerate(cycle_days):
        for at, strategy in enumerate(STRATEGIES):
            top = float(rng.normal(0.6 + 0.3 * at, 0.15))
            for generation in range(12):
                best = top - 0.8 * float(np.exp(-generation / 4))
                rows.append(
                    {
                        "cycle": cycle,
                        "date": dates[day],
                        "strategy": strategy,
                        "generation": generation,
                        "best": best,
                        "median": best - 0.5 - 0.4 * float(np.exp(-generation / 5)),
                        "diversity": 0.4 * float(np.exp(-generation / 9)),
                        "restarts": 0,
                    }
                )
    return rows


Builder = Callable[..., RunResult]


@pytest.fixture(scope="session")
def make() -> Builder:
    """Build a result; named fields of `RunResult` replace the built ones."""

    def builder(days: int = 366, agents: int = 120, promoted: int = 9, seed: int = 7, **fields: Any) -> RunResult:
        return attrs.evolve(build(days, agents, promoted, seed), **fields)

    return builder


@pytest.fixture(scope="session")
def result(make: Builder) -> RunResult:
    return make()
