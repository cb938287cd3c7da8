"""Houses on the local market, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from treasury_arena_evm.local.house import ChainHouse, build
from treasury_arena_evm.local.market import LocalMarket


@pytest.fixture
def house_of(
    tmp_path: Path, local_market: LocalMarket, request: pytest.FixtureRequest
) -> Iterator[Callable[..., ChainHouse]]:
    """``house_of(database="sqlite", user=0, endpoints=None, **keys of EvmSection)``: closed at the end."""
    made: list[ChainHouse] = []

    def make(database: str = "sqlite", user: int = 0, endpoints: Any = None, **keys: Any) -> ChainHouse:
        url = f"sqlite:///{tmp_path}/store-{len(made)}.db"
        if database == "postgresql":
            url = request.getfixturevalue("fresh_postgres")()
        made.append(build(url, local_market, local_market.users[user], endpoints, **keys))
        return made[-1]

    yield make
    for house in made:
        house.store.close()
