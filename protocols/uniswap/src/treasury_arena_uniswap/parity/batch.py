"""Many transactions a block, in the order they were given: what makes thousands of operations a matter of seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from treasury_arena_evm.abi import Entry
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.reverts import revert_data, revert_reason

if TYPE_CHECKING:
    from treasury_arena_evm.local.chain import LocalChain

#: A swap through hundreds of words of the bitmap fits; the block is made large enough for all.
GAS, BLOCK_GAS = 15_000_000, 10**11
GAS_PRICE = 10**11
Receipt = Mapping[str, Any]


class Batch:
    """Transactions that wait for their block. Make one with `batches`."""

    def __init__(self, chain: LocalChain) -> None:
        self.chain = chain
        self._nonces: dict[str, int] = {}
        self._waiting: list[dict[str, str]] = []
        self._returned: dict[str, Any] = {}

    def add(self, sender: str, to: str, function: Entry, *arguments: Any) -> None:
        """Hand a transaction in; it is executed by the next `mined`, after those handed in before."""
        if sender not in self._nonces:
            self._nonces[sender] = int(self.chain.rpc("eth_getTransactionCount", sender, "latest"), 16)
        request = {
            "from": sender,
            "to": to,
            "nonce": hex(self._nonces[sender]),
            "gas": hex(GAS),
            "gasPrice": hex(GAS_PRICE),
            "data": "0x" + function.encode(*arguments).hex(),
        }
        self._nonces[sender] += 1
        self._waiting.append(request)

    def mined(self) -> list[Receipt]:
        """Mine a block; the receipts in the order of the transactions. ChainError when the block was not in that order."""
        # The pool has them in the order in which they come, and that the block has it too is looked at below.
        sent = self.chain.rpc_many([("eth_sendTransaction", [request]) for request in self._waiting])
        self._waiting = []
        self.chain.rpc("evm_mine")
        found: list[Receipt] = self.chain.rpc("eth_getBlockReceipts", "latest") or []
        hashes = [receipt["transactionHash"] for receipt in found]
        if hashes != sent:
            raise ChainError(f"a block of {len(found)} transactions is not the {len(sent)} sent, in their order")
        refused = [receipt["transactionHash"] for receipt in found if not _done(receipt)]
        # The node keeps what was returned; to trace the transaction would be to execute the block up to it once more.
        returned = self.chain.rpc_many([("ots_getTransactionError", [transaction]) for transaction in refused])
        self._returned = dict(zip(refused, returned, strict=True))
        return found

    def refusal(self, receipt: Receipt) -> str | None:
        """Why a transaction of the block mined last was refused, empty without a reason; None when it was done."""
        if _done(receipt):
            return None
        return revert_reason(revert_data(self._returned[receipt["transactionHash"]]))


def _done(receipt: Receipt) -> bool:
    return int(receipt["status"], 16) == 1


@contextmanager
def batches(chain: LocalChain) -> Iterator[Batch]:
    """A chain that mines when it is told to, with room for all that waits."""
    limit = chain.rpc("eth_getBlockByNumber", "latest", False)["gasLimit"]
    chain.rpc("evm_setAutomine", False)
    chain.rpc("evm_setBlockGasLimit", hex(BLOCK_GAS))
    try:
        yield Batch(chain)
    finally:
        if chain.node.alive:
            chain.rpc("evm_setBlockGasLimit", limit)
            chain.rpc("evm_setAutomine", True)


def logged(receipt: Receipt, address: str, event: Entry) -> dict[str, Any]:
    """The values of the last such event of a contract in a receipt; empty without one."""
    for log in reversed(receipt["logs"]):
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        if log["address"].lower() == address.lower() and topics and topics[0] == event.topic:
            return event.decode_log(topics, bytes.fromhex(log["data"][2:]))
    return {}
