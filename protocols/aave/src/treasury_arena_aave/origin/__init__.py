"""Aave v3 3.6.0 on the local chain, compiled from npm's sources: the parity target for version 3.5 of the exact pool."""

from treasury_arena_aave.origin.deploy import ORIGIN

__all__ = ["ORIGIN"]
