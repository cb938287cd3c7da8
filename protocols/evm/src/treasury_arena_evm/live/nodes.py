"""Several nodes of one chain: ask one and fall over to the next, or ask each; a node that is not to be believed is not asked.

A node is left alone for a while when it does not answer, asks for fewer requests, or answers nonsense, and longer each time it
happens again; when all are, they are asked all the same. It counts only while it serves the configured chain and has the highest
block that was called final.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

import attrs

from treasury_arena.contracts.chain import BlockRef, Identity
from treasury_arena.errors import ChainUnavailableError, ConfigError
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.transport import LostError, NodeError, Transport, shown, without

Value = TypeVar("Value")

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 1.0, 60.0
#: How many times longer a node that asks for fewer requests is left alone.
BUSY_FACTOR = 5


@attrs.frozen
class Address:
    """A node's address, which may hold a key: its text and representation show host and port only."""

    _url: str = attrs.field(repr=False)

    def reveal(self) -> str:
        """The whole address."""
        return self._url

    def __str__(self) -> str:
        return shown(self._url)

    __repr__ = __str__


class Node:
    """One endpoint, by the name it is configured under.

    Attributes:
        name: never holds what is secret in its address.
        head: number of the latest block that it told of.
        right: whether it serves the chain; None before it was asked.
    """

    def __init__(self, name: str, address: Address, timeout_seconds: float) -> None:
        try:
            self._transport = Transport(address.reveal(), timeout_seconds, retries=False)
        except ConfigError as error:
            raise ConfigError(f"endpoint {name!r}: {error}") from None
        self.name, self.head = name, -1
        self.right: bool | None = None
        self._until, self._failures = 0.0, 0

    def __repr__(self) -> str:
        return f"Node({self.name})"

    @property
    def paused(self) -> bool:
        """Whether it is being left alone."""
        return monotonic() < self._until

    def request(self, method: str, *params: Any) -> Any:
        """One call. Raises NodeError (its refusal) or LostError; a lost answer pauses it."""
        try:
            answer = self._transport.request(method, *params)
        except LostError as error:
            self.failed(error.busy)
            raise LostError(f"{self.name}: {without(str(error), self._transport.secrets)}", error.busy) from None
        except NodeError as error:
            self._failures = 0
            if _busy(error):
                self.failed(True)
            raise
        self._failures = 0
        return answer

    def request_together(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of several calls, None for each that gave none; see `Transport.request_together`."""
        return self._transport.request_together(calls)

    def failed(self, busy: bool = False) -> None:
        """Leave it alone for a while, and ask it again whom it serves."""
        pause = PAUSE_SECONDS * 2 ** min(self._failures, 10) * (BUSY_FACTOR if busy else 1)
        self._until, self._failures, self.right = monotonic() + min(pause, PAUSE_SECONDS_MAX), self._failures + 1, None


@attrs.frozen
class _Failed:
    """Why a node gave no answer; `refused` when it did answer, with a refusal."""

    text: str
    refused: NodeError | None = None


class Nodes:
    """The endpoints of one chain.

    Args:
        addresses: of each endpoint, by its name.
        chain_id: the chain that they must serve.
        genesis: hash of its first block, empty when that is not checked.
        timeout_seconds: how long an answer may take.

    Attributes:
        floor: number of the highest block that was called final.
    """

    def __init__(
        self,
        addresses: Mapping[str, Address],
        chain_id: int,
        genesis: str = "",
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if not addresses:
            raise ConfigError("a chain needs at least one endpoint")
        self.chain_id, self.genesis, self.floor = chain_id, genesis.lower(), -1
        self._nodes = {name: Node(name, address, timeout_seconds) for name, address in addresses.items()}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the endpoints, as configured."""
        return tuple(self._nodes)

    def node(self, name: str) -> Node:
        """One endpoint."""
        return self._nodes[name]

    def raise_floor(self, number: int) -> None:
        """A block was called final: nodes that do not have it are behind, and are not believed."""
        with self._lock:
            self.floor = max(self.floor, number)

    # --- asking

    def ask(self, method: str, *params: Any, read: Callable[[Any], Value]) -> Value:
        """The first believable answer. A contract's refusal is one, and raises NodeError.

        Raises ChainUnavailableError when no node answers in a way that `read` understands; other refusals count as no answer.
        """
        failures: list[str] = []
        for node in self._usable(failures):
            answer = self._one(node, read, method, *params)
            if not isinstance(answer, _Failed):
                return answer
            if answer.refused is not None and reverted(answer.refused):
                raise answer.refused
            failures.append(answer.text)
        raise ChainUnavailableError(f"{method}: no node answers ({'; '.join(failures)})")

    def together(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """What the first believable node gives for several calls in one request, None for each that gave nothing."""
        node = next(self._usable([]), None)
        return [None] * len(calls) if node is None else node.request_together(calls)

    def each(self, method: str, *params: Any, read: Callable[[Any], Value]) -> dict[str, Value]:
        """Every believable node's answer, by its name; ChainUnavailableError when there is none."""
        return self.gather(lambda node: read(node.request(method, *params)), method)

    def gather(self, ask: Callable[[Node], Value], what: str) -> dict[str, Value]:
        """What a function of a node gives for every believable node; ChainUnavailableError when for none."""
        failures: list[str] = []
        found: dict[str, Value] = {}
        for node in self._usable(failures, found):
            answer = self._tried(node, ask, what)
            if isinstance(answer, _Failed):
                failures.append(answer.text)
            else:
                found[node.name] = answer
        if not found:
            raise ChainUnavailableError(f"{what}: no node answers ({'; '.join(failures)})")
        return found

    def identities(self) -> Sequence[Identity]:
        """Whom every endpoint says it serves; those that do not answer are left out, ChainUnavailableError when none does."""
        failures: list[str] = []
        found: list[Identity] = []
        for node in self._in_order():
            if found and node.paused:
                continue
            answer = self._tried(node, self._identity, "eth_chainId")
            if isinstance(answer, _Failed):
                failures.append(answer.text)
            else:
                found.append(answer)
        if not found:
            raise ChainUnavailableError(f"no node says which chain it serves ({'; '.join(failures)})")
        return found

    # --- whom to believe

    def _in_order(self) -> list[Node]:
        """All nodes as configured, those that are being left alone last."""
        return sorted(self._nodes.values(), key=lambda node: node.paused)

    def _usable(self, failures: list[str], found: Mapping[str, Any] | None = None) -> Iterator[Node]:
        """Nodes that count, good ones first; those that are left alone only while nothing was `found`."""
        for node in self._in_order():
            if found and node.paused:
                return
            why = self._unbelievable(node)
            if why:
                failures.append(why)
            else:
                yield node

    def _unbelievable(self, node: Node) -> str:
        """Why a node's answers do not count now; empty when they do."""
        if node.right is None:
            answer = self._tried(node, self._identity, "eth_chainId")
            if isinstance(answer, _Failed):
                return answer.text
        if not node.right:
            node.right = None  # asked again next time: it may have been put right
            return f"{node.name} serves another chain than {self.chain_id}"
        if node.head < self.floor:
            head = self._tried(node, head_of, "eth_getBlockByNumber")
            if isinstance(head, _Failed):
                return head.text
            if head.number < self.floor:
                return f"{node.name} is behind: its latest block is {head.number}, block {self.floor} was final already"
        return ""

    def _identity(self, node: Node) -> Identity:
        chain_id = int(node.request("eth_chainId"), 16)
        genesis = str(node.request("eth_getBlockByNumber", "0x0", False)["hash"]).lower()
        node.right = chain_id == self.chain_id and self.genesis in ("", genesis)
        return Identity(node.name, chain_id, genesis)

    def _one(self, node: Node, read: Callable[[Any], Value], method: str, *params: Any) -> Value | _Failed:
        return self._tried(node, lambda one: read(one.request(method, *params)), method)

    @staticmethod
    def _tried(node: Node, ask: Callable[[Node], Value], what: str) -> Value | _Failed:
        try:
            return ask(node)
        except NodeError as error:
            return _Failed(f"{node.name}: {error}", error)
        except LostError as error:
            return _Failed(str(error))
        except (ChainError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            node.failed()
            return _Failed(
                f"{node.name}: {what} was answered with something that cannot be read ({type(error).__name__})"
            )


def head_of(node: Node) -> BlockRef:
    """A node's latest block; the node remembers its number."""
    found = block_ref(node.request("eth_getBlockByNumber", "latest", False))
    node.head = found.number
    return found


def block_ref(answer: Any) -> BlockRef:
    """A block as a node told it; KeyError, TypeError or ValueError for something else."""
    digest = str(answer["hash"]).lower()
    if len(digest) != 66 or int(digest, 16) < 0:
        raise ValueError("not a hash")
    return BlockRef(int(answer["number"], 16), digest, int(answer["timestamp"], 16))


def reverted(error: NodeError) -> bool:
    """Whether a refusal is the contract's, not the node's."""
    return error.code == 3 or "revert" in error.text.lower()


def _busy(error: NodeError) -> bool:
    text = error.text.lower()
    return error.code in (-32005, 429) or "rate limit" in text or "too many requests" in text
