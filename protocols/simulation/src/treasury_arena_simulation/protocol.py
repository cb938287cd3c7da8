"""The simulation protocol: its position models and the exact markets behind them."""

from __future__ import annotations

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, nearest
from treasury_arena_simulation.exact import LendingExact, SpotExact
from treasury_arena_simulation.model import LENDING, LENDING_PAR, SPOT, SPOT_DEPTH


class SimulationProtocol(Protocol):
    """Spot and lending venues that exist on paper only."""

    name = "simulation"
    version = "0.1.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (SPOT, SPOT_DEPTH, LENDING, LENDING_PAR)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        models = {model.name: model for model in self.models}
        if spec.model not in models:
            raise ConfigError(
                f"market {spec.name!r}: the simulation protocol has no model {spec.model!r}; {nearest(spec.model, models)}"
            )
        model = models[spec.model]
        market = SpotExact if model.kind == "spot" else LendingExact
        return market(spec, model, frame, assets[spec.asset], base)
