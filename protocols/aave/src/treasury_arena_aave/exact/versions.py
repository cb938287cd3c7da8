"""Versions of the protocol: which rounding, which compounding, which liquidation rules.

| version | what changed | checked against |
|---|---|---|
| 3.0 | the line of npm's @aave/core-v3 1.19.3 | its bytecode, to the wei (`treasury_arena_aave.parity`) |
| 3.4 | compounding by exponent; no average with stable debt (3.2); close factor by size, deficit (3.3) | published source |
| 3.5 | every conversion rounds in favour of the pool; values round against the user | bytecode of 3.6.0, to the wei |
| 3.7 | liquidation amounts round against the liquidator | published text |

Published source is npm's @aave-dao/aave-v3-origin 3.6.0 and the documents of that repository (docs/3.3, 3.4, 3.5, 3.7).
That package has sources only; `treasury_arena_aave.origin` compiles them for the parity check, which holds 3.5 against them.
No bytecode of 3.4 and 3.7 was run. 3.4 was compared by reading with pool revision 8 as verified on Ethereum (GitHub's
BowTiedDevil/degenbot, contract_reference/aave/Pool/rev_8.sol). It differs from 3.5 in its roundings, and beside them:

- A loan is weighed before it is made (collateral, loan-to-value, health above one), in 3.5 after it.
- A liquidation whose liquidator takes the supply leaves the collateral's reserve as it was: no new index, nothing accrued. 3.5
  updates it always, and one of an asset against itself gives the treasury its part twice.
- The supply taken becomes the liquidator's collateral if he had none there; in 3.5 it does not.
- The debt that a liquidation leaves counts as dust by its value rounded down; in 3.5 rounded up.

3.7 differs from 3.5 in the roundings of a liquidation, and in what counts as no collateral left: none by units, not by value.
What later versions do otherwise (e-mode by bitmaps instead of one category an asset, a frozen asset's loan-to-value of zero,
isolation, siloed borrowing, the oracle sentinel) is not modelled in any version.
"""

from __future__ import annotations

import attrs

from treasury_arena.errors import ConfigError
from treasury_arena_aave.exact.interest import compounded_by_exponent, compounded_by_powers
from treasury_arena_aave.exact.wad_ray import (
    PERCENT,
    mul_div_ceil,
    percent_div,
    percent_div_ceil,
    percent_div_floor,
    percent_mul,
    percent_mul_ceil,
    percent_mul_floor,
    ray_div,
    ray_div_ceil,
    ray_div_floor,
    ray_mul,
    ray_mul_ceil,
    ray_mul_floor,
    wad_div,
)


@attrs.frozen
class Version:
    """Arithmetic of one version. Amounts and scaled amounts are base units, indexes ray.

    Attributes:
        name: ``3.0``, ``3.4``, ...; part of every result.
        checked: what the version was compared with.
        exponent: compounding of 3.4 and later.
        later: the rules of 3.1 to 3.4: no loan above all supplies, no stable debt in the rate, close factor by size, deficit, no
            dust, no self-liquidation, a debt ends with its last scaled unit.
        directed: the roundings of 3.5 and later, and what else sets it apart from 3.4.
        directed_liquidation: the roundings and the deficit's rule of 3.7.
    """

    name: str
    checked: str
    exponent: bool = False
    later: bool = False
    directed: bool = False
    directed_liquidation: bool = False

    def compounded(self, rate: int, seconds: int) -> int:
        """Factor by which debt grows, ray."""
        return compounded_by_exponent(rate, seconds) if self.exponent else compounded_by_powers(rate, seconds)

    def supply_scaled(self, amount: int, index: int) -> int:
        """Scaled units minted for a supply."""
        return ray_div_floor(amount, index) if self.directed else ray_div(amount, index)

    def withdraw_scaled(self, amount: int, index: int) -> int:
        """Scaled units burnt for a withdrawal, or moved for a transfer."""
        return ray_div_ceil(amount, index) if self.directed else ray_div(amount, index)

    def balance(self, scaled: int, index: int) -> int:
        """What scaled units of a supply are worth."""
        return ray_mul_floor(scaled, index) if self.directed else ray_mul(scaled, index)

    def borrow_scaled(self, amount: int, index: int) -> int:
        """Scaled units of debt for a loan."""
        return ray_div_ceil(amount, index) if self.directed else ray_div(amount, index)

    def repay_scaled(self, amount: int, index: int) -> int:
        """Scaled units of debt that a repayment burns."""
        return ray_div_floor(amount, index) if self.directed else ray_div(amount, index)

    def debt(self, scaled: int, index: int) -> int:
        """What scaled units of debt owe."""
        return ray_mul_ceil(scaled, index) if self.directed else ray_mul(scaled, index)

    def debt_value(self, amount: int, price: int, unit: int) -> int:
        """Debt in the oracle's currency."""
        return mul_div_ceil(amount, price, unit) if self.directed else amount * price // unit

    def treasury_scaled(self, scaled_debt: int, before: int, after: int, factor_bps: int, index: int) -> int:
        """Scaled units that accrue to the treasury while the borrow index goes from `before` to `after`."""
        if self.directed:
            amount = percent_mul(ray_mul_floor(scaled_debt, after - before), factor_bps)
            return ray_div_floor(amount, index)
        amount = percent_mul(ray_mul(scaled_debt, after) - ray_mul(scaled_debt, before), factor_bps)
        return ray_div(amount, index)

    def health(self, collateral: int, weighted: int, debt: int) -> int:
        """Health factor in wad.

        Args:
            collateral: value of all collateral.
            weighted: sum of value times liquidation threshold (basis points).
            debt: value of all debt, above zero.
        """
        if self.directed:
            return wad_div(weighted, debt) // PERCENT
        return wad_div(percent_mul(collateral, weighted // collateral if collateral else 0), debt)

    def needed_collateral(self, debt: int, ltv_bps: int) -> int:
        """Value of collateral that a debt needs."""
        return percent_div_ceil(debt, ltv_bps) if self.directed else percent_div(debt, ltv_bps)

    def seized(self, base: int, bonus_bps: int) -> int:
        """Collateral worth the repaid debt plus the bonus."""
        return percent_mul_floor(base, bonus_bps) if self.directed_liquidation else percent_mul(base, bonus_bps)

    def debt_for(self, collateral: int, bonus_bps: int) -> int:
        """Debt that all the collateral pays for, the bonus taken off."""
        return percent_div_ceil(collateral, bonus_bps) if self.directed else percent_div(collateral, bonus_bps)

    def protocol_fee(self, collateral: int, bonus_bps: int, fee_bps: int) -> int:
        """The protocol's part of the bonus within the seized collateral."""
        if self.directed_liquidation:
            return percent_mul_ceil(collateral - percent_div_floor(collateral, bonus_bps), fee_bps)
        return percent_mul(collateral - percent_div(collateral, bonus_bps), fee_bps)


V3_0 = Version("3.0", "bytecode of @aave/core-v3 1.19.3")
V3_4 = Version("3.4", "published source", exponent=True, later=True)
V3_5 = Version("3.5", "bytecode of @aave-dao/aave-v3-origin 3.6.0", exponent=True, later=True, directed=True)
V3_7 = Version("3.7", "published text", exponent=True, later=True, directed=True, directed_liquidation=True)
VERSIONS = {version.name: version for version in (V3_0, V3_4, V3_5, V3_7)}


def version_of(name: str) -> Version:
    """The rules of a version by its number; 3.1 to 3.3 and 3.6 are not offered by themselves.

    Raises ConfigError for another name.
    """
    if name not in VERSIONS:
        raise ConfigError(f"there is no Aave version {name!r} here; known: {', '.join(VERSIONS)}")
    return VERSIONS[name]
