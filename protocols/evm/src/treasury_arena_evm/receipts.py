"""What a mined transaction did: its cost, its events, and the tokens it moved, from its receipt alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs

from treasury_arena_evm.abi import Entry
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.errors import NONSENSE, ChainError
from treasury_arena_evm.interfaces.tokens import ERC20, WRAPPED_NATIVE

_TRANSFER, _APPROVAL = ERC20.event("Transfer"), ERC20.event("Approval")
_WRAPPED = WRAPPED_NATIVE.event("Deposit")
_UNWRAPPED = WRAPPED_NATIVE.event("Withdrawal")


@attrs.frozen
class Log:
    """One event as the contract at `address` wrote it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    index: int


@attrs.frozen
class Receipt:
    """A mined transaction. `fee_raw` is all it cost in wei of the native coin, a rollup's fee for its parent chain included."""

    hash: str
    block_number: int
    block_hash: str
    sender: str
    to: str | None
    success: bool
    gas_used: int
    gas_price_raw: int
    fee_raw: int
    logs: tuple[Log, ...]
    contract: str | None = None

    @classmethod
    def from_rpc(cls, answer: Mapping[str, Any]) -> Self:
        """From ``eth_getTransactionReceipt``'s answer; ChainError when it lacks a field."""
        try:
            used, price = _int(answer["gasUsed"]), _int(answer.get("effectiveGasPrice", "0x0"))
            logs = tuple(
                Log(
                    checksummed(log["address"]),
                    tuple(_bytes(topic) for topic in log["topics"]),
                    _bytes(log["data"]),
                    _int(log["logIndex"]),
                )
                for log in answer["logs"]
            )
            return cls(
                hash=answer["transactionHash"],
                block_number=_int(answer["blockNumber"]),
                block_hash=answer["blockHash"],
                sender=checksummed(answer["from"]),
                to=checksummed(answer["to"]) if answer.get("to") else None,
                success=_int(answer["status"]) == 1,
                gas_used=used,
                gas_price_raw=price,
                # Rollups on the OP stack charge their parent chain's part beside the gas.
                fee_raw=used * price + _int(answer.get("l1Fee") or "0x0"),
                logs=logs,
                contract=checksummed(answer["contractAddress"]) if answer.get("contractAddress") else None,
            )
        except NONSENSE as error:
            raise ChainError(f"the node's receipt cannot be read: {error!r}") from error

    def events(self, event: Entry, address: str | None = None) -> list[dict[str, Any]]:
        """The values of every such event, in order, of one contract only when an address is given.

        Events of another shape under the same signature (an ERC-721's Transfer among an ERC-20's) are left out.
        """
        indexed = sum(item.indexed for item in event.inputs)
        return [
            event.decode_log(log.topics, log.data)
            for log in self.logs
            if log.topics
            and log.topics[0] == event.topic
            and len(log.topics) == indexed + 1
            and (address is None or log.address.lower() == address.lower())
        ]

    def touched(self, account: str) -> bool:
        """Whether a token, fungible or not, came to or left an account (an approval moves none)."""
        return any(account.lower() in _parties(log) for log in self.logs)

    def approvals(self, account: str) -> set[tuple[str, str]]:
        """Whom an account's tokens were allowed to or taken back from: pairs of token and spender."""
        return {
            (log.address, checksummed(f"0x{log.topics[2][-20:].hex()}"))
            for log in self.logs
            if len(log.topics) == 3
            and log.topics[0] == _APPROVAL.topic
            and f"0x{log.topics[1][-20:].hex()}" == account.lower()
        }

    def deltas(self, account: str, wrapped: str | None = None) -> dict[str, int]:
        """Base units that an account gained or lost, by token address, from Transfer events; zeros are left out.

        With the address of the wrapped native coin its Deposit and Withdrawal events count too, for WETH9 writes no Transfer
        then. Balances that grow by themselves (aTokens) gain more than their Transfers say: read those instead.
        """
        sums: dict[str, int] = {}
        for log in self.logs:
            for sign, holder, amount in _moves(log, wrapped):
                if holder.lower() == account.lower():
                    sums[log.address] = sums.get(log.address, 0) + sign * amount
        return {address: amount for address, amount in sums.items() if amount}


def _parties(log: Log) -> tuple[str, ...]:
    """Sender and recipient of a Transfer of an ERC-20 or an ERC-721, lower case."""
    if len(log.topics) < 3 or log.topics[0] != _TRANSFER.topic:
        return ()
    return tuple(f"0x{topic[-20:].hex()}" for topic in log.topics[1:3])


def _moves(log: Log, wrapped: str | None) -> list[tuple[int, str, int]]:
    topic = log.topics[0] if log.topics else b""
    if topic == _TRANSFER.topic and len(log.topics) == 3 and len(log.data) == 32:
        values = _TRANSFER.decode_log(log.topics, log.data)
        return [(-1, values["from"], values["value"]), (1, values["to"], values["value"])]
    if wrapped is not None and log.address.lower() == wrapped.lower():
        if topic == _WRAPPED.topic:
            values = _WRAPPED.decode_log(log.topics, log.data)
            return [(1, values["to"], values["value"])]
        if topic == _UNWRAPPED.topic:
            values = _UNWRAPPED.decode_log(log.topics, log.data)
            return [(-1, values["from"], values["value"])]
    return []


def _int(value: str) -> int:
    return int(value, 16)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
