"""Where a transaction was mined: receipts held against blocks and logs, and those of one node against another's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from treasury_arena.contracts.chain import Effect, Inclusion
from treasury_arena.errors import ChainUnavailableError
from treasury_arena_evm.liquidity import changed
from treasury_arena_evm.live.nodes import Node, Nodes, block_ref, head_of
from treasury_arena_evm.transport import LostError

#: keccak256 of Transfer(address,address,uint256), Deposit(address,uint256) and Withdrawal(address,uint256).
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
DEPOSIT = "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"
WITHDRAWAL = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"
#: Receipts whose logs were checked, remembered so that waiting for finality asks for them once.
KEPT = 256


class Receipts:
    """Reads inclusions of one sender's transactions.

    Args:
        nodes: of the chain.
        assets: symbol by token address (lower case); only their movements count.
        wrapped: address of the wrapped native coin, whose deposits and withdrawals are no transfers.
        positions: addresses (lower case) of position managers, whose liquidity is an asset by token.
    """

    def __init__(self, nodes: Nodes, assets: Mapping[str, str], wrapped: str, positions: Collection[str] = ()) -> None:
        self._nodes, self._assets, self._wrapped = nodes, dict(assets), wrapped.lower()
        self._positions = frozenset(positions)
        self._checked: dict[tuple[Any, ...], None] = {}

    def inclusion(self, transaction: str, sender: str) -> Inclusion | None:
        """Where it was mined by a canonical block; None while every believable node says that it is not.

        Raises ChainUnavailableError when nodes contradict each other, or one itself.
        """
        wanted = transaction.lower()
        told = self._nodes.gather(lambda node: self._of(node, wanted, sender), "eth_getTransactionReceipt")
        found = {name: one for name, one in told.items() if one is not None}
        if not found:
            return None
        first, *others = found.values()
        if any(other != first for other in others):
            raise ChainUnavailableError(f"the nodes {', '.join(found)} do not agree on the receipt of {wanted}")
        for name in told:
            if name not in found and self._has(name, first.block_number):
                raise ChainUnavailableError(
                    f"{name} has block {first.block_number} and no receipt of {wanted}; others have one"
                )
        return first

    def _has(self, name: str, number: int) -> bool:
        try:
            return head_of(self._nodes.node(name)).number >= number
        except (LostError, KeyError, TypeError, ValueError):
            return False

    def _of(self, node: Node, wanted: str, sender: str) -> Inclusion | None:
        answer = node.request("eth_getTransactionReceipt", wanted)
        if answer is None:
            return None
        digest, number = str(answer["blockHash"]).lower(), int(answer["blockNumber"], 16)
        status = int(answer["status"], 16)
        logs = tuple(_log(item) for item in answer["logs"])
        if str(answer["transactionHash"]).lower() != wanted or str(answer["from"]).lower() != sender.lower():
            raise LostError(f"{node.name}: the receipt of {wanted} is another transaction's")
        if status not in (0, 1) or (not status and logs):
            raise LostError(f"{node.name}: the receipt of {wanted} contradicts itself")
        if any((item["block"], item["transaction"]) != (digest, wanted) for item in logs):
            raise LostError(f"{node.name}: the receipt of {wanted} has logs that do not belong to it")
        self._check_block(node, wanted, digest, number, answer)
        self._check_logs(node, wanted, digest, logs, str(answer.get("to") or "").lower())
        used, price = int(answer["gasUsed"], 16), int(answer["effectiveGasPrice"], 16)
        fee = used * price + int(answer.get("l1Fee") or "0x0", 16)
        kept = tuple(
            {"address": log["address"], "topics": log["topics"], "data": log["data"], "index": log["index"]}
            for log in logs
        )
        return Inclusion(wanted, number, digest, status == 1, fee, self._effects(logs, sender.lower()), kept)

    def _check_block(self, node: Node, wanted: str, digest: str, number: int, answer: Mapping[str, Any]) -> None:
        block = node.request("eth_getBlockByNumber", hex(number), False)
        if block is None or block_ref(block).hash != digest:
            raise LostError(
                f"{node.name}: the receipt of {wanted} names block {digest}, which is not the chain's at {number}"
            )
        place = int(answer["transactionIndex"], 16)
        listed = [str(item).lower() for item in block["transactions"]]
        if not 0 <= place < len(listed) or listed[place] != wanted:
            raise LostError(f"{node.name}: the receipt of {wanted} names block {number}, which does not hold it")

    def _check_logs(self, node: Node, wanted: str, digest: str, logs: tuple[dict[str, Any], ...], to: str) -> None:
        """The logs that something is booked by, and those of the contract called, once more by the block's own."""
        addresses = sorted({*self._assets, *self._positions, *([to] if to else [])})
        key = (node.name, wanted, digest, repr(logs))
        if key in self._checked:
            return
        there = node.request("eth_getLogs", {"blockHash": digest, "address": addresses})
        mine = [log for log in map(_log, there) if log["transaction"] == wanted]
        if mine != [log for log in logs if log["address"] in addresses]:
            raise LostError(f"{node.name}: the receipt of {wanted} has other logs than its block")
        self._checked[key] = None
        while len(self._checked) > KEPT:
            del self._checked[next(iter(self._checked))]

    def _effects(self, logs: tuple[dict[str, Any], ...], sender: str) -> tuple[Effect, ...]:
        effects = []
        for log in logs:
            symbol, amount = self._assets.get(log["address"]), self._moved(log, sender)
            if log["address"] in self._positions and (found := changed(log["topics"], log["data"])) is not None:
                symbol, amount = found
            if symbol is not None and amount:
                effects.append(Effect(log["index"], symbol, amount))
        return tuple(effects)

    def _moved(self, log: Mapping[str, Any], sender: str) -> int:
        """Base units that the sender gained or lost by one log."""
        topics: list[str] = log["topics"]
        data: str = log["data"]
        if not topics or len(data) != 66:
            return 0
        if topics[0] == TRANSFER and len(topics) == 3:
            return int(data, 16) * ((_account(topics[2]) == sender) - (_account(topics[1]) == sender))
        if log["address"] == self._wrapped and len(topics) == 2 and _account(topics[1]) == sender:
            return int(data, 16) * ((topics[0] == DEPOSIT) - (topics[0] == WITHDRAWAL))
        return 0


def _account(topic: str) -> str:
    return "0x" + topic[-40:]


def _log(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "address": str(item["address"]).lower(),
        "topics": [str(topic).lower() for topic in item["topics"]],
        "data": str(item["data"]).lower(),
        "index": int(item["logIndex"], 16),
        "transaction": str(item["transactionHash"]).lower(),
        "block": str(item["blockHash"]).lower(),
    }
