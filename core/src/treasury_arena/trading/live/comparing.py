"""Books against chain (R5): what the address holds and what its positions are, each difference with whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import attrs

from treasury_arena.contracts.chain import BlockRef
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.store import schema
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.context import Part

INTEREST = "interest"
"""Reason of an adjustment that interest explains."""


class Kind(StrEnum):
    """What differs."""

    CASH = "cash"
    GAS = "gas"
    UNKNOWN = "unknown"
    POSITION = "position"
    COINS = "coins"
    DEBT = "debt"


@attrs.frozen
class Difference:
    """One amount that books and chain do not share.

    Attributes:
        asset: symbol of the token, `booked` and `there` in its base units (a debt is negative).
        market: of a position or debt, empty for what lies at the address itself; of tokens that markets share, one of them.
        shares: (agent, role) -> base units booked, of a position or debt.
        places: (agent, role) of everybody who ever had an order in that market.
    """

    kind: Kind
    asset: str
    booked: int
    there: int
    text: str
    market: str = ""
    shares: Mapping[tuple[str, str], int] = attrs.field(factory=dict)
    places: tuple[tuple[str, str], ...] = ()

    @property
    def missing(self) -> int:
        """What the books lack; negative when they have too much."""
        return self.there - self.booked

    def parts(self) -> dict[tuple[str, str], int]:
        """What is missing, by what each holder has; what is left over goes one by one from the largest on."""
        shares = self.shares or dict.fromkeys(self.places, 1)
        total = sum(shares.values())
        parts = {place: self.missing * amount // total for place, amount in shares.items()}
        left = self.missing - sum(parts.values())
        for place in sorted(shares, key=lambda place: (-abs(shares[place]), place))[:left]:
            parts[place] += 1
        return parts


class Comparison(Part):
    """Compares what is booked with what is there. Reads only."""

    def under_way(self) -> bool:
        """Whether an order has a transaction that is not final: books and chain cannot agree before it is."""
        return bool(self.records.open_slots(self.signer.address))

    def wallet(self) -> list[Difference]:
        """Cash and gas, exactly; and tokens that no book knows."""
        with self.store.database.read() as connection:
            rows = self.store.database.rows(connection, schema.ACCOUNT_BALANCES)
        books = {(account, asset): int(amount) for account, asset, amount, _ in rows}
        base, native, address = self.context.base, self.client.native.symbol, self.signer.address
        held = self.client.balances(address)
        cash = sum(n for (account, asset), n in books.items() if asset == base and _is_cash(account))
        gas = sum(n for (account, asset), n in books.items() if asset == native and not account.startswith("world"))
        gas -= books.get((accounts.GAS, native), 0)
        found = [
            Difference(
                kind, symbol, booked, there, f"{address} holds {there} base units of {symbol}, the books say {booked}"
            )
            for kind, symbol, booked, there in (
                (Kind.CASH, base, cash, held.get(base, 0)),
                (Kind.GAS, native, gas, self.client.native_balance(address)),
            )
            if booked != there
        ]
        known = {base, native} | {asset for account, asset in books if ":position:" in account}
        for symbol, amount in sorted(held.items()):
            if amount and symbol not in known:
                told = (
                    f"{address} holds {amount} base units of {symbol} that no book knows; it is reported, never adopted"
                )
                found.append(Difference(Kind.UNKNOWN, symbol, 0, amount, told))
        return found

    def positions(self) -> Iterator[Difference]:
        """What is held and owed in each market."""
        holders = self._holders()
        told_of: set[str] = set()
        for market, planner in self.planners.items():
            for asset, (held, owed) in planner.holdings().items():
                told_of.add(asset)
                for kind, there in ((Kind.POSITION, held), (Kind.DEBT, -owed)):
                    places = tuple(sorted(holders.get(market, ())))
                    shares = {
                        place: amount
                        for place in places
                        if (amount := self.store.balance(_account(kind)(*place), asset))
                    }
                    booked = sum(shares.values())
                    if there != booked:
                        told = f"market {market!r}: the chain has a {kind} of {there} base units of {asset}, the books {booked}"
                        yield Difference(kind, asset, booked, there, told, market, shares, places)
        yield from self._beside(holders, told_of)

    def _beside(self, holders: Mapping[str, set[tuple[str, str]]], told_of: set[str]) -> Iterator[Difference]:
        """Tokens of positions that markets share in the wallet; and what is booked of assets that no market knows any more."""
        wallets = {market: planner.wallet() for market, planner in self.planners.items()}
        shared = frozenset[str]().union(*wallets.values())
        wallet = self.client.balances(self.signer.address) if shared else {}
        held_in = [(market, place) for market, places in sorted(holders.items()) for place in places]
        market_of = {place: market for market, place in held_in}
        booked: dict[str, dict[tuple[str, str], int]] = {}
        for market, place in held_in:
            account, kept = accounts.agent_position(*place), wallets.get(market, shared)
            for (name, asset), amount in self.store.balances(account).items():
                # Another market may have the same coin somewhere else: lent, or as collateral.
                if name == account and (asset in kept or asset not in shared | told_of):
                    booked.setdefault(asset, {})[place] = amount
        for asset, amounts in sorted(booked.items()):  # what no book ever had is the wallet's own difference
            there, known = wallet.get(asset, 0) if asset in shared else 0, sum(amounts.values())
            shares = {place: amount for place, amount in amounts.items() if amount}
            if there != known:
                told = f"positions have {known} base units of {asset} in the books, and {there} on the chain"
                market = market_of[min(shares or amounts)]
                yield Difference(Kind.COINS, asset, known, there, told, market, shares, tuple(sorted(amounts)))

    def adjusted(self, difference: Difference, head: BlockRef, reason: str) -> list[Draft]:
        """Events that share a position's difference among its holders."""
        account = _account(difference.kind)
        drafts = []
        for (agent, role), amount in sorted(difference.parts().items()):
            if amount:
                world = accounts.world(difference.market)
                lines = postings.moved(world, account(agent, role), difference.asset, amount)
                payload = o.HoldingsAdjusted(difference.market, role, difference.asset, amount, reason, head.number)
                drafts.append(self.context.draft(payload, agent, (Transfer(reason, lines),)))
        return drafts

    def _holders(self) -> dict[str, set[tuple[str, str]]]:
        """market -> (agent, role) that ever had an intent there."""
        found: dict[str, set[tuple[str, str]]] = {}
        for agent_id, role, market in self.records.places():
            found.setdefault(market, set()).add((agent_id or "", role))
        return found


def _account(kind: Kind) -> Callable[[str, str], str]:
    return accounts.agent_debt if kind is Kind.DEBT else accounts.agent_position


def _is_cash(account: str) -> bool:
    kind, *rest = account.split(":")
    if kind == "agent":
        return rest[-1] in ("available", "reserved") and len(rest) == 2
    return kind in ("treasury", "pool") and not account.endswith(":lent")
