"""The Aave protocol: its position models and the exact markets behind them."""

from __future__ import annotations

from collections.abc import Sequence

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, nearest
from treasury_arena_aave.market import AccountExact, AccountReserveExact, SupplyExact
from treasury_arena_aave.model import ACCOUNT, ACCOUNT_RESERVE, SUPPLY

MARKETS: dict[str, type[SupplyExact] | type[AccountExact]] = {
    SUPPLY.name: SupplyExact,
    ACCOUNT.name: AccountExact,
    ACCOUNT_RESERVE.name: AccountReserveExact,
}


class AaveProtocol(Protocol):
    """Lending, and borrowing against collateral, on Aave v3."""

    name = "aave"
    version = "0.1.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (SUPPLY, ACCOUNT, ACCOUNT_RESERVE)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        model = self._model(spec)
        return MARKETS[model.name](spec, model, frame, assets[spec.asset], base)

    def planner(self, context: PlannerContext) -> StepPlanner:
        from treasury_arena_aave.account_planner import AccountPlanner
        from treasury_arena_aave.planner import SupplyPlanner

        return SupplyPlanner(context) if self._model(context.spec) is SUPPLY else AccountPlanner(context)

    def _model(self, spec: MarketSpec) -> PositionModel:
        models = {model.name: model for model in self.models}
        if spec.model not in models:
            raise ConfigError(
                f"market {spec.name!r}: the aave protocol has no model {spec.model!r}; {nearest(spec.model, models)}"
            )
        return models[spec.model]

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        from treasury_arena_aave.parity import checks

        return checks()
