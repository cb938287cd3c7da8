"""Records: every living agent's daily curve since its birth, on days its search had not seen.

A record has up to three parts, chained: in simulation as the kernel gives it from birth; in proving the kernel again from
the day it entered, with the limits it got, at the scale of the arena (M3); in the arena what it really did, net asset value
by net asset value.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.arena.desk import Desk, World
from treasury_arena.arena.metrics import batch_metrics, one
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import ARENA, PROVING, AgentState
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.simulation.kernel import Outcome

FloatArray = NDArray[np.float64]


@attrs.frozen(eq=False)
class AgentRecord:
    """One agent's record at a judgement.

    Attributes:
        curve: (days + 1,) chained value of one dollar since birth.
        metrics: see `treasury_arena.arena.metrics`.
        coin_share: mean share of equity in coins over its simulated record.
        max_share: role -> largest share of equity its simulated record held.
        proving_return: return since it entered proving at the judged scale, 0 before.
        fidelity_return: what simulation at the proving slot's capital gives since it entered proving, None outside proving.
        failed: True when its kernel run met an impossible target.
    """

    curve: FloatArray
    metrics: dict[str, float]
    coin_share: float
    max_share: dict[str, float]
    proving_return: float
    fidelity_return: float | None
    failed: bool


class RecordKeeper:
    """Computes the records of all living agents at a row; holds nothing between calls."""

    def __init__(self, settings: ArenaSettings, world: World) -> None:
        self.settings = settings
        self.world = world
        self.day = world.frame.steps_per_day
        self.agent_steps = 0
        self._lock = threading.Lock()

    def lending(self, low: int, days: int) -> FloatArray:
        """(days + 1,) value of one dollar that lends everything from row `low`."""
        rows = self.world.lending[low : low + days * self.day + 1 : self.day]
        return np.asarray(rows / rows[0], dtype=np.float64)

    def records(
        self, agents: Sequence[AgentState], row: int, lived: Mapping[str, Sequence[float]] | None = None
    ) -> dict[str, AgentRecord]:
        """Records of `agents` at `row`, by id. Agents born at `row` have a record of no days.

        `lived`: id -> net asset value at each day's close since the agent's newest mark, so that the newest days are judged.
        """
        pieces: dict[str, AgentRecord] = {}
        for name, desk in self.world.desks.items():
            mine = [agent for agent in agents if agent.strategy == name]
            if mine:
                pieces.update(self._of_strategy(desk, mine, row, lived or {}))
        return self._with_metrics(pieces, row)

    def run(
        self,
        desk: Desk,
        genomes: FloatArray,
        low: int,
        row: int,
        *,
        starts: NDArray[np.int64] | None = None,
        limits: FloatArray | None = None,
        cash: float | None = None,
    ) -> Outcome:
        """One kernel run from row `low` to `row` inclusive, sampled daily, at the judged scale unless `cash` is given."""
        settings = self.settings
        outcome = desk.kernel.run(
            desk.tables,
            genomes,
            low=low,
            high=row + 1,
            starts=starts,
            cash=self.judge_cash if cash is None else cash,
            limits=limits,
            coin_limit=settings.rules.coin_cap,
            sample=self.day,
            workers=settings.workers,
        )
        with self._lock:
            self.agent_steps += outcome.steps
        return outcome

    @property
    def judge_cash(self) -> float:
        """USD at which records are judged: one arena agent's capital (M3), or one proving slot's."""
        plan = self.settings.capital
        raw = plan.judge_raw if self.settings.rules.judge_at_arena_scale else plan.proving_slot_raw
        return self.settings.base.to_float(raw)

    def _of_strategy(
        self, desk: Desk, agents: list[AgentState], row: int, lived: Mapping[str, Sequence[float]]
    ) -> dict[str, AgentRecord]:
        genomes = np.array([agent.genome for agent in agents])
        born = np.array([agent.born_row for agent in agents])
        low = int(born.min())
        simulated = self.run(desk, genomes, low, row, starts=born)
        coin = desk.coin_mask()
        funded = [i for i, agent in enumerate(agents) if agent.proving_row is not None]
        proving: Outcome | None = None
        slot: Outcome | None = None
        first, slot_cash = row, self.settings.base.to_float(self.settings.capital.proving_slot_raw)
        if funded:
            entered = np.array([agents[i].proving_row for i in funded])
            limits = np.array([[agents[i].limits.get(role, 1.0) for role in desk.role_names] for i in funded])
            first = int(entered.min())
            proving = self.run(desk, genomes[funded], first, row, starts=entered, limits=limits)
            slot = self.run(desk, genomes[funded], first, row, starts=entered, limits=limits, cash=slot_cash)
        out: dict[str, AgentRecord] = {}
        for i, agent in enumerate(agents):
            end = row if agent.proving_row is None else agent.proving_row
            parts = [self._part(simulated, i, low, agent.born_row, end)]
            proving_return, fidelity = 0.0, None
            failed = bool(simulated.failed_row[i] >= 0)
            if agent.proving_row is not None and proving is not None and slot is not None:
                j = funded.index(i)
                until = row if agent.arena_row is None else agent.arena_row
                parts.append(self._part(proving, j, first, agent.proving_row, until))
                proving_return = float(parts[-1][-1] / parts[-1][0] - 1.0)
                failed = bool(proving.failed_row[j] >= 0)
                if agent.stage == PROVING:
                    fidelity = float(slot.final[j] / slot_cash - 1.0)
            if agent.stage == ARENA and agent.arena_nav:
                parts.append(np.array([*agent.arena_nav, *lived.get(agent.agent_id, ())]))
            out[agent.agent_id] = AgentRecord(
                curve=np.ones_like(chain(parts)) if failed else chain(parts),
                metrics={},
                coin_share=float(simulated.mean_share[i][coin].sum()),
                max_share=dict(zip(desk.role_names, simulated.max_share[i].tolist(), strict=True)),
                proving_return=proving_return,
                fidelity_return=fidelity,
                failed=failed,
            )
        return out

    def _part(self, outcome: Outcome, index: int, low: int, start: int, end: int) -> FloatArray:
        """Daily values of one agent between two rows of a run that began at row `low`."""
        first, last = (start - low) // self.day, (end - low) // self.day
        return np.asarray(outcome.curve[index, first : last + 1])

    def _with_metrics(self, pieces: dict[str, AgentRecord], row: int) -> dict[str, AgentRecord]:
        """Fill in the metrics, all records of equal length together."""
        lengths: dict[int, list[str]] = {}
        for agent, piece in pieces.items():
            lengths.setdefault(len(piece.curve), []).append(agent)
        out: dict[str, AgentRecord] = {}
        for length, ids in lengths.items():
            days = length - 1
            batch = RecordBatch(
                curve=np.array([pieces[agent].curve for agent in ids]),
                lending=self.lending(row - days * self.day, days),
                trades=np.zeros(len(ids)),
                costs=np.zeros(len(ids)),
                coin_share=np.array([pieces[agent].coin_share for agent in ids]),
                failed=np.array([pieces[agent].failed for agent in ids]),
            )
            judged = batch_metrics(
                batch, {"fitness": self.settings.judge_fitness, "owner_fitness": self.settings.owner_fitness}
            )
            for index, agent in enumerate(ids):
                out[agent] = attrs.evolve(pieces[agent], metrics=one(judged, index))
        return {agent: out[agent] for agent in pieces}


def chain(parts: Sequence[FloatArray]) -> FloatArray:
    """Join curves end to end as the value of one dollar: each part starts where the one before ended."""
    out = [np.ones(1)]
    for part in parts:
        if len(part) > 1:
            out.append(out[-1][-1] * part[1:] / part[0])
    return np.concatenate(out)
