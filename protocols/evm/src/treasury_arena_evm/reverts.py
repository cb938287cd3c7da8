"""Why a contract refused: its revert data in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treasury_arena_evm.abi import Interface

_ERROR, _PANIC = "08c379a0", "4e487b71"
#: Solidity's own panics; the list of the Solidity documentation ("Panic via assert and Error via require").
_PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "no such enum value",
    0x22: "badly encoded storage",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}


#: Characters of what a contract or a node says; a sentence for a person has fewer.
WORDS_MAX = 500


def words(text: str) -> str:
    """What a stranger says, in one line that no terminal takes for a command; cut after `WORDS_MAX` characters."""
    line = "".join(sign if sign.isprintable() else " " for sign in text[: WORDS_MAX + 1])
    return line if len(line) <= WORDS_MAX else f"{line[:WORDS_MAX]}..."


def revert_data(error: Any) -> bytes:
    """The revert data in whatever a node or a client puts it: hex text, bytes, or a mapping with `data` somewhere in it."""
    if isinstance(error, bytes | bytearray):
        return bytes(error)
    if isinstance(error, str):
        try:
            return bytes.fromhex(error.removeprefix("0x")) if error.startswith("0x") else b""
        except ValueError:
            return b""
    if isinstance(error, dict):
        for key in ("data", "output", "result"):
            if found := revert_data(error.get(key)):
                return found
    return b""


def revert_reason(data: bytes, interfaces: Iterable[Interface] = ()) -> str:
    """The reason as text: a revert string, a panic in words, a declared error with its values, else hex; see `words`.

    Empty when the contract gave no reason.
    """
    return words(_reason(data, interfaces))


def _reason(data: bytes, interfaces: Iterable[Interface]) -> str:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    selector = data[:4].hex()
    try:
        if selector == _ERROR:
            return str(decode(["string"], data[4:])[0])
        if selector == _PANIC:
            code = int(decode(["uint256"], data[4:])[0])
            return f"panic 0x{code:02x} ({_PANICS.get(code, 'unknown')})"
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return "0x" + data.hex()
    for interface in interfaces:
        if (text := interface.error(data)) is not None:
            return text
    return "0x" + data.hex() if data else ""
