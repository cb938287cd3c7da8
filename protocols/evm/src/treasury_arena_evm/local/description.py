"""What stands where on a deployed market, and what was asked for; plain values that are kept beside a dumped chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import attrs

from treasury_arena.errors import nearest
from treasury_arena_evm.errors import ChainError

Value = TypeVar("Value")

#: Shares of the fees that a v3 pool's protocol can take: none, or one n-th.
PROTOCOL_FEES = (0, 4, 5, 6, 7, 8, 9, 10)


def _protocol_fee(_: Any, __: Any, value: int) -> None:
    if value not in PROTOCOL_FEES:
        raise ChainError(
            f"protocol_fee = {value} is none of {', '.join(map(str, PROTOCOL_FEES))} (one n-th of the fees, 0: none)"
        )


@attrs.frozen
class MarketOptions:
    """How the market is made: whether USDC sorts before WETH and DAI (token0) or after them (token1), the part 1/n of Uniswap's
    v3 fees that goes to the protocol (0: none), and whether pools, reserves and the vault hold a maker's liquidity or are empty.
    """

    usdc_first: bool = True
    protocol_fee: int = attrs.field(default=0, validator=_protocol_fee)
    liquid: bool = True


@attrs.frozen
class TokenAt:
    """A token of the local chain."""

    symbol: str
    address: str
    decimals: int


@attrs.frozen
class Uniswap:
    """Addresses of Uniswap v3 and v2. `pools` and `pairs` by their symbols in alphabetical order.

    Pools are also named by their fee in hundredths of a basis point: ``USDC/WETH:500``.
    """

    factory: str
    positions: str
    router: str
    router02: str
    quoter: str
    tick_lens: str
    v2_factory: str
    v2_router: str
    caller: str
    pools: Mapping[str, str]
    pairs: Mapping[str, str]

    def pool(self, a: str, b: str, fee: int) -> str:
        """Address of a v3 pool; ChainError with the nearest when there is none."""
        return _one(self.pools, f"{pair_name(a, b)}:{fee}", "pool")

    def pair(self, a: str, b: str) -> str:
        """Address of a v2 pair."""
        return _one(self.pairs, pair_name(a, b), "pair")


@attrs.frozen
class Reserve:
    """Addresses of one Aave reserve: its tokens, its rate strategy and its price source."""

    asset: str
    a_token: str
    stable_debt: str
    variable_debt: str
    strategy: str
    source: str


@attrs.frozen
class Aave:
    """Addresses of an Aave v3 market (3.0 line, npm core 1.19.3); `reserves` by symbol."""

    provider: str
    pool: str
    configurator: str
    data_provider: str
    oracle: str
    acl: str
    treasury: str
    reserves: Mapping[str, Reserve]

    def reserve(self, symbol: str) -> Reserve:
        """One reserve; ChainError with the nearest when there is none."""
        return _one(self.reserves, symbol, "reserve")


@attrs.frozen
class Description:
    """Everything a test needs to find on the chain."""

    options: MarketOptions
    tokens: Mapping[str, TokenAt]
    uniswap: Uniswap
    aave: Aave
    vault: str

    def as_json(self) -> dict[str, Any]:
        """The description as JSON's types."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        aave = dict(content["aave"])
        aave["reserves"] = {symbol: Reserve(**item) for symbol, item in aave["reserves"].items()}
        return cls(
            MarketOptions(**content["options"]),
            {symbol: TokenAt(**item) for symbol, item in content["tokens"].items()},
            Uniswap(**content["uniswap"]),
            Aave(**aave),
            content["vault"],
        )


def pair_name(a: str, b: str) -> str:
    """Two symbols in alphabetical order."""
    return "/".join(sorted((a, b)))


def _one(table: Mapping[str, Value], name: str, what: str) -> Value:
    if name not in table:
        raise ChainError(f"the local market has no {what} {name}; {nearest(name, table)}")
    return table[name]
