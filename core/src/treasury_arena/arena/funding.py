"""Funding: opens and closes the accounts of funded agents, and moves capital between pools and agents."""

from __future__ import annotations

import math
from collections.abc import Mapping

from treasury_arena.arena.allocation import target_capital, validate_capital_change, worth_moving
from treasury_arena.arena.causes import BY_RANK
from treasury_arena.arena.desk import Desk, World
from treasury_arena.arena.journal import CycleJournal
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import ARENA, AgentState
from treasury_arena.arena.treasury import ARENA_POOL, PROVING_POOL, Treasury, cash_account
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.stops import OFF
from treasury_arena.events.catalog import AgentMarked, CapitalAllocated, CapitalReturned
from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.orders import HALVINGS_MAX

#: How many slices one closing may have.
SLICES_MAX = 64


class Funding:
    """Accounts of funded agents and the ways capital reaches and leaves them."""

    def __init__(
        self,
        settings: ArenaSettings,
        world: World,
        journal: CycleJournal,
        engine: TradingEngine,
        treasury: Treasury,
    ) -> None:
        self.settings = settings
        self.world = world
        self.journal = journal
        self.engine = engine
        self.treasury = treasury
        self.accounts: dict[str, Account] = {}

    def restore(self) -> None:
        """Take every account up again from its newest mark."""
        self.accounts = {}
        for agent in self.journal.state.agents.values():
            mark = agent.mark
            if mark is None or (not agent.funded and not self._holds(agent.agent_id)):
                continue
            account = self._account(agent, agent.stage_row)
            positions = {role: tuple(int(part) for part in state) for role, state in mark.positions.items()}
            account.restore(mark.cash_raw, positions, mark.memory)
            self.accounts[agent.agent_id] = account

    def _holds(self, agent_id: str) -> bool:
        return any(self.journal.state.ledger.balances(accounts.agent_prefix(agent_id)).values())

    def _account(self, agent: AgentState, row: int) -> Account:
        return Account(
            agent_id=agent.agent_id,
            strategy=agent.strategy,
            stage=agent.funded_stage,
            genome=agent.genome,
            limits={role: agent.limits.get(role, 1.0) for role in self._desk(agent).role_names},
            coin_limit=self.settings.rules.coin_cap,
            row=row - 1,
            first_row=row,
        )

    def _desk(self, agent: AgentState | Account) -> Desk:
        return self.world.desks[agent.strategy]

    def equity_raw(self, account: Account, row: int) -> int:
        """Cash and positions of an account at `row`."""
        return self.engine.equity_raw(account, row, self._desk(account).roles)

    def pool_of(self, account: Account) -> str:
        """The pool that an account's capital came from, and goes back to."""
        return self.journal.state.agents[account.agent_id].pool

    def allocate(self, agent_id: str, pool: str, amount_raw: int, row: int, reason: str) -> None:
        """Give `amount_raw` of a pool's capital to an agent.

        Raises AllocationError when the pool does not have it, ValidationError when the change is refused by
        `validate_capital_change`; nothing is changed then.
        """
        agent = self.journal.state.agents[agent_id]
        account = self.accounts.get(agent_id)
        old = self.equity_raw(account, row) if account is not None else 0
        rules = self.settings.rules
        validate_capital_change(old, old + amount_raw, rules.growth_max if rules.ramp else math.inf)
        self.treasury.provide(pool, amount_raw, row)
        base = self.settings.base.symbol
        self.journal.post(
            CapitalAllocated(pool, amount_raw, reason),
            agent_id,
            (
                Transfer(
                    "allocation",
                    (
                        Line(cash_account(pool), base, -amount_raw),
                        Line(accounts.agent_available(agent_id), base, amount_raw),
                    ),
                ),
            ),
        )
        if account is None:
            account = self.accounts[agent_id] = self._account(agent, row)
        account.cash_raw += amount_raw
        account.fresh = old > 0
        self._flow(account, old, amount_raw)

    def give_back(self, account: Account, pool: str, amount_raw: int, row: int, reason: str) -> None:
        """Return `amount_raw` of an agent's cash to a pool."""
        old = self.equity_raw(account, row)
        validate_capital_change(old, old - amount_raw)
        base = self.settings.base.symbol
        self.journal.post(
            CapitalReturned(pool, amount_raw, reason),
            account.agent_id,
            (
                Transfer(
                    "return",
                    (
                        Line(accounts.agent_available(account.agent_id), base, -amount_raw),
                        Line(cash_account(pool), base, amount_raw),
                    ),
                ),
            ),
        )
        account.cash_raw -= amount_raw
        self._flow(account, old, -amount_raw)

    @staticmethod
    def _flow(account: Account, old_raw: int, amount_raw: int) -> None:
        """A flow of capital is not a return: start a new base for the net asset value."""
        account.base_nav = account.nav
        account.base_raw = old_raw + amount_raw

    def close(self, account: Account, pool: str, row: int, reason: str) -> bool:
        """Sell everything and return the capital; False while something could not be sold (tried again next cycle)."""
        desk = self._desk(account)
        account.closing, account.target = True, None
        cycle = self.journal.state.present_cycle
        self.mark(account, cycle, row)
        sold_all = True
        for role in desk.roles:
            if role in account.positions:
                sold_all = self._sell_out(account, desk, role, row) and sold_all
        if not sold_all:
            self.mark(account, cycle, row)  # what was sold is sold, whoever takes the account up again
            return False
        if self._owes(account, desk):
            return False
        self._sweep_dust(account, desk, row)
        if account.cash_raw:
            self.give_back(account, pool, account.cash_raw, row, reason)
        else:
            self.journal.post(CapitalReturned(pool, 0, reason), account.agent_id)
        del self.accounts[account.agent_id]
        return True

    def _sell_out(self, account: Account, desk: Desk, role: str, row: int) -> bool:
        """Sell a whole position, in smaller slices where the market refuses its size; False when some of it stays."""
        market = self.engine.market(desk.roles[role])
        slices, target, halvings = 0, 0, 0
        while slices < SLICES_MAX:
            state = self.engine.accrue(account, role, market, row)
            value = market.value(state, row)
            fill, refused = self.engine.quote(market, state, target, row)
            if refused and halvings < HALVINGS_MAX:
                target, halvings = value - (value - target) // 2, halvings + 1
                continue
            if fill is None:
                return not refused
            intent = Intent(account.agent_id, role, desk.roles[role], target, row, (), f"close/{slices}")
            if self.engine.trade(account, intent, self.equity_raw(account, row)) is None:
                return False
            slices, halvings = slices + 1, 0
            target = max(
                0, min(target, 2 * target - value)
            )  # the same slice again; a debt that was paid off buys nothing
        return False

    def _owes(self, account: Account, desk: Desk) -> bool:
        """Whether a position still owes tokens: a debt cannot be left behind as dust."""
        held = ((self.engine.market(desk.roles[role]), state) for role, state in account.positions.items())
        return any(amount < 0 for market, state in held for amount in market.holdings(state).values())

    def _sweep_dust(self, account: Account, desk: Desk, row: int) -> None:
        """What is too small to be sold leaves the books of the agent for the treasury's dust account."""
        lines: list[Line] = []
        for role, market_name in desk.roles.items():
            if role not in account.positions:
                continue
            holdings = self.engine.market(market_name).holdings(account.positions.pop(role))
            account.accrued_row.pop(role, None)
            for asset, amount in holdings.items():
                if amount:
                    lines.append(Line(accounts.agent_position(account.agent_id, role), asset, -amount))
                    lines.append(Line(accounts.DUST, asset, amount))
        if lines:
            self.journal.post(
                CapitalReturned("reserve", 0, "dust"), account.agent_id, (Transfer("dust", tuple(lines)),)
            )

    def promote(self, agent: AgentState, row: int) -> None:
        """Move a proven agent to the main arena: the arena pool buys its holdings from the proving pool."""
        account = self.accounts[agent.agent_id]
        equity = self.equity_raw(account, row)
        self.treasury.provide(ARENA_POOL, equity, row)
        base = self.settings.base.symbol
        self.journal.post(CapitalReturned(PROVING_POOL, equity, "promotion"), agent.agent_id)
        self.journal.post(
            CapitalAllocated(ARENA_POOL, equity, "promotion"),
            agent.agent_id,
            (
                Transfer(
                    "promotion",
                    (
                        Line(cash_account(ARENA_POOL), base, -equity),
                        Line(cash_account(PROVING_POOL), base, equity),
                    ),
                ),
            ),
        )
        account.stage = ARENA
        account.limits = dict(agent.limits)
        self._flow(account, equity, 0)

    def rebalance(self, ranked: list[str], row: int) -> None:
        """Bring the arena's agents to the capital their rank earns, returns first, cost-gated (M4), capped, ramped."""
        present = {agent: self.equity_raw(self.accounts[agent], row) for agent in ranked}
        pool = self.treasury.worth_raw(ARENA_POOL, row) + sum(present.values())
        wanted = target_capital(ranked, pool, present, self.settings.rules)
        for agent in ranked:
            surplus = present[agent] - wanted[agent]
            if surplus > 0:
                self._withdraw(self.accounts[agent], surplus, row)
        if self.engine.stop_level == OFF:
            self._grow({agent: wanted[agent] - present[agent] for agent in ranked}, row)

    def _grow(self, missing: Mapping[str, int], row: int) -> None:
        """Give agents what they miss, in order, where that is worth its cost (M4).

        Lent capital is taken back at once for all, if taking it back and putting it to work together are worth it for what
        moves; otherwise the pool's cash has to do.
        """
        rules, treasury = self.settings.rules, self.treasury
        moves, cost = self._entries(
            missing, treasury.worth_raw(ARENA_POOL, row) - treasury.exit_cost(ARENA_POOL, row), row
        )
        total = sum(moves.values())
        back = treasury.provision_cost(ARENA_POOL, total, row)
        if back and not worth_moving(total, cost + back, rules):
            moves, _ = self._entries(missing, treasury.cash_raw(ARENA_POOL), row)
        if moves:
            treasury.provide(ARENA_POOL, sum(moves.values()), row)
        for agent, amount in moves.items():
            self.allocate(agent, ARENA_POOL, amount, row, BY_RANK)

    def _entries(self, missing: Mapping[str, int], free_raw: int, row: int) -> tuple[dict[str, int], int]:
        """Agent -> capital worth putting to work for its own cost, in order while `free_raw` lasts; and those costs."""
        moves: dict[str, int] = {}
        costs = 0
        for agent, wanted in missing.items():
            amount = min(wanted, free_raw)
            if amount <= 0:
                continue
            cost = self._entry_cost(self.accounts[agent], amount, row)
            if worth_moving(amount, cost, self.settings.rules):
                moves[agent] = amount
                costs += cost
                free_raw -= amount
        return moves, costs

    def _entry_cost(self, account: Account, amount_raw: int, row: int) -> int:
        """Cost of putting `amount_raw` to work in the proportions the agent holds now."""
        values = self._values(account, row)
        equity = self.equity_raw(account, row)
        cost = 0
        for role, value in values.items():
            if value > 0 and equity > 0:
                market = self.engine.market(self._desk(account).roles[role])
                target = value + amount_raw * value // equity
                fill, _ = self.engine.quote(market, account.positions[role], target, row)
                cost += fill.cost_raw if fill is not None else 0
        return cost

    def _values(self, account: Account, row: int) -> dict[str, int]:
        desk = self._desk(account)
        values: dict[str, int] = {}
        for role, market_name in desk.roles.items():  # never the order of positions: a resumed account has another
            if role not in account.positions:
                continue
            market = self.engine.market(market_name)
            values[role] = market.value(self.engine.accrue(account, role, market, row), row)
        return values

    def _withdraw(self, account: Account, amount_raw: int, row: int) -> None:
        """Take capital from an agent: its cash first, then the same share of each position, if worth the cost.

        Of what a market does not take in one piece, as much is sold as it takes; the rest is the next cycle's.
        """
        need = amount_raw - account.available_raw
        orders: list[Intent] = []
        cost = unsold = 0
        if need > 0:
            desk = self._desk(account)
            values = self._values(account, row)
            total = sum(values.values())
            for role, value in values.items():
                target = max(0, value - need * value // total) if total else value
                market = self.engine.market(desk.roles[role])
                fill, piece = self._piece(market, account.positions[role], value, target, row)
                unsold += piece - target
                if fill is not None:
                    cost += fill.cost_raw
                    orders.append(Intent(account.agent_id, role, desk.roles[role], piece, row, (), "withdraw"))
        if not worth_moving(amount_raw - unsold, cost, self.settings.rules):
            return
        for intent in orders:
            self.engine.trade(account, intent, self.equity_raw(account, row))
        amount = min(amount_raw, account.available_raw)
        if amount > 0:
            self.give_back(account, ARENA_POOL, amount, row, BY_RANK)

    def _piece(
        self, market: ExactMarket, state: ExactState, value: int, target: int, row: int
    ) -> tuple[Fill | None, int]:
        """The quote of a sale down to `target`, or of as large a part of it as the market takes; and where that ends."""
        for number in range(HALVINGS_MAX + 1):
            piece = value - ((value - target) >> number)
            fill, refused = self.engine.quote(market, state, piece, row)
            if not refused:
                return fill, piece if fill is not None else target
        return None, value

    def mark(self, account: Account, cycle: int, row: int) -> None:
        """Post an account's interest up to `row` and everything it needs to go on from here."""
        desk = self._desk(account)
        lines: list[Line] = []
        for role, market_name in desk.roles.items():
            if role in account.positions:
                market = self.engine.market(market_name)
                self.engine.accrue(account, role, market, row)
                lines.extend(self.engine.interest(account, role, market))
        steps = max(1, account.share_steps)
        self.journal.post(
            AgentMarked(
                cycle=cycle,
                row=row,
                equity_raw=self.equity_raw(account, row),
                cash_raw=account.cash_raw,
                positions={role: [str(part) for part in state] for role, state in account.positions.items()},
                memory=account.memory(),
                daily_raw=list(account.daily_raw),
                shares={role: total / steps for role, total in account.share_sum.items()},
                orders=account.orders,
                costs_raw=account.costs_raw,
            ),
            account.agent_id,
            (Transfer("interest", tuple(lines)),) if lines else (),
        )
        account.interest = {}
        account.start_interval()
