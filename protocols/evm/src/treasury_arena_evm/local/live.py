"""The local market as a chain of live orders: its configuration, its client, a clock of its time, and a signer in this process.

For tests of planners, engines and daemons, the house's and anyone's. Keys of the local chain are public; no other belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from treasury_arena.clock import Clock, from_epoch
from treasury_arena.contracts.chain import ChainContext, Signed, TransactionSigner, Unsigned
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena_evm.live.config import LOCAL, EvmSection, EvmToken, client
from treasury_arena_evm.live.transactions import fields_of

if TYPE_CHECKING:
    from treasury_arena_evm.live.client import EvmClient
    from treasury_arena_evm.local.accounts import Account
    from treasury_arena_evm.local.chain import LocalChain
    from treasury_arena_evm.local.market import LocalMarket


class ChainClock:
    """Wall time as the chain's latest block tells it."""

    def __init__(self, chain: LocalChain) -> None:
        self._chain = chain

    def now(self) -> datetime:
        return from_epoch(self._chain.now)


class LocalSigner(TransactionSigner):
    """Signs at once with an account of the local chain; `asked` keeps what for."""

    def __init__(self, account: Account) -> None:
        self.address = account.address
        self._signer = account.signer
        self.asked: list[Unsigned] = []

    def sign(self, transaction: Unsigned) -> Signed:
        self.asked.append(transaction)
        signed = self._signer.sign_transaction(fields_of(transaction))
        return Signed("0x" + bytes(signed.hash).hex(), "0x" + bytes(signed.raw_transaction).hex())


def live_section(market: LocalMarket, endpoints: Mapping[str, str] | None = None, **keys: Any) -> EvmSection:
    """The section ``chain.evm`` of a local market: its tokens, its contracts, its vault, one node unless others are given."""
    tokens = {symbol: EvmToken(address=item.address, decimals=item.decimals) for symbol, item in market.tokens.items()}
    contracts = {
        "uniswap_v3_router": market.uniswap.router02,
        "uniswap_v3_positions": market.uniswap.positions,
        "aave_v3_provider": market.aave.provider,
    }
    given: dict[str, Any] = {
        "chain": LOCAL,
        "endpoints": dict(endpoints or {"anvil": market.url}),
        "wrapped": market.token("WETH").address,
        "tokens": tokens,
        "contracts": contracts,
        "vaults": {"usdc": market.vault},
    }
    return EvmSection(**{**given, **keys})


def live_client(
    market: LocalMarket,
    account: Account,
    endpoints: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    **keys: Any,
) -> EvmClient:
    """The client of a local market for one account as the treasury; `keys` are those of `EvmSection`."""
    assets = AssetTable(Asset(item.symbol, item.decimals) for item in market.tokens.values())
    context = ChainContext(assets, clock or ChainClock(market.chain), account.address)
    return client(live_section(market, endpoints, **keys), context)
