"""Bytes of transactions: against eth_account as the other reader; what is not one canonical transaction is refused."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.errors import SignerError, ValidationError
from treasury_arena_keys.transactions import ORDER, payload, read_payload, read_signed, verified

KEY = Account.from_key("0x" + "11" * 32)
OTHER = Account.from_key("0x" + "22" * 32)

uint64 = st.integers(0, 2**64 - 1)
uint256 = st.integers(0, 2**256 - 1)
transactions = st.builds(
    Unsigned,
    chain_id=st.integers(1, 2**53),
    sender=st.just(KEY.address),
    nonce=uint64,
    to=st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex()),
    value_raw=uint256,
    data=st.binary(max_size=300).map(lambda data: "0x" + data.hex()),
    gas=uint64,
    fees=st.builds(Fees, uint256, uint256),
)


def signed_by(account: Any, t: Unsigned) -> Any:
    return account.sign_transaction(
        {
            "type": 2,
            "chainId": t.chain_id,
            "nonce": t.nonce,
            "to": bytes.fromhex(t.to[2:]),
            "value": t.value_raw,
            "data": t.data,
            "gas": t.gas,
            "maxFeePerGas": t.fees.cap_raw,
            "maxPriorityFeePerGas": t.fees.tip_raw,
        }
    )


@settings(max_examples=60, deadline=None)
@given(transactions)
def test_both_readers_agree_with_eth_account(transaction: Unsigned) -> None:
    assert read_payload(payload(transaction), KEY.address) == transaction
    reference = signed_by(KEY, transaction)
    raw = bytes(reference.raw_transaction)
    assert read_signed(raw) == (transaction, "0x" + bytes(reference.hash).hex())
    assert verified("0x" + raw.hex(), transaction, "it").hash == "0x" + bytes(reference.hash).hex()


@settings(max_examples=150, deadline=None)
@given(transactions, st.data())
def test_a_payload_with_a_changed_byte_is_another_transaction_or_none(
    transaction: Unsigned, data: st.DataObject
) -> None:
    good = payload(transaction)
    at, byte = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 255))
    changed = good[:at] + bytes([byte]) + good[at + 1 :]
    try:
        found = read_payload(changed, KEY.address)
    except ValidationError:
        return
    assert payload(found) == changed
    assert (found == transaction) == (changed == good)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120).map(lambda data: b"\x02" + data))
def test_bytes_that_are_none_are_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(ValidationError):
        read_payload(data, KEY.address)
    with pytest.raises(ValidationError):
        read_signed(data)


CHANGES: list[dict[str, Any]] = [
    {"chain_id": 2},
    {"nonce": 2},
    {"to": "0x" + "2" * 40},
    {"value_raw": 1},
    {"data": "0x01"},
    {"gas": 2},
    {"fees": Fees(2, 1)},
    {"fees": Fees(1, 0)},
]


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_that_differs_in_anything_is_refused(change: dict[str, Any]) -> None:
    asked = Unsigned(1, KEY.address, 1, "0x" + "1" * 40, 0, "0x", 1, Fees(1, 1))
    raw = "0x" + bytes(signed_by(KEY, attrs.evolve(asked, **change)).raw_transaction).hex()
    with pytest.raises(SignerError, match="it signed another transaction than it was asked to, for nonce 1"):
        verified(raw, asked, "it")


def test_an_answer_by_another_key_is_refused() -> None:
    asked = Unsigned(1, KEY.address, 1, "0x" + "1" * 40, 0, "0x", 1, Fees(1, 1))
    with pytest.raises(SignerError, match=f"another key: {OTHER.address}, not {KEY.address}"):
        verified("0x" + bytes(signed_by(OTHER, asked).raw_transaction).hex(), asked, "it")


@pytest.mark.parametrize("raw", [None, 5, {}, "", "0x", "0x02", "0x02c0", "zz", "0xf86b", "0x02" + "c1" * 100])
def test_an_answer_that_is_no_transaction_is_refused(raw: object) -> None:
    asked = Unsigned(1, KEY.address, 1, "0x" + "1" * 40, 0, "0x", 1, Fees(1, 1))
    with pytest.raises(SignerError, match="it answered with no signed transaction"):
        verified(raw, asked, "it")


def fields(transaction: Unsigned) -> list[Any]:
    return list(rlp.decode(bytes(signed_by(KEY, transaction).raw_transaction)[1:]))


BASE = Unsigned(1, KEY.address, 1, "0x" + "1" * 40, 0, "0x", 1, Fees(1, 1))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\0\1"),
        (1, b"\1" * 9),
        (3, b"\1" * 33),
        (5, b""),
        (5, b"\1" * 21),
        (7, []),
        (8, [[b"\1" * 20, []]]),
        (8, b""),
        (9, b"\2"),
        (10, b""),
        (11, b""),
    ],
)
def test_a_field_that_is_out_of_range_is_refused(at: int, value: Any) -> None:
    items = fields(BASE)
    items[at] = value
    with pytest.raises(ValidationError):
        read_signed(b"\x02" + rlp.encode(items))


def test_the_other_form_of_a_signature_is_refused() -> None:
    """(r, n - s) with the other parity signs the same and has another hash; nodes refuse it."""
    items = fields(BASE)
    items[9] = b"" if items[9] else b"\1"
    items[11] = (ORDER - int.from_bytes(items[11], "big")).to_bytes(32, "big")
    with pytest.raises(ValidationError, match="none that a node accepts"):
        read_signed(b"\x02" + rlp.encode(items))


@pytest.mark.parametrize(
    "change",
    [{"nonce": -1}, {"nonce": 2**64}, {"gas": True}, {"value_raw": 2**256}, {"to": "0x12"}, {"to": ""}, {"data": "12"}],
)
def test_what_no_chain_could_take_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        payload(attrs.evolve(BASE, **change))
