"""Deploys an Aave v3 market of the 3.0 line and gives its reserves liquidity and debt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.interfaces.aave import (
    ACL_MANAGER,
    CONFIGURATOR,
    DATA_PROVIDER,
    ORACLE,
    POOL,
    PROVIDER,
    RATE_STRATEGY,
    SCALED_TOKEN,
)
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.artifacts import artifact
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.description import Aave, Reserve, TokenAt

ZERO = "0x" + "00" * 20
#: Receives the reserves' share of the interest.
TREASURY = "0x" + "7e" * 20
RAY_PERCENT = 10**25
VARIABLE = 2
FLASHLOAN_PREMIUM_BPS = 5
STABLECOINS = 1  # e-mode category

#: In the order of linking: FlashLoanLogic itself needs BorrowLogic.
LIBRARIES = (
    "SupplyLogic",
    "BorrowLogic",
    "LiquidationLogic",
    "EModeLogic",
    "BridgeLogic",
    "PoolLogic",
    "ConfiguratorLogic",
    "FlashLoanLogic",
)


class ReservePlan(NamedTuple):
    """Risk parameters in basis points (the bonus above 10,000), the rate curve too, and the seed in whole tokens."""

    ltv: int
    threshold: int
    bonus: int
    reserve_factor: int
    curve: tuple[int, int, int, int]
    supplied: int
    borrowed: int


RESERVES = {
    "USDC": ReservePlan(7_500, 7_800, 10_450, 1_000, (9_000, 0, 550, 6_000), 10_000_000, 6_000_000),
    "WETH": ReservePlan(8_000, 8_250, 10_500, 1_500, (8_000, 0, 380, 8_000), 10_000, 3_000),
    "DAI": ReservePlan(7_500, 7_700, 10_500, 2_500, (8_000, 0, 400, 7_500), 10_000_000, 5_000_000),
}
EMODE = (STABLECOINS, 9_300, 9_500, 10_100, ZERO, "Stablecoins")


def deploy_aave(chain: LocalChain, owner: str, tokens: Mapping[str, TokenAt], sources: Mapping[str, str]) -> Aave:
    """The market with a reserve per token, variable rates, prices from `sources`; the owner may administer everything."""
    libraries: dict[str, str] = {}

    def deploy(name: str, interface: Interface | None = None, *arguments: object) -> str:
        code = artifact(name).linked(libraries)
        return chain.deploy(owner, code, (interface or Interface("")).constructor, *arguments)

    for name in LIBRARIES:
        libraries[name] = deploy(name)
    provider = deploy("PoolAddressesProvider", PROVIDER, "Local market", owner)

    def administer(function: str, argument: str) -> None:
        chain.send(owner, provider, PROVIDER.function(function), argument)

    administer("setACLAdmin", owner)
    acl = deploy("ACLManager", ACL_MANAGER, provider)
    administer("setACLManager", acl)
    chain.send(owner, acl, ACL_MANAGER.function("addPoolAdmin"), owner)
    chain.send(owner, acl, ACL_MANAGER.function("addEmergencyAdmin"), owner)
    addresses = [token.address for token in tokens.values()]
    feeds = [sources[symbol] for symbol in tokens]
    oracle = deploy("AaveOracle", ORACLE, provider, addresses, feeds, ZERO, ZERO, 10**8)
    administer("setPriceOracle", oracle)
    administer("setPoolImpl", deploy("Pool", POOL, provider))
    administer("setPoolConfiguratorImpl", deploy("PoolConfigurator"))
    pool = checksummed(chain.call(provider, PROVIDER.function("getPool")))
    configurator = checksummed(chain.call(provider, PROVIDER.function("getPoolConfigurator")))
    data_provider = deploy("AaveProtocolDataProvider", DATA_PROVIDER, provider)
    administer("setPoolDataProvider", data_provider)

    def configure(function: str, *arguments: object) -> None:
        chain.send(owner, configurator, CONFIGURATOR.function(function), *arguments)

    configure("updateFlashloanPremiumTotal", FLASHLOAN_PREMIUM_BPS)
    kinds = [deploy(name, SCALED_TOKEN, pool) for name in ("AToken", "StableDebtToken", "VariableDebtToken")]
    strategies = {
        symbol: deploy("DefaultReserveInterestRateStrategy", RATE_STRATEGY, provider, *_rates(RESERVES[symbol]))
        for symbol in tokens
    }
    configure("initReserves", [_opening(token, kinds, strategies[symbol]) for symbol, token in tokens.items()])
    for symbol, token in tokens.items():
        plan = RESERVES[symbol]
        configure("configureReserveAsCollateral", token.address, plan.ltv, plan.threshold, plan.bonus)
        configure("setReserveBorrowing", token.address, True)
        configure("setReserveFactor", token.address, plan.reserve_factor)
        configure("setReserveFlashLoaning", token.address, True)
    configure("setEModeCategory", *EMODE)
    for symbol in ("USDC", "DAI"):
        configure("setAssetEModeCategory", tokens[symbol].address, STABLECOINS)
    reserves = {}
    for symbol, token in tokens.items():
        found = chain.call(data_provider, DATA_PROVIDER.function("getReserveTokensAddresses"), token.address)
        a_token, stable, variable = map(checksummed, found)
        reserves[symbol] = Reserve(token.address, a_token, stable, variable, strategies[symbol], sources[symbol])
    return Aave(provider, pool, configurator, data_provider, oracle, acl, TREASURY, reserves)


def _rates(plan: ReservePlan) -> tuple[int, ...]:
    """The strategy's nine numbers in ray; the stable rates' are idle, for stable borrowing stays off."""
    variable = tuple(value * RAY_PERCENT // 100 for value in plan.curve)
    return (*variable, 0, 0, 0, 0, 20 * RAY_PERCENT)


def _opening(token: TokenAt, kinds: list[str], strategy: str) -> tuple[object, ...]:
    a_token, stable, variable = kinds
    names = [f"{prefix}{token.symbol}" for prefix in ("Local ", "a", "Local variable debt ", "variableDebt")]
    names += [f"{prefix}{token.symbol}" for prefix in ("Local stable debt ", "stableDebt")]
    implementations = (a_token, stable, variable, token.decimals, strategy, token.address, TREASURY, ZERO)
    return (*implementations, *names, b"")


def seed_aave(chain: LocalChain, maker: str, tokens: Mapping[str, TokenAt], aave: Aave) -> None:
    """The maker supplies and borrows in every reserve, so that rates are not zero."""
    for symbol, token in tokens.items():
        amount = RESERVES[symbol].supplied * 10**token.decimals
        chain.send(maker, token.address, ERC20.function("approve"), aave.pool, amount)
        chain.send(maker, aave.pool, POOL.function("supply"), token.address, amount, maker, 0)
    for symbol, token in tokens.items():
        amount = RESERVES[symbol].borrowed * 10**token.decimals
        chain.send(maker, aave.pool, POOL.function("borrow"), token.address, amount, VARIABLE, 0, maker)
