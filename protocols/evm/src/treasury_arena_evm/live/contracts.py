"""Contracts that orders may call, by family: pinned by address, never found by asking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from treasury_arena.errors import ConfigError, nearest
from treasury_arena_evm.addresses import checksummed, is_checksummed
from treasury_arena_evm.chains import Chain
from treasury_arena_evm.live.decoder import AAVE, POSITIONS, ROUTER, TOKEN, VAULT
from treasury_arena_evm.tokens import TokenTable

AAVE_POOL, PROVIDER = "aave_v3_pool", "aave_v3_provider"
#: Roles of contracts that are called, by family. The provider is asked for the pool when no pool is pinned.
CALLED = {"uniswap_v3_router": ROUTER, "uniswap_v3_positions": POSITIONS, AAVE_POOL: AAVE}
ROLES = (*CALLED, PROVIDER)


@attrs.frozen
class Contracts:
    """Which contracts may be called.

    Attributes:
        families: family by address (lower case).
        provider: Aave's PoolAddressesProvider, to be asked for the pool; empty when the pool is pinned or there is none.
    """

    families: Mapping[str, str]
    provider: str = ""

    def family(self, address: str) -> str:
        """The family of a contract, empty for one that is not pinned."""
        return self.families.get(address.lower(), "")

    def of(self, family: str) -> tuple[str, ...]:
        """Addresses of a family."""
        return tuple(address for address, found in self.families.items() if found == family)


def address_of(where: str, text: object) -> str:
    """A configured address with the capitals of EIP-55; ConfigError naming the key for anything else."""
    if not isinstance(text, str):
        raise ConfigError(f"{where} = {text!r} must be an address: 0x and 40 hex digits")
    try:
        found = checksummed(text)
    except ValueError:
        raise ConfigError(f"{where} = {text!r} must be an address: 0x and 40 hex digits") from None
    plain = text[2:]
    if plain not in (plain.lower(), plain.upper()) and not is_checksummed(text):
        raise ConfigError(f"{where} = {text!r} has other capitals than EIP-55's; was it mistyped?")
    return found


def contracts_of(
    chain: Chain, tokens: TokenTable, given: Mapping[str, str], vaults: Iterable[tuple[str, str]], where: str
) -> Contracts:
    """The chain's pinned contracts, those configured by role in their place, vaults and tokens; ConfigError for unknown roles."""
    for role in given:
        if role not in ROLES:
            raise ConfigError(f"{where}.contracts.{role} is no contract that orders call; {nearest(role, ROLES)}")
    known: dict[str, str] = {role: address for role, address in chain.contracts.items() if role in ROLES}
    known |= {role: address_of(f"{where}.contracts.{role}", address) for role, address in given.items()}
    families = {known[role].lower(): family for role, family in CALLED.items() if role in known}
    families |= {address_of(f"{where}.vaults.{name}", address).lower(): VAULT for name, address in vaults}
    families |= {token.address.lower(): TOKEN for token in tokens}
    return Contracts(families, "" if AAVE_POOL in known else known.get(PROVIDER, ""))
