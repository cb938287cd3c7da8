"""What the protocol suite is given, and its measures: from the case's data alone, never from what a market says of itself."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Leg, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame

TRADERS = ("cash", "position", "debt", "fee", "gas", "world")


@attrs.frozen(eq=False)
class ProtocolCase:
    """What the protocol suite needs.

    Attributes:
        frame: market data all `specs` are bound to, at least 10 rows.
        specs: one market or more per model.
        largest_usd: largest position tried, in units of the base asset; keep it inside every market's depth.
        bound: tolerated difference of model and exact, as a share of what moves.
        control: controls given to every trade, in the order of the model's Control.
        grain_raw: base units of the base asset that the least amount a market can hold is worth, where that is more than
            one base unit of its asset at the column ``price`` (one to one without such a column).
    """

    protocol: Protocol
    frame: MarketFrame
    specs: tuple[MarketSpec, ...]
    assets: AssetTable
    base: Asset
    largest_usd: int = 100_000
    bound: float = 1e-6
    control: tuple[float, ...] = ()
    grain_raw: int = 0

    def model(self, spec: MarketSpec) -> PositionModel:
        """The model that prices a market."""
        return {model.name: model for model in self.protocol.models}[spec.model]

    def market(self, spec: MarketSpec) -> ExactMarket:
        """A fresh exact market."""
        return self.protocol.exact(spec, self.frame, self.assets, self.base)


def sums_of(legs: tuple[Leg, ...]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for leg in legs:
        sums[leg.account, leg.asset] = sums.get((leg.account, leg.asset), 0) + leg.amount
    return {key: amount for key, amount in sums.items() if amount}


def check_balanced(legs: tuple[Leg, ...]) -> None:
    assets: dict[str, int] = {}
    for leg in legs:
        assert leg.account in TRADERS
        assert type(leg.amount) is int
        assets[leg.asset] = assets.get(leg.asset, 0) + leg.amount
    assert not any(assets.values()), f"legs do not sum to zero: {assets}"


def book_legs(booked: dict[str, int], legs: tuple[Leg, ...]) -> None:
    for leg in legs:
        if leg.account in ("position", "debt"):
            booked[leg.asset] = booked.get(leg.asset, 0) + leg.amount
            if not booked[leg.asset]:
                del booked[leg.asset]


def price_of(case: ProtocolCase, spec: MarketSpec, row: int) -> float:
    """Of the market's asset in the base asset; 1 where the market reads none."""
    return float(case.frame[spec.columns["price"]][row]) if "price" in spec.columns else 1.0


def worth_of_one(case: ProtocolCase, spec: MarketSpec, row: int) -> int:
    """Base units that one base unit of the asset is worth, rounded up: what rounding to whole tokens may cost.

    From the frame's price and the case alone: what a market says of itself could hide any loss.
    """
    return max(case.grain_raw, math.ceil(price_of(case, spec, row) * case.base.unit / case.assets[spec.asset].unit))


def check_views(
    case: ProtocolCase, spec: MarketSpec, market: ExactMarket, exact: tuple[ExactState, int], held: tuple[Any, Any, Any]
) -> None:
    """The model and the exact market tell a strategy the same facts, but for what rounding is of a position's parts."""
    model, (state, row) = case.model(spec), exact
    views = market.views(state, row)
    assert set(views) == set(model.views), (
        f"views of the exact market: {sorted(views)}, of the model: {sorted(model.views)}"
    )
    worth = market.value(state, row)
    if not worth:
        return
    units = 3.0 + 4.0 * worth_of_one(case, spec, row)
    allowed = 10.0 * (case.bound + units / worth)
    for name, view in model.views.items():
        assert float(view(*held)) == pytest.approx(views[name], rel=allowed, abs=allowed), f"view {name!r}"


def threshold_of(spec: MarketSpec, params: Any, line: Any) -> float:
    """USD up to which one side may call a move dust that the other makes."""
    known = {**params._asdict(), **line._asdict()}
    return float(max(known.get("dust", 0.0), known.get("gas", 0.0) * max(1.0, known.get("actions", 1.0)))) * 1.1 + 1e-6


def state_worth(model: PositionModel, value: float, line: Any, params: Any, control: Any) -> Any:
    state, aim = model.state(), value
    for _ in range(60):
        state, _ = model.trade(model.state(), aim, line, params, control)
        aim += value - model.value(state, line, params)
    return state


def is_reached(model: PositionModel, value: float, line: Any, params: Any, control: Any, bound: float) -> bool:
    if not value:
        return True
    state = state_worth(model, value, line, params, control)
    return abs(float(model.value(state, line, params)) / value - 1.0) <= bound
