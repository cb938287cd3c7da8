"""Settings of a market on a chain, from ``live.markets.NAME``: addresses by role, amounts, limits. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.errors import ConfigError, nearest
from treasury_arena_evm.addresses import checksummed, is_checksummed

if TYPE_CHECKING:
    from treasury_arena_evm.chains import Chain, Role


class Places:
    """The settings of one market, read by key. Every method raises ConfigError naming the key.

    Args:
        market: its configured name.
        given: what was configured.
        known: keys that the market has.
        chain: whose pinned contracts stand in for addresses that were not given.
    """

    def __init__(self, market: str, given: Mapping[str, Any], known: Iterable[str], chain: Chain) -> None:
        self._where, self._given, self._chain = f"live.markets.{market}", given, chain
        known = tuple(known)
        for key in given:
            if key not in known:
                raise ConfigError(f"{self._where}.{key} is no setting of this market; {nearest(key, known)}")

    def given(self, key: str) -> bool:
        """Whether a key was configured."""
        return key in self._given

    def address(self, key: str, role: Role | None = None) -> str:
        """An address with the capitals of EIP-55; the chain's pinned one of `role` when it was not given."""
        found = self._given.get(key)
        if found is None:
            if role is None:
                raise ConfigError(f"{self._where}.{key} is missing: the address of a contract on {self._chain.name}")
            try:
                return self._chain.contract(role)
            except ConfigError as error:
                raise ConfigError(f"{self._where}.{key} is missing, and {error}") from error
        try:
            address = checksummed(found)
        except (TypeError, ValueError, AttributeError):
            raise ConfigError(f"{self._where}.{key} = {found!r} must be an address: 0x and 40 hex digits") from None
        plain = found[2:]
        if plain not in (plain.lower(), plain.upper()) and not is_checksummed(found):
            raise ConfigError(f"{self._where}.{key} = {found!r} has other capitals than EIP-55's; was it mistyped?")
        return address

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        found = self._given.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise ConfigError(f"{self._where}.{key} = {found!r} must be a whole number from {low} to {high}")
        return found

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number within bounds."""
        found = self._given.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
            raise ConfigError(f"{self._where}.{key} = {found!r} must be a number from {low:g} to {high:g}")
        return float(found)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        found = self._given.get(key, default)
        if not isinstance(found, bool):
            raise ConfigError(f"{self._where}.{key} = {found!r} must be true or false")
        return found
