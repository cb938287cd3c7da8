"""What every fitness function must do: finite, pure, and indifferent to order, neighbours and scale."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.randomness import stream


def sample_records(days: int = 60, agents: int = 12, seed: int = 7) -> RecordBatch:
    """Records of every kind: rising, falling, flat, lending, ruined, volatile."""
    rng = stream(seed, days, "conformance/records")
    returns = 0.01 * rng.standard_normal((agents, days)) * np.linspace(0.01, 2.0, agents)[:, None]
    returns[0], returns[1] = 0.0, 0.0001
    returns[2], returns[3] = -0.01, 0.01
    curve = 1_000.0 * np.concatenate([np.ones((agents, 1)), np.cumprod(1.0 + returns, axis=1)], axis=1)
    return RecordBatch(
        curve=curve,
        lending=np.cumprod(np.concatenate([[1.0], np.full(days, 1.0001)])),
        trades=np.arange(agents, dtype=np.float64),
        costs=np.linspace(0.0, 5.0, agents),
        coin_share=np.linspace(0.0, 1.0, agents),
        failed=np.zeros(agents, dtype=np.bool_),
    )


def take(records: RecordBatch, rows: Any) -> RecordBatch:
    """The records of some agents."""
    return RecordBatch(
        curve=records.curve[rows],
        lending=records.lending,
        trades=records.trades[rows],
        costs=records.costs[rows],
        coin_share=records.coin_share[rows],
        failed=records.failed[rows],
    )


class FitnessConformance:
    """Laws of a fitness function. Subclasses define the fixture ``fitness``."""

    @pytest.fixture
    def fitness(self) -> FitnessFunction:
        """What to test."""
        raise NotImplementedError("define the fixture `fitness` in your subclass")

    def test_it_is_named(self, fitness: FitnessFunction) -> None:
        assert fitness.name
        assert fitness.summary

    @pytest.mark.parametrize("days", [0, 1, 2, 6, 7, 30, 400])
    def test_scores_are_finite_at_every_length(self, fitness: FitnessFunction, days: int) -> None:
        records = sample_records(days)
        scores = fitness.score(records)
        assert scores.shape == (records.agents,)
        assert np.isfinite(scores).all()

    def test_nobody_to_score(self, fitness: FitnessFunction) -> None:
        assert fitness.score(take(sample_records(), np.zeros(12, dtype=np.bool_))).shape == (0,)

    def test_ruin_is_finite(self, fitness: FitnessFunction) -> None:
        records = sample_records(30)
        curve = records.curve.copy()
        curve[0, 10:] = 1e-9
        assert np.isfinite(fitness.score(attrs.evolve(records, curve=curve))).all()

    def test_the_order_of_agents_does_not_matter(self, fitness: FitnessFunction) -> None:
        records = sample_records()
        turn = np.arange(records.agents)[::-1]
        assert np.array_equal(fitness.score(take(records, turn)), fitness.score(records)[turn])

    def test_neighbours_do_not_matter(self, fitness: FitnessFunction) -> None:
        records = sample_records()
        alone = [float(fitness.score(take(records, [index]))[0]) for index in range(records.agents)]
        assert np.allclose(fitness.score(records), alone, rtol=1e-9, atol=1e-12)

    def test_the_same_records_have_the_same_score_and_stay_as_they_are(self, fitness: FitnessFunction) -> None:
        records = sample_records()
        before = records.curve.copy()
        assert np.array_equal(fitness.score(records), fitness.score(records))
        assert np.array_equal(records.curve, before)

    def test_scale_of_capital_does_not_matter(self, fitness: FitnessFunction) -> None:
        records = sample_records()
        larger = attrs.evolve(records, curve=records.curve * 1_024.0, costs=records.costs * 1_024.0)
        assert np.allclose(fitness.score(larger), fitness.score(records), rtol=1e-9, atol=1e-12)

    def test_steady_gains_beat_steady_losses(self, fitness: FitnessFunction) -> None:
        scores = fitness.score(sample_records(60))
        assert scores[3] > scores[2]
