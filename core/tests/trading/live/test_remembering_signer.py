"""A signer that remembers what it signed, and a process that dies between a signature and its row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.chain import Signed, Unsigned
from treasury_arena.errors import SignerError
from treasury_arena.testing.chain import SimulatedSigner
from treasury_arena.testing.orders import House, Killed

AMOUNT = 10**9


class Memory:
    """What the signer's process remembers, whoever asks.

    `signed`: by nonce. `dying`: after so many signatures the asker is killed with the answer in hand.
    """

    def __init__(self) -> None:
        self.signed: dict[int, list[Unsigned]] = {}
        self.dying: list[int] = []
        self.honest = SimulatedSigner.sign

    def sign(self, signer: SimulatedSigner, asked: Unsigned) -> Signed:
        before = self.signed.setdefault(asked.nonce, [])
        if before and asked not in before:
            cap, tip = max(one.fees.cap_raw for one in before), max(one.fees.tip_raw for one in before)
            least = -(-cap * 9 // 8), -(-tip * 9 // 8)
            if asked.fees.cap_raw < least[0] or asked.fees.tip_raw < least[1]:
                raise SignerError(f"another transaction was signed for nonce {asked.nonce}", "nonce", *least)
        before.append(asked)
        answer = self.honest(signer, asked)
        if self.dying and self.dying[0] == sum(map(len, self.signed.values())):
            self.dying.pop(0)
            raise Killed("with the signature in hand")
        return answer


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    found = Memory()
    monkeypatch.setattr(SimulatedSigner, "sign", lambda signer, asked: found.sign(signer, asked))
    return found


def other_calldata(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binding a step later gives other calldata, as a deadline does."""
    planner = type(next(iter(house.planners.values())))
    bind = planner.bind

    def later(self: Any, step: Any, amount: int, now: int) -> Any:
        bound = bind(self, step, amount, now)
        if bound is None:
            return None
        call = json.loads(bytes.fromhex(bound.data[2:])) | {"deadline": now}
        return attrs.evolve(bound, data="0x" + json.dumps(call, sort_keys=True).encode().hex())

    monkeypatch.setattr(planner, "bind", later)


@pytest.mark.parametrize("moment", [1, 2])
def test_a_forgotten_signature_is_outbid_and_the_order_goes_on(
    house_of: Callable[..., House], memory: Memory, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    house = house_of("supply")
    other_calldata(house, monkeypatch)
    memory.dying = [moment]
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None
    with pytest.raises(Killed):
        house.finish()
    house.world.mine()
    house.start()
    house.finish()
    assert house.intent(intent_id).state == "SETTLED"
    assert house.executed()[:2] == ["approve", "supply"]
    house.check_books()
    house.check_nothing_reserved()


def test_a_price_above_the_cap_is_not_paid(house_of: Callable[..., House], memory: Memory) -> None:
    house = house_of("supply")
    intent_id = house.submit(AMOUNT)
    assert intent_id is not None

    def dear(signer: SimulatedSigner, asked: Unsigned) -> Signed:
        raise SignerError("another transaction was signed", "nonce", house.client.fee_cap_raw + 1, 1)

    memory.sign = dear  # type: ignore[method-assign]
    for _ in range(3):
        house.engine.tick()
    assert house.executed() == []
    assert house.intent(intent_id).state != "SETTLED"
