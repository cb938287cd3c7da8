"""What a range of liquidity is expected to earn and to lose, for the decisions of several strategies; used as `arithmetic` is.

Per year and dollar in a range of half width w, with r = 1 - 1 / sqrt(1 + w) the part of the virtual reserves that the range has
to hold:

- fees: volume x fee / (depth x r + own capital), where depth is the pool's virtual reserves 2 L sqrt(P) in USD (a dollar in
  the range is 1 / r dollars of virtual reserves; Uniswap v3 white paper, section 2);
- loss to arbitrage: variance / (8 r) (Milionis, Moallemi, Roughgarden, Zhang 2022, "Automated Market Making and
  Loss-Versus-Rebalancing": variance / 8 for a pool without bounds, times the leverage 1 / r);
- re-centring: a random walk is a distance d from where it began after d^2 / variance on average, d the logarithm of the price
  at which the range is re-centred (log(1 + w) taken as w / (1 + w / 2), half a percent too low at w = 0.25).

How far these are believed, and for how long fees and losses stop while a range waits, is each strategy's own.
"""

from __future__ import annotations

import math

from treasury_arena.contracts.arithmetic import HOURS_PER_YEAR

SWAPPED = 0.5
"""Share of a range that is swapped to open, re-centre or close it."""
CONCENTRATION = 10.0
"""Virtual reserves over value locked, where only the latter is known. A belief, as the market's own `concentration` (12 unless
configured) is an assumption about the data: a strategy cannot see it, its trust in fees makes up for the difference."""
RECENTRE_ACTIONS = 3.0
"""Actions that gas is paid for to re-centre."""


def reach(width: float) -> float:
    """The part of the virtual reserves that a range from price / (1 + width) to price (1 + width) has to hold."""
    return 1.0 - 1.0 / math.sqrt(1.0 + width) if width > 0.0 else 1.0


def virtual(liquidity: float, price: float) -> float:
    """USD of virtual reserves on both sides."""
    return 2.0 * liquidity * math.sqrt(price) if price > 0.0 else 0.0


def fee_apr(depth: float, volume: float, fee: float, part: float, own: float) -> float:
    """APR of `own` USD in fees while the price is inside, the range holding `part` of the virtual reserves."""
    below = depth * part + own
    return HOURS_PER_YEAR * volume * fee / below if below > 0.0 else 0.0


def turns(volatility: float, width: float, recentre: float) -> float:
    """Re-centrings an hour of a range that is re-centred at a share `recentre` of its half width."""
    away = recentre * width / (1.0 + 0.5 * width)
    return volatility * volatility / (away * away)


def loss_apr(volatility: float, part: float, caution: float, turn: float, fee: float, gas: float, own: float) -> float:
    """APR that arbitrage takes, `caution` times, and so many re-centrings an hour: their swaps' fee, and gas for `own` USD."""
    variance = volatility * volatility
    turn_cost = SWAPPED * fee + RECENTRE_ACTIONS * gas / own
    return HOURS_PER_YEAR * (caution * variance / (8.0 * part) + turn * turn_cost)


def recentre_cost(held: float, fee: float, gas: float) -> float:
    """USD that re-centring a range worth `held` takes."""
    return SWAPPED * fee * held + RECENTRE_ACTIONS * gas
