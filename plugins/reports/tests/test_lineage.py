from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from treasury_arena_reports.family import NODES, family_tree
from treasury_arena_reports.lineage import descents, families, family


def agent(name: str, *parents: str, promoted: bool = False, born: str = "2024-01-01") -> dict[str, Any]:
    return {"id": name, "strategy": "s", "born": born, "parents": list(parents), "promoted": promoted}


def test_a_family_in_figures(make: Any) -> None:
    agents = [agent("a"), agent("b"), agent("c", "a", "b"), agent("d", "c", "c", "stranger", promoted=True), agent("e")]
    (line,) = descents(_with(make, agents))
    assert line.parents == ("c", "stranger")
    assert line.grandparents == ("a", "b")
    assert (line.ancestors, line.depth, line.founders) == (3, 2, ("a", "b"))


def _with(make: Any, agents: list[dict[str, Any]]) -> Any:
    return attrs.evolve(make(days=3, agents=0, promoted=0), agents=agents)


@pytest.mark.parametrize("parents", [("x",), ("y",), ("x", "y")])
def test_a_family_that_bites_its_tail_ends(make: Any, parents: tuple[str, ...]) -> None:
    result = _with(make, [agent("x", *parents, promoted=True), agent("y", "x", promoted=True)])
    assert [line.ancestors for line in descents(result)] in ([0, 1], [1, 1])
    assert isinstance(family_tree(result), Figure)


def test_a_line_of_a_thousand_generations(make: Any) -> None:
    agents = [agent("a0")]
    agents += [agent(f"a{at}", f"a{at - 1}", promoted=at == 1000) for at in range(1, 1001)]
    result = _with(make, agents)
    (line,) = descents(result)
    assert (line.depth, line.ancestors, line.founders) == (1000, 1000, ("a0",))
    names, shown = families(result, NODES)
    assert (len(names), shown) == (NODES, 1)
    assert "a1000" in names


@given(st.lists(st.lists(st.integers(0, 30), max_size=3), max_size=30))
def test_each_ancestor_is_a_parent_of_one_a_step_nearer(graph: list[list[int]]) -> None:
    agents = {f"a{at:02}": agent(f"a{at:02}", *(f"a{up:02}" for up in parents)) for at, parents in enumerate(graph)}
    for name in agents:
        found = family(agents, name)
        assert found.pop(name) == 0
        everyone = {name: 0, **found}
        for other, far in found.items():
            assert any(far == step + 1 and other in agents[child]["parents"] for child, step in everyone.items())


@pytest.mark.parametrize(("limit", "shown", "drawn"), [(2, 1, 2), (3, 1, 2), (4, 2, 4), (5, 2, 4), (6, 3, 6)])
def test_whole_families_are_drawn_as_far_as_there_is_room(make: Any, limit: int, shown: int, drawn: int) -> None:
    agents = [agent(f"{name}0") for name in "abc"] + [agent(f"{name}1", f"{name}0", promoted=True) for name in "abc"]
    names, families_shown = families(_with(make, agents), limit)
    assert (families_shown, len(names)) == (shown, drawn)
