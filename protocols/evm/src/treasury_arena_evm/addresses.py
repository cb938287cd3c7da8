"""Hashes and addresses, without importing more than the hash function: tokens are pinned when a plugin is imported."""

from __future__ import annotations

from functools import lru_cache


def keccak(data: bytes) -> bytes:
    """Ethereum's keccak-256."""
    from eth_hash.auto import keccak as digest

    return bytes(digest(data))


def checksummed(address: str) -> str:
    """The address with the capitals of EIP-55; ValueError when it is none."""
    plain = address[2:].lower()
    if address[:2] != "0x" or len(plain) != 40 or not set(plain) <= set("0123456789abcdef"):
        raise ValueError(f"{address!r} is not an address")
    return _capitals(plain)


@lru_cache(maxsize=4096)
def _capitals(plain: str) -> str:
    marks = keccak(plain.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(mark, 16) >= 8 else letter for letter, mark in zip(plain, marks, strict=False)
    )


def is_checksummed(address: str) -> bool:
    """Whether it is an address and its capitals are those of EIP-55."""
    try:
        return checksummed(address) == address
    except ValueError:
        return False
