"""C1: an intent becomes a plan, is held against every limit, and its worst case is reserved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from treasury_arena.clock import from_epoch, iso, to_epoch
from treasury_arena.contracts.chain import Holding, Plan, Refusal
from treasury_arena.errors import ValidationError, nearest
from treasury_arena.events import live as o
from treasury_arena.events.catalog import OrderRejected
from treasury_arena.events.event import Draft
from treasury_arena.ledger import accounts
from treasury_arena.store import schema
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.context import Part, RefusedError
from treasury_arena.trading.live.points import CrashPoint
from treasury_arena.trading.live.records import planned_out
from treasury_arena.trading.live.signing import CANCEL_GAS
from treasury_arena.trading.orders import planned

#: An intent that has not begun after so long is released.
BEGIN_SECONDS = 900
DAY_SECONDS = 86_400
#: How often an intent is planned anew because its position changed between its plan and its reservation.
PLANS_MAX = 8


class _ChangedError(Exception):
    """The position is not what it was when the intent was planned."""


class Reserving(Part):
    """Takes intents in."""

    def holding(self, agent_id: str, role: str, connection: Connection | None = None) -> Holding:
        """What the books say that an agent has in a role, as read in a transaction if one is given."""
        cash, held, owed = 0, dict[str, int](), dict[str, int]()
        for (account, asset), amount in self.store.balances(accounts.agent_prefix(agent_id), connection).items():
            if account == accounts.agent_available(agent_id) and asset == self.context.base:
                cash = amount
            elif account == accounts.agent_position(agent_id, role) and amount:
                held[asset] = amount
            elif account == accounts.agent_debt(agent_id, role) and amount:
                owed[asset] = -amount
        return Holding(cash, held, owed)

    def submit(self, intent: Intent) -> str | None:
        """Plan an intent, hold it against every limit and reserve its worst case (C1).

        What its market does not take in one piece is halved until it does (see `planned`; IntentReserved has the target of the
        piece), and the rest is left to the next decision.

        Returns its id, also when it was reserved before; None when there is nothing to do, or when it was refused
        (an OrderRejected event says why). Raises ValidationError for an unknown market.
        """
        if intent.market not in self.planners:
            raise ValidationError(f"unknown market {intent.market!r}: {nearest(intent.market, self.planners)}")
        intent_id = intent.intent_id(self.context.arena_id)
        if self.records.intent(intent_id) is not None:
            return intent_id
        for _ in range(PLANS_MAX):
            try:
                return self._planned(intent, intent_id)
            except _ChangedError:
                continue
        reason = f"the position changed {PLANS_MAX} times while it was being planned for"
        self._reject(intent, intent_id, 0, Refusal("position_busy", reason))
        return None

    def _planned(self, intent: Intent, intent_id: str) -> str | None:
        planner = self.planners[intent.market]
        holding = self.holding(intent.agent_id, intent.role)
        try:
            value = planner.value(holding)
        except ValidationError as error:
            self._reject(intent, intent_id, 0, Refusal("market", str(error)))
            return None
        plan, refused, intent = planned(planner, holding, value, intent)
        if refused:
            self._reject(intent, intent_id, abs(intent.target_raw - value), Refusal("market", refused))
        if plan is None or not plan.steps:
            return None
        gas = sum(step.gas_max for step in plan.steps) * self.client.fee_cap_raw
        gas += CANCEL_GAS * self.client.fee_cap_raw
        self._at(CrashPoint.K0, "")

        def decide(connection: Connection) -> Sequence[Draft]:
            return self._reserve(connection, intent, intent_id, holding, plan, value, gas)

        try:
            self.store.append_decided(decide)
        except RefusedError as error:
            self._reject(intent, intent_id, plan.notional_raw, error.refusal)
            return None
        self._at(CrashPoint.K1, "")
        return intent_id

    def _reserve(
        self,
        connection: Connection,
        intent: Intent,
        intent_id: str,
        seen: Holding,
        plan: Plan,
        value: int,
        gas: int,
    ) -> Sequence[Draft]:
        """Decide in the reserving transaction. Raises _ChangedError when the position is not what the plan has `seen`."""
        if self.records.intent(intent_id, connection) is not None:
            return ()
        refusal = self.gate.permitted(connection, self.signer.address, plan.reduces) or self._busy(connection, intent)
        if refusal is None:
            now = self.holding(intent.agent_id, intent.role, connection)
            if (now.held, now.owed) != (seen.held, seen.owed):
                raise _ChangedError
        refusal = refusal or self._beyond(connection, intent, plan) or self._unfunded(connection, intent, plan, gas)
        if refusal is not None:
            raise RefusedError(refusal)
        reserved = o.IntentReserved(
            intent_id=intent_id,
            market=intent.market,
            role=intent.role,
            purpose=intent.purpose,
            chain_id=self.client.chain_id,
            sender=self.signer.address.lower(),
            control=list(intent.control),
            value_raw=value,
            target_raw=intent.target_raw,
            notional_raw=plan.notional_raw,
            reserved_raw=plan.cash_raw,
            gas_raw=gas,
            reduces=plan.reduces,
            deadline=self.context.now + BEGIN_SECONDS,
            steps=[planned_out(step) for step in plan.steps],
        )
        native = self.client.native.symbol
        moves = postings.reserve(intent.agent_id, self.context.base, plan.cash_raw, native, gas)
        return [self.context.draft(reserved, intent.agent_id, moves)]

    def _busy(self, connection: Connection, intent: Intent) -> Refusal | None:
        other = self.records.open_for(intent.agent_id, intent.role, connection)
        if other is None:
            return None
        return Refusal("position_busy", f"intent {other[:12]} for {intent.role!r} is still open")

    def _beyond(self, connection: Connection, intent: Intent, plan: Plan) -> Refusal | None:
        if plan.reduces:
            return None
        now = self.context.now
        timed = self.context.limits.timed
        since = self.records.since(iso(from_epoch(now - DAY_SECONDS)), connection) if timed else []
        recent = [(now - _epoch(other.reserved_at), other) for other in since]
        armed = self.records.armed(connection)
        most = armed.limit_raw if armed is not None else 10**78
        deployed = self._deployed(connection)
        return self.context.limits.refuse(intent.agent_id, plan.notional_raw, plan.cash_raw, deployed, recent, most)

    def _deployed(self, connection: Connection) -> int:
        """Base units that open orders have reserved, and that agents have put into these markets and not taken out again."""
        base, markets = self.context.base, {accounts.world(market) for market in self.planners}
        total = 0
        for account, asset, amount, _ in self.store.database.rows(connection, schema.ACCOUNT_BALANCES):
            if asset != base:
                continue
            kind = account.split(":", 3)[2] if account.startswith("agent:") else ""
            if kind in ("reserved", "position", "debt") or account in markets:
                total += int(amount)
        return max(0, total)

    def _unfunded(self, connection: Connection, intent: Intent, plan: Plan, gas: int) -> Refusal | None:
        for account, asset, needed, what in (
            (accounts.agent_available(intent.agent_id), self.context.base, plan.cash_raw, "the agent's free cash"),
            (postings.GAS_POOL, self.client.native.symbol, gas, "the gas pool"),
        ):
            tail, keys = "WHERE account = ? AND asset = ?", [account, asset]
            rows = self.store.database.rows(connection, schema.ACCOUNT_BALANCES, tail, keys)
            held = int(rows[0][2]) if rows else 0
            if needed > held:
                return Refusal("capital", f"{what} holds {held} base units of {asset}, the order may need {needed}")
        return None

    def _reject(self, intent: Intent, intent_id: str, notional_raw: int, refusal: Refusal) -> None:
        payload = OrderRejected(
            intent_id, intent.market, intent.role, intent.row, refusal.code, refusal.reason, notional_raw
        )
        self.store.append([self.context.draft(payload, intent.agent_id)])


def _epoch(stamp: str) -> int:
    return to_epoch(datetime.fromisoformat(stamp.replace("Z", "+00:00")))
