"""What happens around a decision, in plain Python: its arguments built, its target checked, clipped and compared.

The reference interpreter and live agents call these; the generated kernels contain the same arithmetic in the same
order, so all of them agree bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.errors import PluginError, nearest

SHARE_LOW = -1e-9
"""A share below this fails the target; a rounding error above it is read as 0."""
SHARES_HIGH = 1.0 + 1e-6
"""Shares that sum to more than this fail the target."""
LIMIT_TOLERANCE = 0.01
"""A held share this far beyond its limit (of equity) is traded back, whatever the band: less is noise of an hour's prices."""
DRIFT_HIGH = 1e300
"""A drift from here on (infinite, NaN) never trades."""
FLOAT_MAX = 1.7976931348623157e308


def build_genes(strategy: Strategy, genome: Sequence[float]) -> Any:
    """The strategy's `Genes` from a genome of shape (genes,)."""
    return strategy.genes(*(float(value) for value in genome))


def build_params(model: PositionModel, spec: MarketSpec) -> Any:
    """The model's `Params` with the market's overrides; raises PluginError for a name the model does not have."""
    defaults = model.params._field_defaults
    for name in spec.params:
        if name not in model.params._fields:
            raise PluginError(
                f"market {spec.name!r}: {model.name} has no parameter {name!r}: {nearest(name, model.params._fields)}"
            )
    for name in model.params._fields:
        if name not in defaults and name not in spec.params:
            raise PluginError(
                f"market {spec.name!r}: parameter {name!r} of {model.name} has no default and is not given"
            )
    values = {name: float(spec.params.get(name, defaults.get(name))) for name in model.params._fields}
    for name, value in values.items():
        if not math.isfinite(value):
            raise PluginError(f"market {spec.name!r}: parameter {name!r} of {model.name} is {value}; it must be finite")
    return model.params(**values)


def build_book(
    strategy: Strategy,
    *,
    equity: float,
    cash: float,
    drawdown: float,
    step: float,
    values: Mapping[str, float],
    views: Mapping[str, float] | None = None,
) -> Any:
    """The strategy's `Book`.

    Args:
        strategy: whose book it is.
        equity, cash: USD.
        drawdown: positive fraction below the highest equity so far.
        step: rows since the agent's first.
        values: worth of the position of each role, USD.
        views: ``<role>_<view>`` -> fact.
    """
    known = {"equity": equity, "cash": cash, "drawdown": drawdown, "step": step, **values, **(views or {})}
    return strategy.book(*(known[name] for name in strategy.book._fields))


def check_target(strategy: Strategy, target: Any) -> str | None:
    """Say why a target fails, in one sentence, or None when it may be traded.

    Shares and controls must be finite, no share below `SHARE_LOW`, their sum at most `SHARES_HIGH`, the band not NaN
    (HOLD is infinite and legal).
    """
    if not isinstance(target, strategy.target):
        return f"decide() of {strategy.name!r} gave {type(target).__name__}, not its Target"
    total = 0.0
    for name, value in zip(target._fields, target, strict=True):
        if not isinstance(value, (int, float)):
            return f"target.{name} is {value!r}, not a number"
        if not math.isfinite(value):
            if name != "band":
                return f"target.{name} is {value}"
            if math.isnan(value):
                return "target.band is NaN"
        elif value < SHARE_LOW and name in strategy.roles:
            return f"target.{name} is {value}, a share must not be negative"
    for role in strategy.roles:
        total += getattr(target, role)
    if total > SHARES_HIGH:
        return f"the target's shares sum to {total}, more than 1"
    return None


def clip_target(
    shares: Sequence[float], limits: Sequence[float], coins: Sequence[bool], coin_limit: float
) -> tuple[float, ...]:
    """Shares cut to what the agent may hold: each to its limit, then the coin roles together to `coin_limit`.

    What is cut goes to the first role that is not a coin's, within its limit (a lender's share is lent, not left as cash);
    without such a role it stays cash. All sequences run over the strategy's roles in their order.
    """
    asked = [0.0 if share < 0.0 else share for share in shares]
    cut = [limit if share > limit else share for share, limit in zip(asked, limits, strict=True)]
    total = 0.0
    for share, coin in zip(cut, coins, strict=True):
        total += share if coin else 0.0
    scale = coin_limit / total if total > coin_limit else 1.0
    cut = [share * scale if coin else share for share, coin in zip(cut, coins, strict=True)]
    spare = _sum(asked) - _sum(cut)
    for index, coin in enumerate(coins):
        if not coin:
            more = cut[index] + spare
            cut[index] = limits[index] if more > limits[index] else more
            break
    return tuple(cut)


def asked_shares(shares: Sequence[float], held: Sequence[float], band: float) -> Sequence[float]:
    """What an agent asks for: its target's shares, or what it holds (shares of equity) when it says HOLD."""
    return held if band > DRIFT_HIGH else shares


def beyond_limits(held: Sequence[float], limits: Sequence[float], coins: Sequence[bool], coin_limit: float) -> float:
    """How far the held shares lie beyond a limit, 0 when none does: the farthest role, or the coin roles together.

    All sequences run over the strategy's roles in their order.
    """
    over = 0.0
    for share, limit in zip(held, limits, strict=True):
        over = share - limit if share - limit > over else over
    together = [share for share, coin in zip(held, coins, strict=True) if coin]
    if together:
        more = _sum(together) - coin_limit
        over = more if more > over else over
    return over


def _sum(values: Sequence[float]) -> float:
    """Left to right, as the kernels add."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def wants_trade(
    shares: Sequence[float], values: Sequence[float], equity: float, band: float, over: float = 0.0
) -> bool:
    """Whether the summed drift between clipped shares and position values exceeds the band, or what is held its limits.

    Args:
        shares, values: per role; shares of equity and USD.
        equity: USD; an agent without positive equity never trades.
        band: share of equity, HOLD or FORCE.
        over: how far what is held lies beyond its limits (`beyond_limits`); past `LIMIT_TOLERANCE` no band holds it.
    """
    drift = 0.0
    for share, value in zip(shares, values, strict=True):
        drift += abs(share * equity - value)
    return (drift > band * equity or over > LIMIT_TOLERANCE) and drift < DRIFT_HIGH and equity > 0.0
