"""What the tests of all strategies share: genes by name, genes at random, and a plain walk through a market."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from treasury_arena.contracts.genes import REAL
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.testing.reference import ReferenceProtocol
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.runner import LiveRunner, StrategyDesk

SUPPORT = str(Path(__file__).parents[1] / "tests" / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)

HOURS_PER_YEAR = 8760.0
ASSETS = {"eth": "WETH", "btc": "WBTC", "usdc_lending": "USDC", "usdt_lending": "USDT", "dai_lending": "DAI"}


def _genes(strategy: Strategy, **values: float) -> Any:
    return strategy.genes(*strategy.space.genome(values).tolist())


def _any_genes(strategy: Strategy) -> st.SearchStrategy[Any]:
    space = strategy.space
    parts = [
        st.floats(low, high) if kind == REAL else st.integers(int(low), int(high)).map(float)
        for kind, low, high in zip(space.kind, space.low, space.high, strict=True)
    ]
    return st.tuples(*parts).map(lambda values: strategy.genes(*values))


def _walk(
    strategy: Strategy,
    genes: Any,
    features: Sequence[Any],
    *,
    prices: Mapping[str, Sequence[float]] | None = None,
    rates: Mapping[str, Sequence[float]] | None = None,
    equity: float = 10_000.0,
    fee: float = 0.0,
    gas: float = 0.0,
) -> list[dict[str, float]]:
    """Live through the rows: value, decide, trade at once when the drift exceeds the band, earn an hour's interest.

    Roles without prices are lent at their `rates` (APR, default 0). A trade costs `fee` of what moves and `gas` USD per role.
    Returns per row the shares held after trading by role, ``equity`` and ``traded`` (0 or 1).
    """
    prices, rates = prices or {}, rates or {}
    units = dict.fromkeys(strategy.roles, 0.0)
    cash = peak = equity
    state = strategy.state()
    out = []
    for row, f in enumerate(features):
        price = {role: prices[role][row] if role in prices else 1.0 for role in units}
        values = {role: units[role] * price[role] for role in units}
        equity = cash + sum(values.values())
        peak = max(peak, equity)
        known = {"equity": equity, "cash": cash, "drawdown": 1.0 - equity / peak, "step": float(row), **values}
        book = strategy.book(*(known[name] for name in strategy.book._fields))
        target, state = strategy.decide(f, genes, book, state)
        moves = {role: getattr(target, role) * equity - values[role] for role in units}
        traded = sum(map(abs, moves.values())) > target.band * equity
        if traded:
            for role, move in moves.items():
                if abs(move) > 1.0:
                    cost = fee * abs(move) + gas
                    units[role] += (move - cost if move > 0.0 else move) / price[role]
                    cash -= move if move > 0.0 else move + cost
        equity = cash + sum(units[role] * price[role] for role in units)
        shares = {role: units[role] * price[role] / equity for role in units}
        out.append({**shares, "equity": equity, "traded": float(traded)})
        for role in rates:
            units[role] *= 1.0 + rates[role][row] / HOURS_PER_YEAR
    return out


def _frame(rows: int, seed: int) -> MarketFrame:
    """Hourly coin prices as geometric random walks, lending rates that wander between 0 and 25 %, gas near 1 USD."""
    rng = np.random.default_rng(seed)
    columns = {"gas.usd": np.exp(rng.normal(0.0, 0.3, rows))}
    for asset, first in (("WETH", 2_000.0), ("WBTC", 40_000.0)):
        columns[f"{asset}.price"] = first * np.exp(np.cumsum(rng.normal(0.0, 0.01, rows)))
    for asset in ("USDC", "USDT", "DAI"):
        columns[f"{asset}.lending_rate"] = 0.125 * (1.0 + np.sin(np.cumsum(rng.normal(0.0, 0.1, rows))))
        columns[f"{asset}.price"] = 1.0 + 0.001 * np.sin(np.cumsum(rng.normal(0.0, 0.1, rows)))
    return MarketFrame(1_700_000_000 - 1_700_000_000 % 3600, 3600, columns)


def _kernel(strategy: Strategy, folder: Path) -> Kernel:
    offered = {model.kind: model for model in ReferenceProtocol().models}
    models, specs = {}, {}
    for name, role in strategy.roles.items():
        asset, model = ASSETS[role.market], offered[role.kind]
        fields = {"price": f"{asset}.price", "rate": f"{asset}.lending_rate", "gas": "gas.usd"}
        columns = {field: fields[field] for field in model.market._fields}
        specs[name] = MarketSpec(role.market, model.name, role.kind, asset, columns, coin=role.kind == "spot")
        models[name] = model
    return prepare(strategy, models, specs, cache=folder)


@pytest.fixture(scope="session")
def kernel(pytestconfig: pytest.Config) -> Callable[[Strategy], Kernel]:
    """Prepares a strategy over the reference venues; compiled kernels are kept between test runs."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("kernels")
    return lambda strategy: _kernel(strategy, folder)


@pytest.fixture(scope="session")
def frame() -> Callable[[int, int], MarketFrame]:
    return _frame


def _documented(strategy: Strategy, readme: Path) -> dict[str, tuple[str, tuple[float, ...], float]]:
    """Gene -> (kind, bounds or values, default) as the table of a README states them."""
    out = {}
    for line in readme.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = cells[0].strip("`")
        if line.startswith("|") and name in strategy.space.names and len(cells) == 6:
            numbers = cells[2].replace(" to ", ", ").split(", ")
            out[name] = (cells[1], tuple(map(float, numbers)), float(cells[3]))
    return out


def _declared(strategy: Strategy) -> dict[str, tuple[str, tuple[float, ...], float]]:
    space = strategy.space
    defaults = space.values(space.default)
    return {
        name: ("choice", tuple(space.choices[name]), defaults[name])
        if name in space.choices
        else ("real", (float(space.low[i]), float(space.high[i])), defaults[name])
        for i, name in enumerate(space.names)
    }


@pytest.fixture(scope="session")
def gene_tables() -> Callable[[Strategy, Path], tuple[Any, Any]]:
    """The genes as a README documents them, and as the strategy declares them."""
    return lambda strategy, readme: (_documented(strategy, readme), _declared(strategy))


def _live(
    case: StrategyCase,
    protocols: Sequence[Protocol],
    genome: Any,
    cash: float,
    seen: Callable[[Account, StrategyDesk, Mapping[str, ExactMarket], int], None] = lambda *_: None,
) -> tuple[Account, float]:
    """One agent through the whole frame in exact integers, by the trading engine without limits; also its equity, USD.

    Ledger lines are checked by the journal as they are posted; `seen` is shown the account after every row.
    """
    frame, strategy, assets = case.frame, case.strategy, AssetTable(KNOWN_ASSETS)
    base = assets["USDC"]
    owners = {model.name: protocol for protocol in protocols for model in protocol.models}
    markets = {spec.name: owners[spec.model].exact(spec, frame, assets, base) for spec in case.specs.values()}
    free = Limits(
        position_share_max=None, trade_share_max=None, trade_raw_min=None, daily_trades_max=None, slippage_bps_max=None
    )
    journal = MemoryJournal()
    kernel = case.kernel()
    tables = kernel.tables(frame)
    desk = StrategyDesk(
        strategy,
        {role: spec.name for role, spec in case.specs.items()},
        case.models,
        lambda genome, row: tuple(kernel.features(tables, genome, row)),
        frozenset(role for role, spec in case.specs.items() if spec.coin),
    )
    engine = TradingEngine("arena", markets, journal, free)
    runner = LiveRunner(engine, {strategy.name: desk}, frame.start, frame.step_seconds, Watchdog(1.0))
    raw = base.to_raw(cash)
    account = Account(
        agent_id="a-0001",
        strategy=strategy.name,
        stage="proving",
        genome=tuple(genome.tolist()),
        limits=dict.fromkeys(strategy.roles, 1.0),
        coin_limit=1.0,
        row=-1,
        first_row=0,
        cash_raw=raw,
        base_raw=raw,
    )
    journal.endow(account.agent_id, base.symbol, raw)
    for row in range(frame.rows):
        runner.step(account, row)
        seen(account, desk, markets, row)
    held = {role: markets[spec.name] for role, spec in case.specs.items()}
    values = runner.values(account, held, frame.rows - 1)
    return account, (account.cash_raw + sum(values.values())) / base.unit


@pytest.fixture(scope="session")
def live() -> Callable[..., tuple[Account, float]]:
    """``live(case, protocols, genome, cash, seen) -> (account, equity)``."""
    return _live


@pytest.fixture(scope="session")
def genes() -> Callable[..., Any]:
    return _genes


@pytest.fixture(scope="session")
def any_genes() -> Callable[[Strategy], st.SearchStrategy[Any]]:
    return _any_genes


@pytest.fixture(scope="session")
def walk() -> Callable[..., list[dict[str, float]]]:
    return _walk
