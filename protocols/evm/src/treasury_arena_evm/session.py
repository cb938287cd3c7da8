"""A session with one node of one chain: reads, simulations, signed transactions, receipts, finality.

>>> session = connect("https://node.example/key", ETHEREUM)             # doctest: +SKIP
>>> session.call(pool, V3_POOL.function("liquidity"))                   # doctest: +SKIP
>>> receipt = session.send(signer, pool, V3_POOL.function("burn"), -60, 60, 10)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from treasury_arena.contracts.chain import BlockRef
from treasury_arena.errors import ConfigError, UnknownOutcomeError
from treasury_arena_evm.abi import Entry, Read
from treasury_arena_evm.answers import (
    Outcome,
    Value,
    block_of,
    bytes_of,
    number_of,
    outcomes_of,
    reason_of,
    reverted,
    understood,
)
from treasury_arena_evm.chains import Chain, ChainTable
from treasury_arena_evm.errors import AbiError, ChainError, RevertError
from treasury_arena_evm.fees import BLOCKS, FeePolicy, Fees, suggest
from treasury_arena_evm.outstanding import (
    NOBODY,
    POLL_SECONDS_LOCAL,
    POLL_SECONDS_MAX,
    Outstanding,
    Owner,
    Signed,
)
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.tokens import KNOWN_TOKENS, Token, TokenTable
from treasury_arena_evm.transport import LostError, NodeError, Requester, Transport

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

#: No transaction of ours is dearer; one that seems to be is a mistake.
GAS_MAX = 15_000_000
#: Room above the estimate, for state that changes before the transaction is mined.
GAS_MARGIN = (5, 4)
#: More in one request would make nodes refuse it.
READS_TOGETHER_MAX = 50
TIMEOUT_SECONDS = 10.0
WAIT_BLOCKS = 20
WAIT_SECONDS_MIN = 60.0
#: How long `resolve` asks for one transaction before it says that nobody knows.
RESOLVE_SECONDS = 5.0


def signer(key: str) -> LocalAccount:
    """The account of a private key (hex); ConfigError, which does not show the key, when it is none."""
    from eth_account import Account

    try:
        return Account.from_key(key)  # type: ignore[no-any-return]
    except Exception:
        raise ConfigError("the private key must be 32 bytes in hex, within the curve's order") from None


def connect(
    url: str,
    chain: Chain,
    *,
    tokens: Sequence[Token] = KNOWN_TOKENS,
    policy: FeePolicy | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Session:
    """A session with the node at `url`; ChainError when it serves another chain or does not say, before all else."""
    transport = Transport(url, timeout_seconds)
    found = understood(transport.name, "eth_chainId", transport.request("eth_chainId"), number_of)
    if found != chain.id:
        raise ChainError(
            f"the node at {transport.name} serves {ChainTable().name_of(found)} (id {found}), but {chain.name} (id {chain.id}) "
            f"was asked for"
        )
    return Session(transport, chain, TokenTable(chain, tokens), policy or FeePolicy())


class Session:
    """Reads and transactions on one chain. Made by `connect`, which has checked the chain id."""

    def __init__(self, transport: Requester, chain: Chain, tokens: TokenTable, policy: FeePolicy) -> None:
        self._transport = transport
        self.chain = chain
        self.tokens = tokens
        self.policy = policy
        self._outstanding = Outstanding(self)
        self._pin = threading.local()

    @property
    def unresolved(self) -> Mapping[str, Signed]:
        """Transactions that were sent and not seen mined, by hash."""
        return self._outstanding.open

    @property
    def w3(self) -> Any:
        """The web3.py object beneath, for what is not here."""
        return self._transport.w3

    def request(self, method: str, *params: Any) -> Any:
        """Any JSON-RPC call: NodeError when the node refuses it, LostError when no answer comes."""
        return self._transport.request(method, *params)

    def ask(self, method: str, *params: Any, read: Callable[[Any], Value]) -> Value:
        """What `read` makes of a call's answer; LostError also when it cannot (see `understood`)."""
        return understood(self._transport.name, method, self.request(method, *params), read)

    # --- reading

    @contextmanager
    def pinned(self) -> Iterator[int]:
        """Let all reads inside be of one block: the latest one as it begins, or that of the pinning around it; its number.

        What takes several reads is one picture only so: other blocks may come between them. What was read once is not asked for
        again. Not for sending. Each thread has a pinning of its own.
        """
        if (pinned := self.pinned_at) is not None:
            yield pinned
            return
        self._pin.block, self._pin.read, self._pin.head = self.height, {}, None
        try:
            yield self._pin.block
        finally:
            self._pin.block, self._pin.read, self._pin.head = None, {}, None

    @property
    def pinned_at(self) -> int | None:
        """Number of the pinned block."""
        return getattr(self._pin, "block", None)

    @property
    def _read_already(self) -> dict[tuple[str, str | None, str, str], bytes]:
        """What calls gave at the pinned block: block, sender, contract and calldata -> output."""
        return getattr(self._pin, "read", {})

    @property
    def _at(self) -> str:
        return "latest" if (pinned := self.pinned_at) is None else hex(pinned)

    def call(
        self, to: str, function: Entry, *arguments: Any, sender: str | None = None, block: str | int | None = None
    ) -> Any:
        """A read at a block (number or tag; else the pinned or the latest one): the one output, or a tuple of several.

        RevertError when the contract refuses.
        """
        request = {"to": to, "data": "0x" + function.encode(*arguments).hex()}
        if sender is not None:
            request["from"] = sender
        where = hex(block) if isinstance(block, int) else block or self._at
        asked = (where, sender, to.lower(), request["data"])
        data = self._read_already.get(asked)
        if data is None:
            try:
                data = self.ask("eth_call", request, where, read=bytes_of)
            except NodeError as error:
                raise reverted(function.signature, error) from error
        outputs = function.decode(data)
        if where == self._at != "latest":
            self._read_already[asked] = data
        return outputs[0] if len(outputs) == 1 else outputs

    def read_ahead(self, reads: Iterable[Read]) -> None:
        """Ask for several reads ``(contract, function, arguments)`` of the pinned block at once, so that `call` has them.

        What does not come is asked for, and told of when it is refused, by `call`; outside a pinning nothing is asked.
        """
        if self.pinned_at is None:
            return
        at = self._at
        functions = {
            (at, None, to.lower(), "0x" + function.encode(*arguments).hex()): function
            for to, function, arguments in reads
        }
        wanted = [asked for asked in functions if asked not in self._read_already]
        for start in range(0, len(wanted), READS_TOGETHER_MAX):
            some = wanted[start : start + READS_TOGETHER_MAX]
            calls = [("eth_call", ({"to": to, "data": data}, at)) for _, _, to, data in some]
            answers = self._transport.request_together(calls)
            for asked, answer in zip(some, answers, strict=True):
                # What cannot be read is asked for again by `call`, which says what it was.
                with contextlib.suppress(ValueError, TypeError, AttributeError, AbiError):
                    data = bytes_of(answer)
                    functions[asked].decode(data)
                    self._read_already[asked] = data
            if all(answer is None for answer in answers):
                return

    def simulate(
        self, calls: Sequence[tuple[str, str, bytes]], later_seconds: Sequence[tuple[int, int]] = ()
    ) -> list[Outcome]:
        """What calls ``(sender, to, data)`` would do one after another, each seeing what the earlier ones changed.

        `later_seconds` cuts them into blocks: ``(i, s)`` lets call i and those behind it happen s seconds after the latest block.
        Nothing is signed and senders need no keys. Needs ``eth_simulateV1``, which Ethereum's usual nodes and anvil have.
        """
        cuts = [(0, 0), *later_seconds]
        now = self.now if later_seconds else 0
        blocks = []
        for number, (start, seconds) in enumerate(cuts):
            end = cuts[number + 1][0] if number + 1 < len(cuts) else len(calls)
            block: dict[str, Any] = {
                "calls": [
                    {"from": sender, "to": to, "input": "0x" + data.hex()} for sender, to, data in calls[start:end]
                ]
            }
            if seconds:
                block["blockOverrides"] = {"time": hex(now + seconds)}
            blocks.append(block)
        try:
            wanted = {"blockStateCalls": blocks, "validation": False}
            return self.ask("eth_simulateV1", wanted, self._at, read=lambda answer: outcomes_of(answer, len(calls)))
        except NodeError as error:
            if error.code in (-32601, -32600) or "not found" in error.text or "not supported" in error.text:
                raise ChainError(
                    f"the node at {self._transport.name} cannot simulate (eth_simulateV1), which is needed to look at tokens "
                    f"before signing; use another node"
                ) from error
            raise

    def head(self) -> BlockRef:
        """The latest (or pinned) block."""
        head: BlockRef | None = getattr(self._pin, "head", None)
        if head is None:
            head = self.ask("eth_getBlockByNumber", self._at, False, read=block_of)
            if self.pinned_at is not None:
                self._pin.head = head
        return head

    @property
    def now(self) -> int:
        """Time of the latest (or pinned) block, in seconds since 1970."""
        return self.head().timestamp

    @property
    def height(self) -> int:
        """Number of the latest (or pinned) block."""
        return self.ask("eth_blockNumber", read=number_of) if (pinned := self.pinned_at) is None else pinned

    def native_balance(self, address: str) -> int:
        """Wei of the native coin that an address holds."""
        return self.ask("eth_getBalance", address, self._at, read=number_of)

    def has_code(self, address: str) -> bool:
        """Whether a contract stands at an address."""
        return bool(self.ask("eth_getCode", address, self._at, read=bytes_of))

    def fees(self) -> Fees:
        """Fees for the next block under the session's policy; FeeError above its cap."""
        asked = (hex(BLOCKS), "latest", [self.policy.tip_percentile])
        return self.ask("eth_feeHistory", *asked, read=lambda history: suggest(history, self.policy))

    # --- writing

    def send(
        self, who: LocalAccount, to: str, function: Entry, *arguments: Any, value: int = 0, gas: int | None = None
    ) -> Receipt:
        """Sign, send and wait. A call that would be refused raises RevertError before anything is signed.

        With `gas` given nothing is tried beforehand: a refusal then costs gas and raises RevertError from the receipt.
        """
        signed = self.sign(who, to, function.encode(*arguments), value=value, gas=gas, what=function.signature)
        self.submit(signed)
        return self.wait(signed.hash, what=function.signature)

    def deploy(self, who: LocalAccount, code: str, constructor: Entry, *arguments: Any) -> str:
        """Address of a new contract; `code` is creation code in hex."""
        data = bytes.fromhex(code.removeprefix("0x")) + constructor.encode(*arguments)
        signed = self.sign(who, None, data, what="a constructor")
        self.submit(signed)
        address = self.wait(signed.hash, what="a constructor").contract
        assert address is not None
        return address

    def sign(
        self,
        who: LocalAccount,
        to: str | None,
        data: bytes,
        *,
        value: int = 0,
        gas: int | None = None,
        nonce: int | None = None,
        fees: Fees | None = None,
        what: str = "the transaction",
    ) -> Signed:
        """A signed EIP-1559 transaction, not sent. Raises RevertError, FeeError or ChainError (gas, funds) before signing."""
        open_ones = [one for one in self.unresolved.values() if one.sender.lower() == who.address.lower()]
        if open_ones and nonce is None:  # a nonce of the caller's own is a replacement
            raise UnknownOutcomeError(
                f"nothing is signed for {who.address} before it is known what became of transaction {open_ones[0].hash}"
            )
        call: dict[str, Any] = {"from": who.address, "data": "0x" + data.hex(), "value": hex(value)}
        if to is not None:
            call["to"] = to
        if gas is None:
            gas = self._estimate(call, what)
        if gas > GAS_MAX:
            raise ChainError(
                f"{what} would need {gas} gas, more than the {GAS_MAX} that any transaction of ours may have"
            )
        fees = fees or self.fees()
        needed, held = value + gas * fees.cap_raw, self.native_balance(who.address)
        if needed > held:
            raise ChainError(
                f"{who.address} holds {held / 1e18:.6g} {self.chain.native}, but {what} may cost {needed / 1e18:.6g} "
                f"{self.chain.native} with its gas"
            )
        if nonce is None:
            nonce = self.ask("eth_getTransactionCount", who.address, "pending", read=number_of)
        fields: dict[str, Any] = {"type": 2, "chainId": self.chain.id, "nonce": nonce, "gas": gas, "value": value}
        fields |= {"data": "0x" + data.hex(), **fees.fields, **({} if to is None else {"to": to})}
        signed = who.sign_transaction(fields)
        return Signed(
            "0x" + signed.hash.hex().removeprefix("0x"), "0x" + bytes(signed.raw_transaction).hex(), who.address, nonce
        )

    def submit(self, signed: Signed) -> None:
        """Send a signed transaction, once or again. LostError when it is unknown whether it arrived: look for its hash.

        ChainError when the node refused it for good. That the node did not want it just now (too many requests, ...) is no
        refusal: it may have gone out, and stays open.
        """
        self._outstanding.submit(signed)

    def known(self, transaction: str) -> bool:
        """Whether the node knows a transaction, mined or waiting."""
        return self.ask(
            "eth_getTransactionByHash",
            transaction,
            read=lambda answer: answer is not None and bool(bytes_of(answer["hash"])),
        )

    def receipt(self, transaction: str) -> Receipt | None:
        """Receipt of a mined transaction, None while it waits (or was dropped, or its block replaced)."""
        answer = self.request("eth_getTransactionReceipt", transaction)
        return None if answer is None else Receipt.from_rpc(answer)

    def wait(self, transaction: str, *, timeout_seconds: float | None = None, what: str = "the transaction") -> Receipt:
        """Its receipt once mined. RevertError when it was refused there, ChainError when it is not mined in time."""
        seconds = max(WAIT_SECONDS_MIN, WAIT_BLOCKS * self.chain.block_seconds)
        deadline = monotonic() + (seconds if timeout_seconds is None else timeout_seconds)
        poll = POLL_SECONDS_LOCAL if self.chain.local else min(POLL_SECONDS_MAX, self.chain.block_seconds / 4)
        while (found := self.receipt(transaction)) is None:
            if monotonic() >= deadline:
                raise ChainError(
                    f"{what} ({transaction}) is still not mined; it may be later, or be replaced with higher fees"
                )
            sleep(poll)
        self._outstanding.found(found)
        if not found.success:
            reason = self._reason(transaction, found)
            raise RevertError(f"{what} ({transaction}) was refused: {reason or 'without a reason'}", reason)
        return found

    def resolve(self, owner: Owner | None = None, timeout_seconds: float | None = None) -> None:
        """Find out what became of every transaction (of an order's, given its owner) that was sent and not seen mined.

        Listeners hear of those that were. One whose nonce another transaction is seen to hold in a block can never be mined and
        is forgotten. One that the node does not know is sent again, the same bytes. Raises UnknownOutcomeError for one that is
        still open then.
        """
        self._outstanding.resolve(owner, RESOLVE_SECONDS if timeout_seconds is None else timeout_seconds)

    @contextmanager
    def listening(self, hear: Callable[[Receipt], None], owner: Owner = NOBODY) -> Iterator[None]:
        """Tell `hear` of every transaction that is found mined meanwhile, also of one that was refused there.

        With an owner, what is sent inside belongs to it: `hear` is told of that alone, nobody else's order is, and what was
        found out while the owner did not listen is told first.
        """
        with self._outstanding.listening(hear, owner):
            yield

    def waits(self, owner: Owner) -> bool:
        """Whether a transaction of an order was sent and not seen mined."""
        return self._outstanding.waits(owner)

    def final(self, receipt: Receipt) -> bool:
        """Whether a receipt can be relied on: it is still the chain's, and deep enough by the chain's rule of finality."""
        current = self.receipt(receipt.hash)
        if current is None or current.block_hash != receipt.block_hash:
            return False
        if self.chain.finality == "finalized":
            number = self.ask("eth_getBlockByNumber", "finalized", False, read=_height_of)
            return number >= receipt.block_number
        return self.height - receipt.block_number >= self.chain.finality

    def _estimate(self, call: dict[str, Any], what: str) -> int:
        try:
            estimate = self.ask("eth_estimateGas", call, read=number_of)
        except NodeError as error:
            raise reverted(what, error) from error
        above, below = GAS_MARGIN
        return estimate * above // below

    def _reason(self, transaction: str, receipt: Receipt) -> str:
        """Why it was refused, by the same call on the block before; the reason of that moment, which may differ."""
        try:
            call = self.ask("eth_getTransactionByHash", transaction, read=_call_of)
            self.request("eth_call", call, hex(receipt.block_number - 1))
        except NodeError as error:
            return reason_of(error)
        except LostError:
            return "the node does not tell why"
        return "out of gas, or a state that has changed since"


def _height_of(block: Any) -> int:
    """A block's number, -1 where there is none."""
    return -1 if block is None else number_of(block["number"])


def _call_of(sent: Any) -> dict[str, Any]:
    """A transaction as the call it was."""
    call = {"from": sent["from"], "data": sent["input"], "value": sent["value"]}
    return call | ({"to": sent["to"]} if sent.get("to") else {})
