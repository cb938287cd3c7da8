"""How agents end: the rules of death and retirement applied to what is known of them."""

from __future__ import annotations

from treasury_arena.arena import judging
from treasury_arena.arena.desk import World
from treasury_arena.arena.funding import Funding
from treasury_arena.arena.journal import CycleJournal
from treasury_arena.arena.records import AgentRecord
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import PROVING, AgentState
from treasury_arena.events import catalog


class Endings:
    """Posts deaths and retirements; the account of who ends is the caller's to close."""

    def __init__(self, settings: ArenaSettings, world: World, journal: CycleJournal, funding: Funding) -> None:
        self.rules = settings.rules
        self.journal = journal
        self.funding = funding
        self._steps_per_day = world.frame.steps_per_day

    def days(self, start: int, row: int) -> int:
        """Whole days from row `start` to `row`."""
        return (row - start) // self._steps_per_day

    def kill(self, agent: AgentState, record: AgentRecord, row: int) -> bool:
        """Let an agent die if a rule of death says so at `row`; True when it died. Its account is the caller's to close."""
        end = self.death(agent, record, row)
        if end is not None:
            self.journal.post(catalog.AgentKilled(end.rule, end.text, record.metrics), agent.agent_id)
        return end is not None

    def death(self, agent: AgentState, record: AgentRecord, row: int) -> judging.Reason | None:
        """The rule an agent dies by: its code failed, live or in simulation, its record, or what it really lost."""
        account = self.funding.accounts.get(agent.agent_id)
        if account is not None and account.failed is not None:
            return judging.Reason("failed", account.failed[1])
        if record.failed:
            reason = "its decision gave an impossible target in simulation"
            self.journal.post(catalog.AgentFailed("target", reason), agent.agent_id)
            return judging.Reason("failed", reason)
        age = self.days(agent.born_row, row)
        if age < 1:
            return None
        end = judging.death(record.metrics, age, self.rules)
        if end is None and account is not None:
            end = judging.live_drawdown(1.0 - account.nav / account.peak_nav, self.rules)
        return end

    def retire(self, agent: AgentState, record: AgentRecord, row: int) -> None:
        """Let an agent retire if it is old enough, or too long in proving."""
        in_proving = self.days(agent.stage_row, row) if agent.stage == PROVING else None
        end = judging.retirement(self.days(agent.born_row, row), in_proving, self.rules)
        if end is not None:
            self.journal.post(catalog.AgentRetired(end.rule, end.text, record.metrics), agent.agent_id)
