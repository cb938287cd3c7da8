"""What a node's answers say. One that cannot be read is no answer: a LostError, and never an error of Python's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from treasury_arena.contracts.chain import BlockRef
from treasury_arena_evm.errors import NONSENSE, ChainError, RevertError
from treasury_arena_evm.reverts import revert_data, revert_reason, words
from treasury_arena_evm.transport import LostError, NodeError

Value = TypeVar("Value")

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}")


@attrs.frozen
class Outcome:
    """What one simulated call would do."""

    success: bool
    data: bytes
    reason: str = ""


def understood(node: str, method: str, answer: Any, read: Callable[[Any], Value]) -> Value:
    """What `read` makes of a node's answer; LostError where it raises that the answer is something else."""
    try:
        return read(answer)
    except NONSENSE as error:
        raise LostError(
            f"{method}: the node at {node} answered with something that cannot be read ({type(error).__name__})"
        ) from error


def number_of(answer: Any) -> int:
    """A number in hex, at most 32 bytes; TypeError or ValueError for anything else."""
    if not _NUMBER.fullmatch(answer):
        raise ValueError("not a number")
    return int(answer, 16)


def bytes_of(answer: Any) -> bytes:
    """Bytes in hex; AttributeError, TypeError or ValueError for anything else."""
    if not answer.startswith("0x"):
        raise ValueError("not hex")
    return bytes.fromhex(answer[2:])


def block_of(answer: Any) -> BlockRef:
    """A block's number, hash and time."""
    if len(bytes_of(answer["hash"])) != 32:
        raise ValueError("not a hash")
    return BlockRef(number_of(answer["number"]), answer["hash"], number_of(answer["timestamp"]))


def outcomes_of(answer: Any, expected: int) -> list[Outcome]:
    """The outcomes of ``eth_simulateV1``'s calls; ValueError when they are not as many as expected."""
    found = [_outcome(item) for block in answer for item in block["calls"]]
    if len(found) != expected:
        raise ValueError(f"{len(found)} outcomes of {expected} calls")
    return found


def _outcome(item: Any) -> Outcome:
    data = bytes_of(item.get("returnData", "0x"))
    if number_of(item["status"]) == 1:
        return Outcome(True, data)
    failure = item.get("error") or {}
    raw = data or revert_data(failure)
    said = words(str(failure.get("message", "")).removeprefix("execution reverted: "))
    return Outcome(False, raw, revert_reason(raw) or said)


def reason_of(error: NodeError) -> str:
    """Why a contract refused, from a node's error."""
    reason = revert_reason(revert_data(error.data))
    return reason or error.text.removeprefix("execution reverted").lstrip(": ")


def reverted(what: str, error: NodeError) -> ChainError:
    """The contract's refusal of `what`, or the node's own error where it is none."""
    if error.code != 3 and "revert" not in error.text:
        return error
    reason = reason_of(error)
    return RevertError(f"{what} was refused: {reason or 'without a reason'}", reason)
