"""Correction: bringing the books to what the chain has, by new events that a person answers for. No event is ever changed.

Interest is posted by reconciliation. What is left was done outside the engine: tokens or gas that somebody sent or took by hand,
a loss that a protocol passed on. Until it is corrected it stays a difference of every reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from treasury_arena.contracts.chain import BlockRef
from treasury_arena.errors import ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.comparing import Comparison, Difference, Kind
from treasury_arena.trading.live.context import Context


@attrs.frozen
class Correction:
    """What was found at a block.

    Attributes:
        drafts: events that make books and chain agree, in order.
        left: differences that no event can settle, as sentences.
    """

    block: BlockRef
    drafts: tuple[Draft, ...]
    left: tuple[str, ...]


class Corrector(Comparison):
    """Finds the events that would make the books agree with the chain.

    Args:
        context: of the engine.
        believable: reads the newest block; raises ChainUnavailableError when the chain is not to be believed (R1).
    """

    def __init__(self, context: Context, believable: Callable[[], BlockRef]) -> None:
        super().__init__(context)
        self._believable = believable

    def correction(self, pool: str, reason: str, operator: str) -> Correction:
        """Read books and chain; nothing is written. Cash comes from and goes to the account `pool`.

        Raises ValidationError while an order is open, for it explains differences that are none, and before any capital was
        booked; ChainUnavailableError when the chain is not to be believed.
        """
        if not list(self.store.read(event_type="CapitalBooked", tail=1)):
            raise ValidationError(
                "no capital was booked yet: the daemon's first start or `arena arm` does, and not a correction"
            )
        waiting = self.records.open_intents()
        if waiting or self.under_way():
            orders = ", ".join(f"{one.intent_id[:12]} ({one.state})" for one in waiting) or "one whose intent has ended"
            raise ValidationError(
                f"orders are open: {orders}; nothing can be corrected before they are over (`arena orders`, `arena quarantine`)"
            )
        if not reason.strip():
            raise ValidationError("a correction needs a reason: it stays in the books for good")
        head = self._believable()
        drafts: list[Draft] = []
        left: list[str] = []
        for difference in self.wallet():
            found = self._wallet(difference, pool, head, reason, operator)
            drafts += [found] if isinstance(found, Draft) else []
            left += [found] if isinstance(found, str) else []
        for difference in self.positions():
            if difference.shares or len(difference.places) == 1:
                drafts += self.adjusted(difference, head, f"corrected by {operator}: {reason}")
            else:
                who = ", ".join(f"{agent}'s {role}" for agent, role in difference.places)
                left.append(
                    f"{difference.text}; which of {who} it belongs to cannot be told"
                    if who
                    else f"{difference.text}; nobody ever had an order there: it is reported, never adopted"
                )
        return Correction(head, tuple(drafts), tuple(left))

    def _wallet(self, difference: Difference, pool: str, head: BlockRef, reason: str, operator: str) -> Draft | str:
        if difference.kind is Kind.UNKNOWN:
            return difference.text
        account = pool if difference.kind is Kind.CASH else postings.GAS_POOL
        free = self.store.balance(account, difference.asset)
        if free + difference.missing < 0:
            return (
                f"{difference.text}; {-difference.missing} are gone and only {free} belong to no agent: bring agents home "
                f"first (`arena flatten`)"
            )
        lines = postings.moved(accounts.world("owner"), account, difference.asset, difference.missing)
        payload = o.CapitalAdjusted(
            self.signer.address.lower(), difference.asset, difference.missing, head.number, head.hash, reason, operator
        )
        return self.context.draft(payload, None, (Transfer("corrected", lines),))
