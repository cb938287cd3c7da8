"""The laws of posting: sums of zero per asset, the side of zero each account stays on. The one place that knows them.

The store applies them inside its transaction, `treasury_arena.ledger.book` while a cycle is being built, the audit to rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from treasury_arena.errors import AllocationError, CapitalConservationError, TreasuryArenaError, ValidationError
from treasury_arena.events.event import Transfer

Key = tuple[str, str]
"""(account, asset)."""

AMOUNT_LIMIT = 10**78
"""Amounts and balances stay below this in absolute value: the range of NUMERIC(78,0)."""

_ACCOUNT = re.compile(
    r"(treasury:[^:\s]+(:lent)?|pool:[^:\s]+(:lent)?|agent:[^:\s]+:(available|reserved|(position|debt):\S+)|fee:\S+|gas|world:\S+)"
)


@lru_cache(maxsize=65536)
def check_account(account: str) -> None:
    """Raise ValidationError when `account` has none of the shapes of `treasury_arena.ledger.accounts`."""
    if not _ACCOUNT.fullmatch(account):
        raise ValidationError(
            f"account {account!r} is not of the form treasury:<name>[:lent], pool:<name>[:lent], "
            "agent:<id>:available|reserved|position:<role>|debt:<role>, fee:<market>, gas or world:<name>"
        )


@lru_cache(maxsize=65536)
def is_debt(account: str) -> bool:
    """Whether an account records what an agent's position owes."""
    return account.startswith("agent:") and account.split(":", 3)[2] == "debt"


def sign_is_legal(account: str, balance: int) -> bool:
    """The world outside may owe and own, a debt is never positive, everything else is never negative."""
    if balance == 0 or account.startswith("world:"):
        return True
    return (balance < 0) == is_debt(account)


def check_transfer(transfer: Transfer) -> None:
    """Raise CapitalConservationError when the lines do not sum to zero per asset or are no ints, ValidationError for a name."""
    _add_to({}, transfer)


def _add_to(net: dict[Key, int], transfer: Transfer) -> None:
    """Check a transfer and add its lines to the changes `net`."""
    sums: dict[str, int] = {}
    for line in transfer.lines:
        asset, amount = line.asset, line.amount_raw
        check_account(line.account)
        if type(amount) is not int or not asset:
            raise CapitalConservationError(
                f"transfer {transfer.reason!r} has a line of {amount!r} {asset!r} on {line.account}; "
                "expected an int of base units and an asset's symbol"
            )
        sums[asset] = sums.get(asset, 0) + amount
        key = (line.account, asset)
        net[key] = net.get(key, 0) + amount
    if any(sums.values()):
        asset, total = next((asset, total) for asset, total in sums.items() if total)
        raise CapitalConservationError(
            f"transfer {transfer.reason!r} does not conserve {asset}: its lines sum to {total} base units, expected 0"
        )


def overdraft(account: str, asset: str, balance: int, amount: int) -> TreasuryArenaError:
    """The error for an account that `amount` would leave on the wrong side: AllocationError for pools and treasury."""
    if is_debt(account):
        return CapitalConservationError(
            f"{account} owes {-balance} base units of {asset} and cannot be paid {amount}; nothing was changed"
        )
    kind = AllocationError if account.startswith(("pool:", "treasury:")) else CapitalConservationError
    return kind(f"{account} holds {balance} base units of {asset} and cannot give {-amount}; nothing was changed")


def changes(transfers: Iterable[Transfer]) -> dict[Key, int]:
    """Net change per (account, asset) of transfers that belong together, each checked by `check_transfer`."""
    net: dict[Key, int] = {}
    for transfer in transfers:
        _add_to(net, transfer)
    return net


def settle(balances: Mapping[Key, int], transfers: Iterable[Transfer]) -> dict[Key, int]:
    """Return the new balance of every key that `transfers` touch; `balances` is not changed.

    Raises CapitalConservationError, AllocationError (see `overdraft`) or ValidationError.
    """
    after: dict[Key, int] = {}
    for key, amount in changes(transfers).items():
        before = balances.get(key, 0)
        now = before + amount
        if not sign_is_legal(key[0], now):
            raise overdraft(*key, before, amount)
        if not (-AMOUNT_LIMIT < now < AMOUNT_LIMIT and -AMOUNT_LIMIT < amount < AMOUNT_LIMIT):
            raise CapitalConservationError(f"{key[0]} would hold {now} base units of {key[1]}, beyond 78 digits")
        after[key] = now
    return after
