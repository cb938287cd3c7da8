"""Whole arenas in memory: a synthetic market, the reference protocol, the two tiny strategies, ready in about a second
once their kernels are compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from treasury_arena.arena.desk import Desk, World
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.settings import ArenaSettings, CapitalPlan
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.genes import REAL, FloatArray, GeneSpace
from treasury_arena.contracts.operators import Crossover, Indices, Mutation, Selection
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain import statistics as stats
from treasury_arena.domain.controls import lending_index
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.domain.rules import Rules
from treasury_arena.evolution.settings import OperatorSet, SearchSettings
from treasury_arena.simulation.executors import ThreadExecutor
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena.store import EventStore, open_store
from treasury_arena.testing.frames import (
    ASSETS,
    COIN,
    COIN_LENDING,
    USD,
    USDC,
    SyntheticSource,
    reference_markets,
    stepped,
    synthetic_frame,
)
from treasury_arena.testing.reference import ReferenceProtocol
from treasury_arena.testing.strategies import HOLDER, LENDER

MODELS = {model.name: model for model in ReferenceProtocol().models}
MILLION = 10**6


class ExcessReturn(FitnessFunction):
    """Total return over lending; what failed scores -1e9."""

    name = "excess_return"
    summary = "total return less that of lending everything"

    def score(self, records: RecordBatch) -> FloatArray:
        own = records.curve[:, -1] / records.curve[:, 0]
        score = own - records.lending[-1] / records.lending[0]
        return np.where(records.failed | ~np.isfinite(score), -1e9, score)


class SharpeOnly(FitnessFunction):
    """Annual Sharpe ratio against 0, in place of the owner's formula."""

    name = "sharpe_only"
    summary = "annual Sharpe ratio against 0"

    def score(self, records: RecordBatch) -> FloatArray:
        return np.where(records.failed, -1e9, np.asarray(stats.sharpe(records.returns)))


@attrs.frozen
class BestOfTwo(Selection):
    """The better of two drawn at random."""

    name = "best_of_two"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        pairs = np.sort(rng.integers(0, len(scores), (count, 2)), axis=1)
        return np.where(scores[pairs[:, 0]] >= scores[pairs[:, 1]], pairs[:, 0], pairs[:, 1])


@attrs.frozen
class EitherParent(Crossover):
    """Each gene from either parent."""

    name = "either_parent"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return space.clip(np.where(rng.random(first.shape) < 0.5, first, second))


@attrs.frozen
class Nudge(Mutation):
    """Real genes move by a tenth of their range, others are sometimes drawn anew."""

    name = "nudge"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        moved = genomes + 0.1 * (space.high - space.low) * rng.standard_normal(genomes.shape)
        fresh = space.sample(len(genomes), rng)
        redraw = rng.random(genomes.shape) < 0.2
        return space.clip(np.where(space.kind == REAL, moved, np.where(redraw, fresh, genomes)))


def reference_kernel(
    strategy: Strategy, step_seconds: int, markets: Mapping[str, MarketSpec] | None = None, cache: Path | None = None
) -> Kernel:
    """The search kernel of a strategy over the reference markets; `markets` overrides role -> market."""
    return prepare(strategy, *_bindings(strategy, step_seconds, markets), cache=cache)


def _bindings(
    strategy: Strategy, step_seconds: int, markets: Mapping[str, MarketSpec] | None
) -> tuple[dict[str, Any], dict[str, MarketSpec]]:
    known = {spec.name: spec for spec in (COIN, USD, COIN_LENDING)}
    specs = {
        role: stepped((markets or {}).get(role) or known[bound.market], step_seconds)
        for role, bound in strategy.roles.items()
    }
    return {role: MODELS[spec.model] for role, spec in specs.items()}, specs


def small_world(
    frame: MarketFrame | None = None,
    *,
    strategies: Sequence[Strategy] = (HOLDER, LENDER),
    training_days: int = 20,
    warm_up_days: int = 7,
    cache: Path | None = None,
) -> World:
    """A world over `frame` (`synthetic_frame()` unless given) with the reference markets ``coin``, ``usd``, ``coin_lending``.

    Args:
        frame: whole days; the run begins after the warm-up and the training window.
        strategies: bound to the markets their roles name.
        training_days, warm_up_days: days before the run's first moment.
        cache: folder of compiled kernels, the user's unless given.
    """
    market = synthetic_frame() if frame is None else frame
    desks = {}
    for strategy in sorted(strategies, key=lambda item: item.name):
        models, specs = _bindings(strategy, market.step_seconds, None)
        kernel = reference_kernel(strategy, market.step_seconds, cache=cache)
        desks[strategy.name] = Desk(
            strategy=strategy,
            space=strategy.space,
            roles={role: specs[role].name for role in strategy.roles},
            models=models,
            coin_roles=frozenset(role for role, spec in specs.items() if spec.coin),
            kernel=kernel,
            tables=kernel.tables(market),
        )
    source = SyntheticSource(market)
    return World(
        frame=market,
        desks=desks,
        markets=reference_markets(market),
        lending=lending_index(market["USDC.lending_rate"], market.step_seconds),
        first_row=(training_days + warm_up_days) * market.steps_per_day,
        last_row=market.rows - 1,
        data_fingerprint=source.fingerprint(),
        data_facts=source.describe(),
        coins={"WETH": market["WETH.price"]},
        eth=market["WETH.price"],
    )


def small_settings(**overrides: Any) -> ArenaSettings:
    """Settings of a small arena: 8 agents, weekly cycles, 20 training days, 1,000 USD in reserve, 1,000 to prove on, 8,000 in
    the arena, and rules that promote after a week.

    `overrides` are fields of `ArenaSettings`, `CapitalPlan`, `Rules` or `SearchSettings`, by name.
    """
    groups: dict[str, dict[str, Any]] = {"capital": {}, "rules": {}, "search": {}, "arena": {}}
    kinds = {"capital": CapitalPlan, "rules": Rules, "search": SearchSettings, "arena": ArenaSettings}
    fields = {group: {field.name for field in attrs.fields(kind)} for group, kind in kinds.items()}
    for name, value in overrides.items():
        homes = [group for group in groups if name in fields[group]]
        if not homes:
            raise TypeError(f"{name!r} is no setting of an arena")
        groups[homes[-1]][name] = value
    capital: dict[str, Any] = {
        "reserve_raw": 1_000 * MILLION,
        "proving_raw": 1_000 * MILLION,
        "arena_raw": 8_000 * MILLION,
        "proving_slot_raw": 250 * MILLION,
        "proving_agents": 4,
        "arena_agents_max": 4,
        "idle_market": "usd",
    } | groups["capital"]
    capital.setdefault("total_raw", capital["reserve_raw"] + capital["proving_raw"] + capital["arena_raw"])
    rules: dict[str, Any] = {
        "simulation_age_days_min": 7,
        "arena_age_days_min": 7,
        "retirement_age_days": 365,
        "transfer_cost_max": 0.01,
    } | groups["rules"]
    search: dict[str, Any] = {"population": 12, "generations": 2, "elites": 1, "archive": 12} | groups["search"]
    plain: dict[str, Any] = {
        "arena_id": "small",
        "name": "small",
        "profile": "balanced",
        "seed": 7,
        "rules": Rules(**rules),
        "capital": CapitalPlan(**capital),
        "base": USDC,
        "assets": ASSETS,
        "search": SearchSettings(**search),
        "operators": OperatorSet(BestOfTwo(), EitherParent(), Nudge()),
        "search_fitness": ExcessReturn(),
        "judge_fitness": ExcessReturn(),
        "owner_fitness": SharpeOnly(),
        "executor": ThreadExecutor(1),
        "agents": 8,
        "cycle_days": 7,
        "training_days": 20,
        "birth_cycles": 2,
        "config_hash": "small",
    }
    return ArenaSettings(**(plain | groups["arena"]))


def small_arena(
    folder: Path | None = None,
    *,
    frame: MarketFrame | None = None,
    world: World | None = None,
    store: EventStore | None = None,
    strategies: Sequence[Strategy] = (HOLDER, LENDER),
    **overrides: Any,
) -> ArenaManager:
    """A complete arena, opened and at its first moment.

    Args:
        folder: where the SQLite store ``arena.db`` is, in memory unless given.
        frame, strategies: of the world, unless `world` is given.
        world: a ready-made world; kernels and tables are shared between arenas.
        store: an open store to use instead.
        overrides: see `small_settings`.
    """
    settings = small_settings(**overrides)
    if world is None:
        world = small_world(frame, strategies=strategies, training_days=settings.training_days)
    if store is None:
        store = open_store("sqlite://" if folder is None else f"sqlite:///{folder / 'arena.db'}")
    return ArenaManager(settings, world, store)
