"""Small functions and constants that decisions of several strategies share.

Import them by name: they are compiled into a strategy's kernel with the function that calls them, and are called as they stand
for an agent with money. None of them knows a protocol; what a range of liquidity is expected to earn is in `ranges`.
"""

from __future__ import annotations

from treasury_arena.contracts.strategy import HOLD

HOURS_PER_YEAR = 8760.0
DAYS_PER_YEAR = 365.0
DUST_USD = 1.0
"""What markets do not move by default: a smaller difference to a target causes no trade."""
STAKE = 0.01
"""A share of equity from which a place counts as held; smaller differences to a target are not topped up."""
CAP_SLACK = 0.02
"""How far a place may grow past its largest share before that alone causes a trade, share of equity."""
MOVE_BAND = 0.005
"""The summed drift, as a share of equity, below which a wanted move is already made."""
EXIT_BAND = 0.02
"""The band, whatever the gas, while something is held that is not wanted any more."""
LOG_TWO_EIGHTH = 0.08664339756999316
"""log(2) / 8."""


def changes(share: float, value: float, equity: float) -> float:
    """1 when a role worth `value` USD is far enough from its target `share` of equity to be traded, and so to cost gas."""
    return 1.0 if abs(share * equity - value) > DUST_USD else 0.0


def counted(change: float, equity: float) -> float:
    """1 when a role whose share of equity changes by `change` is traded, and so costs gas."""
    return 1.0 if abs(change) * equity > DUST_USD else 0.0


def dearer(band: float, gas: float, equity: float, limit: float) -> float:
    """The band, or the drift of which `gas` USD is the share `limit` if that is more; HOLD without equity to speak of."""
    return max(band, gas / (equity * limit)) if equity > DUST_USD else HOLD


def follow(smoothed: float, x: float, hours: float) -> float:
    """An exponential average of `x` over so many `hours`, one row on; the first `x` where there is none yet."""
    return smoothed + (x - smoothed) / hours if smoothed > 0.0 else x


def unless_topped_up(share: float, held: float) -> float:
    """The share to aim at, or what is held where only a top-up below STAKE is lacking."""
    lacking = share - held
    return held if lacking >= 0.0 and lacking < STAKE else share


def power_of_two(x: float) -> float:
    """2^x for x from -8 to 8, relative error below 3e-4: the series of e^(x log(2) / 8), to the eighth power."""
    y = x * LOG_TWO_EIGHTH
    root = 1.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0 + y / 720.0)))))
    square = root * root
    fourth = square * square
    return fourth * fourth
