"""Reconciliation at its bounds: what interest explains to the base unit, which chain is believed, whose nonces are whose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.clock import from_epoch
from treasury_arena.contracts.chain import Identity
from treasury_arena.errors import ChainUnavailableError
from treasury_arena.events import live as o
from treasury_arena.testing.chain import TREASURY
from treasury_arena.testing.orders import ChainClock

from .test_desk import Office, office, twin

LENT = ("market", "USDC")
BOOKED = 600_000_000
CHAIN = 31337
#: Two a year, for the least while of a minute, and two base units of rounding.
MOST = BOOKED * 2 * 60 // (365 * 86_400) + 2


def lent(path: Path) -> Office:
    house = office(path)
    house.follow([twin(BOOKED, equity=BOOKED, given=BOOKED)], 1)
    assert house.position("a1") == BOOKED
    assert house.engine.reconcile().clean
    return house


@pytest.mark.parametrize(
    ("more", "explained"), [(-3, False), (-2, True), (0, True), (2, True), (MOST, True), (MOST + 1, False)]
)
def test_interest_explains_as_much_as_a_rate_can_earn_and_no_loss(tmp_path: Path, more: int, explained: bool) -> None:
    house = lent(tmp_path)
    house.world.locked[LENT] += more
    assert house.engine.reconcile().clean is explained
    assert house.position("a1") == BOOKED + (more if explained else 0)


@pytest.mark.parametrize(("seconds", "more", "explained"), [(600, 10, True), (600, 11, False), (60, 1, True)])
def test_the_longer_since_the_last_look_the_more(tmp_path: Path, seconds: int, more: int, explained: bool) -> None:
    house = lent(tmp_path)
    last = house.world.blocks[-1]
    house.world.blocks[-1] = attrs.evolve(last, ref=attrs.evolve(last.ref, timestamp=last.ref.timestamp + seconds))
    house.world.locked[LENT] += BOOKED * 2 * 60 * more // (365 * 86_400) + 2
    assert house.engine.reconcile().clean is explained


def test_rounding_is_each_holders(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000), twin(30_000_000, name="a2")], 1)
    house.world.locked[LENT] -= 4
    assert house.engine.reconcile().clean
    house.world.locked[LENT] -= 5
    assert not house.engine.reconcile().clean


def test_nothing_is_written_when_nothing_may_be(tmp_path: Path) -> None:
    house = lent(tmp_path)
    house.world.locked[LENT] += 2
    house.world.spend_elsewhere()
    last = house.store.last()
    found = house.engine.reconcile(write=False)
    assert [text for text in found.differences if "not in the journal" in text]
    assert house.store.last() == last
    assert house.position("a1") == BOOKED


def test_a_reconciliation_is_told_with_its_block(tmp_path: Path) -> None:
    house = lent(tmp_path)
    house.world.balances["USDC"] += 5
    found = house.engine.reconcile()
    told = list(house.store.read(event_type="ReconciliationCompleted"))[-1].payload
    assert (told.chain_id, told.block_number, told.differences) == (
        CHAIN,
        found.block.number,
        list(found.differences),
    )
    assert len(found.differences) == 1
    assert not found.clean


@pytest.mark.parametrize(("age", "believed"), [(36, True), (37, False)])
def test_a_head_of_more_than_three_blocks_ago_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, believed: bool
) -> None:
    house = lent(tmp_path)
    head = house.world.blocks[-1].ref
    monkeypatch.setattr(ChainClock, "now", lambda _: from_epoch(head.timestamp + age))
    reconciler = house.engine.reconciler
    if believed:
        assert reconciler.believable() == head
    else:
        with pytest.raises(ChainUnavailableError, match=f"block {head.number} is 37 s old"):
            reconciler.believable()
        house.engine.client.block_seconds = 0.0  # a chain that makes blocks as they are wanted
        assert reconciler.believable() == head


def arm(house: Office, nonce: int = 0) -> str:
    genesis = house.world.blocks[0].ref.hash
    payload = o.LiveArmed(CHAIN, TREASURY, 10**12, "ann", genesis, nonce)
    house.store.append([house.engine.context.draft(payload)])
    return genesis


def test_nodes_of_another_chain_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = lent(tmp_path)
    found = [Identity("node-a", CHAIN, "0xAA")]
    monkeypatch.setattr(house.engine.client, "identities", lambda: found)
    reconciler = house.engine.reconciler
    reconciler.believable()  # nobody confirmed a first block
    genesis = arm(house)
    with pytest.raises(ChainUnavailableError, match="node-a serves another chain with the same id"):
        reconciler.believable()
    found[0] = Identity("node-a", CHAIN, genesis.upper())
    reconciler.believable()
    found.append(Identity("node-b", 1, genesis))
    with pytest.raises(ChainUnavailableError, match="node-b serves chain 1, chain 31337 is configured"):
        reconciler.believable()


def foreign(house: Office) -> list[str]:
    return [text for text in house.engine.reconcile().differences if "not in the journal" in text]


def displaced(house: Office) -> list[Any]:
    return [event.payload for event in house.store.read(event_type="SlotDisplaced")]


def test_a_nonce_that_somebody_else_used_halts_the_sender(tmp_path: Path) -> None:
    house = lent(tmp_path)
    used = house.world.nonce
    assert used >= 2
    assert foreign(house) == []
    house.world.spend_elsewhere()
    house.world.mine(take=False)
    assert foreign(house) == [f"nonce {used} of {TREASURY} was used by a transaction that is not in the journal"]
    assert [(one.nonce, one.sender, one.intent_id) for one in displaced(house)] == [(used, TREASURY, None)]
    assert house.engine.records.halted(CHAIN, TREASURY) is not None
    assert foreign(house) == []  # told once


def test_what_the_address_did_before_is_nobodys_business(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.world.spend_elsewhere()
    house.world.spend_elsewhere()
    house.world.mine(take=False)
    assert foreign(house) == []  # nothing was ever sent, and nothing confirmed
    arm(house, nonce=1)
    assert [text.split()[1] for text in foreign(house)] == ["1"]
    assert [one.nonce for one in displaced(house)] == [1]


def test_only_final_nonces_are_foreign(tmp_path: Path) -> None:
    house = lent(tmp_path)
    house.world.depth = 3
    house.world.spend_elsewhere()
    assert foreign(house) == []
    house.world.mine(3, take=False)
    assert len(foreign(house)) == 1
