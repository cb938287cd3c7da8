"""Deploys Aave v3 3.6.0 beside the local market's own Aave, on the same tokens and price sources, and mirrors it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from treasury_arena_aave.exact.errors import SENTENCES, RefusalError
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import ReserveConfig
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import V3_5
from treasury_arena_aave.mirror import PoolAt, ReserveAt
from treasury_arena_aave.origin.compile import contracts
from treasury_arena_aave.parity import PROTOCOL_FEE_BPS, Prepared, Target, actors
from treasury_arena_aave.parity_operations import FIELDS, KINDS
from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.interfaces.aave import ACL_MANAGER, CONFIGURATOR, ORACLE, POOL, POOL_LATER, PROVIDER
from treasury_arena_evm.local.aave import RESERVES

if TYPE_CHECKING:
    from treasury_arena_evm.local.market import LocalMarket

ZERO = "0x" + "00" * 20
RAY_OF_BPS = 10**23
LIBRARIES = ("BorrowLogic", "SupplyLogic", "LiquidationLogic", "PoolLogic", "ConfiguratorLogic", "FlashLoanLogic")
#: What differs from the 3.0 line's interfaces.
ADMIN = Interface("""
    struct InitReserve { address aTokenImpl; address variableDebtTokenImpl; address underlyingAsset; string aTokenName;
        string aTokenSymbol; string variableDebtTokenName; string variableDebtTokenSymbol; bytes params;
        bytes interestRateData; }
    function initReserves(InitReserve[] input)
""")


def _constructor(arguments: str) -> Interface:
    return Interface(f"constructor({arguments})")


def deploy(market: LocalMarket) -> PoolAt:
    """A fresh market of 3.6.0 with the local market's tokens, prices and risk parameters, empty."""
    chain, owner, compiled = market.chain, market.owner.address, contracts()
    libraries: dict[str, str] = {}

    def make(name: str, arguments: str = "", *values: object) -> str:
        interface = _constructor(arguments) if arguments else Interface("")
        return chain.deploy(owner, compiled[name].linked(libraries), interface.constructor, *values)

    for name in LIBRARIES:
        libraries[name] = make(name)
    provider = make("PoolAddressesProvider", "string marketId, address owner", "Later local market", owner)

    def administer(function: str, argument: str) -> None:
        chain.send(owner, provider, PROVIDER.function(function), argument)

    administer("setACLAdmin", owner)
    acl = make("ACLManager", "address provider", provider)
    administer("setACLManager", acl)
    chain.send(owner, acl, ACL_MANAGER.function("addPoolAdmin"), owner)
    chain.send(owner, acl, ACL_MANAGER.function("addEmergencyAdmin"), owner)
    tokens = market.tokens
    sources = [market.aave.reserve(symbol).source for symbol in tokens]
    code = compiled["AaveOracle"].linked(libraries)
    assets = [token.address for token in tokens.values()]
    oracle = chain.deploy(owner, code, ORACLE.constructor, provider, assets, sources, ZERO, ZERO, 10**8)
    administer("setPriceOracle", oracle)
    curve = make("DefaultReserveInterestRateStrategyV2", "address provider", provider)
    administer("setPoolImpl", make("PoolInstance", "address provider, address strategy", provider, curve))
    pool = str(chain.call(provider, PROVIDER.function("getPool")))
    administer("setPoolConfiguratorImpl", make("PoolConfiguratorInstance"))
    configurator = str(chain.call(provider, PROVIDER.function("getPoolConfigurator")))
    data = make("AaveProtocolDataProvider", "address provider", provider)
    administer("setPoolDataProvider", data)
    a_token = make(
        "ATokenInstance", "address pool, address rewards, address treasury", pool, ZERO, market.aave.treasury
    )
    debt = make("VariableDebtTokenInstance", "address pool, address rewards", pool, ZERO)
    openings = [
        (a_token, debt, token.address, "a", "a", "d", "d", b"", _curve_bytes(symbol))
        for symbol, token in tokens.items()
    ]
    chain.send(owner, configurator, ADMIN.function("initReserves"), openings)
    reserves = {}
    for number, (symbol, token) in enumerate(tokens.items()):
        _configure(market, configurator, symbol)
        names = ("getReserveAToken", "getReserveVariableDebtToken")
        a, d = (str(chain.call(pool, POOL_LATER.function(name), token.address)) for name in names)
        reserves[symbol] = ReserveAt(token.address, a, d, number)
    return PoolAt(provider, pool, configurator, oracle, data, reserves)


def _curve_bytes(symbol: str) -> bytes:
    """Optimal usage, base, slope 1 and slope 2 in basis points, a word each."""
    return b"".join(value.to_bytes(32, "big") for value in RESERVES[symbol].curve)


def _configure(market: LocalMarket, configurator: str, symbol: str) -> None:
    plan, asset = RESERVES[symbol], market.token(symbol).address
    for function, arguments in (
        ("configureReserveAsCollateral", (plan.ltv, plan.threshold, plan.bonus)),
        ("setReserveBorrowing", (True,)),
        ("setReserveFactor", (plan.reserve_factor,)),
        ("setLiquidationProtocolFee", (PROTOCOL_FEE_BPS,)),
    ):
        market.chain.send(market.owner.address, configurator, CONFIGURATOR.function(function), asset, *arguments)


def prepare(market: LocalMarket) -> Prepared:
    """Deploy, fund the users, and mirror the empty reserves."""
    at = deploy(market)
    users = actors(market, at.pool)
    pool = Pool(V3_5, market.chain.now)
    for symbol, found in at.reserves.items():
        plan, decimals = RESERVES[symbol], market.token(symbol).decimals
        config = ReserveConfig(
            decimals, plan.ltv, plan.threshold, plan.bonus, plan.reserve_factor, protocol_fee=PROTOCOL_FEE_BPS
        )
        strategy = RateStrategy(*(value * RAY_OF_BPS for value in plan.curve))
        price = int(market.chain.call(at.oracle, ORACLE.function("getAssetPrice"), found.asset))
        pool.list_reserve(symbol, config, strategy, price)
        state = market.chain.call(at.pool, POOL.function("getReserveData"), found.asset)
        pool.reserves[symbol] = attrs.evolve(
            pool.reserves[symbol], liquidity_rate=state[2], borrow_rate=state[4], updated=state[6]
        )
    return Prepared(at, users, pool)


def code_of(reason: str) -> str:
    """The refusal's code from a custom error's selector."""
    if reason.startswith("panic 0x11"):
        return "0x11"
    return _selectors().get(reason[:10], "transfer")


def _selectors() -> dict[str, str]:
    signatures = {code: RefusalError(code, V3_5.name).signature for code in SENTENCES}
    return {"0x" + keccak(signature.encode())[:4].hex(): code for code, signature in signatures.items()}


#: E-mode by bitmaps, and freezing with its loan-to-value of zero, work otherwise there and are left out.
ORIGIN = Target(
    "@aave-dao/aave-v3-origin 3.6.0, compiled with solc 0.8.27",
    prepare,
    code_of,
    {kind: weight for kind, weight in KINDS.items() if kind != "emode"},
    tuple(field for field in FIELDS if field not in ("emode", "ltv", "frozen")),
    deficits=True,
)
