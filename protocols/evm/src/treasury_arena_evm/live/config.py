"""The configuration section ``chain.evm``, and the client that is made of it."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, le, min_len

from treasury_arena.config.keys import dereference, is_reference, key
from treasury_arena.errors import ConfigError
from treasury_arena_evm.chains import KNOWN_CHAINS, LOCAL_ID, Chain, ChainTable
from treasury_arena_evm.fees import GWEI, FeePolicy
from treasury_arena_evm.live.contracts import address_of, contracts_of
from treasury_arena_evm.live.prices import Feed, Prices
from treasury_arena_evm.tokens import KNOWN_TOKENS, QUIRKS, Quirk, Token, TokenTable
from treasury_arena_evm.transport import secrets_of

if TYPE_CHECKING:
    from treasury_arena.contracts.chain import ChainContext
    from treasury_arena_evm.live.client import EvmClient

WHERE = "chain.evm"
LOCAL = "local"
_NO_WRAPPED = "0x" + "00" * 20


def _addresses(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    """Validator: at least one node, each a plain address without what may be a key, or a reference to the whole address."""
    if not value:
        raise ValueError(
            'names no node; expected a table such as { mine = "http://127.0.0.1:8545", other = "env:NODE_URL" }'
        )
    for name, text in value.items():
        if is_reference(text):
            continue
        if urlsplit(text).scheme not in ("http", "https"):
            raise ValueError(
                f'.{name} is no address of a node; expected http://HOST:PORT, or a reference such as "env:NODE_URL"'
            )
        if secrets_of(text):
            raise ValueError(
                f'.{name} holds what may be a key; expected a reference to the whole address, "env:NAME" or "file:PATH"'
            )


@attrs.frozen(kw_only=True)
class EvmToken:
    """A token beside the pinned ones."""

    address: str = key(attrs.NOTHING, "Address of the contract.", min_len(1))
    decimals: int = key(attrs.NOTHING, "Decimals; the contract must say the same.", ge(0), le(36))
    quirks: tuple[Quirk, ...] = key((), f"How it departs from the standard: {', '.join(QUIRKS)}.")


@attrs.frozen(kw_only=True)
class EvmFeed:
    """A price source."""

    address: str = key(
        attrs.NOTHING, "Address of the contract; it answers latestRoundData, as Chainlink's do.", min_len(1)
    )
    heartbeat_seconds: int = key(3_600, "How old its price may be; its own heartbeat.", ge(1), le(7 * 86_400))


@attrs.frozen(kw_only=True)
class EvmSection:
    """An EVM chain and its nodes."""

    chain: str = key(
        "ethereum",
        f"The chain: {', '.join(chain.name for chain in KNOWN_CHAINS)}, or local for a test chain of one's own.",
        min_len(1),
    )
    endpoints: dict[str, str] = key(
        attrs.NOTHING,
        "Nodes by a name of your choice: an address without a key, or a reference to the whole address (env:NAME, file:PATH).",
        _addresses,
    )
    genesis: str = key("", "Hash of the chain's first block; a node with another one is not asked. Empty: not checked.")
    fee_cap_gwei: float = key(200.0, "Most that is ever offered per unit of gas, tip included.", gt(0.0), le(100_000.0))
    finality: Literal["finalized"] | int | None = key(
        None,
        "When a block is final: finalized (the nodes' own word), or under so many others; absent: the chain's own rule.",
    )
    block_seconds: float | None = key(
        None, "Nominal time between blocks, to tell an old head by; 0 tells none; absent: the chain's own."
    )
    timeout_seconds: float = key(5.0, "How long a node may take to answer.", gt(0.0), le(60.0))
    health_min: float = key(
        1.05, "Health factor on Aave below which no order may leave the treasury.", ge(1.0), le(100.0)
    )
    feeds: dict[str, EvmFeed] = key(
        attrs.Factory(dict),
        "Price sources by symbol, all in one currency; a swap or mint without them is refused, except on a local chain.",
    )
    slippage_max_bps: int = key(
        100,
        "How much less than by the price sources a swap may ask for, and a mint be worth, in hundredths of a percent.",
        ge(0),
        le(1_000),
    )
    wrapped: str = key("", "Address of the wrapped native coin, on a local chain.")
    tokens: dict[str, EvmToken] = key(attrs.Factory(dict), "Tokens beside the pinned ones, by symbol.")
    contracts: dict[str, str] = key(
        attrs.Factory(dict),
        "Contracts that orders may call, by role, in place of the pinned ones: uniswap_v3_router, uniswap_v3_positions, "
        "aave_v3_pool, aave_v3_provider.",
    )
    vaults: dict[str, str] = key(attrs.Factory(dict), "ERC-4626 vaults that orders may call, by a name of your choice.")


def client(section: EvmSection, context: ChainContext) -> EvmClient:
    """The client of a configured chain. No node is asked yet. Raises ConfigError naming the key that cannot be."""
    from treasury_arena_evm.live.client import EvmClient
    from treasury_arena_evm.live.nodes import Address, Nodes

    chain = _chain(section)
    tokens = _tokens(section, context, chain)
    contracts = contracts_of(chain, tokens, section.contracts, section.vaults.items(), WHERE)
    sender = address_of("live.address", context.sender)
    addresses = {name: Address(dereference(text)) for name, text in section.endpoints.items()}
    nodes = Nodes(addresses, chain.id, section.genesis, timeout_seconds=section.timeout_seconds)
    policy = FeePolicy(cap_raw=int(section.fee_cap_gwei * GWEI))
    return EvmClient(
        chain, nodes, tokens, sender, policy, contracts, context.clock, section.health_min, _prices(section, chain)
    )


def _prices(section: EvmSection, chain: Chain) -> Prices:
    feeds = {
        symbol: Feed(address_of(f"{WHERE}.feeds.{symbol}.address", item.address), item.heartbeat_seconds)
        for symbol, item in section.feeds.items()
    }
    return Prices(feeds, section.slippage_max_bps, required=not chain.local)


def _chain(section: EvmSection) -> Chain:
    local = section.chain == LOCAL
    wrapped = address_of(f"{WHERE}.wrapped", section.wrapped) if section.wrapped else _NO_WRAPPED
    known = Chain(LOCAL_ID, LOCAL, "ETH", wrapped, {}, block_seconds=0.0, finality=0, local=True)
    chain = ChainTable((*KNOWN_CHAINS, known))[section.chain]
    if section.wrapped and not local:
        raise ConfigError(f"{WHERE}.wrapped is pinned for {chain.name}; the key is for a local chain")
    if isinstance(section.finality, int) and not 0 <= section.finality <= 10_000:
        raise ConfigError(f"{WHERE}.finality = {section.finality} must be finalized, or 0 to 10000 blocks")
    if isinstance(section.finality, int) and not local and section.finality < 1:
        raise ConfigError(f"{WHERE}.finality = {section.finality}: on {chain.name} no block is final at once")
    if section.block_seconds is not None and not 0.0 <= section.block_seconds <= 3_600.0:
        raise ConfigError(f"{WHERE}.block_seconds = {section.block_seconds:g} must be from 0 to 3600")
    return attrs.evolve(
        chain,
        finality=chain.finality if section.finality is None else section.finality,
        block_seconds=chain.block_seconds if section.block_seconds is None else section.block_seconds,
    )


def _tokens(section: EvmSection, context: ChainContext, chain: Chain) -> TokenTable:
    """The pinned tokens and the configured ones; all decimals are those of the ledger."""
    added = []
    for symbol, item in section.tokens.items():
        address = address_of(f"{WHERE}.tokens.{symbol}.address", item.address)
        added.append(Token(chain.id, symbol, address, item.decimals, frozenset(item.quirks)))
    table = TokenTable(chain, (*KNOWN_TOKENS, *added))
    booked = {asset.symbol: asset for asset in context.assets.values()}
    for token in table:
        known = booked.get(token.symbol)
        if known is not None and known.decimals != token.decimals:
            raise ConfigError(
                f"{WHERE}: {token.symbol} has {token.decimals} decimals on {chain.name}, the ledger has it with {known.decimals}"
            )
    return table
