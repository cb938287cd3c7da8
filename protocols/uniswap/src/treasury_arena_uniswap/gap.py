"""How far the float models are from the exact markets: relative errors over the range of real pools."""

from __future__ import annotations

import random
from typing import Any

import attrs
import numpy as np

from treasury_arena.contracts.parity import GapCheck, GapResult, Told
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ValidationError
from treasury_arena_uniswap.market import SpotMarket
from treasury_arena_uniswap.model import SPOT, SPOT_TVL
from treasury_arena_uniswap.range_market import RangeMarket
from treasury_arena_uniswap.range_model import RANGE, RANGE_TVL

ROWS = 25
MODELS = {model.name: model for model in (SPOT, SPOT_TVL, RANGE, RANGE_TVL)}
TIERS = ((0.0001, 1.0), (0.0005, 10.0), (0.003, 60.0), (0.01, 200.0))
COINS = {"WETH": (18, 2_000.0), "WBTC": (8, 60_000.0), "SOL": (9, 120.0)}
USDC = Asset("USDC", 6, stable=True)
ASSETS = AssetTable((USDC, *(Asset(symbol, decimals) for symbol, (decimals, _) in COINS.items())))

#: What `arena parity` draws from, coin and smallest position in USD, and the bound that the documentation promises of them.
PROMISED = (("WETH", 10.0), ("SOL", 10.0), ("WBTC", 10_000.0))
BOUND = 5e-6

#: The models' smallest move in USD, and how near to it, as a share, a move is not a matter of agreement.
DUST = SPOT.params().dust
DUST_ZONE = 1e-5


@attrs.frozen
class ModelGap(GapCheck):
    """A model against its exact market: positions from 10 USD of coins of 18 and 9 decimals, from 10,000 USD of WBTC (8)."""

    name: str
    bound: float = BOUND

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        draw, model = random.Random(seed), MODELS[self.name]
        errors: list[float] = []
        for case in range(cases):
            coin, least = PROMISED[case % len(PROMISED)]
            errors += _case(model, draw, least, coin)
            told(case + 1, cases)
        if not errors:
            return GapResult(self.name, 0, 0.0, 0.0, 0.0, self.bound)
        median, high, largest = (float(part) for part in np.quantile(errors, [0.5, 0.99, 1.0]))
        return GapResult(self.name, len(errors), median, high, largest, self.bound)


def gaps(model: str, cases: int, seed: int, *, least_usd: float = 1.0, coin: str = "WETH") -> list[float]:
    """Relative errors of a model, ascending: two for each case, one where nothing is bought; see `apart` for refusals.

    A case is a position of `least_usd` to 100,000 USD (evenly in the logarithm), bought, held for a day of hours where the model
    earns by holding, and sold; its errors are those of the value held and of the cash that comes back, over what was paid.
    Pools: the four fee tiers with their spacings, both token orders, protocol's part on and off, 10 million to 3 billion USD of
    virtual reserve, prices from a quarter to four times the coin's usual one, ranges of 1% to 900%.
    """
    found: list[float] = []
    draw = random.Random(seed)
    for _ in range(cases):
        found += _case(MODELS[model], draw, least_usd, coin)
    return sorted(found)


def _case(model: PositionModel, draw: random.Random, least: float, coin: str) -> list[float]:
    decimals, usual = COINS[coin]
    fee, spacing = draw.choice(TIERS)
    given = {"fee": fee, "coin_is_token0": float(draw.randint(0, 1))}
    if model.kind == "range":
        given |= {
            "spacing": spacing,
            "decimals_apart": float(decimals - 6),
            "fee_protocol": draw.choice([0.0, 4.0, 10.0]),
        }
    depth = 10.0 ** draw.uniform(7.0, 9.5)
    price = usual * 4.0 ** draw.uniform(-1.0, 1.0)
    prices = price * np.exp(np.cumsum([draw.gauss(0.0, 0.008) for _ in range(ROWS)]))
    columns = {
        "price": prices,
        "liquidity": depth / np.sqrt(prices),
        "tvl": np.full(ROWS, depth / 6.0),
        "volume": np.full(ROWS, depth / 50.0),
        "gas": np.zeros(ROWS),
    }
    fields = model.market._fields
    frame = MarketFrame(0, 3600, {field: columns[field] for field in fields})
    spec = MarketSpec("gap", model.name, model.kind, coin, {field: field for field in fields}, given)
    exact = SpotMarket if model.kind == "spot" else RangeMarket
    market, params = exact(spec, model, frame, ASSETS[coin], USDC), model.params()._replace(**given)
    control = (10.0 ** draw.uniform(-2.0, 0.95),) if model.control else ()
    said: Any = model.control(*control) if model.control else None
    rows = [model.market(*(float(frame[field][row]) for field in fields)) for row in range(ROWS)]

    usd = 10.0 ** draw.uniform(np.log10(least), 5.0)
    paid_raw = round(usd * USDC.unit)
    paid = paid_raw / USDC.unit
    held, cash = model.trade(model.state(), paid, rows[0], params, said)
    fill = _filled(market, market.open(), paid_raw, 0, control)
    if fill is None or not cash:
        return [apart(cash, fill, paid, paid)]
    state = fill.state
    for row in rows[1:]:
        held = model.accrue(held, row, params) if model.accrue else held
    state, _ = market.accrue(state, 0, ROWS - 1)
    value = model.value(held, rows[-1], params)
    _, back = model.trade(held, 0.0, rows[-1], params, said)
    sold = _filled(market, state, 0, ROWS - 1, control)
    return [abs(value - market.value(state, ROWS - 1) / USDC.unit) / paid, apart(back, sold, value, paid)]


def _filled(market: ExactMarket, state: ExactState, target: int, row: int, control: tuple[float, ...]) -> Fill | None:
    try:
        return market.trade(state, target, row, control)
    except ValidationError:
        return None


def apart(cash: float, fill: Fill | None, move: float, paid: float) -> float:
    """How far a model's cash is from the exact fill's, as a share of what was paid.

    Both doing nothing is 0. One of them trading alone is 1, but for moves within `DUST_ZONE` of the smallest move, where a
    rounding decides whether there is a trade at all.
    """
    if fill is not None and cash:
        return abs(cash - fill.cash_raw / USDC.unit) / paid
    if fill is None and not cash:
        return 0.0
    return 0.0 if abs(move - DUST) <= DUST_ZONE * DUST else 1.0
