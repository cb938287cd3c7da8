"""The local market as a test uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.errors import nearest
from treasury_arena_evm.chains import LOCAL_ID, ephemeral_chain
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.tokens import ERC20, WRAPPED_NATIVE
from treasury_arena_evm.local.accounts import NAMES, USERS, Account, account
from treasury_arena_evm.local.anvil import Anvil
from treasury_arena_evm.local.chain import BLOCK_SECONDS, LocalChain
from treasury_arena_evm.local.deploy import MINTABLE, NATIVE_RAW, QUIRKY, deploy_quirky, sort_next
from treasury_arena_evm.local.description import Aave, Description, MarketOptions, TokenAt, Uniswap
from treasury_arena_evm.local.install import anvil_path
from treasury_arena_evm.local.state import dumped_market
from treasury_arena_evm.tokens import Token

if TYPE_CHECKING:
    from treasury_arena_evm.session import Session

#: States without contracts are small: enough that no test of a session's finds the state before its first block forgotten.
EMPTY_BLOCKS_KEPT = 20_000


class LocalMarket:
    """A chain with tokens, Uniswap, Aave, a vault and funded accounts on it.

    `uniswap`, `aave` and `vault` hold addresses; `chain` reads, sends, moves time; `set_price` moves Aave's oracle.
    """

    def __init__(self, chain: LocalChain, description: Description) -> None:
        self.chain = chain
        self.description = description
        self.options = description.options
        self.tokens: Mapping[str, TokenAt] = description.tokens
        self.uniswap: Uniswap = description.uniswap
        self.aave: Aave = description.aave
        self.vault = description.vault
        self.accounts: Mapping[str, Account] = {name: account(name) for name in NAMES}
        self.owner, self.maker = self.accounts["owner"], self.accounts["maker"]
        self.users = tuple(self.accounts[name] for name in USERS)

    @cached_property
    def session(self) -> Session:
        """A session with the node, for signed transactions as on any chain (`Account.signer` signs)."""
        from treasury_arena_evm.session import connect

        contracts = {
            "uniswap_v3_factory": self.uniswap.factory,
            "uniswap_v3_positions": self.uniswap.positions,
            "uniswap_v3_router": self.uniswap.router02,
            "uniswap_v3_quoter": self.uniswap.quoter,
            "uniswap_v3_tick_lens": self.uniswap.tick_lens,
            "uniswap_v2_factory": self.uniswap.v2_factory,
            "uniswap_v2_router": self.uniswap.v2_router,
            "aave_v3_provider": self.aave.provider,
        }
        tokens = [Token(LOCAL_ID, item.symbol, item.address, item.decimals) for item in self.tokens.values()]
        return connect(self.url, ephemeral_chain(self.tokens["WETH"].address, contracts), tokens=tokens)

    @property
    def url(self) -> str:
        """The node's address."""
        return self.chain.url

    def token(self, symbol: str) -> TokenAt:
        """A token by its symbol; ChainError with the nearest when there is none."""
        if symbol not in self.tokens:
            raise ChainError(f"the local market has no token {symbol!r}; {nearest(symbol, self.tokens)}")
        return self.tokens[symbol]

    def balance(self, symbol: str, address: str) -> int:
        """Base units of a token that an address holds."""
        return int(self.chain.call(self.token(symbol).address, ERC20.function("balanceOf"), address))

    def fund(self, symbol: str, address: str, amount_raw: int) -> None:
        """Give an address so many more base units of a token."""
        token = self.token(symbol)
        if symbol == "WETH":
            self.chain.set_balance(address, self.chain.balance(address) + amount_raw + NATIVE_RAW)
            self.chain.send(address, token.address, WRAPPED_NATIVE.function("deposit"), value=amount_raw)
        else:
            self.chain.send(self.owner.address, token.address, MINTABLE.function("mint"), address, amount_raw)

    def set_price(self, symbol: str, price_e8: int, answered: int = 0) -> None:
        """Set what Aave's oracle says a whole token is worth, in US dollars with eight decimals, without a block for it.

        0 is a broken price source. `answered` is the time its price source gives (`latestRoundData`), 0: always the present one.
        """
        source = self.aave.reserve(symbol).source
        self.chain.set_storage(source, 0, price_e8)
        self.chain.set_storage(source, 1, answered)

    def approve(self, owner: str, symbol: str, spender: str, amount_raw: int = 2**256 - 1) -> dict[str, Any]:
        """Let a contract take an account's tokens."""
        return self.chain.send(owner, self.token(symbol).address, ERC20.function("approve"), spender, amount_raw)

    # --- odd tokens

    def with_odd_token(
        self,
        kind: str = "PlainToken",
        decimals: int = 18,
        *more: object,
        symbol: str = "ODD",
        first: bool | None = None,
    ) -> LocalMarket:
        """This market with one more token: one of the house's odd ones (``contracts/Tokens.sol``) by the contract's name.

        `more` is what the contract's constructor wants beside (GuardedToken: whether it tells). `first` makes it token0 (False:
        token1) of every pool it may be in. Nobody holds any of it; `fund` mints it.
        """
        if symbol in self.tokens:
            raise ChainError(f"the local market has a token {symbol!r} already")
        if first is not None:
            sort_next(self.chain, self.owner.address, [token.address for token in self.tokens.values()], first)
        address = deploy_quirky(self.chain, self.owner.address, kind, symbol, decimals, *more)
        tokens = {**self.tokens, symbol: TokenAt(symbol, address, decimals)}
        return LocalMarket(self.chain, attrs.evolve(self.description, tokens=tokens))

    def turn(self, symbol: str, kind: str, *more: object) -> None:
        """Let an odd token behave as another kind from now on, as a token behind a proxy may; who holds what stays.

        So there can be a pool of a token that no pool could have been filled with, a FeeToken for one.
        """
        token = self.token(symbol)
        like = deploy_quirky(self.chain, self.owner.address, kind, symbol, token.decimals, *more)
        self.chain.rpc("anvil_setCode", token.address, self.chain.rpc("eth_getCode", like, "latest"))
        if kind == "SharesToken":
            self.tell(symbol, "rebase", 10**18)
        if kind == "GuardedToken":
            self.tell(symbol, "pause", False)

    def tell(self, symbol: str, function: str, *arguments: object) -> None:
        """Say something to an odd token as its issuer: ``pause``, ``blockAccount``, ``rebase``."""
        self.chain.send(self.owner.address, self.token(symbol).address, QUIRKY.function(function), *arguments)


@contextmanager
def local_market(
    options: MarketOptions | None = None, *, anvil: Path | None = None, block_seconds: int = BLOCK_SECONDS
) -> Iterator[LocalMarket]:
    """A market of one's own, for programs: ready in a fraction of a second once it was deployed, gone at the end of the block.

    Raises ToolError when npm or anvil are missing.
    """
    program = anvil or anvil_path()
    dump = dumped_market(program, options or MarketOptions())
    with Anvil(program, state=dump.state, time=dump.time) as node:
        yield LocalMarket(LocalChain(node, block_seconds), dump.description)


@contextmanager
def local_chain(*, anvil: Path | None = None, block_seconds: int = BLOCK_SECONDS) -> Iterator[LocalChain]:
    """An empty chain of one's own; its accounts have native coins and nothing else."""
    with Anvil(anvil or anvil_path(), blocks_kept=EMPTY_BLOCKS_KEPT) as node:
        chain = LocalChain(node, block_seconds)
        for name in NAMES:
            chain.set_balance(account(name).address, NATIVE_RAW)
        yield chain
