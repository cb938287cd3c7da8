"""The gap of a promoted agent: what the exact books make of its decisions, less what the search model made of them.

Both live the same days, from its promotion to proving to its promotion to the arena (or its end, or the present), with the same
capital, that of one arena agent, and under the same limits. The exact side goes through a trading engine of its own, whose
events nobody keeps; emergency stops, which a model knows nothing of, are left out.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from treasury_arena.arena.desk import World
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import PROVING, AgentState
from treasury_arena.contracts.validation import Validator
from treasury_arena.events.event import Transfer
from treasury_arena.isolation import describe
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.runner import LiveRunner


class _Nowhere:
    """A journal that keeps nothing."""

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        return None


@attrs.frozen
class Gap:
    """A gap as a fraction; None where there is none to tell, and for a promoted agent `unmeasured` says why."""

    value: float | None = None
    unmeasured: str = ""


class GapMeter:
    """Measures gaps of agents; nothing of the arena it belongs to is read or changed but the agent's own state."""

    def __init__(
        self, settings: ArenaSettings, world: World, limits: Limits, validators: tuple[Validator, ...] = ()
    ) -> None:
        self.settings = settings
        self.world = world
        self._keeper = RecordKeeper(settings, world)
        self._limits = limits
        self._validators = validators

    def gap(self, agent: AgentState, row: int) -> Gap:
        """Exact return less model return over its days in proving up to `row`.

        There is none of an agent that was never promoted. It is not measured before the first whole day in proving, where the
        agent trades on a market which is more than arithmetic (a local chain), and when the agent or a market fails.
        """
        start = agent.proving_row
        if start is None:
            return Gap()
        ends = (agent.arena_row, agent.ended_row, row)
        until = min(end for end in ends if end is not None)
        day, desk = self._keeper.day, self.world.desks[agent.strategy]
        until = start + (until - start) // day * day
        if until <= start:
            return Gap(unmeasured="no whole day in proving yet")
        for name in desk.roles.values():
            if (venue := self.world.markets[name].venue) != "replay":
                return Gap(
                    unmeasured=f"market {name!r} trades on the venue {venue!r}, where nothing can be lived again"
                )
        capital = self.settings.capital.judge_raw
        limits = {role: agent.limits.get(role, 1.0) for role in desk.role_names}
        model = self._keeper.run(
            desk,
            np.array([agent.genome]),
            start,
            until,
            limits=np.array([list(limits.values())]),
            cash=self.settings.base.to_float(capital),
        )
        account = Account(
            agent_id=agent.agent_id,
            strategy=agent.strategy,
            stage=PROVING,
            genome=agent.genome,
            limits=limits,
            coin_limit=self.settings.rules.coin_cap,
            row=start - 1,
            first_row=start,
            cash_raw=capital,
            base_raw=capital,
        )
        if model.failed_row[0] >= 0:
            return Gap(unmeasured=f"the search model failed at row {int(model.failed_row[0])}")
        try:
            self._live(account, start, until)
        except Exception as error:  # isolation: a market that fails at this capital must not cost a run its report
            return Gap(unmeasured=describe(error))
        if account.failed is not None:
            return Gap(unmeasured=f"the agent's code failed: {account.failed[1]}")
        return Gap(float(account.nav - model.final[0] / self.settings.base.to_float(capital)))

    def _live(self, account: Account, start: int, until: int) -> None:
        engine = TradingEngine(self.settings.arena_id, self.world.markets, _Nowhere(), self._limits, self._validators)
        watchdog = Watchdog(self.settings.decision_seconds_max)
        desks = {account.strategy: self.world.desks[account.strategy].live()}
        runner = LiveRunner(engine, desks, self.world.frame.start, self.world.frame.step_seconds, watchdog)
        try:
            for now in range(start, until + 1):
                runner.step(account, now)
        finally:
            watchdog.close()
