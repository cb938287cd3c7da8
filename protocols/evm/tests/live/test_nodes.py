"""Several nodes of which some misbehave: what is believed, what is asked again, and what stays unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from treasury_arena.errors import ChainUnavailableError
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.liquidity import INCREASED
from treasury_arena_evm.live import nodes as nodes_module
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.live.sending import outcome
from treasury_arena_evm.local.faults import STALE_BLOCKS, Fault, FaultyProxy, lie, possible, seeded
from treasury_arena_evm.local.live import live_client
from treasury_arena_evm.local.market import LocalMarket

MakeProxy = Callable[..., FaultyProxy]
TRANSPORT = (Fault.RESET, Fault.HALF, Fault.BUSY, Fault.BROKEN, Fault.WRONG_ID, Fault.LOST)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node is asked again at once: these tests are about answers, one of them about pauses."""
    monkeypatch.setattr(nodes_module, "PAUSE_SECONDS", 0.0)


def always(fault: Fault, *methods: str) -> Callable[[str, int], Fault | None]:
    return lambda method, _: fault if not methods or method in methods else None


class Pair:
    """A client of a node that misbehaves, asked first, and of a good one."""

    def __init__(self, market: LocalMarket, make: MakeProxy, **keys: Any) -> None:
        self.market, self.bad = market, make(market.url)
        self.alice = market.users[0].address
        endpoints = {"bad": self.bad.url, "good": market.url}
        self.client = live_client(market, market.users[0], endpoints, **keys)
        self.alone = live_client(market, market.users[0], {"bad": self.bad.url}, **keys)

    def mined(self) -> str:
        """Hash of a mined deposit."""
        self.market.approve(self.alice, "USDC", self.market.vault)
        receipt = self.market.chain.send(self.alice, self.market.vault, ERC4626.function("deposit"), 10**6, self.alice)
        return str(receipt["transactionHash"])


@pytest.fixture
def pair(local_market: LocalMarket, make_faulty_proxy: MakeProxy) -> Pair:
    return Pair(local_market, make_faulty_proxy)


def reads(client: EvmClient, alice: str) -> list[Any]:
    found = [client.head(), client.finalized(), client.counts(alice), client.native_balance(alice)]
    return [*found, client.balances(alice), client.fees(), client.agree(0), client.known("0x" + "12" * 32)]


def test_a_node_that_is_too_late_has_not_answered(local_market: LocalMarket, make_faulty_proxy: MakeProxy) -> None:
    pair = Pair(local_market, make_faulty_proxy, timeout_seconds=1.0)
    wanted = pair.client.head()
    pair.bad.delay_seconds, pair.bad.choose = 1.5, always(Fault.DELAY)
    assert pair.client.head() == wanted
    with pytest.raises(ChainUnavailableError, match=r"bad: .* does not answer"):
        pair.alone.head()


@pytest.mark.parametrize("fault", TRANSPORT, ids=lambda fault: fault.name)
def test_what_one_node_does_not_say_the_other_does(pair: Pair, fault: Fault) -> None:
    wanted = reads(pair.client, pair.alice)
    pair.bad.choose = always(fault)
    assert reads(pair.client, pair.alice) == wanted
    assert pair.bad.done[fault]
    with pytest.raises(ChainUnavailableError, match="bad: "):
        pair.alone.head()
    pair.bad.choose = None
    assert reads(pair.alone, pair.alice) == wanted


@pytest.mark.parametrize("fault", [*TRANSPORT, Fault.STALE_HEAD], ids=lambda fault: fault.name)
def test_what_is_asked_for_together_is_what_it_is_alone(pair: Pair, fault: Fault) -> None:
    usdc, balance_of = pair.market.token("USDC").address, ERC20.function("balanceOf")
    users = [user.address for user in pair.market.users]
    pair.market.fund("USDC", users[0], 12)
    pair.market.chain.mine(STALE_BLOCKS)
    wanted = [pair.market.balance("USDC", user) for user in users]
    for broken in (always(fault), None):
        pair.bad.choose = broken
        with pair.client.pinned():
            pair.client.read_ahead((usdc, balance_of, (user,)) for user in users)
            assert [pair.client.call(usdc, balance_of, user) for user in users] == wanted


def test_a_contracts_refusal_is_an_answer(pair: Pair) -> None:
    transfer = ERC20.function("transferFrom")
    for client in (pair.client, pair.alone):
        with pytest.raises(RevertError):
            client.call(pair.market.token("USDC").address, transfer, pair.market.vault, pair.alice, 1)


def test_a_node_of_another_chain_is_told_of_and_not_asked(pair: Pair) -> None:
    pair.bad.choose = always(Fault.WRONG_CHAIN)
    told = {found.endpoint: found.chain_id for found in pair.client.identities()}
    assert told == {"bad": 1, "good": 31337}
    assert pair.client.head().number == pair.market.chain.height
    with pytest.raises(ChainUnavailableError, match="bad serves another chain than 31337"):
        pair.alone.head()
    pair.bad.choose = None
    assert pair.alone.head().number == pair.market.chain.height


def test_a_node_with_another_first_block_is_not_asked(local_market: LocalMarket) -> None:
    with pytest.raises(ChainUnavailableError, match="serves another chain"):
        live_client(local_market, local_market.users[0], genesis="0x" + "12" * 32).head()


def test_a_node_that_lags_says_nothing_about_final_blocks(pair: Pair) -> None:
    """Once a block was final, a node without it cannot make a mined transaction look as if it were not."""
    pair.market.chain.mine(STALE_BLOCKS)
    pair.bad.choose = always(Fault.STALE_HEAD)
    assert pair.alone.head().number == pair.market.chain.height - STALE_BLOCKS
    done = pair.mined()
    assert pair.alone.inclusion(done, pair.alice) is None
    pair.bad.choose = always(Fault.RESET)
    final = pair.client.finalized().number  # by the good node alone
    pair.bad.choose = always(Fault.STALE_HEAD)
    pair.alone.nodes.raise_floor(final)
    for _ in range(2):
        with pytest.raises(ChainUnavailableError, match=f"bad is behind: .* block {final} was final already"):
            pair.alone.inclusion(done, pair.alice)
    assert pair.client.inclusion(done, pair.alice) is not None
    pair.market.chain.mine(STALE_BLOCKS)
    assert pair.alone.inclusion(done, pair.alice) is not None


def test_counts_and_final_blocks_that_do_no_harm(pair: Pair) -> None:
    pair.market.chain.mine(STALE_BLOCKS)
    first = pair.client.counts(pair.alice)
    pair.mined()
    pair.bad.choose = always(Fault.STALE_HEAD)
    # Finality 0: the stale node's final block is its head, the lower one.
    now = pair.client.counts(pair.alice)
    assert (now.latest, now.finalized) == (first.latest + 2, first.finalized)
    assert pair.client.head().number == pair.market.chain.height


@pytest.mark.parametrize("which", range(6))
def test_a_lying_receipt_is_no_inclusion(pair: Pair, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done = pair.mined()
    true = pair.alone.inclusion(done, pair.alice)
    assert true is not None
    monkeypatch.setattr("treasury_arena_evm.local.faults.lie", lambda receipt, _: lie(receipt, which))
    pair.bad.choose = always(Fault.LYING_RECEIPT)
    with pytest.raises(ChainUnavailableError, match=f"receipt of {done}"):
        pair.alone.inclusion(done, pair.alice)
    assert pair.client.inclusion(done, pair.alice) == true


def test_liquidity_that_a_node_makes_up_is_not_booked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The position manager was not called, and still its logs are held against the block's."""
    done = pair.mined()

    def more(receipt: dict[str, Any], _: int) -> dict[str, Any]:
        last, topics = receipt["logs"][-1], [INCREASED, f"0x{7:064x}"]
        added = {"address": pair.market.uniswap.positions, "topics": topics, "data": f"0x{10**18:064x}{1:064x}{1:064x}"}
        return {
            **receipt,
            "logs": [*receipt["logs"], {**last, **added, "logIndex": hex(int(last["logIndex"], 16) + 1)}],
        }

    monkeypatch.setattr("treasury_arena_evm.local.faults.lie", more)
    pair.bad.choose = always(Fault.LYING_RECEIPT)
    with pytest.raises(ChainUnavailableError, match=f"receipt of {done} has other logs than its block"):
        pair.alone.inclusion(done, pair.alice)


def test_a_receipt_that_one_node_has_and_an_equal_one_has_not(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    done = pair.mined()
    monkeypatch.setattr("treasury_arena_evm.local.faults.lie", lambda *_: None)
    pair.bad.choose = always(Fault.LYING_RECEIPT)
    with pytest.raises(ChainUnavailableError, match=r"bad has block \d+ and no receipt"):
        pair.client.inclusion(done, pair.alice)


def test_nodes_that_do_not_agree_on_a_block(
    local_market: LocalMarket, make_faulty_proxy: MakeProxy, pair: Pair
) -> None:
    local_market.chain.mine(2)
    number = local_market.chain.height
    true = pair.client.block(number)
    assert true is not None
    pair.bad.choose = always(Fault.STALE_HEAD, "eth_getBlockByNumber")
    assert pair.client.block(number) == true
    forged = {**local_market.chain.rpc("eth_getBlockByNumber", hex(number), False), "hash": "0x" + "cd" * 32}
    pair.bad._node = lambda method, params: {"jsonrpc": "2.0", "result": forged}  # type: ignore[method-assign]
    pair.bad.choose = None
    with pytest.raises(ChainUnavailableError, match=f"do not agree on block {number}"):
        pair.client.block(number)


def test_a_silent_node_is_left_alone_and_longer_each_time(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(nodes_module, "PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(nodes_module, "monotonic", lambda: now[0])
    pair.bad.choose = always(Fault.BROKEN)
    asked = []
    for _ in range(40):
        before = pair.bad.done[Fault.BROKEN]
        pair.client.head()
        asked.append(pair.bad.done[Fault.BROKEN] - before)
        now[0] += 1.0
    times = [second for second, count in enumerate(asked) if count]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 2
    assert gaps[-1] >= 8
    assert max(asked) == 1
    pair.bad.choose = None
    now[0] += 100
    pair.client.head()
    assert not pair.client.nodes.node("bad").paused


def test_a_node_that_asks_for_fewer_requests_gets_fewer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes_module, "PAUSE_SECONDS", 1.0)
    pair.bad.choose = always(Fault.BUSY)
    for _ in range(20):
        pair.client.head()
    assert pair.bad.done[Fault.BUSY] == 1


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("already known", "known"),
        ("AlreadyKnown", "known"),
        ("ALREADY_EXISTS: already known", "known"),
        ("Known transaction", "known"),
        ("known transaction: 0x12", "known"),
        ("transaction already imported", "known"),
        ("Transaction with the same hash was already imported.", "known"),
        ("nonce too low", "refused"),
        ("nonce too low: next nonce 5, tx nonce 4", "refused"),
        ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", "refused"),
        ("replacement transaction underpriced", "refused"),
        ("transaction underpriced: tip needed 1, tip permitted 0", "refused"),
        ("FeeTooLowToCompete", "refused"),
        ("max fee per gas less than block base fee", "refused"),
        ("insufficient funds for gas * price + value", "refused"),
        ("Upfront cost exceeds account balance", "refused"),
        ("intrinsic gas too low", "refused"),
        ("exceeds block gas limit", "refused"),
        ("invalid sender", "refused"),
        ("txpool is full", "refused"),
        ("internal error", "unknown"),
        ("request timed out", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_nodes_say_to_signed_bytes(text: str, means: str) -> None:
    assert outcome(text) == means


def test_faults_are_drawn_alike_for_a_seed_and_only_where_they_can_be() -> None:
    methods = ["eth_chainId", "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_call"] * 200
    first, second, other = (seeded(0.5, seed) for seed in (1, 1, 2))
    drawn = [first(method, 0) for method in methods]
    assert drawn == [second(method, 0) for method in methods]
    assert drawn != [other(method, 0) for method in methods]
    counts = Counter(fault for fault in drawn if fault)
    assert set(counts) == set(Fault)
    assert 300 < sum(counts.values()) < 500
    assert all(possible(fault, method) for fault, method in zip(drawn, methods, strict=True) if fault)
