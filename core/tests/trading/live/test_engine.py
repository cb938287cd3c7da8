"""The order engine's moves one by one: what begins, waits, is replaced, is refused, is cancelled, and what a person decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.chain import (
    ALL,
    Counts,
    Fees,
    Holding,
    PlannedStep,
    Refusal,
    Signed,
    Step,
    StepKind,
    Unsigned,
)
from treasury_arena.domain.order_states import IntentState
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import SignerError, ValidationError
from treasury_arena.events.catalog import AgentFailed
from treasury_arena.events.event import Transfer
from treasury_arena.testing.chain import TREASURY, SimulatedSigner
from treasury_arena.testing.orders import House
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import CrashPoint, OrderEngine, postings
from treasury_arena.trading.live.records import call_out, planned_in, planned_out, step_of

AMOUNT, GWEI = 10**9, 10**9
#: An intent that has not begun after so long is released.
BEGIN_SECONDS = 900
HouseOf = Callable[..., House]


def submitted(house: House, target: int = AMOUNT, row: int = 1) -> str:
    intent_id = house.submit(target, row=row)
    assert intent_id is not None
    return intent_id


def told(house: House, name: str) -> list[Any]:
    return [event.payload for event in house.store.read(event_type=name)]


def waits(house: House, seconds: int) -> None:
    """The chain's clock goes on, and nothing is mined."""
    last = house.world.blocks[-1]
    later = attrs.evolve(last.ref, timestamp=last.ref.timestamp + seconds)
    house.world.blocks[-1] = attrs.evolve(last, ref=later)


def empty(house: House, blocks: int = 1) -> None:
    house.world.mine(blocks, take=False)


# --- taking in


def test_a_mode_that_does_not_exist_is_refused_with_the_nearest(house_of: HouseOf) -> None:
    context = house_of().engine.context
    with pytest.raises(ValidationError, match="order mode 'locale' is unknown; did you mean 'local'"):
        OrderEngine(
            "arena",
            context.store,
            context.client,
            context.signer,
            context.planners,
            context.clock,
            mode="locale",
            stop_level=lambda _: OFF,
        )


def test_a_market_that_does_not_exist_is_refused_with_the_nearest(house_of: HouseOf) -> None:
    with pytest.raises(ValidationError, match="unknown market 'markets': did you mean 'market'"):
        house_of().engine.submit(Intent("agent-1", "only", "markets", AMOUNT, 1))


def test_an_intent_reserves_what_it_says(house_of: HouseOf) -> None:
    house = house_of("supply")
    began = house.world.blocks[-1].ref.timestamp
    intent = house.intent(submitted(house))
    gas = (3 * 50_000 + 21_000) * house.client.fee_cap_raw  # three steps, and one to use up a nonce
    assert (intent.state, intent.target_raw, intent.notional_raw, intent.reserved_raw) == ("RESERVED", *[AMOUNT] * 3)
    assert (intent.gas_raw, intent.reduces, intent.deadline) == (gas, False, began + 900)
    assert (intent.chain_id, intent.sender, intent.fees_raw, intent.next_step) == (31337, TREASURY, 0, 0)
    assert [step.kind for step in intent.steps] == ["approve", "supply", "revoke"]
    books = house.store.balances()
    assert books["agent:agent-1:reserved", "USDC"] == AMOUNT
    assert books["agent:agent-1:reserved", "ETH"] == gas
    assert house.submit(AMOUNT) == intent.intent_id
    assert len(told(house, "IntentReserved")) == 1


@pytest.mark.parametrize(
    ("account", "asset", "what"), [("agent:agent-1:available", "USDC", "cash"), ("treasury:gas", "ETH", "gas")]
)
def test_an_order_needs_all_of_its_cash_and_of_its_gas(house_of: HouseOf, account: str, asset: str, what: str) -> None:

    house = house_of("supply")
    needed = AMOUNT if what == "cash" else (3 * 50_000 + 21_000) * house.client.fee_cap_raw

    def leave(amount: int) -> None:
        lines = postings.moved(account, "world:owner", asset, house.store.balance(account, asset) - amount)
        house.store.append([house.engine.context.draft(AgentFailed("k", "r"), None, [Transfer("out", lines)])])

    leave(needed - 1)
    assert house.submit(AMOUNT) is None
    assert [one.code for one in told(house, "OrderRejected")] == ["capital"]
    leave(needed)
    assert house.submit(AMOUNT, row=2) is not None
    assert house.store.balance(account, asset) == 0


def test_a_role_has_one_intent_at_a_time_and_another_role_its_own(house_of: HouseOf) -> None:
    house = house_of("supply")
    submitted(house)
    assert house.submit(AMOUNT, row=2) is None
    assert [one.code for one in told(house, "OrderRejected")] == ["position_busy"]
    assert house.submit(AMOUNT, row=2, role="other") is not None


def test_a_position_that_cannot_be_valued_or_planned_is_a_rejection(
    house_of: HouseOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of("supply")
    planner = house.planners["market"]

    def broken(*_: Any) -> Any:
        raise ValidationError("no price")

    with monkeypatch.context() as patch:
        patch.setattr(planner, "value", broken)
        assert house.submit(AMOUNT) is None
    with monkeypatch.context() as patch:
        patch.setattr(planner, "plan", broken)
        assert house.submit(AMOUNT) is None
    rejected = told(house, "OrderRejected")
    assert [(one.code, one.reason, one.notional_raw) for one in rejected] == [
        ("market", "no price", 0),
        ("market", "no price", AMOUNT),
    ]
    assert house.engine.records.open_intents() == []


def test_a_refused_change_is_told_with_its_size(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of("supply")
    submitted(house)
    house.finish()

    def closed(*_: Any) -> Any:
        raise ValidationError("closed")

    monkeypatch.setattr(house.planners["market"], "plan", closed)
    assert house.submit(3 * AMOUNT, row=2) is None
    assert [one.notional_raw for one in told(house, "OrderRejected")] == [2 * AMOUNT]


def test_what_an_agent_has_is_its_cash_its_tokens_and_its_debts(house_of: HouseOf) -> None:
    house = house_of("borrow")
    assert house.engine.holding("nobody", "only") == Holding(0, {}, {})
    cash = house.store.balance("agent:agent-1:available", "USDC")
    moved = (("world:owner", "agent:agent-1:available", "ETH", 5), ("world:owner", "agent:agent-1:available", "AAA", 7))
    lines = [line for one in moved for line in postings.moved(*one)]
    house.store.append([house.engine.context.draft(AgentFailed("k", "r"), None, [Transfer("in", tuple(lines))])])
    assert house.engine.holding("agent-1", "only") == Holding(cash, {}, {})
    submitted(house)
    house.finish()
    assert house.engine.holding("agent-1", "only") == Holding(cash + AMOUNT, {}, {"USDC": AMOUNT})
    assert house.engine.holding("agent-1", "other") == Holding(cash + AMOUNT, {}, {})
    submitted(house, 0, row=2)
    house.finish()
    assert house.engine.holding("agent-1", "only") == Holding(cash, {}, {})


def test_a_position_that_never_holds_still_is_given_up_after_eight_plans(house_of: HouseOf) -> None:
    house = house_of("supply")
    plans: list[str] = []

    def other(point: CrashPoint, kind: str) -> None:
        if point is CrashPoint.K0:
            plans.append(kind)
            lines = postings.moved("world:owner", "agent:agent-1:position:only", "USDC", 1)
            house.store.append([house.engine.context.draft(AgentFailed("k", "r"), None, [Transfer("in", lines)])])

    house.start(other)
    assert house.submit(AMOUNT) is None
    assert len(plans) == 8
    (rejected,) = told(house, "OrderRejected")
    assert (rejected.code, rejected.notional_raw) == ("position_busy", 0)
    assert rejected.reason == "the position changed 8 times while it was being planned for"
    assert house.engine.records.open_intents() == []


# --- moves


def test_a_tick_counts_its_moves_and_a_block_is_waited_for(house_of: HouseOf) -> None:
    house = house_of("supply", depth=0)
    assert house.engine.tick() == 0
    submitted(house)
    assert house.engine.tick() == 3  # a nonce, a signature, sent
    assert house.engine.tick() == 0
    house.world.mine()
    assert house.engine.tick() == 2 + 3  # included and final, and the next step up to where it waits
    assert len(told(house, "SendObserved")) == 2 * 2  # to each of both nodes
    house.world.mine()
    assert house.engine.tick() == 2 + 3
    house.world.mine()
    assert house.engine.tick() == 2 + 1  # and its end
    assert house.engine.tick() == 0


def test_an_intent_that_nobody_knows_cannot_be_advanced(house_of: HouseOf) -> None:
    with pytest.raises(ValidationError, match="no intent has the id x"):
        house_of().engine.advance("x")


@pytest.mark.parametrize(("seconds", "state"), [(BEGIN_SECONDS, "EXECUTING"), (BEGIN_SECONDS + 1, "CANCELLED")])
def test_what_has_not_begun_before_its_deadline_is_cancelled(house_of: HouseOf, seconds: int, state: str) -> None:
    house = house_of("supply")
    intent_id = submitted(house)
    waits(house, seconds)
    assert house.engine.tick() == (3 if state == "EXECUTING" else 1)
    intent = house.intent(intent_id)
    assert intent.state == state
    if state == "CANCELLED":
        assert intent.reason == "it could not begin before its deadline"
        house.check_nothing_reserved()
        assert house.engine.advance(intent_id) == 0


def test_what_has_begun_has_no_deadline(house_of: HouseOf) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    house.engine.tick()
    waits(house, 10 * BEGIN_SECONDS)
    house.finish()
    assert house.intent(intent_id).state == "SETTLED"


def test_one_transaction_of_a_sender_at_a_time(house_of: HouseOf) -> None:
    house = house_of("supply")
    for role in ("one", "two"):
        assert house.submit(AMOUNT, role=role) is not None
    house.engine.tick()
    assert len(house.engine.records.open_slots()) == 1
    assert len(house.world.waiting) == 1


@pytest.mark.parametrize(
    ("begun", "state", "refused"), [(False, "CANCELLED", [(0, "approve")]), (True, "FAILED", [(1, "supply")])]
)
def test_a_step_that_its_market_refuses_ends_the_intent(
    house_of: HouseOf, monkeypatch: pytest.MonkeyPatch, begun: bool, state: str, refused: list[tuple[int, str]]
) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    if begun:
        house.engine.tick()
    bind = house.planners["market"].bind

    def closed(step: PlannedStep, amount: int, now: int) -> Step | None:
        if step.kind is StepKind.REVOKE:
            return bind(step, amount, now)
        raise ValidationError("the market is closed")

    monkeypatch.setattr(house.planners["market"], "bind", closed)
    house.finish()
    intent = house.intent(intent_id)
    assert (intent.state, intent.reason) == (state, "market: the market is closed")
    gates = told(house, "GateRefused")
    assert [(one.step, one.kind) for one in gates] == refused
    assert {(one.code, one.reason) for one in gates} == {("market", "the market is closed")}
    assert house.executed() == (["approve", "revoke"] if begun else [])
    house.check_nothing_reserved()


def test_a_plan_whose_first_step_needs_nothing_goes_on(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of("supply")
    bind = house.planners["market"].bind
    monkeypatch.setattr(
        house.planners["market"],
        "bind",
        lambda step, amount, now: None if step.kind is StepKind.APPROVE else bind(step, amount, now),
    )
    intent_id = submitted(house)
    house.finish()
    assert house.intent(intent_id).state == "SETTLED"
    assert next((one.step, one.kind, one.reason) for one in told(house, "StepSkipped")) == (
        0,
        "approve",
        "nothing is left to do",
    )
    assert house.executed() == ["supply"]


def test_only_what_has_not_begun_can_be_cancelled_and_once(house_of: HouseOf) -> None:
    house = house_of("supply")
    first = submitted(house)
    assert house.engine.cancel(first, "changed my mind") is True
    assert (house.intent(first).state, house.intent(first).reason) == ("CANCELLED", "changed my mind")
    house.check_nothing_reserved()
    assert house.engine.cancel(first, "again") is False
    assert house.engine.cancel("x", "unknown") is False
    second = submitted(house, row=2)
    house.engine.tick()
    assert house.engine.cancel(second, "too late") is False
    house.finish()
    assert house.intent(second).state == "SETTLED"
    assert house.engine.cancel(second, "too late") is False


# --- a person decides


def quarantined(house: House) -> str:
    """An intent whose allowance could not be taken back; no transaction of it is under way."""
    intent_id = submitted(house)
    for _ in range(20):
        house.engine.tick()
        house.world.mine()
        if "supply" in house.executed():
            house.client.refusal = Refusal("simulation", "nobody knows why")
    assert house.intent(intent_id).state == "QUARANTINED"
    house.client.refusal = None
    return intent_id


@pytest.mark.parametrize("outcome", ["SETTLED", "FAILED", "CANCELLED"])
def test_a_person_decides_what_became_of_an_intent(house_of: HouseOf, outcome: str) -> None:
    house = house_of("supply")
    intent_id = quarantined(house)
    assert house.intent(intent_id).reason == "simulation: nobody knows why"
    with pytest.raises(ValidationError, match="outcome 'EXECUTING' is unknown; expected SETTLED, FAILED or CANCELLED"):
        house.engine.resolve(intent_id, "EXECUTING", "why", "ann")
    house.engine.resolve(intent_id, outcome, "looked at it", "ann")
    assert (house.intent(intent_id).state, house.intent(intent_id).reason) == (outcome, "looked at it")
    assert [(one.status, one.operator) for one in told(house, "IntentEnded")] == [(outcome, "ann")]
    house.check_nothing_reserved()
    with pytest.raises(ValidationError, match="is not in quarantine"):
        house.engine.resolve(intent_id, outcome, "again", "ann")


def test_what_may_still_be_mined_is_not_decided(house_of: HouseOf) -> None:
    house = house_of("supply")
    intent_id = submitted(house)
    with pytest.raises(ValidationError, match="is not in quarantine"):
        house.engine.resolve(intent_id, "FAILED", "why", "ann")
    with pytest.raises(ValidationError, match="intent x is not in quarantine"):
        house.engine.resolve("x", "FAILED", "why", "ann")
    house.engine.tick()
    house.client.fee_cap_raw = 3 * GWEI  # no higher fee is allowed
    empty(house, 3)
    house.engine.tick()
    assert house.intent(intent_id).state == "QUARANTINED"
    with pytest.raises(ValidationError, match="a transaction with nonce 0 that may still be mined"):
        house.engine.resolve(intent_id, "FAILED", "why", "ann")
    assert house.intent(intent_id).reserved_raw == AMOUNT


# --- nonces and signatures


def test_nonces_go_on_from_the_chain_and_from_the_journal(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of("supply", depth=0)
    house.world.spend_elsewhere()
    house.world.spend_elsewhere()
    submitted(house)
    house.finish()
    assert [one.nonce for one in told(house, "NonceAllocated")] == [2, 3, 4]
    submitted(house, 2 * AMOUNT, row=2)
    counts = house.client.counts
    monkeypatch.setattr(house.client, "counts", lambda sender: Counts(3, counts(sender).finalized))  # a node behind
    house.engine.tick()
    assert [one.nonce for one in told(house, "NonceAllocated")][-1] == 5


def test_a_nonce_that_was_given_back_is_given_out_again(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of("supply", depth=0)
    first = submitted(house)
    sign = SimulatedSigner.sign
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedSigner, "sign", lambda *_: (_ for _ in ()).throw(SignerError("asleep")))
        assert house.engine.tick() == 1
    assert [one.nonce for one in told(house, "NonceAllocated")] == [0]
    house.client.refusal = Refusal("deadline", "it is over")
    house.engine.tick()
    released = told(house, "NonceReleased")
    assert [(one.step, one.nonce, one.reason) for one in released] == [(0, 0, "it is over")]
    assert [(one.step, one.kind, one.code) for one in told(house, "GateRefused")] == [(0, "approve", "deadline")]
    assert house.intent(first).state == "FAILED"
    house.client.refusal = None
    assert SimulatedSigner.sign is sign
    submitted(house, row=2)
    house.finish()
    assert [one.nonce for one in told(house, "NonceAllocated")] == [0, 0, 1, 2]
    house.check_books()
    house.check_nothing_reserved()


@pytest.mark.parametrize(
    ("bound", "released", "refused", "skipped"),
    [
        (ValidationError("closed"), "closed", [(0, "approve", "market", "closed")], []),
        (None, "nothing is left to do", [], [(0, "approve", "nothing is left to do")]),
    ],
    ids=["refused", "done"],
)
def test_a_step_is_bound_anew_before_it_is_signed(
    house_of: HouseOf, monkeypatch: pytest.MonkeyPatch, bound: Any, released: str, refused: Any, skipped: Any
) -> None:
    house = house_of("supply", depth=0)
    submitted(house)
    planner = house.planners["market"]
    bind = planner.bind

    def later(step: PlannedStep, amount: int, now: int) -> Step | None:
        if step.kind is not StepKind.APPROVE:
            return bind(step, amount, now)
        if isinstance(bound, Exception):
            raise bound
        return None

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedSigner, "sign", lambda *_: (_ for _ in ()).throw(SignerError("asleep")))
        house.engine.tick()
    monkeypatch.setattr(planner, "bind", later)
    house.engine.tick()
    assert [(one.step, one.nonce, one.reason) for one in told(house, "NonceReleased")] == [(0, 0, released)]
    assert [(one.step, one.kind, one.code, one.reason) for one in told(house, "GateRefused")] == refused
    assert [(one.step, one.kind, one.reason) for one in told(house, "StepSkipped") if not one.step] == skipped
    house.finish()
    assert "approve" not in house.executed()
    house.check_nothing_reserved()


def test_a_dearer_attempt_is_judged_like_the_first(house_of: HouseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer remembers another transaction of the nonce, and what outbids it is not allowed."""
    house = house_of("supply")
    intent_id = submitted(house)

    def remembers(signer: SimulatedSigner, asked: Unsigned) -> Signed:
        raise SignerError("another one was signed", "nonce", 4 * GWEI, 2 * GWEI)

    def dear(step: Step, transaction: Unsigned) -> Refusal | None:
        return Refusal("fees", "too dear") if transaction.fees == Fees(4 * GWEI, 2 * GWEI) else None

    monkeypatch.setattr(SimulatedSigner, "sign", remembers)
    monkeypatch.setattr(house.client, "examine", dear)
    house.engine.tick()
    assert told(house, "AttemptSigned") == []
    assert [(one.nonce, one.reason) for one in told(house, "NonceReleased")] == [(0, "too dear")]
    assert house.intent(intent_id).state == "FAILED"
    house.check_nothing_reserved()


def test_all_of_what_came_in_is_what_a_later_step_moves(house_of: HouseOf) -> None:
    house = house_of("supply")
    intent, signing = house.intent(submitted(house)), house.engine.signing
    everything = PlannedStep(StepKind.SUPPLY, "WETH", ALL, 50_000)
    for gained, amount in (({"WETH": 7, "USDC": 5}, 7), ({"USDC": 5}, 0), ({"WETH": -7}, 0)):
        assert signing.amount(attrs.evolve(intent, gained=gained), everything) == amount
    assert signing.amount(intent, attrs.evolve(everything, amount_raw=9)) == 9


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"sender": "0x" + "cc" * 20},
        {"nonce": 1},
        {"to": "0x" + "cc" * 20},
        {"value_raw": 1},
        {"data": "0x00"},
        {"gas": 50_001},
        {"fees": Fees(3 * GWEI + 1, GWEI)},
        {"fees": Fees(3 * GWEI, GWEI + 1)},
        "hash",
    ],
    ids=str,
)
def test_a_signature_for_something_else_is_not_kept(
    house_of: HouseOf, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    house = house_of("supply")
    honest = SimulatedSigner.sign

    def sign(signer: SimulatedSigner, asked: Unsigned) -> Signed:
        assert (asked.gas, asked.fees) == (50_000, Fees(3 * GWEI, GWEI))
        if change == "hash":
            return attrs.evolve(honest(signer, asked), hash="0x" + "00" * 32)
        return honest(signer, attrs.evolve(asked, **change))

    intent_id = submitted(house)
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedSigner, "sign", sign)
        house.engine.tick()
        house.engine.tick()
    assert told(house, "AttemptSigned") == []
    assert house.world.sent == {}
    house.finish()
    assert house.intent(intent_id).state == "SETTLED"


def test_an_attempt_is_journaled_as_it_was_signed(house_of: HouseOf) -> None:
    house = house_of("supply")
    intent_id = submitted(house)
    house.engine.tick()
    (signed,) = told(house, "AttemptSigned")
    (sent,) = house.world.sent.values()
    assert (signed.intent_id, signed.step, signed.nonce, signed.attempt, signed.purpose) == (
        intent_id,
        0,
        0,
        0,
        "original",
    )
    assert (signed.gas, signed.fee_cap_raw, signed.tip_raw) == (sent.gas, sent.fees.cap_raw, sent.fees.tip_raw)
    assert (signed.gas, signed.fee_cap_raw, signed.tip_raw) == (50_000, 3 * GWEI, GWEI)
    assert signed.block_number == house.world.blocks[-1].ref.number
    assert signed.call["data"] == sent.data


def test_gas_that_costs_more_than_its_cap_is_not_paid(house_of: HouseOf) -> None:
    house = house_of("supply")
    intent_id = submitted(house)
    house.world.base_fee_raw = 100 * GWEI
    house.engine.tick()
    assert [(one.code, one.step) for one in told(house, "GateRefused")] == [("fees", 0)]
    assert house.intent(intent_id).state == "CANCELLED"
    house.check_nothing_reserved()


# --- waiting


def test_what_is_stuck_is_outbid_five_times_and_then_its_nonce_is_used_up(house_of: HouseOf) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    house.engine.tick()
    seen: list[tuple[str, ...]] = []
    for _ in range(6):
        for _ in range(2):
            empty(house)
            assert house.engine.tick() == 0  # not yet
        empty(house)
        house.engine.tick()
        seen.append(tuple(one.purpose for one in told(house, "AttemptSigned")))
    assert seen[0] == ("original", "bump")
    assert seen[-1] == ("original", *["bump"] * 5, "cancel")
    caps = [one.fee_cap_raw for one in told(house, "AttemptSigned")]
    tips = [one.tip_raw for one in told(house, "AttemptSigned")]
    for values in (caps, tips):
        assert all(later == -(-earlier * 9 // 8) for earlier, later in itertools.pairwise(values))
    assert [one.attempt for one in told(house, "AttemptSigned")] == list(range(7))
    assert {one.nonce for one in told(house, "AttemptSigned")} == {0}
    empty(house, 3)
    house.engine.tick()
    assert house.intent(intent_id).state == "QUARANTINED"
    assert house.intent(intent_id).reason.startswith("nonce 0 is stuck: 7 attempts, none mined")
    assert len(told(house, "AttemptSigned")) == 7
    empty(house, 3)
    house.engine.tick()
    assert len(told(house, "IntentQuarantined")) == 1
    house.world.mine()
    house.engine.tick()
    assert house.executed() == ["cancel"]
    house.engine.resolve(intent_id, "FAILED", "its nonce is used up", "ann")
    house.check_nothing_reserved()
    house.check_books()


def test_what_every_node_has_dropped_is_sent_again_in_a_later_block(house_of: HouseOf) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    house.engine.tick()
    (name,) = house.world.waiting
    house.world.waiting.clear()
    assert house.engine.tick() == 0  # in the same block it may only be late
    assert house.world.waiting == {}
    empty(house)
    assert house.engine.tick() == 1
    assert list(house.world.waiting) == [name]
    assert len(told(house, "AttemptSigned")) == 1
    house.finish()
    assert house.intent(intent_id).state == "SETTLED"


def test_nothing_is_posted_before_its_block_is_final(house_of: HouseOf) -> None:
    house = house_of("supply", depth=3)
    submitted(house)
    house.engine.tick()
    house.world.mine()
    house.engine.tick()
    for _ in range(3):
        assert told(house, "StepFinal") == []
        assert house.engine.records.open_slots()[0].state == "INCLUDED"
        empty(house)
        house.engine.tick()
    (final,) = told(house, "StepFinal")
    assert (final.step, final.kind, final.success, final.fee_raw) == (0, "approve", True, 50_000 * 2 * GWEI)


def test_a_reverted_step_costs_its_gas_and_moves_nothing(house_of: HouseOf) -> None:
    house = house_of("supply", depth=0)
    house.world.reverting = {"supply"}
    intent_id = submitted(house)
    house.finish()
    intent = house.intent(intent_id)
    assert (intent.state, "was reverted" in intent.reason) == ("FAILED", True)
    final = {one.kind: one for one in told(house, "StepFinal")}
    assert (final["supply"].success, final["supply"].effects) == (False, [])
    assert house.executed() == ["approve", "supply", "revoke"]
    assert house.store.balance("gas", "ETH") == 3 * 50_000 * 2 * GWEI
    house.check_nothing_reserved()
    house.check_books()


def test_a_nonce_that_another_took_before_the_signature_is_not_signed_for(
    house_of: HouseOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedSigner, "sign", lambda *_: (_ for _ in ()).throw(SignerError("asleep")))
        house.engine.tick()
    house.world.spend_elsewhere()
    house.engine.tick()
    assert told(house, "AttemptSigned") == []
    assert [one.nonce for one in told(house, "SlotDisplaced")] == [0]
    assert house.intent(intent_id).state is IntentState.QUARANTINED
    assert house.submit(AMOUNT, row=2, role="other") is None
    assert told(house, "OrderRejected")[-1].code == "sender_halted"


@pytest.mark.parametrize("pool", [None, 10**15, 1, 0])
def test_gas_for_what_must_be_mined_again_is_taken_back_as_far_as_there_is_any(
    house_of: HouseOf, pool: int | None
) -> None:
    house = house_of("supply", depth=0)
    intent_id = submitted(house)
    house.finish()
    spent = 3 * 50_000 * 2 * GWEI
    assert house.intent(intent_id).gas_raw == house.intent(intent_id).fees_raw == spent
    if pool is not None:
        there = house.store.balance("treasury:gas", "ETH")
        lines = postings.moved("treasury:gas", "world:owner", "ETH", there - pool)
        house.store.append([house.engine.context.draft(AgentFailed("k", "r"), None, [Transfer("out", lines)])])
        house.world.native_raw -= there - pool
    house.world.reorganise(1)
    house.engine.reconcile()
    (broken,) = told(house, "FinalityBroken")
    fee = 50_000 * 2 * GWEI
    worst = 50_000 * house.client.fee_cap_raw - fee  # its fee is there again, and it may cost as much as is allowed
    taken = worst if pool is None else min(worst, pool)
    assert (broken.step, broken.fee_raw, broken.gas_retaken_raw, broken.retaken_raw) == (2, fee, taken, 0)
    assert house.store.balance("agent:agent-1:reserved", "ETH") == fee + taken
    assert house.intent(intent_id).state == "QUARANTINED"
    assert house.intent(intent_id).fees_raw == spent - fee
    assert house.store.balance("gas", "ETH") == spent - fee


# --- as events hold it


def test_steps_are_read_as_they_were_written() -> None:
    planned = PlannedStep(StepKind.SUPPLY, "USDC", 2**80, 90_000, {"least_raw": 2**70, "tick": -5, "pool": "x"})
    stored = {**planned_out(planned), "details": {"least_raw": str(2**70), "tick": -5, "pool": "x"}}
    assert planned_in(stored) == planned
    assert planned_in({**stored, "amount": "-7"}).amount_raw == -7
    everything = attrs.evolve(planned, amount_raw="all")
    assert planned_in({**stored, "amount": planned_out(everything)["amount"]}).amount_raw == "all"
    bound = Step(StepKind.SWAP, "USDC", "0xbb", "0x00", 2**70, 9, {"b": 2**80, "a": "12"}, {"USDC": 2**90, "ETH": 1})
    assert step_of(call_out(bound)) == bound
