"""The plugin registers itself, and its page names everything it offers."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import attrs

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena_fitness.plugin import arena_fitness

PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_entry_point_leads_to_the_hook() -> None:
    (entry,) = entry_points(group="treasury_arena", name="fitness")
    offered = entry.load().arena_fitness()
    assert all(isinstance(function, FitnessFunction) for function in offered)
    assert [function.name for function in offered] == [function.name for function in arena_fitness()]


def test_the_page_lists_every_function_with_its_parameters_and_defaults() -> None:
    for function in arena_fitness():
        (row,) = re.findall(rf"^\| `{function.name}` \|.*$", PAGE, flags=re.MULTILINE)
        for field in attrs.fields(type(function)):
            if field.name != "days_min":
                shown = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
                assert f"`{field.name} = {shown}`" in row, (function.name, field.name)


def test_every_parameter_explains_itself() -> None:
    for function in arena_fitness():
        for field in attrs.fields(type(function)):
            assert field.metadata["help"].endswith((".", "?", ")."))
