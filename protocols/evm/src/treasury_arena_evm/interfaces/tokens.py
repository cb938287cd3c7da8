"""ERC-20 and its relatives: wrapped native coins, ERC-4626 vaults, and what some issuers add (pausing, blocking)."""

from __future__ import annotations

from treasury_arena_evm.abi import Interface

#: EIP-20. A token that returns nothing from transfer or approve is called with the same data: look at balances instead.
ERC20 = Interface("""
    function name() view returns (string)
    function symbol() view returns (string)
    function decimals() view returns (uint8)
    function totalSupply() view returns (uint256)
    function balanceOf(address owner) view returns (uint256)
    function allowance(address owner, address spender) view returns (uint256)
    function transfer(address to, uint256 amount) returns (bool)
    function transferFrom(address from, address to, uint256 amount) returns (bool)
    function approve(address spender, uint256 amount) returns (bool)
    event Transfer(address indexed from, address indexed to, uint256 value)
    event Approval(address indexed owner, address indexed spender, uint256 value)
""")

WRAPPED_NATIVE = Interface(
    """
    function deposit() payable
    function withdraw(uint256 amount)
    event Deposit(address indexed to, uint256 value)
    event Withdrawal(address indexed from, uint256 value)
    """,
    ERC20,
)

#: Questions that some tokens answer about holders and themselves: Circle's and Tether's names, OpenZeppelin's Pausable, and what
#: tokens whose balances change by themselves offer beside `balanceOf` (Lido's shares, Aave's and Ampleforth's scaled balances).
ISSUER = Interface("""
    function paused() view returns (bool)
    function isBlacklisted(address account) view returns (bool)
    function isBlackListed(address account) view returns (bool)
    function isBlocked(address account) view returns (bool)
    function isFrozen(address account) view returns (bool)
    function sharesOf(address account) view returns (uint256)
    function scaledBalanceOf(address account) view returns (uint256)
    function rebasingCreditsPerToken() view returns (uint256)
""")

#: EIP-4626.
ERC4626 = Interface(
    """
    function asset() view returns (address)
    function totalAssets() view returns (uint256)
    function convertToShares(uint256 assets) view returns (uint256)
    function convertToAssets(uint256 shares) view returns (uint256)
    function maxDeposit(address receiver) view returns (uint256)
    function maxMint(address receiver) view returns (uint256)
    function maxWithdraw(address owner) view returns (uint256)
    function maxRedeem(address owner) view returns (uint256)
    function previewDeposit(uint256 assets) view returns (uint256)
    function previewMint(uint256 shares) view returns (uint256)
    function previewWithdraw(uint256 assets) view returns (uint256)
    function previewRedeem(uint256 shares) view returns (uint256)
    function deposit(uint256 assets, address receiver) returns (uint256 shares)
    function mint(uint256 shares, address receiver) returns (uint256 assets)
    function withdraw(uint256 assets, address receiver, address owner) returns (uint256 shares)
    function redeem(uint256 shares, address receiver, address owner) returns (uint256 assets)
    event Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares)
    event Withdraw(address indexed sender, address indexed receiver, address indexed owner, uint256 assets,
        uint256 shares)
    """,
    ERC20,
)
