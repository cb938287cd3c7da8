"""The same plugin functions, uncompiled, driving ONE agent: the reference for the kernels.

Written by hand, not generated, so that agreement with the kernels checks the generator as well as the compiler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.contracts.decision import (
    asked_shares,
    beyond_limits,
    build_book,
    build_genes,
    build_params,
    check_target,
    clip_target,
    wants_trade,
)
from treasury_arena.errors import AgentError
from treasury_arena.isolation import describe
from treasury_arena.simulation.kernel import Kernel
from treasury_arena.simulation.outcome import Outcome, finish
from treasury_arena.simulation.tables import Tables


class Interpreter:
    """One agent of a kernel's strategy in plain Python floats.

    Args:
        kernel: strategy, models and markets.
        genome: (genes,).
        cash: opening cash, USD.
        limits: largest share per role in the order of the roles, default 1.
        coin_limit: largest share in coin markets together.
        start: the agent's first row.
    """

    def __init__(
        self,
        kernel: Kernel,
        genome: ArrayLike,
        *,
        cash: float,
        limits: ArrayLike | None = None,
        coin_limit: float = 1.0,
        start: int = 0,
    ) -> None:
        self.strategy = kernel.strategy
        self.models = {role: kernel.models[role] for role in kernel.layout.roles}
        self.params = {role: build_params(model, kernel.specs[role]) for role, model in self.models.items()}
        self.coins = [kernel.specs[role].coin for role in self.models]
        self.limits = [1.0] * len(self.models) if limits is None else [float(x) for x in np.asarray(limits)]
        self.coin_limit = float(coin_limit)
        self.genes = build_genes(self.strategy, np.asarray(genome, dtype=np.float64).tolist())
        self.positions: dict[str, Any] = {role: model.state() for role, model in self.models.items()}
        self.own: Any = self.strategy.state()
        self.target: Any = None
        self.shares: tuple[float, ...] = ()
        self.pending = False
        self.cash = self.equity = self.peak = float(cash)
        self.inverse = self.inverse_peak = 1.0 / self.cash
        self.start = self.row = start
        self.failed_row = -1
        self.trades = 0
        self.total = self.squares = self.deepest = self.costs = self.turnover = 0.0
        self.share_sums = [0.0] * len(self.models)
        self.share_tops = [0.0] * len(self.models)

    def values(self, rows: Mapping[str, Any]) -> list[float]:
        """Worth of each role's position, USD."""
        return [self._ask(r, m.value, self.positions[r], rows[r], self.params[r]) for r, m in self.models.items()]

    def step(self, row: int, rows: Mapping[str, Any], features: Any) -> None:
        """Live through one row: settle what is pending, be valued, decide.

        Args:
            row: absolute row number.
            rows: role -> the model's `Market` at this row.
            features: the strategy's `Features` at this row.

        Raises AgentError when `decide` or a position model raises (division by zero and the like).
        """
        self.row = row
        if self.pending:
            self._settle(rows)
        values = self.values(rows)
        self._mark(_total(self.cash, values), values)
        if self.failed_row < 0:
            self._decide(row, rows, features, values)

    def accrue(self, rows: Mapping[str, Any]) -> None:
        """Carry the positions to the next row, given that row's markets. Raises AgentError when a model raises."""
        self.row += 1
        for role, model in self.models.items():
            if model.accrue is not None:
                self.positions[role] = self._ask(
                    role, model.accrue, self.positions[role], rows[role], self.params[role]
                )

    def _mark(self, equity: float, values: list[float]) -> None:
        gain = (equity - self.equity) * self.inverse
        self.total += gain
        self.squares += gain * gain
        self.equity = equity
        self.inverse = 1.0 / equity if equity > 0.0 else 0.0
        if equity > self.peak:
            self.peak, self.inverse_peak = equity, self.inverse
        if self.drawdown > self.deepest:
            self.deepest = self.drawdown
        for i, value in enumerate(values):
            share = value * self.inverse
            self.share_sums[i] += share
            self.share_tops[i] = share if share > self.share_tops[i] else self.share_tops[i]

    @property
    def drawdown(self) -> float:
        """Fraction below the highest equity so far."""
        return (self.peak - self.equity) * self.inverse_peak

    def _decide(self, row: int, rows: Mapping[str, Any], features: Any, values: list[float]) -> None:
        views = {
            f"{role}_{name}": self._ask(role, view, self.positions[role], rows[role], self.params[role])
            for role, model in self.models.items()
            for name, view in model.views.items()
        }
        book = build_book(
            self.strategy,
            equity=self.equity,
            cash=self.cash,
            drawdown=self.drawdown,
            step=float(row) - float(self.start),
            values=dict(zip(self.models, values, strict=True)),
            views=views,
        )
        try:
            self.target, self.own = self.strategy.decide(features, self.genes, book, self.own)
        except (ArithmeticError, ValueError) as error:
            raise self._failed(self.strategy.decide, repr(self.strategy.name), error) from error
        if check_target(self.strategy, self.target) is not None or not math.isfinite(self.equity):
            self.failed_row = row
            return
        held = [value * self.inverse for value in values]
        shares = asked_shares([getattr(self.target, role) for role in self.models], held, self.target.band)
        self.shares = clip_target(shares, self.limits, self.coins, self.coin_limit)
        over = beyond_limits(held, self.limits, self.coins, self.coin_limit)
        self.pending = wants_trade(self.shares, values, self.equity, self.target.band, over)

    def _settle(self, rows: Mapping[str, Any]) -> None:
        self.pending = False
        before = self.values(rows)
        equity = _total(self.cash, before)
        if not equity > 0.0:
            return
        cash_before, buys = self.cash, 0.0
        goals = [share * equity for share in self.shares]
        moves = [goal - value for goal, value in zip(goals, before, strict=True)]
        for role, goal, move in zip(self.models, goals, moves, strict=True):
            if move < 0.0:
                self._trade(role, goal, rows)
            else:
                buys += move
        scale = 1.0 if buys <= self.cash else (self.cash / buys if self.cash > 0.0 else 0.0)
        for role, value, move in zip(self.models, before, moves, strict=True):
            if move >= 0.0:
                self._trade(role, value + move * scale, rows)
        after = self.values(rows)
        moved = _total(0.0, [abs(new - old) for new, old in zip(after, before, strict=True)])
        self.costs += equity - _total(self.cash, after)
        self.turnover += moved / equity
        self.trades += moved > 0.0 or self.cash != cash_before

    def _trade(self, role: str, goal: float, rows: Mapping[str, Any]) -> None:
        model = self.models[role]
        control = None
        if model.control is not None:
            control = model.control(*(getattr(self.target, f"{role}_{name}") for name in model.control._fields))
        self.positions[role], cash = self._ask(
            role, model.trade, self.positions[role], goal, rows[role], self.params[role], control
        )
        self.cash += cash

    def _ask(self, role: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of the role's position model gives."""
        try:
            return function(*arguments)
        except (ArithmeticError, ValueError) as error:
            whose = f"the position model {self.models[role].name!r} (role {role!r} of {self.strategy.name!r})"
            raise self._failed(function, whose, error) from error

    def _failed(self, function: Callable[..., Any], whose: str, error: Exception) -> AgentError:
        told = describe(error, function.__module__.split(".")[0])
        return AgentError(f"{function.__name__}() of {whose} failed at row {self.row}: {told}")


def _total(cash: float, values: list[float]) -> float:
    for value in values:
        cash = cash + value
    return cash


def interpret(
    kernel: Kernel,
    tables: Tables,
    genome: ArrayLike,
    *,
    low: int,
    high: int,
    start: int | None = None,
    cash: float,
    limits: ArrayLike | None = None,
    coin_limit: float = 1.0,
    sample: int,
) -> Outcome:
    """One genome through rows `low` to `high` in plain Python; the same outcome, bit for bit, as `Kernel.run` with N = 1.

    Raises AgentError when `decide` or a position model raises (division by zero, ``math.floor`` of what is no finite number
    and the like, where compiled code goes on with inf or NaN).
    """
    run = kernel.arguments(
        tables,
        np.asarray(genome, dtype=np.float64)[None, :],
        low=low,
        high=high,
        starts=start,
        cash=cash,
        limits=None if limits is None else np.asarray(limits, dtype=np.float64)[None, :],
        coin_limit=coin_limit,
        sample=sample,
    )
    begin = int(run.starts[0])
    agent = Interpreter(kernel, genome, cash=cash, limits=limits, coin_limit=coin_limit, start=begin)
    columns = kernel.feature_columns(tables, genome)
    places = dict(zip(kernel.layout.market, tables.market_columns.tolist(), strict=True))

    def markets(row: int) -> dict[str, Any]:
        line = tables.market[row].tolist()
        return {r: m.market(*(line[places[r, k]] for k in m.market._fields)) for r, m in agent.models.items()}

    curve = np.full((1, run.points), float(cash))
    for row in range(begin, high):
        rows = markets(row)
        agent.step(row, rows, kernel.strategy.features(*(float(tables.features[row, c]) for c in columns)))
        if row + 1 < high:
            agent.accrue(markets(row + 1))
        if (row - low) % sample == 0:
            curve[0, (row - low) // sample] = agent.equity
    raw = [agent.equity, agent.total, agent.squares, agent.deepest, agent.trades, agent.costs, agent.turnover]
    raw += [agent.failed_row, *agent.share_sums, *agent.share_tops]
    return finish(np.array([raw], dtype=np.float64), curve, run.active)
