"""Pinned chains: what each is called, how it pays and settles, and where the contracts that the house uses stand.

Sources, each address confirmed in two of them on 2026-11-26 (and by its EIP-55 checksum in tests):

- Uniswap v3: docs.uniswap.org "v3 deployments" of each chain; github.com/Uniswap/v3-periphery ``deploys.md``.
- Uniswap v2: docs.uniswap.org "V2 Deployment Addresses"; published code of users, factory and router together.
- Aave v3: github.com/bgd-labs/aave-address-book ``src/AaveV3*.sol``; published code of users. Only the PoolAddressesProvider
  is pinned: pool, oracle and data provider are asked of it, for upgrades replace them.
- Wrapped native coins: docs.uniswap.org; the Aave address book.

Block times are nominal and serve as waiting times only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import attrs

from treasury_arena.errors import ConfigError, nearest

#: What is pinned per chain; not every chain has every one.
Role = Literal[
    "uniswap_v3_factory",
    "uniswap_v3_positions",
    "uniswap_v3_router",
    "uniswap_v3_quoter",
    "uniswap_v3_tick_lens",
    "uniswap_v2_factory",
    "uniswap_v2_router",
    "aave_v3_provider",
]

#: When a block can no longer be replaced: "finalized" asks the node for its finalized block (Ethereum, and rollups that inherit
#: it from there), a number waits for so many blocks on top.
Finality = Literal["finalized"] | int


@attrs.frozen
class Chain:
    """A chain: `native` pays for gas, `wrapped` is its ERC-20, `contracts` are addresses by role, `block_seconds` is nominal."""

    id: int
    name: str
    native: str
    wrapped: str
    contracts: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    block_seconds: float = 12.0
    finality: Finality = "finalized"
    local: bool = False

    def contract(self, role: Role) -> str:
        """Address of a contract by its role; ConfigError when the chain has none pinned."""
        if role not in self.contracts:
            raise ConfigError(f"chain {self.name!r} has no contract {role!r}; {nearest(role, self.contracts)}")
        return self.contracts[role]


#: The same on Ethereum, Arbitrum, Optimism and Polygon.
_UNISWAP_V3 = {
    "uniswap_v3_factory": "0x1F98431c8aD98523631AE4a59f267346ea31F984",
    "uniswap_v3_positions": "0xC36442b4a4522E871399CD717aBDD847Ab11FE88",
    "uniswap_v3_router": "0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45",  # SwapRouter02
    "uniswap_v3_quoter": "0x61fFE014bA17989E743c5F6cB21bF9697530B21e",  # QuoterV2
    "uniswap_v3_tick_lens": "0xbfd8137f7d1516D3ea5cA83523914859ec47F573",
}
#: The same on Arbitrum, Optimism and Polygon.
_AAVE_V3 = "0xa97684ead0e402dC232d5A977953DF7ECBaB3CDb"

ETHEREUM = Chain(
    1,
    "ethereum",
    "ETH",
    "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    {
        **_UNISWAP_V3,
        "uniswap_v2_factory": "0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f",
        "uniswap_v2_router": "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D",
        "aave_v3_provider": "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e",
    },
)
ARBITRUM = Chain(
    42161,
    "arbitrum",
    "ETH",
    "0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
    {
        **_UNISWAP_V3,
        "uniswap_v2_factory": "0xf1D7CC64Fb4452F05c498126312eBE29f30Fbcf9",
        "uniswap_v2_router": "0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24",
        "aave_v3_provider": _AAVE_V3,
    },
    block_seconds=0.25,
)
BASE = Chain(
    8453,
    "base",
    "ETH",
    "0x4200000000000000000000000000000000000006",
    {
        "uniswap_v3_factory": "0x33128a8fC17869897dcE68Ed026d694621f6FDfD",
        "uniswap_v3_positions": "0x03a520b32C04BF3bEEf7BEb72E919cf822Ed34f1",
        "uniswap_v3_router": "0x2626664c2603336E57B271c5C0b26F421741e481",
        "uniswap_v3_quoter": "0x3d4e44Eb1374240CE5F1B871ab261CD16335B76a",
        "uniswap_v3_tick_lens": "0x0CdeE061c75D43c82520eD998C23ac2991c9ac6d",
        "uniswap_v2_factory": "0x8909Dc15e40173Ff4699343b6eB8132c65e18eC6",
        "uniswap_v2_router": "0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24",
        "aave_v3_provider": "0xe20fCBdBfFC4Dd138cE8b2E6FBb6CB49777ad64D",
    },
    block_seconds=2.0,
)
OPTIMISM = Chain(
    10,
    "optimism",
    "ETH",
    "0x4200000000000000000000000000000000000006",
    {
        **_UNISWAP_V3,
        "uniswap_v2_factory": "0x0c3c1c532F1e39EdF36BE9Fe0bE1410313E074Bf",
        "uniswap_v2_router": "0x4A7b5Da61326A6379179b40d00F57E5bbDC962c2",
        "aave_v3_provider": _AAVE_V3,
    },
    block_seconds=2.0,
)
POLYGON = Chain(
    137,
    "polygon",
    "POL",
    "0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270",
    {
        **_UNISWAP_V3,
        "uniswap_v2_factory": "0x9e5A52f57b3038F1B8EeE45F28b3C1967e22799C",
        "uniswap_v2_router": "0xedf6066a2b290C185783862C7F4776A2C8077AD1",
        "aave_v3_provider": _AAVE_V3,
    },
    block_seconds=2.0,
)
KNOWN_CHAINS = (ETHEREUM, ARBITRUM, BASE, OPTIMISM, POLYGON)

LOCAL_ID = 31337


def ephemeral_chain(wrapped: str, contracts: Mapping[str, str]) -> Chain:
    """The chain of a test node, whose contracts were deployed a moment ago and whose blocks are final at once."""
    return Chain(LOCAL_ID, "local", "ETH", wrapped, dict(contracts), block_seconds=0.0, finality=0, local=True)


class ChainTable(Mapping[str, Chain]):
    """Chains by name; an unknown name is refused with the nearest known one."""

    def __init__(self, chains: Iterable[Chain] = KNOWN_CHAINS) -> None:
        self._chains = {chain.name: chain for chain in chains}

    def __getitem__(self, name: str) -> Chain:
        if name not in self._chains:
            raise ConfigError(f"unknown chain {name!r}; {nearest(name, self._chains)}")
        return self._chains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._chains)

    def __len__(self) -> int:
        return len(self._chains)

    def name_of(self, chain_id: int) -> str:
        """What to call a chain in a sentence: its name, or its id."""
        return next((chain.name for chain in self._chains.values() if chain.id == chain_id), f"chain {chain_id}")
