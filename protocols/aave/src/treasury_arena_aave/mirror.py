"""An exact pool built from what a chain says: configuration, reserves, users, prices and time of one block.

For quotes (what will an operation do) and for parity (does the engine follow the contracts). Reads contracts of the 3.0
line and of 3.6, whose e-modes by bitmaps are not modelled; web3 is not needed, any reader with a `call` will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import EMode, ReserveConfig, ReserveState
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import V3_0, Version
from treasury_arena_evm.abi import Read
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.interfaces.aave import (
    DATA_PROVIDER,
    ORACLE,
    POOL,
    POOL_LATER,
    PROVIDER,
    RATE_STRATEGY,
    RATE_STRATEGY_LATER,
    SCALED_TOKEN,
)
from treasury_arena_evm.interfaces.tokens import ERC20

ZERO = "0x" + "00" * 20
_FACTS = (
    "getReserveConfigurationData",
    "getReserveCaps",
    "getLiquidationProtocolFee",
    "getPaused",
    "getInterestRateStrategyAddress",
)


class Reader(Protocol):
    """Anything that reads contracts: the one output of a function, or a tuple of several."""

    def call(self, to: str, function: Any, *arguments: Any) -> Any:
        """Call a view."""


@attrs.frozen
class ReserveAt:
    """Addresses of a reserve: the underlying token, its aToken and its variable debt token, and its place in the list."""

    asset: str
    a_token: str
    debt_token: str
    number: int


@attrs.frozen
class PoolAt:
    """Addresses of a market, as its PoolAddressesProvider tells them; `reserves` by the caller's names."""

    provider: str
    pool: str
    configurator: str
    oracle: str
    data_provider: str
    reserves: Mapping[str, ReserveAt]

    @classmethod
    def read(cls, reader: Reader, provider: str, assets: Mapping[str, str]) -> PoolAt:
        """The addresses; `assets` are the reserves wanted: name -> token address, in the pool's order afterwards."""
        pool, configurator, oracle, data = (
            checksummed(reader.call(provider, PROVIDER.function(name)))
            for name in ("getPool", "getPoolConfigurator", "getPriceOracle", "getPoolDataProvider")
        )
        listed = [str(found).lower() for found in reader.call(pool, POOL.function("getReservesList"))]
        found: dict[str, ReserveAt] = {}
        for name, asset in sorted(assets.items(), key=lambda item: _place(listed, item[1])):
            if asset.lower() in listed:
                a_token, _, debt = reader.call(data, DATA_PROVIDER.function("getReserveTokensAddresses"), asset)
                found[name] = ReserveAt(asset, checksummed(a_token), checksummed(debt), listed.index(asset.lower()))
        return cls(provider, pool, configurator, oracle, data, found)


def _place(listed: list[str], asset: str) -> int:
    return listed.index(asset.lower()) if asset.lower() in listed else len(listed)


def read_pool(
    reader: Reader,
    at: PoolAt,
    users: Mapping[str, str],
    now: int,
    version: Version = V3_0,
    categories: int = 3,
    curves: dict[str, RateStrategy] | None = None,
) -> Pool:
    """The pool as of `now`, the time of the block that is read.

    Args:
        users: name -> address of everybody whose balances are wanted; totals count everybody anyway.
        categories: e-mode categories 1 to this are looked for.
        curves: rate curves by their contract's address, which never change; kept here between reads.
    """
    pool, curves = Pool(version, now), {} if curves is None else curves
    if version.later:
        categories = 0
    names = {found.asset.lower(): name for name, found in at.reserves.items()}
    for number in range(1, categories + 1):
        ltv, threshold, bonus, source, _ = reader.call(at.pool, POOL.function("getEModeCategoryData"), number)
        if threshold:
            # A source that is a reserve's own token goes by the reserve's name, so that one price serves both.
            name = None if source == ZERO else names.get(str(source).lower(), str(source))
            pool.categories[number] = EMode(ltv, threshold, bonus, name)
            if name is not None:
                pool.set_price(name, _price(reader, at, str(source)))
    for name, found in at.reserves.items():
        config, state = _reserve(reader, at, found, curves, later=version.later)
        pool.configs[name], pool.reserves[name] = config, state
        pool.prices[name] = _price(reader, at, found.asset)
    for user, address in users.items():
        category = int(reader.call(at.pool, POOL.function("getUserEMode"), address))
        if category and version.later:
            raise ValidationError(
                f"{address} is in e-mode {category} of Aave {version.name} or later, which is not modelled; leave it with 0 first"
            )
        if category:
            pool.emodes[user] = category
        bits = _one(reader.call(at.pool, POOL.function("getUserConfiguration"), address))
        for name, found in at.reserves.items():
            pool.supplies[name, user] = int(
                reader.call(found.a_token, SCALED_TOKEN.function("scaledBalanceOf"), address)
            )
            pool.debts[name, user] = int(
                reader.call(found.debt_token, SCALED_TOKEN.function("scaledBalanceOf"), address)
            )
            pool.borrowings[name, user] = bool(bits >> (2 * found.number) & 1)
            pool.collaterals[name, user] = bool(bits >> (2 * found.number + 1) & 1)
    return pool


def pool_reads(at: PoolAt, users: Iterable[str], version: Version, categories: int = 3) -> Iterator[Read]:
    """What `read_pool` reads whatever the answers are, to be asked for at once; the users' addresses."""
    for number in range(1, 1 + (0 if version.later else categories)):
        yield at.pool, POOL.function("getEModeCategoryData"), (number,)
    for found in at.reserves.values():
        for name in _FACTS if version.later else (*_FACTS, "getReserveEModeCategory"):
            yield at.data_provider, DATA_PROVIDER.function(name), (found.asset,)
        yield at.pool, POOL.function("getReserveData"), (found.asset,)
        yield at.oracle, ORACLE.function("getAssetPrice"), (found.asset,)
        for token in (found.a_token, found.debt_token):
            yield token, SCALED_TOKEN.function("scaledTotalSupply"), ()
            for address in users:
                yield token, SCALED_TOKEN.function("scaledBalanceOf"), (address,)
        if version.later:
            yield at.pool, POOL_LATER.function("getVirtualUnderlyingBalance"), (found.asset,)
        else:
            yield found.asset, ERC20.function("balanceOf"), (found.a_token,)
    for address in users:
        for name in ("getUserEMode", "getUserConfiguration"):
            yield at.pool, POOL.function(name), (address,)


def _price(reader: Reader, at: PoolAt, source: str) -> int:
    return int(reader.call(at.oracle, ORACLE.function("getAssetPrice"), source))


def _one(value: Any) -> int:
    """A struct of one number."""
    return int(value[0]) if isinstance(value, tuple | list) else int(value)


def _curve(reader: Reader, curve: str, asset: str, *, later: bool) -> RateStrategy:
    names = ("getBaseVariableBorrowRate", "getVariableRateSlope1", "getVariableRateSlope2")
    if later:
        asked = ("getOptimalUsageRatio", *names)
        return RateStrategy(*(int(reader.call(curve, RATE_STRATEGY_LATER.function(name), asset)) for name in asked))
    return RateStrategy(
        *(int(reader.call(curve, RATE_STRATEGY.function(name))) for name in ("OPTIMAL_USAGE_RATIO", *names))
    )


def _reserve(
    reader: Reader, at: PoolAt, found: ReserveAt, curves: dict[str, RateStrategy], *, later: bool
) -> tuple[ReserveConfig, ReserveState]:
    asset, data = found.asset, at.data_provider
    facts = reader.call(data, DATA_PROVIDER.function("getReserveConfigurationData"), asset)
    decimals, ltv, threshold, bonus, factor, _, borrowing, _, active, frozen = facts
    borrow_cap, supply_cap = reader.call(data, DATA_PROVIDER.function("getReserveCaps"), asset)
    config = ReserveConfig(
        decimals,
        ltv,
        threshold,
        bonus,
        factor,
        int(reader.call(data, DATA_PROVIDER.function("getLiquidationProtocolFee"), asset)),
        supply_cap,
        borrow_cap,
        0 if later else int(reader.call(data, DATA_PROVIDER.function("getReserveEModeCategory"), asset)),
        active,
        frozen,
        bool(reader.call(data, DATA_PROVIDER.function("getPaused"), asset)),
        borrowing,
    )
    curve = str(reader.call(data, DATA_PROVIDER.function("getInterestRateStrategyAddress"), asset))
    # One contract has the curves of all reserves later on, and they can be changed: they are read each time.
    drawn = None if later else curves.get(curve)
    if drawn is None:
        drawn = curves[curve] = _curve(reader, curve, asset, later=later)
    state = reader.call(at.pool, POOL.function("getReserveData"), asset)
    state = state[0] if len(state) == 1 else state
    return config, ReserveState(
        drawn,
        liquidity_index=state[1],
        borrow_index=state[3],
        liquidity_rate=state[2],
        borrow_rate=state[4],
        accrued=state[12],
        updated=state[6],
        supplied_scaled=int(reader.call(found.a_token, SCALED_TOKEN.function("scaledTotalSupply"))),
        debt_scaled=int(reader.call(found.debt_token, SCALED_TOKEN.function("scaledTotalSupply"))),
        cash=int(
            reader.call(at.pool, POOL_LATER.function("getVirtualUnderlyingBalance"), asset)
            if later
            else reader.call(asset, ERC20.function("balanceOf"), found.a_token)
        ),
    )
