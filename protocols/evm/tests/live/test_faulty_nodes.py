"""Orders through nodes that misbehave, with kills in between: nothing happens twice, every order ends, the books are right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faulty_tries import through_faults

from treasury_arena_evm.local.faults import FaultyProxy
from treasury_arena_evm.local.house import ChainHouse
from treasury_arena_evm.local.market import LocalMarket


@pytest.mark.parametrize("seed", [1, 2])
def test_tries_through_faulty_nodes(
    house_of: Callable[..., ChainHouse],
    make_faulty_proxy: Callable[..., FaultyProxy],
    local_market: LocalMarket,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    through_faults(seed, house_of, make_faulty_proxy, local_market.url, monkeypatch)
