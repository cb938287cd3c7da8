"""Harvester: stablecoins to the best expected net yield of Aave (three markets), a vault and a Uniswap v3 range.

Each protocol has a largest share; the best takes as much as it may, the next best what is left, and what nobody takes stays
cash. A place that holds something already counts `minimum_advantage` more than it yields, so that another one must beat it by
that; a move is made when it gains as much on the money that moves, and over the horizon more than it costs.

What a range is expected to earn and lose: `treasury_arena.contracts.ranges`, the loss to arbitrage times `caution`. Fees and
losses stop for the hour that re-centring takes.

Two declarations share everything but how they learn the pool's depth: `HARVESTER` reads the liquidity in range,
`HARVESTER_TVL` the value locked.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import (
    CAP_SLACK,
    DAYS_PER_YEAR,
    DUST_USD,
    MOVE_BAND,
    STAKE,
    counted,
    power_of_two,
    unless_topped_up,
)
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

POOL_FEE = 0.0005
"""The pool's fee; a market with another one is refused."""
POOL_ACTIONS = 2.0


class Genes(NamedTuple):
    """Yields are APR as fractions a year, the smoothing is an index into its hours."""

    smoothing: Annotated[float, Choice((24, 72, 168, 336), 1, "hours")]
    minimum_advantage: Annotated[float, Real(0.0, 0.05, 0.01, "APR")]
    horizon_days: Annotated[float, Real(1.0, 60.0, 14.0, "days")]
    aave_max: Annotated[float, Real(0.2, 1.0, 0.6, "share of equity")]
    vault_max: Annotated[float, Real(0.0, 1.0, 0.5, "share of equity")]
    pool_max: Annotated[float, Real(0.0, 1.0, 0.3, "share of equity")]
    width_log2: Annotated[float, Real(-8.0, 0.0, -4.0, "log2 of the half width")]
    recentre: Annotated[float, Real(0.3, 1.0, 1.0, "share of the half width")]
    fee_trust: Annotated[float, Real(0.05, 3.0, 0.8, "times the estimate")]
    caution: Annotated[float, Real(0.5, 4.0, 1.0, "times the loss to arbitrage")]
    swap_cost: Annotated[float, Real(0.0, 0.003, 0.0005, "share of the amount swapped")]


class Features(NamedTuple):
    """Averaged APRs, liquidity in sqrt(coin * USD), volume in USD an hour, hourly volatility; price, gas in USD."""

    usdc: Annotated[float, Column("sma", "smoothing", of="usdc", field="rate")]
    usdt: Annotated[float, Column("sma", "smoothing", of="usdt", field="rate")]
    dai: Annotated[float, Column("sma", "smoothing", of="dai", field="rate")]
    vault: Annotated[float, Column("sma", "smoothing", of="vault", field="rate")]
    price: Annotated[float, Column("raw", 1, of="pool")]
    liquidity: Annotated[float, Column("sma", "smoothing", of="pool", field="liquidity")]
    volume: Annotated[float, Column("sma", "smoothing", of="pool", field="volume")]
    volatility: Annotated[float, Column("volatility", "smoothing", of="pool")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class TvlFeatures(NamedTuple):
    """`Features` for a pool of which only the value locked is known, in USD."""

    usdc: Annotated[float, Column("sma", "smoothing", of="usdc", field="rate")]
    usdt: Annotated[float, Column("sma", "smoothing", of="usdt", field="rate")]
    dai: Annotated[float, Column("sma", "smoothing", of="dai", field="rate")]
    vault: Annotated[float, Column("sma", "smoothing", of="vault", field="rate")]
    tvl: Annotated[float, Column("sma", "smoothing", of="pool", field="tvl")]
    volume: Annotated[float, Column("sma", "smoothing", of="pool", field="volume")]
    volatility: Annotated[float, Column("volatility", "smoothing", of="pool")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD, and of the range: 1 while the price is inside, and its distance from the middle in half widths."""

    equity: float
    usdc: float
    usdt: float
    dai: float
    vault: float
    pool: float
    pool_inside: float
    pool_offset: float


class Target(NamedTuple):
    """Shares of equity, the range's width (0: leave it as it is, negative: re-centre it now), and the band."""

    usdc: float
    usdt: float
    dai: float
    vault: float
    pool: float
    pool_width: float
    band: float


class State(NamedTuple):
    """Nothing is remembered: holdings and averages say it all."""


class Rates(NamedTuple):
    """Averaged lending APRs, and USD of gas per action."""

    usdc: float
    usdt: float
    dai: float
    vault: float
    gas: float


class Held(NamedTuple):
    """Shares of equity held."""

    usdc: float
    usdt: float
    dai: float
    vault: float
    pool: float


def pool_yield(depth: float, volume: float, volatility: float, gas: float, g: Genes, equity: float) -> float:
    """APR expected of `pool_max` of equity in a range: believed fees, less what arbitrage and re-centring take."""
    own = max(g.pool_max * equity, DUST_USD)
    width = power_of_two(g.width_log2)
    part = reach(width)
    fees = fee_apr(depth, volume, POOL_FEE, part, own)
    turn = turns(volatility, width, g.recentre)
    losses = loss_apr(volatility, part, g.caution, turn, POOL_FEE, gas, own)
    return (g.fee_trust * fees - losses) / (1.0 + turn)


def seen(rate: float, held: float, g: Genes) -> float:
    """What a place counts for in the ranking."""
    return rate + g.minimum_advantage if held > STAKE else rate


def before(other: float, this: float, first: float, g: Genes, share: float) -> float:
    """The share that another protocol takes before this one; ties go to the one with `first` = 1."""
    comes = other > this or (other >= this and first > 0.5)
    return share if comes and other >= g.minimum_advantage else 0.0


def place(worth: float, taken: float, most: float, held: float, g: Genes) -> float:
    """Share of a protocol after others took theirs; a top-up below STAKE is left out."""
    share = min(most, max(1.0 - taken, 0.0)) if worth >= g.minimum_advantage else 0.0
    return unless_topped_up(share, held)


def choose(r: Rates, earns: float, g: Genes, book: Book) -> Target:
    """Rank the protocols, re-centre a range that has run out, and move when that pays, given positive equity."""
    h = Held(
        max(book.usdc / book.equity, 0.0),
        max(book.usdt / book.equity, 0.0),
        max(book.dai / book.equity, 0.0),
        max(book.vault / book.equity, 0.0),
        max(book.pool / book.equity, 0.0),
    )
    years = g.horizon_days / DAYS_PER_YEAR
    width = power_of_two(g.width_log2)
    holds = book.pool > DUST_USD
    beyond = holds and (book.pool_inside < 0.5 or abs(book.pool_offset) >= g.recentre)
    repays = earns * book.pool * years > recentre_cost(book.pool, POOL_FEE, r.gas)
    idle = holds and book.pool_inside < 0.5 and not repays
    pool_apr = 0.0 if idle else earns

    usdc_worth, usdt_worth, dai_worth = seen(r.usdc, h.usdc, g), seen(r.usdt, h.usdt, g), seen(r.dai, h.dai, g)
    aave_worth = max(usdc_worth, usdt_worth, dai_worth)
    vault_worth, pool_worth = seen(r.vault, h.vault, g), seen(pool_apr, h.pool, g)
    vault_first = before(vault_worth, aave_worth, 0.0, g, g.vault_max) + before(
        pool_worth, aave_worth, 0.0, g, g.pool_max
    )
    aave_first = before(aave_worth, vault_worth, 1.0, g, g.aave_max) + before(
        pool_worth, vault_worth, 0.0, g, g.pool_max
    )
    rest_first = before(aave_worth, pool_worth, 1.0, g, g.aave_max) + before(
        vault_worth, pool_worth, 1.0, g, g.vault_max
    )
    aave = place(aave_worth, vault_first, g.aave_max, h.usdc + h.usdt + h.dai, g)
    vault = place(vault_worth, aave_first, g.vault_max, h.vault, g)
    pool = place(pool_worth, rest_first, g.pool_max, h.pool, g)
    in_usdc = usdc_worth >= aave_worth
    in_usdt = not in_usdc and usdt_worth >= aave_worth
    usdc = aave if in_usdc else 0.0
    usdt = aave if in_usdt else 0.0
    dai = 0.0 if in_usdc or in_usdt else aave

    more = Held(usdc - h.usdc, usdt - h.usdt, dai - h.dai, vault - h.vault, pool - h.pool)
    gain = more.usdc * r.usdc + more.usdt * r.usdt + more.dai * r.dai + more.vault * r.vault + more.pool * pool_apr
    actions = (
        counted(more.usdc, book.equity)
        + counted(more.usdt, book.equity)
        + counted(more.dai, book.equity)
        + counted(more.vault, book.equity)
        + POOL_ACTIONS * counted(more.pool, book.equity)
    )
    swaps = g.swap_cost * (abs(more.usdt) + abs(more.dai)) + SWAPPED * POOL_FEE * abs(more.pool)
    bought = max(more.usdc, 0.0) + max(more.usdt, 0.0) + max(more.dai, 0.0) + max(more.vault, 0.0) + max(more.pool, 0.0)
    sold = bought - (more.usdc + more.usdt + more.dai + more.vault + more.pool)
    better = gain > g.minimum_advantage * max(bought, sold)
    worthwhile = better and gain * years > swaps + actions * r.gas / book.equity
    over_aave = h.usdc + h.usdt + h.dai > g.aave_max + CAP_SLACK
    over_other = h.vault > g.vault_max + CAP_SLACK or h.pool > g.pool_max + CAP_SLACK
    moves = worthwhile or over_aave or over_other
    if beyond and repays and pool > STAKE:
        if moves:
            return Target(usdc, usdt, dai, vault, pool, -width, FORCE)
        return Target(h.usdc, h.usdt, h.dai, h.vault, h.pool, -width, FORCE)
    return Target(usdc, usdt, dai, vault, pool, 0.0 if holds else width, MOVE_BAND if moves else HOLD)


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Decide with the liquidity in range."""
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, HOLD), State()
    depth = virtual(f.liquidity, f.price)
    earns = pool_yield(depth, f.volume, f.volatility, f.gas, g, book.equity)
    return choose(Rates(f.usdc, f.usdt, f.dai, f.vault, f.gas), earns, g, book), State()


def decide_tvl(f: TvlFeatures, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Decide with the value locked, taken to be concentrated tenfold."""
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, HOLD), State()
    depth = CONCENTRATION * f.tvl
    earns = pool_yield(depth, f.volume, f.volatility, f.gas, g, book.equity)
    return choose(Rates(f.usdc, f.usdt, f.dai, f.vault, f.gas), earns, g, book), State()


HARVESTER = Strategy(
    name="harvester",
    roles={
        "usdc": Role("lending", "usdc_lending"),
        "usdt": Role("lending", "usdt_lending"),
        "dai": Role("lending", "dai_lending"),
        "vault": Role("lending", "vault"),
        "pool": Role("range", "eth_range", {"fee": POOL_FEE}),
    },
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="lends, deposits and provides liquidity where the expected net yield is best",
)
HARVESTER_TVL = Strategy(
    name="harvester_tvl",
    roles=HARVESTER.roles,
    genes=Genes,
    features=TvlFeatures,
    book=Book,
    target=Target,
    state=State,
    decide=decide_tvl,
    summary="the harvester for a pool of which only the value locked is known",
)
