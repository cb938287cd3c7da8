"""What a signer may call: functions written as Solidity has them, with two words more.

``self`` is an address that must be the sender's own, ``calls[]`` a ``bytes[]`` whose items are calls that must be allowed as
well. ``supply(address,uint256,self,uint16)`` lets nobody be credited but the treasury.
"""

from __future__ import annotations

import re
from typing import Any

import attrs
from eth_abi.abi import decode, encode, is_encodable_type
from eth_abi.exceptions import DecodingError, EncodingError, ParseError
from eth_utils.crypto import keccak

ALLOWANCES = ("approve", "increaseAllowance", "approveDelegation")
"""``(address spender, uint256 amount)``: bounded by the contract's `allowances`."""

UNBOUNDED = ("permit", "setApprovalForAll", "transfer", "transferFrom", "safeTransferFrom", "delegationWithSig")
"""Give away what no limit here bounds; refused by name."""

_NAME = re.compile(r"([A-Za-z_$][\w$]*)\((.*)\)")
_SUFFIX = re.compile(r"(.*?)((?:\[\d*\])*)")


@attrs.frozen
class Parameter:
    """A type; `word` is ``self`` or ``calls`` where more than the type is asked, `inner` the members of a tuple."""

    word: str
    suffix: str = ""
    inner: tuple[Parameter, ...] = ()

    @property
    def canonical(self) -> str:
        """As selectors are hashed and arguments encoded."""
        if self.word == "tuple":
            return f"({','.join(item.canonical for item in self.inner)}){self.suffix}"
        return {"self": "address", "calls": "bytes"}.get(self.word, self.word) + self.suffix


@attrs.frozen
class Function:
    """One allowed function."""

    text: str
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def types(self) -> list[str]:
        return [item.canonical for item in self.parameters]

    @property
    def selector(self) -> bytes:
        return bytes(keccak(f"{self.name}({','.join(self.types)})".encode())[:4])

    def arguments(self, data: bytes) -> tuple[Any, ...] | None:
        """Arguments of calldata without its selector; None unless it is their one canonical encoding."""
        try:
            values = decode(self.types, data)
            return values if encode(self.types, values) == data else None
        except (DecodingError, EncodingError, OverflowError, UnicodeError):
            return None


def parse(text: str) -> Function:
    """Read one function. Raises ValueError with one sentence."""
    match = _NAME.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"{text!r} is no function; expected for example 'approve(address,uint256)'")
    function = Function(text, match.group(1), _parameters(match.group(2), text))
    if function.name in UNBOUNDED:
        raise ValueError(f"{text!r} is refused: nothing here would bound what it gives away")
    if function.name in ALLOWANCES and function.types != ["address", "uint256"]:
        raise ValueError(
            f"{text!r} is refused: expected '{function.name}(address,uint256)', whose amount can be bounded"
        )
    return function


def _parameters(text: str, whole: str) -> tuple[Parameter, ...]:
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
        if depth < 0:
            raise ValueError(f"{whole!r}: a bracket is closed that was not opened")
    if depth:
        raise ValueError(f"{whole!r}: a bracket is not closed")
    return tuple(_parameter(item, whole) for item in [*parts, part]) if text else ()


def _parameter(text: str, whole: str) -> Parameter:
    match = _SUFFIX.fullmatch(text)
    assert match is not None
    base, suffix = match.groups()
    if base.startswith("(") and base.endswith(")"):
        return Parameter("tuple", suffix, _parameters(base[1:-1], whole))
    found = Parameter(base, suffix)
    if base == "calls" and suffix != "[]":
        raise ValueError(f"{whole!r}: expected 'calls[]'")
    try:
        known = base.isalnum() and base not in ("uint", "int", "function") and is_encodable_type(found.canonical)
    except ParseError:
        known = False
    if not known:
        raise ValueError(
            f"{whole!r}: {text!r} is no type; expected for example address, uint256, bytes32, self or calls[]"
        )
    return found


def foreign(parameters: tuple[Parameter, ...], values: tuple[Any, ...], sender: str) -> str | None:
    """An address in place of ``self`` that is not the sender's; None when there is none."""
    for item, value in zip(parameters, values, strict=True):
        for one in _flat(value, item.suffix.count("[")):
            if item.word == "self" and str(one).lower() != sender.lower():
                return str(one)
            found = foreign(item.inner, one, sender) if item.word == "tuple" else None
            if found is not None:
                return found
    return None


def inner_calls(parameters: tuple[Parameter, ...], values: tuple[Any, ...]) -> list[bytes]:
    """All items of ``calls[]``, those within tuples included."""
    found: list[bytes] = []
    for item, value in zip(parameters, values, strict=True):
        for one in _flat(value, item.suffix.count("[")):
            if item.word == "calls":
                found.append(bytes(one))
            elif item.word == "tuple":
                found += inner_calls(item.inner, one)
    return found


def _flat(value: Any, depth: int) -> list[Any]:
    if depth == 0:
        return [value]
    return [one for item in value for one in _flat(item, depth - 1)]
