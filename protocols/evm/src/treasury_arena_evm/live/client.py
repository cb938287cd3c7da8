"""One EVM chain through one or several nodes, as the order engine and planners ask it.

Where nodes differ, the answer that can do no harm counts: the highest head and nonce, the lowest block and nonce called final;
a block or a receipt counts only when all that have it agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from treasury_arena.clock import Clock
from treasury_arena.contracts.chain import (
    BlockRef,
    ChainClient,
    Counts,
    Fees,
    Identity,
    Inclusion,
    Refusal,
    SendResult,
    Step,
    Unsigned,
)
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, FeeCapError, ValidationError
from treasury_arena_evm.abi import Entry, Read
from treasury_arena_evm.answers import Outcome
from treasury_arena_evm.chains import Chain
from treasury_arena_evm.errors import FeeError
from treasury_arena_evm.fees import BLOCKS, FeePolicy, suggest
from treasury_arena_evm.fees import Fees as NodeFees
from treasury_arena_evm.live import sending
from treasury_arena_evm.live.contracts import Contracts
from treasury_arena_evm.live.decoder import POSITIONS
from treasury_arena_evm.live.examiner import Examiner
from treasury_arena_evm.live.nodes import Node, Nodes, block_ref, head_of
from treasury_arena_evm.live.prices import Prices
from treasury_arena_evm.live.receipts import Receipts
from treasury_arena_evm.live.transactions import read_signed
from treasury_arena_evm.reverts import revert_data, revert_reason
from treasury_arena_evm.session import GAS_MARGIN, Session
from treasury_arena_evm.tokens import TokenTable
from treasury_arena_evm.transport import LostError, NodeError

NATIVE_DECIMALS = 18
FINALIZED = "finalized"


class _FallOver:
    """The nodes in the place of one, for a session's reads."""

    name = "several nodes"

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    @property
    def w3(self) -> Any:
        raise ChainUnavailableError("several nodes have no web3 object in common")

    def request(self, method: str, *params: Any) -> Any:
        return self._nodes.ask(method, *params, read=lambda answer: answer)

    def request_together(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return self._nodes.together(calls)


class EvmClient(ChainClient):
    """A chain for orders; also reads contracts for planners, as a session does.

    Args:
        chain: id, finality, wrapped coin, nominal time between blocks.
        nodes: its endpoints.
        tokens: the pinned ones.
        sender: the treasury's address.
        policy: fees and their cap.
        contracts: that may be called.
        clock: says what time it is, for deadlines.
        health_min: health factor on Aave that no order may leave behind.
        prices: sources that swaps are compared with.
    """

    def __init__(
        self,
        chain: Chain,
        nodes: Nodes,
        tokens: TokenTable,
        sender: str,
        policy: FeePolicy,
        contracts: Contracts,
        clock: Clock,
        health_min: float,
        prices: Prices,
    ) -> None:
        self.chain, self.nodes, self.tokens, self.policy = chain, nodes, tokens, policy
        self.chain_id, self.native = chain.id, Asset(chain.native, NATIVE_DECIMALS)
        self.block_seconds, self.endpoints, self.fee_cap_raw = chain.block_seconds, nodes.names, policy.cap_raw
        self._pinned = {token.address.lower(): token.symbol for token in tokens if "rebasing" not in token.quirks}
        self._reader = Session(_FallOver(nodes), chain, tokens, policy)
        self._receipts = Receipts(nodes, self._pinned, chain.wrapped, contracts.of(POSITIONS))
        self._examiner = Examiner(chain, nodes, tokens, sender, policy.cap_raw, contracts, clock, health_min, prices)

    def __repr__(self) -> str:
        return f"EvmClient({self.chain.name}, {', '.join(self.endpoints)})"

    # --- the chain

    def identities(self) -> Sequence[Identity]:
        return self.nodes.identities()

    def head(self) -> BlockRef:
        if self._reader.pinned_at is not None:
            return self._reader.head()
        return max(self.nodes.gather(head_of, "eth_getBlockByNumber").values(), key=lambda block: block.number)

    def finalized(self) -> BlockRef:
        told = self.nodes.gather(self._final_of, "eth_getBlockByNumber")
        lowest = min(told.values(), key=lambda block: block.number)
        self.nodes.raise_floor(lowest.number)
        return lowest

    def _final_of(self, node: Node) -> BlockRef:
        depth = self.chain.finality
        if isinstance(depth, str):
            return block_ref(node.request("eth_getBlockByNumber", FINALIZED, False))
        return block_ref(node.request("eth_getBlockByNumber", hex(_final_number(node, depth)), False))

    def block(self, number: int) -> BlockRef | None:
        if number < 0:
            return None
        told = self.nodes.each(
            "eth_getBlockByNumber",
            hex(number),
            False,
            read=lambda answer: None if answer is None else block_ref(answer),
        )
        found = [block for block in told.values() if block is not None]
        if any(block.hash != found[0].hash for block in found):
            raise ChainUnavailableError(f"the nodes {', '.join(told)} do not agree on block {number}")
        if found and found[0].number != number:
            raise ChainUnavailableError(f"block {number} was asked for, block {found[0].number} was told")
        return found[0] if found else None

    def agree(self, depth: int) -> bool:
        heads = self.nodes.gather(head_of, "eth_getBlockByNumber")
        number = max(0, min(block.number for block in heads.values()) - depth)
        return len(set(self.nodes.each("eth_getBlockByNumber", hex(number), False, read=_block).values())) == 1

    # --- the treasury

    def counts(self, sender: str) -> Counts:
        told = self.nodes.gather(lambda node: self._counts_of(node, sender), "eth_getTransactionCount")
        self.nodes.raise_floor(min(final for _, _, final in told.values()))
        return Counts(max(latest for latest, _, _ in told.values()), min(count for _, count, _ in told.values()))

    def _counts_of(self, node: Node, sender: str) -> tuple[int, int, int]:
        """Count at the latest block, count at the final one, and a number that the final one is not above."""
        latest = _whole(node.request("eth_getTransactionCount", sender, "latest"))
        depth = self.chain.finality
        if isinstance(depth, str):
            final = _whole(node.request("eth_getTransactionCount", sender, FINALIZED))
            return latest, final, self._final_of(node).number
        number = _final_number(node, depth)
        return latest, _whole(node.request("eth_getTransactionCount", sender, hex(number))), number

    def native_balance(self, address: str) -> int:
        return self.nodes.ask("eth_getBalance", address, "latest", read=_whole)

    def balances(self, address: str) -> Mapping[str, int]:
        data = "0x70a08231" + address.lower().removeprefix("0x").rjust(64, "0")
        found = {}
        for token, symbol in self._pinned.items():
            try:
                found[symbol] = self.nodes.ask("eth_call", {"to": token, "data": data}, "latest", read=_word)
            except NodeError as error:
                raise ChainUnavailableError(f"the balance of {symbol} is not known: {error}") from error
        return found

    # --- transactions

    def fees(self) -> Fees:
        percentiles = [self.policy.tip_percentile]
        history = self.nodes.ask("eth_feeHistory", hex(BLOCKS), "latest", percentiles, read=_history)
        try:
            offered = suggest(history, self.policy)
        except FeeError as error:
            raise FeeCapError(str(error)) from error
        return Fees(offered.cap_raw, offered.tip_raw)

    def bumped(self, fees: Fees) -> Fees | None:
        higher = NodeFees(fees.cap_raw, fees.tip_raw).bumped()
        return Fees(higher.cap_raw, higher.tip_raw) if higher.cap_raw <= self.fee_cap_raw else None

    def gas(self, sender: str, step: Step) -> int:
        call = {"from": sender, "to": step.to, "data": step.data, "value": hex(step.value_raw)}
        try:
            estimate = self.nodes.ask("eth_estimateGas", call, read=_whole)
        except NodeError as error:
            reason = revert_reason(revert_data(error.data)) or error.text
            raise ValidationError(f"the {step.kind} would be refused: {reason}") from error
        if estimate > step.gas_max:
            raise ValidationError(
                f"the {step.kind} needs {estimate} gas, more than the {step.gas_max} that were planned"
            )
        above, below = GAS_MARGIN
        return min(estimate * above // below, step.gas_max)

    def examine(self, step: Step, transaction: Unsigned) -> Refusal | None:
        return self._examiner.examine(step, transaction)

    def read(self, raw: str) -> tuple[Unsigned, str]:
        return read_signed(raw)

    def send(self, endpoint: str, raw: str) -> SendResult:
        try:
            _, digest = read_signed(raw)
            answer = self.nodes.node(endpoint).request("eth_sendRawTransaction", raw)
        except NodeError as error:
            return SendResult(endpoint, sending.outcome(error.text), error.text)
        except (LostError, ValidationError) as error:
            return SendResult(endpoint, sending.UNKNOWN, str(error))
        except Exception as error:  # whatever it was, the bytes may have left
            return SendResult(endpoint, sending.UNKNOWN, f"{endpoint}: {type(error).__name__}")
        if str(answer).lower() != digest:
            return SendResult(endpoint, sending.UNKNOWN, f"{endpoint} answered with another hash than {digest}")
        return SendResult(endpoint, sending.OK)

    def known(self, transaction: str) -> bool:
        wanted = transaction.lower()

        def read(answer: Any) -> bool:
            return answer is not None and str(answer["hash"]).lower() == wanted

        return any(self.nodes.each("eth_getTransactionByHash", wanted, read=read).values())

    def inclusion(self, transaction: str, sender: str) -> Inclusion | None:
        return self._receipts.inclusion(transaction, sender)

    # --- reading contracts

    def pinned(self) -> AbstractContextManager[int]:
        """One block for all reads of contracts inside, and for `head`; see `Session.pinned`."""
        return self._reader.pinned()

    def call(
        self, to: str, function: Entry, *arguments: Any, sender: str | None = None, block: str | int | None = None
    ) -> Any:
        """A read at a block; see `Session.call`. Raises RevertError when the contract refuses."""
        return self._reader.call(to, function, *arguments, sender=sender, block=block)

    def read_ahead(self, reads: Iterable[Read]) -> None:
        """Ask for several reads of the pinned block in one request; see `Session.read_ahead`."""
        self._reader.read_ahead(reads)

    def simulate(
        self, calls: Sequence[tuple[str, str, bytes]], later_seconds: Sequence[tuple[int, int]] = ()
    ) -> list[Outcome]:
        """What calls ``(sender, to, data)`` would do one after another; see `Session.simulate`."""
        return self._reader.simulate(calls, later_seconds)

    def has_code(self, address: str) -> bool:
        """Whether a contract stands at an address."""
        return self._reader.has_code(address)


def _final_number(node: Node, depth: int) -> int:
    return max(0, head_of(node).number - depth)


def _block(answer: Any) -> BlockRef | None:
    return None if answer is None else block_ref(answer)


def _whole(answer: Any) -> int:
    return int(answer, 16)


def _word(answer: Any) -> int:
    if len(answer) != 66:
        raise ValueError("not one word")
    return int(answer, 16)


def _history(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or int(answer["baseFeePerGas"][-1], 16) < 0:
        raise ValueError("no fee history")
    for reward in answer.get("reward") or ():
        int(reward[0], 16)
    return answer
