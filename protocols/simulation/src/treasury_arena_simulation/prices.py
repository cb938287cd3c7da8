"""Coin prices: regimes, stochastic volatility on several time scales, jumps, one market factor, and the planted edge.

The log return of coin i over hour t is

    r = drift/8760 + tilt_t s/sqrt(8760) - s^2/2 + s z - kappa + jump,      s = s_i exp(H_t)

where z is normal with correlation through the market factor, H_t (known before z) sums slow, daily and hourly log-volatility
factors, the regime, the hour and the weekday, and kappa takes the jumps' expectation out. So with ``edge = 0`` the simple
return is a constant plus a martingale difference: regimes change volatility, jumps, rates and gas, and FOLLOW past returns (a
run-up calls a bull regime), but foretell nothing. With an edge, ``tilt_t = EDGE_PER_SHARPE edge tanh(R / sd(R))`` of the
coin's own trailing return R over `edge_days`, up to the hour before.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.recursion import BLOCK_HOURS, HOURS_PER_YEAR, Recursion, decay, rhythm

FloatArray = NDArray[np.float64]

COINS = ("WETH", "WBTC", "SOL")
ANNUAL_VOLATILITY = (0.60, 0.47, 0.92)
LOADING = (0.90, 0.90, 0.78)  # on the market factor; pairwise correlations are the products
JUMP_LOADING = (1.1, 0.85, 1.3)
JUMP_MEAN, JUMP_SD = -0.002, 0.022

CALM, BULL, BEAR, CRASH = range(4)
REGIME_LOG_VOLATILITY = (-0.22, 0.05, 0.12, 0.75)
REGIME_JUMPS_PER_YEAR = (12.0, 25.0, 25.0, 160.0)

TREND_DAYS = 21
LEVERAGE = 0.2  # correlation of a volatility shock with the last hour's market factor, sign turned
STRESS_LOG_VOLATILITY = 0.4
# Holding the sign of R earns the annual Sharpe ratio tilt x mean |tanh| x mean volatility / rms volatility; measured, 1 / 2.2.
EDGE_PER_SHARPE = 2.2
# Half the log of E[exp(2H)] with the jumps, measured over centuries, so that ANNUAL_VOLATILITY is what comes out.
NORMALISER = 0.335


@attrs.frozen(eq=False)
class PriceBlock:
    """One block of hours.

    Attributes:
        prices: (hours, 3) USD in the order of `COINS`.
        log_volatility: (hours,) H_t, the market's log volatility relative to its usual level.
        trend: (hours,) trailing market return in standard deviations, of the last day's close.
        regime: (hours,) index of the regime.
        jumps: (hours,) 1.0 where prices jumped.
    """

    prices: FloatArray
    log_volatility: FloatArray
    trend: FloatArray
    regime: NDArray[np.int64]
    jumps: FloatArray


class PricePath:
    """The coins' prices from the origin on, one block after the other."""

    def __init__(self, section: SimulatedSection) -> None:
        self._section = section
        self._logs = [[math.log(p)] for p in (section.eth_price, section.btc_price, section.sol_price)]
        self._slow = Recursion(24.0 * 30.0, 0.33)
        self._mid = Recursion(7.0, 0.34)
        self._fast = Recursion(0.7, 0.26)
        self._excited = 0.0
        self._last_factor = 0.0
        self._regime = CALM
        self._hours = int(section.origin_epoch // 3600)

    def block(self, rng: np.random.Generator, stress: FloatArray) -> PriceBlock:
        """Draw the next block; `stress` (hours,) from 0 to 1 is how disturbed a depeg leaves the market."""
        factor = rng.standard_normal(BLOCK_HOURS)
        own = rng.standard_normal((3, BLOCK_HOURS))
        shocks = rng.standard_normal((3, BLOCK_HOURS))
        chance, jump_size = rng.random(BLOCK_HOURS).tolist(), rng.standard_normal(BLOCK_HOURS)
        turns = rng.random(BLOCK_HOURS // 24).tolist()

        lagged = np.concatenate(([self._last_factor], factor[:-1]))
        self._last_factor = float(factor[-1])
        mixed = math.sqrt(1.0 - LEVERAGE * LEVERAGE) * shocks - LEVERAGE * lagged
        calendar = self._hours + np.arange(BLOCK_HOURS)
        self._hours += BLOCK_HOURS
        weekend = ((calendar // 24 + 4) % 7) % 6 == 0  # the epoch's first day was a Thursday
        quiet = (
            np.array(self._slow.run(mixed[0].tolist()))
            + np.array(self._mid.run(mixed[1].tolist()))
            + np.array(self._fast.run(mixed[2].tolist()))
            + 0.16 * rhythm(calendar)
            + np.where(weekend, -0.25, 0.0)
            + STRESS_LOG_VOLATILITY * stress
            - NORMALISER
        )
        scales = [self._section.volatility * annual / math.sqrt(HOURS_PER_YEAR) for annual in ANNUAL_VOLATILITY]
        z = [
            (loading * factor + math.sqrt(1.0 - loading * loading) * own[i]).tolist()
            for i, loading in enumerate(LOADING)
        ]
        jumps = (JUMP_MEAN + JUMP_SD * jump_size).tolist()
        return self._walk(quiet.tolist(), scales, z, jumps, chance, turns)

    def _walk(
        self,
        quiet: list[float],
        scales: list[float],
        z: list[list[float]],
        jumps: list[float],
        chance: list[float],
        turns: list[float],
    ) -> PriceBlock:
        section, calming = self._section, decay(10.0)
        drift, root = section.drift / HOURS_PER_YEAR, 1.0 / math.sqrt(HOURS_PER_YEAR)
        (eth, btc, sol), (z_eth, z_btc, z_sol), (s_eth, s_btc, s_sol) = self._logs, z, scales
        level, jumped, trends, regimes = [], [], [], []
        x_eth, x_btc, x_sol = eth[-1], btc[-1], sol[-1]
        jump_rate, trend, tilt = 0.0, 0.0, 0.0
        k_eth = k_btc = k_sol = e_eth = e_btc = e_sol = 0.0
        for t in range(BLOCK_HOURS):
            if t % 24 == 0:
                trend, today = self._trend()
                self._regime = next_regime(self._regime, trend, today, turns[t // 24])
                tilt = REGIME_LOG_VOLATILITY[self._regime]
                jump_rate = section.jumps * REGIME_JUMPS_PER_YEAR[self._regime] / HOURS_PER_YEAR
                k_eth, k_btc, k_sol = (jump_compensator(jump_rate, a * section.volatility) for a in JUMP_LOADING)
            if section.edge:
                e_eth, e_btc, e_sol = self._edges()
            h = quiet[t] + tilt + self._excited
            wide = math.exp(h)
            a, b, c = s_eth * wide, s_btc * wide, s_sol * wide
            x_eth += drift - k_eth + a * (e_eth * root - 0.5 * a + z_eth[t])
            x_btc += drift - k_btc + b * (e_btc * root - 0.5 * b + z_btc[t])
            x_sol += drift - k_sol + c * (e_sol * root - 0.5 * c + z_sol[t])
            self._excited *= calming
            if chance[t] < jump_rate:
                jump = jumps[t] * section.volatility
                x_eth, x_btc, x_sol = (
                    x + loading * jump for x, loading in zip((x_eth, x_btc, x_sol), JUMP_LOADING, strict=True)
                )
                self._excited = min(self._excited + 0.5, 1.2)
                jumped.append(1.0)
            else:
                jumped.append(0.0)
            eth.append(x_eth)
            btc.append(x_btc)
            sol.append(x_sol)
            level.append(h)
            trends.append(trend)
            regimes.append(self._regime)
        path = np.array([log[-BLOCK_HOURS:] for log in self._logs]).T
        return PriceBlock(elementary.exp(path), np.array(level), np.array(trends), np.array(regimes), np.array(jumped))

    def _trend(self) -> tuple[float, float]:
        """Trailing return of the market (BTC and ETH) over `TREND_DAYS` and over the last day, in standard deviations."""
        eth, btc, _ = self._logs
        scale = self._section.volatility * 0.5 * (ANNUAL_VOLATILITY[0] + ANNUAL_VOLATILITY[1])
        found = []
        for days in (TREND_DAYS, 1):
            back = min(24 * days, len(eth) - 1)
            moved = 0.5 * (eth[-1] - eth[-1 - back] + btc[-1] - btc[-1 - back])
            found.append(moved / (scale * math.sqrt(days / 365.0)))
        return found[0], found[1]

    def _edges(self) -> list[float]:
        section = self._section
        hours = 24 * section.edge_days
        if len(self._logs[0]) <= hours:
            return [0.0, 0.0, 0.0]
        usual = section.volatility * math.sqrt(hours / HOURS_PER_YEAR)
        return [
            EDGE_PER_SHARPE * section.edge * math.tanh((log[-1] - log[-1 - hours]) / (usual * annual))
            for log, annual in zip(self._logs, ANNUAL_VOLATILITY, strict=True)
        ]


def next_regime(regime: int, trend: float, today: float, u: float) -> int:
    """The regime of the next day: a Markov chain whose chances lean on the past returns, given one uniform number `u`."""
    crash = 0.002 + (0.25 if today < -2.5 else 0.0) + 0.02 * max(0.0, -trend - 1.5)
    if regime != CRASH and u < crash:
        return CRASH
    u = 1.0 - u
    up, down = max(0.0, trend), max(0.0, -trend)
    if regime == CALM:
        return BULL if u < 0.04 * up else BEAR if u < 0.04 * (up + down) else CALM
    if regime == CRASH:
        return BEAR if u < 0.12 else CALM if u < 0.22 else CRASH
    against = down if regime == BULL else up
    return CALM if u < 0.015 + 0.05 * against else regime


def jump_compensator(rate: float, loading: float) -> float:
    """Log of the expected growth that jumps of intensity `rate` per hour and size ``loading N(mean, sd)`` would give."""
    grown = math.exp(loading * JUMP_MEAN + 0.5 * (loading * JUMP_SD) ** 2)
    return math.log1p(rate * (grown - 1.0))
