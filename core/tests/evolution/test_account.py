"""The search's bookkeeping: trial statistics, diversity, archive, memory of what was tried."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.genes import GeneSpace
from treasury_arena.evolution.archive import Archive, Tried
from treasury_arena.evolution.diversity import diversity
from treasury_arena.evolution.trials import TrialStats

floats = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(st.lists(floats, max_size=6))
def test_merged_statistics_equal_those_of_all_values(parts: list[list[float]]) -> None:
    merged = TrialStats()
    for part in parts:
        merged = merged.merge(TrialStats.of(np.array(part)))
    values = np.array([v for part in parts for v in part])
    assert merged.count == values.size
    if values.size:
        assert merged.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-6)
    if values.size > 1:
        assert merged.variance == pytest.approx(values.var(ddof=1), rel=1e-9, abs=1e-3)


def test_too_few_values_have_no_variance() -> None:
    assert TrialStats().variance == 0.0
    assert TrialStats.of(np.array([3.0])).variance == 0.0
    assert TrialStats.of(np.array([1.0, 3.0])).variance == 2.0


def test_diversity_of_known_populations(space: GeneSpace) -> None:
    same = np.tile(space.default, (10, 1))
    assert diversity(same, space) == 0.0
    assert diversity(same[:0], space) == 0.0
    apart = np.concatenate([np.tile(space.low, (5, 1)), np.tile(space.high, (5, 1))])
    assert diversity(apart, space) == pytest.approx((4 + math.log(2) / math.log(5)) / 5)
    sample = space.sample(20_000, np.random.Generator(np.random.PCG64DXSM(1)))
    whole = math.sqrt((21**2 - 1) / 12) / 10
    assert diversity(sample, space) == pytest.approx((3 / math.sqrt(3) + whole + 1.0) / 5, abs=0.005)


def test_genes_that_cannot_move_do_not_count(space: GeneSpace) -> None:
    frozen = attrs.evolve(space, high=np.where(np.arange(5) == 0, space.high, space.low))
    genomes = np.tile(space.low, (2, 1))
    genomes[1, 0] = space.high[0]
    assert diversity(genomes, frozen) == pytest.approx(1.0)
    assert diversity(genomes, attrs.evolve(space, high=space.low)) == 0.0


small = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12)


@given(st.lists(small, min_size=1, max_size=4), st.integers(1, 8))
def test_an_archive_holds_the_best_distinct_genomes_whatever_the_batches(
    batches: list[list[tuple[int, int]]], size: int
) -> None:
    archive = Archive.empty(2)
    order = 0
    earliest: dict[tuple[int, int], int] = {}
    for batch in batches:
        genomes = np.array(batch, dtype=np.float64)
        scores = np.where(genomes[:, 0] == 2.0, -np.inf, -np.abs(genomes[:, 1] - 1.0))
        founders = np.arange(order, order + len(batch))[:, None] * np.ones(2, dtype=np.int64)
        for at, row in enumerate(batch):
            earliest.setdefault(row, order + at)
        order += len(batch)
        archive = archive.admit(genomes, scores, founders, size)
    expected = sorted((g for g in earliest if g[0] != 2), key=lambda g: (abs(g[1] - 1), g))[:size]
    assert [tuple(map(int, g)) for g in archive.genomes] == expected
    assert archive.scores.tolist() == [-abs(g[1] - 1.0) for g in expected]
    assert archive.founders[:, 0].tolist() == [earliest[g] for g in expected]


@given(small, small)
def test_repeats_are_rows_seen_before_or_earlier_in_the_array(
    before: list[tuple[int, int]], now: list[tuple[int, int]]
) -> None:
    tried = Tried(2)
    tried.add(np.array(before, dtype=np.float64))
    repeats = tried.repeats(np.array(now, dtype=np.float64)).tolist()
    assert repeats == [at for at, row in enumerate(now) if row in before or row in now[:at]]


def test_zero_and_negative_zero_are_the_same_gene() -> None:
    tried = Tried(1)
    assert tried.repeats(np.array([[0.0], [-0.0]])).tolist() == [1]
