"""The gate before every signature: ten points in the order of the order protocol, each refusal with a code.

Points 1, 2 and 10, the emergency stop and the fuse are judged here; points 3 to 9 need the contracts and are the chain client's
(`ChainClient.examine`). What must not change between judging and signing (1, 10, stop, fuse) is read inside the
transaction that journals the signature.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.contracts.chain import ChainClient, Refusal, Step, StepKind, Unsigned
from treasury_arena.domain.stops import HARD, OFF
from treasury_arena.trading.live.records import IntentRecord, Records

StopLevel = Callable[[Connection], str]
FuseOpen = Callable[[Connection], str]
"""Why the fuse lets no new risk through, empty when it does; read inside the transaction."""

#: Steps that take nothing from anybody: allowed for whatever intent once it has begun, unless everything is stopped.
SAFE = (StepKind.REVOKE, StepKind.CANCEL)


def reduces(intent: IntentRecord, kind: StepKind) -> bool:
    """Whether a step of an intent takes no new risk (Law 4)."""
    return intent.reduces or kind in SAFE


@attrs.frozen
class Gate:
    """Judges one step of one intent.

    Attributes:
        mode: ``live`` or ``local``: a local chain needs no confirmation.
        client: of the chain.
        records: of the journal.
        stop_level: reads the emergency stop inside a transaction, the sentinel file included.
        fuse: reads the fuse inside a transaction.
    """

    mode: str
    client: ChainClient
    records: Records
    stop_level: StopLevel
    fuse: FuseOpen

    def stopped(self) -> bool:
        """Whether the stop is HARD: nothing is signed or sent, and nothing is decided because of that either."""
        with self.records.reading() as connection:
            return self.stop_level(connection) == HARD

    def outside(self, step: Step, transaction: Unsigned) -> Refusal | None:
        """Points 2 to 9: what only the chain can tell. Raises ChainUnavailableError when it does not."""
        return self._identity(transaction) or self.client.examine(step, transaction)

    def _identity(self, transaction: Unsigned) -> Refusal | None:
        armed = self.records.armed()
        for found in self.client.identities():
            if not found.chain_id == self.client.chain_id == transaction.chain_id:
                return Refusal(
                    "wrong_chain",
                    f"{found.endpoint} serves chain {found.chain_id}, the transaction is for chain {transaction.chain_id} "
                    f"and chain {self.client.chain_id} is configured",
                )
            if armed is not None and found.genesis.lower() != armed.genesis:
                return Refusal(
                    "wrong_genesis",
                    f"{found.endpoint} has the first block {found.genesis}, but {armed.genesis} was confirmed",
                )
        return None

    def inside(self, connection: Connection, intent: IntentRecord, step: Step) -> Refusal | None:
        """Point 1, Law 4 and point 10, inside the transaction that signs."""
        return (
            self.permitted(connection, intent.sender, reduces(intent, step.kind))
            or self._signable(connection, intent)
            or self._reserved(intent, step)
        )

    def permitted(self, connection: Connection, sender: str, safe: bool) -> Refusal | None:
        """Whether anything of this sender may be signed, and new risk taken unless it is `safe`."""
        level = self.stop_level(connection)
        if level == HARD or (level != OFF and not safe):
            return Refusal("emergency_stop", f"the emergency stop is engaged ({level})")
        if not safe and (why := self.fuse(connection)):
            return Refusal("fuse", why)
        armed = self.records.armed(connection)
        if self.mode == "live" and armed is None:
            return Refusal(
                "not_armed",
                "live is not armed: a person confirms chain, address and limit first",
            )
        if armed is not None and (armed.chain_id, armed.address) != (self.client.chain_id, sender.lower()):
            return Refusal(
                "not_armed",
                f"live is armed for {armed.address} on chain {armed.chain_id}, not for {sender} on chain {self.client.chain_id}",
            )
        halted = self.records.halted(self.client.chain_id, sender, connection)
        if halted is not None:
            return Refusal("sender_halted", f"{sender} is halted: {halted}")
        return None

    def _signable(self, connection: Connection, intent: IntentRecord) -> Refusal | None:
        now = self.records.intent(intent.intent_id, connection)
        if now is None or now.state != "EXECUTING":
            return Refusal("intent_over", f"the intent is {now.state if now else 'unknown'}: nothing is signed for it")
        return None

    def _reserved(self, intent: IntentRecord, step: Step) -> Refusal | None:
        gas = step.gas_max * self.client.fee_cap_raw
        left = intent.gas_raw - intent.fees_raw
        if gas + step.value_raw > left:
            return Refusal(
                "gas_limit", f"the step may cost {gas + step.value_raw} wei, {left} wei are reserved for the intent"
            )
        return None
