"""One small world for all tests of the arena, and arenas over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from treasury_arena.arena.desk import World
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.worlds import small_arena, small_world


@pytest.fixture(scope="session")
def world() -> World:
    return small_world(synthetic_frame(80))


@pytest.fixture
def make_arena(world: World) -> Iterator[Callable[..., ArenaManager]]:
    """``make_arena(frame=..., store=..., **settings) -> ArenaManager``, closed at the end."""
    made: list[ArenaManager] = []

    def make(folder: Any = None, **overrides: Any) -> ArenaManager:
        if "frame" not in overrides and "strategies" not in overrides:
            overrides.setdefault("world", world)
        arena = small_arena(folder, **overrides)
        made.append(arena)
        return arena

    yield make
    for arena in made:
        arena.close()


@pytest.fixture
def arena(make_arena: Callable[..., ArenaManager]) -> ArenaManager:
    return make_arena()


def deciding(world: World, strategy: str, decide: Callable[..., Any]) -> World:
    """The world with another decision function for live agents of one strategy; the kernel keeps the true one."""
    desk = world.desks[strategy]

    class Live(type(desk)):  # type: ignore[misc]
        def live(self) -> Any:
            known = super().live()
            return attrs.evolve(known, strategy=attrs.evolve(known.strategy, decide=decide))

    other = Live(**{field.alias: getattr(desk, field.name) for field in attrs.fields(type(desk)) if field.init})
    return attrs.evolve(world, desks={**world.desks, strategy: other})


@pytest.fixture
def live_decide() -> Callable[..., World]:
    return deciding
