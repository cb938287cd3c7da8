"""The ERC-4626 protocol: its position model and the exact market behind it."""

from __future__ import annotations

from collections.abc import Sequence

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, nearest
from treasury_arena_erc4626.market import VaultMarket
from treasury_arena_erc4626.model import VAULT


class VaultProtocol(Protocol):
    """Tokenised vaults whose shares grow in worth (EIP-4626)."""

    name = "erc4626"
    version = "0.1.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (VAULT,)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        self._refuse_unknown(spec)
        return VaultMarket(spec, frame, assets[spec.asset], base)

    def planner(self, context: PlannerContext) -> StepPlanner:
        from treasury_arena_erc4626.planner import VaultPlanner

        self._refuse_unknown(context.spec)
        return VaultPlanner(context)

    def _refuse_unknown(self, spec: MarketSpec) -> None:
        if spec.model != VAULT.name:
            raise ConfigError(
                f"market {spec.name!r}: the erc4626 protocol has no model {spec.model!r}; {nearest(spec.model, [VAULT.name])}"
            )

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        from treasury_arena_erc4626.parity import checks

        return checks()
