"""Which contracts orders may call: pinned by address, and an address is 20 bytes with the right capitals."""

from __future__ import annotations

import pytest

from treasury_arena.errors import ConfigError
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.chains import ephemeral_chain
from treasury_arena_evm.live.contracts import address_of, contracts_of
from treasury_arena_evm.live.decoder import AAVE, POSITIONS, ROUTER, TOKEN, VAULT
from treasury_arena_evm.tokens import Token, TokenTable

#: From EIP-55.
RIGHT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
WRAPPED = "0x" + "11" * 20
BARE = ephemeral_chain(WRAPPED, {})


def at(digit: str) -> str:
    return "0x" + digit * 40


@pytest.mark.parametrize("text", [RIGHT, RIGHT.lower(), "0x" + RIGHT[2:].upper()])
def test_an_address_in_one_kind_of_letters_or_with_its_own_capitals(text: str) -> None:
    assert address_of("evm.x", text) == RIGHT


@pytest.mark.parametrize("text", [None, 5, "", "0x", RIGHT[:-1], RIGHT + "0", RIGHT[2:], RIGHT[:-1] + "g", at("z")])
def test_what_is_no_address(text: object) -> None:
    with pytest.raises(ConfigError, match=r"evm\.x = .* must be an address: 0x and 40 hex digits"):
        address_of("evm.x", text)


@pytest.mark.parametrize("text", [RIGHT.replace("a", "A"), "0x5" + RIGHT[3:].lower()[:-1] + "D", RIGHT.swapcase()[1:]])
def test_an_address_with_other_capitals_was_mistyped(text: str) -> None:
    given = text if text.startswith("0x") else "0x" + text[1:]
    with pytest.raises(ConfigError, match="other capitals than EIP-55's; was it mistyped"):
        address_of("evm.x", given)


def test_families_are_those_of_roles_vaults_and_tokens() -> None:
    chain = ephemeral_chain(
        WRAPPED, {"uniswap_v3_router": at("a"), "aave_v3_provider": at("b"), "weth_gateway": at("9")}
    )
    tokens = TokenTable(chain, [Token(chain.id, "USDC", checksummed(at("c")), 6, frozenset())])
    given = {"uniswap_v3_positions": at("d"), "uniswap_v3_router": at("e")}
    found = contracts_of(chain, tokens, given, [("steak", at("f"))], "evm")
    assert found.families == {at("e"): ROUTER, at("d"): POSITIONS, at("f"): VAULT, at("c"): TOKEN}
    assert found.provider.lower() == at("b")
    assert [found.family(address) for address in (at("E").replace("E", "e").upper().replace("X", "x"), at("a"))] == [
        ROUTER,
        "",
    ]
    assert (found.of(VAULT), found.of(AAVE)) == ((at("f"),), ())


def test_a_pinned_pool_needs_no_provider() -> None:
    chain = ephemeral_chain(WRAPPED, {"aave_v3_provider": at("b")})
    found = contracts_of(chain, TokenTable(BARE, []), {"aave_v3_pool": at("d")}, [], "evm")
    assert (found.families, found.provider) == ({at("d"): AAVE}, "")
    assert contracts_of(ephemeral_chain(WRAPPED, {}), TokenTable(BARE, []), {}, [], "evm").provider == ""


def test_a_role_that_orders_do_not_call_is_refused_with_the_nearest() -> None:
    chain = ephemeral_chain(WRAPPED, {})
    with pytest.raises(ConfigError, match=r"evm\.contracts\.uniswap_v3_route is no contract .*uniswap_v3_router"):
        contracts_of(chain, TokenTable(BARE, []), {"uniswap_v3_route": at("a")}, [], "evm")
    with pytest.raises(ConfigError, match=r"evm\.vaults\.steak = 'x' must be an address"):
        contracts_of(chain, TokenTable(BARE, []), {}, [("steak", "x")], "evm")
