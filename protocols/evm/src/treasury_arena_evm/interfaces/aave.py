"""Aave v3 (core 1.19: the 3.0 line). Later versions keep these names except where the comments say otherwise."""

from __future__ import annotations

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.interfaces.tokens import ERC20

PROVIDER = Interface("""
    constructor(string marketId, address owner)
    function owner() view returns (address)
    function getMarketId() view returns (string)
    function getPool() view returns (address)
    function getPoolConfigurator() view returns (address)
    function getPriceOracle() view returns (address)
    function getPriceOracleSentinel() view returns (address)
    function getPoolDataProvider() view returns (address)
    function getACLManager() view returns (address)
    function getACLAdmin() view returns (address)
    function setACLAdmin(address admin)
    function setACLManager(address manager)
    function setPoolImpl(address implementation)
    function setPoolConfiguratorImpl(address implementation)
    function setPriceOracle(address oracle)
    function setPoolDataProvider(address dataProvider)
""")

#: From 3.2 on there are no stable rates: rate mode 2 (variable) is the only one; `getReserveData` keeps their fields as zeros.
POOL = Interface("""
    struct Bits { uint256 data; }
    struct ReserveData { Bits configuration; uint128 liquidityIndex; uint128 currentLiquidityRate;
        uint128 variableBorrowIndex; uint128 currentVariableBorrowRate; uint128 currentStableBorrowRate;
        uint40 lastUpdateTimestamp; uint16 id; address aTokenAddress; address stableDebtTokenAddress;
        address variableDebtTokenAddress; address interestRateStrategyAddress; uint128 accruedToTreasury;
        uint128 unbacked; uint128 isolationModeTotalDebt; }
    struct EModeCategory { uint16 ltv; uint16 liquidationThreshold; uint16 liquidationBonus; address priceSource;
        string label; }
    constructor(address provider)
    function ADDRESSES_PROVIDER() view returns (address)
    function POOL_REVISION() view returns (uint256)
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode)
    function withdraw(address asset, uint256 amount, address to) returns (uint256)
    function borrow(address asset, uint256 amount, uint256 interestRateMode, uint16 referralCode, address onBehalfOf)
    function repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf) returns (uint256)
    function repayWithATokens(address asset, uint256 amount, uint256 interestRateMode) returns (uint256)
    function setUserUseReserveAsCollateral(address asset, bool useAsCollateral)
    function setUserEMode(uint8 categoryId)
    function getUserEMode(address user) view returns (uint256)
    function getEModeCategoryData(uint8 id) view returns (EModeCategory)
    function liquidationCall(address collateralAsset, address debtAsset, address user, uint256 debtToCover,
        bool receiveAToken)
    function mintToTreasury(address[] assets)
    function getConfiguration(address asset) view returns (Bits)
    function getUserConfiguration(address user) view returns (Bits)
    function getReserveData(address asset) view returns (ReserveData)
    function getReserveNormalizedIncome(address asset) view returns (uint256)
    function getReserveNormalizedVariableDebt(address asset) view returns (uint256)
    function getReservesList() view returns (address[])
    function getUserAccountData(address user) view returns (uint256 totalCollateralBase, uint256 totalDebtBase,
        uint256 availableBorrowsBase, uint256 currentLiquidationThreshold, uint256 ltv, uint256 healthFactor)
    event Supply(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,
        uint16 indexed referralCode)
    event Withdraw(address indexed reserve, address indexed user, address indexed to, uint256 amount)
    event Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,
        uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode)
    event Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount, bool useATokens)
    event LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user,
        uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)
    event ReserveDataUpdated(address indexed reserve, uint256 liquidityRate, uint256 stableBorrowRate,
        uint256 variableBorrowRate, uint256 liquidityIndex, uint256 variableBorrowIndex)
    event MintedToTreasury(address indexed reserve, uint256 amountMinted)
    event ReserveUsedAsCollateralEnabled(address indexed reserve, address indexed user)
    event ReserveUsedAsCollateralDisabled(address indexed reserve, address indexed user)
""")

CONFIGURATOR = Interface("""
    struct InitReserve { address aTokenImpl; address stableDebtTokenImpl; address variableDebtTokenImpl;
        uint8 underlyingAssetDecimals; address interestRateStrategyAddress; address underlyingAsset; address treasury;
        address incentivesController; string aTokenName; string aTokenSymbol; string variableDebtTokenName;
        string variableDebtTokenSymbol; string stableDebtTokenName; string stableDebtTokenSymbol; bytes params; }
    function initReserves(InitReserve[] input)
    function configureReserveAsCollateral(address asset, uint256 ltv, uint256 liquidationThreshold,
        uint256 liquidationBonus)
    function setReserveBorrowing(address asset, bool enabled)
    function setReserveStableRateBorrowing(address asset, bool enabled)
    function setReserveFlashLoaning(address asset, bool enabled)
    function setReserveFactor(address asset, uint256 newReserveFactor)
    function setReserveActive(address asset, bool active)
    function setReserveFreeze(address asset, bool freeze)
    function setReservePause(address asset, bool paused)
    function setPoolPause(bool paused)
    function setBorrowCap(address asset, uint256 newBorrowCap)
    function setSupplyCap(address asset, uint256 newSupplyCap)
    function setLiquidationProtocolFee(address asset, uint256 newFee)
    function setReserveInterestRateStrategyAddress(address asset, address newRateStrategyAddress)
    function setEModeCategory(uint8 categoryId, uint16 ltv, uint16 liquidationThreshold, uint16 liquidationBonus,
        address oracle, string label)
    function setAssetEModeCategory(address asset, uint8 newCategoryId)
    function setSiloedBorrowing(address asset, bool newSiloed)
    function setDebtCeiling(address asset, uint256 newDebtCeiling)
    function setBorrowableInIsolation(address asset, bool borrowable)
    function updateFlashloanPremiumTotal(uint128 newFlashloanPremiumTotal)
    function updateFlashloanPremiumToProtocol(uint128 newFlashloanPremiumToProtocol)
""")

DATA_PROVIDER = Interface("""
    struct TokenData { string symbol; address tokenAddress; }
    constructor(address provider)
    function ADDRESSES_PROVIDER() view returns (address)
    function getAllReservesTokens() view returns (TokenData[])
    function getReserveConfigurationData(address asset) view returns (uint256 decimals, uint256 ltv,
        uint256 liquidationThreshold, uint256 liquidationBonus, uint256 reserveFactor, bool usageAsCollateralEnabled,
        bool borrowingEnabled, bool stableBorrowRateEnabled, bool isActive, bool isFrozen)
    function getReserveCaps(address asset) view returns (uint256 borrowCap, uint256 supplyCap)
    function getPaused(address asset) view returns (bool isPaused)
    function getLiquidationProtocolFee(address asset) view returns (uint256)
    function getReserveEModeCategory(address asset) view returns (uint256)
    function getReserveData(address asset) view returns (uint256 unbacked, uint256 accruedToTreasuryScaled,
        uint256 totalAToken, uint256 totalStableDebt, uint256 totalVariableDebt, uint256 liquidityRate,
        uint256 variableBorrowRate, uint256 stableBorrowRate, uint256 averageStableBorrowRate, uint256 liquidityIndex,
        uint256 variableBorrowIndex, uint40 lastUpdateTimestamp)
    function getUserReserveData(address asset, address user) view returns (uint256 currentATokenBalance,
        uint256 currentStableDebt, uint256 currentVariableDebt, uint256 principalStableDebt, uint256 scaledVariableDebt,
        uint256 stableBorrowRate, uint256 liquidityRate, uint40 stableRateLastUpdated, bool usageAsCollateralEnabled)
    function getReserveTokensAddresses(address asset) view returns (address aTokenAddress,
        address stableDebtTokenAddress, address variableDebtTokenAddress)
    function getInterestRateStrategyAddress(address asset) view returns (address)
""")

ORACLE = Interface("""
    constructor(address provider, address[] assets, address[] sources, address fallbackOracle, address baseCurrency,
        uint256 baseCurrencyUnit)
    function BASE_CURRENCY_UNIT() view returns (uint256)
    function getAssetPrice(address asset) view returns (uint256)
    function getAssetsPrices(address[] assets) view returns (uint256[])
    function getSourceOfAsset(address asset) view returns (address)
    function setAssetSources(address[] assets, address[] sources)
""")

#: What the oracle asks of a price source; real ones (Chainlink) also answer `latestRoundData`, with the time of the answer.
PRICE_SOURCE = Interface("""
    constructor(int256 initialAnswer)
    function decimals() view returns (uint8)
    function latestAnswer() view returns (int256)
    function latestRoundData() view returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt,
        uint80 answeredInRound)
""")

PRICE_AHEAD_SECONDS_MAX = 60
"""How far ahead of the block a price may be dated; one from further in the future is none."""

ACL_MANAGER = Interface("""
    constructor(address provider)
    function addPoolAdmin(address admin)
    function addEmergencyAdmin(address admin)
""")

#: aTokens and variable debt tokens: `balanceOf` grows by itself, `scaledBalanceOf` does not.
SCALED_TOKEN = Interface(
    """
    constructor(address pool)
    function scaledBalanceOf(address user) view returns (uint256)
    function scaledTotalSupply() view returns (uint256)
    function UNDERLYING_ASSET_ADDRESS() view returns (address)
    event Mint(address indexed caller, address indexed onBehalfOf, uint256 value, uint256 balanceIncrease,
        uint256 index)
    event Burn(address indexed from, address indexed target, uint256 value, uint256 balanceIncrease, uint256 index)
    """,
    ERC20,
)

#: Per reserve in the 3.0 line; all ten numbers but the provider in ray.
RATE_STRATEGY = Interface("""
    constructor(address provider, uint256 optimalUsageRatio, uint256 baseVariableBorrowRate, uint256 variableRateSlope1,
        uint256 variableRateSlope2, uint256 stableRateSlope1, uint256 stableRateSlope2, uint256 baseStableRateOffset,
        uint256 stableRateExcessOffset, uint256 optimalStableToTotalDebtRatio)
    function OPTIMAL_USAGE_RATIO() view returns (uint256)
    function getBaseVariableBorrowRate() view returns (uint256)
    function getVariableRateSlope1() view returns (uint256)
    function getVariableRateSlope2() view returns (uint256)
""")

#: What the pool of 3.4 and later has beside: tokens by themselves, and the cash that it counts (gifts are none).
POOL_LATER = Interface("""
    function getReserveAToken(address asset) view returns (address)
    function getReserveVariableDebtToken(address asset) view returns (address)
    function getVirtualUnderlyingBalance(address asset) view returns (uint128)
""")

#: One for all reserves in 3.4 and later; ray.
RATE_STRATEGY_LATER = Interface("""
    function getOptimalUsageRatio(address reserve) view returns (uint256)
    function getBaseVariableBorrowRate(address reserve) view returns (uint256)
    function getVariableRateSlope1(address reserve) view returns (uint256)
    function getVariableRateSlope2(address reserve) view returns (uint256)
""")
