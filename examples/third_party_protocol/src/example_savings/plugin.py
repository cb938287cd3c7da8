"""The plugin: what the arena asks a protocol for, and the one hook."""

from collections.abc import Sequence

from example_savings.market import SavingsMarket
from example_savings.model import ACCOUNT
from treasury_arena import hookimpl
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, nearest


class SavingsProtocol(Protocol):
    """Savings accounts."""

    name = "savings"
    version = "1.0.0"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        return (ACCOUNT,)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        if spec.model != ACCOUNT.name:
            raise ConfigError(
                f"market {spec.name!r}: there is no model {spec.model!r}; {nearest(spec.model, [ACCOUNT.name])}"
            )
        return SavingsMarket(spec, frame, assets[spec.asset], base)

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        from example_savings.parity import SavingsGap, SavingsParity

        return SavingsParity(), SavingsGap()


@hookimpl
def arena_protocols() -> list[Protocol]:
    """The plugin's one hook."""
    return [SavingsProtocol()]
