"""Accounts of the local chain. Their keys follow from their names and are public: worthless anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from treasury_arena_evm.addresses import keccak

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

#: Who deploys and administers everything, who provides liquidity, and who is free for tests.
NAMES = ("owner", "maker", "alice", "bob", "carol", "dave", "erin", "frank")
USERS = NAMES[2:]


@attrs.frozen
class Account:
    """An account with its private key."""

    name: str
    address: str
    key: str = attrs.field(repr=False)

    @property
    def signer(self) -> LocalAccount:
        """The account as a session signs with it."""
        from treasury_arena_evm.session import signer

        return signer(self.key)


def account(name: str) -> Account:
    """The account of a name: its key is keccak256 of ``treasury-arena local <name>``."""
    # Not by eth_account, whose import costs more than the whole chain.
    from eth_keys.datatypes import PrivateKey

    key = keccak(f"treasury-arena local {name}".encode())
    return Account(name, str(PrivateKey(key).public_key.to_checksum_address()), "0x" + key.hex())
