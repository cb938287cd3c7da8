"""Signed transactions as bytes: read strictly, with the sender recovered and the hash computed here. Type 2 (EIP-1559) only."""

from __future__ import annotations

import re
from typing import Any

from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.errors import ValidationError
from treasury_arena_evm.addresses import checksummed, keccak

TYPE = 2
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_FIELDS = 9
#: Name and bits of the whole numbers before the address, and of the amount behind it.
_NUMBERS = (("chain id", 64), ("nonce", 64), ("tip", 256), ("fee cap", 256), ("gas limit", 64))


def fields_of(transaction: Unsigned) -> dict[str, Any]:
    """The transaction as `eth_account` signs it."""
    t = transaction
    return {
        "type": TYPE,
        "chainId": t.chain_id,
        "nonce": t.nonce,
        "to": checksummed(t.to),
        "value": t.value_raw,
        "data": t.data,
        "gas": t.gas,
        "maxFeePerGas": t.fees.cap_raw,
        "maxPriorityFeePerGas": t.fees.tip_raw,
        "accessList": [],
    }


def read_signed(raw: str) -> tuple[Unsigned, str]:
    """The transaction in signed bytes (hex), and its hash. Raises ValidationError for bytes that no node would take as they are.

    A transaction with an access list, and one that makes a contract, is none of ours and refused.
    """
    import rlp
    from rlp.exceptions import RLPException

    if not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})+", raw):
        raise ValidationError("the signed transaction is not 0x and pairs of hex digits")
    data = bytes.fromhex(raw[2:])
    if data[0] != TYPE:
        raise ValidationError(f"the signed transaction has type {data[0]}; expected type {TYPE} (EIP-1559)")
    try:
        items = rlp.decode(data[1:])
    except RLPException as error:
        raise ValidationError(f"the signed transaction cannot be read ({type(error).__name__})") from error
    if not isinstance(items, list) or len(items) != _FIELDS + 3:
        raise ValidationError(f"the signed transaction has not the {_FIELDS + 3} fields of its type")
    if not all(isinstance(item, bytes) for number, item in enumerate(items) if number != _FIELDS - 1):
        raise ValidationError("a field of the signed transaction is a list and should be none")
    chain_id, nonce, tip, cap, gas = (_whole(item, *what) for item, what in zip(items, _NUMBERS, strict=False))
    to, value, call = items[5], _whole(items[6], "value", 256), items[7]
    if len(to) != 20:
        raise ValidationError("the signed transaction goes to no address")
    if items[8] != [] and items[8] != ():
        raise ValidationError("the signed transaction has an access list")
    sender = _signer(keccak(bytes([TYPE]) + rlp.encode(items[:_FIELDS])), items[_FIELDS:])
    fees = Fees(cap, tip)
    found = Unsigned(chain_id, sender, nonce, "0x" + to.hex(), value, "0x" + call.hex(), gas, fees)
    return found, "0x" + keccak(data).hex()


def _signer(digest: bytes, items: list[bytes]) -> str:
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError as KeysError

    parity, r, s = (
        _whole(item, name, bits) for item, name, bits in zip(items, ("parity", "r", "s"), (1, 256, 256), strict=True)
    )
    if not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        raise ValidationError("the signature is none that a node accepts: r or s is out of range")
    try:
        return str(Signature(vrs=(parity, r, s)).recover_public_key_from_msg_hash(digest).to_checksum_address())
    except (BadSignature, KeysError) as error:
        raise ValidationError("the signature belongs to no key") from error


def _whole(item: bytes, name: str, bits: int) -> int:
    if item[:1] == b"\0" or int.from_bytes(item, "big") >> bits:
        raise ValidationError(f"the signed transaction's {name} is not written as a whole number of {bits} bits")
    return int.from_bytes(item, "big")
