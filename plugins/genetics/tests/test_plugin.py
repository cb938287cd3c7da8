"""The distribution offers its operators through the hook, and they breed together."""

from __future__ import annotations

import itertools
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import numpy as np
import pluggy
import pytest

from treasury_arena import hookspecs
from treasury_arena.contracts.genes import GeneSpace
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.errors import ConfigError
from treasury_arena.evolution.search import Evaluation, OperatorSet, SearchSettings, random_search, search
from treasury_arena.markers import PROJECT
from treasury_arena.randomness import stream
from treasury_arena_genetics import plugin

KINDS = {
    Selection: ["tournament", "rank", "truncation", "elitist"],
    Crossover: ["uniform", "blend", "sbx"],
    Mutation: ["gaussian", "polynomial", "owner", "reset"],
}


def test_the_entry_point_names_the_plugin() -> None:
    (entry,) = entry_points(group="treasury_arena", name="genetics")
    assert entry.load() is plugin


def test_the_hook_registers_every_operator_under_its_own_name() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    (operators,) = manager.hook.arena_operators()
    assert {name: cls().name for name, cls in operators.items()} == {name: name for name in operators}
    for kind, names in KINDS.items():
        assert sorted(n for n, cls in operators.items() if issubclass(cls, kind)) == sorted(names)


@pytest.mark.parametrize("name", [name for names in KINDS.values() for name in names])
def test_an_operator_is_frozen_and_equal_to_one_with_the_same_parameters(operators: dict[str, type], name: str) -> None:
    operator = operators[name]()
    assert operator == operators[name](**attrs.asdict(operator))
    assert hash(operator) == hash(operators[name]())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(operator, attrs.fields(operators[name])[0].name, 0.5)


def test_the_readme_states_every_operator_parameter_and_default(operators: dict[str, type]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name, cls in operators.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        for field in attrs.fields(cls):
            default = "1 / genes" if field.default is None else f"{field.default:g}"
            assert f"`{field.name}` = {default}" in row


def test_a_wrong_parameter_is_told_with_the_operator_and_the_limits(operators: dict[str, type]) -> None:
    with pytest.raises(ConfigError, match=r"operator 'sbx': eta must be a number in \[0, infinity\), not -1"):
        operators["sbx"](eta=-1)


TEAMS = list(itertools.product(*KINDS.values()))


@pytest.mark.parametrize("team", TEAMS, ids="+".join)
def test_every_team_of_operators_improves_on_its_first_generation(
    mixed: GeneSpace, operators: dict[str, type], team: tuple[str, str, str]
) -> None:
    target = mixed.genome({"threshold": 1.0, "share": 0.3, "window": 120, "steps": 2, "market": 168.0})
    width = np.where(mixed.high > mixed.low, mixed.high - mixed.low, 1.0)

    def evaluate(genomes: np.ndarray) -> Evaluation:
        score = -(((genomes - target) / width) ** 2).sum(axis=1)
        return Evaluation(score, score, np.zeros(score.size, dtype=np.bool_))

    chosen = OperatorSet(*(operators[name]() for name in team))
    gained = lost = 0.0
    for seed in range(6):
        arguments = (mixed, evaluate, SearchSettings(), chosen, lambda p, i, seed=seed: stream(seed, 0, p, i))
        found = search(*arguments)
        chance = random_search(*arguments, evaluations=found.trials)
        assert found.scores[0] > found.generations[0].best
        np.testing.assert_array_equal(found.genomes, mixed.clip(found.genomes))
        gained, lost = gained - np.log(-found.scores[0]), lost - np.log(-chance.scores[0])
    if team[2] != "reset":
        assert gained > lost
