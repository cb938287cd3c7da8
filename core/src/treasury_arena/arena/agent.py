"""TreasuryAgent: one strategy, one genome, its capital and its record, for use in Python."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import pandas as pd

from treasury_arena.arena.allocation import validate_capital_change
from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.errors import AgentError, ValidationError, nearest
from treasury_arena.isolation import describe
from treasury_arena.trading.guard import LoopLimitError, Watchdog


@attrs.frozen
class TargetShare:
    """What an agent wants of one role: a share of its equity and the change in USD that it means."""

    role: str
    share: float
    change_usd: float


class TreasuryAgent:
    """An agent in the hands of a person: run its strategy, keep its record.

    Args:
        agent_id: its name.
        strategy: what it runs.
        fitness: scores its record.
        genome: gene values by name (choice genes by value); missing genes take their default.
        capital_raw: its capital in base units.
        limit_seconds: limit of one call of its strategy.

    Raises PluginError for an unknown gene or a value outside its bounds, ValidationError for a negative capital.
    """

    def __init__(
        self,
        agent_id: str,
        strategy: Strategy,
        fitness: FitnessFunction,
        genome: Mapping[str, float] | None = None,
        capital_raw: int = 0,
        limit_seconds: float = 2.0,
    ) -> None:
        validate_capital_change(0, capital_raw)
        self.agent_id = agent_id
        self.strategy = strategy
        self.fitness = fitness
        self.genome = tuple(float(value) for value in strategy.space.genome(genome or {}))
        self.capital_raw = capital_raw
        self.limit_seconds = limit_seconds
        self._state: tuple[float, ...] | None = None
        self._days: list[tuple[float, float, float]] = []

    def __repr__(self) -> str:
        return f"TreasuryAgent({self.agent_id!r}, strategy={self.strategy.name!r}, capital_raw={self.capital_raw})"

    @property
    def genes(self) -> dict[str, float]:
        """The genome by name."""
        return self.strategy.space.values(np.array(self.genome))

    def execute_strategy(self, features: Mapping[str, float], book: Mapping[str, float]) -> list[TargetShare]:
        """Ask the strategy what to hold, given features and book by field name; its own state is carried on.

        Raises AgentError for an impossible target, ValidationError for a missing field, and whatever the strategy raises.
        """
        strategy = self.strategy
        for what, given, fields in (
            ("features", features, strategy.features._fields),
            ("book", book, strategy.book._fields),
        ):
            missing = [name for name in fields if name not in given]
            if missing:
                raise ValidationError(f"{what} lacks {missing[0]!r}: {nearest(missing[0], given)}")
        seen = strategy.features(*(float(features[name]) for name in strategy.features._fields))
        own = strategy.state() if self._state is None else strategy.state(*self._state)
        facts = strategy.book(*(float(book[name]) for name in strategy.book._fields))
        target, after = strategy.decide(seen, strategy.genes(*self.genome), facts, own)
        problem = check_target(strategy, target)
        if problem is not None:
            raise AgentError(f"agent {self.agent_id}: {problem}")
        self._state = tuple(float(value) for value in after)
        equity = float(book.get("equity", 0.0))
        return [
            TargetShare(role, getattr(target, role), getattr(target, role) * equity - float(book.get(role, 0.0)))
            for role in strategy.roles
        ]

    def safe_execute(
        self, features: Mapping[str, float], book: Mapping[str, float]
    ) -> tuple[list[TargetShare], AgentError | None]:
        """As `execute_strategy`, but raises nothing (Ctrl-C excepted) and never hangs: returns (targets, error)."""
        watchdog = Watchdog(self.limit_seconds)
        try:
            with watchdog:
                return self.execute_strategy(features, book), None
        except LoopLimitError:
            return [], AgentError(f"agent {self.agent_id}: ran longer than {self.limit_seconds} s")
        except KeyboardInterrupt:
            raise
        except AgentError as error:  # names the agent itself
            return [], error
        except BaseException as error:  # isolation: whatever an agent's code raises is that agent's failure
            return [], AgentError(f"agent {self.agent_id}: {describe(error)}")
        finally:
            watchdog.close()

    def calculate_fitness(self, daily_returns: list[float] | None = None) -> float:
        """Fitness of a list of daily returns (the agent's own record unless given)."""
        returns = [day[0] for day in self._days] if daily_returns is None else daily_returns
        if not all(np.isfinite(returns)):
            raise ValidationError(f"agent {self.agent_id}: a daily return is not finite")
        curve = np.concatenate([[1.0], np.cumprod(1.0 + np.array(returns, dtype=np.float64))])[None, :]
        batch = RecordBatch(
            curve=curve,
            lending=np.ones(curve.shape[1]),
            trades=np.zeros(1),
            costs=np.zeros(1),
            coin_share=np.zeros(1),
            failed=np.zeros(1, dtype=np.bool_),
        )
        return float(self.fitness.score(batch)[0])

    def validate_capital_change(self, old_raw: int, new_raw: int) -> None:
        """Refuse a negative capital or more than tenfold growth in one change; raises ValidationError."""
        validate_capital_change(old_raw, new_raw)

    def record_performance(self, daily_return: float) -> float:
        """Record one day: the fitness is computed with this day's result FIRST, then day and fitness are recorded.

        Returns the fitness. Raises ValidationError for a return that is not finite or below -1; nothing is recorded then.
        """
        if not np.isfinite(daily_return) or daily_return < -1.0:
            raise ValidationError(f"agent {self.agent_id}: {daily_return} is not a daily return")
        fitness = self.calculate_fitness([*(day[0] for day in self._days), float(daily_return)])
        value = (self._days[-1][1] if self._days else 1.0) * (1.0 + daily_return)
        self._days.append((float(daily_return), value, fitness))
        return fitness

    @property
    def record(self) -> pd.DataFrame:
        """One row a day: ``daily_return``, ``value`` (of one dollar), ``fitness`` (this day included)."""
        return pd.DataFrame(self._days, columns=["daily_return", "value", "fitness"])
