"""Accounts of the local chain. Their keys follow from their names and are public: worthless anywhere else."""

from __future__ import annotations

import attrs

#: Who deploys and administers everything, who provides liquidity, and who is free for tests.
NAMES = ("owner", "maker", "alice", "bob", "carol", "dave", "erin", "frank")
USERS = NAMES[2:]


@attrs.frozen
class Account:
    """An account with its private key."""

    name: str
    address: str
    key: str


def account(name: str) -> Account:
    """The account of a name: its key is keccak256 of ``treasury-arena local <name>``."""
    from eth_account import Account as Keys
    from eth_utils.crypto import keccak

    key = keccak(text=f"treasury-arena local {name}")
    return Account(name, str(Keys.from_key(key).address), "0x" + key.hex())
