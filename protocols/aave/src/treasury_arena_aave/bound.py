"""What Aave's exact markets over a frame share, on top of the core's: a version's arithmetic, and the moves of a position.

A side of a position is scaled units and their index; its four moves round as the version does.
"""

from __future__ import annotations

import attrs

from treasury_arena.contracts.bound import BoundMarket, fixed
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, TreasuryArenaError
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import Version, version_of
from treasury_arena_aave.exact.wad_ray import RAY


@attrs.frozen
class Holding:
    """Scaled units and their index in ray; the two integers a side of a position is made of."""

    scaled: int
    index: int


def _off(held: Holding) -> int:
    """Most base units that a move may be off: half an index's whole units by each of two roundings, and one."""
    return held.index // RAY + 2


class VersionedMarket(BoundMarket):
    """A market over a frame in one version's arithmetic.

    Raises ConfigError and DataError as `BoundMarket`; also for a step that is not the frame's, a version that is not known, and
    rows where `supplied` or `borrowed` is negative.
    """

    version: Version

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        for field in ("supplied", "borrowed"):
            if field in self._columns:
                self._refuse_rows(field, strict=False)
        try:
            self.version = version_of(f"{self._params['version']:.1f}")
        except TreasuryArenaError as error:
            raise ConfigError(f"market {spec.name!r}: params.version: {error}") from error
        self._dust = fixed(self._params["dust"], base.unit)
        step = self._params["step_seconds"]
        if step != frame.step_seconds:
            raise ConfigError(
                f"market {spec.name!r}: step_seconds = {step:g}, but the market data have a row every {frame.step_seconds} s"
            )
        self._step = frame.step_seconds

    def _rate_curve(self) -> RateStrategy:
        """The reserve's curve of the parameters; ConfigError for one that is none."""
        names = ("optimal", "base", "slope1", "slope2")
        try:
            return RateStrategy(*(fixed(self._params[name], RAY) for name in names))
        except TreasuryArenaError as error:
            told = ", ".join(f"{name} = {self._params[name]:g}" for name in names)
            raise ConfigError(
                f"market {self.spec.name!r}: {told} is no rate curve; expected 0 < optimal <= 1 and rates that do not fall"
            ) from error

    def _at(self, field: str, row: int, scale: int) -> int:
        return fixed(float(self._columns[field][row]), scale)

    # The four moves of a position. Half-up versions may give a unit away: then one unit less (or more) is asked for, so
    # that a trade never makes the holder richer than it says.

    def _balance(self, held: Holding) -> int:
        return self.version.balance(held.scaled, held.index)

    def _owed(self, held: Holding) -> int:
        return self.version.debt(held.scaled, held.index)

    def _lend(self, held: Holding, amount: int) -> Holding:
        before, after = self._balance(held), held
        for less in range(min(amount, _off(held)) + 1):
            after = attrs.evolve(held, scaled=held.scaled + self.version.supply_scaled(amount - less, held.index))
            if self._balance(after) - before <= amount:
                break
        return after

    def _take(self, held: Holding, amount: int) -> Holding:
        before, after = self._balance(held), held
        if amount >= before:
            return attrs.evolve(held, scaled=0)
        for more in range(_off(held) + 1):
            burnt = self.version.withdraw_scaled(amount + more, held.index)
            after = attrs.evolve(held, scaled=max(0, held.scaled - burnt))
            if before - self._balance(after) >= amount:
                break
        return after

    def _owe(self, held: Holding, amount: int) -> Holding:
        before, after = self._owed(held), held
        for more in range(_off(held) + 1):
            after = attrs.evolve(held, scaled=held.scaled + self.version.borrow_scaled(amount + more, held.index))
            if self._owed(after) - before >= amount:
                break
        return after

    def _pay(self, held: Holding, amount: int) -> Holding:
        before, after = self._owed(held), held
        if amount >= before:
            return attrs.evolve(held, scaled=0)
        for less in range(min(amount, _off(held)) + 1):
            burnt = self.version.repay_scaled(amount - less, held.index)
            after = attrs.evolve(held, scaled=held.scaled - burnt)
            if before - self._owed(after) <= amount:
                break
        return after
