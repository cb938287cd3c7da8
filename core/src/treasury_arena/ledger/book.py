"""The ledger in memory: what the arena books on while a cycle is being built, under the same laws as the store."""

from __future__ import annotations

from collections.abc import Mapping

from treasury_arena.errors import CapitalConservationError
from treasury_arena.events.event import Transfer
from treasury_arena.events.postings import Key, settle
from treasury_arena.store import EventStore


class Ledger:
    """Balances in base units by (account, asset); an account never posted to holds 0."""

    def __init__(self, balances: Mapping[Key, int] | None = None) -> None:
        self._balances: dict[Key, int] = dict(balances or {})

    @classmethod
    def of(cls, store: EventStore) -> Ledger:
        """The ledger as `store` has it now."""
        return cls(store.balances())

    def apply(self, *transfers: Transfer) -> None:
        """Post `transfers` as one event would: all of them or, when a law is broken, none.

        Raises CapitalConservationError when lines do not sum to zero per asset or an account would be negative,
        AllocationError when that account is a pool's or the treasury's, ValidationError for an account's name.
        """
        self._balances.update(settle(self._balances, transfers))

    def balance(self, account: str, asset: str) -> int:
        """Base units of `asset` on `account`."""
        return self._balances.get((account, asset), 0)

    def balances(self, prefix: str = "") -> dict[Key, int]:
        """Every balance of accounts that start with `prefix`."""
        return {key: amount for key, amount in self._balances.items() if key[0].startswith(prefix)}

    def totals(self) -> dict[str, int]:
        """Asset -> sum over all accounts; conservation says 0 for each."""
        sums: dict[str, int] = {}
        for (_, asset), amount in self._balances.items():
            sums[asset] = sums.get(asset, 0) + amount
        return sums

    def conserved(self) -> dict[str, int]:
        """`totals`; raises CapitalConservationError unless every sum is 0."""
        totals = self.totals()
        if wrong := {asset: total for asset, total in totals.items() if total}:
            raise CapitalConservationError(f"the ledger does not sum to zero: {wrong}")
        return totals

    def copy(self) -> Ledger:
        """An independent book with the same balances."""
        return Ledger(self._balances)
