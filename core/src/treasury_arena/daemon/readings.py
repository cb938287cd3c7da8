"""What a daemon measures for the fuse, and how. A reading that cannot be measured is None, never a guess.

- ``volatility``: of every coin's price, the deviation of a day's log returns over that of 30 days, less 1; the largest.
- ``drawdown``, ``daily_drawdown``: fall of the treasury's worth from the highest mark, and from the day's highest.
- ``trend_alignment``: over the coins held, by value, (price - mean of 30 days) / deviation of 30 days, within -1 to 1; 1 without.
- ``liquidity_score``: 100 x depth, liquidity or value locked over its median of 30 days, at most 100; the lowest market's.
- ``health_factor``: the lowest of any account with debt; 1,000 without.
- ``peg_deviation``: the largest distance of a stablecoin's price from 1.
- ``execution_failures``: orders and agents that failed in the last day.
- ``ledger_mismatch_raw``: base units by which the ledger and what it is held against differ.
- ``heartbeat_age_s``: seconds by which the next look at the market is late, in wall time.

Those of magnet trading (``magnet_conflict``, ``magnet_primary``, ``magnet_secondary``) need a source of magnets; there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.config.resolve import asset_table, market_specs
from treasury_arena.contracts.fuse import Reading
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.daemon.brain import Brain, Mark
from treasury_arena.domain import elementary
from treasury_arena.trading.account import Account

DAY_ROWS_MIN = 2
MONTH_DAYS = 30
NO_DEBT_HEALTH = 1_000.0
DEPTHS = ("depth", "liquidity", "tvl")
FAILURES = ("OrderFailed", "OrderQuarantined", "AgentFailed", "IntentQuarantined", "GateRefused")

MEASURED = (
    "volatility",
    "drawdown",
    "daily_drawdown",
    "trend_alignment",
    "liquidity_score",
    "health_factor",
    "peg_deviation",
    "execution_failures",
    "ledger_mismatch_raw",
    "heartbeat_age_s",
)
"""Names of all readings a daemon can give."""

Floats = NDArray[np.float64]


class Market:
    """Readings of the market alone, at the newest row of a brain."""

    def __init__(self, brain: Brain) -> None:
        specs = market_specs(brain.settings, brain.registry)
        self._brain = brain
        self._coins = {
            spec.asset: spec.columns["price"] for spec in specs.values() if spec.coin and "price" in spec.columns
        }
        self._depths = sorted(
            {spec.columns[field] for spec in specs.values() for field in DEPTHS if field in spec.columns}
        )
        stable = {name for name, asset in asset_table(brain.settings).items() if asset.stable}
        self._pegs = sorted(
            {spec.columns["price"] for spec in specs.values() if spec.asset in stable and "price" in spec.columns}
        )
        self.specs: Mapping[str, MarketSpec] = specs

    def _window(self, column: str) -> Floats:
        """The last 30 days of a column."""
        frame = self._brain.frame
        values: Floats = frame[column][-(MONTH_DAYS * frame.steps_per_day + 1) :]
        return values

    def volatility(self) -> float:
        return max((self._pressure(column) for column in self._coins.values()), default=0.0)

    def _pressure(self, column: str) -> float:
        moves = np.diff(elementary.log(self._window(column)))
        day = moves[-self._brain.frame.steps_per_day :]
        if len(day) < DAY_ROWS_MIN:
            raise ValueError(f"column {column!r} has too few rows to measure its volatility")
        usual = float(np.std(moves))
        return max(0.0, float(np.std(day)) / usual - 1.0) if usual > 0.0 else 0.0

    def liquidity_score(self) -> float:
        return min((self._plenty(column) for column in self._depths), default=100.0)

    def _plenty(self, column: str) -> float:
        values = self._window(column)
        usual = float(np.median(values))
        return 100.0 * min(1.0, float(values[-1]) / usual) if usual > 0.0 else 0.0

    def peg_deviation(self) -> float:
        return max((abs(float(self._window(column)[-1]) - 1.0) for column in self._pegs), default=0.0)

    def trend(self, asset: str) -> float:
        """How far a coin stands above its mean of 30 days, in units of its deviation, within -1 to 1."""
        values = self._window(self._coins[asset])
        spread = float(np.std(values))
        return float(np.clip((values[-1] - np.mean(values)) / spread, -1.0, 1.0)) if spread > 0.0 else 0.0

    def trend_alignment(self, held: Mapping[str, int]) -> float:
        """Weighted by base units held of each coin; 1 where nothing is held."""
        total = sum(held.values())
        return sum(self.trend(asset) * value for asset, value in held.items()) / total if total > 0 else 1.0


def coins_held(
    manager: ArenaManager, accounts: Iterable[Account], row: int, specs: Mapping[str, MarketSpec]
) -> dict[str, int]:
    """Coin -> base units of its positions' worth."""
    held: dict[str, int] = {}
    for account in accounts:
        roles = manager.world.desks[account.strategy].roles
        for role, state in account.positions.items():
            spec = specs[roles[role]]
            if spec.coin:
                held[spec.asset] = held.get(spec.asset, 0) + max(
                    0, manager.world.markets[roles[role]].value(state, row)
                )
    return held


def lowest_health(manager: ArenaManager, accounts: Iterable[Account], row: int) -> float:
    """The lowest health factor of any position."""
    lowest = NO_DEBT_HEALTH
    for account in accounts:
        roles = manager.world.desks[account.strategy].roles
        for role, state in account.positions.items():
            views = manager.world.markets[roles[role]].views(state, row)
            lowest = min(lowest, views.get("health", NO_DEBT_HEALTH))
    return lowest


def measure(
    brain: Brain,
    market: Market,
    mark: Mark | None,
    at: datetime,
    *,
    failures: Callable[[], int],
    mismatch_raw: Callable[[], int],
    heartbeat_age_s: float | None,
) -> dict[str, Reading]:
    """Every reading at `at` (UTC); those that cannot be measured now hold None.

    Args:
        mark: the newest look at the treasury that succeeded, None before the first.
        failures, mismatch_raw: counted by whoever keeps the orders.
    """

    def tried(ask: Callable[[], float | int]) -> Reading:
        try:
            return Reading(ask(), at)
        except (ArithmeticError, ValueError, LookupError):  # what cannot be measured trips the fuse as missing
            return Reading(None, at)

    readings = {
        "volatility": tried(market.volatility),
        "liquidity_score": tried(market.liquidity_score),
        "peg_deviation": tried(market.peg_deviation),
        "execution_failures": tried(failures),
        "ledger_mismatch_raw": tried(mismatch_raw),
        "heartbeat_age_s": Reading(heartbeat_age_s, at),
    }
    names = ("drawdown", "daily_drawdown", "health_factor", "trend_alignment")
    if mark is None:
        return readings | dict.fromkeys(names, Reading(None, at))
    manager = brain.manager
    readings["drawdown"] = tried(lambda: 1.0 - mark.worth_raw / mark.peak_raw if mark.peak_raw else 0.0)
    readings["daily_drawdown"] = tried(lambda: 1.0 - mark.worth_raw / mark.day_peak_raw if mark.day_peak_raw else 0.0)
    readings["health_factor"] = tried(lambda: lowest_health(manager, mark.accounts, mark.row))
    readings["trend_alignment"] = tried(
        lambda: market.trend_alignment(coins_held(manager, mark.accounts, mark.row, market.specs))
    )
    return readings
