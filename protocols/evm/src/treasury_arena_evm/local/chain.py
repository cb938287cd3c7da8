"""A local chain under a test's control: unsigned transactions from anyone, time, balances, storage, snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from time import monotonic, sleep
from typing import Any

from treasury_arena_evm.abi import Entry
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.local.anvil import CHAIN_ID, Anvil, RpcError
from treasury_arena_evm.reverts import revert_data, revert_reason

#: Enough for the dearest deployment here (5.5 million), less than one transaction may have.
GAS = 16_000_000
BLOCK_SECONDS = 12
MINED_SECONDS_MAX = 10.0
BLOCKS_AT_ONCE_MAX = 10_000
#: Numbers of the accounts that send the transactions that isolated blocks end with.
_SENDERS = count(1)


class LocalChain:
    """A node with evenly spaced blocks: block n + 1 comes `block_seconds` after block n, whatever the wall clock says.

    Amounts are in base units, times in seconds since 1970. Nothing needs a signature here: `send` acts as any address.
    """

    chain_id = CHAIN_ID

    def __init__(self, node: Anvil, block_seconds: int = BLOCK_SECONDS) -> None:
        self.node = node
        self.block_seconds = block_seconds
        self.rpc("anvil_setBlockTimestampInterval", block_seconds)

    @property
    def url(self) -> str:
        """The node's address."""
        return self.node.url

    def rpc(self, method: str, *params: Any) -> Any:
        """Any JSON-RPC call; RpcError when the node refuses it."""
        return self.node.rpc(method, *params)

    def rpc_many(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Several JSON-RPC calls in one request; see `Anvil.rpc_many`."""
        return self.node.rpc_many(calls)

    # --- transactions and calls

    def call(self, to: str, function: Entry, *arguments: Any, sender: str | None = None) -> Any:
        """A read: the one output, or a tuple of several. Raises RevertError with the contract's reason."""
        request = {"to": to, "data": "0x" + function.encode(*arguments).hex()}
        if sender is not None:
            request["from"] = sender
        try:
            data = self.rpc("eth_call", request, "latest")
        except RpcError as error:
            raise _reverted(function.signature, error) from error
        return _only(function.decode(bytes.fromhex(data[2:])))

    def call_many(self, to: str, reads: Sequence[tuple[Entry, Sequence[Any]]]) -> list[Any]:
        """Several reads ``(function, arguments)`` of one contract in one request, each as `call` gives it."""
        calls = [
            ("eth_call", [{"to": to, "data": "0x" + function.encode(*arguments).hex()}, "latest"])
            for function, arguments in reads
        ]
        try:
            found = self.rpc_many(calls)
        except RpcError as error:
            raise _reverted("one of several reads", error) from error
        return [_only(read[0].decode(bytes.fromhex(data[2:]))) for read, data in zip(reads, found, strict=True)]

    def send(self, sender: str, to: str, function: Entry, *arguments: Any, value: int = 0) -> dict[str, Any]:
        """A transaction of any sender in a block of its own; the node's receipt. RevertError has the contract's reason."""
        return self._sent(function.signature, sender, to, function.encode(*arguments), value)

    def deploy(self, sender: str, code: str, constructor: Entry, *arguments: Any) -> str:
        """Address of a new contract; `code` is creation code in hex, libraries linked."""
        data = bytes.fromhex(code.removeprefix("0x")) + constructor.encode(*arguments)
        receipt = self._sent(f"constructor of {len(data)} bytes", sender, None, data, 0)
        return checksummed(receipt["contractAddress"])

    def _sent(self, what: str, sender: str, to: str | None, data: bytes, value: int) -> dict[str, Any]:
        # The nonce is given, because the node's own guess lags behind what it has just mined.
        nonce = self.rpc("eth_getTransactionCount", sender, "latest")
        request = {"from": sender, "nonce": nonce, "data": "0x" + data.hex(), "gas": hex(GAS), "value": hex(value)}
        if to is not None:
            request["to"] = to
        receipt = self._mined(request)
        if int(receipt["status"], 16) != 1:
            trace = self.rpc("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"})
            reason = revert_reason(revert_data(trace))
            raise RevertError(f"{what} was refused: {reason or trace.get('error', 'without a reason')}", reason)
        return receipt

    def _mined(self, request: dict[str, Any]) -> dict[str, Any]:
        """Receipt of an unsigned transaction that names its sender and nonce.

        About once in 100,000 the node does not mine what is in its pool, or loses it, and says after 30 s that it was not
        confirmed. It is made to look into its pool again then, and given the same transaction again if it has none of that nonce,
        which can take effect only once.
        """
        sender, nonce = request["from"], int(request["nonce"], 16)
        try:
            return self._told(request)
        except RpcError as error:
            if "timeout" not in error.message or not self.rpc("anvil_getAutomine"):
                raise
        for automine in (False, True):
            self.rpc("evm_setAutomine", automine)
        deadline = monotonic() + MINED_SECONDS_MAX
        while monotonic() < deadline and (found := self._of_nonce(sender, nonce)) is not None:
            if found["blockNumber"] is not None:
                return self.receipt(found["hash"])
            sleep(0.0005)
        return self._told(request)

    def _told(self, request: dict[str, Any]) -> dict[str, Any]:
        """Receipt of a transaction as the node tells it, once it is mined."""
        receipt: dict[str, Any] = self.rpc("eth_sendTransactionSync", request)
        return receipt

    def _of_nonce(self, sender: str, nonce: int) -> dict[str, Any] | None:
        """The sender's transaction with this nonce, mined or in the pool."""
        found: dict[str, Any] | None = self.rpc("eth_getTransactionBySenderAndNonce", sender, hex(nonce))
        return found

    def receipt(self, transaction: str) -> dict[str, Any]:
        """Receipt of a transaction that is mined by itself, which happens shortly after it was accepted."""
        deadline = monotonic() + MINED_SECONDS_MAX
        while monotonic() < deadline:
            found: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", transaction)
            if found is not None:
                return found
            sleep(0.0005)
        raise ChainError(f"transaction {transaction} was not mined within {MINED_SECONDS_MAX:g} s; is automining off?")

    # --- time

    @property
    def now(self) -> int:
        """Time of the latest block."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    @property
    def height(self) -> int:
        """Number of the latest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def next_time(self, time: int) -> None:
        """Give the next block this time, later than the latest block's."""
        if time <= self.now:
            raise ChainError(f"the next block's time {time} must be later than {self.now}, the latest block's")
        self.rpc("evm_setNextBlockTimestamp", time)

    def advance(self, seconds: int) -> int:
        """Mine one empty block so many seconds after the latest; its time."""
        self.next_time(self.now + seconds)
        self.mine()
        return self.now

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks with what is pending, evenly spaced."""
        if not 0 < blocks <= BLOCKS_AT_ONCE_MAX:
            raise ChainError(f"{blocks} blocks cannot be mined at once; at least 1 and at most {BLOCKS_AT_ONCE_MAX}")
        for _ in range(blocks):
            self.rpc("evm_mine")

    def _settled(self) -> None:
        """Wait until the node has mined what it took from its pool: blocks come in turn, so after one of our own it has. Else
        such a block would be mined on the state that a revert brings back.

        Each has a sender of its own: the node clears its pool of what a block's senders had sent up to their nonces a little
        after it has told of the block, and would take the next one with it that comes from the same sender after a revert.
        """
        sender = f"0x1a57{next(_SENDERS):036x}"
        self.set_balance(sender, 10**36)
        # Whatever the base fee is, it is paid; the tip is the usual one, because the node remembers tips of blocks undone.
        fees = {"maxFeePerGas": hex(10**24), "maxPriorityFeePerGas": hex(10**9)}
        self._mined({"from": sender, "to": sender, "nonce": "0x0", "gas": hex(21_000), **fees})

    # --- state

    def set_balance(self, address: str, amount_raw: int) -> None:
        """Give an account so much of the native coin."""
        self.rpc("anvil_setBalance", address, hex(amount_raw))

    def balance(self, address: str) -> int:
        """Native coin of an account, in wei."""
        return int(self.rpc("eth_getBalance", address, "latest"), 16)

    def set_storage(self, address: str, slot: int, value: int) -> None:
        """Overwrite one storage word of a contract; a negative value in two's complement."""
        self.rpc("anvil_setStorageAt", address, hex(slot), f"0x{value % 2**256:064x}")

    def snapshot(self) -> str:
        """Remember the whole state; each id can be returned to once."""
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Return to a snapshot; ChainError when it was returned to before."""
        if self.rpc("evm_revert", snapshot) is not True:
            raise ChainError(f"snapshot {snapshot} is not there, or was returned to already")
        self.rpc("anvil_setBlockTimestampInterval", self.block_seconds)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Undo all that happens inside, time included, and what a snapshot does not hold: the pool of transactions and the next
        base fee. Blocks come by themselves afterwards, as they do on a new chain.
        """
        snapshot, fee = self.snapshot(), self.rpc("eth_feeHistory", "0x1", "latest", [])["baseFeePerGas"][-1]
        try:
            yield
        finally:
            if self.node.alive:
                self.rpc("anvil_dropAllTransactions")
                self.rpc("evm_setAutomine", True)
                try:
                    self._settled()
                finally:
                    self.revert(snapshot)
                    self.rpc("anvil_setNextBlockBaseFeePerGas", fee)


def _only(outputs: tuple[Any, ...]) -> Any:
    return outputs[0] if len(outputs) == 1 else outputs


def _reverted(what: str, error: RpcError) -> RevertError | RpcError:
    if error.code != 3 and "revert" not in error.message:
        return error
    reason = revert_reason(revert_data(error.data))
    return RevertError(f"{what} was refused: {reason or error.message}", reason)
