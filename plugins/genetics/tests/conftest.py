"""Spaces and operators shared by the tests of the genetic operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import pytest

from treasury_arena.contracts.genes import CHOICE, Choice, GeneSpace, Integer, Real
from treasury_arena_genetics.plugin import arena_operators


class Mixed(NamedTuple):
    threshold: Annotated[float, Real(-2.0, 3.0)]
    share: Annotated[float, Real(0.0, 1.0)]
    window: Annotated[float, Integer(1, 200)]
    steps: Annotated[float, Integer(-3, 3)]
    market: Annotated[float, Choice((24.0, 72.0, 168.0, 720.0))]
    fixed: Annotated[float, Real(0.5, 0.5)]
    only: Annotated[float, Choice((7.0,))]


@pytest.fixture(scope="session")
def mixed() -> GeneSpace:
    """Genes of every kind, one real gene and one choice that cannot move."""
    return GeneSpace.of(Mixed)


@pytest.fixture(scope="session")
def reals() -> Callable[[int], GeneSpace]:
    """Factory of a space of `n` real genes in [-5, 5]."""

    def build(genes: int) -> GeneSpace:
        names = tuple(f"x{i}" for i in range(genes))
        ones = np.ones(genes)
        return GeneSpace(
            names=names,
            kind=np.zeros(genes, dtype=np.int64),
            low=-5.0 * ones,
            high=5.0 * ones,
            default=0.0 * ones,
            scale=0.1 * ones,
            choices={},
            units=dict.fromkeys(names, ""),
        )

    return build


@pytest.fixture(scope="session")
def choices() -> GeneSpace:
    """Six choice genes of five values."""
    names = tuple(f"c{i}" for i in range(6))
    return GeneSpace(
        names=names,
        kind=np.full(6, CHOICE, dtype=np.int64),
        low=np.zeros(6),
        high=np.full(6, 4.0),
        default=np.zeros(6),
        scale=np.zeros(6),
        choices=dict.fromkeys(names, (1.0, 2.0, 3.0, 4.0, 5.0)),
        units=dict.fromkeys(names, ""),
    )


@pytest.fixture(scope="session")
def operators() -> dict[str, type]:
    return dict(arena_operators())
