"""TradingEngine: validates, reserves and executes what agents want, through exact markets, with every step an event."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.contracts.validation import OrderFacts, Validator
from treasury_arena.domain.order_states import IntentState, move_intent
from treasury_arena.domain.stops import HARD, OFF, SOFT, check_level, check_order, higher
from treasury_arena.errors import (
    EmergencyStopError,
    ExecutionError,
    StoreError,
    TreasuryArenaError,
    UnknownOutcomeError,
    ValidationError,
    nearest,
)
from treasury_arena.events.catalog import (
    EmergencyStopEngaged,
    EmergencyStopReleased,
    OrderFailed,
    OrderQuarantined,
    OrderRejected,
    OrderReserved,
)
from treasury_arena.events.event import Line, Transfer
from treasury_arena.isolation import describe, plain
from treasury_arena.ledger import accounts
from treasury_arena.trading.account import Account
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.journal import Journal
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.lines import HELD, check_fill, fill_lines, freed_cash, interest_lines
from treasury_arena.trading.orders import VENUES, Order, piece
from treasury_arena.trading.validators import BUILT_IN


class TradingEngine:
    """Executes orders: exact integer fills on an instant chain, or on a local test chain, with the same states as live.

    Thread-safe: validation and reservation happen under one lock, so concurrent orders cannot pass a limit together.

    Args:
        arena_id: part of every intent id.
        markets: exact markets by configured name.
        journal: receives the events.
        limits: the configured limits.
        validators: asked in order after the built-in ones.
        record_stop: writes an emergency stop or its release at once; the journal unless given.
        mode: ``simulation`` (replay only) or ``local`` (markets on a test chain too); ``paper`` and ``live`` need an
            execution layer that is not part of this engine.

    Raises ValidationError for an unknown mode and for a market that does not belong in it.
    """

    def __init__(
        self,
        arena_id: str,
        markets: Mapping[str, ExactMarket],
        journal: Journal,
        limits: Limits | None = None,
        validators: Sequence[Validator] = (),
        mode: str = "simulation",
        record_stop: Callable[[EmergencyStopEngaged | EmergencyStopReleased], None] | None = None,
    ) -> None:
        if mode not in VENUES:
            raise ValidationError(
                f"trading mode {mode!r} is not available here: this engine executes {' and '.join(map(repr, VENUES))} only"
            )
        for name, market in markets.items():
            if market.venue not in VENUES[mode]:
                raise ValidationError(
                    f"market {name!r} trades on the venue {market.venue!r}, which mode {mode!r} does not touch"
                )
        self.arena_id = arena_id
        self.mode = mode
        self.markets = dict(markets)
        self.journal = journal
        self.limits = limits or Limits()
        self.stop_level = OFF
        self._record_stop = record_stop or journal.post
        self._validators = (*BUILT_IN, *validators)
        self._lock = threading.RLock()
        self._open: dict[str, Order] = {}
        self._bodies: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._named_limits = MappingProxyType(self.limits.as_mapping())

    def market(self, name: str) -> ExactMarket:
        """The exact market of that name; raises ValidationError with the nearest name."""
        if name not in self.markets:
            raise ValidationError(f"unknown market {name!r}: {nearest(name, self.markets)}")
        return self.markets[name]

    def accrue(self, account: Account, role: str, market: ExactMarket, row: int) -> ExactState:
        """Bring a position up to `row`; its interest waits on the account until the next posting for the role."""
        held = account.positions.get(role)
        if held is None:
            return market.open()
        if account.accrued_row[role] < row and not self._is_unknown(account.agent_id, role):
            held, legs = market.accrue(held, account.accrued_row[role], row)
            account.positions[role], account.accrued_row[role] = held, row
            for leg in legs:
                if leg.account in HELD and leg.amount:
                    key = (role, leg.account, leg.asset)
                    account.interest[key] = account.interest.get(key, 0) + leg.amount
        return held

    def interest(self, account: Account, role: str, market: ExactMarket) -> tuple[Line, ...]:
        """Ledger lines of the interest that waits for `role`."""
        return interest_lines(account.interest, account.agent_id, role, market)

    @staticmethod
    def interest_posted(account: Account, role: str) -> None:
        """Forget the interest of `role` after it was posted."""
        account.interest = {key: amount for key, amount in account.interest.items() if key[0] != role}

    def equity_raw(self, account: Account, row: int, roles: Mapping[str, str]) -> int:
        """Cash plus the value of every position at `row`; `roles` maps role to market name."""
        worth = account.cash_raw
        for role in account.positions:
            market = self.market(roles[role])
            worth += market.value(self.accrue(account, role, market, row), row)
        return worth

    def quote(
        self, market: ExactMarket, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()
    ) -> tuple[Fill | None, str]:
        """What moving a position to `target_raw` would do, and why the market refuses it (empty when it does not).

        No fill and no reason means that there is nothing worth doing (below dust).
        """
        try:
            return market.trade(state, target_raw, row, control), ""
        except ValidationError as error:
            return None, str(error)

    def validate_trade(
        self, account: Account, intent: Intent, fill: Fill, value_raw: int, equity_raw: int
    ) -> str | None:
        """Ask every validator; return ``"<code>: <reason>"`` of the first refusal, or None."""
        market = self.market(intent.market)
        increases = intent.target_raw > max(0, value_raw)  # paying off a debt that nothing is left for is no new risk
        if self.stop_level == HARD or (self.stop_level == SOFT and increases):
            return f"emergency_stop: the emergency stop is engaged ({self.stop_level})"
        facts = OrderFacts(
            agent_id=account.agent_id,
            stage=account.stage,
            market=intent.market,
            asset=market.asset.symbol,
            increases=increases,
            coin=market.spec.coin,
            notional_raw=fill.notional_raw,
            cash_raw=max(0, -fill.cash_raw),
            cost_raw=fill.cost_raw,
            available_raw=account.available_raw,
            equity_raw=equity_raw,
            position_raw=value_raw,
            orders_today=account.orders_today,
            slippage_bps=fill.slippage_bps,
            market_enabled=market.spec.enabled,
            limits=self._named_limits,
        )
        for validator in self._validators:
            try:
                refused = validator.refuse(facts)
                reason = None if refused is None else plain(str(refused))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # isolation: a validator that raises refuses (fails closed)
                reason = f"the validator raised {describe(error)}"
            if reason is not None:
                return f"{validator.name}: {reason}"
        return None

    def submit_trade(self, account: Account, intent: Intent, equity_raw: int) -> str | None:
        """Validate an intent and reserve its worst case (C1).

        Returns the intent id, or None when there is nothing to do (below dust) or the order was refused (OrderRejected says
        why). A part of it may be reserved (see `piece`; OrderReserved has its target). The same intent again, open or settled,
        returns its id without a second order. Raises ValidationError when an equal intent id was used for another action.
        """
        with self._lock:
            intent_id = intent.intent_id(self.arena_id)
            body = intent.body()
            if self._bodies.get(intent_id, body) != body:
                raise ValidationError(f"intent {intent_id} was already used for another action")
            if intent_id in self._bodies:
                return intent_id
            market = self.market(intent.market)
            held = self.accrue(account, intent.role, market, intent.row)
            value = market.value(held, intent.row)
            fill, refused, intent = piece(market, held, value, intent)
            if refused:
                self._reject(account, intent, intent_id, abs(intent.target_raw - value), f"market: {refused}")
            if fill is None:
                return None
            refusal = self._busy(intent) or self.validate_trade(account, intent, fill, value, equity_raw)
            if refusal is not None:
                self._reject(account, intent, intent_id, fill.notional_raw, refusal)
                return None
            reserved = max(0, -fill.cash_raw)
            order = Order(intent, intent_id, account, fill, value, reserved)
            interest = self.interest(account, intent.role, market)
            transfers = [Transfer("interest", interest)] if interest else []
            if reserved:
                base = market.base.symbol
                transfers.append(
                    Transfer(
                        "reserve",
                        (
                            Line(accounts.agent_available(account.agent_id), base, -reserved),
                            Line(accounts.agent_reserved(account.agent_id), base, reserved),
                        ),
                    )
                )
            self.journal.post(
                OrderReserved(intent_id, intent.market, intent.role, intent.row, value, intent.target_raw, reserved),
                account.agent_id,
                tuple(transfers),
            )
            self.interest_posted(account, intent.role)
            account.positions.setdefault(intent.role, held)
            account.accrued_row[intent.role] = intent.row
            account.reserved_raw += reserved
            account.orders_today += 1
            order.state = move_intent(order.state, IntentState.RESERVED)
            self._open[intent_id] = order
            self._bodies[intent_id] = body
            self._counts["submitted"] += 1
            return intent_id

    def execute_trade(self, intent_id: str) -> Fill:
        """Execute a reserved order (C2 to C6) and post the legs of what really happened.

        An order whose outcome was unknown is asked about again. Raises ValidationError for an unknown intent,
        EmergencyStopError when a HARD stop came in between (the order stays reserved), ExecutionError when the market did not
        execute it (OrderFailed, the reservation is free again), UnknownOutcomeError while nobody can tell (OrderQuarantined,
        the order stays open and reserved). Ctrl-C, too, leaves an order of unknown outcome, and is raised again.
        """
        with self._lock:
            order = self._open.get(intent_id)
            if order is None:
                raise ValidationError(f"no open order has the intent id {intent_id}")
            if self.stop_level == HARD:
                raise EmergencyStopError("the emergency stop is engaged (HARD): nothing is executed")
            known = order.state is IntentState.RESERVED
            executing = move_intent(order.state, IntentState.EXECUTING) if known else order.state
            account, intent = order.account, order.intent
            market = self.market(intent.market)
            try:
                fill = market.settle(intent_id, account.positions[intent.role], order.fill, intent.row)
                check_fill(fill, market.spec.name)
                self.journal.post(order.settled(fill), account.agent_id, (Transfer("fill", order.lines(fill, market)),))
            except ExecutionError as error:
                self._fail(order, executing, market, error)
                raise
            except (
                BaseException
            ) as error:  # what it left behind is not known or not booked: neither retried nor forgotten
                unknown = self._quarantine(order, error)
                if not isinstance(error, Exception):
                    raise
                raise unknown from error
            account.reserved_raw -= order.reserved_raw
            account.cash_raw += fill.cash_raw
            account.positions[intent.role] = fill.state
            account.accrued_row[intent.role] = intent.row
            account.orders += 1
            account.costs_raw += fill.cost_raw
            order.state = move_intent(executing, IntentState.SETTLED)
            del self._open[intent_id]
            self._counts["executed"] += 1
            self._counts["cost_raw"] += fill.cost_raw
            self._counts["notional_raw"] += fill.notional_raw
            market.booked(intent_id)
            return fill

    def _fail(self, order: Order, executing: IntentState, market: ExactMarket, error: ExecutionError) -> None:
        account, intent = order.account, order.intent
        agent = account.agent_id
        try:
            lines = freed_cash(agent, market.base.symbol, order.reserved_raw) if order.reserved_raw else ()
            lost = fill_lines(error.legs, agent, intent.role, market, accounts.agent_available(agent))
            transfers = [Transfer(reason, part) for reason, part in (("release", lines), ("costs", lost)) if part]
            self.journal.post(
                OrderFailed(order.intent_id, intent.market, intent.role, intent.row, str(error), error.cost_raw),
                agent,
                tuple(transfers),
            )
        except Exception as problem:
            raise self._quarantine(order, problem) from problem
        account.reserved_raw -= order.reserved_raw
        account.cash_raw += sum(leg.amount for leg in error.legs if leg.account == "cash")
        account.costs_raw += error.cost_raw
        order.state = move_intent(executing, IntentState.FAILED)
        del self._open[order.intent_id]
        self._counts["failed"] += 1
        market.booked(order.intent_id)

    def _quarantine(self, order: Order, error: BaseException) -> TreasuryArenaError:
        """Keep the order for later; what to raise: that its outcome is unknown, or that the journal itself is broken."""
        reason = describe(error)
        if not order.unknown:
            intent = order.intent
            order.state = move_intent(move_intent(order.state, IntentState.EXECUTING), IntentState.QUARANTINED)
            self._counts["quarantined"] += 1
            self.journal.post(
                OrderQuarantined(order.intent_id, intent.market, intent.role, intent.row, reason), intent.agent_id
            )
        return (
            error if isinstance(error, StoreError) else UnknownOutcomeError(f"order {order.intent_id[:12]}: {reason}")
        )

    def ask_again(self) -> None:
        """Ask what became of every order whose outcome was unknown; it settles, fails, or stays open.

        To be done at every step, and before any other order: what the account that signs has left open, its next order waits for.
        """
        with self._lock:
            for order in [order for order in self._open.values() if order.unknown]:
                with contextlib.suppress(ExecutionError, UnknownOutcomeError, EmergencyStopError):  # told by events
                    self.execute_trade(order.intent_id)

    def trade(self, account: Account, intent: Intent, equity_raw: int) -> Fill | None:
        """Submit and execute as one.

        None when refused, below dust, failed, of unknown outcome, or when this very intent was settled before.
        """
        with self._lock:
            self.ask_again()
            intent_id = self.submit_trade(account, intent, equity_raw)
            if intent_id not in self._open:
                return None
            try:
                return self.execute_trade(intent_id)
            except (ExecutionError, UnknownOutcomeError):
                return None  # an event says why; the next decision sees the position as it is

    def get_execution_stats(self) -> dict[str, int]:
        """Counts since this engine was made: submitted, executed, failed, quarantined, rejected, open, notional_raw, cost_raw."""
        with self._lock:
            names = ("submitted", "executed", "failed", "quarantined", "rejected", "notional_raw", "cost_raw")
            return {**{name: self._counts[name] for name in names}, "open": len(self._open)}

    def emergency_stop(self, reason: str, operator: str = "owner", level: str = HARD) -> None:
        """Engage the stop: SOFT refuses new risk, HARD refuses everything. Persisted as an event.

        Raises ValidationError for another level, or without reason or operator.
        """
        check_level(level)
        check_order(reason, operator)
        with self._lock:  # also while it is stored: a release under way beside it must not undo it
            self.stop_level = higher(self.stop_level, level)
            self._record_stop(EmergencyStopEngaged(level, reason, operator))

    def emergency_resume(self, reason: str, operator: str = "owner") -> None:
        """Release the stop; needs a reason. Persisted as an event, before anything is allowed again.

        Raises ValidationError without reason or operator.
        """
        check_order(reason, operator)
        with self._lock:
            self._record_stop(EmergencyStopReleased(reason, operator))
            self.stop_level = OFF

    def _is_unknown(self, agent_id: str, role: str) -> bool:
        """Whether an order of a position is of unknown outcome; until it is known the position does not accrue either."""
        return bool(self._open) and any(
            order.unknown and (order.intent.agent_id, order.intent.role) == (agent_id, role)
            for order in self._open.values()
        )

    def _busy(self, intent: Intent) -> str | None:
        """A position has one order under way at a time: a second one would be quoted on a state about to change."""
        for order in self._open.values():
            if (order.intent.agent_id, order.intent.role) == (intent.agent_id, intent.role):
                return f"position_busy: order {order.intent_id[:12]} for {intent.role!r} is still open"
        return None

    def _reject(self, account: Account, intent: Intent, intent_id: str, notional_raw: int, refusal: str) -> None:
        code, reason = refusal.split(": ", 1)
        self._counts["rejected"] += 1
        self.journal.post(
            OrderRejected(intent_id, intent.market, intent.role, intent.row, code, reason, notional_raw),
            account.agent_id,
        )
