"""The order engine on a real node: an order's way, every crash point, replaced blocks, stuck and foreign transactions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.domain.stops import HARD
from treasury_arena.testing.orders import Killed
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.local.house import AGENT, MARKET, ChainHouse
from treasury_arena_evm.local.killing import FINALITY, killed_and_resumed, killer, until_killed

AMOUNT = 1_000 * 10**6
GWEI = 10**9
HouseOf = Callable[..., ChainHouse]


def check(house: ChainHouse) -> None:
    house.check_nothing_doubled()
    house.check_nothing_hangs()
    house.check_books()


def test_in_and_out_again(house_of: HouseOf) -> None:
    house = house_of()
    house.settle(AMOUNT, 0)
    assert house.mined() == ["approve", "supply"]
    assert house.planner.holdings()["USDC"][0] in (AMOUNT, AMOUNT - 1)
    check(house)
    house.settle(AMOUNT // 4, 1)
    assert house.mined()[2:] == ["withdraw"]
    check(house)
    differences = house.engine.reconcile().differences  # the account has DAI and WETH that the arena knows nothing of
    assert not [text for text in differences if "that no book knows" not in text]
    assert not any(house.store.balances(f"agent:{AGENT}:reserved").values())


@pytest.mark.parametrize("mined_while_down", [True, False], ids=["mined", "waiting"])
@pytest.mark.parametrize("kind", ["approve", "supply", "withdraw"])
@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(
    house_of: HouseOf, point: CrashPoint, kind: str, mined_while_down: bool
) -> None:
    house = house_of(finality=FINALITY.get(point, 1))
    target = AMOUNT
    if kind == "withdraw":
        house.settle(AMOUNT, 0)
        target = 0
    already = len(house.mined())
    intent = killed_and_resumed(house, point, kind, target, mined_while_down=mined_while_down)
    if intent is None:  # broken finality waits for a person
        return
    check(house)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    assert house.mined()[already:].count(kind) == 1
    assert "cancel" not in house.mined()


@pytest.mark.parametrize("point", [CrashPoint.K2, CrashPoint.K4, CrashPoint.K9], ids=lambda point: point.name)
def test_a_kill_on_postgresql(house_of: HouseOf, point: CrashPoint) -> None:
    house = house_of("postgresql")
    house.start(killer(point, "supply"))
    with pytest.raises(Killed):
        until_killed(house, point, "supply", AMOUNT)
    house.start()
    house.settle(AMOUNT, 1)
    check(house)
    assert house.mined() == ["approve", "supply"]


@pytest.mark.parametrize("depth", range(1, 11))
def test_replaced_blocks(house_of: HouseOf, depth: int) -> None:
    """The blocks since a supply are replaced by empty ones and the transaction is gone: it is sent again, and counts once."""
    house = house_of(finality=12)
    chain = house.market.chain
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    for _ in range(60):
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        if slot is not None and (slot.kind, slot.state) == ("supply", "SENT"):
            break
        chain.mine()
    before = chain.snapshot()
    chain.mine(depth)
    house.engine.tick()
    assert "supply" in house.mined()
    chain.revert(before)
    chain.rpc("anvil_dropAllTransactions")
    chain.mine(depth)
    assert "supply" not in house.mined()
    house.engine.tick()
    house.finish(120)
    check(house)
    intent = house.intent(intent_id)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    assert house.mined() == ["approve", "supply"]
    assert any(event.event_type == "ReorgDetected" for event in house.store.read())


def sent(house: ChainHouse, kind: str = "supply") -> str:
    """An order that is about to have its step of a kind mined; the intent."""
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    for _ in range(60):
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        if slot is not None and (slot.kind, slot.state) == (kind, "SENT"):
            return intent_id
        house.market.chain.mine()
    raise AssertionError("the step was never sent")


def test_a_dropped_transaction_is_sent_again_the_same_bytes(house_of: HouseOf) -> None:
    house = house_of()
    intent_id = sent(house)
    house.market.chain.rpc("anvil_dropAllTransactions")
    house.market.chain.mine()
    house.finish()
    check(house)
    assert house.intent(intent_id).state == "SETTLED"
    assert all(
        len(house.engine.records.attempts(slot.slot)) == 1
        for slot in house.engine.records.used(31337, house.who.address)
    )


def test_a_stuck_transaction_is_replaced_and_one_of_both_is_mined(house_of: HouseOf) -> None:
    house = house_of()
    intent_id = sent(house)
    house.mine_without(3)
    house.engine.tick()
    (slot,) = house.engine.records.open_slots()
    first, second = house.engine.records.attempts(slot.slot)
    assert second.purpose == "bump"
    assert second.fee_cap_raw >= -(-first.fee_cap_raw * 9 // 8)
    house.finish()
    check(house)
    assert house.intent(intent_id).state == "SETTLED"
    assert house.market.chain.rpc("eth_getTransactionReceipt", first.tx_hash) is None


def test_what_is_always_stuck_is_cancelled_then_shown_to_a_person(house_of: HouseOf) -> None:
    house = house_of()
    intent_id = sent(house)
    for _ in range(8):
        house.engine.tick()
        house.mine_without(3)
        house.engine.tick()
    (slot,) = house.engine.records.open_slots()
    purposes = [attempt.purpose for attempt in house.engine.records.attempts(slot.slot)]
    assert purposes == ["original", *["bump"] * 5, "cancel"]
    assert house.intent(intent_id).state == "QUARANTINED"
    house.market.chain.mine(3)
    house.finish()
    house.check_nothing_doubled()
    house.check_books()
    assert house.mined() == ["approve", "cancel"]
    house.engine.resolve(intent_id, "FAILED", "it was cancelled on the chain", "a person")
    check(house)


def test_fees_above_the_cap_stop_an_order_before_it_begins(house_of: HouseOf) -> None:
    house = house_of(fee_cap_gwei=5.0)
    house.market.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    house.engine.tick()
    intent = house.intent(intent_id)
    assert intent.state == "CANCELLED"
    assert "more than the cap of 5 gwei" in intent.reason
    check(house)


def test_a_spike_above_the_cap_while_an_order_waits(house_of: HouseOf) -> None:
    house = house_of(fee_cap_gwei=5.0)
    intent_id = sent(house)
    house.market.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10 * GWEI))
    house.market.chain.mine()
    assert "supply" not in house.mined()
    house.finish(200)
    check(house)
    assert house.mined().count("supply") <= 1
    # Five times an eighth more may not reach what the chain asks then: a person is told, and what is public stays watched.
    assert house.intent(intent_id).state in ("SETTLED", "FAILED", "QUARANTINED")
    assert not house.engine.records.open_slots()
    fees = [
        attempt.fee_cap_raw
        for slot in house.engine.records.used(31337, house.who.address)
        for attempt in house.engine.records.attempts(slot.slot)
    ]
    assert max(fees) <= 5 * GWEI


def test_a_nonce_used_from_elsewhere_halts_that_sender_and_only_that(house_of: HouseOf) -> None:
    house, other = house_of(), house_of(user=1)
    intent_id = sent(house)
    chain = house.market.chain
    chain.rpc("anvil_dropAllTransactions")
    chain.rpc(
        "eth_sendTransaction", {"from": house.who.address, "to": "0x" + "5a" * 20, "value": "0x1", "gas": "0x5208"}
    )
    chain.mine(3)
    house.finish()
    slots = house.engine.records.used(31337, house.who.address)
    assert [str(slot.state) for slot in slots] == ["FINAL", "DISPLACED"]
    assert house.intent(intent_id).state == "QUARANTINED"
    assert house.engine.records.halted(31337, house.who.address) is not None
    assert house.submit(AMOUNT, 9, "another") is None
    other.settle(AMOUNT, 1)
    check(other)


def test_a_hard_stop_signs_and_sends_nothing_more(house_of: HouseOf) -> None:
    house = house_of()
    sent(house)
    house.stop[0] = HARD
    attempts = house.engine.signing.signer.asked  # type: ignore[attr-defined]
    before = len(attempts)
    house.market.chain.rpc("anvil_dropAllTransactions")
    for _ in range(8):
        house.engine.tick()
        house.market.chain.mine()
    assert len(attempts) == before
    assert house.mined() == ["approve"]
    house.stop[0] = "OFF"
    house.finish()
    check(house)
    assert house.mined() == ["approve", "supply"]


def test_the_same_decision_twice_is_one_order(house_of: HouseOf) -> None:
    house = house_of()
    intent = Intent(AGENT, "only", MARKET, AMOUNT, 1)
    assert house.engine.submit(intent) == house.engine.submit(intent)
    house.finish()
    assert house.mined() == ["approve", "supply"]
    check(house)
