"""The gate's own points, each on both of its sides: stop, fuse, confirmation, halted senders, identity, and reserved gas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.chain import Fees, Identity, Refusal, Step, StepKind, Unsigned
from treasury_arena.domain.stops import HARD, OFF, SOFT
from treasury_arena.events import live as o
from treasury_arena.testing.chain import TREASURY
from treasury_arena.testing.orders import House
from treasury_arena.trading.live.gate import Gate, reduces

AMOUNT, CHAIN = 10**9, 31337
STRANGER = "0x" + "cc" * 20
GWEI = 10**9
HouseOf = Callable[..., House]


def gate(house: House, mode: str = "local") -> Gate:
    return attrs.evolve(house.engine.gate, mode=mode)


def code(refusal: Refusal | None) -> str:
    return "" if refusal is None else refusal.code


def permitted(house: House, safe: bool, mode: str = "local", sender: str = TREASURY) -> str:
    with house.engine.records.reading() as connection:
        return code(gate(house, mode).permitted(connection, sender, safe))


def write(house: House, payload: Any) -> None:
    house.store.append([house.engine.context.draft(payload)])


def arm(house: House, **changes: Any) -> None:
    genesis = house.world.blocks[0].ref.hash
    write(house, attrs.evolve(o.LiveArmed(CHAIN, TREASURY, 10**12, "ann", genesis, 0), **changes))


@pytest.mark.parametrize(
    ("stop", "fuse", "risky", "safe"),
    [
        (OFF, "", "", ""),
        (SOFT, "", "emergency_stop", ""),
        (HARD, "", "emergency_stop", "emergency_stop"),
        (OFF, "the fuse is TRIPPED", "fuse", ""),
        (SOFT, "the fuse is TRIPPED", "emergency_stop", ""),
    ],
)
def test_stop_and_fuse(house_of: HouseOf, stop: str, fuse: str, risky: str, safe: str) -> None:
    house = house_of()
    house.stop[0], house.fuse[0] = stop, fuse
    assert (permitted(house, False), permitted(house, True)) == (risky, safe)
    assert gate(house).stopped() is (stop == HARD)


def test_live_needs_a_confirmation_of_this_chain_and_address(house_of: HouseOf) -> None:
    house = house_of()
    assert (permitted(house, False), permitted(house, True)) == ("", "")
    assert (permitted(house, False, "live"), permitted(house, True, "live")) == ("not_armed", "not_armed")
    arm(house)
    for mode in ("local", "live"):
        assert permitted(house, False, mode) == ""
        assert permitted(house, False, mode, TREASURY.upper()) == ""
        assert permitted(house, True, mode, STRANGER) == "not_armed"
    write(house, o.LiveDisarmed("over", "ann"))
    assert permitted(house, True, "live") == "not_armed"
    arm(house, chain_id=1)
    assert permitted(house, True, "live") == "not_armed"


def test_a_halted_sender_signs_nothing_until_it_is_resumed(house_of: HouseOf) -> None:
    house = house_of()
    write(house, o.SlotDisplaced(None, CHAIN, TREASURY, 0, "a nonce of somebody else"))
    assert (permitted(house, False), permitted(house, True)) == ("sender_halted", "sender_halted")
    assert permitted(house, True, sender=STRANGER) == ""
    write(house, o.SenderResumed(CHAIN, TREASURY, "looked at", "ann"))
    assert permitted(house, False) == ""


def step(kind: StepKind = StepKind.SUPPLY, value: int = 0, gas: int = 50_000) -> Step:
    return Step(kind, "USDC", "0x" + "bb" * 20, "0x00", value, gas, {}, {})


def unsigned(chain: int = CHAIN) -> Unsigned:
    return Unsigned(chain, TREASURY, 0, "0x" + "bb" * 20, 0, "0x00", 50_000, Fees(3 * GWEI, GWEI))


def test_a_node_of_another_chain_is_not_signed_for(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of()
    found = [Identity(name, CHAIN, house.world.blocks[0].ref.hash) for name in ("node-a", "node-b")]
    monkeypatch.setattr(house.client, "identities", lambda: found)
    assert gate(house).outside(step(), unsigned()) is None
    assert code(gate(house).outside(step(), unsigned(1))) == "wrong_chain"
    found[1] = Identity("node-b", 1, found[0].genesis)
    refusal = gate(house).outside(step(), unsigned())
    assert code(refusal) == "wrong_chain"
    assert "node-b serves chain 1" in str(refusal)
    assert code(gate(house).outside(step(), unsigned(1))) == "wrong_chain"
    found[1] = Identity("node-b", CHAIN, "0x00")
    assert gate(house).outside(step(), unsigned()) is None  # nobody confirmed a first block
    arm(house)
    assert code(gate(house).outside(step(), unsigned())) == "wrong_genesis"
    found[1] = Identity("node-b", CHAIN, found[0].genesis.upper())
    assert gate(house).outside(step(), unsigned()) is None


def test_what_the_contracts_say_counts(house_of: HouseOf) -> None:
    house = house_of()
    house.client.refusal = Refusal("calldata", "another recipient")
    assert gate(house).outside(step(), unsigned()) == house.client.refusal


def test_only_an_intent_under_way_is_signed_for_and_within_its_gas(house_of: HouseOf) -> None:
    house = house_of()
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    reserved = house.intent(intent_id)

    def inside(intent: Any, one: Step) -> str:
        with house.engine.records.reading() as connection:
            return code(gate(house).inside(connection, intent, one))

    assert inside(reserved, step()) == "intent_over"  # not begun
    house.engine.tick()
    intent = house.intent(intent_id)
    cost = 50_000 * house.client.fee_cap_raw
    exact = attrs.evolve(intent, gas_raw=cost + 7, fees_raw=7)
    assert inside(exact, step()) == ""
    assert inside(attrs.evolve(exact, fees_raw=8), step()) == "gas_limit"
    assert inside(exact, step(value=1)) == "gas_limit"
    assert inside(attrs.evolve(exact, gas_raw=cost + 8), step(value=1)) == ""
    assert inside(attrs.evolve(intent, intent_id="none"), step()) == "intent_over"
    house.fuse[0] = "TRIPPED"
    assert inside(intent, step()) == "fuse"
    assert inside(intent, step(StepKind.REVOKE)) == ""
    assert inside(attrs.evolve(intent, reduces=True), step()) == ""
    house.fuse[0] = ""
    house.finish()
    assert inside(intent, step()) == "intent_over"


def test_what_takes_nothing_from_anybody_reduces(house_of: HouseOf) -> None:
    house = house_of()
    intent = house.intent(house.submit(AMOUNT) or "")
    assert {kind for kind in StepKind if reduces(intent, kind)} == {StepKind.REVOKE, StepKind.CANCEL}
    assert all(reduces(attrs.evolve(intent, reduces=True), kind) for kind in StepKind)
