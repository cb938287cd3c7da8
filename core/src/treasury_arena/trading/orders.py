"""An order between its reservation and its end, and as large a piece of one as its market takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from treasury_arena.contracts.chain import Holding, Plan, StepPlanner
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.order_states import IntentState, walk_instant
from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena.events.catalog import OrderSettled
from treasury_arena.events.event import Line
from treasury_arena.ledger import accounts
from treasury_arena.trading.account import Account
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.lines import fill_lines, freed_cash

Found = TypeVar("Found")

#: Mode -> venues of markets it may trade in.
VENUES = {"simulation": ("replay",), "local": ("replay", "local")}
#: How often an order is halved for a market to take it.
HALVINGS_MAX = 12


@attrs.define
class Order:
    """An intent on its way: the quote it was validated on and where it stands."""

    intent: Intent
    intent_id: str
    account: Account
    fill: Fill
    value_raw: int
    reserved_raw: int = 0
    state: IntentState = IntentState.PROPOSED

    @property
    def unknown(self) -> bool:
        """Whether nobody can tell what became of it."""
        return self.state is IntentState.QUARANTINED

    def settled(self, fill: Fill) -> OrderSettled:
        """The event of what it became."""
        return OrderSettled(
            intent_id=self.intent_id,
            market=self.intent.market,
            role=self.intent.role,
            row=self.intent.row,
            status="FINAL",
            path=list(walk_instant()),
            notional_raw=fill.notional_raw,
            cost_raw=fill.cost_raw,
            cash_raw=fill.cash_raw,
            slippage_bps=fill.slippage_bps,
            state=[str(part) for part in fill.state],
        )

    def lines(self, fill: Fill, market: ExactMarket) -> tuple[Line, ...]:
        """Its postings; what was reserved for more than it cost, or came in, is free again, what is missing is cash's."""
        agent, reserved = self.account.agent_id, self.reserved_raw
        cash = accounts.agent_reserved(agent) if reserved else accounts.agent_available(agent)
        found = fill_lines(fill.legs, agent, self.intent.role, market, cash)
        spare = reserved + fill.cash_raw if reserved else 0
        return (*found, *freed_cash(agent, market.base.symbol, spare)) if spare else found


def piece(market: ExactMarket, state: ExactState, value_raw: int, intent: Intent) -> tuple[Fill | None, str, Intent]:
    """The quote of an intent, why it is refused, and the intent with the target of the quote.

    What a market on a chain does not take in one piece is halved until it does, as a closing is. The rest is left to the next
    decision: by then others have brought the price back, and the strategy says anew what it wants. Where no size will do, the
    shape alone is moved that the control asks for. In replay an order is never halved: the market does of it what the search's
    model does, all or nothing, and of a sale with a change of shape that cannot be had the sale alone.
    """

    def quote(target: int) -> Fill | None:
        return market.trade(state, target, intent.row, intent.control)

    return _first(quote, [intent.target_raw] if market.venue == "replay" else _targets(intent, value_raw), intent)


def planned(planner: StepPlanner, holding: Holding, value_raw: int, intent: Intent) -> tuple[Plan | None, str, Intent]:
    """The plan of an intent, why it is refused, and the intent with the target of the plan; in pieces, as `piece`."""

    def plan(target: int) -> Plan | None:
        return planner.plan(holding, target, intent.control)

    return _first(plan, _targets(intent, value_raw), intent)


def _targets(intent: Intent, value_raw: int) -> list[int]:
    """The target, then ever nearer ones to what the position is worth, and for a shape that worth itself."""
    away = intent.target_raw - value_raw
    halves = [abs(away) >> number for number in range(1, HALVINGS_MAX + 1)]
    nearer = [max(0, value_raw + half if away > 0 else value_raw - half) for half in halves]
    return [intent.target_raw, *nearer, *([max(0, value_raw)] if intent.control else [])]


def _first(ask: Callable[[int], Found | None], targets: list[int], intent: Intent) -> tuple[Found | None, str, Intent]:
    """What is answered to the first target whose size is not refused."""
    told = ""
    for target in dict.fromkeys(targets):
        try:
            found = ask(target)
        except SizeRefusedError as error:
            told = told or str(error)
        except ValidationError as error:
            return None, told or str(error), intent
        else:
            return found, told if found is None else "", attrs.evolve(intent, target_raw=target)
    return None, told, intent
