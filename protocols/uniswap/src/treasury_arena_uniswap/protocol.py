"""The uniswap protocol: its position models and the exact markets behind them."""

from __future__ import annotations

from collections.abc import Sequence

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, nearest
from treasury_arena_uniswap.market import SpotMarket
from treasury_arena_uniswap.model import SPOT, SPOT_TVL
from treasury_arena_uniswap.range_market import RangeMarket
from treasury_arena_uniswap.range_model import RANGE, RANGE_TVL


class UniswapProtocol(Protocol):
    """Swaps and ranges of liquidity in v3 pools of a coin against the base asset."""

    name = "uniswap"
    version = "0.1.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (SPOT, SPOT_TVL, RANGE, RANGE_TVL)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        model = self._model(spec)
        market = SpotMarket if model.kind == "spot" else RangeMarket
        return market(spec, model, frame, assets[spec.asset], base)

    def planner(self, context: PlannerContext) -> StepPlanner:
        from treasury_arena_uniswap.planner import SpotPlanner
        from treasury_arena_uniswap.range_planner import RangePlanner

        return SpotPlanner(context) if self._model(context.spec).kind == "spot" else RangePlanner(context)

    def _model(self, spec: MarketSpec) -> PositionModel:
        models = {model.name: model for model in self.models}
        if spec.model not in models:
            raise ConfigError(
                f"market {spec.name!r}: the uniswap protocol has no model {spec.model!r}; {nearest(spec.model, models)}"
            )
        return models[spec.model]

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        from treasury_arena_uniswap.parity.checks import checks

        return checks()
