"""The arena's own settings: plain values, resolved; where they came from is not its business."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.runtime import Executor
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.rules import Rules
from treasury_arena.errors import ConfigError
from treasury_arena.evolution.settings import OperatorSet, SearchSettings


@attrs.frozen
class CapitalPlan:
    """The first capital in base units of the base asset; the parts must add up to the total.

    Raises ConfigError naming the difference.
    """

    total_raw: int
    reserve_raw: int
    proving_raw: int
    arena_raw: int
    proving_slot_raw: int
    proving_agents: int = 10
    arena_agents_max: int = 15
    reserve_lend: bool = False
    idle_market: str = ""

    def __attrs_post_init__(self) -> None:
        parts = (self.reserve_raw, self.proving_raw, self.arena_raw)
        if min(parts) < 0 or sum(parts) != self.total_raw:
            raise ConfigError(
                f"capital does not add up: reserve {parts[0]} + proving {parts[1]} + arena {parts[2]} = {sum(parts)} "
                f"base units, total is {self.total_raw} (difference {self.total_raw - sum(parts)})"
            )
        if self.proving_slot_raw <= 0 or self.proving_slot_raw * self.proving_agents > self.proving_raw:
            raise ConfigError(
                f"{self.proving_agents} proving agents of {self.proving_slot_raw} base units need more than "
                f"the proving pool's {self.proving_raw}"
            )

    @property
    def judge_raw(self) -> int:
        """Capital of one arena agent at equal shares: the scale at which records are judged (M3)."""
        return max(1, self.arena_raw // self.arena_agents_max)


@attrs.frozen(eq=False)
class ArenaSettings:
    """How this arena lives.

    Attributes:
        arena_id: part of every intent id; equal for equal configurations.
        agents: living agents the arena keeps.
        cycle_days, training_days, birth_cycles: rhythm.
        search_fitness: scores training records; judge_fitness: ranks living agents.
        owner_fitness: the owner's formula, judged by the owner's thresholds.
        decision_seconds_max: limit of one decision of a live agent.
        seeds: (strategy, genes by name) of agents that are born first.
        tried_before: genomes that were tried to find them.
        pbo_splits: blocks of the combinatorially symmetric cross-validation stored with each birth.
    """

    arena_id: str
    name: str
    profile: str
    seed: int
    rules: Rules
    capital: CapitalPlan
    base: Asset
    assets: AssetTable
    search: SearchSettings
    operators: OperatorSet
    search_fitness: FitnessFunction
    judge_fitness: FitnessFunction
    owner_fitness: FitnessFunction
    executor: Executor
    agents: int = 50
    cycle_days: int = 7
    training_days: int = 180
    birth_cycles: int = 4
    workers: int = 1
    decision_seconds_max: float = 2.0
    pbo_splits: int = 10
    config: Mapping[str, object] = attrs.field(factory=dict)
    config_hash: str = ""
    plugins: Mapping[str, str] = attrs.field(factory=dict)
    seeds: tuple[tuple[str, Mapping[str, float]], ...] = ()
    tried_before: int = 0
