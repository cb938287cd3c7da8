"""Range provider: concentrated liquidity in one of two Uniswap v3 pools while its fees beat lending, lends the rest.

Two declarations share everything but how they learn a pool's depth: `RANGE` reads the liquidity in range, `RANGE_TVL` the
value locked. What a range is expected to earn and lose: `treasury_arena.contracts.ranges`. Fees and losses stop while it waits.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import DAYS_PER_YEAR, DUST_USD, EXIT_BAND, changes, power_of_two
from treasury_arena.contracts.ranges import (
    CONCENTRATION,
    SWAPPED,
    fee_apr,
    loss_apr,
    reach,
    recentre_cost,
    turns,
    virtual,
)
from treasury_arena.contracts.strategy import FORCE, HOLD, Choice, Column, Real, Role, Strategy

ROOT_OF_DAY = 4.898979485566356
"""Square root of 24: hourly standard deviation to daily."""
LOW_FEE = 0.0005
HIGH_FEE = 0.003
OPEN_ACTIONS = 6.0
"""Actions that gas is paid for to open and one day close a range, lending included."""
EXIT_ACTIONS = 4.0
"""A range worth less than the gas of so many actions is not worth closing."""


class Genes(NamedTuple):
    """Windows are an index into their hours, the tier is 0 for the pool `low` and 1 for the pool `high`."""

    width_log2: Annotated[float, Real(-6.0, 0.0, -3.0, "log2 of the half width")]
    stretch: Annotated[float, Real(0.0, 4.0, 1.0, "daily standard deviations")]
    tier: Annotated[float, Choice((LOW_FEE, HIGH_FEE), 0, "fee")]
    share: Annotated[float, Real(0.05, 1.0, 0.5, "share of equity")]
    recentre: Annotated[float, Real(0.3, 1.0, 0.9, "share of the half width")]
    patience: Annotated[float, Real(0.0, 72.0, 6.0, "hours")]
    window: Annotated[float, Choice((24, 72, 168, 336), 2, "hours")]
    vol_limit: Annotated[float, Real(0.01, 0.12, 0.06, "daily standard deviation")]
    calm: Annotated[float, Real(0.4, 1.0, 0.8, "share of vol_limit")]
    edge: Annotated[float, Real(-0.5, 0.5, 0.02, "APR above lending")]
    slack: Annotated[float, Real(0.0, 0.5, 0.1, "APR")]
    fee_trust: Annotated[float, Real(0.1, 3.0, 0.8, "times the estimate")]
    horizon_days: Annotated[float, Real(1.0, 90.0, 14.0, "days")]
    band: Annotated[float, Real(0.05, 0.4, 0.15, "share of equity")]
    gas_limit: Annotated[float, Real(0.001, 0.02, 0.005, "share of the drift")]


class Features(NamedTuple):
    """Averages over the window: liquidity in sqrt(coin * USD), volume in USD an hour, hourly volatility, lending APR.

    Prices are the present ones in USD, gas is USD per action.
    """

    low_price: Annotated[float, Column("raw", 1, of="low")]
    low_liquidity: Annotated[float, Column("sma", "window", of="low", field="liquidity")]
    low_volume: Annotated[float, Column("sma", "window", of="low", field="volume")]
    low_volatility: Annotated[float, Column("volatility", "window", of="low")]
    high_price: Annotated[float, Column("raw", 1, of="high")]
    high_liquidity: Annotated[float, Column("sma", "window", of="high", field="liquidity")]
    high_volume: Annotated[float, Column("sma", "window", of="high", field="volume")]
    high_volatility: Annotated[float, Column("volatility", "window", of="high")]
    rate: Annotated[float, Column("sma", "window", of="usd", field="rate")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class TvlFeatures(NamedTuple):
    """`Features` for pools of which only the value locked is known, in USD."""

    low_tvl: Annotated[float, Column("sma", "window", of="low", field="tvl")]
    low_volume: Annotated[float, Column("sma", "window", of="low", field="volume")]
    low_volatility: Annotated[float, Column("volatility", "window", of="low")]
    high_tvl: Annotated[float, Column("sma", "window", of="high", field="tvl")]
    high_volume: Annotated[float, Column("sma", "window", of="high", field="volume")]
    high_volatility: Annotated[float, Column("volatility", "window", of="high")]
    rate: Annotated[float, Column("sma", "window", of="usd", field="rate")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD, and of both ranges: 1 while the price is inside, and its distance from the middle in half widths."""

    equity: float
    usd: float
    low: float
    low_inside: float
    low_offset: float
    high: float
    high_inside: float
    high_offset: float


class Target(NamedTuple):
    """Shares of equity, the ranges' widths (0: leave the range as it is, negative: re-centre it now), and the band."""

    usd: float
    low: float
    low_width: float
    high: float
    high_width: float
    band: float


class State(NamedTuple):
    """1 while a range is wanted, the width it was set to, and for how many hours it has been due for re-centring."""

    active: float = 0.0
    width: float = 0.0
    due: float = 0.0


class Pool(NamedTuple):
    """The pool of the agent's tier: USD of virtual reserves and of volume an hour, fee, hourly volatility; then our range."""

    depth: float
    volume: float
    volatility: float
    fee: float
    held: float
    inside: float
    offset: float


class Plan(NamedTuple):
    """Share of equity for the range, the width to tell it, and the band."""

    share: float
    width: float
    band: float


def income(pool: Pool, width: float, own: float, gas: float, g: Genes) -> float:
    """APR expected of `own` USD in a range: believed fees, less what arbitrage and re-centring take."""
    part = reach(width)
    fees = fee_apr(pool.depth, pool.volume, pool.fee, part, own)
    turn = turns(pool.volatility, width, g.recentre)
    inside = 1.0 / (1.0 + (1.0 + g.patience) * turn)
    return inside * (g.fee_trust * fees - loss_apr(pool.volatility, part, 1.0, turn, pool.fee, gas, own))


def wanted(active: float, daily: float, edge: float, g: Genes) -> float:
    """Enter below `calm` of the volatility limit with the whole edge; stay up to the limit and down to the edge less `slack`."""
    if active > 0.5:
        return 1.0 if daily <= g.vol_limit and edge >= g.edge - g.slack else 0.0
    return 1.0 if daily <= g.vol_limit * g.calm and edge >= g.edge else 0.0


def plan(pool: Pool, rate: float, gas: float, g: Genes, equity: float, lent: float, s: State) -> tuple[Plan, State]:
    """What to do about the range, given positive equity."""
    daily = pool.volatility * ROOT_OF_DAY
    fresh = power_of_two(g.width_log2) + g.stretch * max(daily, 0.0)
    held = 1.0 if pool.held > DUST_USD else 0.0
    width = s.width if held > 0.5 and s.width > 0.0 else fresh
    size = max(g.share * equity, DUST_USD)
    years = g.horizon_days / DAYS_PER_YEAR

    edge = income(pool, width, size, gas, g) - rate
    active = wanted(s.active, daily, edge, g)
    if s.active < 0.5 and edge * size * years <= 2.0 * SWAPPED * pool.fee * size + OPEN_ACTIONS * gas:
        active = 0.0
    if active < 0.5:
        usd_only = max(
            g.band, (changes(0.0, pool.held, equity) + changes(1.0, lent, equity)) * gas / (equity * g.gas_limit)
        )
        leaving = EXIT_BAND if pool.held > EXIT_ACTIONS * gas else HOLD
        return Plan(0.0, 0.0, leaving if held > 0.5 else usd_only), State(0.0, 0.0, 0.0)

    beyond = held > 0.5 and (pool.inside < 0.5 or abs(pool.offset) >= g.recentre)
    due = s.due + 1.0 if beyond else 0.0
    if due > g.patience:
        gain = income(pool, fresh, size, gas, g) * pool.held * years
        if gain > recentre_cost(pool.held, pool.fee, gas):
            return Plan(g.share, -fresh, FORCE), State(1.0, fresh, 0.0)
    if held > 0.5 and pool.inside < 0.5:
        return Plan(g.share, 0.0, HOLD), State(1.0, width, due)
    actions = 2.0 * changes(g.share, pool.held, equity) + changes(1.0 - g.share, lent, equity)
    band = max(g.band, actions * gas / (equity * g.gas_limit))
    return Plan(g.share, 0.0 if held > 0.5 else width, band), State(1.0, width, due)


def choose(low: Pool, high: Pool, rate: float, gas: float, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Plan for the pool of the agent's tier; the other one holds nothing."""
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, 0.0, 0.0, 0.0, HOLD), s
    deep = g.tier > 0.5
    pool = Pool(
        high.depth if deep else low.depth,
        high.volume if deep else low.volume,
        high.volatility if deep else low.volatility,
        high.fee if deep else low.fee,
        high.held if deep else low.held,
        high.inside if deep else low.inside,
        high.offset if deep else low.offset,
    )
    p, state = plan(pool, rate, gas, g, book.equity, book.usd, s)
    usd = 1.0 - p.share
    if deep:
        return Target(usd, 0.0, 0.0, p.share, p.width, p.band), state
    return Target(usd, p.share, p.width, 0.0, 0.0, p.band), state


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Decide with the liquidity in range."""
    low_depth = virtual(f.low_liquidity, f.low_price)
    high_depth = virtual(f.high_liquidity, f.high_price)
    low = Pool(low_depth, f.low_volume, f.low_volatility, LOW_FEE, book.low, book.low_inside, book.low_offset)
    high = Pool(high_depth, f.high_volume, f.high_volatility, HIGH_FEE, book.high, book.high_inside, book.high_offset)
    return choose(low, high, f.rate, f.gas, g, book, s)


def decide_tvl(f: TvlFeatures, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Decide with the value locked, taken to be concentrated tenfold."""
    low_depth = CONCENTRATION * f.low_tvl
    high_depth = CONCENTRATION * f.high_tvl
    low = Pool(low_depth, f.low_volume, f.low_volatility, LOW_FEE, book.low, book.low_inside, book.low_offset)
    high = Pool(high_depth, f.high_volume, f.high_volatility, HIGH_FEE, book.high, book.high_inside, book.high_offset)
    return choose(low, high, f.rate, f.gas, g, book, s)


RANGE = Strategy(
    name="range",
    roles={
        "usd": Role("lending", "usdc_lending"),
        "low": Role("range", "eth_range", {"fee": LOW_FEE}),
        "high": Role("range", "eth_range_high", {"fee": HIGH_FEE}),
    },
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="provides liquidity in a Uniswap v3 range while its fees beat lending, lends the rest",
)
RANGE_TVL = Strategy(
    name="range_tvl",
    roles=RANGE.roles,
    genes=Genes,
    features=TvlFeatures,
    book=Book,
    target=Target,
    state=State,
    decide=decide_tvl,
    summary="the range provider for pools of which only the value locked is known",
)
