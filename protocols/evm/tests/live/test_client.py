"""The chain client on a real node: reads, fees, gas, sending, inclusion; each held against the node asked directly."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from eth_account import Account as Keys

from treasury_arena.contracts.chain import Fees, Step, StepKind, Unsigned
from treasury_arena.errors import ChainUnavailableError, FeeCapError, ValidationError
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626, WRAPPED_NATIVE
from treasury_arena_evm.live.transactions import fields_of, read_signed
from treasury_arena_evm.local.live import LocalSigner, live_client
from treasury_arena_evm.local.market import LocalMarket

GWEI = 10**9
USDC = 10**6


def step(market: LocalMarket, to: str, data: bytes, **keys: Any) -> Step:
    given: dict[str, Any] = {
        "kind": StepKind.APPROVE,
        "asset": "USDC",
        "value_raw": 0,
        "gas_max": 200_000,
        "expects": {},
    }
    return Step(to=to, data="0x" + data.hex(), **{**given, **keys})


def approve(market: LocalMarket, amount: int = 5, **keys: Any) -> Step:
    data = ERC20.function("approve").encode(market.vault, amount)
    return step(market, market.token("USDC").address, data, **keys)


def unsigned(client: Any, who: str, made: Step, **keys: Any) -> Unsigned:
    given: dict[str, Any] = {
        "chain_id": client.chain_id,
        "sender": who,
        "nonce": client.counts(who).latest,
        "to": made.to,
        "value_raw": made.value_raw,
        "data": made.data,
        "gas": 200_000,
        "fees": client.fees(),
    }
    return Unsigned(**{**given, **keys})


class TestReading:
    def test_who_it_is(self, local_market: LocalMarket) -> None:
        client = live_client(local_market, local_market.users[0])
        (found,) = client.identities()
        first = local_market.chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
        assert (found.endpoint, found.chain_id, found.genesis) == ("anvil", 31337, first)

    def test_blocks_and_finality_by_depth(self, local_market: LocalMarket) -> None:
        client, chain = live_client(local_market, local_market.users[0], finality=3), local_market.chain
        chain.mine(5)
        head = client.head()
        assert (head.number, head.timestamp) == (chain.height, chain.now)
        assert client.finalized().number == head.number - 3
        assert client.block(head.number) == head
        assert client.block(head.number + 1) is None
        assert client.agree(8)

    def test_finality_by_the_nodes_own_word(self, local_market: LocalMarket) -> None:
        client, chain = live_client(local_market, local_market.users[0], finality="finalized"), local_market.chain
        chain.mine(80)
        told = chain.rpc("eth_getBlockByNumber", "finalized", False)
        assert client.finalized().number == int(told["number"], 16) < client.head().number
        assert client.counts(local_market.users[0].address).finalized >= 0

    def test_one_block_for_all_reads_inside(self, local_market: LocalMarket) -> None:
        user, chain, token = local_market.users[0], local_market.chain, local_market.token("USDC").address
        client, ask = live_client(local_market, user), ERC20.function("balanceOf")
        chain.mine()  # a node that had mined a hundred blocks for earlier tests has forgotten the state they began with
        before, held = client.head(), client.call(token, ask, user.address)
        others: list[int] = []
        with client.pinned() as block:
            local_market.fund("USDC", user.address, 7)
            chain.mine(2)
            with client.pinned() as inner:
                assert inner == block == before.number
                assert client.head() == before
            assert client.call(token, ask, user.address) == held
            assert client.simulate([(user.address, token, ask.encode(user.address))])[0].data == held.to_bytes(32)
            other = threading.Thread(target=lambda: others.append(client.head().number))
            other.start()
            other.join()
        assert others == [chain.height]
        assert client.head().number == chain.height
        assert client.call(token, ask, user.address) == held + 7

    def test_counts_at_the_latest_and_the_final_block(self, local_market: LocalMarket) -> None:
        alice, chain = local_market.users[0], local_market.chain
        client = live_client(local_market, alice, finality=2)
        chain.mine(3)
        before = client.counts(alice.address)
        local_market.approve(alice.address, "USDC", local_market.vault, 1)
        after = client.counts(alice.address)
        assert (after.latest, after.finalized) == (before.latest + 1, before.finalized)
        chain.mine(2)
        assert client.counts(alice.address).finalized == after.latest

    def test_balances_of_pinned_tokens_and_the_native_coin(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0].address
        client = live_client(local_market, local_market.users[0])
        assert client.balances(alice) == {name: local_market.balance(name, alice) for name in local_market.tokens}
        assert client.native_balance(alice) == local_market.chain.balance(alice)

    def test_it_reads_contracts_for_planners(self, local_market: LocalMarket) -> None:
        client, usdc = live_client(local_market, local_market.users[0]), local_market.token("USDC").address
        assert client.call(local_market.vault, ERC4626.function("asset")) == usdc.lower()
        assert client.has_code(usdc)
        assert not client.has_code("0x" + "12" * 20)
        data = ERC20.function("totalSupply").encode()
        (outcome,) = client.simulate([(usdc, usdc, data)])
        assert outcome.success


class TestFeesAndGas:
    def test_fees_are_under_the_cap_or_refused(self, local_market: LocalMarket) -> None:
        client = live_client(local_market, local_market.users[0], fee_cap_gwei=3.0)
        local_market.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(2 * GWEI))
        fees = client.fees()
        assert 2 * GWEI < fees.cap_raw <= 3 * GWEI
        local_market.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(4 * GWEI))
        with pytest.raises(FeeCapError, match="more than the cap of 3 gwei"):
            client.fees()

    def test_bumped_by_an_eighth_up_to_the_cap(self, local_market: LocalMarket) -> None:
        client = live_client(local_market, local_market.users[0], fee_cap_gwei=9.0)
        assert client.bumped(Fees(8 * GWEI, GWEI)) == Fees(9 * GWEI, GWEI + GWEI // 8)
        assert client.bumped(Fees(8 * GWEI + 1, GWEI)) is None

    def test_gas_has_room_within_the_steps_own(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0]
        client, made = live_client(local_market, alice), approve(local_market)
        call = {"from": alice.address, "to": made.to, "data": made.data}
        estimate = int(local_market.chain.rpc("eth_estimateGas", call), 16)
        assert client.gas(alice.address, made) == estimate * 5 // 4
        assert client.gas(alice.address, approve(local_market, gas_max=estimate + 1)) == estimate + 1
        with pytest.raises(ValidationError, match=f"needs {estimate} gas, more than the {estimate - 1}"):
            client.gas(alice.address, approve(local_market, gas_max=estimate - 1))

    def test_what_would_fail_has_no_gas(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0]
        data = ERC4626.function("deposit").encode(5, alice.address)
        with pytest.raises(ValidationError, match=r"the supply would be refused: .*allowance"):
            live_client(local_market, alice).gas(
                alice.address, step(local_market, local_market.vault, data, kind=StepKind.SUPPLY)
            )


class TestSending:
    def test_once_again_and_too_late(self, local_market: LocalMarket) -> None:
        alice, chain = local_market.users[0], local_market.chain
        client, signer = live_client(local_market, alice), LocalSigner(alice)
        chain.rpc("evm_setAutomine", False)
        first = signer.sign(unsigned(client, alice.address, approve(local_market)))
        other = signer.sign(unsigned(client, alice.address, approve(local_market, 6)))
        assert not client.known(first.hash)
        assert client.send("anvil", first.raw).outcome == "ok"
        assert client.known(first.hash)
        assert client.send("anvil", first.raw).outcome == "known"
        assert client.send("anvil", other.raw).outcome == "refused"
        assert client.inclusion(first.hash, alice.address) is None
        chain.mine()
        assert client.send("anvil", other.raw).outcome == "refused"
        assert client.inclusion(other.hash, alice.address) is None
        found = client.inclusion(first.hash, alice.address)
        assert found is not None
        assert (found.success, found.block_hash, found.effects) == (True, client.head().hash, ())
        assert len(found.logs) == 1

    def test_nobody_there_is_unknown(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0]
        client = live_client(local_market, alice, {"dead": "http://127.0.0.1:9", "anvil": local_market.url})
        signed = LocalSigner(alice).sign(unsigned(client, alice.address, approve(local_market)))
        assert client.send("dead", signed.raw).outcome == "unknown"
        assert client.send("anvil", signed.raw).outcome == "ok"
        assert client.send("anvil", "0x02").outcome == "unknown"

    def test_effects_by_the_logs_of_pinned_tokens(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0].address
        client = live_client(local_market, local_market.users[0])
        local_market.approve(alice, "USDC", local_market.vault)
        receipt = local_market.chain.send(alice, local_market.vault, ERC4626.function("deposit"), 7 * USDC, alice)
        found = client.inclusion(receipt["transactionHash"], alice)
        assert found is not None
        assert [(effect.asset, effect.amount_raw) for effect in found.effects] == [("USDC", -7 * USDC)]
        assert found.fee_raw == int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        weth = local_market.token("WETH").address
        receipt = local_market.chain.send(alice, weth, WRAPPED_NATIVE.function("deposit"), value=9)
        found = client.inclusion(receipt["transactionHash"], alice)
        assert found is not None
        assert [(effect.asset, effect.amount_raw) for effect in found.effects] == [("WETH", 9)]

    def test_a_replaced_block_has_no_inclusion(self, local_market: LocalMarket) -> None:
        alice, chain = local_market.users[0].address, local_market.chain
        client = live_client(local_market, local_market.users[0])
        chain.mine(3)
        receipt = local_market.approve(alice, "USDC", local_market.vault, 1)
        assert client.inclusion(receipt["transactionHash"], alice) is not None
        chain.rpc("anvil_reorg", 1, [])
        assert client.inclusion(receipt["transactionHash"], alice) is None


class TestSignedBytes:
    def test_read_back_as_they_were_asked_for(self, local_market: LocalMarket) -> None:
        alice = local_market.users[0]
        client = live_client(local_market, alice)
        asked = unsigned(client, alice.address, approve(local_market), nonce=0, value_raw=3)
        signed = LocalSigner(alice).sign(asked)
        found, digest = client.read(signed.raw)
        assert digest == signed.hash
        assert (found.sender, found.nonce, found.value_raw, found.fees) == (alice.address, 0, 3, asked.fees)
        assert (found.to, found.data) == (asked.to.lower(), asked.data)

    @pytest.mark.parametrize(
        "change", ["legacy", "cut", "more", "list", "padded", "highs", "creates", "empty", "nothex"]
    )
    def test_bytes_that_are_no_transaction_of_ours(self, local_market: LocalMarket, change: str) -> None:
        import rlp

        alice = local_market.users[0]
        client = live_client(local_market, alice)
        fields = fields_of(unsigned(client, alice.address, approve(local_market)))
        if change == "list":
            fields["accessList"] = [{"address": alice.address, "storageKeys": ()}]
        if change == "creates":
            del fields["to"]
        if change == "legacy":
            fields = {key: fields[key] for key in ("chainId", "nonce", "to", "value", "data", "gas")} | {
                "gasPrice": GWEI
            }
        raw = bytes(Keys.from_key(alice.key).sign_transaction(fields).raw_transaction)
        items = rlp.decode(raw[1:]) if change != "legacy" else []
        if change == "padded":
            raw = b"\x02" + rlp.encode([b"\0" + items[0], *items[1:]])
        if change == "highs":
            order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
            high = (order - int.from_bytes(items[11], "big")).to_bytes(32, "big")
            raw = b"\x02" + rlp.encode([*items[:9], b"" if items[9] else b"\x01", items[10], high])
        text = {"cut": raw[:-1], "more": raw + b"\0", "empty": b""}.get(change, raw).hex()
        with pytest.raises(ValidationError):
            read_signed("0x" + ("zz" if change == "nothex" else text))


def test_a_dead_chain_is_unknown_and_says_no_secret(local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_URL", "http://127.0.0.1:9/v3/canary-key-of-mine")
    client = live_client(local_market, local_market.users[0], {"one": "env:NODE_URL"})
    alice = local_market.users[0].address
    for ask in (client.head, client.fees, client.finalized, client.identities, lambda: client.counts(alice)):
        with pytest.raises(ChainUnavailableError) as caught:
            ask()
        assert "canary" not in str(caught.value)
        assert "one: " in str(caught.value)
    assert "canary" not in repr(client) + repr(client.nodes.node("one")) + client.send("one", "0x02ff").text
