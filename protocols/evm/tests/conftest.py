"""Sessions on the local chain, with the house's odd tokens pinned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena_evm.chains import LOCAL_ID, ephemeral_chain
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.local.accounts import Account, account
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.deploy import QUIRKY, deploy_quirky
from treasury_arena_evm.session import Session, connect
from treasury_arena_evm.tokens import Token

SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)
pytest.register_assert_rewrite("faulty_tries")


@attrs.frozen
class Bench:
    """A session on an empty chain, and who uses it."""

    chain: LocalChain
    session: Session
    alice: Account
    bob: Account

    def token(
        self, kind: str = "PlainToken", decimals: int = 18, *more: object, pinned: int | None = None, quirks: Any = ()
    ) -> Erc20:
        """An odd token, a million of which alice holds."""
        address = deploy_quirky(self.chain, self.alice.address, kind, "ODD", decimals, *more)
        pin = Token(LOCAL_ID, "ODD", address, decimals if pinned is None else pinned, frozenset(quirks))
        self.tell(address, "mint", self.alice.address, 10**6 * 10**decimals)
        return Erc20(self.session, pin)

    def tell(self, address: str, function: str, *arguments: object) -> None:
        """Change an odd token."""
        self.chain.send(self.alice.address, address, QUIRKY.function(function), *arguments)


@pytest.fixture
def bench(local_chain: LocalChain) -> Bench:
    """An empty chain with a session on it."""
    session = connect(local_chain.url, ephemeral_chain("0x" + "11" * 20, {}))
    return Bench(local_chain, session, account("alice"), account("bob"))


@pytest.fixture
def make_session(local_chain: LocalChain) -> Callable[..., Session]:
    """``make_session(**keys of connect)``: a session on the empty chain."""
    return lambda **keys: connect(local_chain.url, ephemeral_chain("0x" + "11" * 20, {}), **keys)
