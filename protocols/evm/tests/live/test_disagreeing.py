"""Nodes that differ, in memory: the answer that can do no harm counts, and how long a node is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from eth_account import Account

from treasury_arena.clock import VirtualClock
from treasury_arena.contracts.chain import BlockRef, Counts, SendResult
from treasury_arena.errors import ChainUnavailableError
from treasury_arena_evm.chains import LOCAL_ID, ephemeral_chain
from treasury_arena_evm.fees import FeePolicy
from treasury_arena_evm.live import nodes as nodes_module
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.live.contracts import Contracts
from treasury_arena_evm.live.nodes import Address, Node, Nodes, block_ref
from treasury_arena_evm.live.prices import Prices
from treasury_arena_evm.tokens import Token, TokenTable
from treasury_arena_evm.transport import LostError, NodeError

ME = "0x" + "11" * 20
TOKEN = Token(LOCAL_ID, "ODD", "0x" + "22" * 20, 6, frozenset())
GWEI = 10**9


def digest(number: int, fork: str = "") -> str:
    return "0x" + f"{number}{fork}".encode().hex().rjust(64, "0")


@attrs.define
class Told:
    """What a node says. `fork`: from block 11 on it has other blocks. `lost`: its next answers do not come."""

    head: int = 12
    final: int = 9
    used: int = 5
    used_then: dict[str, int] = attrs.field(factory=lambda: {"0x9": 3})
    fork: str = ""
    chain: int = LOCAL_ID
    more: dict[str, Any] = attrs.field(factory=dict)
    lost: list[Exception] = attrs.field(factory=list)
    asked: list[tuple[str, tuple[Any, ...]]] = attrs.field(factory=list)

    def block(self, number: int) -> dict[str, str] | None:
        if not 0 <= number <= self.head:
            return None
        fork = self.fork if number > 10 else ""
        return {"number": hex(number), "hash": digest(number, fork), "timestamp": hex(1_000 + 12 * number)}

    def request(self, method: str, *params: Any) -> Any:
        self.asked.append((method, params))
        if self.lost:
            raise self.lost.pop(0)
        if method in self.more:
            return self.more[method]
        if method == "eth_chainId":
            return hex(self.chain)
        if method == "eth_getBlockByNumber":
            named = {"latest": self.head, "finalized": self.final}
            return self.block(named[params[0]] if params[0] in named else int(params[0], 16))
        if method == "eth_getTransactionCount":
            return hex(self.used if params[1] == "latest" else self.used_then[params[1]])
        raise NodeError(method, {"code": -32601, "message": "no such method"})


NODES: dict[str, Told] = {}


class Wire:
    """A transport to the node of that name."""

    secrets = ()

    def __init__(self, url: str, *_: Any, **__: Any) -> None:
        self._told = NODES[url]

    def request(self, method: str, *params: Any) -> Any:
        return self._told.request(method, *params)


@pytest.fixture(autouse=True)
def wires(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nodes_module, "Transport", Wire)
    NODES.clear()
    yield
    NODES.clear()


def client(*told: Told, finality: int | str = 3) -> EvmClient:
    NODES.update(zip("ab", told, strict=False))
    chain = attrs.evolve(ephemeral_chain("0x" + "33" * 20, {}), finality=finality)
    nodes = Nodes({name: Address(name) for name in NODES}, LOCAL_ID)
    clock = VirtualClock(datetime(2024, 5, 1, tzinfo=UTC))
    tokens = TokenTable(chain, [TOKEN])
    return EvmClient(
        chain, nodes, tokens, ME, FeePolicy(cap_raw=100 * GWEI), Contracts({}), clock, 1.0, Prices({}, 0, False)
    )


def ref(number: int) -> BlockRef:
    return BlockRef(number, digest(number), 1_000 + 12 * number)


@pytest.mark.parametrize("turned", [False, True])
def test_the_highest_head_and_nonce_and_the_lowest_final_ones_count(turned: bool) -> None:
    told = [Told(), Told(head=14, used=7, used_then={"0xb": 6})]
    found = client(*(reversed(told) if turned else told))
    assert found.head() == ref(14)
    assert found.counts(ME) == Counts(7, 3)
    assert found.finalized() == ref(9)
    assert found.nodes.floor == 9


@pytest.mark.parametrize("turned", [False, True])
def test_by_the_nodes_own_word_it_is_the_same(turned: bool) -> None:
    told = [Told(used_then={"finalized": 3}), Told(head=14, final=8, used=7, used_then={"finalized": 6})]
    found = client(*(reversed(told) if turned else told), finality="finalized")
    assert found.counts(ME) == Counts(7, 3)
    assert found.finalized() == ref(8)


@pytest.mark.parametrize("head", [0, 2, 3])
def test_on_a_young_chain_the_first_block_is_final(head: int) -> None:
    told = Told(head=head, used_then={"0x0": 0})
    assert client(told).finalized() == ref(0)
    assert client(told).counts(ME) == Counts(5, 0)


def test_a_block_counts_when_all_that_have_it_agree() -> None:
    found = client(Told(), Told(head=11, fork="x"))
    assert found.block(0) == ref(0)
    assert found.block(10) == ref(10)
    assert found.block(12) == ref(12)  # one has it
    assert found.block(13) is None
    assert found.block(-1) is None
    with pytest.raises(ChainUnavailableError, match="the nodes a, b do not agree on block 11"):
        found.block(11)


def test_another_block_than_was_asked_for_is_no_answer() -> None:
    told = Told()
    found = client(told)
    found.head()
    told.more["eth_getBlockByNumber"] = told.block(9)
    with pytest.raises(ChainUnavailableError, match="block 8 was asked for, block 9 was told"):
        found.block(8)


@pytest.mark.parametrize(("depth", "agreed"), [(0, False), (1, True), (8, True), (100, True)])
def test_nodes_agree_so_far_below_the_lower_head(depth: int, agreed: bool) -> None:
    assert client(Told(head=13), Told(head=11, fork="x")).agree(depth) is agreed


def test_nodes_of_one_chain_agree_though_one_is_ahead() -> None:
    assert client(Told(head=13), Told(head=11)).agree(0)


@pytest.mark.parametrize("answer", ["0x", "0x" + "00" * 31, "0x" + "00" * 33])
def test_a_balance_is_one_word(answer: str) -> None:
    told = Told(more={"eth_call": "0x" + f"{7:064x}"})
    found = client(told)
    assert found.balances(ME) == {"ODD": 7}
    told.more["eth_call"] = answer
    with pytest.raises(ChainUnavailableError):
        found.balances(ME)


@pytest.mark.parametrize(
    "history",
    [None, {}, {"baseFeePerGas": []}, {"baseFeePerGas": ["-0x1"]}, {"baseFeePerGas": ["0x1"], "reward": [["zz"]]}],
    ids=str,
)
def test_a_history_of_fees_that_is_none_is_no_answer(history: Any) -> None:
    told = Told(
        more={
            "eth_feeHistory": {"baseFeePerGas": ["0x9", hex(GWEI)], "reward": [[hex(7 * 10**6)]], "gasUsedRatio": [0.5]}
        }
    )
    found = client(told)
    assert found.fees().tip_raw == 7 * 10**6
    assert found.fees().cap_raw == 2 * GWEI + 7 * 10**6
    told.more["eth_feeHistory"] = {"baseFeePerGas": ["0x0"]}  # a chain that asks for nothing
    assert found.fees().tip_raw == 10**6
    told.more["eth_feeHistory"] = history
    with pytest.raises(ChainUnavailableError):
        found.fees()


@pytest.mark.parametrize("bad", ["", "0x12", digest(1)[:-1], digest(1) + "0", "0x-" + "1" * 63])
def test_a_hash_has_32_bytes(bad: str) -> None:
    good = {"number": "0x1", "hash": digest(1).upper().replace("X", "x"), "timestamp": "0x2"}
    assert block_ref(good) == BlockRef(1, digest(1), 2)
    assert block_ref({**good, "hash": "0x" + "0" * 64}).hash == "0x" + "0" * 64
    with pytest.raises(ValueError, match=r"hash|invalid literal"):
        block_ref({**good, "hash": bad})


# --- how long a node is left alone


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by the clock of pauses, to be moved."""
    now = [1_000.0]
    monkeypatch.setattr(nodes_module, "monotonic", lambda: now[0])
    return now


def lost(busy: bool = False) -> LostError:
    return LostError("no answer", busy)


def pause(node: Node, seconds: list[float]) -> float:
    """For how long it is left alone from now on, in quarters of a second."""
    began, waited = seconds[0], 0.0
    while node.paused:
        waited += 0.25
        seconds[0] = began + waited
    return waited


def fails(node: Node, told: Told, error: Exception) -> None:
    told.lost = [error]
    with pytest.raises(type(error)):
        node.request("eth_chainId")


def test_each_failure_doubles_the_pause_up_to_a_minute_and_an_answer_ends_it(seconds: list[float]) -> None:
    told = NODES["a"] = Told()
    node = Node("a", Address("a"), 1.0)
    assert not node.paused
    waits = []
    for _ in range(8):
        fails(node, told, lost())
        assert node.right is None
        waits.append(pause(node, seconds))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    node.request("eth_chainId")
    fails(node, told, lost())
    assert pause(node, seconds) == 1


@pytest.mark.parametrize(
    "error",
    [
        lost(True),
        NodeError("m", {"code": -32005, "message": "x"}),
        NodeError("m", {"code": 429, "message": "x"}),
        NodeError("m", {"code": 1, "message": "Rate limit reached"}),
        NodeError("m", {"code": 1, "message": "Too many requests"}),
    ],
)
def test_a_node_that_asks_for_fewer_requests_is_left_alone_for_longer(seconds: list[float], error: Exception) -> None:
    told = NODES["a"] = Told()
    node = Node("a", Address("a"), 1.0)
    fails(node, told, error)
    assert pause(node, seconds) == 5


def test_a_refusal_is_an_answer_and_no_failure(seconds: list[float]) -> None:
    told = NODES["a"] = Told()
    node = Node("a", Address("a"), 1.0)
    fails(node, told, lost())
    fails(node, told, lost())
    pause(node, seconds)
    fails(node, told, NodeError("m", {"code": 3, "message": "execution reverted"}))
    assert not node.paused
    fails(node, told, lost())
    assert pause(node, seconds) == 1


def test_one_that_is_left_alone_is_asked_only_when_nobody_else_answers(seconds: list[float]) -> None:
    first, second = Told(), Told(head=14)
    found = client(first, second)
    assert found.head() == ref(14)
    first.lost = [lost()]
    second.asked.clear()
    assert found.head() == ref(14)
    first.asked.clear()
    assert found.head() == ref(14)
    assert first.asked == []
    second.lost = [lost()]
    assert found.head() == ref(12)  # all are left alone: they are asked all the same
    seconds[0] += 60
    assert found.head() == ref(14)


def test_a_node_behind_what_was_final_is_not_believed() -> None:
    first, second = Told(), Told(head=14, used_then={"0xb": 6, "0x9": 4})
    found = client(first, second)
    found.nodes.raise_floor(13)
    assert (found.head(), found.counts(ME)) == (ref(14), Counts(5, 6))
    second.head = 12
    with pytest.raises(ChainUnavailableError):
        client_behind(found)


def client_behind(found: EvmClient) -> None:
    """No node has the block that was final."""
    for node in (found.nodes.node("a"), found.nodes.node("b")):
        node.head = -1
    found.head()


def test_a_node_that_serves_another_chain_is_asked_again_later() -> None:
    told = Told(chain=1)
    found = client(told)
    for _ in range(2):
        with pytest.raises(ChainUnavailableError, match="a serves another chain than 31337"):
            found.head()
    told.chain = LOCAL_ID
    assert found.head() == ref(12)


# --- sending


def test_what_was_sent_is_known_only_by_its_own_hash() -> None:
    signed = Account.from_key("0x" + "01" * 32).sign_transaction(
        {
            "type": 2,
            "chainId": LOCAL_ID,
            "nonce": 7,
            "to": "0x" + "22" * 20,
            "value": 0,
            "data": b"",
            "gas": 21_000,
            "maxFeePerGas": 9,
            "maxPriorityFeePerGas": 1,
        }
    )
    raw, own = "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()
    told = Told(more={"eth_sendRawTransaction": own.upper().replace("X", "x")})
    found = client(told)
    assert found.send("a", raw) == SendResult("a", "ok")
    told.more["eth_sendRawTransaction"] = digest(1)
    assert found.send("a", raw) == SendResult("a", "unknown", f"a answered with another hash than {own}")
    told.lost = [lost(), RuntimeError("a bug")]
    assert (found.send("a", raw).endpoint, found.send("a", raw)) == ("a", SendResult("a", "unknown", "a: RuntimeError"))
    told.lost = [NodeError("m", {"code": 1, "message": "already known"})]
    assert found.send("a", raw) == SendResult("a", "known", "already known")
