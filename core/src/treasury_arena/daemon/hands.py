"""What a fuse sees of orders on a chain, and what it may have done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from treasury_arena.clock import Clock, to_epoch
from treasury_arena.contracts.chain import Holding, StepPlanner
from treasury_arena.contracts.fuse import FuseHands, FuseView, Task
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.daemon.fusing import Operator
from treasury_arena.domain.order_states import IntentState, StepState
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live.desk import LiveDesk
from treasury_arena.trading.live.records import IntentRecord

WITHDRAW = "withdraw"


class ChainHands(FuseView, FuseHands):
    """View and hands over one desk.

    Args:
        desk: whose orders.
        specs: configured markets by name.
        operator: calls persons.
        clock: wall time.
    """

    def __init__(self, desk: LiveDesk, specs: Mapping[str, MarketSpec], operator: Operator, clock: Clock) -> None:
        self.desk, self.engine, self.specs, self.operator, self.clock = desk, desk.engine, specs, operator, clock

    # -- view

    def _risky(self) -> Iterator[IntentRecord]:
        return (intent for intent in self.engine.records.open_intents() if not intent.reduces)

    def waiting_orders(self) -> int:
        return sum(intent.state is IntentState.RESERVED for intent in self._risky())

    def unmined_orders(self) -> int:
        slots = (self.engine.records.open_slot(intent.intent_id) for intent in self._risky())
        return sum(slot is not None and slot.state is not StepState.INCLUDED for slot in slots)

    def leverage(self) -> float:
        return max((self._leverage(market, holding) for _, _, market, holding in self._positions()), default=1.0)

    def exposure_raw(self) -> int:
        return sum(value for *_, value in self._exposed())

    def notified(self, key: str) -> bool:
        return self.operator.called(key)

    # -- hands

    def drop_waiting(self, task: Task) -> None:
        for intent in list(self._risky()):
            self.engine.cancel(intent.intent_id, task.reason)

    def cancel_unmined(self, task: Task) -> None:
        """While the fuse is open the gate lets nothing risky through: a tick cancels whatever nobody has seen."""
        self.engine.tick()

    def delever(self, task: Task, leverage: float) -> None:
        for agent_id, role, market, holding in list(self._positions()):
            if self._leverage(market, holding) > leverage:
                self._sell(agent_id, role, market, 0)

    def reduce(self, task: Task, exposure_raw: int) -> None:
        exposed = list(self._exposed())
        total = sum(value for *_, value in exposed)
        if total <= exposure_raw:
            return
        for agent_id, role, market, value in exposed:
            self._sell(agent_id, role, market, value * exposure_raw // total)

    def notify(self, task: Task) -> None:
        self.operator.call(task)

    # -- positions

    def _positions(self) -> Iterator[tuple[str, str, str, Holding]]:
        """(agent, role, market, holding) of everything that is held."""
        for (agent_id, role), market in self.desk.positions().items():
            yield agent_id, role, market, self.engine.holding(agent_id, role)

    def _exposed(self) -> Iterator[tuple[str, str, str, int]]:
        """Positions beyond lending of the base asset, and their worth."""
        for agent_id, role, market, holding in self._positions():
            spec = self.specs[market]
            if spec.asset != self.desk.base or holding.owed:
                yield agent_id, role, market, self._planner(market).value(holding)

    def _leverage(self, market: str, holding: Holding) -> float:
        """What a position holds over what it is worth after its debt."""
        if not holding.owed:
            return 1.0
        planner = self._planner(market)
        equity = planner.value(holding)
        return planner.value(Holding(holding.cash_raw, holding.held)) / equity if equity > 0 else float("inf")

    def _planner(self, market: str) -> StepPlanner:
        return self.engine.planners[market]

    def _sell(self, agent_id: str, role: str, market: str, target_raw: int) -> None:
        self.engine.submit(Intent(agent_id, role, market, target_raw, to_epoch(self.clock.now()), purpose=WITHDRAW))
