"""Who descends from whom: the families of promoted agents, without drawing anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.facts import promoted

Agents = Mapping[str, dict[str, Any]]


@attrs.frozen
class Descent:
    """The line of one promoted agent.

    Attributes:
        agent: its own record.
        parents, grandparents: ids, in the record's order, each once; also those born outside this run.
        ancestors: how many agents of this run it descends from.
        depth: generations of recorded agents above it (0 for one bred by search alone).
        founders: ancestors without recorded parents, by id.
    """

    agent: dict[str, Any]
    parents: tuple[str, ...]
    grandparents: tuple[str, ...]
    ancestors: int
    depth: int
    founders: tuple[str, ...]


def parents_of(agent: dict[str, Any]) -> tuple[str, ...]:
    """Parent ids, each once; an agent is never its own parent."""
    return tuple(dict.fromkeys(str(name) for name in agent.get("parents") or () if str(name) != str(agent["id"])))


def family(agents: Agents, root: str) -> dict[str, int]:
    """Ancestors of `root` among `agents` with their shortest distance; `root` itself has distance 0."""
    found = {root: 0}
    queue = deque([root])
    while queue:
        name = queue.popleft()
        for parent in parents_of(agents[name]):
            if parent in agents and parent not in found:
                found[parent] = found[name] + 1
                queue.append(parent)
    return found


def descents(result: RunResult) -> list[Descent]:
    """One line per promoted agent, in the order of `promoted`."""
    agents = {str(agent["id"]): agent for agent in result.agents}
    lines = []
    for agent in promoted(result):
        tree = family(agents, str(agent["id"]))
        parents = parents_of(agent)
        above = dict.fromkeys(up for name in parents if name in agents for up in parents_of(agents[name]))
        lines.append(
            Descent(
                agent=agent,
                parents=parents,
                grandparents=tuple(above),
                ancestors=len(tree) - 1,
                depth=max(tree.values()),
                founders=tuple(
                    sorted(
                        name
                        for name, far in tree.items()
                        if far and not any(p in agents for p in parents_of(agents[name]))
                    )
                ),
            )
        )
    return lines


def families(result: RunResult, limit: int) -> tuple[list[str], int]:
    """Ids of promoted agents and all their ancestors, whole families only, at most `limit` agents unless the first needs more.

    Returns the ids in order of birth and how many of their families are among them.
    """
    agents = {str(agent["id"]): agent for agent in result.agents}
    chosen: dict[str, None] = {}
    shown = 0
    for agent in promoted(result):
        tree = sorted(family(agents, str(agent["id"])).items(), key=lambda item: (item[1], item[0]))
        extended = {**chosen, **dict.fromkeys(name for name, _ in tree)}
        if len(extended) > limit:
            if shown:
                break
            extended = dict.fromkeys(name for name, _ in tree[:limit])
        chosen = extended
        shown += 1
    return sorted(chosen, key=lambda name: (str(agents[name].get("born") or ""), name)), shown
