"""Pinned chains and tokens: what is there, what is refused, and that no address was mistyped."""

from __future__ import annotations

import pytest
from eth_utils.address import is_checksum_address, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.domain.assets import KNOWN_ASSETS
from treasury_arena.errors import ConfigError
from treasury_arena_evm.addresses import checksummed, is_checksummed
from treasury_arena_evm.chains import BASE, ETHEREUM, KNOWN_CHAINS, LOCAL_ID, ChainTable, ephemeral_chain
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.tokens import KNOWN_TOKENS, Token, TokenTable

USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


@pytest.mark.parametrize("address", ["", "0x", USDC[2:], "0x" + "g" * 40, USDC + "0"])
def test_what_is_no_address(address):
    assert not is_checksummed(address)
    with pytest.raises(ValueError, match="is not an address"):
        checksummed(address)


@given(st.binary(min_size=20, max_size=20))
def test_capitals_as_the_reference_sets_them(data):
    assert checksummed("0x" + data.hex()) == to_checksum_address(data)


class TestChains:
    def test_the_five_chains_have_everything_pinned(self):
        assert {chain.id: chain.name for chain in KNOWN_CHAINS} == {
            1: "ethereum",
            42161: "arbitrum",
            8453: "base",
            10: "optimism",
            137: "polygon",
        }
        for chain in KNOWN_CHAINS:
            assert len(chain.contracts) == 8, chain.name
            assert not chain.local

    @pytest.mark.parametrize("chain", KNOWN_CHAINS, ids=lambda chain: chain.name)
    def test_every_address_has_its_checksum(self, chain):
        for role, address in {**chain.contracts, "wrapped": chain.wrapped}.items():
            assert is_checksum_address(address), role

    def test_base_shares_no_uniswap_v3_address_with_the_others(self):
        shared = set(BASE.contracts.values()) & set(ETHEREUM.contracts.values())
        assert shared == set()

    def test_unknown_names_and_roles(self):
        with pytest.raises(ConfigError, match="unknown chain 'etherium'; did you mean 'ethereum'"):
            ChainTable()["etherium"]
        with pytest.raises(ConfigError, match="has no contract 'aave_v3_provder'; did you mean 'aave_v3_provider'"):
            ETHEREUM.contract("aave_v3_provder")
        assert ETHEREUM.contract("aave_v3_provider").startswith("0x2f39")
        assert len(ChainTable()) == 5
        assert ChainTable().name_of(10) == "optimism"
        assert ChainTable().name_of(99) == "chain 99"

    def test_a_test_nodes_chain(self):
        chain = ephemeral_chain(USDC, {"uniswap_v3_factory": USDC})
        assert (chain.id, chain.local, chain.finality) == (LOCAL_ID, True, 0)
        with pytest.raises(ConfigError, match="chain 'local' has no contract"):
            chain.contract("aave_v3_provider")


class TestTokens:
    def test_every_chain_has_its_wrapped_coin_and_native_usdc(self):
        for chain in KNOWN_CHAINS:
            table = TokenTable(chain)
            assert table.address(chain.wrapped).decimals == 18
            assert table.symbol("USDC").decimals == 6

    def test_decimals_agree_with_the_ledgers_assets(self):
        pinned = {asset.symbol: asset for asset in KNOWN_ASSETS}
        for token in KNOWN_TOKENS:
            if token.symbol in pinned:
                assert token.asset.decimals == pinned[token.symbol].decimals, token

    def test_no_token_twice(self):
        keys = [(token.chain_id, token.address.lower()) for token in KNOWN_TOKENS]
        assert len(keys) == len(set(keys))

    def test_an_unknown_token_is_refused_by_symbol_and_by_address(self):
        table = TokenTable(ETHEREUM)
        with pytest.raises(TokenError, match="unknown token 'USDCC' on ethereum; did you mean 'USDC'"):
            table.symbol("USDCC")
        with pytest.raises(
            TokenError, match=r"unknown token at 0x0000.* on ethereum; the treasury touches pinned tokens only"
        ):
            table.address("0x" + "00" * 20)
        assert table.address(USDC.lower()).symbol == "USDC"

    def test_bridged_usdc_is_another_token(self):
        with pytest.raises(TokenError, match="unknown token at"):
            TokenTable(ChainTable()["arbitrum"]).address("0xFF970A61A04b1cA14834A43f5dE4533eBDDB5CC8")

    @pytest.mark.parametrize("address", [USDC.lower(), USDC[:-1] + "9", USDC[:-1], "", "USDC"])
    def test_a_mistyped_address(self, address):
        with pytest.raises(TokenError, match="is not an address with the capitals of EIP-55"):
            Token(1, "USDC", address, 6)

    @pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18, 27, 36])
    def test_decimals_that_exist(self, decimals):
        assert Token(1, "X", USDC, decimals).asset.unit == 10**decimals

    @pytest.mark.parametrize("decimals", [-1, 37, 255])
    def test_decimals_beyond_reason(self, decimals):
        with pytest.raises(TokenError, match=f"a token of {decimals} decimals; expected 0 to 36"):
            Token(1, "X", USDC, decimals)

    def test_an_unknown_quirk(self):
        with pytest.raises(TokenError, match="unknown quirk 'rebase' of a token; did you mean 'rebasing'"):
            Token(1, "X", USDC, 6, frozenset({"rebase"}))

    def test_one_symbol_cannot_mean_two_tokens(self):
        with pytest.raises(TokenError, match="token 'USDC' is pinned twice on ethereum"):
            TokenTable(ETHEREUM, [Token(1, "USDC", USDC, 6), Token(1, "USDC", ETHEREUM.wrapped, 18)])
        assert len(TokenTable(ETHEREUM, [Token(1, "USDC", USDC, 6)] * 2)) == 1
