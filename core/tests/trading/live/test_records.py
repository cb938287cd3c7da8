"""What is read of the tables of live orders, by column."""

from __future__ import annotations

import pytest

from treasury_arena.errors import IntegrityError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft
from treasury_arena.store import open_store
from treasury_arena.trading.live.records import Records


def reserved(intent_id: str, market: str, hour: int, agent: str = "a1") -> Draft:
    fields = ("strategy", 31337, "0xaa", [0.5], 0, 9, 9, 0, 0, False, 99, [])
    return Draft(o.IntentReserved(intent_id, market, "lend", *fields), f"2024-01-01T{hour:02}:00:00Z", agent)


def test_a_role_is_where_it_was_last_sent_whatever_is_heard_of_earlier_orders(store_url: str) -> None:
    with open_store(store_url) as store:
        store.append([reserved("i1", "aave", 1), reserved("i2", "morpho", 2), reserved("i3", "aave", 3, "a2")])
        places = [("a1", "lend", "aave"), ("a1", "lend", "morpho"), ("a2", "lend", "aave")]
        assert Records(store).places() == places
        store.append([Draft(o.IntentQuarantined("i1", "its block was replaced"), "2024-01-01T04:00:00Z", "a1")])
        assert Records(store).places() == places


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (o.SendObserved("i1", 31337, "0xaa", 7, "0x01", "node", "ok", "", 4), "slot 31337:0xaa:7"),
        (o.IntentEnded("i1", "SETTLED", "", "", 0, 0), "intent i1"),
        (o.GateRefused("i1", 0, "supply", "gas", "dear"), "intent i1"),
    ],
)
def test_what_was_never_journaled_is_not_changed(store_url: str, payload: object, what: str) -> None:
    with open_store(store_url) as store:
        store.append([reserved("i2", "aave", 1)])
        last = store.last()
        with pytest.raises(IntegrityError, match=f"^{what} was never journaled"):
            store.append([Draft(payload, "2024-01-01T02:00:00Z", "a1")])
        assert store.last() == last
