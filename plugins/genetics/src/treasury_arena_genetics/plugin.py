"""Registers the genetic operators by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.operators import Crossover, Mutation, Selection


@hookimpl
def arena_operators() -> Mapping[str, type[Selection] | type[Crossover] | type[Mutation]]:
    """Return the operators of this distribution: name -> attrs class whose fields are its parameters."""
    from treasury_arena_genetics.crossover import Blend, SimulatedBinary, Uniform
    from treasury_arena_genetics.mutation import Gaussian, Owner, Polynomial, Reset
    from treasury_arena_genetics.selection import Elitist, Rank, Tournament, Truncation

    return {
        "tournament": Tournament,
        "rank": Rank,
        "truncation": Truncation,
        "elitist": Elitist,
        "uniform": Uniform,
        "blend": Blend,
        "sbx": SimulatedBinary,
        "gaussian": Gaussian,
        "polynomial": Polynomial,
        "owner": Owner,
        "reset": Reset,
    }
