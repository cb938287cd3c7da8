"""The gate's decoder against eth_abi's encoder, and against calldata that is wrong by one bit, byte or word."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.live.decoder import FUNCTIONS, Function, decode

ONE_OF = {selector: item for selector, item in FUNCTIONS.items() if not item.calls}
#: Functions whose words are members of one struct.
STRUCTS = ("exactInputSingle", "mint", "increaseLiquidity", "decreaseLiquidity", "collect")


def types(function: Function) -> list[str]:
    return [word.split(":")[0] for word in function.words]


def names(function: Function) -> list[str]:
    return [word.split(":")[1] for word in function.words]


def a_value(kind: str) -> st.SearchStrategy[Any]:
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
    if kind == "bool":
        return st.booleans()
    bits = int(kind.removeprefix("u").removeprefix("int"))
    if kind.startswith("uint"):
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@st.composite
def calls(draw: st.DrawFn, family: str | None = None) -> tuple[bytes, dict[str, Any]]:
    choice = {key: item for key, item in ONE_OF.items() if family is None or item.family == family}
    selector = draw(st.sampled_from(sorted(choice)))
    function = choice[selector]
    values = [draw(a_value(kind)) for kind in types(function)]
    return bytes.fromhex(selector) + encode(types(function), values), dict(zip(names(function), values, strict=True))


def multicall(items: list[bytes], deadline: int | None) -> bytes:
    if deadline is None:
        return bytes.fromhex("ac9650d8") + encode(["bytes[]"], [items])
    return bytes.fromhex("5ae401dc") + encode(["uint256", "bytes[]"], [deadline, items])


@pytest.mark.parametrize("selector", sorted(FUNCTIONS))
def test_a_selector_is_its_signatures_hash(selector: str) -> None:
    function = FUNCTIONS[selector]
    inner = ",".join(types(function))
    if function.calls:
        inner = "uint256,bytes[]" if function.words else "bytes[]"
    elif function.name in STRUCTS:
        inner = f"({inner})"
    assert keccak(f"{function.name}({inner})".encode())[:4].hex() == selector


@settings(max_examples=300, deadline=None)
@given(calls())
def test_what_another_encoder_wrote_is_read_back(call: tuple[bytes, dict[str, Any]]) -> None:
    data, values = call
    assert decode("0x" + data.hex()).values == values


@settings(max_examples=200, deadline=None)
@given(calls(), st.integers(1, 40), st.booleans())
def test_nothing_may_be_missing_or_follow(call: tuple[bytes, dict[str, Any]], size: int, more: bool) -> None:
    data, _ = call
    wrong = data + bytes(size) if more else data[:-size]
    with pytest.raises(ValidationError):
        decode("0x" + wrong.hex())


@settings(max_examples=300, deadline=None)
@given(calls(), st.data())
def test_another_bit_is_another_value_or_refused(call: tuple[bytes, dict[str, Any]], data: st.DataObject) -> None:
    raw, values = call
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    changed = (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")
    try:
        found = decode("0x" + changed.hex())
    except ValidationError:
        return
    assert found.values != values or found.function is not FUNCTIONS[raw[:4].hex()]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.one_of(st.none(), st.integers(0, 2**64)))
def test_calls_in_one_call(data: st.DataObject, deadline: int | None) -> None:
    family = "positions" if deadline is None else "router"
    inner, values = data.draw(calls(family))
    raw = multicall([inner, inner], deadline)
    found = decode("0x" + raw.hex())
    outer = {} if deadline is None else {"deadline": deadline}
    if deadline is None or values.get("deadline", deadline) == deadline:
        assert found.values == {**values, **outer}
        assert len(found.names) == 3
    # Change any bit of the structure: never the same meaning by another encoding.
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    changed = (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")
    try:
        again = decode("0x" + changed.hex())
    except ValidationError:
        return
    assert (again.values, again.names) != (found.values, found.names)


def test_dirty_words_are_refused_by_name() -> None:
    approve = bytes.fromhex("095ea7b3")
    dirty = approve + b"\x01" + bytes(31) + bytes(32)
    with pytest.raises(ValidationError, match=r"approve\.spender is no address"):
        decode("0x" + dirty.hex())
    fee = encode(
        ["address"] * 2 + ["uint256"] + ["address"] + ["uint256"] * 3,
        ["0x" + "11" * 20] * 2 + [2**24] + ["0x" + "22" * 20, 1, 1, 0],
    )
    with pytest.raises(ValidationError, match=r"exactInputSingle\.fee has more than 24 bits"):
        decode("0x04e45aaf" + fee.hex())
    with pytest.raises(ValidationError, match=r"use_as_collateral is neither true nor false"):
        decode("0x5a3b74b9" + bytes(32).hex() + (2).to_bytes(32, "big").hex())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "not 0x and pairs"),
        ("0x", "calls 0x,"),
        ("0x095ea7", "calls 0x095ea7,"),
        ("0x095ea7b3z0", "not 0x and pairs"),
        ("0xa9059cbb" + "00" * 64, "calls 0xa9059cbb, which no step of an order calls"),
        ("0x095ea7b3" + "00" * 63, "have 63 bytes, expected 64"),
    ],
)
def test_what_is_no_call(data: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        decode(data)


def word(value: int) -> str:
    return (value % 2**256).to_bytes(32, "big").hex()


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1, True), (2, False), (2**255, False)])
def test_a_truth_value_is_0_or_1(value: int, fits: bool) -> None:
    data = "0x5a3b74b9" + word(0xAB) + word(value)
    if fits:
        assert decode(data).values["use_as_collateral"] == value
    else:
        with pytest.raises(ValidationError, match="use_as_collateral is neither true nor false"):
            decode(data)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0, True), (-1, True), (-(2**23), True), (-(2**23) - 1, False), (2**23 - 1, True), (2**23, False)],
)
@pytest.mark.parametrize("place", [3, 4])
def test_a_tick_has_24_bits_and_a_sign(place: int, value: int, fits: bool) -> None:
    words = [word(0)] * 11
    words[place] = word(value)
    data = "0x88316456" + "".join(words)
    if fits:
        assert decode(data).values[("tick_lower", "tick_upper")[place - 3]] == value
    else:
        with pytest.raises(ValidationError, match="has more than 24 bits"):
            decode(data)


def test_what_may_not_be_in_a_multicall() -> None:
    approve = bytes.fromhex("095ea7b3") + bytes(64)
    with pytest.raises(ValidationError, match="holds a call of approve"):
        decode("0x" + multicall([approve], 5).hex())
    nested = multicall([multicall([approve], 5)], 5)
    with pytest.raises(ValidationError, match="holds a call of multicall"):
        decode("0x" + nested.hex())
    burn = [bytes.fromhex("42966c68") + number.to_bytes(32, "big") for number in (1, 2)]
    with pytest.raises(ValidationError, match="two values of token_id"):
        decode("0x" + multicall(burn, None).hex())
    with pytest.raises(ValidationError, match="0 calls does not fit"):
        decode("0x" + multicall([], 5).hex())
