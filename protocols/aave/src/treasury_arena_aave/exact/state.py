"""What a pool consists of: configuration and state of its reserves, e-mode categories, and the results of operations."""

from __future__ import annotations

import attrs

from treasury_arena.errors import ConfigError
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.wad_ray import PERCENT, RAY, percent_mul


@attrs.frozen
class ReserveConfig:
    """What governance sets of a reserve.

    Attributes:
        decimals: of the underlying token.
        ltv, threshold: loan-to-value and liquidation threshold, basis points; a threshold of 0 means no collateral.
        bonus: what a liquidator receives, basis points above 10,000 (10,500 is five percent), or 0.
        reserve_factor: the treasury's share of interest, basis points.
        protocol_fee: the treasury's share of the liquidation bonus, basis points.
        supply_cap, borrow_cap: whole tokens; 0 for none.
        emode: category the asset belongs to; 0 for none.
    """

    decimals: int
    ltv: int = 0
    threshold: int = 0
    bonus: int = 0
    reserve_factor: int = 0
    protocol_fee: int = 0
    supply_cap: int = 0
    borrow_cap: int = 0
    emode: int = 0
    active: bool = True
    frozen: bool = False
    paused: bool = False
    borrowing: bool = True

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.ltv <= self.threshold <= PERCENT:
            raise ConfigError(
                f"ltv {self.ltv} and threshold {self.threshold}: expected 0 <= ltv <= threshold <= {PERCENT}"
            )
        if self.threshold and not (self.bonus > PERCENT and percent_mul(self.threshold, self.bonus) <= PERCENT):
            raise ConfigError(
                f"bonus {self.bonus}: expected more than {PERCENT}, and threshold {self.threshold} times it at most 100%"
            )
        if not self.threshold and self.bonus:
            raise ConfigError(f"bonus {self.bonus}: an asset with a threshold of 0 has none")
        if not 0 <= self.reserve_factor <= PERCENT or not 0 <= self.protocol_fee <= PERCENT:
            raise ConfigError(
                f"reserve factor {self.reserve_factor} and protocol fee {self.protocol_fee} lie from 0 to {PERCENT}"
            )

    @property
    def unit(self) -> int:
        """Base units in one token."""
        return int(10**self.decimals)


@attrs.frozen
class ReserveState:
    """State of a reserve as of its last update.

    Attributes:
        strategy: rate curve.
        liquidity_index, borrow_index: ray.
        liquidity_rate, borrow_rate: ray a year.
        accrued: scaled units that belong to the treasury and are not minted yet.
        updated: second of the last update.
        supplied_scaled, debt_scaled: all users together.
        cash: base units of the underlying in the reserve.
        deficit: base units of burnt bad debt (3.3 and later).
    """

    strategy: RateStrategy
    liquidity_index: int = RAY
    borrow_index: int = RAY
    liquidity_rate: int = 0
    borrow_rate: int = 0
    accrued: int = 0
    updated: int = 0
    supplied_scaled: int = 0
    debt_scaled: int = 0
    cash: int = 0
    deficit: int = 0


@attrs.frozen
class EMode:
    """A category of assets that move together: basis points, and an own price source (a name in the pool's prices) if any."""

    ltv: int
    threshold: int
    bonus: int
    price_source: str | None = None


@attrs.frozen
class AccountData:
    """A user's account in the oracle's currency (8 decimals).

    Attributes:
        version: whose arithmetic.
        collateral, debt: values.
        ltv, threshold: weighted averages, basis points.
        health: wad; `MAX_UINT256` without debt.
        zero_ltv: whether some collateral has a loan-to-value of zero.
    """

    version: str
    collateral: int
    debt: int
    ltv: int
    threshold: int
    health: int
    zero_ltv: bool


@attrs.frozen
class Result:
    """What an operation did.

    Attributes:
        version: whose arithmetic.
        operation: ``supply``, ``withdraw``, ``borrow``, ``repay``, ...
        user, asset: on what.
        amount: base units of the underlying that moved.
        scaled: scaled units minted or burnt.
    """

    version: str
    operation: str
    user: str
    asset: str
    amount: int = 0
    scaled: int = 0


@attrs.frozen
class Liquidation:
    """What a liquidation did.

    Attributes:
        version: whose arithmetic.
        debt: base units of the debt asset repaid.
        collateral: base units of the collateral asset that went to the liquidator.
        fee: base units of the collateral asset that went to the treasury.
        burnt: base units of bad debt written off in the debt asset (3.3 and later).
    """

    version: str
    user: str
    liquidator: str
    collateral_asset: str
    debt_asset: str
    debt: int
    collateral: int
    fee: int
    burnt: int = 0
