"""LiveRunner: one funded agent, step by step, through the trading engine in exact integers.

The order of a step is the search kernel's: settle what was decided before, value, decide. The strategy's own
function object is called as plain Python; it sees floats and returns a target, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import attrs

from treasury_arena.contracts.decision import asked_shares, beyond_limits, check_target, clip_target, wants_trade
from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.contracts.strategy import FORCE, HOLD, Strategy
from treasury_arena.domain.stops import HARD
from treasury_arena.isolation import describe
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import LoopLimitError, Watchdog
from treasury_arena.trading.intent import Intent


@attrs.frozen(eq=False)
class StrategyDesk:
    """What the runner needs to know of one strategy: its bindings and its feature rows.

    Attributes:
        strategy: the declaration.
        roles: role -> market name.
        models: role -> position model (for its controls).
        features: ``features(genome, row) -> tuple of floats`` in the order of the strategy's Features.
        coin_roles: roles whose market is a coin market.
        role_names, coins: the roles in their order, and whether each is a coin role.
    """

    strategy: Strategy
    roles: Mapping[str, str]
    models: Mapping[str, PositionModel]
    features: Callable[[tuple[float, ...], int], Sequence[float]]
    coin_roles: frozenset[str]
    role_names: tuple[str, ...] = attrs.field(init=False)
    coins: tuple[bool, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "role_names", tuple(self.roles))
        object.__setattr__(self, "coins", tuple(role in self.coin_roles for role in self.roles))


class LiveRunner:
    """Steps accounts over market rows.

    Args:
        engine: executes.
        desks: strategy name -> StrategyDesk.
        epoch_of_row_0, step_seconds: the market grid.
        watchdog: guards the strategy's call.
    """

    def __init__(
        self,
        engine: TradingEngine,
        desks: Mapping[str, StrategyDesk],
        epoch_of_row_0: int,
        step_seconds: int,
        watchdog: Watchdog,
    ) -> None:
        self.engine = engine
        self.desks = dict(desks)
        self._epoch = epoch_of_row_0
        self._step_seconds = step_seconds
        self._watchdog = watchdog

    def day(self, row: int) -> int:
        """UTC day number of a row."""
        return (self._epoch + row * self._step_seconds) // 86_400

    def closes_day(self, row: int) -> bool:
        """True for the row labelled midnight: what is known at the close of the day before."""
        return (self._epoch + row * self._step_seconds) % 86_400 == 0

    def step(self, account: Account, row: int) -> None:
        """Live through `row`: settle, value, decide. A failure of the strategy is noted on the account, never raised."""
        desk = self.desks[account.strategy]
        account.row = row
        self.engine.ask_again()
        today = self.day(row)
        if today != account.orders_day:
            account.orders_day, account.orders_today = today, 0
        markets = {role: self.engine.market(name) for role, name in desk.roles.items()}
        if account.target is not None and account.failed is None and not account.closing:
            self._settle(account, desk, markets, row)
        values = self.values(account, markets, row)
        equity_raw = account.cash_raw + sum(values.values())
        self._record(account, values, equity_raw, row)
        if account.failed is None and not account.closing:
            self._decide(account, desk, markets, values, equity_raw, row)

    def values(self, account: Account, markets: Mapping[str, ExactMarket], row: int) -> dict[str, int]:
        """Role -> value in base units at `row`, 0 where nothing is held."""
        held = account.positions
        return {
            role: market.value(self.engine.accrue(account, role, market, row), row) if role in held else 0
            for role, market in markets.items()
        }

    def _settle(self, account: Account, desk: StrategyDesk, markets: Mapping[str, ExactMarket], row: int) -> None:
        target = account.target
        assert target is not None
        account.target = None
        if self.engine.stop_level == HARD:
            if account.told_of_stop:
                return
            account.told_of_stop = True
        values = self.values(account, markets, row)
        equity = account.cash_raw + sum(values.values())
        goals = {role: int(target[role] * equity) for role in desk.roles}
        buys = 0
        for role, goal in goals.items():
            if goal < values[role]:
                self._order(account, desk, role, goal, row, target, equity)
            else:
                buys += goal - values[role]
        cash = account.available_raw
        for role, goal in goals.items():
            need = goal - values[role]
            # What can be reshaped is asked even where nothing is to be bought, as in the kernel.
            if need > 0 or (need == 0 and desk.models[role].control is not None):
                if buys > cash and need:
                    need = need * cash // buys
                self._order(account, desk, role, values[role] + need, row, target, equity)

    def _order(
        self,
        account: Account,
        desk: StrategyDesk,
        role: str,
        goal: int,
        row: int,
        target: Mapping[str, float],
        equity: int,
    ) -> None:
        control = desk.models[role].control
        names: Sequence[str] = () if control is None else control._fields
        controls = tuple(target[f"{role}_{name}"] for name in names)
        self.engine.trade(account, Intent(account.agent_id, role, desk.roles[role], goal, row, controls), equity)

    def _record(self, account: Account, values: Mapping[str, int], equity_raw: int, row: int) -> None:
        if account.base_raw > 0:
            account.nav = account.base_nav * (equity_raw / account.base_raw)
        account.peak_nav = max(account.peak_nav, account.nav)
        if row > account.first_row and self.closes_day(row):
            account.daily_raw.append(equity_raw)
            account.daily_nav.append(account.nav)
        if equity_raw > 0:
            account.share_steps += 1
            for role, value in values.items():
                account.share_sum[role] = account.share_sum.get(role, 0.0) + value / equity_raw

    def _decide(
        self,
        account: Account,
        desk: StrategyDesk,
        markets: Mapping[str, ExactMarket],
        values: Mapping[str, int],
        equity_raw: int,
        row: int,
    ) -> None:
        strategy = desk.strategy
        unit = next(iter(markets.values())).base.unit
        equity = equity_raw / unit
        known: dict[str, float] = {role: value / unit for role, value in values.items()}
        known["equity"], known["cash"] = equity, account.cash_raw / unit
        known["drawdown"] = 1.0 - account.nav / account.peak_nav
        known["step"] = float(row - account.first_row)
        for role, market in markets.items():
            for name, value in market.views(account.positions.get(role, market.open()), row).items():
                known[f"{role}_{name}"] = value
        try:
            with self._watchdog:
                book = strategy.book(*map(known.__getitem__, strategy.book._fields))
                features = strategy.features(*desk.features(account.genome, row))
                own = strategy.state() if account.own is None else strategy.state(*account.own)
                target, after = strategy.decide(features, strategy.genes(*account.genome), book, own)
                problem = check_target(strategy, target)
                memory = tuple(map(float, after))
        except LoopLimitError:
            account.failed = ("loop", f"ran longer than {self._watchdog.limit_seconds} s for one decision")
            return
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # any error of an agent's own code stops that agent alone
            account.failed = ("raised", describe(error))
            return
        if problem is None and not all(map(math.isfinite, memory)):
            problem = f"its state is not finite: {memory}"
        if problem is not None:
            account.failed = ("target", problem)
            return
        account.own = memory
        inverse = 1.0 / equity if equity > 0.0 else 0.0
        roles = desk.role_names
        worth = [known[role] for role in roles]
        held = [value * inverse for value in worth]
        limits = [account.limits[role] for role in roles], desk.coins, account.coin_limit
        shares = clip_target(asked_shares([getattr(target, role) for role in roles], held, target.band), *limits)
        band = FORCE if account.fresh and target.band != HOLD else target.band
        if wants_trade(shares, worth, equity, band, beyond_limits(held, *limits)):
            account.fresh = account.fresh and target.band == HOLD
            account.target = {**target._asdict(), **dict(zip(roles, shares, strict=True))}
