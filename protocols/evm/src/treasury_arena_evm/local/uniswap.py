"""Deploys Uniswap v3 and v2 and gives their pools liquidity."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import NamedTuple

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import (
    V2_FACTORY,
    V2_ROUTER,
    V3_FACTORY,
    V3_POOL,
    V3_POSITIONS,
    V3_QUOTER,
    V3_ROUTER,
    V3_ROUTER02,
    V3_TICK_LENS,
)
from treasury_arena_evm.local.artifacts import artifact, own_contracts
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.description import MarketOptions, TokenAt, Uniswap, pair_name

ZERO = "0x" + "00" * 20
FOREVER = 2**255
TICK_MAX = 887_272

#: The house's caller of pools without a router: positions belong to who calls it, tokens are taken from the same.
CALLER = Interface("""
    function mint(address pool, int24 lower, int24 upper, uint128 amount) returns (uint256 amount0, uint256 amount1)
    function swap(address pool, bool zeroForOne, int256 amount, uint160 limit) returns (int256 amount0, int256 amount1)
""")


class PoolPlan(NamedTuple):
    """A pool: whole tokens of `a` that buy so many of `b`, the fee in hundredths of a basis point, the tick spacing."""

    a: str
    b: str
    price: tuple[int, int]
    fee: int
    spacing: int


POOLS = (
    PoolPlan("WETH", "USDC", (1, 2_000), 500, 10),
    PoolPlan("WETH", "USDC", (1, 2_000), 3_000, 60),
    PoolPlan("WETH", "USDC", (1, 2_000), 10_000, 200),
    PoolPlan("DAI", "USDC", (1, 1), 100, 1),
    PoolPlan("WETH", "DAI", (1, 2_000), 3_000, 60),
)
PAIRS = (("WETH", 500, "USDC", 1_000_000), ("DAI", 1_000_000, "USDC", 1_000_000))
#: The maker's positions in each pool: half width in ticks (0: the whole range) and whole US dollars offered per side.
POSITIONS = ((0, 1_000_000), (6_000, 1_000_000), (1_200, 1_000_000), (200, 500_000))
#: Whole tokens for one US dollar, above one.
PER_DOLLAR = {"USDC": (1, 1), "DAI": (1, 1), "WETH": (1, 2_000)}


def sqrt_price_x96(raw0: int, raw1: int) -> int:
    """sqrt(raw1 / raw0) * 2**96 rounded down: a pool's price when raw0 of token0 is worth raw1 of token1."""
    return isqrt((raw1 << 192) // raw0)


def ordered(a: TokenAt, b: TokenAt) -> tuple[TokenAt, TokenAt]:
    """The two tokens as a pool has them: by address."""
    return (a, b) if int(a.address, 16) < int(b.address, 16) else (b, a)


def deploy_uniswap(chain: LocalChain, owner: str, tokens: Mapping[str, TokenAt], options: MarketOptions) -> Uniswap:
    """Both factories, routers, quoter and pools at their prices, still without liquidity."""

    def deploy(name: str, interface: Interface, *arguments: object) -> str:
        return chain.deploy(owner, artifact(name).code, interface.constructor, *arguments)

    weth = tokens["WETH"].address
    factory = deploy("UniswapV3Factory", V3_FACTORY)
    chain.send(owner, factory, V3_FACTORY.function("enableFeeAmount"), 100, 1)
    # The descriptor serves the picture of a position only.
    positions = deploy("NonfungiblePositionManager", V3_POSITIONS, factory, weth, ZERO)
    v2_factory = deploy("UniswapV2Factory", V2_FACTORY, owner)
    pools = {}
    for plan in POOLS:
        pools[f"{pair_name(plan.a, plan.b)}:{plan.fee}"] = pool = _pool(chain, owner, tokens, factory, positions, plan)
        if options.protocol_fee:
            chain.send(owner, pool, V3_POOL.function("setFeeProtocol"), options.protocol_fee, options.protocol_fee)
    pairs = {}
    for a, _, b, _ in PAIRS:
        couple = tokens[a].address, tokens[b].address
        chain.send(owner, v2_factory, V2_FACTORY.function("createPair"), *couple)
        pairs[pair_name(a, b)] = checksummed(chain.call(v2_factory, V2_FACTORY.function("getPair"), *couple))
    return Uniswap(
        factory=factory,
        positions=positions,
        router=deploy("SwapRouter", V3_ROUTER, factory, weth),
        router02=deploy("SwapRouter02", V3_ROUTER02, v2_factory, factory, positions, weth),
        quoter=deploy("QuoterV2", V3_QUOTER, factory, weth),
        tick_lens=deploy("TickLens", V3_TICK_LENS),
        v2_factory=v2_factory,
        v2_router=deploy("UniswapV2Router02", V2_ROUTER, v2_factory, weth),
        caller=chain.deploy(owner, own_contracts()["Caller"].code, CALLER.constructor),
        pools=pools,
        pairs=pairs,
    )


def _pool(
    chain: LocalChain, owner: str, tokens: Mapping[str, TokenAt], factory: str, positions: str, plan: PoolPlan
) -> str:
    a, b = tokens[plan.a], tokens[plan.b]
    worth = {plan.a: plan.price[0] * 10**a.decimals, plan.b: plan.price[1] * 10**b.decimals}
    token0, token1 = ordered(a, b)
    price = sqrt_price_x96(worth[token0.symbol], worth[token1.symbol])
    create = V3_POSITIONS.function("createAndInitializePoolIfNecessary")
    chain.send(owner, positions, create, token0.address, token1.address, plan.fee, price)
    return checksummed(chain.call(factory, V3_FACTORY.function("getPool"), token0.address, token1.address, plan.fee))


def seed_uniswap(chain: LocalChain, maker: str, tokens: Mapping[str, TokenAt], uniswap: Uniswap) -> None:
    """The maker's positions around the price in every v3 pool, and its liquidity in every v2 pair."""
    for token in tokens.values():
        for spender in (uniswap.positions, uniswap.v2_router):
            chain.send(maker, token.address, ERC20.function("approve"), spender, 2**256 - 1)
    for plan in POOLS:
        token0, token1 = ordered(tokens[plan.a], tokens[plan.b])
        tick = chain.call(uniswap.pool(plan.a, plan.b, plan.fee), V3_POOL.function("slot0"))[1]
        middle, limit = tick // plan.spacing * plan.spacing, TICK_MAX // plan.spacing * plan.spacing
        for half, dollars in POSITIONS:
            width = max(half // plan.spacing, 1) * plan.spacing
            lower, upper = (middle - width, middle + width) if half else (-limit, limit)
            amounts = [
                dollars * PER_DOLLAR[t.symbol][0] * 10**t.decimals // PER_DOLLAR[t.symbol][1] for t in (token0, token1)
            ]
            order = (token0.address, token1.address, plan.fee, lower, upper, *amounts, 0, 0, maker, FOREVER)
            chain.send(maker, uniswap.positions, V3_POSITIONS.function("mint"), order)
    for a, amount_a, b, amount_b in PAIRS:
        x, y = amount_a * 10 ** tokens[a].decimals, amount_b * 10 ** tokens[b].decimals
        couple = tokens[a].address, tokens[b].address
        chain.send(maker, uniswap.v2_router, V2_ROUTER.function("addLiquidity"), *couple, x, y, 0, 0, maker, FOREVER)
