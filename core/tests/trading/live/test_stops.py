"""Law 4 in the middle of an order: what a stop, or the fuse, leaves undone, and what it must not leave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.domain.stops import HARD, OFF, SOFT
from treasury_arena.testing.orders import House, Killed
from treasury_arena.trading.live import CrashPoint

AMOUNT = 10**9
HouseOf = Callable[..., House]


def begun(house: House) -> str:
    """An intent whose approval is final and whose supply is still to come."""
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    for _ in range(20):
        house.engine.tick()
        slot = house.engine.records.open_slot(intent_id)
        if slot is not None and slot.kind == "approve" and slot.state == "INCLUDED":
            return intent_id
        house.world.mine()
    raise AssertionError("the approval was never included")


def engage(house: House, what: str) -> None:
    if what == "fuse":
        house.fuse[0] = "the fuse is TRIPPED"
    else:
        house.stop[0] = SOFT


@pytest.mark.parametrize("what", ["emergency_stop", "fuse"])
def test_new_risk_is_not_taken_in_the_middle_of_an_order_and_its_allowance_is_taken_back(
    house_of: HouseOf, what: str
) -> None:
    house = house_of("supply")
    intent_id = begun(house)
    engage(house, what)
    house.finish()
    assert house.executed() == ["approve", "revoke"]
    intent = house.intent(intent_id)
    assert intent.state == "FAILED"
    assert intent.reason.startswith(f"{what}: ")
    house.check_nothing_reserved()
    house.check_books()


@pytest.mark.parametrize("what", ["emergency_stop", "fuse"])
def test_an_order_that_has_not_begun_is_cancelled(house_of: HouseOf, what: str) -> None:
    house = house_of("supply")
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    engage(house, what)
    house.finish()
    assert house.executed() == []
    assert house.intent(intent_id).state == "CANCELLED"
    house.check_nothing_reserved()


@pytest.mark.parametrize("what", ["emergency_stop", "fuse"])
def test_a_position_can_be_left_under_either(house_of: HouseOf, what: str) -> None:
    house = house_of("supply")
    assert house.submit(AMOUNT) is not None
    house.finish()
    engage(house, what)
    leaving = house.submit(0, row=2)
    assert leaving is not None
    house.finish()
    assert house.intent(leaving).state == "SETTLED"
    assert house.submit(AMOUNT, row=3) is None


def killed_at(house: House, kind: str) -> None:
    """The process ends after signing a step of the kind, before anybody has seen it."""

    def kill(point: CrashPoint, of: str) -> None:
        if (point, of) == (CrashPoint.K3, kind):
            raise Killed

    def run() -> None:
        house.submit(AMOUNT)
        house.finish()

    house.start(kill)
    with pytest.raises(Killed):
        run()
    house.start()


def test_signed_bytes_that_nobody_has_seen_are_not_sent_after_a_stop(house_of: HouseOf) -> None:
    house = house_of("supply")
    killed_at(house, "supply")
    house.stop[0] = SOFT
    house.finish()
    assert house.executed() == ["approve", "cancel", "revoke"]
    house.check_nothing_reserved()
    house.check_books()


def test_what_takes_an_allowance_back_is_sent_after_a_stop(house_of: HouseOf) -> None:
    house = house_of("supply")
    house.world.reverting = {"supply"}  # so that an allowance is left
    killed_at(house, "revoke")
    house.stop[0] = SOFT
    house.finish()
    assert house.executed() == ["approve", "supply", "revoke"]
    house.check_books()


@pytest.mark.parametrize("kind", ["", "approve", "supply"])
def test_a_hard_stop_signs_sends_and_decides_nothing_and_its_release_goes_on(house_of: HouseOf, kind: str) -> None:
    house = house_of("supply")
    if kind:
        killed_at(house, kind)
    else:
        house.submit(AMOUNT)
    house.stop[0] = HARD
    house.engine.tick()  # what the chain already says may still be written down
    before, sent = house.store.last(), dict(house.world.sent)
    for _ in range(10):
        house.engine.tick()
        house.world.mine()
    assert house.store.last() == before
    assert house.world.sent == sent
    assert house.signer.asked == []
    house.stop[0] = OFF
    house.finish()
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    assert house.intent(intent_id).state == "SETTLED"
    house.check_books()
