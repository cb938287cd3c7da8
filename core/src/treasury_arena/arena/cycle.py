"""One cycle: observe, live, judge, breed, allocate, record; one transaction at its end."""

from __future__ import annotations

import math

import attrs
import numpy as np

from treasury_arena.arena import judging
from treasury_arena.arena.births import Breeder, agent_name, ranked
from treasury_arena.arena.desk import World
from treasury_arena.arena.endings import Endings
from treasury_arena.arena.funding import Funding
from treasury_arena.arena.journal import CycleJournal
from treasury_arena.arena.phases import PHASES, Bred, CycleReport, Listener, known_score, silent
from treasury_arena.arena.records import AgentRecord, RecordKeeper
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import ARENA, PROVING, SIMULATION, AgentState, ArenaState
from treasury_arena.arena.treasury import ARENA_POOL, POOLS, PROVING_POOL, Treasury
from treasury_arena.domain import statistics as stats
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import AllocationError, ValidationError
from treasury_arena.events import catalog
from treasury_arena.evolution.trials import TrialStats
from treasury_arena.trading.runner import LiveRunner

__all__ = ["PHASES", "Cycle", "CycleReport", "Listener", "silent"]


class Cycle:
    """Runs cycles over one world. All decisions are functions of the state and of rows up to the present one."""

    def __init__(
        self,
        settings: ArenaSettings,
        world: World,
        journal: CycleJournal,
        treasury: Treasury,
        funding: Funding,
        runner: LiveRunner,
        listener: Listener = silent,
    ) -> None:
        self.settings = settings
        self.world = world
        self.journal = journal
        self.treasury = treasury
        self.funding = funding
        self.runner = runner
        self.reached = listener
        self.keeper = RecordKeeper(settings, world)
        self.endings = Endings(settings, world, journal, funding)
        self.breeder = Breeder(settings, world, self.keeper)

    @property
    def state(self) -> ArenaState:
        return self.journal.state

    def run(self, cycle: int, row: int, *, last: bool) -> CycleReport:
        """Run cycle number `cycle`, whose present is `row`; on the last one nothing new begins."""
        before = self.state.row
        steps = self.keeper.agent_steps
        self.reached("observe", cycle)
        self.journal.post(catalog.EvolutionCycleStarted(cycle, row))
        self.reached("live", cycle)
        self.live(before, row)
        days = [now for now in range(before + 1, row + 1) if self.runner.closes_day(now)] if before >= 0 else []
        worth = {pool: [self.treasury.worth_raw(pool, day) for day in days] for pool in POOLS}
        self.reached("judge", cycle)
        records = self.judge(cycle, row, promotions=not last)
        bred = Bred()
        if not last:
            self.reached("breed", cycle)
            bred = self.breed(cycle, row)
        self.reached("allocate", cycle)
        self.allocate(row, last=last)
        self.reached("record", cycle)
        return self.record(cycle, row, worth, records, bred, steps, last=last)

    def live(self, before: int, row: int) -> None:
        """Funded agents trade the elapsed interval step by step through the engine."""
        accounts = [account for _, account in sorted(self.funding.accounts.items())]
        for now in range(max(before, self.world.first_row), row + 1):
            for account in accounts:
                if account.row < now:
                    self.runner.step(account, now)
        for account in accounts:
            if account.failed is not None and self.state.agents[account.agent_id].alive:
                kind, reason = account.failed
                self.journal.post(catalog.AgentFailed(kind, reason), account.agent_id)

    def judge(self, cycle: int, row: int, *, promotions: bool) -> dict[str, AgentRecord]:
        """Records and fitness, then deaths, retirements and graduations by pure rules."""
        living = self.state.living()
        lived = {name: account.daily_nav for name, account in self.funding.accounts.items()}
        records = self.keeper.records(living, row, lived)
        for agent in living:
            record = records[agent.agent_id]
            days = self.endings.days(agent.born_row, row)
            metrics = dict(record.metrics)
            if agent.stage == PROVING and agent.agent_id in self.funding.accounts:
                metrics["fidelity_bps"] = 1e4 * self.fidelity(agent, record)
            elif "fidelity_bps" in agent.metrics:
                metrics["fidelity_bps"] = agent.metrics["fidelity_bps"]
            label = agent.label if agent.funded else judging.record_label(record.coin_share, self.settings.rules)
            self.journal.post(catalog.PerformanceRecorded(cycle, days, metrics, label if days else ""), agent.agent_id)
        for agent in living:
            if not self.endings.kill(agent, records[agent.agent_id], row):
                self.endings.retire(agent, records[agent.agent_id], row)
        if promotions and self.funding.engine.stop_level == OFF:
            self._to_arena(records, row)
            self._to_proving(records, row)
        return records

    def held_back_from_proving(self, agent: AgentState, record: AgentRecord, row: int) -> judging.Reason | None:
        """Why a simulated agent must not be proven yet, or None."""
        rules, known = self.settings.rules, dict(record.metrics)
        if rules.simulation_deflated_min is not None and len(record.curve) > 1:  # nothing is known of no days
            known["deflated_sharpe"] = self.deflated_sharpe(agent.strategy, record)
        if "pbo" in agent.training:
            known["pbo"] = agent.training["pbo"]
        return judging.to_proving(known, self.endings.days(agent.born_row, row), rules)

    def held_back_from_arena(self, agent: AgentState, record: AgentRecord, row: int) -> judging.Reason | None:
        """Why an agent in proving must not enter the arena yet, or None."""
        days = self.endings.days(agent.stage_row, row)
        gap = abs(self.fidelity(agent, record))
        return judging.to_arena(record.metrics, days, record.proving_return, gap, self.settings.rules)

    def _to_arena(self, records: dict[str, AgentRecord], row: int) -> None:
        proving = self.state.living(PROVING)
        scores = [(agent.agent_id, records[agent.agent_id].metrics["fitness"]) for agent in proving]
        allowed = judging.best_share(scores, self.settings.rules.arena_top_share)
        agents = self.state.agents
        fit = [name for name in allowed if self.held_back_from_arena(agents[name], records[name], row) is None]
        room = max(0, self.settings.capital.arena_agents_max - len(self.state.living(ARENA)))
        equity = {name: self.funding.equity_raw(self.funding.accounts[name], row) for name in fit[:room]}
        self._take_back(ARENA_POOL, list(equity.values()), row)
        for agent_id in fit:
            if len(self.state.living(ARENA)) >= self.settings.capital.arena_agents_max:
                break
            try:
                self.enter_arena(agents[agent_id], records[agent_id], row)
            except AllocationError:
                continue  # the arena's pool cannot take this agent over now: it stays in proving

    def _to_proving(self, records: dict[str, AgentRecord], row: int) -> None:
        fit = [
            (agent.agent_id, records[agent.agent_id].metrics["fitness"])
            for agent in self.state.living(SIMULATION)
            if self.held_back_from_proving(agent, records[agent.agent_id], row) is None
        ]
        room = self.settings.capital.proving_agents - len(self.state.living(PROVING))
        chosen = judging.best_share(fit, 1.0)[: max(0, room)]
        self._take_back(PROVING_POOL, [self.settings.capital.proving_slot_raw] * len(chosen), row)
        for agent_id in chosen:
            try:
                self.enter_proving(self.state.agents[agent_id], records[agent_id], row)
            except AllocationError:
                continue  # the proving pool has lost too much for another slot, or old holdings cannot be sold: it waits

    def _take_back(self, pool: str, amounts_raw: list[int], row: int) -> None:
        """Take lent capital back once for all who enter now; where the pool has not enough, each is tried alone."""
        try:
            self.treasury.provide(pool, sum(amounts_raw), row)
        except AllocationError:
            return

    def enter_proving(self, agent: AgentState, record: AgentRecord, row: int) -> None:
        """Give an agent its proving slot and nothing else: capital that it was given by hand goes back first.

        Proving compares an account with a simulation that begins the same day with the same capital under the same limits;
        an older account has others. Raises AllocationError while the pool has no slot, or the old account cannot be sold.
        """
        slot = self.settings.capital.proving_slot_raw
        self.treasury.provide(PROVING_POOL, slot, row)
        given = self.funding.accounts.get(agent.agent_id)
        if given is not None and not self.funding.close(given, self.funding.pool_of(given), row, "promotion"):
            raise AllocationError(
                f"agent {agent.agent_id} holds positions that cannot be sold now: it stays in simulation"
            )
        self._graduate(agent, record, PROVING, judging.record_label(record.coin_share, self.settings.rules))
        self.funding.allocate(agent.agent_id, PROVING_POOL, slot, row, "proving slot")

    def enter_arena(self, agent: AgentState, record: AgentRecord, row: int) -> None:
        """Take an agent over into the main arena; raises AllocationError before anything changed."""
        equity = self.funding.equity_raw(self.funding.accounts[agent.agent_id], row)
        self.treasury.provide(ARENA_POOL, equity, row)
        self._graduate(agent, record, ARENA, agent.label)
        self.funding.promote(agent, row)

    def promote_one(self, agent_id: str, row: int) -> None:
        """Promote one agent by the rules; raises ValidationError with the rule, AllocationError without room or capital."""
        agent = self.state.agents[agent_id]
        record = self.keeper.records([agent], row)[agent_id]
        plan = self.settings.capital
        if agent.stage == SIMULATION:
            reason, stage, slots = self.held_back_from_proving(agent, record, row), PROVING, plan.proving_agents
        else:
            reason, stage, slots = self.held_back_from_arena(agent, record, row), ARENA, plan.arena_agents_max
        if reason is None and stage == ARENA and agent_id not in self._best_in_proving(row):
            reason = judging.Reason(
                "top_share", f"it is not among the best {self.settings.rules.arena_top_share:.0%} in proving"
            )
        if reason is not None:
            raise ValidationError(f"agent {agent_id} cannot enter {stage}: {reason.text}")
        if len(self.state.living(stage)) >= slots:
            raise AllocationError(f"all {slots} places in {stage} are taken")
        if stage == PROVING:
            self.enter_proving(agent, record, row)
        else:
            self.enter_arena(agent, record, row)
        self.funding.mark(self.funding.accounts[agent_id], self.state.present_cycle, row)

    def _best_in_proving(self, row: int) -> list[str]:
        proving = self.state.living(PROVING)
        records = self.keeper.records(proving, row)
        scores = [(agent.agent_id, records[agent.agent_id].metrics["fitness"]) for agent in proving]
        return judging.best_share(scores, self.settings.rules.arena_top_share)

    def _graduate(self, agent: AgentState, record: AgentRecord, to: str, label: str) -> None:
        desk = self.world.desks[agent.strategy]
        limits = judging.record_limits(record.max_share, desk.coin_roles, label, self.settings.rules)
        limits = {role: min(limit, agent.limits.get(role, 1.0)) for role, limit in limits.items()}
        self.journal.post(
            catalog.AgentGraduated(
                from_stage=agent.stage,
                to_stage=to,
                reason=f"{record.metrics['days']:.0f} days of record passed the rules of profile {self.settings.profile}",
                metrics=record.metrics,
                deflated_sharpe=self.deflated_sharpe(agent.strategy, record),
                pbo=agent.training.get("pbo"),
                trials=self.state.trials,
                limits=limits,
                label=label,
            ),
            agent.agent_id,
        )

    def deflated_sharpe(self, strategy: str, record: AgentRecord) -> float:
        """Probability that the record's floored Sharpe over lending beats the best of as many lucky trials.

        Trials are all genomes evaluated in the whole run; their variance is that of the strategy's own trials, measured by
        the same floored Sharpe a day (pooling strategies would measure how lenders differ from coin holders, not luck).
        """
        days = len(record.curve) - 1
        returns = stats.daily_returns(record.curve)
        lending = stats.daily_returns(self.keeper.lending(self.state.open_row - days * self.keeper.day, days))
        excess = returns - lending
        known = self.state.trial_stats.get(strategy, TrialStats())
        return float(
            stats.deflated_sharpe(
                float(stats.floored_sharpe(returns, lending)) / math.sqrt(stats.DAYS_PER_YEAR),
                known.variance,
                max(1, self.state.trials),
                days,
                float(stats.skewness(excess)),
                float(stats.kurtosis(excess)),
            )
        )

    def fidelity(self, agent: AgentState, record: AgentRecord) -> float:
        """Live return since it entered proving, less what simulation gives for the same days and capital."""
        account = self.funding.accounts[agent.agent_id]
        return account.nav - 1.0 - (record.fidelity_return or 0.0)

    def breed(self, cycle: int, row: int) -> Bred:
        """Fill every strategy's vacancies with the best of a search on the window that ends now.

        A birth replaces the agent of its strategy that ended first and is not replaced yet; without one the strategy grows.
        """
        bred = Bred()
        if cycle == 0:
            bred.trials = self.settings.tried_before
            for spawned in self.breeder.seeds(row):
                self.journal.post(spawned, agent_name(spawned.strategy, self.state.births))
        vacancies: list[tuple[str, list[AgentState], int]] = []
        for name, wanted in self.breeder.quotas(cycle).items():
            living = ranked([agent for agent in self.state.living() if agent.strategy == name])
            if wanted > len(living):
                vacancies.append((name, living, wanted - len(living)))
        searched = self.settings.executor.map(
            lambda vacancy: self.breeder.search(self.world.desks[vacancy[0]], vacancy[1], cycle, row), vacancies
        )
        known = self.breeder.behaviours(self.state.living(), row) if vacancies else []
        for (name, living, vacant), (result, pbo) in zip(vacancies, searched, strict=True):
            bred.sharpes[name] = result.trial_sharpes
            bred.trials += result.trials
            bred.generations.extend(
                {
                    "strategy": name,
                    "generation": generation.generation,
                    "best": known_score(generation.best),
                    "median": known_score(generation.median),
                    "diversity": generation.diversity,
                    "restarts": generation.restarts,
                }
                for generation in result.generations
            )
            for spawned in self.breeder.spawn(self.world.desks[name], result, living, known, vacant, cycle, row, pbo):
                dead = next(iter(self.state.vacated.get(name, ())), None)
                self.journal.post(attrs.evolve(spawned, replaces=dead), agent_name(name, self.state.births))
        return bred

    def allocate(self, row: int, *, last: bool) -> None:
        """Returns first, then the arena by rank, then idle capital is lent."""
        for agent_id, account in sorted(self.funding.accounts.items()):
            agent = self.state.agents[agent_id]
            if account.closing or not agent.alive:
                self.funding.close(account, self.funding.pool_of(account), row, agent.reason or agent.stage)
        if not last:
            arena = ranked(self.state.living(ARENA))
            if arena:
                self.funding.rebalance([agent.agent_id for agent in arena], row)
            for pool in POOLS:
                self.treasury.lend_idle(pool, row)

    def record(
        self,
        cycle: int,
        row: int,
        daily_worth: dict[str, list[int]],
        records: dict[str, AgentRecord],
        bred: Bred,
        steps_before: int,
        *,
        last: bool,
    ) -> CycleReport:
        """Marks, conservation, the cycle's closing event, and the commit."""
        for pool in POOLS:
            self.treasury.mark(pool, row, daily_worth[pool])
        capital = sum(self.treasury.worth_raw(pool, row) for pool in POOLS)
        pools = {pool: self.treasury.worth_raw(pool, row) for pool in POOLS}
        for _, account in sorted(self.funding.accounts.items()):
            self.funding.mark(account, cycle, row)
            equity = self.funding.equity_raw(account, row)
            capital += equity
            pools[self.funding.pool_of(account)] += equity
        self.check_conservation(cycle, pools)
        fitness = [records[a.agent_id].metrics["fitness"] for a in self.state.living() if a.agent_id in records]
        best, median = (max(fitness), float(np.median(fitness))) if fitness else (0.0, 0.0)
        population = {stage: len(self.state.living(stage)) for stage in (SIMULATION, PROVING, ARENA)}
        steps = self.keeper.agent_steps - steps_before
        self.journal.post(
            catalog.EvolutionCycleComplete(
                cycle=cycle,
                row=row,
                trials=bred.trials,
                trial_sharpes={n: [float(t.count), t.mean, t.m2] for n, t in bred.sharpes.items()},
                generations=bred.generations,
                population=population,
                best=best,
                median=median,
                capital_raw=capital,
                agent_steps=steps,
            )
        )
        if last:
            self.journal.post(catalog.RunCompleted(cycle, row, capital))
        self.reached("commit", cycle)
        self.journal.commit()
        self.reached("committed", cycle)
        counts = self.state.counts
        return CycleReport(
            cycle=cycle,
            row=row,
            date=self.world.frame.time(row).strftime("%Y-%m-%d"),
            alive=sum(population.values()),
            simulation=population[SIMULATION],
            proving=population[PROVING],
            arena=population[ARENA],
            dead=counts["deaths"] + counts["retirements"],
            graduated=counts["graduations_proving"] + counts["graduations_arena"],
            best=best,
            median=median,
            capital_raw=capital,
            trials=self.state.trials,
            agent_steps=steps,
        )

    def check_conservation(self, cycle: int, pools_raw: dict[str, int]) -> None:
        """Sum the whole ledger per asset; raises CapitalConservationError when anything is not zero."""
        totals = self.state.ledger.conserved()
        self.journal.post(
            catalog.CapitalConservationChecked(
                cycle,
                {asset: str(total) for asset, total in sorted(totals.items())},
                {pool: str(worth) for pool, worth in pools_raw.items()},
            )
        )
