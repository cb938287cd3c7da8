"""Assets and exact amounts. Money is an integer number of base units (`_raw`); decimals are pinned here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation, localcontext

import attrs

from treasury_arena.errors import ValidationError, nearest

DECIMALS_MAX = 36
_UNITS: tuple[int, ...] = tuple(10**decimals for decimals in range(DECIMALS_MAX + 1))


@attrs.frozen
class Asset:
    """A token: its symbol, the decimals of its base unit, and whether it is a stablecoin of the base currency."""

    symbol: str
    decimals: int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.le(DECIMALS_MAX)])
    stable: bool = False

    @property
    def unit(self) -> int:
        """Base units in one token."""
        return _UNITS[self.decimals]

    def to_raw(self, amount: str | int | Decimal) -> int:
        """Exact token amount to base units; raises ValidationError when it has more decimals than the asset."""
        try:
            with localcontext(prec=200):
                scaled = Decimal(amount).scaleb(self.decimals)
        except InvalidOperation as error:
            raise ValidationError(f"{amount!r} is not an amount of {self.symbol}") from error
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise ValidationError(f"{amount} {self.symbol} has more than {self.decimals} decimals")
        return int(scaled)

    def to_text(self, raw: int) -> str:
        """Base units as exact decimal text, for example ``1000.500000``."""
        sign, digits = ("-" if raw < 0 else ""), str(abs(raw)).rjust(self.decimals + 1, "0")
        if not self.decimals:
            return sign + digits
        return f"{sign}{digits[: -self.decimals]}.{digits[-self.decimals :]}"

    def to_float(self, raw: int) -> float:
        """Base units as a float, for statistics and display only."""
        return raw / self.unit


class AssetTable(Mapping[str, Asset]):
    """The pinned registry of assets, by symbol; an unknown symbol is refused with the nearest known one."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        self._assets = {asset.symbol: asset for asset in assets}

    def __getitem__(self, symbol: str) -> Asset:
        if symbol not in self._assets:
            raise ValidationError(f"unknown asset {symbol!r}: {nearest(symbol, self._assets)}")
        return self._assets[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._assets)

    def __len__(self) -> int:
        return len(self._assets)


#: Decimals as deployed on Ethereum mainnet.
KNOWN_ASSETS = (
    Asset("USDC", 6, stable=True),
    Asset("USDT", 6, stable=True),
    Asset("DAI", 18, stable=True),
    Asset("USDe", 18, stable=True),
    Asset("WETH", 18),
    Asset("WBTC", 8),
    Asset("SOL", 9),
)
