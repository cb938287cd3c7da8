"""SimulationEngine: backtests a population on history, deterministic, with pause, resume and JSON export."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.arena.desk import World
from treasury_arena.arena.metrics import batch_metrics
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.clock import Stopwatch, iso
from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.contracts.results import as_html, plot_curves
from treasury_arena.errors import AgentError, DataError, ValidationError, nearest
from treasury_arena.simulation.interpret import Interpreter

#: For so many failures of one backtest the reason is looked for; it takes living through the rows in plain Python.
EXPLAINED_MAX = 20


@attrs.frozen(eq=False)
class BacktestResult:
    """Curves and metrics of a backtest.

    Attributes:
        curves: equity in USD, one row a day, its close, one column per agent, and ``lend_everything``. The first row, the day
            before `start_date`, is what they began with.
        table: one row per agent: metrics, trades, costs (USD), coin_share, failed, and why it failed (``failure``, None if
            it did not).
        agent_steps, seconds: steps taken, and the time that the stepping alone took: no compilation, no looking for reasons.
    """

    curves: pd.DataFrame
    table: pd.DataFrame
    agent_steps: int
    seconds: float

    @property
    def days(self) -> int:
        """Days from the first moment to the last; the curves have one point more."""
        return len(self.curves) - 1

    def __repr__(self) -> str:
        return f"<BacktestResult {len(self.table)} agents, {self.days} days, {len(self.failures)} failed>"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return as_html(repr(self), self.table)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict without timings."""
        return {
            "dates": [day.strftime("%Y-%m-%d") for day in self.curves.index],
            "curves": {name: self.curves[name].tolist() for name in self.curves},
            "agents": [{"id": str(name), **row} for name, row in self.table.to_dict(orient="index").items()],
            "agent_steps": self.agent_steps,
        }

    def to_json(self, path: Path | str) -> None:
        """Write `to_dict` as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n")

    @property
    def failures(self) -> list[str]:
        """One sentence for each agent that failed: which, when and why."""
        return [sentence for sentence in self.table["failure"] if sentence is not None]

    def plot(self, **options: Any) -> Any:
        """Draw the curves with pandas' plotting, whose options it takes; returns the axes."""
        words = "1 agent" if len(self.table) == 1 else f"{len(self.table)} agents"
        return plot_curves(self.curves, f"Backtest of {words} and lending everything", options)


class SimulationEngine:
    """Backtests agents with the search kernel. The same inputs give the same result, on any number of workers."""

    def __init__(self, settings: ArenaSettings, world: World) -> None:
        self.settings = settings
        self.world = world
        self._keeper = RecordKeeper(settings, world)
        self._going = threading.Event()
        self._going.set()

    def __repr__(self) -> str:
        return f"<SimulationEngine {self.settings.name}: {', '.join(self.world.desks)}, {self.world.frame.rows} rows>"

    def pause(self) -> None:
        """Make a running backtest wait before its next strategy, and a live simulation before its next step."""
        self._going.clear()

    def resume(self) -> None:
        """Let a paused backtest or live simulation go on."""
        self._going.set()

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    def _rows(self, start_date: date | str, end_date: date | str) -> tuple[int, int]:
        """The rows at which the first day begins and the last one closes."""
        frame = self.world.frame
        start, end = (
            datetime.combine(date.fromisoformat(day) if isinstance(day, str) else day, time(), UTC)
            for day in (start_date, end_date)
        )
        if end < start:
            raise DataError(f"the backtest ends on {end_date}, before its start {start_date}")
        return frame.row(start), frame.row(end + timedelta(days=1))

    def backtest(
        self,
        agents: Sequence[TreasuryAgent],
        start_date: date | str,
        end_date: date | str,
        progress: Callable[[int, int], None] | None = None,
    ) -> BacktestResult:
        """Run agents from the first moment of `start_date` to the close of `end_date`, as a configuration does, at the judged
        capital.

        Raises DataError for dates outside the market data, ValidationError for a strategy this world does not have.
        """
        low, high = self._rows(start_date, end_date)
        groups: dict[str, list[int]] = {}
        for index, agent in enumerate(agents):
            name = agent.strategy.name
            if name not in self.world.desks:
                raise ValidationError(f"unknown strategy {name!r}: {nearest(name, self.world.desks)}")
            groups.setdefault(name, []).append(index)
        frame, day = self.world.frame, self._keeper.day
        days = (high - low) // day
        curve = np.zeros((len(agents), days + 1))
        columns = {name: np.zeros(len(agents)) for name in ("trades", "costs", "coin_share")}
        failed = np.zeros(len(agents), dtype=np.bool_)
        failures: list[str | None] = [None] * len(agents)
        explained = 0
        seconds = 0.0
        before = self._keeper.agent_steps
        for done, (name, indices) in enumerate(sorted(groups.items())):
            self._going.wait()
            desk = self.world.desks[name]
            genomes = np.array([agents[i].genome for i in indices])
            desk.kernel.compile()  # or load it: neither is the speed of stepping
            watch = Stopwatch()
            outcome = self._keeper.run(desk, genomes, low, low + days * day)
            seconds += watch.seconds()
            curve[indices] = outcome.curve
            columns["trades"][indices] = outcome.trades
            columns["costs"][indices] = outcome.costs
            columns["coin_share"][indices] = outcome.mean_share[:, desk.coin_mask()].sum(axis=1)
            failed[indices] = outcome.failed
            for index, row in zip(indices, outcome.failed_row.tolist(), strict=True):
                if row >= 0:
                    failures[index] = self._failure(agents[index], low, row, known=explained >= EXPLAINED_MAX)
                    explained += 1
            if progress is not None:
                progress(done + 1, len(groups))
        batch = RecordBatch(curve=curve, lending=self._keeper.lending(low, days), failed=failed, **columns)
        judges = {"fitness": self.settings.judge_fitness, "owner_fitness": self.settings.owner_fitness}
        names = [agent.agent_id for agent in agents]
        table = pd.DataFrame(batch_metrics(batch, judges), index=pd.Index(names, name="id"))
        table["trades"], table["costs"], table["failed"] = columns["trades"], columns["costs"], failed
        table["failure"] = pd.Series(failures, index=table.index, dtype=object)
        table.insert(0, "strategy", [agent.strategy.name for agent in agents])
        dates = pd.to_datetime([frame.closed_day(low + k * day) for k in range(days + 1)], utc=True).rename("date")
        curves = pd.DataFrame(curve.T, index=dates, columns=names)
        curves["lend_everything"] = self._keeper.lending(low, days) * self._keeper.judge_cash
        return BacktestResult(curves, table, self._keeper.agent_steps - before, seconds)

    def live_simulate(
        self, agent: TreasuryAgent, start_date: date | str, end_date: date | str
    ) -> Iterator[Mapping[str, float]]:
        """Step one agent through history as plain Python, yielding equity, cash and drawdown at every row.

        From the first moment of `start_date` to the close of `end_date`, as `backtest`.

        It decides with the very functions the kernel compiles; the last equity equals the kernel's bit for bit.
        """
        low, high = self._rows(start_date, end_date)
        for row, interpreter in self._live(agent, low, high):
            yield {
                "row": float(row),
                "epoch": float(self.world.frame.epoch(row)),
                "equity": interpreter.equity,
                "cash": interpreter.cash,
                "drawdown": interpreter.drawdown,
            }

    def why_barren(self, strategy: str) -> str:
        """Why the default genome of a strategy cannot be simulated on the first training window; empty when it can."""
        desk = self.world.desks[strategy]
        agent = TreasuryAgent(
            strategy, desk.strategy, self.settings.judge_fitness, desk.space.values(desk.space.default)
        )
        low = self.world.first_row - self.settings.training_days * self._keeper.day
        failed = self._keeper.run(desk, np.array([agent.genome]), low, self.world.first_row).failed_row
        return self._reason(agent, low, int(failed[0])) if failed[0] >= 0 else ""

    def _failure(self, agent: TreasuryAgent, low: int, row: int, *, known: bool) -> str:
        """Which agent failed, when and why. The reason is found by living through the rows again, unless enough is known."""
        told = f"agent {agent.agent_id} failed at {iso(self.world.frame.time(row))}"
        reason = "its decision gave an impossible target" if known else self._reason(agent, low, row)
        return f"{told} and traded no more: {reason}"

    def _reason(self, agent: TreasuryAgent, low: int, row: int) -> str:
        try:
            for _, interpreter in self._live(agent, low, row):
                last = interpreter
        except AgentError as error:
            return str(error)
        problem = check_target(agent.strategy, last.target)
        return problem or f"its equity was {last.equity}, which is no amount"

    def _live(self, agent: TreasuryAgent, low: int, high: int) -> Iterator[tuple[int, Interpreter]]:
        """Rows `low` to `high` in plain Python; the interpreter as it stands after each."""
        desk = self.world.desks[agent.strategy.name]
        tables = desk.tables
        market = desk.kernel.layout.market
        places = dict(zip(market, tables.market_columns.tolist(), strict=True))
        columns = {role: [places[role, field] for field in model.market._fields] for role, model in desk.models.items()}
        interpreter = Interpreter(
            desk.kernel,
            agent.genome,
            cash=self._keeper.judge_cash,
            coin_limit=self.settings.rules.coin_cap,
            start=low,
        )
        for row in range(low, high + 1):
            self._going.wait()
            line = tables.market[row]
            rows = {role: desk.models[role].market(*line[columns[role]].tolist()) for role in desk.role_names}
            if row > low:
                interpreter.accrue(rows)
            interpreter.step(row, rows, desk.kernel.features(tables, agent.genome, row))
            yield row, interpreter
