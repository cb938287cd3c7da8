"""The position model of liquidity in a range of a v3 pool, and the decisions about it that the exact market shares.

Human units as in `treasury_arena_uniswap.model`; range bounds are square roots of prices. Impermanent loss needs no formula
of its own: it is what the value of the two token amounts does as the price moves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel
from treasury_arena_uniswap.model import step_of_base, step_of_coin, too_far, virtual_liquidity

LOG_TICK = 9.999500033330833e-05  # log(1.0001)
LOG_TEN = 2.302585092994046
MAX_TICK = 887272.0


class RangeState(NamedTuple):
    """Liquidity in a range.

    ``liquidity`` L in sqrt(coin * USD); ``lower``, ``upper`` square roots of the bounding prices; ``centre``, ``half`` the
    middle and half the length of their logarithms' interval; ``width`` what the range was asked for; ``fees_coin`` tokens and
    ``fees_base`` USD earned and not yet invested.
    """

    liquidity: float = 0.0
    lower: float = 1.0
    upper: float = 2.0
    centre: float = 0.0
    half: float = 1.0
    width: float = 0.0
    fees_coin: float = 0.0
    fees_base: float = 0.0


class RangeMarket(NamedTuple):
    """``price`` USD per coin, ``liquidity`` the others' L at that price, ``volume`` USD traded in the step that ends at the
    row, ``gas`` USD per action."""

    price: float
    liquidity: float
    volume: float
    gas: float


class RangeTvlMarket(NamedTuple):
    """`RangeMarket` for data without liquidity: ``tvl`` USD locked in the pool."""

    price: float
    tvl: float
    volume: float
    gas: float


class RangeParams(NamedTuple):
    """``fee`` fraction of what comes in, ``spacing`` of ticks, ``decimals_apart`` the coin's decimals less the base asset's,
    ``fee_protocol`` the protocol takes one part in so many (0: nothing), ``actions`` how many times gas is paid to open,
    resize or close (once more to re-centre), ``dust`` USD, ``max_move`` and ``coin_is_token0`` as in `SpotParams`."""

    fee: float = 0.0005
    spacing: float = 10.0
    decimals_apart: float = 12.0
    fee_protocol: float = 0.0
    actions: float = 2.0
    dust: float = 1.0
    max_move: float = 0.02
    coin_is_token0: float = 1.0


class RangeTvlParams(NamedTuple):
    """`RangeParams` and the ``concentration`` of `SpotTvlParams`."""

    fee: float = 0.0005
    spacing: float = 10.0
    decimals_apart: float = 12.0
    fee_protocol: float = 0.0
    actions: float = 2.0
    dust: float = 1.0
    max_move: float = 0.02
    coin_is_token0: float = 1.0
    concentration: float = 12.0


class RangeControl(NamedTuple):
    """``width``: the range reaches from ``price / (1 + width)`` to ``price (1 + width)``.

    Positive: a range of that width; one that is held is kept while the price is inside and the width is what it was, else
    re-centred. Negative: re-centre now, with the width ``-width``. 0: leave the range as it is, wherever the price.
    """

    width: float


class Bounds(NamedTuple):
    """A range's ends in ticks of ``USD / coin`` base units (multiples of the spacing)."""

    low: float
    high: float


def snapped(price: float, width: float, spacing: float, decimals_apart: float) -> Bounds:
    """The range of `width` around `price`: each end at the nearest usable tick, the price between them."""
    here = (math.log(price) - decimals_apart * LOG_TEN) / (LOG_TICK * spacing)
    reach = math.log(1.0 + width) / (LOG_TICK * spacing)
    low, high = float(math.floor(here - reach + 0.5)), float(math.floor(here + reach + 0.5))
    floor, most = float(math.floor(here)), float(math.floor(MAX_TICK / spacing))
    low = floor if low > floor else low
    high = floor + 1.0 if high < floor + 1.0 else high
    low = -most if low < -most else low
    high = most if high > most else high
    return Bounds(low * spacing, high * spacing)


def root_at(tick: float, decimals_apart: float) -> float:
    """Square root of the price (USD per coin) at a tick."""
    return math.exp(0.5 * (tick * LOG_TICK + decimals_apart * LOG_TEN))


def coin_each(root: float, lower: float, upper: float) -> float:
    """Coins that one unit of liquidity amounts to."""
    at = lower if root < lower else (upper if root > upper else root)
    return (upper - at) / (at * upper)


def base_each(root: float, lower: float, upper: float) -> float:
    """USD that one unit of liquidity amounts to, beside the coins."""
    at = lower if root < lower else (upper if root > upper else root)
    return at - lower


def positive_root(a: float, b: float, c: float) -> float:
    """The root of ``a x x + b x = c`` that is not negative (a, c not negative), without cancellation."""
    below = b + math.sqrt(b * b + 4.0 * a * c)
    return 2.0 * c / below if below > 0.0 else 0.0


def base_to_swap(
    coin: float, base: float, each: float, beside: float, root: float, liquidity: float, keep: float
) -> float:
    """USD to swap so that the tokens then stand in the ratio ``each : beside`` of a range; negative: coins to swap.

    `coin` and `base` are what there is, `keep` is one less the fee. Solves ``(base - z) each = (coin + got(z)) beside``.
    """
    price = root * root
    surplus = base * each - coin * beside
    if surplus >= 0.0:
        bend = root * keep / liquidity
        linear = each * price + keep * beside - bend * surplus
        return positive_root(each * bend, linear, surplus * price)
    bend = root * keep / liquidity
    return -positive_root(beside * bend, beside + keep * price * each + bend * surplus, -surplus)


def worth_of(s: RangeState, price: float) -> float:
    """USD worth of liquidity and fees."""
    root = math.sqrt(price) if price > 0.0 else 0.0
    at = s.lower if root < s.lower else (s.upper if root > s.upper else root)
    coin = (s.upper - at) / (at * s.upper)
    return s.liquidity * (coin * price + (at - s.lower)) + fees_worth(s, price)


def fees_worth(s: RangeState, price: float) -> float:
    """USD worth of the fees alone."""
    return s.fees_coin * price + s.fees_base


def is_inside(s: RangeState, price: float) -> float:
    """1.0 while the price is within the range."""
    root = math.sqrt(price) if price > 0.0 else 0.0
    return 1.0 if s.liquidity > 0.0 and root >= s.lower and root < s.upper else 0.0


def offset_of(s: RangeState, price: float) -> float:
    """How far the price is from the middle of the range: -1 at the lower end, 1 at the upper, in logarithms."""
    log_root = 0.5 * math.log(price) if price > 0.0 else 0.0
    return (log_root - s.centre) / s.half if s.liquidity > 0.0 else 0.0


def earned(s: RangeState, m: RangeMarket, p: RangeParams) -> RangeState:
    """Fees of the step that ends at this row: its volume's, by the share of the liquidity in range, half in each token.

    Nothing where the pool has no other liquidity: then the volume that the data tell of was not traded in it.
    """
    total = m.liquidity + s.liquidity
    share = s.liquidity / total if m.liquidity > 0.0 and total > 0.0 else 0.0
    kept = 1.0 - 1.0 / p.fee_protocol if p.fee_protocol > 0.0 else 1.0
    half = 0.5 * m.volume * p.fee * kept * share * is_inside(s, m.price)
    coin = half / m.price if m.price > 0.0 else 0.0
    return RangeState(s.liquidity, s.lower, s.upper, s.centre, s.half, s.width, s.fees_coin + coin, s.fees_base + half)


def sold(s: RangeState, share: float, m: RangeMarket, p: RangeParams) -> tuple[RangeState, float]:
    """Take `share` of everything out and change it into cash; cash 0 when that is not possible."""
    root = math.sqrt(m.price)
    coin = share * (s.liquidity * coin_each(root, s.lower, s.upper) + s.fees_coin)
    base = share * (s.liquidity * base_each(root, s.lower, s.upper) + s.fees_base)
    net = coin * (1.0 - p.fee)
    step = step_of_coin(net, root, m.liquidity)
    cash = base + net * m.price / (1.0 + step) - m.gas * p.actions
    if cash <= 0.0 or too_far(step, p.max_move):
        return s, 0.0
    left = 1.0 - share
    if left <= 0.0:
        return RangeState(0.0, 1.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0), cash
    after = RangeState(
        s.liquidity * left, s.lower, s.upper, s.centre, s.half, s.width, s.fees_coin * left, s.fees_base * left
    )
    return after, cash


def invested(
    s: RangeState, more: float, anew: bool, bounds: Bounds, width: float, m: RangeMarket, p: RangeParams
) -> RangeState:
    """Put `more` USD and the fees into the range, or, `anew`, all there is into the one of `bounds`; `s` where impossible."""
    root = math.sqrt(m.price)
    kept, coin, base = s.liquidity, s.fees_coin, s.fees_base + more
    lower, upper, centre, half, wide = s.lower, s.upper, s.centre, s.half, s.width
    if anew:
        coin = coin + s.liquidity * coin_each(root, s.lower, s.upper)
        base = base + s.liquidity * base_each(root, s.lower, s.upper)
        kept, wide = 0.0, width
        lower, upper = root_at(bounds.low, p.decimals_apart), root_at(bounds.high, p.decimals_apart)
        centre = 0.25 * (bounds.low + bounds.high) * LOG_TICK + 0.5 * p.decimals_apart * LOG_TEN
        half = 0.25 * (bounds.high - bounds.low) * LOG_TICK
    each, beside = coin_each(root, lower, upper), base_each(root, lower, upper)
    swap = base_to_swap(coin, base, each, beside, root, m.liquidity, 1.0 - p.fee)
    net = abs(swap) * (1.0 - p.fee)
    if swap >= 0.0:
        step = step_of_base(net, root, m.liquidity)
        coin, base = coin + net / (m.price * (1.0 + step)), base - swap
    else:
        step = step_of_coin(net, root, m.liquidity)
        coin, base = coin + swap, base + net * m.price / (1.0 + step)
    new = (coin * m.price + base) / (each * m.price + beside)
    if too_far(step, p.max_move) or new <= 0.0:
        return s
    return RangeState(kept + new, lower, upper, centre, half, wide, 0.0, 0.0)


def range_value(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    """USD of what could be taken out, fees included."""
    return worth_of(s, m.price)


def range_accrue(s: RangeState, m: RangeMarket, p: RangeParams) -> RangeState:
    """The fees of the step that ends at this row, as `earned`."""
    return earned(s, m, p)


def range_trade(
    s: RangeState, target: float, m: RangeMarket, p: RangeParams, c: RangeControl
) -> tuple[RangeState, float]:
    """A sale takes a share of everything out; a purchase adds to the range; re-centring comes after a sale, with a purchase.

    A sale stands alone where what is left cannot be re-centred (its swap moves the price too far, or is not worth the gas), so
    that who has to sell can; a purchase stands or falls with the re-centring.
    """
    if not m.price > 0.0 or not m.liquidity > 0.0:
        return s, 0.0
    width, holds = abs(c.width), s.liquidity > 0.0
    keeps = holds and c.width > 0.0 and width == s.width and is_inside(s, m.price) > 0.0
    anew = width > 0.0 and not keeps
    bounds = snapped(m.price, width, p.spacing, p.decimals_apart) if anew else Bounds(0.0, 0.0)
    if holds and anew:
        middle = 0.25 * (bounds.low + bounds.high) * LOG_TICK + 0.5 * p.decimals_apart * LOG_TEN
        length = 0.25 * (bounds.high - bounds.low) * LOG_TICK
        anew = middle != s.centre or length != s.half or width != s.width
    if not holds and not anew:
        return s, 0.0
    worth = worth_of(s, m.price)
    move = target - worth
    cash = 0.0
    if abs(move) < p.dust and not (holds and anew):
        return s, 0.0
    if move < 0.0:
        if -move >= p.dust:
            s, cash = sold(s, -move / worth, m, p)
            if cash == 0.0:
                return s, cash
        if not anew or s.liquidity <= 0.0:
            return s, cash
        move = 0.0
    gas = m.gas * (p.actions + (1.0 if holds else 0.0) if anew else p.actions)
    if (worth_of(s, m.price) if holds and anew else 0.0) + move - gas <= (p.dust if holds and anew else 0.0):
        return s, cash
    after = invested(s, move - gas, anew, bounds, width, m, p)
    if after.liquidity == s.liquidity and after.fees_base == s.fees_base:
        return s, cash
    return after, cash - move


def range_inside(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    """1.0 while the price is in the range, else 0.0."""
    return is_inside(s, m.price)


def range_offset(s: RangeState, m: RangeMarket, p: RangeParams) -> float:
    """How far the price is from the range's middle, in halves of its width (logarithms), as `offset_of`."""
    return offset_of(s, m.price)


def plain_market(m: RangeTvlMarket, p: RangeTvlParams) -> RangeMarket:
    """The market with the liquidity that the value locked stands for."""
    return RangeMarket(m.price, virtual_liquidity(m.price, m.tvl, p.concentration), m.volume, m.gas)


def plain_params(p: RangeTvlParams) -> RangeParams:
    """The parameters without the concentration."""
    return RangeParams(
        p.fee, p.spacing, p.decimals_apart, p.fee_protocol, p.actions, p.dust, p.max_move, p.coin_is_token0
    )


def range_tvl_value(s: RangeState, m: RangeTvlMarket, p: RangeTvlParams) -> float:
    """USD of what could be taken out, fees included."""
    return worth_of(s, m.price)


def range_tvl_accrue(s: RangeState, m: RangeTvlMarket, p: RangeTvlParams) -> RangeState:
    """As `range_accrue`, with the liquidity that the value locked stands for."""
    market, params = plain_market(m, p), plain_params(p)
    return earned(s, market, params)


def range_tvl_trade(
    s: RangeState, target: float, m: RangeTvlMarket, p: RangeTvlParams, c: RangeControl
) -> tuple[RangeState, float]:
    """As `range_trade`, with the liquidity that the value locked stands for."""
    market, params = plain_market(m, p), plain_params(p)
    return range_trade(s, target, market, params, c)


def range_tvl_inside(s: RangeState, m: RangeTvlMarket, p: RangeTvlParams) -> float:
    """1.0 while the price is in the range, else 0.0."""
    return is_inside(s, m.price)


def range_tvl_offset(s: RangeState, m: RangeTvlMarket, p: RangeTvlParams) -> float:
    """As `range_offset`."""
    return offset_of(s, m.price)


RANGE = PositionModel(
    "uniswap.range",
    "range",
    RangeState,
    RangeMarket,
    RangeParams,
    range_value,
    range_trade,
    range_accrue,
    RangeControl,
    {"inside": range_inside, "offset": range_offset},
)
RANGE_TVL = PositionModel(
    "uniswap.range_tvl",
    "range",
    RangeState,
    RangeTvlMarket,
    RangeTvlParams,
    range_tvl_value,
    range_tvl_trade,
    range_tvl_accrue,
    RangeControl,
    {"inside": range_tvl_inside, "offset": range_tvl_offset},
)
