"""Houses of orders on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from treasury_arena.testing.orders import House, build


@pytest.fixture
def house_of(store_url: str) -> Iterator[Callable[..., House]]:
    """Builds a house whose market has the kind of step; closed at the end."""
    made: list[House] = []

    def make(kind: str = "supply", depth: int = 1) -> House:
        made.append(build(store_url, kind, depth))
        return made[-1]

    yield make
    for house in made:
        house.store.close()
