"""A small market of collateral and debt, with the columns, control and views of an Aave account, and data for it.

What is swapped to reach a loan-to-value costs a fee; interest is simple; there is no liquidation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.testing.frames import START
from treasury_arena.testing.reference import LENDING


class AccountState(NamedTuple):
    collateral: float = 0.0
    debt: float = 0.0


class AccountMarket(NamedTuple):
    price: float
    supply_rate: float
    borrow_rate: float
    gas: float


class AccountParams(NamedTuple):
    ltv_max: float = 0.8
    threshold: float = 0.83
    fee: float = 0.0003
    dust: float = 1.0
    slack: float = 0.02


class AccountControl(NamedTuple):
    ltv: float


def account_value(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    return s.collateral * m.price - s.debt


def account_ltv(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    held = s.collateral * m.price
    return s.debt / held if held > 0.0 else 0.0


def account_health(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    return min(s.collateral * m.price * p.threshold / s.debt, 100.0) if s.debt > 0.0 else 100.0


def account_trade(
    s: AccountState, target: float, m: AccountMarket, p: AccountParams, c: AccountControl
) -> tuple[AccountState, float]:
    held = s.collateral * m.price
    move = target - (held - s.debt)
    ltv = min(max(c.ltv, 0.0), p.ltv_max)
    changed = held > 0.0 and abs(s.debt - ltv * held) > p.slack * held
    if abs(move) < p.dust and not changed:
        return s, 0.0
    cost = m.gas + p.fee * abs(target / (1.0 - ltv) - held)
    if move < 0.0 and cost < -move:
        gross = target / (1.0 - ltv)
        return AccountState(gross / m.price, gross - target), -move - cost
    own = max(target, held - s.debt) - cost
    if own <= 0.0 or (not changed and cost >= abs(move)):
        return s, 0.0
    return AccountState(own / (1.0 - ltv) / m.price, own / (1.0 - ltv) * ltv), min(-move, 0.0)


def account_accrue(s: AccountState, m: AccountMarket, p: AccountParams) -> AccountState:
    collateral = s.collateral * (1.0 + m.supply_rate / 8760.0)
    return AccountState(collateral, s.debt * (1.0 + m.borrow_rate / 8760.0))


ACCOUNT = PositionModel(
    "small.account",
    "account",
    AccountState,
    AccountMarket,
    AccountParams,
    account_value,
    account_trade,
    account_accrue,
    AccountControl,
    {"health": account_health, "ltv": account_ltv},
)
ACCOUNT_COLUMNS = {"price": "DAI.price", "supply_rate": "DAI.rate", "borrow_rate": "USDC.borrow", "gas": "gas.usd"}
LENDING_COLUMNS = {"rate": "USDC.rate", "price": "USDC.price", "gas": "gas.usd"}


def make_frame(rows: int, seed: int, gas: float = 0.2) -> MarketFrame:
    """Hourly: a collateral near its peg with one fall of a tenth, and rates whose spread changes sign every few weeks."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    fall = 0.1 * np.exp(-np.maximum(hours - rows // 2, 0.0) / 30.0) * (hours >= rows // 2)
    columns: dict[str, Any] = {
        "DAI.price": 1.0 - fall + 0.0005 * rng.standard_normal(rows),
        "DAI.rate": 0.10 + 0.05 * np.sin(hours / 120.0) + 0.005 * rng.standard_normal(rows),
        "USDC.borrow": 0.07 + 0.02 * np.sin(hours / 75.0) + 0.005 * rng.standard_normal(rows),
        "USDC.rate": np.full(rows, 0.05),
        "USDC.price": np.ones(rows),
        "gas.usd": np.full(rows, gas),
    }
    return MarketFrame(START, 3600, columns)


def specs(model: PositionModel = ACCOUNT, lending: PositionModel = LENDING) -> dict[str, MarketSpec]:
    """Role -> market, over the columns of `make_frame`."""
    return {
        "usd": MarketSpec("usdc_lending", lending.name, "lending", "USDC", LENDING_COLUMNS),
        "account": MarketSpec("loop", model.name, "account", "DAI", ACCOUNT_COLUMNS),
    }
