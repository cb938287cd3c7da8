"""Sessions: the right chain, refusals before signing, lost answers, reorganised blocks, receipts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest

from treasury_arena.errors import ChainUnavailableError, ConfigError, UnknownOutcomeError
from treasury_arena_evm.chains import ARBITRUM, ETHEREUM, Chain, ephemeral_chain
from treasury_arena_evm.errors import ChainError, FeeError, RevertError
from treasury_arena_evm.fees import GWEI, FeePolicy
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.interfaces.tokens import ERC20, WRAPPED_NATIVE
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_QUOTER, V3_ROUTER02
from treasury_arena_evm.local.artifacts import artifact
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.session import connect, signer
from treasury_arena_evm.transport import LostError, NodeError, shown

NOWHERE = "0x" + "11" * 20
LOCAL = ephemeral_chain(NOWHERE, {})
EMPTY = WRAPPED_NATIVE.function("deposit")


def told(body: bytes, answer: bytes) -> bytes:
    """An answer to the request that was asked."""
    return b'{"jsonrpc":"2.0","id":%d,%s}' % (json.loads(body)["id"], answer)


@contextmanager
def proxy(target: str, respond) -> Iterator[str]:
    """Something between us and the node: `respond(body, forward)` returns (status, answer), or None to hang up."""

    def forward(body: bytes) -> bytes:
        with urlopen(Request(target, body, {"Content-Type": "application/json"})) as answer:
            return answer.read()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = respond(body, forward)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class TestConnecting:
    @pytest.mark.parametrize("chain", [ETHEREUM, ARBITRUM])
    def test_a_wrong_chain_id_is_refused_in_one_sentence(self, local_chain, chain):
        said = rf"serves chain 31337 \(id 31337\), but {chain.name} \(id {chain.id}\) was asked for"
        with pytest.raises(ChainError, match=said):
            connect(local_chain.url, chain)

    def test_a_known_chain_is_called_by_its_name(self, local_chain):
        said = r"serves arbitrum \(id 42161\), but ethereum \(id 1\) was asked for"
        answer = 200, b'{"jsonrpc":"2.0","id":0,"result":"0xa4b1"}'
        with proxy(local_chain.url, lambda *_: answer) as url, pytest.raises(ChainError, match=said):
            connect(url, ETHEREUM)

    @pytest.mark.parametrize("url", ["", "localhost", "ws://127.0.0.1:1", "http://", "http://h:port", "file:///etc"])
    def test_addresses_that_are_none(self, url):
        with pytest.raises(ConfigError, match=r"must be http://HOST:PORT or https://HOST/PATH"):
            connect(url, ETHEREUM)

    def test_nobody_there(self):
        with pytest.raises(LostError, match=r"eth_chainId: the node at http://127\.0\.0\.1:9 does not answer"):
            connect("http://127.0.0.1:9/secret-key", ETHEREUM, timeout_seconds=1)

    def test_an_addresss_secrets_are_not_shown(self):
        assert shown("https://user:pass@node.example:8545/v3/secret?key=x") == "https://node.example:8545"
        assert shown("https://node.example/secret") == "https://node.example"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ((429, b""), "HTTP status 429; it asks for fewer requests"),
            ((500, b"oops"), "HTTP status 500"),
            ((200, b"<html>"), "does not answer"),
            ((200, b"[]"), "something else than JSON-RPC"),
            ((200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"no"}}'), "the node refused: no"),
            ((200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}'), "the node refused: no"),
            ((200, b'{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"no"}}'), "answered another request"),
            ((200, b'{"jsonrpc":"2.0","id":7,"result":"0x1"}'), "answered another request than it was asked"),
            ((200, b'{"jsonrpc":"2.0","id":"0","result":"0x1"}'), "answered another request than it was asked"),
        ],
    )
    def test_answers_that_are_none(self, local_chain, answer, said):
        with proxy(local_chain.url, lambda *_: answer) as url, pytest.raises(ChainError, match=said):
            connect(url, ETHEREUM, timeout_seconds=2)

    @pytest.mark.parametrize(
        "told", ["null", "1", '"0x"', '"abc"', '"0x-1"', "{}", "[]", "true", '"0x' + "f" * 65 + '"']
    )
    def test_a_chain_id_that_is_none(self, local_chain, told):
        answer = 200, f'{{"jsonrpc":"2.0","id":0,"result":{told}}}'.encode()
        said = r"eth_chainId: the node at http://127\.0\.0\.1:\d+ answered with something that cannot be read"
        with proxy(local_chain.url, lambda *_: answer) as url, pytest.raises(ChainUnavailableError, match=said):
            connect(url, LOCAL)

    @pytest.mark.parametrize("told", ["null", '"x"', "[]", '{"code":"x","message":1}', '{"code":null}', "{}"])
    def test_an_error_that_is_hardly_one(self, local_chain, told):
        answer = 200, f'{{"jsonrpc":"2.0","id":0,"error":{told}}}'.encode()
        with proxy(local_chain.url, lambda *_: answer) as url, pytest.raises(NodeError, match="the node refused"):
            connect(url, LOCAL)

    @pytest.mark.parametrize("key", ["", "0x12", "0x" + "00" * 32, "0x" + "ff" * 32, "zz" * 32])
    def test_a_bad_key_is_refused_without_being_shown(self, key):
        with pytest.raises(ConfigError, match="the private key must be 32 bytes in hex") as caught:
            signer(key)
        assert not key or key not in str(caught.value)


READS = {
    "eth_getBlockByNumber": lambda session, _: session.head(),
    "eth_blockNumber": lambda session, _: session.height,
    "eth_getBalance": lambda session, _: session.native_balance(NOWHERE),
    "eth_getCode": lambda session, _: session.has_code(NOWHERE),
    "eth_feeHistory": lambda session, _: session.fees(),
    "eth_call": lambda session, token: session.call(token, ERC20.function("totalSupply")),
    "eth_simulateV1": lambda session, token: session.simulate([(NOWHERE, token, ERC20.function("decimals").encode())]),
    "eth_getTransactionReceipt": lambda session, _: session.receipt("0x" + "00" * 32),
    "eth_getTransactionByHash": lambda session, _: session.known("0x" + "00" * 32),
}
NONSENSE = [
    "zz",
    1,
    True,
    {},
    [],
    [None],
    {"hash": 1},
    [{"calls": []}],
    [{"calls": [{"status": "0x2"}, {}]}],
    "0xf",
    1.5,
]


class TestReading:
    @pytest.mark.parametrize("method", sorted(READS))
    @pytest.mark.parametrize("told", NONSENSE, ids=str)
    def test_nonsense_is_told_of_in_the_houses_one_sentence(self, local_market, monkeypatch, method, told):
        session, token = local_market.session, local_market.token("USDC").address
        if told == "0xf" and method in ("eth_blockNumber", "eth_getBalance"):
            told = "0x"  # 15 is a number
        monkeypatch.setattr(session._transport, "request", lambda *_: told)
        with pytest.raises(
            ChainError, match=rf"^({method}: the node at .* answered with something|the node's receipt)"
        ):
            READS[method](session, token)

    def test_reads_at_the_latest_or_an_earlier_block(self, local_market):
        session, alice = local_market.session, local_market.users[0].address
        usdc = local_market.token("USDC").address
        height, before = session.height, session.call(usdc, ERC20.function("balanceOf"), alice)
        local_market.fund("USDC", alice, 5)
        assert session.call(usdc, ERC20.function("balanceOf"), alice) == before + 5
        assert session.call(usdc, ERC20.function("balanceOf"), alice, block=height) == before
        assert session.height == height + 1
        assert session.now == local_market.chain.now

    def test_a_pinned_block_is_asked_for_the_same_only_once(self, local_market, monkeypatch):
        session, alice, bob = local_market.session, local_market.users[0].address, local_market.users[1].address
        usdc, asked = local_market.token("USDC").address, []
        real = session._transport.request
        monkeypatch.setattr(session._transport, "request", lambda *one: asked.append(one[0]) or real(*one))

        def balance(of: str, **keys: object) -> int:
            return session.call(usdc, ERC20.function("balanceOf"), of, **keys)

        local_market.fund("USDC", alice, 17)  # a block of this test's own, which the node has not forgotten
        before, hers = balance(alice), balance(bob)
        with session.pinned() as block:
            asked.clear()
            for _ in range(2):
                assert balance(alice) == balance(alice, block=block) == balance(alice, sender=None) == before
                assert balance(bob) == hers
                local_market.fund("USDC", alice, 5)
            assert asked == ["eth_call"] * 2
            assert balance(alice, block="latest") == before + 10
            assert balance(alice, sender=bob) == before
            assert asked == ["eth_call"] * 4
        assert balance(alice) == before + 10
        with session.pinned():
            assert balance(alice) == before + 10

    def test_a_pinned_block_is_the_head_and_asked_for_once(self, local_market, monkeypatch):
        session, asked = local_market.session, []
        real = session._transport.request
        before = session.head()
        monkeypatch.setattr(session._transport, "request", lambda *one: asked.append(one[0]) or real(*one))
        with session.pinned():
            assert session.head() == before
            local_market.fund("USDC", local_market.users[0].address, 5)
            assert session.head() == before
            assert session.now == before.timestamp
            assert asked.count("eth_getBlockByNumber") == 1
        assert session.head().number == before.number + 1
        with session.pinned() as block:
            assert session.head().number == block == before.number + 1

    def test_reads_that_were_asked_for_together_are_not_asked_for_again(self, local_market, monkeypatch):
        session, users = local_market.session, [user.address for user in local_market.users]
        usdc, single, together = local_market.token("USDC").address, [], []
        real, several = session._transport.request, session._transport.request_together
        monkeypatch.setattr(session._transport, "request", lambda *one: single.append(one[0]) or real(*one))
        monkeypatch.setattr(
            session._transport, "request_together", lambda calls: together.append(len(calls)) or several(calls)
        )
        balances = [(usdc, ERC20.function("balanceOf"), (user,)) for user in users]
        refused = (usdc, ERC20.function("transfer"), (users[0], 10**30))
        session.read_ahead(balances)  # of no certain block
        assert together == []
        local_market.fund("USDC", users[0], 19)
        wanted = [session.call(*read[:2], *read[2]) for read in balances]
        with session.pinned():
            single.clear()
            session.read_ahead([*balances, refused, *balances])
            session.read_ahead(balances)
            session.read_ahead((usdc.lower(), *read[1:]) for read in balances)  # the same contract, without capitals
            local_market.fund("USDC", users[0], 5)
            assert [session.call(*read[:2], *read[2]) for read in balances] == wanted
            assert [session.call(usdc.lower(), *read[1:2], *read[2]) for read in balances] == wanted
            assert (single, together) == ([], [len(users) + 1])
            with pytest.raises(RevertError, match="transfer from the zero address"):
                session.call(*refused[:2], *refused[2])
            assert single == ["eth_call"]

    def test_many_reads_go_in_several_requests(self, local_market, monkeypatch):
        session, together = local_market.session, []
        several = session._transport.request_together
        monkeypatch.setattr(
            session._transport, "request_together", lambda calls: together.append(len(calls)) or several(calls)
        )
        usdc = local_market.token("USDC").address
        with session.pinned():
            session.read_ahead((usdc, ERC20.function("balanceOf"), (f"0x{number:040x}",)) for number in range(1, 121))
        assert together == [50, 50, 20]

    def test_several_outputs_come_as_a_tuple(self, local_market):
        pool = local_market.uniswap.pool("USDC", "WETH", 500)
        assert len(local_market.session.call(pool, V3_POOL.function("slot0"))) == 7

    def test_a_refused_read_has_the_contracts_reason(self, local_market):
        usdc, user = local_market.token("USDC").address, local_market.users[0].address
        with pytest.raises(RevertError) as caught:
            local_market.session.call(usdc, ERC20.function("transfer"), user, 1, sender=NOWHERE)
        assert caught.value.reason == "ERC20: transfer amount exceeds balance"

    def test_the_pinned_contracts_are_the_markets(self, local_market):
        session = local_market.session
        assert session.chain.contract("uniswap_v3_factory") == local_market.uniswap.factory
        assert session.tokens.symbol("USDC").address == local_market.token("USDC").address
        assert session.w3.eth.chain_id == 31337

    def test_a_simulation_changes_nothing_and_sees_its_own_changes(self, bench):
        token = bench.token()
        transfer, balance = ERC20.function("transfer"), ERC20.function("balanceOf")
        alice, bob = bench.alice.address, bench.bob.address
        calls = [
            (alice, token.token.address, transfer.encode(bob, 7)),
            (bob, token.token.address, transfer.encode(alice, 2)),
            (bob, token.token.address, balance.encode(bob)),
            (bob, token.token.address, transfer.encode(alice, 6)),
        ]
        outcomes = bench.session.simulate(calls)
        assert [outcome.success for outcome in outcomes] == [True, True, True, False]
        assert int.from_bytes(outcomes[2].data, "big") == 5
        assert outcomes[3].reason == "too little"
        assert token.balance(bob) == 0


class TestSending:
    def test_a_swap_end_to_end(self, local_market):
        session, alice = local_market.session, local_market.users[0]
        usdc, weth = (local_market.token(symbol).address for symbol in ("USDC", "WETH"))
        router = session.chain.contract("uniswap_v3_router")
        session.send(alice.signer, usdc, ERC20.function("approve"), router, 10**9)
        quote = V3_QUOTER.function("quoteExactInputSingle")
        out = session.call(session.chain.contract("uniswap_v3_quoter"), quote, (usdc, weth, 10**9, 500, 0))[0]
        before = session.native_balance(alice.address)
        receipt = session.send(
            alice.signer,
            router,
            V3_ROUTER02.function("exactInputSingle"),
            (usdc, weth, 500, alice.address, 10**9, out, 0),
        )
        assert receipt.deltas(alice.address) == {usdc: -(10**9), weth: out}
        (swap,) = receipt.events(V3_POOL.event("Swap"))
        assert sorted((swap["amount0"], swap["amount1"])) == [-out, 10**9]
        assert (
            before - session.native_balance(alice.address)
            == receipt.fee_raw
            == receipt.gas_used * receipt.gas_price_raw
        )
        assert session.final(receipt)

    def test_a_refusal_comes_before_signing(self, local_market):
        session, alice = local_market.session, local_market.users[0]
        nonce = session.request("eth_getTransactionCount", alice.address, "pending")
        order = local_market.token("USDC").address, 10**6, 2, 0, alice.address
        with pytest.raises(RevertError) as caught:
            session.send(alice.signer, local_market.aave.pool, POOL.function("borrow"), *order)
        assert caught.value.reason == "34"  # COLLATERAL_BALANCE_IS_ZERO
        assert session.request("eth_getTransactionCount", alice.address, "pending") == nonce

    def test_with_gas_given_a_refusal_is_in_the_receipt(self, local_market):
        session, alice = local_market.session, local_market.users[0]
        order = local_market.token("USDC").address, 10**6, 2, 0, alice.address
        with pytest.raises(RevertError, match=r"borrow.* \(0x\w+\) was refused: 34"):
            session.send(alice.signer, local_market.aave.pool, POOL.function("borrow"), *order, gas=500_000)

    def test_too_little_gas_is_told_apart_from_a_refusal(self, bench):
        token = bench.token().token.address
        with pytest.raises(RevertError, match="out of gas, or a state that has changed since"):
            bench.session.send(bench.alice.signer, token, ERC20.function("transfer"), bench.bob.address, 1, gas=30_000)

    def test_too_much_gas_is_a_mistake(self, bench):
        with pytest.raises(ChainError, match="more than the 15000000 that any transaction of ours may have"):
            bench.session.sign(bench.alice.signer, NOWHERE, b"", gas=15_000_001)

    def test_not_enough_for_gas(self, bench):
        bench.chain.set_balance(bench.bob.address, 1_000)
        with pytest.raises(ChainError, match=r"holds 1e-15 ETH, but the transaction may cost .* ETH with its gas"):
            bench.session.sign(bench.bob.signer, NOWHERE, b"", gas=21_000)

    def test_gas_dearer_than_the_cap(self, make_session, local_chain, bench):
        local_chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
        local_chain.mine()
        with pytest.raises(FeeError, match="more than the cap of 200 gwei; wait, or raise the cap"):
            make_session().sign(bench.alice.signer, NOWHERE, b"", gas=21_000)
        dearer = make_session(policy=FeePolicy(cap_raw=2_000 * GWEI))
        assert dearer.sign(bench.alice.signer, NOWHERE, b"", gas=21_000).nonce == 0

    def test_a_contract_is_deployed(self, bench):
        address = bench.session.deploy(bench.alice.signer, artifact("WETH9").code, WRAPPED_NATIVE.constructor)
        assert bench.session.call(address, ERC20.function("symbol")) == "WETH"
        receipt = bench.session.send(bench.alice.signer, address, WRAPPED_NATIVE.function("deposit"), value=70)
        assert receipt.deltas(bench.alice.address) == {}
        assert receipt.deltas(bench.alice.address, wrapped=address) == {address: 70}
        receipt = bench.session.send(bench.alice.signer, address, WRAPPED_NATIVE.function("withdraw"), 30)
        assert receipt.deltas(bench.alice.address, wrapped=address) == {address: -30}


class TestUncertainty:
    def test_the_same_transaction_twice_counts_once(self, bench):
        session = bench.session
        signed = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        before = session.native_balance(bench.bob.address)
        session.submit(signed)
        session.submit(signed)
        session.wait(signed.hash)
        session.submit(signed)
        assert session.native_balance(bench.bob.address) == before + 5

    def test_a_nonce_that_was_used_is_refused(self, bench):
        session = bench.session
        first = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        other = session.sign(bench.alice.signer, bench.bob.address, b"", value=6, nonce=first.nonce)
        session.submit(first)
        session.wait(first.hash)
        with pytest.raises(ChainError, match=rf"transaction {other.hash} \(nonce 0\) was not accepted: nonce too low"):
            session.submit(other)

    @pytest.mark.parametrize("arrives", [True, False])
    def test_a_lost_answer(self, bench, arrives):
        def respond(body, forward):
            if b"eth_sendRawTransaction" not in body:
                return 200, forward(body)
            if arrives:
                forward(body)
            return None

        with proxy(bench.chain.url, respond) as url:
            session = connect(url, LOCAL)
            signed = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
            if arrives:
                session.submit(signed)
                assert session.wait(signed.hash).success
            else:
                with pytest.raises(LostError, match=rf"{signed.hash} may or may not have reached the node .* nonce 0"):
                    session.submit(signed)
                assert not session.known(signed.hash)

    @pytest.mark.parametrize("known", [True, False])
    def test_a_receipt_that_comes_after_the_nonce_was_counted_is_waited_for(self, bench, known):
        """Counts, transactions and receipts of a node behind a balancer need not be of the same block."""
        late = [b"eth_getTransactionReceipt"] if known else [b"eth_getTransactionReceipt", b"eth_getTransactionByHash"]

        def respond(body, forward):
            if any(method in body for method in late):
                return 200, told(body, b'"result":null')
            return 200, forward(body)

        with proxy(bench.chain.url, respond) as url:
            session = connect(url, LOCAL)
            signed = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
            session.submit(signed)
            bench.chain.mine(7)
            with pytest.raises(UnknownOutcomeError, match="neither mined nor superseded yet"):
                session.resolve(timeout_seconds=0.05)
            assert list(session.unresolved) == [signed.hash]
            late.clear()
            heard: list[Receipt] = []
            with session.listening(heard.append):
                session.resolve()
            assert [receipt.hash for receipt in heard] == [signed.hash]
            assert session.unresolved == {}

    @pytest.mark.parametrize("blocks_later", [0, 1, 2, 5, 40])
    def test_one_whose_nonce_another_transaction_holds_is_forgotten(self, bench, blocks_later):
        session = bench.session
        bench.chain.mine(3)
        bench.chain.rpc("evm_setAutomine", False)
        signed = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        session.submit(signed)
        other = session.sign(
            bench.alice.signer, NOWHERE, b"", value=6, nonce=signed.nonce, fees=session.fees().bumped()
        )
        connect(bench.chain.url, LOCAL).submit(other)
        bench.chain.mine()
        bench.chain.rpc("evm_setAutomine", True)
        for _ in range(blocks_later):
            connect(bench.chain.url, LOCAL).send(bench.alice.signer, NOWHERE, EMPTY, value=1)
        heard: list[Receipt] = []
        with session.listening(heard.append):
            session.resolve()
        assert session.unresolved == {}
        assert heard == []

    @pytest.mark.parametrize(
        ("answer", "open_still"),
        [
            (b'{"code":-32005,"message":"request rate exceeded"}', True),
            (b'{"code":-32603,"message":"internal error"}', True),
            (b'{"code":-32000,"message":"nonce too low"}', True),
            (b'{"code":-32000,"message":"insufficient funds for gas * price + value"}', False),
        ],
    )
    def test_what_a_node_does_not_want_just_now_may_have_gone_out(self, bench, answer, open_still):
        def respond(body, forward):
            if b"eth_sendRawTransaction" in body:
                return 200, told(body, b'"error":' + answer)
            return 200, forward(body)

        with proxy(bench.chain.url, respond) as url:
            session = connect(url, LOCAL)
            signed = session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
            with pytest.raises(LostError if open_still else ChainError) as caught:
                session.submit(signed)
            assert isinstance(caught.value, LostError) is open_still
            assert (signed.hash in session.unresolved) is open_still
            if not open_still:
                assert session.sign(bench.alice.signer, bench.bob.address, b"", value=5) == signed
                return
            bench.session.submit(signed)  # another way it did go
            session.resolve()
            assert session.unresolved == {}

    def test_a_transaction_that_is_not_mined_in_time(self, bench):
        bench.chain.rpc("evm_setAutomine", False)
        signed = bench.session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        bench.session.submit(signed)
        with pytest.raises(ChainError, match=rf"the transaction \({signed.hash}\) is still not mined"):
            bench.session.wait(signed.hash, timeout_seconds=0)
        assert bench.session.receipt(signed.hash) is None
        assert bench.session.known(signed.hash)
        higher = bench.session.sign(
            bench.alice.signer, bench.bob.address, b"", value=5, nonce=signed.nonce, fees=bench.session.fees().bumped()
        )
        bench.session.submit(higher)
        bench.chain.mine()
        assert bench.session.wait(higher.hash).success
        assert bench.session.receipt(signed.hash) is None

    def test_a_receipt_whose_block_was_replaced_is_not_final(self, bench):
        signed = bench.session.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        bench.session.submit(signed)
        receipt = bench.session.wait(signed.hash)
        assert bench.session.final(receipt)
        bench.chain.rpc("anvil_reorg", 1, [])
        assert not bench.session.final(receipt)

    def test_finality_by_depth_and_by_the_nodes_word(self, bench):
        def session(finality):
            return connect(
                bench.chain.url, Chain(31337, "local", "ETH", NOWHERE, block_seconds=0, finality=finality, local=True)
            )

        deep, finalized = session(3), session("finalized")
        signed = deep.sign(bench.alice.signer, bench.bob.address, b"", value=5)
        deep.submit(signed)
        receipt = deep.wait(signed.hash)
        answers = []
        for _ in range(4):
            answers.append(deep.final(receipt))
            bench.chain.mine()
        assert answers == [False, False, False, True]
        assert not finalized.final(receipt)
        bench.chain.mine(100)  # anvil calls a block final after two epochs of 32
        assert finalized.final(receipt)


class TestReceipts:
    def test_a_rollups_fee_for_its_parent_chain_counts(self, local_chain):
        raw = local_chain.rpc("eth_sendTransaction", {"from": local_chain.rpc("eth_accounts")[0], "to": NOWHERE})
        answer = local_chain.receipt(raw)
        plain = Receipt.from_rpc(answer)
        assert Receipt.from_rpc({**answer, "l1Fee": "0x64"}).fee_raw == plain.fee_raw + 100

    @pytest.mark.parametrize("broken", [{}, {"status": "0x1"}, {"gasUsed": None}])
    def test_what_is_no_receipt(self, broken):
        with pytest.raises(ChainError, match="the node's receipt cannot be read"):
            Receipt.from_rpc(broken)

    def test_an_nft_is_no_token_movement(self, local_market):
        market, alice = local_market, local_market.users[0].address
        from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS

        for symbol in ("USDC", "WETH"):
            market.approve(alice, symbol, market.uniswap.positions)
        pool = market.uniswap.pool("USDC", "WETH", 3_000)
        token0, token1 = (market.chain.call(pool, V3_POOL.function(name)) for name in ("token0", "token1"))
        order = (token0, token1, 3_000, -887_220, 887_220, 10**9, 10**18, 0, 0, alice, 2**255)
        answer = market.chain.send(alice, market.uniswap.positions, V3_POSITIONS.function("mint"), order)
        receipt = Receipt.from_rpc(answer)
        assert market.uniswap.positions not in receipt.deltas(alice)
        assert set(receipt.deltas(alice)) == {market.token("USDC").address, market.token("WETH").address}
        assert len(receipt.events(V3_POSITIONS.event("Transfer"))) == 1
        assert len(receipt.events(ERC20.event("Transfer"))) == 2

    def test_the_nodes_refusals_keep_their_code(self, bench):
        with pytest.raises(NodeError) as caught:
            bench.session.request("no_such_method")
        assert caught.value.code == -32601


def test_a_listener_hears_of_every_transaction_also_of_one_that_was_refused(local_market):
    session, me = local_market.session, local_market.users[0]
    token, transfer = local_market.token("USDC").address, ERC20.function("transfer")
    heard: list[Receipt] = []
    with session.listening(heard.append):
        done = session.send(me.signer, token, transfer, local_market.maker.address, 1)
        with pytest.raises(RevertError):
            session.send(me.signer, token, transfer, local_market.maker.address, 2**200, gas=100_000)
    session.send(me.signer, token, transfer, local_market.maker.address, 1)
    assert heard[0] == done
    assert [receipt.success for receipt in heard] == [True, False]
    assert all(receipt.fee_raw > 0 for receipt in heard)
