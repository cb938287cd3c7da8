"""What a search promises: it beats chance, counts every trial, repeats itself, restarts, and isolates failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.genes import FloatArray, GeneSpace
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.evolution.search import Evaluation, OperatorSet, SearchSettings, random_search, search

Streams = Callable[[int], Callable[[str, int], np.random.Generator]]
Objective = Callable[[FloatArray], FloatArray]


@pytest.mark.parametrize("name", ["sphere", "rastrigin"])
def test_evolution_beats_random_search_at_equal_evaluations(
    request: pytest.FixtureRequest, space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, name: str
) -> None:
    objective = request.getfixturevalue(name)
    won = 0
    gain = []
    for seed in range(12):
        bred, drawn = counted(objective), counted(objective)
        found = search(space, bred, SearchSettings(generations=12), team, streams(seed))
        chance = random_search(
            space, drawn, SearchSettings(generations=12), team, streams(seed), evaluations=found.trials
        )
        assert len(bred.rows) == len(drawn.rows) == found.trials == chance.trials
        won += found.scores[0] > chance.scores[0]
        gain.append(found.scores[0] - chance.scores[0])
    assert won >= 10
    assert np.mean(gain) > 0.0


def test_the_same_streams_give_the_same_result_to_the_bit(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, rastrigin: Objective
) -> None:
    first, again, other = (
        search(space, counted(rastrigin), SearchSettings(restart_after=1), team, streams(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.genomes, again.genomes)
    np.testing.assert_array_equal(first.scores, again.scores)
    np.testing.assert_array_equal(first.founders, again.founders)
    assert first.trial_sharpes == again.trial_sharpes
    for one, two in zip(first.generations, again.generations, strict=True):
        assert (one.best, one.median, one.diversity, one.restarts) == (
            two.best,
            two.median,
            two.diversity,
            two.restarts,
        )
    assert not np.array_equal(first.genomes, other.genomes)


@pytest.mark.parametrize("elites", [0, 1, 5])
def test_every_row_passed_to_evaluate_is_a_trial(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective, elites: int
) -> None:
    settings = SearchSettings(population=20, generations=6, elites=elites)
    evaluate = counted(sphere)
    found = search(space, evaluate, settings, team, streams(1))
    assert found.trials == len(evaluate.rows) == 20 + 5 * (20 - elites)
    assert found.trial_sharpes.count == found.trials
    sharpes = sphere(evaluate.rows) / 100.0
    assert found.trial_sharpes.mean == pytest.approx(sharpes.mean())
    assert found.trial_sharpes.variance == pytest.approx(sharpes.var(ddof=1))


def test_the_result_is_the_best_distinct_genomes_of_all_generations(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    evaluate = counted(sphere)
    found = search(space, evaluate, SearchSettings(archive=10), team, streams(2))
    tried = np.unique(evaluate.rows, axis=0)
    scores = sphere(tried)
    order = np.argsort(-scores, kind="stable")[:10]
    np.testing.assert_array_equal(found.genomes, tried[order])
    np.testing.assert_array_equal(found.scores, scores[order])


def test_equal_scores_are_in_lexicographic_order(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any
) -> None:
    evaluate = counted(lambda genomes: np.zeros(len(genomes)))
    found = search(space, evaluate, SearchSettings(archive=1000), team, streams(2))
    np.testing.assert_array_equal(found.genomes, np.unique(evaluate.rows, axis=0))


def test_breeding_avoids_genomes_that_were_tried(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    evaluate = counted(sphere)
    found = search(space, evaluate, SearchSettings(generations=20), team, streams(5))
    assert len(np.unique(evaluate.rows, axis=0)) >= found.trials - 2


def test_the_best_never_gets_worse_with_an_elite_and_is_not_evaluated_twice(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, rastrigin: Objective
) -> None:
    found = search(space, counted(rastrigin), SearchSettings(generations=15), team, streams(6))
    best = [g.best for g in found.generations]
    assert best == sorted(best)
    assert best[-1] == found.scores[0]
    assert [g.generation for g in found.generations] == list(range(15))
    assert all(g.median <= g.best and 0.0 <= g.diversity <= 1.0 for g in found.generations)


@pytest.mark.parametrize(
    ("restart_after", "generations", "restarts"), [(3, 4, 0), (3, 5, 1), (3, 7, 1), (3, 8, 2), (0, 12, 0), (1, 5, 3)]
)
def test_a_plateau_restarts_after_exactly_the_stated_generations(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    restart_after: int,
    generations: int,
    restarts: int,
) -> None:
    flat = counted(lambda genomes: np.full(len(genomes), -7.0))
    settings = SearchSettings(population=10, generations=generations, restart_after=restart_after)
    found = search(space, flat, settings, team, streams(7))
    assert found.generations[-1].restarts == restarts
    assert found.trials == len(flat.rows) == 10 + (generations - 1) * 8


def test_a_restart_redraws_its_share_and_keeps_the_elites(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any
) -> None:
    first = np.tile(space.default, (42, 1))

    def run(fraction: float, after: int) -> FloatArray:
        evaluate = counted(lambda genomes: -np.abs(genomes - first[0]).sum(axis=1))
        options = SearchSettings(
            population=42, generations=7, restart_after=after, restart_fraction=fraction, seeds_share=1.0
        )
        found = search(space, evaluate, options, team, streams(8), first)
        assert found.scores[0] == 0.0
        assert found.generations[-1].best == 0.0
        return np.array([g.diversity for g in found.generations])

    none, half, whole = run(1.0, 0), run(0.5, 2), run(1.0, 2)
    assert whole[3] > half[3] > none[3]


def test_improvement_postpones_the_restart(space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any) -> None:
    calls = iter(range(1000))
    climbing = counted(lambda genomes: np.full(len(genomes), float(next(calls))))
    found = search(space, climbing, SearchSettings(generations=12, restart_after=1), team, streams(9))
    assert found.generations[-1].restarts == 0
    assert found.generations[-1].best == 11.0


def test_failed_genomes_are_counted_but_never_kept(
    space: GeneSpace, team: OperatorSet, streams: Streams, sphere: Objective
) -> None:
    def evaluate(genomes: FloatArray) -> Evaluation:
        failed = genomes[:, 0] > 0.0
        score = np.where(failed, np.nan, sphere(genomes))
        return Evaluation(score, np.where(failed, np.inf, score), failed)

    found = search(space, evaluate, SearchSettings(), team, streams(10))
    assert np.isfinite(found.scores).all()
    assert np.all(found.genomes[:, 0] <= 0.0)
    assert found.trials == 64 + 7 * 62
    assert 0 < found.trial_sharpes.count < found.trials
    assert np.isfinite([found.trial_sharpes.mean, found.trial_sharpes.variance]).all()


def test_a_search_in_which_everything_fails_ends_empty_handed(
    space: GeneSpace, team: OperatorSet, streams: Streams
) -> None:
    def evaluate(genomes: FloatArray) -> Evaluation:
        nothing = np.full(len(genomes), np.nan)
        return Evaluation(nothing, nothing, np.ones(len(genomes), dtype=np.bool_))

    found = search(space, evaluate, SearchSettings(restart_after=2), team, streams(11))
    assert found.genomes.shape == (0, space.size)
    assert found.scores.shape == (0,)
    assert found.founders.shape == (0, 2)
    assert found.trials == 8 * 64
    assert found.trial_sharpes.count == 0
    assert {g.best for g in found.generations} == {g.median for g in found.generations} == {-np.inf}
    assert found.generations[-1].restarts > 0


@pytest.mark.parametrize("size", [1, 2])
def test_a_population_of_one_or_two_works(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective, size: int
) -> None:
    evaluate = counted(sphere)
    found = search(space, evaluate, SearchSettings(population=size, generations=30, elites=2), team, streams(12))
    assert found.trials == len(evaluate.rows) == size + 29
    assert found.scores[0] > found.generations[0].best


@pytest.mark.parametrize("field", ["score", "Sharpe"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_unless_its_genome_failed(
    space: GeneSpace, team: OperatorSet, streams: Streams, field: str, value: float
) -> None:
    def evaluate(genomes: FloatArray) -> Evaluation:
        good, bad = np.zeros(len(genomes)), np.zeros(len(genomes))
        bad[3] = value
        pair = (bad, good) if field == "score" else (good, bad)
        return Evaluation(*pair, np.zeros(len(genomes), dtype=np.bool_))

    with pytest.raises(ValidationError, match=f"the {field} of genome 3 is {value}; expected a finite number"):
        search(space, evaluate, SearchSettings(), team, streams(13))


@pytest.mark.parametrize("name", ["scores", "sharpes", "failed"])
def test_an_evaluation_of_the_wrong_shape_is_refused(
    space: GeneSpace, team: OperatorSet, streams: Streams, name: str
) -> None:
    def evaluate(genomes: FloatArray) -> Evaluation:
        arrays = {"scores": np.zeros(64), "sharpes": np.zeros(64), "failed": np.zeros(64, dtype=np.bool_)}
        arrays[name] = arrays[name][:-1]
        return Evaluation(**arrays)

    with pytest.raises(ValidationError, match=rf"{name} must have shape \(64,\), not \(63,\)"):
        search(space, evaluate, SearchSettings(), team, streams(13))


def test_an_evaluation_cannot_change_the_genomes(space: GeneSpace, team: OperatorSet, streams: Streams) -> None:
    def evaluate(genomes: FloatArray) -> Evaluation:
        genomes[:] = 0.0
        raise AssertionError("the genomes were writable")

    with pytest.raises(ValueError, match="read-only"):
        search(space, evaluate, SearchSettings(), team, streams(13))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"population": 0}, "search: population must be a whole number of at least 1, not 0"),
        ({"generations": 0}, "generations must be"),
        ({"generations": True}, "generations must be"),
        ({"elites": -1}, "elites must be"),
        ({"crossover_rate": 1.01}, r"crossover_rate must be a number in \[0, 1\], not 1.01"),
        ({"crossover_rate": float("nan")}, "crossover_rate must be"),
        ({"restart_fraction": -0.01}, "restart_fraction must be"),
        ({"seeds_share": "half"}, "seeds_share must be"),
        ({"archive": 3, "elites": 4}, r"archive \(3\) must be at least elites \(4\)"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchSettings(**given)


@pytest.mark.parametrize("evaluations", [1, 63, 64, 65, 200])
def test_random_search_evaluates_exactly_as_many_as_asked(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective, evaluations: int
) -> None:
    evaluate = counted(sphere)
    found = random_search(space, evaluate, SearchSettings(), team, streams(14), evaluations=evaluations)
    assert found.trials == len(evaluate.rows) == evaluations
    assert max(len(batch) for batch in evaluate.calls) <= 64
    assert len(np.unique(evaluate.rows, axis=0)) == evaluations
    assert found.scores[0] == sphere(evaluate.rows).max()


def test_both_searches_start_from_the_same_population(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    seeds = space.sample(4, streams(1)("seeds", 0))
    bred, drawn = counted(sphere), counted(sphere)
    search(space, bred, SearchSettings(), team, streams(15), seeds)
    random_search(space, drawn, SearchSettings(), team, streams(15), seeds, evaluations=100)
    np.testing.assert_array_equal(bred.calls[0], drawn.calls[0])


def test_random_search_needs_evaluations(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    with pytest.raises(ConfigError, match="evaluations must be at least 1, not 0"):
        random_search(space, counted(sphere), SearchSettings(), team, streams(1), evaluations=0)
