"""Daily series of a run, read back from its events: what the treasury was worth, and where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.arena.desk import World
from treasury_arena.arena.treasury import POOLS, RESERVE, cash_account
from treasury_arena.domain.assets import Asset
from treasury_arena.events import catalog
from treasury_arena.events.event import Event

FloatArray = NDArray[np.float64]


@attrs.define
class DailySeries:
    """One value a day, USD, from the first moment on.

    Attributes:
        rows: market rows of the days.
        pools: pool -> (days,) cash and lent capital; lent: pool -> (days,) the lent part.
        strategies: strategy -> (days,) equity of its funded agents.
        coin_value: (days,) USD in coins, from the mean shares of each cycle, and what pools lend of a coin.
        costs: USD of all orders, those that failed included, and idle-capital moves.
        cycle_rows: row of each complete cycle.
    """

    rows: list[int]
    pools: dict[str, FloatArray]
    lent: dict[str, FloatArray]
    strategies: dict[str, FloatArray]
    coin_value: FloatArray
    costs: float
    cycle_rows: list[int]

    @property
    def treasury(self) -> FloatArray:
        """(days,) everything."""
        return np.asarray(sum(self.pools.values()) + self.agents, dtype=np.float64)

    @property
    def agents(self) -> FloatArray:
        """(days,) equity of all funded agents."""
        return np.asarray(sum(self.strategies.values(), np.zeros(len(self.rows))), dtype=np.float64)

    @property
    def managed(self) -> FloatArray:
        """(days,) everything but the reserve."""
        return np.asarray(self.treasury - self.pools[RESERVE], dtype=np.float64)

    @property
    def coin_weight(self) -> FloatArray:
        """(days,) share of the managed capital in coins."""
        return np.clip(self.coin_value / self.managed, 0.0, 1.0)


def read_series(
    events: Iterable[Event],
    world: World,
    base: Asset,
    last_row: int,
    first_raw: Mapping[str, int],
    idle_market: str = "",
) -> DailySeries:
    """Build the series from PoolMarked, AgentMarked and order events.

    Args:
        first_raw: each pool's first capital, base units.
        idle_market: where pools are lent. Configuration refuses a coin's market; were one used, its loans count as coins.
    """
    idle = world.markets.get(idle_market)
    coins_lent = idle is not None and not idle.asset.stable
    day = world.frame.steps_per_day
    rows = list(range(world.first_row, last_row + 1, day))
    at = {row: index for index, row in enumerate(rows)}
    zero = np.zeros(len(rows))
    pools = {pool: zero.copy() for pool in POOLS}
    lent = {pool: zero.copy() for pool in POOLS}
    strategies = {name: zero.copy() for name in world.desks}
    coin = zero.copy()
    of_account = {cash_account(pool): pool for pool in POOLS}
    cash = dict.fromkeys(POOLS, 0)
    cash_before = dict(
        cash
    )  # during the days that a cycle looks back on: nothing moves between its start and its marks
    owner: dict[str, str] = {}
    held_now: dict[str, int] = {}  # worth of each funded agent, by its last mark
    pools_now: dict[str, tuple[int, int]] = {}  # worth of each pool and what of it is lent, by its last mark
    costs = 0
    cycle_rows: list[int] = []
    for event in events:
        payload = event.payload
        for line in (line for transfer in event.transfers for line in transfer.lines if line.asset == base.symbol):
            if line.account in of_account:
                cash[of_account[line.account]] += line.amount_raw
        if isinstance(payload, catalog.EvolutionCycleStarted):
            cash_before = dict(cash)
        elif isinstance(payload, catalog.AgentSpawned):
            owner[event.agent_id or ""] = payload.strategy
        elif isinstance(payload, catalog.PoolMarked):
            pools_now[payload.pool] = payload.cash_raw + payload.lent_raw, payload.lent_raw
            days, held = _days(payload.daily_raw, payload.row, day, at), cash_before[payload.pool]
            if payload.row == world.first_row:
                days, held = [(0, first_raw[payload.pool])], payload.cash_raw
            for index, worth in days:
                pools[payload.pool][index] = base.to_float(worth)
                lent[payload.pool][index] = base.to_float(worth - held)
                if coins_lent and payload.pool != RESERVE:  # weights are of the managed capital, without the reserve
                    coin[index] += lent[payload.pool][index]
        elif isinstance(payload, catalog.AgentMarked):
            name = owner[event.agent_id or ""]
            held_now[event.agent_id or ""] = payload.equity_raw
            roles = world.desks[name].coin_roles
            share = sum(value for role, value in payload.shares.items() if role in roles)
            for index, worth in _days(payload.daily_raw, payload.row, day, at):
                strategies[name][index] += base.to_float(worth)
                coin[index] += base.to_float(worth) * share
        elif isinstance(payload, catalog.CapitalReturned):
            held_now.pop(event.agent_id or "", None)  # one that goes on is marked again at the cycle's end
        elif isinstance(payload, catalog.OrderSettled | catalog.OrderFailed | catalog.IdleCapitalMoved):
            costs += payload.cost_raw
        elif isinstance(payload, catalog.EvolutionCycleComplete):
            cycle_rows.append(payload.row)
        elif isinstance(payload, catalog.RunCompleted):
            # The last day's close, after what ended on it was sold: the costs of that, and where the money is now.
            for pool, (worth, part) in pools_now.items():
                pools[pool][-1], lent[pool][-1] = base.to_float(worth), base.to_float(part)
            for name, values in strategies.items():
                values[-1] = base.to_float(sum(worth for agent, worth in held_now.items() if owner[agent] == name))
    return DailySeries(rows, pools, lent, strategies, coin, base.to_float(costs), cycle_rows)


def _days(daily_raw: list[int], row: int, day: int, at: Mapping[int, int]) -> list[tuple[int, int]]:
    """(day index, value) pairs of closes that end at `row`."""
    first = row - (row - min(at)) % day - (len(daily_raw) - 1) * day
    return [(at[first + k * day], value) for k, value in enumerate(daily_raw)]
