"""Aave's exact markets in numbers that floats hold exactly, and the roundings of its versions in fractions.

USDT has the six decimals of USDC, so that at a price of 1 and an index of one ray a scaled unit, a token's unit and a
base unit are the same number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket, Leg
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
KINDS = {model.name: model.kind for model in AaveProtocol().models}
USD, RAY, HOUR, YEAR = 10**6, 10**27, 3600, 31_536_000
NINETEEN = 19 * RAY // 10
"""An index of 1.9."""
GAS = 0.25 + 2.0**-21
"""USD; 250,000.48 base units: 250,001 are paid."""
CURVE = RateStrategy(RAY * 3 // 4, RAY // 64 + RAY // 2**20, RAY // 16, RAY)
CURVE_PARAMS = {"optimal": 0.75, "base": 1 / 64 + 2.0**-20, "slope1": 1 / 16, "slope2": 1.0}
FEE = Fraction(1, 1024)
"""What an account's swaps cost."""
ACCOUNT_PARAMS = {"ltv_max": 0.75, "threshold": 0.8, "fee": 2.0**-10, "slack": 1 / 64, "actions": 1.0, "dust": 0.0}


def market(model: str, fields: Mapping[str, Any], params: Mapping[str, float]) -> ExactMarket:
    columns = {name: np.array(np.broadcast_to(value, 4), float) for name, value in fields.items()}
    spec = MarketSpec("m", model, KINDS[model], "USDT", {name: name for name in columns}, params)
    return AaveProtocol().exact(spec, MarketFrame(0, HOUR, columns), ASSETS, ASSETS["USDC"])


def supply(fields: Mapping[str, Any] | None = None, **params: float) -> Any:
    """A supply without costs and dust, but for what is given."""
    fields = {"rate": 1 / 16, "price": 1.0, "supplied": 1e6, "borrowed": 5e5, "gas": 0.0, **(fields or {})}
    return market("aave.supply", fields, {**CURVE_PARAMS, "swap_fee": 0.0, "dust": 0.0, **params})


def account(fields: Mapping[str, Any] | None = None, model: str = "aave.account", **params: float) -> Any:
    """An account without interest, gas and dust, but for what is given; its swaps cost one part in 1,024."""
    fields = {"price": 1.0, "supply_rate": 0.0, "borrow_rate": 0.0, "gas": 0.0, **(fields or {})}
    small = {"small": 0.0} if params.get("version") == 3.0 else {}
    return market(model, fields, {**ACCOUNT_PARAMS, **small, **params})


def deep(fields: Mapping[str, Any] | None = None, **params: float) -> Any:
    """`account` with a reserve that it moves."""
    reserve = {"supplied": 1e6, "borrowed": 8e5, **(fields or {})}
    return account(reserve, "aave.account_reserve", **CURVE_PARAMS, **params)


def posted(legs: Iterable[Leg]) -> dict[tuple[str, str], int]:
    """Amounts by account and asset, each told once; they sum to zero per asset."""
    legs = tuple(legs)
    for symbol in {leg.asset for leg in legs}:
        assert sum(leg.amount for leg in legs if leg.asset == symbol) == 0
    amounts = {(leg.account, leg.asset): leg.amount for leg in legs}
    assert len(amounts) == len(legs)
    return amounts


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def roundings(version: float) -> tuple[Callable[[Fraction], int], ...]:
    """How a version rounds: supply and withdrawal (scaled units), balance, loan and repayment (scaled units), debt."""
    if version < 3.5:
        return (half_up,) * 6
    return math.floor, math.ceil, math.floor, math.ceil, math.floor, math.ceil


def at_one(collateral: int, debt: int) -> tuple[int, ...]:
    """The state with both indexes at one ray."""
    return (collateral, RAY, debt, RAY)


def bought(aim: int, held: int, ltv: Fraction, gas: int) -> tuple[int, int, int, int]:
    """Collateral, debt and fee that leave `aim` after gas, and how often the collateral was lowered.

    The collateral is the exact solution rounded down; where what is left for the fee does not pay the swap's share
    rounded up, it is so much less that what lacks is left besides.
    """
    gross = math.floor((aim - gas + FEE * held) / (1 - ltv + FEE))
    if gross < held:
        gross = math.floor((aim - gas - FEE * held) / (1 - ltv - FEE))
    short = -1
    while True:
        debt, short = math.floor(gross * ltv), short + 1
        fee = aim - (gross - debt) - gas
        lacking = math.ceil(abs(gross - held) * FEE) - fee
        if lacking <= 0:
            return gross, debt, fee, short
        gross -= math.ceil(lacking / (1 - ltv - FEE))


def check(fill: Any, before: tuple[int, int], after: tuple[int, int], fee: int, gas: int, cash: int) -> None:
    """The fill from collateral and debt to others, at prices and indexes of one."""
    amounts = {
        ("cash", "USDC"): cash,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("debt", "USDC"): before[1] - after[1],
        ("world", "USDC"): after[1] - before[1] - cash - fee - gas,
        ("position", "USDT"): after[0] - before[0],
        ("world", "USDT"): before[0] - after[0],
    }
    assert posted(fill.legs) == {key: amount for key, amount in amounts.items() if amount}
    assert fill.state == at_one(*after)
    assert fill.cost_raw == fee + gas
    assert fill.slippage_bps == 10_000.0 * fee / fill.notional_raw
