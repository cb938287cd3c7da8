"""Tokens that are not what they should be are refused before anything is signed; those that merely differ are handled."""

from __future__ import annotations

import pytest

from treasury_arena.errors import ValidationError
from treasury_arena_evm.chains import ETHEREUM, LOCAL_ID
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.tokens import Token
from treasury_arena_evm.transport import LostError

USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


def refused(bench, token: Erc20, said: str, amount: int = 1_000, sender=None, recipient=None) -> None:
    """`transfer` and `check` refuse with the sentence, and no transaction leaves."""
    who = sender or bench.alice
    to = (recipient or bench.bob).address
    nonce = bench.chain.rpc("eth_getTransactionCount", who.address, "pending")
    with pytest.raises(TokenError, match=said):
        token.check(who.address, to, amount)
    with pytest.raises(TokenError, match=said):
        token.transfer(who.signer, to, amount)
    assert bench.chain.rpc("eth_getTransactionCount", who.address, "pending") == nonce


class TestHandled:
    @pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18, 27])
    def test_any_number_of_decimals(self, bench, decimals):
        token = bench.token("PlainToken", decimals)
        token.verify()
        receipt = token.transfer(bench.alice.signer, bench.bob.address, 10**decimals)
        assert token.balance(bench.bob.address) == 10**decimals
        assert receipt.deltas(bench.bob.address) == {token.token.address: 10**decimals}
        assert receipt.deltas(bench.alice.address) == {token.token.address: -(10**decimals)}
        assert token.total_supply() == 10**6 * 10**decimals

    def test_a_token_that_returns_nothing(self, bench):
        token = bench.token("SilentToken", 6)
        token.transfer(bench.alice.signer, bench.bob.address, 5)
        assert token.balance(bench.bob.address) == 5

    def test_paying_oneself(self, bench):
        token = bench.token()
        token.transfer(bench.alice.signer, bench.alice.address, 5)
        assert token.balance(bench.alice.address) == 10**24

    def test_the_whole_balance(self, bench):
        token = bench.token()
        token.transfer(bench.alice.signer, bench.bob.address, 10**24)
        assert token.balance(bench.alice.address) == 0

    @pytest.mark.parametrize("symbol", ["USDC", "WETH", "DAI"])
    def test_the_markets_tokens_are_sound_for_a_buyer_who_holds_none(self, local_market, symbol):
        session = local_market.session
        token = Erc20(session, session.tokens.symbol(symbol))
        pool = local_market.uniswap.pool("WETH", symbol if symbol != "WETH" else "USDC", 3_000)
        token.check(pool, "0x" + "b0" * 20, 1_000)


class TestRefused:
    def test_wrong_decimals(self, bench):
        token = bench.token("PlainToken", 8, pinned=18)
        refused(bench, token, r"ODD at 0x\w+ has 8 decimals, but 18 are pinned")
        with pytest.raises(TokenError, match="has 8 decimals"):
            token.approve(bench.alice.signer, bench.bob.address, 1)

    def test_no_contract(self, bench):
        refused(bench, Erc20(bench.session, Token(LOCAL_ID, "USDC", USDC, 6)), "has no contract there")

    def test_a_contract_that_is_no_token(self, local_market):
        provider = Token(LOCAL_ID, "NOT", local_market.aave.provider, 18)
        with pytest.raises(TokenError, match="does not say its decimals"):
            Erc20(local_market.session, provider).verify()

    def test_another_chains_token(self, bench):
        with pytest.raises(
            TokenError, match=r"USDC is pinned on the chain with id 1, the session is on local \(id 31337\)"
        ):
            Erc20(bench.session, Token(ETHEREUM.id, "USDC", USDC, 6))

    def test_fee_on_transfer(self, bench):
        said = "takes a fee on transfer: of 1000 base units the sender pays 1000 and the recipient gets 990"
        refused(bench, bench.token("FeeToken"), said)

    def test_a_fee_too_small_to_show_is_none(self, bench):
        bench.token("FeeToken").check(bench.alice.address, bench.bob.address, 99)

    def test_rebasing_that_is_pinned(self, bench):
        refused(bench, bench.token("PlainToken", quirks={"rebasing"}), "is rebasing: its balances change by themselves")

    def test_rebasing_that_shows_by_its_functions(self, bench):
        refused(bench, bench.token("SharesToken"), r"is rebasing \(it answers sharesOf\)")

    def test_rebasing_that_shows_by_the_balances_alone(self, bench):
        refused(bench, bench.token("GrowingToken"), "is rebasing: balances change by themselves within a year")

    def test_rebasing_that_has_grown_already_is_no_fee(self, bench):
        token = bench.token("GrowingToken")
        bench.chain.next_time(bench.chain.now + 100 * 86_400)
        bench.chain.mine()
        refused(bench, token, "is rebasing: balances change by themselves within a year")

    def test_atokens_are_rebasing(self, local_market):
        reserve = local_market.aave.reserve("USDC")
        token = Erc20(local_market.session, Token(LOCAL_ID, "aUSDC", reserve.a_token, 6))
        with pytest.raises(TokenError, match="it answers scaledBalanceOf"):
            token.check(local_market.maker.address, local_market.users[0].address, 1)

    @pytest.mark.parametrize(
        ("tells", "said"), [(True, "is paused by its issuer"), (False, "refuses the transfer: paused")]
    )
    def test_paused(self, bench, tells, said):
        token = bench.token("GuardedToken", 6, tells)
        token.check(bench.alice.address, bench.bob.address, 1)
        bench.tell(token.token.address, "pause", True)
        refused(bench, token, said)
        bench.tell(token.token.address, "pause", False)
        token.transfer(bench.alice.signer, bench.bob.address, 1)

    @pytest.mark.parametrize("party", ["alice", "bob"])
    def test_a_blocked_party_that_the_issuer_tells_of(self, bench, party):
        token = bench.token("GuardedToken", 6, True)
        bench.tell(token.token.address, "blockAccount", getattr(bench, party).address, True)
        role = {"alice": "sender", "bob": "recipient"}[party]
        refused(bench, token, f"is blocked by its issuer for the {role} {getattr(bench, party).address}")

    @pytest.mark.parametrize("party", ["alice", "bob"])
    def test_a_blocked_party_that_nobody_tells_of(self, bench, party):
        token = bench.token("GuardedToken", 6, False)
        bench.tell(token.token.address, "blockAccount", getattr(bench, party).address, True)
        refused(bench, token, "refuses the transfer: blocked")

    def test_false_instead_of_a_refusal(self, bench):
        refused(bench, bench.token("FalseToken"), "refuses the transfer: it returns false")

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            (0, "takes a fee when it is taken by whom it allows to: of 1000 base units .* pays 1000 and .* gets 990"),
            (1, "refuses the transfer by whom it allows to take it: it returns false"),
            (2, "refuses the transfer by whom it allows to take it: pulling is off"),
            (3, "takes a fee when it is taken by whom it allows to: of 1000 base units .* pays 1010 and .* gets 1000"),
        ],
        ids=["fee", "false", "refused", "one percent on top"],
    )
    def test_a_token_that_is_sound_only_when_its_holder_sends_it(self, bench, how, said):
        """Routers, pools and vaults take what they are allowed to."""
        refused(bench, bench.token("PullToken", 18, how), said)

    def test_one_percent_on_top_of_all_there_is(self, bench):
        token = bench.token("PullToken", 18, 3)
        refused(bench, token, "refuses the transfer by whom it allows to take it: too little", 10**24)

    def test_an_allowance_that_stands_is_no_reason(self, bench):
        token = bench.token("SilentToken", 6)
        token.approve(bench.alice.signer, bench.bob.address, 700)
        token.check(bench.alice.address, bench.bob.address, 1_000)

    @pytest.mark.parametrize("amount", [0, -1])
    def test_nothing_to_transfer(self, bench, amount):
        refused(bench, bench.token(), f"a transfer of {amount} base units of ODD is none", amount)

    @pytest.mark.parametrize("amount", [1.5, True, 10.0, "1", None])
    def test_no_whole_number(self, bench, amount):
        token, spender = bench.token(), bench.bob.address
        nonce = bench.chain.rpc("eth_getTransactionCount", bench.alice.address, "pending")
        for call, said in (
            (lambda: token.check(bench.alice.address, spender, amount), "an amount of ODD in base units is"),
            (lambda: token.transfer(bench.alice.signer, spender, amount), "an amount of ODD in base units is"),
            (lambda: token.approve(bench.alice.signer, spender, amount), "an allowance of ODD in base units is"),
        ):
            with pytest.raises(ValidationError, match=rf"^{said} .*; expected a whole number \(int\)$"):
                call()
        assert bench.chain.rpc("eth_getTransactionCount", bench.alice.address, "pending") == nonce

    @pytest.mark.parametrize("amount", [10**24 + 1, 2**256 - 1])
    def test_more_than_is_held(self, bench, amount):
        refused(bench, bench.token(), f"holds {10**24} base units of ODD, fewer than {amount}", amount)

    def test_a_node_that_cannot_simulate_is_said_to(self, bench, monkeypatch):
        from treasury_arena_evm.errors import ChainError
        from treasury_arena_evm.transport import NodeError, Transport

        token, request = bench.token(), Transport.request

        def without(self, method, *params):
            if method == "eth_simulateV1":
                raise NodeError(method, {"code": -32601, "message": "Method not found"})
            return request(self, method, *params)

        monkeypatch.setattr(Transport, "request", without)
        with pytest.raises(ChainError, match="cannot simulate"):
            token.check(bench.alice.address, bench.bob.address, 1)


class TestApprovals:
    def test_exactly_so_much_and_nothing_when_it_is_so_already(self, bench):
        token = bench.token()
        spender = bench.bob.address
        assert len(token.approve(bench.alice.signer, spender, 700)) == 1
        assert token.allowance(bench.alice.address, spender) == 700
        assert token.approve(bench.alice.signer, spender, 700) == ()
        assert len(token.approve(bench.alice.signer, spender, 500)) == 1
        assert len(token.approve(bench.alice.signer, spender, 0)) == 1
        assert token.allowance(bench.alice.address, spender) == 0

    @pytest.mark.parametrize("quirks", [(), {"approve_zero", "no_return"}], ids=["found", "pinned"])
    def test_zero_first_where_the_token_demands_it(self, bench, quirks):
        token = bench.token("SilentToken", 6, quirks=quirks)
        spender = bench.bob.address
        assert len(token.approve(bench.alice.signer, spender, 700)) == 1
        assert len(token.approve(bench.alice.signer, spender, 500)) == 2
        assert token.allowance(bench.alice.address, spender) == 500
        assert len(token.approve(bench.alice.signer, spender, 0)) == 1

    @pytest.mark.parametrize("amount", [-1, 2**255, 2**256 - 1])
    def test_without_limit(self, bench, amount):
        with pytest.raises(TokenError, match="the treasury approves exact amounts"):
            bench.token().approve(bench.alice.signer, bench.bob.address, amount)

    def test_an_approval_is_an_event(self, bench):
        token = bench.token()
        (receipt,) = token.approve(bench.alice.signer, bench.bob.address, 9)
        (event,) = receipt.events(ERC20.event("Approval"), token.token.address)
        assert event["value"] == 9
        assert receipt.deltas(bench.alice.address) == {}

    @pytest.mark.parametrize("before", [0, 5])
    def test_none_is_left_behind_when_it_was_mined_and_cannot_be_looked_at(self, bench, monkeypatch, before):
        token, spender = bench.token(), bench.bob.address
        token.approve(bench.alice.signer, spender, before)
        ask, asked = token.allowance, []

        def silent_once(*arguments):
            asked.append(arguments)
            if len(asked) == 2:  # behind the approval
                raise LostError("eth_call: no answer")
            return ask(*arguments)

        monkeypatch.setattr(token, "allowance", silent_once)
        with pytest.raises(LostError, match="no answer"), token.allowed(bench.alice.signer, spender, 700):
            pytest.fail("nothing may be taken under an approval that could not be looked at")
        assert token.allowance(bench.alice.address, spender) == 0
