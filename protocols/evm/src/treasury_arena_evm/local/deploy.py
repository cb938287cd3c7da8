"""Deploys the whole local market: tokens, Uniswap v3 and v2, Aave v3, a vault, and accounts with funds."""

from __future__ import annotations

from collections.abc import Iterable

from treasury_arena.errors import nearest
from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.aave import PRICE_SOURCE
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626, WRAPPED_NATIVE
from treasury_arena_evm.local.aave import deploy_aave, seed_aave
from treasury_arena_evm.local.accounts import NAMES, account
from treasury_arena_evm.local.artifacts import artifact, own_contracts
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.description import Description, MarketOptions, TokenAt
from treasury_arena_evm.local.uniswap import deploy_uniswap, seed_uniswap

NATIVE_RAW = 10**24
#: What every account begins with, in base units; the maker gets a hundred times as much.
FUNDS = {"USDC": 1_000_000 * 10**6, "WETH": 1_000 * 10**18, "DAI": 1_000_000 * 10**18}
MAKER_FACTOR = 100
#: US dollars with eight decimals, as Aave's oracle counts.
PRICES_E8 = {"USDC": 10**8, "WETH": 2_000 * 10**8, "DAI": 10**8}
VAULT_SEED_RAW = 1_000_000 * 10**6

MINTABLE = Interface(
    """
    constructor(string name, string symbol, uint8 decimals)
    function mint(address account, uint256 value) returns (bool)
    """,
    ERC20,
)
#: Everything that any of the odd tokens can be told.
QUIRKY = Interface(
    """
    function mint(address to, uint256 amount)
    function rebase(uint256 index)
    function pause(bool stop)
    function blockAccount(address account, bool bad)
    """,
    ERC20,
)
#: What an odd token wants beside its decimals: type, parameter, and what it means.
_MORE: dict[str, tuple[type, str, str]] = {
    "GuardedToken": (bool, "bool tells", "True or False: whether it tells that it is paused and whom it blocks"),
    "PullToken": (int, "uint8 how", "0 to 3: how it goes wrong when another than its holder moves it"),
}
VAULT = Interface(
    """
    constructor(address asset, string name, string symbol, uint8 offset)
    function lose(uint256 assets)
    """,
    ERC4626,
)


def deploy_market(chain: LocalChain, options: MarketOptions) -> Description:
    """Build everything on an empty chain, the same addresses every time for the same options."""
    owner, maker = account("owner").address, account("maker").address
    for name in NAMES:
        chain.set_balance(account(name).address, NATIVE_RAW * (MAKER_FACTOR if name == "maker" else 1))
    tokens = _tokens(chain, owner, options)
    uniswap = deploy_uniswap(chain, owner, tokens, options)
    sources = {
        symbol: chain.deploy(owner, own_contracts()["PriceFeed"].code, PRICE_SOURCE.constructor, PRICES_E8[symbol])
        for symbol in tokens
    }
    aave = deploy_aave(chain, owner, tokens, sources)
    vault = deploy_vault(chain, owner, tokens["USDC"])
    if options.liquid:
        seed_uniswap(chain, maker, tokens, uniswap)
        seed_aave(chain, maker, tokens, aave)
        chain.send(maker, tokens["USDC"].address, ERC20.function("approve"), vault, VAULT_SEED_RAW)
        chain.send(maker, vault, ERC4626.function("deposit"), VAULT_SEED_RAW, maker)
    return Description(options, tokens, uniswap, aave, vault)


def deploy_vault(chain: LocalChain, sender: str, token: TokenAt, offset: int = 0) -> str:
    """A fee-free ERC-4626 vault over a token, on OpenZeppelin's implementation with so many decimals of offset."""
    names = (f"{token.symbol} vault", f"v{token.symbol}")
    return chain.deploy(sender, own_contracts()["Vault"].code, VAULT.constructor, token.address, *names, offset)


def deploy_token(chain: LocalChain, sender: str, symbol: str, decimals: int) -> str:
    """A plain token that anyone may mint."""
    code = artifact("MintableERC20").code
    return chain.deploy(sender, code, MINTABLE.constructor, f"{symbol} of the local chain", symbol, decimals)


def deploy_quirky(
    chain: LocalChain, sender: str, kind: str, symbol: str = "ODD", decimals: int = 18, *more: object
) -> str:
    """One of the house's odd tokens (contracts/Tokens.sol) by the contract's name; anyone may mint it.

    Raises ChainError for a kind that there is not, and where `more` is not what its constructor wants.
    """
    kinds = [name for name in own_contracts() if name.endswith("Token")]
    if kind not in kinds:
        raise ChainError(f"there is no odd token {kind!r}; {nearest(kind, kinds)}")
    wanted = _MORE.get(kind)
    if wanted is None and more:
        raise ChainError(f"a {kind} wants no more than its decimals, not {more}")
    if wanted is not None and [type(one) for one in more] != [wanted[0]]:
        raise ChainError(f"a {kind} wants one more argument, {wanted[2]}; not {more}")
    also = f", {wanted[1]}" if wanted else ""
    constructor = Interface(f"constructor(string symbol, uint8 decimals{also})").constructor
    return chain.deploy(sender, own_contracts()[kind].code, constructor, symbol, decimals, *more)


def _tokens(chain: LocalChain, owner: str, options: MarketOptions) -> dict[str, TokenAt]:
    weth = chain.deploy(owner, artifact("WETH9").code, WRAPPED_NATIVE.constructor)
    dai = deploy_token(chain, owner, "DAI", 18)
    sort_next(chain, owner, (weth, dai), options.usdc_first)
    usdc = deploy_token(chain, owner, "USDC", 6)
    tokens = {"USDC": TokenAt("USDC", usdc, 6), "WETH": TokenAt("WETH", weth, 18), "DAI": TokenAt("DAI", dai, 18)}
    for name in NAMES[1:]:
        address, factor = account(name).address, MAKER_FACTOR if name == "maker" else 1
        for symbol in ("USDC", "DAI"):
            chain.send(owner, tokens[symbol].address, MINTABLE.function("mint"), address, FUNDS[symbol] * factor)
        chain.send(address, weth, WRAPPED_NATIVE.function("deposit"), value=FUNDS["WETH"] * factor)
    return tokens


def sort_next(chain: LocalChain, sender: str, others: Iterable[str], first: bool) -> None:
    """Let the sender's next contract have an address before (else: after) all the others, as a pool's token0 (token1) has."""
    numbers = [int(other, 16) for other in others]
    # An address follows from the sender's nonce, so the nonce chooses the order; it only ever grows.
    nonce = int(chain.rpc("eth_getTransactionCount", sender, "latest"), 16)
    while not _sorts(int(contract_address(sender, nonce), 16), numbers, first):
        nonce += 1
    chain.rpc("anvil_setNonce", sender, hex(nonce))


def _sorts(address: int, others: list[int], first: bool) -> bool:
    return address < min(others) if first else address > max(others)


def contract_address(sender: str, nonce: int) -> str:
    """Where the sender's transaction of that nonce puts a contract: the last 20 bytes of keccak256(rlp([sender, nonce]))."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = number if len(number) == 1 and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(sender[2:]) + encoded
    digest = keccak(bytes([0xC0 + len(payload)]) + payload)
    return "0x" + digest[-20:].hex()
