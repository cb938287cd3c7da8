"""The result of a run, built from its events and the market alone: the same after a resume as after an uninterrupted run."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.arena.gap import GapMeter
from treasury_arena.arena.incidents import emergency_stops, failed_agents, failures
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.series import DailySeries, read_series
from treasury_arena.arena.settings import CapitalPlan
from treasury_arena.arena.state import AgentState
from treasury_arena.arena.treasury import ARENA_POOL, PROVING_POOL, RESERVE
from treasury_arena.contracts.results import RunResult
from treasury_arena.domain import controls
from treasury_arena.domain import statistics as stats
from treasury_arena.domain.verdict import verdict
from treasury_arena.events import catalog
from treasury_arena.randomness import stream

FloatArray = NDArray[np.float64]


def build_result(manager: ArenaManager, run_id: str = "run", timings: Mapping[str, float] | None = None) -> RunResult:
    """Everything the run says, from the store of `manager`; `timings` holds ``seconds`` and parts of them."""
    timings = timings or {"seconds": 0.0}
    manager.catch_up()
    state, world, settings = manager.state, manager.world, manager.settings
    opened = state.opened
    assert opened is not None
    events = list(manager.store.read())
    plan = settings.capital
    series = read_series(events, world, settings.base, state.row, _first_capital(plan), plan.idle_market)
    benchmarks, curves, said = _benchmarks(manager, series)
    frame, base = world.frame, settings.base
    cycles = _cycles(events, manager)
    generations = [
        {"cycle": payload.cycle, "date": _date(manager, payload.row), **generation}
        for payload in _payloads(events, catalog.EvolutionCycleComplete)
        for generation in payload.generations
    ]
    steps = sum(payload.agent_steps for payload in _payloads(events, catalog.EvolutionCycleComplete))
    counts = state.counts
    pools = manager.get_capital_allocation_breakdown()
    lending = world.lending[series.rows[-1]] / world.lending[series.rows[0]] - 1.0
    idle = base.to_float(settings.capital.reserve_raw) * lending if not settings.capital.reserve_lend else 0.0
    meter = GapMeter(settings, world, manager.limits, manager.validators)
    failed = failed_agents(events)
    given = net_given(events)
    return RunResult(
        run_id=run_id,
        name=opened.name,
        profile=opened.profile,
        seed=opened.seed,
        digest=manager.store.last()[1],
        start=opened.start[:10],
        end=frame.closed_day(state.row).isoformat(),
        capital={
            "initial": base.to_text(settings.capital.total_raw),
            "final": base.to_text(pools["total"]),
            "reserve": base.to_text(pools[RESERVE]["total"]),
            "proving": base.to_text(pools["proving"]["total"]),
            "arena": base.to_text(pools["arena"]["total"]),
            "available": base.to_text(sum(pools[pool]["cash"] + pools[pool]["lent"] for pool in ("proving", "arena"))),
            "allocated": base.to_text(sum(pools[pool]["allocated"] for pool in ("proving", "arena"))),
            "costs": base.to_text(round(series.costs * base.unit)),
            "idle_cost": base.to_text(round(idle * base.unit)),
            **({"reserve_lent": base.to_text(pools[RESERVE]["lent"])} if settings.capital.reserve_lend else {}),
        },
        treasury=metrics(series.treasury, curves["lend_everything"]),
        managed=metrics(series.managed, curves["lend_everything"]),
        benchmarks=benchmarks,
        verdict=said,
        agents=[
            _agent(agent, manager, meter, agent.agent_id in failed, given.get(agent.agent_id))
            for _, agent in sorted(state.agents.items())
        ],
        counts={
            "births": counts["births"],
            "deaths": counts["deaths"],
            "retirements": counts["retirements"],
            "graduations_proving": counts["graduations_proving"],
            "graduations_arena": counts["graduations_arena"],
            "failures": counts["failures"],
            "orders": counts["orders"],
            "rejected": counts["rejected"],
        },
        trials=state.trials,
        series={
            "dates": [frame.closed_day(row).isoformat() for row in series.rows],
            "treasury": series.treasury.tolist(),
            **{name: curve.tolist() for name, curve in curves.items()},
            "allocation": _allocation(series),
        },
        generations=generations,
        cycles=cycles,
        stops=emergency_stops(events, lambda row: _date(manager, row), world.first_row),
        failures=failures(events),
        data={str(key): str(value) for key, value in world.data_facts.items()},
        timings={
            **timings,
            "agent_steps": steps,
            "agent_steps_per_second": manager.cycle.keeper.agent_steps
            / max(timings["seconds"] - timings.get("setup_seconds", 0.0), 1e-3),
            "events": len(events),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        },
    )


def _first_capital(plan: CapitalPlan) -> dict[str, int]:
    return {RESERVE: plan.reserve_raw, PROVING_POOL: plan.proving_raw, ARENA_POOL: plan.arena_raw}


def metrics(curve: FloatArray, lending: FloatArray) -> dict[str, float]:
    """Metrics of one daily curve; excess is over `lending`."""
    returns = (curve[1:] / curve[:-1] - 1.0)[None, :]
    lent = lending[1:] / lending[:-1] - 1.0
    total = float(curve[-1] / curve[0] - 1.0)
    return {
        "return": total,
        "annual_return": float(stats.annual_return(returns)[0]),
        "sharpe": float(stats.sharpe(returns)[0]),
        "excess_sharpe": float(stats.sharpe(returns, lent)[0]),
        "sortino": float(stats.sortino(returns)[0]),
        "volatility": float(stats.volatility(returns)[0]),
        "max_drawdown": float(stats.max_drawdown(curve[None, :])[0]),
        "win_rate": float(stats.win_rate(returns)[0]),
    }


def _benchmarks(
    manager: ArenaManager, series: DailySeries
) -> tuple[dict[str, dict[str, Any]], dict[str, FloatArray], dict[str, Any]]:
    """Benchmark rows, their daily curves at the treasury's first capital, and the verdict in words."""
    world, settings = manager.world, manager.settings
    rows = np.array(series.rows)
    initial = settings.base.to_float(settings.capital.total_raw)
    lending = world.lending[rows] / world.lending[rows[0]]
    prices = np.stack([prices[rows] for prices in world.coins.values()], axis=1) if world.coins else None
    weight = series.coin_weight
    mean = float(weight[1:].mean()) if len(rows) > 1 else 0.0
    curves: dict[str, FloatArray] = {"lend_everything": initial * lending}
    labels = {"lend_everything": "lend everything"}
    if world.eth is not None:
        curves["hold_eth"] = controls.hold(world.eth[rows], initial)
        curves["sixty_forty"] = controls.sixty_forty(world.eth[rows], lending, initial)
        labels |= {"hold_eth": "hold ETH", "sixty_forty": "60% ETH, 40% lent"}
    if prices is not None:
        index = controls.equal_weight_index(prices)
        days = [series.rows.index(row) for row in series.cycle_rows if row < series.rows[-1]]
        curves["passive_mean_weight"] = controls.passive_mean_weight(mean, prices, lending, initial)
        curves["weekly_weights_index"] = controls.weekly_weights_index(
            [float(weight[day + 1]) for day in days], days, index, lending, initial
        )
        labels |= {
            "passive_mean_weight": f"control: {mean:.1%} coins held passively",
            "weekly_weights_index": "control: the run's weekly coin weights in an equal-weight index",
        }
    out = {
        name: {
            "label": labels[name],
            "final": f"{curve[-1]:.6f}",
            **metrics(curve, curves["lend_everything"]),
        }
        for name, curve in curves.items()
    }
    control = curves.get("passive_mean_weight", curves["lend_everything"])
    found = verdict(
        stats.daily_returns(series.managed),
        stats.daily_returns(control),
        stats.daily_returns(lending),
        mean,
        stream(settings.seed, 0, "verdict"),
    )
    return out, curves, attrs.asdict(found)


def _allocation(series: DailySeries) -> dict[str, list[float]]:
    pools = {name: values for name, values in series.pools.items() if name != RESERVE}
    lent = np.sum([series.lent[name] for name in pools], axis=0)
    cash = np.sum(list(pools.values()), axis=0) - lent
    return {
        "reserve": series.pools[RESERVE].tolist(),
        "pool_cash": np.maximum(cash, 0.0).tolist(),
        "pool_lent": lent.tolist(),
        **{name: values.tolist() for name, values in series.strategies.items()},
    }


def _payloads(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event.payload for event in events if isinstance(event.payload, kind)]


def _date(manager: ArenaManager, row: int) -> str:
    return manager.world.frame.time(row).strftime("%Y-%m-%d")


def _cycles(events: list[Any], manager: ArenaManager) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    dead = graduated = trials = 0
    for event in events:
        payload = event.payload
        dead += isinstance(payload, catalog.AgentKilled | catalog.AgentRetired)
        graduated += isinstance(payload, catalog.AgentGraduated)
        if isinstance(payload, catalog.EvolutionCycleComplete):
            trials += payload.trials
            out.append(
                {
                    "cycle": payload.cycle,
                    "date": _date(manager, payload.row),
                    "alive": sum(payload.population.values()),
                    **payload.population,
                    "dead": dead,
                    "graduated": graduated,
                    "best": payload.best,
                    "median": payload.median,
                    "capital": manager.settings.base.to_float(payload.capital_raw),
                    "trials": trials,
                }
            )
    return out


def return_since_promotion(agent: AgentState) -> float | None:
    """Its return after the record that promoted it to proving; None without a promotion.

    A record is chained, so its value at the promotion divides that of today.
    """
    if not agent.graduations or "total_return" not in agent.metrics:
        return None
    return (1.0 + agent.metrics["total_return"]) / (1.0 + agent.graduations[0].metrics["total_return"]) - 1.0


def net_given(events: list[Any]) -> dict[str, int]:
    """Capital given to each agent that was ever funded, less what it gave back, base units."""
    given: dict[str, int] = {}
    for event in events:
        if isinstance(event.payload, catalog.CapitalAllocated | catalog.CapitalReturned):
            sign = 1 if isinstance(event.payload, catalog.CapitalAllocated) else -1
            given[event.agent_id] = given.get(event.agent_id, 0) + sign * event.payload.amount_raw
    return given


def _agent(
    agent: AgentState, manager: ArenaManager, meter: GapMeter, failed: bool, given_raw: int | None
) -> dict[str, Any]:
    graduation = agent.graduations[-1] if agent.graduations else None
    account = manager.funding.accounts.get(agent.agent_id)
    base = manager.settings.base
    found = agent.metrics
    worth_raw = manager.funding.equity_raw(account, manager.row) if account else 0
    gap = meter.gap(agent, manager.state.row)
    return {
        "id": agent.agent_id,
        "strategy": agent.strategy,
        "stage": agent.stage,
        "born": agent.born_at[:10],
        "ended": agent.ended_at[:10] if agent.ended_at else None,
        "reason": agent.reason or None,
        "parents": list(agent.parents),
        "genome": dict(agent.genes),
        "fitness": found.get("fitness"),
        "sharpe": found.get("sharpe"),
        "floored_sharpe": found.get("floored_sharpe"),
        "total_return": found.get("total_return"),
        "return_until_promotion": agent.graduations[0].metrics.get("total_return") if agent.graduations else None,
        "return_since_promotion": None if failed else return_since_promotion(agent),
        "max_drawdown": found.get("max_drawdown"),
        "coin_share": found.get("coin_share"),
        "capital": base.to_text(worth_raw) if account else None,
        "earned": None if given_raw is None else base.to_text(worth_raw - given_raw),
        "deflated_sharpe": graduation.deflated_sharpe if graduation else None,
        "pbo": graduation.pbo if graduation else None,
        "trials": graduation.trials if graduation else None,
        "fidelity_bps": found.get("fidelity_bps"),
        "gap_bps": None if gap.value is None else 1e4 * gap.value,
        "gap_unmeasured": gap.unmeasured or None,
        "promoted": bool(agent.graduations),
        "label": agent.label or None,
    }
