"""Pinned tokens: where each stands on each chain, its decimals, and how it departs from the standard.

Sources, each address confirmed in two of them on 2026-11-26 (and by its EIP-55 checksum in tests): developers.circle.com "USDC
Contract Addresses" and docs.gelato.cloud (USDC); github.com/bgd-labs/aave-address-book (the tokens that are Aave's reserves, with
their decimals); docs.uniswap.org (wrapped native coins); published code of users. What could not be confirmed twice is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, nearest
from treasury_arena_evm.addresses import is_checksummed
from treasury_arena_evm.chains import ARBITRUM, BASE, ETHEREUM, OPTIMISM, POLYGON, Chain
from treasury_arena_evm.errors import TokenError

#: no_return: transfer and approve return nothing. approve_zero: an allowance must be zero before it is set anew.
#: blacklist: the issuer can block a holder. pausable: the issuer can stop all transfers. fee: the issuer can take a part of
#: every transfer. rebasing: balances change by themselves.
Quirk = Literal["no_return", "approve_zero", "blacklist", "pausable", "fee", "rebasing"]
QUIRKS: tuple[Quirk, ...] = ("no_return", "approve_zero", "blacklist", "pausable", "fee", "rebasing")

DECIMALS_MAX = 36


def _known_quirks(_: object, __: object, value: frozenset[str]) -> None:
    for quirk in sorted(value - set(QUIRKS)):
        raise TokenError(f"unknown quirk {quirk!r} of a token; {nearest(quirk, QUIRKS)}")


def _sane_decimals(_: object, __: object, value: int) -> None:
    if not 0 <= value <= DECIMALS_MAX:
        raise TokenError(f"a token of {value} decimals; expected 0 to {DECIMALS_MAX}")


def _sane_address(_: object, __: object, value: str) -> None:
    if not is_checksummed(value):
        raise TokenError(f"{value!r} is not an address with the capitals of EIP-55; was it mistyped?")


@attrs.frozen
class Token:
    """An ERC-20 on one chain; `decimals` is the pin that the contract must confirm before anything is signed."""

    chain_id: int
    symbol: str
    address: str = attrs.field(validator=_sane_address)
    decimals: int = attrs.field(validator=_sane_decimals)
    quirks: frozenset[Quirk] = attrs.field(default=frozenset(), validator=_known_quirks)

    @property
    def asset(self) -> Asset:
        """The token as the ledger knows it."""
        return Asset(self.symbol, self.decimals)


def _on(chain: Chain, symbol: str, address: str, decimals: int, *quirks: Quirk) -> Token:
    return Token(chain.id, symbol, address, decimals, frozenset(quirks))


KNOWN_TOKENS = (
    _on(ETHEREUM, "WETH", "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", 18),
    _on(ETHEREUM, "USDC", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", 6, "blacklist", "pausable"),
    _on(
        ETHEREUM,
        "USDT",
        "0xdAC17F958D2ee523a2206206994597C13D831ec7",
        6,
        *("no_return", "approve_zero", "blacklist", "pausable", "fee"),
    ),
    _on(ETHEREUM, "DAI", "0x6B175474E89094C44Da98b954EedeAC495271d0F", 18),
    _on(ETHEREUM, "WBTC", "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599", 8, "pausable"),
    _on(ETHEREUM, "wstETH", "0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0", 18),
    _on(ETHEREUM, "stETH", "0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84", 18, "rebasing"),
    _on(ARBITRUM, "WETH", "0x82aF49447D8a07e3bd95BD0d56f35241523fBab1", 18),
    _on(ARBITRUM, "USDC", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", 6, "blacklist", "pausable"),
    _on(ARBITRUM, "USDT", "0xFd086bC7CD5C481DCC9C85ebE478A1C0b69FCbb9", 6, "blacklist"),
    _on(ARBITRUM, "DAI", "0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1", 18),
    _on(ARBITRUM, "WBTC", "0x2f2a2543B76A4166549F7aaB2e75Bef0aefC5B0f", 8),
    _on(ARBITRUM, "wstETH", "0x5979D7b546E38E414F7E9822514be443A4800529", 18),
    _on(BASE, "WETH", "0x4200000000000000000000000000000000000006", 18),
    _on(BASE, "USDC", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 6, "blacklist", "pausable"),
    _on(OPTIMISM, "WETH", "0x4200000000000000000000000000000000000006", 18),
    _on(OPTIMISM, "USDC", "0x0b2C639c533813f4Aa9D7837CAf62653d097Ff85", 6, "blacklist", "pausable"),
    _on(OPTIMISM, "USDT", "0x94b008aA00579c1307B0EF2c499aD98a8ce58e58", 6),
    _on(OPTIMISM, "DAI", "0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1", 18),
    _on(OPTIMISM, "WBTC", "0x68f180fcCe6836688e9084f035309E29Bf0A2095", 8),
    _on(POLYGON, "WPOL", "0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270", 18),
    _on(POLYGON, "WETH", "0x7ceB23fD6bC0adD59E62ac25578270cFf1b9f619", 18),
    _on(POLYGON, "USDC", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", 6, "blacklist", "pausable"),
    _on(POLYGON, "USDT", "0xc2132D05D31c914a87C6611C10748AEb04B58e8F", 6, "blacklist"),
    _on(POLYGON, "DAI", "0x8f3Cf7ad23Cd3CaDbD9735AFf958023239c6A063", 18),
    _on(POLYGON, "WBTC", "0x1BFD67037B42Cf73acF2047067bd4F2C47D9BfD6", 8),
)


class TokenTable:
    """The tokens of one chain that the treasury may touch; anything else is refused."""

    def __init__(self, chain: Chain, tokens: Iterable[Token] = KNOWN_TOKENS) -> None:
        self._chain = chain
        self._tokens: dict[str, Token] = {}
        for token in tokens:
            if token.chain_id != chain.id:
                continue
            known = self._tokens.setdefault(token.symbol, token)
            if known != token:
                raise TokenError(
                    f"token {token.symbol!r} is pinned twice on {chain.name}: {known.address}, {token.address}"
                )

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens.values())

    def __len__(self) -> int:
        return len(self._tokens)

    def symbol(self, symbol: str) -> Token:
        """The token of a symbol; TokenError with the nearest when none is pinned."""
        if symbol not in self._tokens:
            raise TokenError(f"unknown token {symbol!r} on {self._chain.name}; {nearest(symbol, self._tokens)}")
        return self._tokens[symbol]

    def address(self, address: str) -> Token:
        """The token at an address; TokenError when none is pinned there, whatever it calls itself."""
        for token in self:
            if token.address.lower() == address.lower():
                return token
        raise TokenError(f"unknown token at {address} on {self._chain.name}; the treasury touches pinned tokens only")


def check_pins(market: str, chain: Chain, tokens: TokenTable, assets: Iterable[Asset]) -> None:
    """Raise ConfigError when the chain's pinned tokens have other decimals than the ledger's assets."""
    for known in assets:
        pinned = tokens.symbol(known.symbol)
        if pinned.decimals != known.decimals:
            raise ConfigError(
                f"market {market!r}: {known.symbol} has {known.decimals} decimals in the ledger and {pinned.decimals} on "
                f"{chain.name}"
            )
