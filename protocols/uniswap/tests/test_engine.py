"""Ranges through the trading engine: the ledger holds what the positions hold, in both of their assets, to the end."""

from __future__ import annotations

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.events.catalog import OrderRejected
from treasury_arena.ledger import accounts
from treasury_arena.randomness import stream
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena_uniswap.protocol import UniswapProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
USDC, ROWS, AGENT = 10**6, 300, "a-0001"
ROLES = {"lp": "lp", "eth": "eth"}


def markets(token0: float) -> dict[str, ExactMarket]:
    rng = stream(5, 0, "test/engine")
    frame = MarketFrame(
        0,
        3600,
        {
            "price": 2000.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(ROWS))),
            "liquidity": np.full(ROWS, 2e6),
            "volume": np.full(ROWS, 2e7),
            "gas": np.full(ROWS, 1.5),
        },
    )
    found = {}
    for name, kind in (("lp", "range"), ("eth", "spot")):
        (model,) = (one for one in UniswapProtocol().models if one.name == f"uniswap.{kind}")
        columns = {field: field for field in model.market._fields}
        spec = MarketSpec(name, model.name, kind, "WETH", columns, {"coin_is_token0": token0}, coin=True)
        found[name] = UniswapProtocol().exact(spec, frame, ASSETS, ASSETS["USDC"])
    return found


def opened(journal: MemoryJournal, cash_raw: int) -> Account:
    journal.endow(AGENT, "USDC", cash_raw)
    return Account(
        agent_id=AGENT,
        strategy="provider",
        stage="proving",
        genome=(),
        limits={"lp": 1.0, "eth": 1.0},
        coin_limit=1.0,
        row=-1,
        first_row=0,
        cash_raw=cash_raw,
        base_raw=cash_raw,
    )


@pytest.mark.parametrize("token0", [0.0, 1.0])
def test_the_ledger_holds_what_the_positions_hold(token0: float) -> None:
    journal, over = MemoryJournal(), markets(token0)
    engine = TradingEngine("arena", over, journal)
    account = opened(journal, 100_000 * USDC)
    draw = np.random.default_rng(2)
    fills = 0

    def trade(role: str, target: int, row: int, control: tuple[float, ...]) -> None:
        nonlocal fills
        equity = engine.equity_raw(account, row, ROLES)
        fills += engine.trade(account, Intent(AGENT, role, role, target, row, control), equity) is not None
        for name, market in over.items():
            if name not in account.positions:
                continue
            waiting = {asset: amount for (one, _, asset), amount in account.interest.items() if one == name}
            for asset, amount in market.holdings(account.positions[name]).items():
                booked = journal.ledger.balance(accounts.agent_position(AGENT, name), asset)
                assert booked + waiting.get(asset, 0) == amount
        assert journal.ledger.balance(accounts.agent_available(AGENT), "USDC") == account.cash_raw

    for row in range(0, ROWS, 5):
        equity = engine.equity_raw(account, row, ROLES)
        trade("eth", int(equity * draw.uniform(0.0, 0.3)), row, ())
        share = draw.uniform(0.2, 0.6)
        trade("lp", int(equity * share), row, (float(draw.choice([0.05, 0.05, 0.1, -0.05, 0.0])),))
    for role in ("lp", "eth"):
        trade(role, 0, ROWS - 1, (0.0,) if role == "lp" else ())
    assert fills > 50
    assert not any(over["lp"].holdings(account.positions["lp"]).values())
    left = over["eth"].holdings(account.positions["eth"])["WETH"]
    assert left == journal.ledger.balance(accounts.agent_position(AGENT, "eth"), "WETH") == 0
    paid = sum(journal.ledger.balance(name, "USDC") for name in (accounts.fee("lp"), accounts.fee("eth"), accounts.GAS))
    assert 100 * USDC < paid < 5_000 * USDC
    assert all("market" not in entry.reason for entry in journal.payloads(OrderRejected))


def test_a_position_too_large_for_one_trade_is_rejected_with_the_markets_sentence() -> None:
    journal, over = MemoryJournal(), markets(1.0)
    engine = TradingEngine("arena", over, journal)
    account = opened(journal, 10**8 * USDC)
    assert engine.trade(account, Intent(AGENT, "lp", "lp", 9 * 10**7 * USDC, 0, (0.1,)), 10**8 * USDC) is None
    (rejected,) = journal.payloads(OrderRejected)
    assert "moves the price by more than 2.00%" in rejected.reason
