"""The rules: everything inside them passes, and any one step outside them is refused with its own code."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import Fees
from treasury_arena_keys.functions import UNBOUNDED, parse
from treasury_arena_keys.policy import Policy
from treasury_arena_keys.settings import read_settings

STRANGER = "0x" + "9" * 40

quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def policy(house: Any) -> Policy:
    return read_settings(house.file).policy()


def swap(house: Any, recipient: str) -> str:
    order = (house.TOKEN, house.POOL, 500, recipient, 10, 9)
    text: str = house.call("swap((address,address,uint24,address,uint256,uint256))", order)
    return text


def good(house: Any) -> dict[str, dict[str, Any]]:
    me = house.address
    order = bytes.fromhex(swap(house, me)[2:])
    return {
        "allowance": {"to": house.TOKEN, "data": house.approve(1_000_000)},
        "revoke": {"to": house.TOKEN, "data": house.approve(0)},
        "supply": {
            "to": house.POOL,
            "data": house.call("supply(address,uint256,address,uint16)", house.TOKEN, 5, me, 0),
        },
        "swap": {"to": house.ROUTER, "data": swap(house, me), "value_raw": 1000},
        "multicall": {"to": house.ROUTER, "data": house.call("multicall(uint256,bytes[])", 9, [order, order])},
        "cancel": {"to": me, "data": "0x", "gas": 21_000},
        "upper": {"to": house.TOKEN.upper().replace("X", "x"), "data": house.approve()},
    }


@quick
@given(
    gas=st.integers(1, 500_000),
    cap=st.integers(0, 100 * 10**9),
    share=st.floats(0, 1),
    nonce=st.integers(0, 2**64 - 1),
    name=st.sampled_from(["allowance", "revoke", "supply", "swap", "multicall", "upper"]),
)
def test_what_is_inside_the_rules_passes(
    house: Any, policy: Policy, gas: int, cap: int, share: float, nonce: int, name: str
) -> None:
    tip = min(int(cap * share), 5 * 10**9)
    transaction = house.transaction(gas=gas, nonce=nonce, cap=cap, tip=tip, **good(house)[name])
    assert policy.judge(transaction) is None


def test_a_cancel_passes(house: Any, policy: Policy) -> None:
    assert policy.judge(house.transaction(**good(house)["cancel"])) is None


def test_what_is_exactly_at_a_bound_passes(house: Any, policy: Policy) -> None:
    fine = bytes.fromhex(swap(house, house.address)[2:])
    many = house.call("multicall(uint256,bytes[])", 1, [fine] * 16)
    for change in (
        {"gas": 1},
        {"gas": 500_000},
        {"fees": Fees(100 * 10**9, 5 * 10**9)},
        {"fees": Fees(7, 7)},
        {"fees": Fees(0, 0)},
        {"data": house.approve(1_000_000)},
        {"to": house.ROUTER, "data": swap(house, house.address), "value_raw": 1_000},
        {"to": house.ROUTER, "data": many},
    ):
        assert policy.judge(house.transaction(**change)) is None, change


def test_a_function_without_arguments_is_four_bytes(house: Any, policy: Policy) -> None:
    function = parse("claim()")
    allowed = attrs.evolve(policy.contracts[house.POOL], functions={function.selector: function})
    judge = attrs.evolve(policy, contracts={house.POOL: allowed})
    data = "0x" + function.selector.hex()
    for text, code in ((data, None), (data[:-2], "selector"), (data + "00", "calldata")):
        refusal = judge.judge(house.transaction(to=house.POOL, data=text))
        assert (refusal.code if refusal else None) == code


def bad(house: Any) -> list[tuple[str, dict[str, Any]]]:
    me, call = house.address, house.call
    theft = bytes.fromhex(swap(house, STRANGER)[2:])
    fine = bytes.fromhex(swap(house, me)[2:])
    nested = bytes.fromhex(call("multicall(uint256,bytes[])", 1, [fine])[2:])
    deep = bytes.fromhex(call("multicall(uint256,bytes[])", 1, [nested])[2:])
    return [
        ("chain", {"chain_id": 1}),
        ("sender", {"sender": STRANGER}),
        ("gas", {"gas": 500_001}),
        ("gas", {"gas": 0}),
        ("fees", {"fees": Fees(100 * 10**9 + 1, 0)}),
        ("fees", {"fees": Fees(100 * 10**9, 5 * 10**9 + 1)}),
        ("fees", {"fees": Fees(10, 11)}),
        ("target", {"to": STRANGER}),
        ("value", {"value_raw": 1}),
        ("value", {"to": house.ROUTER, "data": swap(house, me), "value_raw": 1001}),
        ("selector", {"data": "0x"}),
        ("selector", {"data": "0x095ea7"}),
        ("selector", {"data": call("transfer(address,uint256)", STRANGER, 1)}),
        ("selector", {"data": call("permit(address,uint256)", STRANGER, 1)}),
        ("selector", {"to": house.POOL, "data": house.approve()}),
        ("allowance", {"data": house.approve(1_000_001)}),
        ("allowance", {"data": house.approve(2**256 - 1)}),
        ("allowance", {"data": house.approve(0, STRANGER)}),
        ("allowance", {"data": house.approve(1, me)}),
        ("calldata", {"data": house.approve() + "00"}),
        ("calldata", {"data": house.approve()[:-2]}),
        ("calldata", {"data": "0x095ea7b3" + "01" + house.approve()[12:]}),
        (
            "recipient",
            {"to": house.POOL, "data": call("supply(address,uint256,address,uint16)", house.TOKEN, 5, STRANGER, 0)},
        ),
        ("recipient", {"to": house.POOL, "data": call("withdraw(address,uint256,address)", house.TOKEN, 5, STRANGER)}),
        ("recipient", {"to": house.ROUTER, "data": swap(house, STRANGER)}),
        ("recipient", {"to": house.ROUTER, "data": call("multicall(uint256,bytes[])", 1, [fine, theft])}),
        ("calldata", {"to": house.ROUTER, "data": "0x" + nested.hex()[:8] + "ff" * 40}),
        ("calldata", {"to": house.ROUTER, "data": "0x" + deep.hex()}),
        ("calldata", {"to": house.ROUTER, "data": call("multicall(uint256,bytes[])", 1, [fine] * 17)}),
        ("selector", {"to": house.ROUTER, "data": call("multicall(uint256,bytes[])", 1, [b""])}),
        ("target", {"to": me, "value_raw": 1, "data": "0x", "gas": 21_000}),
        ("target", {"to": me, "data": "0x00", "gas": 21_000}),
        ("target", {"to": me, "data": "0x", "gas": 21_001}),
    ]


@pytest.mark.parametrize("number", range(33))
def test_one_step_outside_is_refused_with_its_code(house: Any, policy: Policy, number: int) -> None:
    code, change = bad(house)[number]
    refusal = policy.judge(house.transaction(**change))
    assert refusal is not None
    assert refusal.code == code, refusal.reason


def test_every_case_above_is_tried(house: Any) -> None:
    assert len(bad(house)) == 33


@quick
@given(st.binary(max_size=300), st.sampled_from(["TOKEN", "POOL", "ROUTER"]))
def test_calldata_at_random_never_breaks_the_judge_nor_moves_anything(
    house: Any, policy: Policy, data: bytes, where: str
) -> None:
    listed = [selector for one in policy.contracts.values() for selector in one.functions]
    for head in (b"", *listed):
        text = "0x" + (head + data).hex()
        refusal = policy.judge(house.transaction(to=getattr(house, where), data=text))
        assert refusal is not None
        assert refusal.code in {"selector", "calldata", "recipient", "allowance"}


@quick
@given(st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20))
def test_an_allowance_passes_exactly_for_its_spender_up_to_its_bound(
    house: Any, policy: Policy, amount: int, spender: bytes
) -> None:
    for who in ("0x" + spender.hex(), house.POOL):
        refusal = policy.judge(house.transaction(data=house.approve(amount, who)))
        assert (refusal is None) == (who == house.POOL and amount <= 1_000_000)


@quick
@given(st.binary(min_size=20, max_size=20), st.integers(1, 4), st.integers(0, 3))
def test_no_recipient_but_the_sender_gets_through_at_any_depth(
    house: Any, policy: Policy, recipient: bytes, count: int, at: int
) -> None:
    orders = [bytes.fromhex(swap(house, house.address)[2:])] * count
    orders.insert(min(at, count), bytes.fromhex(swap(house, "0x" + recipient.hex())[2:]))
    transaction = house.transaction(to=house.ROUTER, data=house.call("multicall(uint256,bytes[])", 1, orders))
    refusal = policy.judge(transaction)
    assert refusal is not None
    assert refusal.code == "recipient"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *[(f"{name}(address,uint256)", "is refused") for name in UNBOUNDED],
        ("approve(address,uint128)", "whose amount can be bounded"),
        ("approve(self,uint256)x", "is no function"),
        ("nothing", "is no function"),
        ("a(uint257)", "is no type"),
        ("a(uint)", "is no type"),
        ("a(calls)", r"calls\[\]"),
        ("a((self)", "is not closed"),
        ("a(self))(", "is closed that was not opened|is no function"),
        ("a(address,)", "is no type"),
        ("a(tuple)", "is no type"),
        ("a((address)x)", "is no type"),
    ],
)
def test_a_function_that_cannot_be_judged_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(text)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("approve(address,uint256)", "095ea7b3"),
        ("supply(address, uint256, self, uint16)", "617ba037"),
        ("withdraw(address,uint256,self)", "69328dec"),
        ("borrow(address,uint256,uint256,uint16,self)", "a415bcad"),
        ("repay(address,uint256,uint256,self)", "573ade81"),
        ("deposit(uint256,self)", "6e553f65"),
        ("redeem(uint256,self,self)", "ba087652"),
        ("exactInputSingle((address,address,uint24,self,uint256,uint256,uint160))", "04e45aaf"),
        ("multicall(uint256,calls[])", "5ae401dc"),
        ("mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,self,uint256))", "88316456"),
        ("collect((uint256,self,uint128,uint128))", "fc6f7865"),
        ("burn(uint256)", "42966c68"),
    ],
)
def test_selectors_are_those_of_the_contracts(text: str, selector: str) -> None:
    assert parse(text).selector.hex() == selector


def test_lists_of_self_are_judged_item_by_item(policy: Policy, house: Any) -> None:
    function = parse("pay(self[],(uint256,self)[2])")
    allowed = attrs.evolve(policy.contracts[house.POOL], functions={function.selector: function})
    judge = attrs.evolve(policy, contracts={house.POOL: allowed})
    me, signature = house.address, "pay(address[],(uint256,address)[2])"
    for people, pairs, code in (
        ([me, me], [(1, me), (2, me)], None),
        ([], [(1, me), (2, me)], None),
        ([me, STRANGER], [(1, me), (2, me)], "recipient"),
        ([me], [(1, me), (2, STRANGER)], "recipient"),
    ):
        data = "0x" + function.selector.hex() + encoded(people, pairs)
        assert signature.startswith(function.name)
        refusal = judge.judge(house.transaction(to=house.POOL, data=data))
        assert (refusal.code if refusal else None) == code


def encoded(people: list[str], pairs: list[tuple[int, str]]) -> str:
    from eth_abi.abi import encode

    return encode(["address[]", "(uint256,address)[2]"], [people, pairs]).hex()
