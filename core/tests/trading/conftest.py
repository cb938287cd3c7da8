"""A market, an engine and accounts that trade on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.validation import Validator
from treasury_arena.testing.frames import USDC, reference_markets, synthetic_frame
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits

USD = USDC.unit


@attrs.define
class Bench:
    """An engine over the reference markets, and what it wrote."""

    engine: TradingEngine
    journal: MemoryJournal

    def account(self, agent_id: str = "a-0001", cash_raw: int = 10_000 * USD, row: int = 0) -> Account:
        account = Account(
            agent_id=agent_id,
            strategy="holder",
            stage="proving",
            genome=(),
            limits={"coin": 1.0, "usd": 1.0},
            coin_limit=1.0,
            row=row - 1,
            first_row=row,
            cash_raw=cash_raw,
            base_raw=cash_raw,
        )
        self.journal.endow(agent_id, "USDC", cash_raw)
        return account

    def intent(self, account: Account, role: str, target_usd: float, row: int = 0, **more: Any) -> Intent:
        return Intent(account.agent_id, role, more.pop("market", role), round(target_usd * USD), row, **more)

    def equity(self, account: Account, row: int = 0) -> int:
        return self.engine.equity_raw(account, row, {"coin": "coin", "usd": "usd", "weth": "coin_lending"})

    def trade(self, account: Account, role: str, target_usd: float, row: int = 0, **more: Any) -> Any:
        return self.engine.trade(
            account, self.intent(account, role, target_usd, row, **more), self.equity(account, row)
        )


@pytest.fixture(scope="session")
def frame() -> Any:
    return synthetic_frame(40)


@pytest.fixture
def make_bench(frame: Any) -> Callable[..., Bench]:
    """``make_bench(limits=..., validators=..., frame=...) -> Bench``."""

    def make(limits: Limits | None = None, validators: Sequence[Validator] = (), over: Any = None) -> Bench:
        journal = MemoryJournal()
        markets = reference_markets(frame if over is None else over)
        return Bench(TradingEngine("arena", markets, journal, limits, validators), journal)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
