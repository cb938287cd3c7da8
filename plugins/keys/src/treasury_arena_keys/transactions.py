"""Transactions as bytes: the payload that a signature covers, signed bytes, and who signed them. Type 2 (EIP-1559) only.

Every reader is strict: one transaction has one encoding here, and anything else is refused.
"""

from __future__ import annotations

from typing import Any

import rlp
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError as KeysError

from treasury_arena.contracts.chain import Fees, Signed, Unsigned
from treasury_arena.errors import SignerError, ValidationError

TYPE = b"\x02"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1; a signature with s above half of it is refused by nodes."""

UINT64, UINT256 = 2**64, 2**256
_FIELDS = 9
_LIMITS = (UINT64, UINT64, UINT256, UINT256, UINT64)
_NAMES = ("chain id", "nonce", "tip", "fee cap", "gas limit")


def payload(transaction: Unsigned) -> bytes:
    """The bytes whose keccak hash is signed. Raises ValidationError for a transaction that no chain could take."""
    t = transaction
    numbers = (t.chain_id, t.nonce, t.fees.tip_raw, t.fees.cap_raw, t.gas)
    for name, value, limit in zip((*_NAMES, "value"), (*numbers, t.value_raw), (*_LIMITS, UINT256), strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
            raise ValidationError(f"the transaction's {name} is {value!r}; expected a whole number below {limit}")
    fields = [*map(_number, numbers), address_bytes(t.to), _number(t.value_raw), hex_bytes(t.data, "data"), []]
    return TYPE + bytes(rlp.encode(fields))


def read_payload(data: bytes, sender: str) -> Unsigned:
    """The transaction that an unsigned payload holds. Raises ValidationError for bytes that are none."""
    return _transaction(_items(data, _FIELDS), sender)


def read_signed(data: bytes) -> tuple[Unsigned, str]:
    """The transaction that signed bytes hold, its sender recovered from the signature, and its hash."""
    items = _items(data, _FIELDS + 3)
    parity, r, s = (
        _whole(item, limit, name)
        for item, limit, name in zip(items[_FIELDS:], (2, ORDER, ORDER), ("parity", "r", "s"), strict=True)
    )
    if not r or not 0 < s <= ORDER // 2:
        raise ValidationError("the signature is none that a node accepts (r or s is out of range)")
    covered = keccak(TYPE + rlp.encode(items[:_FIELDS]))
    try:
        signer = Signature(vrs=(parity, r, s)).recover_public_key_from_msg_hash(covered).to_checksum_address()
    except (BadSignature, KeysError) as error:
        raise ValidationError("the signature belongs to no key") from error
    return _transaction(items[:_FIELDS], str(signer)), "0x" + keccak(data).hex()


def verified(raw: object, asked: Unsigned, who: str) -> Signed:
    """The signature that `who` gave, if it is one of exactly the transaction that was asked for; raises SignerError else."""
    if not isinstance(raw, str):
        raise SignerError(f"{who} answered with no signed transaction: it is no text")
    try:
        data = hex_bytes(raw, "answer")
        found, digest = read_signed(data)
    except ValidationError as error:
        raise SignerError(f"{who} answered with no signed transaction: {error}") from error
    if found.sender.lower() != asked.sender.lower():
        raise SignerError(f"{who} signed with another key: {found.sender}, not {asked.sender}")
    if payload(found) != payload(asked):
        raise SignerError(f"{who} signed another transaction than it was asked to, for nonce {asked.nonce}")
    return Signed(digest, "0x" + data.hex())


def hex_bytes(text: str, what: str) -> bytes:
    """Bytes of ``0x`` and hex digits; raises ValidationError."""
    if text[:2] != "0x" or not set(text[2:]) <= set("0123456789abcdefABCDEF") or len(text) % 2:
        raise ValidationError(f"the {what} is not 0x and an even number of hex digits")
    return bytes.fromhex(text[2:])


def address_bytes(text: str) -> bytes:
    """The 20 bytes of an address; raises ValidationError."""
    data = hex_bytes(text, "address")
    if len(data) != 20:
        raise ValidationError(f"an address has 20 bytes, not {len(data)}")
    return data


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _items(data: bytes, count: int) -> list[Any]:
    if data[:1] != TYPE:
        raise ValidationError("it is no transaction of type 2")
    start, end, is_list = _span(data, 1)
    if not is_list or end != len(data):
        raise ValidationError("it is not one RLP list")
    items: list[Any] = []
    while start < end:
        begin, start, nested = _span(data, start)
        if start > end or len(items) == count:
            raise ValidationError("its RLP does not fit")
        if nested != (len(items) == 8) or (nested and begin != start):
            raise ValidationError("it has an access list, or a list in place of a field")
        items.append([] if nested else data[begin:start])
    if len(items) != count:
        raise ValidationError(f"it has {len(items)} fields; expected {count}")
    return items


def _span(data: bytes, at: int) -> tuple[int, int, bool]:
    """Where the content of the RLP item at a position begins and ends, and whether it is a list. Lists are not entered, so no
    input is too deep; lengths must be written in the shortest way.
    """
    if at >= len(data):
        raise ValidationError("its RLP is cut off")
    first = data[at]
    if first < 0x80:
        return at, at + 1, False
    base = 0xC0 if first >= 0xC0 else 0x80
    size, begin = first - base, at + 1
    if size > 55:
        begin += size - 55
        digits = data[at + 1 : begin]
        size = int.from_bytes(digits, "big")
        if digits[:1] == b"\0" or size <= 55:
            raise ValidationError("a length in its RLP is not written in the shortest way")
    if begin + size > len(data):
        raise ValidationError("its RLP is cut off")
    if base == 0x80 and size == 1 and data[begin] < 0x80:
        raise ValidationError("a byte in its RLP is not written in the shortest way")
    return begin, begin + size, base == 0xC0


def _whole(item: bytes, limit: int, name: str) -> int:
    value = int.from_bytes(item, "big")
    if item[:1] == b"\0" or value >= limit:
        raise ValidationError(f"its {name} is out of range, or begins with a zero")
    return value


def _transaction(items: list[Any], sender: str) -> Unsigned:
    chain_id, nonce, tip, cap, gas = (
        _whole(item, limit, name) for item, limit, name in zip(items[:5], _LIMITS, _NAMES, strict=True)
    )
    if len(items[5]) != 20:
        raise ValidationError("it calls no contract (it would create one)")
    value = _whole(items[6], UINT256, "value")
    return Unsigned(chain_id, sender, nonce, "0x" + items[5].hex(), value, "0x" + items[7].hex(), gas, Fees(cap, tip))
