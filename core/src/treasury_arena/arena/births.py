"""Births: search on the training window that ends now; the best become agents, frozen from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.arena.desk import Desk, World
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import AgentState
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.domain import statistics as stats
from treasury_arena.events.catalog import AgentSpawned
from treasury_arena.evolution.search import search
from treasury_arena.evolution.settings import Evaluation, SearchResult
from treasury_arena.randomness import stream

FloatArray = NDArray[np.float64]


@attrs.frozen(eq=False)
class Trained:
    """Genomes on a training window: curves (N, D + 1), daily returns over lending (N, D), scores and per-day Sharpes of these
    returns, floored (N,).
    """

    curve: FloatArray
    excess: FloatArray
    scores: FloatArray
    sharpes: FloatArray
    failed: NDArray[np.bool_]
    coin_share: FloatArray


class Breeder:
    """Finds genomes on the training window and decides which are born."""

    def __init__(self, settings: ArenaSettings, world: World, keeper: RecordKeeper) -> None:
        self.settings = settings
        self.world = world
        self.keeper = keeper

    def quotas(self, cycle: int) -> dict[str, int]:
        """Strategy -> living agents wanted at this cycle: equal shares, staggered over the first cycles (M9)."""
        names = list(self.world.desks)
        each, rest = divmod(self.settings.agents, len(names))
        stagger = self.settings.birth_cycles if self.settings.rules.stagger_births else 1
        grown = min(cycle + 1, stagger)
        return {name: -(-(each + (index < rest)) * grown // stagger) for index, name in enumerate(names)}

    def train(self, desk: Desk, genomes: FloatArray, row: int) -> Trained:
        """Score genomes on the training window that ends at `row`."""
        days = self.settings.training_days
        low = row - days * self.keeper.day
        outcome = self.keeper.run(desk, genomes, low, row)
        batch = RecordBatch(
            curve=sound_curve(outcome.curve, outcome.failed),
            lending=self.keeper.lending(low, days),
            trades=outcome.trades,
            costs=outcome.costs,
            coin_share=outcome.mean_share[:, desk.coin_mask()].sum(axis=1),
            failed=outcome.failed,
        )
        excess = stats.excess_returns(stats.daily_returns(batch.curve), batch.lending_returns)
        sharpes = np.asarray(stats.floored_sharpe(excess)) / np.sqrt(stats.DAYS_PER_YEAR)
        return Trained(
            batch.curve, excess, self.settings.search_fitness.score(batch), sharpes, batch.failed, batch.coin_share
        )

    def seeds(self, row: int) -> list[AgentSpawned]:
        """The agents that the configuration brings along, born before the first search; one like an earlier one is not (M8)."""
        births: list[AgentSpawned] = []
        known: list[FloatArray] = []
        for strategy, genes in self.settings.seeds:
            space = self.world.desks[strategy].space
            genome = space.genome(genes)
            curve = self._behaviour(strategy, genome, row)
            if curve is not None and is_known(curve, known):
                continue
            if curve is not None:
                known.append(curve)
            births.append(
                AgentSpawned(
                    strategy=strategy,
                    cycle=0,
                    row=row,
                    genome=[float(value) for value in genome],
                    genes=space.values(genome),
                    parents=[],
                    replaces=None,
                    training={},
                    origin="seed",
                )
            )
        return births

    def _behaviour(self, strategy: str, genome: FloatArray, row: int) -> FloatArray | None:
        """A genome's curve on the training window that ends at `row`; None when it fails there, or M8 is off."""
        if not self.settings.rules.refuse_clones:
            return None
        trained = self.train(self.world.desks[strategy], np.asarray(genome)[None, :], row)
        return None if trained.failed[0] else trained.curve[0]

    def search(
        self, desk: Desk, parents: Sequence[AgentState], cycle: int, row: int
    ) -> tuple[SearchResult, float | None]:
        """Evolve the strategy's genomes on the training window, seeded by `parents` (best first).

        Every genome evaluated counts as a trial. Also returns the probability of backtest overfitting among the first
        generation, which this search has not selected from yet; up to half of it are the living, whom earlier ones found.
        """
        name = desk.strategy.name
        seeds = np.array([agent.genome for agent in parents]) if parents else None

        first: list[FloatArray] = []

        def evaluate(genomes: FloatArray) -> Evaluation:
            trained = self.train(desk, genomes, row)
            if not first:
                first.append(trained.excess[~trained.failed])
            return Evaluation(scores=trained.scores, sharpes=trained.sharpes, failed=trained.failed)

        result = search(
            desk.space,
            evaluate,
            self.settings.search,
            self.settings.operators,
            lambda purpose, index: stream(self.settings.seed, cycle, f"search/{name}/{purpose}", index),
            seeds,
        )
        return result, self._pbo(first[0]) if first else None

    def behaviours(self, living: Sequence[AgentState], row: int) -> list[FloatArray]:
        """Curves of the living of every strategy on the training window that ends at `row`; none when M8 is off."""
        known: list[FloatArray] = []
        for name, desk in self.world.desks.items():
            genomes = [agent.genome for agent in living if agent.strategy == name]
            if genomes and self.settings.rules.refuse_clones:
                known.extend(self.train(desk, np.array(genomes), row).curve)
        return known

    def spawn(
        self,
        desk: Desk,
        result: SearchResult,
        living: Sequence[AgentState],
        known: list[FloatArray],
        wanted: int,
        cycle: int,
        row: int,
        pbo: float | None,
    ) -> list[AgentSpawned]:
        """The births of one strategy: the best of the search that equal no living agent in genome or behaviour (M8).

        `living` are the agents that seeded the search, in the same order; `known` the behaviours of all living agents,
        whatever their strategy, to which those of the new ones are added.
        """
        if wanted <= 0 or not len(result.genomes):
            return []
        trained = self.train(desk, result.genomes, row)
        genomes = {agent.genome for agent in living}
        births: list[AgentSpawned] = []
        for index in range(len(result.genomes)):
            if len(births) == wanted:
                break
            genome = tuple(float(value) for value in result.genomes[index])
            if trained.failed[index]:
                continue
            if self.settings.rules.refuse_clones and (genome in genomes or is_known(trained.curve[index], known)):
                continue
            genomes.add(genome)
            known.append(trained.curve[index])
            founders = [int(founder) for founder in result.founders[index] if founder >= 0]
            births.append(
                AgentSpawned(
                    strategy=desk.strategy.name,
                    cycle=cycle,
                    row=row,
                    genome=list(genome),
                    genes=desk.space.values(result.genomes[index]),
                    parents=sorted({living[founder].agent_id for founder in founders}),
                    replaces=None,
                    training={
                        "score": float(result.scores[index]),
                        "sharpe": float(trained.sharpes[index]),
                        "total_return": float(trained.curve[index, -1] / trained.curve[index, 0] - 1.0),
                        "coin_share": float(trained.coin_share[index]),
                        **({} if pbo is None else {"pbo": pbo}),
                    },
                    origin="search",
                )
            )
        return births

    def _pbo(self, excess: FloatArray) -> float | None:
        """Probability of backtest overfitting by floored Sharpe ratios over lending.

        None with fewer than two genomes that behave differently, or fewer days than blocks. Returns that differ by less than a
        billionth are the same: a floored ratio would rank rounding errors.
        """
        distinct = np.unique(np.round(excess, 9) + 0.0, axis=0)
        if len(distinct) < 2 or distinct.shape[1] < self.settings.pbo_splits:
            return None
        floor = stats.SHARPE_FLOOR / np.sqrt(stats.DAYS_PER_YEAR)
        return float(stats.pbo_cscv(distinct.T, self.settings.pbo_splits, floor))


def sound_curve(curve: FloatArray, failed: NDArray[np.bool_]) -> FloatArray:
    """Curves with those of failed agents flat: their values may be anything and must reach no statistic."""
    return np.where(failed[:, None], 1.0, curve)


def same_behaviour(first: FloatArray, second: FloatArray) -> bool:
    """True when two curves are the same to a billionth: another genome that does the same."""
    if abs(first[-1] - second[-1]) > 1e-9 * abs(second[-1]):
        return False  # most pairs end apart, which is cheap to see
    return bool(np.allclose(first, second, rtol=1e-9, atol=0.0))


def is_known(curve: FloatArray, known: Sequence[FloatArray]) -> bool:
    """True when a curve is the same behaviour as one of `known`."""
    return any(same_behaviour(curve, other) for other in known)


def ranked(agents: Sequence[AgentState]) -> list[AgentState]:
    """Best record first, ties by id: the order in which the living become the first parents of a search."""
    return sorted(agents, key=lambda agent: (-agent.metrics.get("fitness", 0.0), agent.agent_id))


def agent_name(strategy: str, births: Mapping[str, int]) -> str:
    """The next id of a strategy's agents: ``farmer-0001``."""
    return f"{strategy}-{births.get(strategy, 0) + 1:04d}"
