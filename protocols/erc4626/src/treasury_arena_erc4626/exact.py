"""A vault in integers, as OpenZeppelin's ERC4626 4.9 computes it: virtual shares, floor for what leaves, ceiling for what comes.

Sources: EIP-4626 (rounding), OpenZeppelin Contracts 4.9 ``ERC4626.sol`` (conversion formulas and refusals). Amounts are base
units of the asset and of the share.
"""

from __future__ import annotations

import attrs

from treasury_arena.errors import ValidationError

WORD = 2**256


class VaultRefusalError(ValidationError):
    """What the contract would revert with; `reason` is its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the vault refuses: {reason}")
        self.reason = reason


def mul_div(x: int, y: int, below: int, *, up: bool) -> int:
    """x * y / below, rounded down or up; refuses a result beyond 256 bits as the contract does."""
    product = x * y
    result = -(-product // below) if up else product // below
    if product // below >= WORD:
        raise VaultRefusalError("Math: mulDiv overflow")
    return result


@attrs.define
class Vault:
    """One vault and its holders.

    Attributes:
        assets: assets in the vault.
        supply: shares in existence.
        offset: decimals by which virtual shares exceed one (OpenZeppelin's ``_decimalsOffset``).
        shares: holder -> shares; holders that are not tracked are part of `supply` alone.
    """

    assets: int = 0
    supply: int = 0
    offset: int = 0
    shares: dict[str, int] = attrs.field(factory=dict)

    def to_shares(self, assets: int, *, up: bool = False) -> int:
        """Shares that `assets` are worth."""
        return mul_div(assets, self.supply + 10**self.offset, self.assets + 1, up=up)

    def to_assets(self, shares: int, *, up: bool = False) -> int:
        """Assets that `shares` are worth."""
        return mul_div(shares, self.assets + 1, self.supply + 10**self.offset, up=up)

    def max_withdraw(self, holder: str) -> int:
        """Assets a holder may take out."""
        return self.to_assets(self.shares.get(holder, 0))

    def deposit(self, holder: str, assets: int) -> int:
        """Pay in `assets`; returns the shares received, rounded down."""
        _whole(assets)
        return self._pay_in(holder, assets, self.to_shares(assets))

    def mint(self, holder: str, shares: int) -> int:
        """Receive `shares`; returns the assets paid, rounded up."""
        _whole(shares)
        assets = self.to_assets(shares, up=True)
        self._pay_in(holder, assets, shares)
        return assets

    def withdraw(self, holder: str, assets: int) -> int:
        """Take out `assets`; returns the shares burnt, rounded up. Refuses more than the holder's shares are worth."""
        _whole(assets)
        if assets > self.max_withdraw(holder):
            raise VaultRefusalError("ERC4626: withdraw more than max")
        shares = self.to_shares(assets, up=True)
        self._pay_out(holder, assets, shares)
        return shares

    def redeem(self, holder: str, shares: int) -> int:
        """Burn `shares`; returns the assets taken out, rounded down. Refuses more shares than the holder has."""
        _whole(shares)
        if shares > self.shares.get(holder, 0):
            raise VaultRefusalError("ERC4626: redeem more than max")
        assets = self.to_assets(shares)
        self._pay_out(holder, assets, shares)
        return assets

    def earn(self, assets: int) -> None:
        """Assets arrive (or, negative, are lost) without shares: yield, or a donation."""
        if self.assets + assets < 0:
            raise ValidationError(f"the vault holds {self.assets} base units and cannot lose {-assets}")
        self.assets += assets

    def _pay_in(self, holder: str, assets: int, shares: int) -> int:
        self.assets += assets
        self.supply += shares
        self.shares[holder] = self.shares.get(holder, 0) + shares
        return shares

    def _pay_out(self, holder: str, assets: int, shares: int) -> None:
        self.shares[holder] -= shares
        self.supply -= shares
        self.assets -= assets


def _whole(amount: int) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount < WORD:
        raise ValidationError(f"a vault takes whole amounts from 0 to 2^256 - 1, not {amount!r}")
