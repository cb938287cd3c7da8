"""A nonce that is used although none of ours is known to be mined: taken by another, or a node that shows its receipt late."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.contracts.chain import Inclusion
from treasury_arena.testing.orders import House

AMOUNT = 10**9
HouseOf = Callable[..., House]


def late(house: House, looks: int) -> list[str]:
    """Let the node count each transaction before it shows its receipt, in the same block: so many looks (two questions each)
    see none.
    """
    real, hidden, asked = house.client.inclusion, dict[str, int](), list[str]()

    def inclusion(transaction: str, sender: str) -> Inclusion | None:
        found = real(transaction, sender)
        if found is None or hidden.setdefault(transaction, 2 * looks) == 0:
            return found
        hidden[transaction] -= 1
        asked.append(transaction)
        return None

    house.client.inclusion = inclusion  # type: ignore[method-assign]
    return asked


def carry_out(house: House, looks: int, rounds: int = 30) -> None:
    """Block after block, and in the time of each more looks than show nothing."""
    for _ in range(rounds):
        for _ in range(2 * looks + 3):
            house.engine.tick()
        if not house.engine.records.open_intents():
            return
        house.world.mine()


@pytest.mark.parametrize("looks", [1, 2, 30])
def test_a_receipt_that_comes_after_its_nonce_was_counted_displaces_nothing(house_of: HouseOf, looks: int) -> None:
    house = house_of(depth=0)
    hidden = late(house, looks)
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    carry_out(house, looks)
    assert house.intent(intent_id).state == "SETTLED"
    assert len(hidden) >= 2 * looks
    assert list(house.store.read(event_type="SlotDisplaced")) == []
    assert sorted(house.executed()) == ["approve", "revoke", "supply"]
    house.check_books()


def test_a_nonce_that_another_used_halts_its_sender_all_the_same(house_of: HouseOf) -> None:
    house = house_of(depth=0)
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    house.engine.tick()
    assert house.engine.records.open_slot(intent_id) is not None
    house.world.spend_elsewhere()
    for restarted in (True, False, False):
        for _ in range(5):
            house.engine.tick()
        assert list(house.store.read(event_type="SlotDisplaced")) == [] or not restarted
        if restarted:
            house.start()
            house.engine.tick()
            assert list(house.store.read(event_type="SlotDisplaced")) == []
        house.world.mine(take=False)
    (displaced,) = house.store.read(event_type="SlotDisplaced")
    assert "used by a transaction that is not in the journal" in displaced.payload.reason
    assert house.intent(intent_id).state == "QUARANTINED"
    house.finish(5)
    assert house.executed() == ["elsewhere"]


def test_looks_count_only_while_it_goes_on_looking_so(house_of: HouseOf) -> None:
    """Included late, undone by another block, included late again: each time it is waited for anew."""
    house = house_of(depth=1)
    hidden = late(house, 3)
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    carry_out(house, 3, rounds=3)
    house.world.reorganise(1)
    carry_out(house, 3)
    assert hidden
    assert list(house.store.read(event_type="SlotDisplaced")) == []
    assert house.intent(intent_id).state == "SETTLED"
    house.check_books()


def test_a_nonce_that_another_used_waits_until_that_is_final(house_of: HouseOf) -> None:
    house = house_of(depth=3)
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    house.engine.tick()
    house.world.spend_elsewhere()
    for _ in range(3):
        for _ in range(3):
            house.engine.tick()
        assert house.client.counts("").finalized == 0
        assert list(house.store.read(event_type="SlotDisplaced")) == []
        assert house.intent(intent_id).state == "EXECUTING"
        house.world.mine(take=False)
    house.engine.tick()
    house.world.mine(take=False)
    house.engine.tick()
    assert len(list(house.store.read(event_type="SlotDisplaced"))) == 1
    assert house.intent(intent_id).state == "QUARANTINED"
