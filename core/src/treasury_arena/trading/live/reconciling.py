"""Reconciliation: journal, ledger and chain held against each other, at start and every minute by the same code.

R1 the chain is the right one, fresh, and its nodes agree. R2 the sender's counts. R3 every open slot is advanced. R4 a used nonce
that is not in the journal halts its sender. R5 balances: tokens exactly, what earns interest within what interest explains.
R6 the stop and the fuse are read from the store wherever they matter. R7 the result is an event.

A read that fails leaves everything as it is: what is unknown is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from treasury_arena.clock import to_epoch
from treasury_arena.contracts.chain import BlockRef
from treasury_arena.domain.order_states import IntentState
from treasury_arena.errors import ChainUnavailableError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.comparing import INTEREST, Comparison, Kind
from treasury_arena.trading.live.context import Context, Part
from treasury_arena.trading.live.points import CrashPoint
from treasury_arena.trading.live.records import IntentRecord, SlotRecord

#: A head older than so many block times is not believed.
AGE_BLOCKS = 3
#: Nodes must agree on the block so far back, and finality is looked at again over so many blocks.
DEPTH, LOOK_BACK = 8, 64
#: Rounding of scaled balances, per holder.
ROUNDING_RAW = 2
#: Nothing lent or owed earns more than this a year; more is unexplained.
RATE_MAX = 2
DAY_SECONDS = 86_400
YEAR_SECONDS = 365 * DAY_SECONDS


@attrs.frozen
class Reconciliation:
    """What was found at a block. `differences` are sentences; empty when everything is explained."""

    block: BlockRef
    differences: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.differences


class Reconciler(Part):
    """Holds one engine's journal and ledger against its chain.

    Args:
        context: of the engine.
        advance: advances every open intent (R3).
        broken: events to append when finality broke, with the reason: locking the fuse is not this layer's business.
    """

    def __init__(
        self, context: Context, advance: Callable[[], int], broken: Callable[[str], Sequence[Draft]] = lambda _: ()
    ) -> None:
        super().__init__(context)
        self._advance, self._broken = advance, broken
        self._books = Comparison(context)
        self._since: int | None = None

    def run(self, *, write: bool = True) -> Reconciliation:
        """R1 to R7. Without `write` nothing is advanced or stored: what would be found is only told.

        Raises ChainUnavailableError when the chain does not answer or is not to be believed.
        """
        head = self.believable()
        differences: list[str] = []
        if write:
            differences += self._refinalized()
            self._advance()
        differences += self._foreign(write)
        compared = self._compared(head, write)
        differences += compared or []
        if write:
            payload = o.ReconciliationCompleted(self.client.chain_id, head.number, head.hash, differences)
            self.store.append([self.context.draft(payload)])
            if compared is not None:  # else interest goes on to wait for its posting
                self._since = head.timestamp
        return Reconciliation(head, tuple(differences))

    def believable(self) -> BlockRef:
        """R1: the newest block; raises ChainUnavailableError when the chain does not answer or is not to be believed."""
        armed = self.records.armed()
        for found in self.client.identities():
            if found.chain_id != self.client.chain_id:
                raise ChainUnavailableError(
                    f"{found.endpoint} serves chain {found.chain_id}, chain {self.client.chain_id} is configured"
                )
            if armed is not None and found.genesis.lower() != armed.genesis:
                raise ChainUnavailableError(f"{found.endpoint} serves another chain with the same id (its first block)")
        head = self.client.head()
        age = to_epoch(self.context.clock.now()) - head.timestamp
        if self.client.block_seconds and age > AGE_BLOCKS * self.client.block_seconds:
            raise ChainUnavailableError(f"the latest block {head.number} is {age} s old; the nodes are behind")
        if not self.client.agree(DEPTH):
            raise ChainUnavailableError(f"the nodes do not agree on the block {DEPTH} below their heads")
        return head

    # --- R3, once more: what was final must still be

    def _refinalized(self) -> list[str]:
        found: list[str] = []
        lowest = self.client.head().number - LOOK_BACK
        for slot in self._settled(lowest):
            assert slot.block_number is not None
            canonical = self.client.block(slot.block_number)
            if canonical is not None and canonical.hash == slot.block_hash:
                continue
            why = f"block {slot.block_number} was final and was replaced; it held transaction {slot.tx_hash}"
            self._break(slot, why)
            self._at(CrashPoint.K11, slot.kind or "")
            found.append(why)
        return found

    def _settled(self, lowest: int) -> list[SlotRecord]:
        return self.records.settled(self.client.chain_id, self.signer.address, lowest)

    def _break(self, slot: SlotRecord, why: str) -> None:
        assert slot.tx_hash is not None
        assert slot.block_number is not None
        event = next(
            event
            for event in self.store.read(event_type="StepFinal")
            if event.payload.tx_hash == slot.tx_hash and event.payload.block_hash == slot.block_hash
        )
        final: o.StepFinal = event.payload
        agent = event.agent_id or ""
        back, retaken = postings.posted_back(agent, self.context.base, event.transfers, self.store.balance)
        intent = self.records.intent(final.intent_id)
        gas = self._gas_again(slot, intent, final.fee_raw)
        native = self.client.native.symbol
        if lines := postings.moved(postings.GAS_POOL, accounts.agent_reserved(agent), native, gas):
            back = (*back, Transfer("retake gas", lines))
        payload = o.FinalityBroken(
            final.intent_id,
            final.step,
            slot.chain_id,
            slot.sender,
            slot.nonce,
            final.tx_hash,
            final.block_number,
            final.block_hash,
            final.fee_raw,
            final.effects,
            retaken,
            gas,
        )
        drafts = [self.context.draft(payload, event.agent_id, back)]
        if intent is not None and intent.state is not IntentState.QUARANTINED:
            drafts.append(self.context.draft(o.IntentQuarantined(final.intent_id, why), event.agent_id))
        self.store.append([*drafts, *self._broken(why)])

    def _gas_again(self, slot: SlotRecord, intent: IntentRecord | None, fee_raw: int) -> int:
        """Wei to reserve once more: the transaction may be mined anew, dearer, or be replaced, and its gas was set free."""
        if intent is None:
            return 0
        worst = max(attempt.gas for attempt in self.records.attempts(slot.slot)) * self.client.fee_cap_raw
        left = intent.gas_raw - intent.fees_raw + fee_raw
        pool = self.store.balance(postings.GAS_POOL, self.client.native.symbol)
        return min(max(0, worst - left), max(0, pool))

    # --- R4

    def _foreign(self, write: bool) -> list[str]:
        """Nonces used up to the finalized block that no journaled transaction used."""
        armed = self.records.armed()
        sender = self.signer.address
        used = self.records.nonces(self.client.chain_id, sender)
        first = armed.nonce if armed is not None else min(used, default=0)
        if armed is None and not used:
            return []
        found: list[str] = []
        for nonce in range(first, self.client.counts(sender).finalized):
            if nonce in used:
                continue
            why = f"nonce {nonce} of {sender} was used by a transaction that is not in the journal"
            found.append(why)
            if write:
                payload = o.SlotDisplaced(None, self.client.chain_id, sender.lower(), nonce, why)
                self.store.append([self.context.draft(payload)])
        return found

    # --- R5

    def _compared(self, head: BlockRef, write: bool) -> list[str] | None:
        """What differs, cash and gas exactly. A position's difference is interest when interest explains it, and posted as such.

        None while an order is under way whose block is not final, also one that began meanwhile: nothing can be told then.
        """
        if self._books.under_way():
            return None
        wallet, positions = self._books.wallet(), list(self._books.positions())
        if self._books.under_way():
            return None
        found = [difference.text for difference in wallet]
        for difference in positions:
            holders = len(difference.shares)
            exact = difference.kind is Kind.COINS  # plain tokens earn nothing
            if exact or not holders or not self._explained(difference.booked, difference.there, holders, head):
                found.append(difference.text)
            elif write:
                self.store.append(self._books.adjusted(difference, head, INTEREST))
        return found

    def _explained(self, booked: int, there: int, holders: int, head: BlockRef) -> bool:
        """Whether interest (or rounding) explains a difference: the same sign, growing, and not faster than any rate."""
        difference = abs(there) - abs(booked)
        if booked and (there < 0) != (booked < 0) and there:
            return False
        if abs(difference) <= ROUNDING_RAW * holders:
            return True
        since = self._before() if self._since is None else self._since
        seconds = YEAR_SECONDS if since is None else max(60, head.timestamp - since)
        return 0 < difference <= abs(booked) * RATE_MAX * seconds // YEAR_SECONDS + ROUNDING_RAW * holders

    def _before(self) -> int | None:
        """Since when interest may wait for its posting, as the newest reconciliation of an earlier process tells; else None.

        Orders may have been under way during that one: a day is allowed for them.
        """
        newest = next(iter(self.store.read(event_type="ReconciliationCompleted", tail=1)), None)
        if newest is None:
            return None
        block = self.client.block(newest.payload.block_number)
        return None if block is None or block.hash != newest.payload.block_hash else block.timestamp - DAY_SECONDS
