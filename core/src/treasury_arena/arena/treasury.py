"""The treasury's pools: their cash, what they lend while idle (M1), and the marks of both."""

from __future__ import annotations

from treasury_arena.arena.allocation import worth_moving
from treasury_arena.arena.journal import CycleJournal
from treasury_arena.arena.state import PoolState
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg
from treasury_arena.domain.rules import Rules
from treasury_arena.domain.stops import HARD, OFF
from treasury_arena.errors import AllocationError, nearest
from treasury_arena.events.catalog import IdleCapitalMoved, PoolMarked
from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.trading.engine import TradingEngine

RESERVE, PROVING_POOL, ARENA_POOL = "reserve", "proving", "arena"
POOLS = (RESERVE, PROVING_POOL, ARENA_POOL)
_CASH = {
    RESERVE: accounts.TREASURY_RESERVE,
    PROVING_POOL: accounts.pool(PROVING_POOL),
    ARENA_POOL: accounts.pool(ARENA_POOL),
}


def cash_account(pool: str) -> str:
    """Ledger account of a pool's cash; raises AllocationError for an unknown pool."""
    if pool not in _CASH:
        raise AllocationError(f"unknown pool {pool!r}: {nearest(pool, _CASH)}")
    return _CASH[pool]


def lent_account(pool: str) -> str:
    """Ledger account of a pool's lent capital."""
    return accounts.lent(cash_account(pool))


class Treasury:
    """Reads and moves the pools' capital through the journal.

    Args:
        market: exact lending market for idle capital, or None when nothing is lent.
        lending_pools: pools that lend while idle.
    """

    def __init__(
        self,
        journal: CycleJournal,
        base: str,
        market: ExactMarket | None,
        market_name: str,
        lending_pools: frozenset[str],
        rules: Rules,
        engine: TradingEngine,
    ) -> None:
        self.journal = journal
        self.base = base
        self.market = market
        self.market_name = market_name
        self.lending_pools = lending_pools if market is not None else frozenset()
        self.rules = rules
        self.engine = engine

    def cash_raw(self, pool: str) -> int:
        """Cash in the pool that can be allocated at once."""
        return self.journal.state.ledger.balance(cash_account(pool), self.base)

    def _lent(self, pool: str) -> PoolState | None:
        held = self.journal.state.pools.get(pool)
        return held if held is not None and held.lent_state is not None else None

    def lent_raw(self, pool: str, row: int) -> int:
        """What the pool has lent out, worth at `row`."""
        held = self._lent(pool)
        if held is None or self.market is None or held.lent_state is None:
            return 0
        return self.market.value(self._accrued(pool, row)[0], row)

    def worth_raw(self, pool: str, row: int) -> int:
        """Cash and lent capital at `row`, without what agents hold."""
        return self.cash_raw(pool) + self.lent_raw(pool, row)

    def provide(self, pool: str, amount_raw: int, row: int) -> None:
        """Make sure the pool has `amount_raw` in cash, taking back lent capital.

        Raises AllocationError when the pool does not have it; nothing is changed then.
        """
        missing = amount_raw - self.cash_raw(pool)
        if missing <= 0:
            return
        lent = self.lent_raw(pool, row)
        if missing > lent:
            raise AllocationError(
                f"pool {pool!r} has {self.cash_raw(pool)} base units in cash and {lent} lent, "
                f"{amount_raw} are wanted: over-allocation refused"
            )
        if self.engine.stop_level == HARD:
            raise AllocationError(
                f"pool {pool!r} takes nothing back from {self.market_name!r}: the emergency stop is HARD"
            )
        fill = self._withdrawal(pool, missing, row)
        if fill is None:
            raise AllocationError(
                f"pool {pool!r} cannot bring {missing} base units back from {self.market_name!r} after costs"
            )
        self._book(pool, fill, row)

    def _withdrawal(self, pool: str, missing: int, row: int) -> Fill | None:
        """The smallest quoted withdrawal of lent capital that brings `missing` base units, None when none does."""
        lent = self.lent_raw(pool, row)
        if not lent or self.market is None:
            return None
        held, _ = self._accrued(pool, row)
        for target in (lent - missing, lent - missing - self._margin(lent, row), 0):
            fill, _ = self.engine.quote(self.market, held, max(0, target), row)
            if fill is not None and fill.cash_raw >= missing:
                return fill
        return None

    def provision_cost(self, pool: str, amount_raw: int, row: int) -> int:
        """What `provide` would pay to have `amount_raw` in cash: 0 when the pool has it."""
        missing = amount_raw - self.cash_raw(pool)
        fill = self._withdrawal(pool, missing, row) if missing > 0 else None
        return 0 if fill is None else fill.cost_raw

    def exit_cost(self, pool: str, row: int) -> int:
        """Room to leave for the cost of taking the pool's lent capital back; 0 when nothing is lent."""
        lent = self.lent_raw(pool, row)
        return self._margin(lent, row) if lent else 0

    def _margin(self, lent: int, row: int) -> int:
        """Cost of taking lent capital back, so that what arrives is enough."""
        assert self.market is not None
        quote, _ = self.engine.quote(self.market, self.market.open(), lent, row)
        return 2 * (quote.cost_raw if quote is not None else 0) + 2

    def lend_idle(self, pool: str, row: int) -> None:
        """Lend the pool's cash when that is worth its cost; never while the emergency stop is engaged."""
        if (
            self.engine.stop_level != OFF
            or pool not in self.lending_pools
            or not self.rules.lend_idle
            or self.market is None
        ):
            return
        cash = self.cash_raw(pool)
        held, _ = self._accrued(pool, row)
        value = self.market.value(held, row)
        fill, _ = self.engine.quote(self.market, held, value + cash, row) if cash > 0 else (None, "")
        if fill is None or not worth_moving(cash, fill.cost_raw, self.rules):
            return
        self._book(pool, fill, row)

    def mark(self, pool: str, row: int, daily_raw: list[int]) -> None:
        """Post the interest up to `row`; `daily_raw` is the pool's worth at each day's close of the elapsed interval."""
        cash = self.cash_raw(pool)
        before = self._lent(pool)
        state, lines = self._accrued(pool, row)
        lent = self.market.value(state, row) if self.market is not None and before is not None else 0
        self.journal.post(
            PoolMarked(
                pool=pool,
                row=row,
                cash_raw=cash,
                lent_raw=lent,
                state=[str(part) for part in state] if before is not None else [],
                daily_raw=daily_raw,
            ),
            transfers=(Transfer("interest", lines),) if lines else (),
        )

    def _accrued(self, pool: str, row: int) -> tuple[ExactState, tuple[Line, ...]]:
        if self.market is None:
            return (), ()
        held = self._lent(pool)
        if held is None or held.lent_state is None:
            return self.market.open(), ()
        state, legs = self.market.accrue(held.lent_state, held.accrued_row, row)
        return state, self._lines(pool, legs)

    def _book(self, pool: str, fill: Fill, row: int) -> None:
        _, interest = self._accrued(pool, row)
        transfers = [Transfer("interest", interest)] if interest else []
        transfers.append(Transfer("idle capital", self._lines(pool, fill.legs)))
        self.journal.post(
            IdleCapitalMoved(pool, self.market_name, -fill.cash_raw, fill.cost_raw, [str(part) for part in fill.state]),
            transfers=tuple(transfers),
        )

    def _lines(self, pool: str, legs: tuple[Leg, ...]) -> tuple[Line, ...]:
        names = {
            "cash": cash_account(pool),
            "position": lent_account(pool),
            "fee": accounts.fee(self.market_name),
            "gas": accounts.GAS,
            "world": accounts.world(self.market_name),
        }
        return tuple(Line(names[leg.account], leg.asset, leg.amount) for leg in legs if leg.amount)
