"""Uniswap v3 (core 1.0, periphery 1.4, SwapRouter02 1.3) and v2."""

from __future__ import annotations

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.interfaces.tokens import ERC20

V3_FACTORY = Interface("""
    function owner() view returns (address)
    function getPool(address tokenA, address tokenB, uint24 fee) view returns (address)
    function feeAmountTickSpacing(uint24 fee) view returns (int24)
    function createPool(address tokenA, address tokenB, uint24 fee) returns (address pool)
    function enableFeeAmount(uint24 fee, int24 tickSpacing)
    event PoolCreated(address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing,
        address pool)
""")

V3_POOL = Interface("""
    function factory() view returns (address)
    function token0() view returns (address)
    function token1() view returns (address)
    function fee() view returns (uint24)
    function tickSpacing() view returns (int24)
    function maxLiquidityPerTick() view returns (uint128)
    function slot0() view returns (uint160 sqrtPriceX96, int24 tick, uint16 observationIndex,
        uint16 observationCardinality, uint16 observationCardinalityNext, uint8 feeProtocol, bool unlocked)
    function feeGrowthGlobal0X128() view returns (uint256)
    function feeGrowthGlobal1X128() view returns (uint256)
    function protocolFees() view returns (uint128 token0, uint128 token1)
    function liquidity() view returns (uint128)
    function ticks(int24 tick) view returns (uint128 liquidityGross, int128 liquidityNet, uint256 feeGrowthOutside0X128,
        uint256 feeGrowthOutside1X128, int56 tickCumulativeOutside, uint160 secondsPerLiquidityOutsideX128,
        uint32 secondsOutside, bool initialized)
    function tickBitmap(int16 word) view returns (uint256)
    function positions(bytes32 key) view returns (uint128 liquidity, uint256 feeGrowthInside0LastX128,
        uint256 feeGrowthInside1LastX128, uint128 tokensOwed0, uint128 tokensOwed1)
    function initialize(uint160 sqrtPriceX96)
    function mint(address recipient, int24 tickLower, int24 tickUpper, uint128 amount, bytes data)
        returns (uint256 amount0, uint256 amount1)
    function burn(int24 tickLower, int24 tickUpper, uint128 amount) returns (uint256 amount0, uint256 amount1)
    function collect(address recipient, int24 tickLower, int24 tickUpper, uint128 amount0Requested,
        uint128 amount1Requested) returns (uint128 amount0, uint128 amount1)
    function swap(address recipient, bool zeroForOne, int256 amountSpecified, uint160 sqrtPriceLimitX96, bytes data)
        returns (int256 amount0, int256 amount1)
    function setFeeProtocol(uint8 feeProtocol0, uint8 feeProtocol1)
    function collectProtocol(address recipient, uint128 amount0Requested, uint128 amount1Requested)
        returns (uint128 amount0, uint128 amount1)
    event Initialize(uint160 sqrtPriceX96, int24 tick)
    event Mint(address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount,
        uint256 amount0, uint256 amount1)
    event Burn(address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0,
        uint256 amount1)
    event Collect(address indexed owner, address recipient, int24 indexed tickLower, int24 indexed tickUpper,
        uint128 amount0, uint128 amount1)
    event Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96,
        uint128 liquidity, int24 tick)
""")

V3_POSITIONS = Interface("""
    struct MintParams { address token0; address token1; uint24 fee; int24 tickLower; int24 tickUpper;
        uint256 amount0Desired; uint256 amount1Desired; uint256 amount0Min; uint256 amount1Min; address recipient;
        uint256 deadline; }
    struct IncreaseParams { uint256 tokenId; uint256 amount0Desired; uint256 amount1Desired; uint256 amount0Min;
        uint256 amount1Min; uint256 deadline; }
    struct DecreaseParams { uint256 tokenId; uint128 liquidity; uint256 amount0Min; uint256 amount1Min;
        uint256 deadline; }
    struct CollectParams { uint256 tokenId; address recipient; uint128 amount0Max; uint128 amount1Max; }
    constructor(address factory, address wrappedNative, address tokenDescriptor)
    function factory() view returns (address)
    function WETH9() view returns (address)
    function ownerOf(uint256 tokenId) view returns (address)
    function balanceOf(address owner) view returns (uint256)
    function tokenOfOwnerByIndex(address owner, uint256 index) view returns (uint256)
    function positions(uint256 tokenId) view returns (uint96 nonce, address operator, address token0, address token1,
        uint24 fee, int24 tickLower, int24 tickUpper, uint128 liquidity, uint256 feeGrowthInside0LastX128,
        uint256 feeGrowthInside1LastX128, uint128 tokensOwed0, uint128 tokensOwed1)
    function createAndInitializePoolIfNecessary(address token0, address token1, uint24 fee, uint160 sqrtPriceX96)
        payable returns (address pool)
    function mint(MintParams params) payable returns (uint256 tokenId, uint128 liquidity, uint256 amount0,
        uint256 amount1)
    function increaseLiquidity(IncreaseParams params) payable returns (uint128 liquidity, uint256 amount0,
        uint256 amount1)
    function decreaseLiquidity(DecreaseParams params) payable returns (uint256 amount0, uint256 amount1)
    function collect(CollectParams params) payable returns (uint256 amount0, uint256 amount1)
    function burn(uint256 tokenId) payable
    function multicall(bytes[] data) payable returns (bytes[] results)
    event IncreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)
    event DecreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)
    event Collect(uint256 indexed tokenId, address recipient, uint256 amount0, uint256 amount1)
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)
""")

#: The first router; its parameters carry a deadline.
V3_ROUTER = Interface("""
    struct ExactInputSingle { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
        uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
    struct ExactInput { bytes path; address recipient; uint256 deadline; uint256 amountIn; uint256 amountOutMinimum; }
    struct ExactOutputSingle { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
        uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
    struct ExactOutput { bytes path; address recipient; uint256 deadline; uint256 amountOut; uint256 amountInMaximum; }
    constructor(address factory, address wrappedNative)
    function factory() view returns (address)
    function WETH9() view returns (address)
    function exactInputSingle(ExactInputSingle params) payable returns (uint256 amountOut)
    function exactInput(ExactInput params) payable returns (uint256 amountOut)
    function exactOutputSingle(ExactOutputSingle params) payable returns (uint256 amountIn)
    function exactOutput(ExactOutput params) payable returns (uint256 amountIn)
    function multicall(bytes[] data) payable returns (bytes[] results)
""")

#: SwapRouter02; its parameters carry no deadline, `multicall(uint256,bytes[])` does.
V3_ROUTER02 = Interface("""
    struct ExactInputSingle { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountIn;
        uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
    struct ExactInput { bytes path; address recipient; uint256 amountIn; uint256 amountOutMinimum; }
    struct ExactOutputSingle { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountOut;
        uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
    struct ExactOutput { bytes path; address recipient; uint256 amountOut; uint256 amountInMaximum; }
    constructor(address factoryV2, address factoryV3, address positionManager, address wrappedNative)
    function factory() view returns (address)
    function factoryV2() view returns (address)
    function positionManager() view returns (address)
    function WETH9() view returns (address)
    function exactInputSingle(ExactInputSingle params) payable returns (uint256 amountOut)
    function exactInput(ExactInput params) payable returns (uint256 amountOut)
    function exactOutputSingle(ExactOutputSingle params) payable returns (uint256 amountIn)
    function exactOutput(ExactOutput params) payable returns (uint256 amountIn)
    function swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to)
        payable returns (uint256 amountOut)
    function swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to)
        payable returns (uint256 amountIn)
    function multicall(uint256 deadline, bytes[] data) payable returns (bytes[])
""")

#: QuoterV2 answers by reverting inside itself, so its functions are no views: ask by eth_call.
V3_QUOTER = Interface("""
    struct ExactInputSingle { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee;
        uint160 sqrtPriceLimitX96; }
    struct ExactOutputSingle { address tokenIn; address tokenOut; uint256 amount; uint24 fee; uint160 sqrtPriceLimitX96;
        }
    constructor(address factory, address wrappedNative)
    function factory() view returns (address)
    function WETH9() view returns (address)
    function quoteExactInputSingle(ExactInputSingle params) returns (uint256 amountOut, uint160 sqrtPriceX96After,
        uint32 initializedTicksCrossed, uint256 gasEstimate)
    function quoteExactOutputSingle(ExactOutputSingle params) returns (uint256 amountIn, uint160 sqrtPriceX96After,
        uint32 initializedTicksCrossed, uint256 gasEstimate)
    function quoteExactInput(bytes path, uint256 amountIn) returns (uint256 amountOut, uint160[] sqrtPriceX96AfterList,
        uint32[] initializedTicksCrossedList, uint256 gasEstimate)
    function quoteExactOutput(bytes path, uint256 amountOut) returns (uint256 amountIn, uint160[] sqrtPriceX96AfterList,
        uint32[] initializedTicksCrossedList, uint256 gasEstimate)
""")

V3_TICK_LENS = Interface("""
    struct PopulatedTick { int24 tick; int128 liquidityNet; uint128 liquidityGross; }
    function getPopulatedTicksInWord(address pool, int16 tickBitmapIndex) view returns (PopulatedTick[] populatedTicks)
""")

V2_FACTORY = Interface("""
    constructor(address feeToSetter)
    function feeTo() view returns (address)
    function feeToSetter() view returns (address)
    function setFeeTo(address feeTo)
    function getPair(address tokenA, address tokenB) view returns (address)
    function createPair(address tokenA, address tokenB) returns (address pair)
    event PairCreated(address indexed token0, address indexed token1, address pair, uint256 count)
""")

V2_PAIR = Interface(
    """
    function factory() view returns (address)
    function token0() view returns (address)
    function token1() view returns (address)
    function MINIMUM_LIQUIDITY() view returns (uint256)
    function getReserves() view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast)
    function kLast() view returns (uint256)
    function mint(address to) returns (uint256 liquidity)
    function burn(address to) returns (uint256 amount0, uint256 amount1)
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes data)
    function skim(address to)
    function sync()
    event Mint(address indexed sender, uint256 amount0, uint256 amount1)
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to)
    event Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out,
        address indexed to)
    event Sync(uint112 reserve0, uint112 reserve1)
    """,
    ERC20,
)

V2_ROUTER = Interface("""
    constructor(address factory, address wrappedNative)
    function factory() view returns (address)
    function WETH() view returns (address)
    function getAmountsOut(uint256 amountIn, address[] path) view returns (uint256[] amounts)
    function getAmountsIn(uint256 amountOut, address[] path) view returns (uint256[] amounts)
    function addLiquidity(address tokenA, address tokenB, uint256 amountADesired, uint256 amountBDesired,
        uint256 amountAMin, uint256 amountBMin, address to, uint256 deadline) returns (uint256 amountA, uint256 amountB,
        uint256 liquidity)
    function removeLiquidity(address tokenA, address tokenB, uint256 liquidity, uint256 amountAMin, uint256 amountBMin,
        address to, uint256 deadline) returns (uint256 amountA, uint256 amountB)
    function swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to,
        uint256 deadline) returns (uint256[] amounts)
    function swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to,
        uint256 deadline) returns (uint256[] amounts)
""")
