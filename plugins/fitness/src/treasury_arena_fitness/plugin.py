"""Registers the fitness functions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.fitness import FitnessFunction


@hookimpl
def arena_fitness() -> list[FitnessFunction]:
    """Return one instance of each function with its defaults; `attrs.evolve` sets parameters."""
    from treasury_arena_fitness import functions

    return [
        functions.Owner(),
        functions.OwnerExcess(),
        functions.Sharpe(),
        functions.SharpeZero(),
        functions.FlooredSharpe(),
        functions.Sortino(),
        functions.Calmar(),
        functions.ConditionalValueAtRisk(),
        functions.ProbabilisticSharpe(),
        functions.TotalReturn(),
    ]
