"""The kit finds protocols that lose money in silence, count their holdings wrong, or have other views than their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.testing.conformance import FidelityConformance, MarketHolder, ProtocolCase, ProtocolConformance
from treasury_arena.testing.frames import ASSETS, COIN, USDC, synthetic_frame
from treasury_arena.testing.reference import SPOT, ReferenceMarket, ReferenceProtocol

FRAME = synthetic_frame(30)
LOSS = 100 * USDC.unit


class Losing(ReferenceMarket):
    """Every purchase is 100 USD short, and no cost says so."""

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        fill = super().trade(state, target_raw, row, control)
        if fill is None or fill.cash_raw > -2 * LOSS:
            return fill
        short = self._tokens(LOSS, row)
        moved = {"position": -short, "world": short}
        postings = tuple(
            attrs.evolve(leg, amount=leg.amount + moved[leg.account]) if leg.asset == self.asset.symbol else leg
            for leg in fill.legs
        )
        return attrs.evolve(fill, state=(fill.state[0] - short * 10**27,), legs=postings)


class LosingInOneToken(Losing):
    """The same, with a position that is one token whatever it is worth: rounding to whole tokens would excuse anything."""

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: 1 if state[0] else 0}

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        fill = super().trade(state, target_raw, row, control)
        if fill is None:
            return None
        symbol = self.asset.symbol
        change = self.holdings(fill.state)[symbol] - self.holdings(state)[symbol]
        money = tuple(leg for leg in fill.legs if leg.asset != symbol)
        tokens = (Leg("position", symbol, change), Leg("world", symbol, -change)) if change else ()
        return attrs.evolve(fill, legs=(*money, *tokens))


class Healthy(ReferenceMarket):
    """Its health is 0.5, that of its model 2."""

    def views(self, state: ExactState, row: int) -> Mapping[str, float]:
        return {"health": 0.5}


class Blind(ReferenceMarket):
    """Tells no views, though its model has one."""


def health(s: Any, m: Any, p: Any) -> float:
    return 2.0


class Other(ReferenceProtocol):
    """The reference protocol with another exact market."""

    def __init__(self, market: type[ReferenceMarket], views: Mapping[str, Callable[..., float]] | None = None) -> None:
        self._market, self._model = market, attrs.evolve(SPOT, views=views or {})

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (self._model,)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        return self._market(spec, self._model, frame, assets[spec.asset], base)


def case_of(market: type[ReferenceMarket], **views: Callable[..., float]) -> ProtocolCase:
    return ProtocolCase(Other(market, views), FRAME, (COIN,), ASSETS, USDC)


@pytest.mark.parametrize("market", [Losing, LosingInOneToken])
def test_a_loss_that_no_cost_tells_is_found(market: type[ReferenceMarket]) -> None:
    case, suite = case_of(market), ProtocolConformance()
    with pytest.raises(AssertionError, match="base units are lost"):
        suite.test_a_trade_never_makes_anybody_richer(case=case)
    holder = MarketHolder(case.market(COIN))
    with pytest.raises(AssertionError):
        FidelityConformance().test_what_a_move_loses_is_told_as_its_cost(holder)


def test_holdings_that_are_not_what_the_position_is_worth_are_found() -> None:
    with pytest.raises(AssertionError, match="the holdings have another worth"):
        ProtocolConformance().test_a_position_is_worth_the_tokens_it_amounts_to(case=case_of(LosingInOneToken))


@pytest.mark.parametrize("market", [Healthy, Blind])
def test_views_that_differ_from_the_models_are_found(market: type[ReferenceMarket]) -> None:
    with pytest.raises(AssertionError, match="view"):
        ProtocolConformance().test_model_and_exact_agree_within_the_bound(case=case_of(market, health=health))


class Still(ReferenceMarket):
    """Its price never changes, whatever the frame says."""

    def value(self, state: ExactState, row: int) -> int:
        return super().value(state, 0)


def test_a_value_that_time_does_not_change_is_found_unless_it_is_said() -> None:
    law = FidelityConformance().test_time_changes_value_and_asks_for_no_cash
    with pytest.raises(AssertionError, match="a step of time changed nothing"):
        law(MarketHolder(case_of(Still).market(COIN)))
    law(MarketHolder(case_of(Still).market(COIN), changes=False))
    law(MarketHolder(case_of(ReferenceMarket).market(COIN)))


def test_the_honest_market_passes() -> None:
    suite, case = ProtocolConformance(), case_of(ReferenceMarket)
    suite.test_a_trade_never_makes_anybody_richer(case=case)
    suite.test_a_position_is_worth_the_tokens_it_amounts_to(case=case)
    suite.test_model_and_exact_agree_within_the_bound(case=case)
    FidelityConformance().test_what_a_move_loses_is_told_as_its_cost(MarketHolder(case.market(COIN)))
