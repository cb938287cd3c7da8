"""The generated market looks like a market: the bounds are wide enough for other seeds and exclude Gaussian walks."""

from __future__ import annotations

import numpy as np
import pytest

from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.generator import MarketGenerator
from treasury_arena_simulation.pegs import LASTS_HOURS, episode
from treasury_arena_simulation.prices import BULL, CALM, CRASH, JUMP_MEAN, JUMP_SD, jump_compensator, next_regime
from treasury_arena_simulation.rates import RateCurve

SEEDS = (1, 2, 3, 4, 5)
HOURS = 2 * 8760
YEAR = 8760


def returns(columns, coin):
    return np.diff(np.log(columns[f"{coin}.price"]))


def autocorrelation(x, lag):
    x = x - x.mean()
    return float((x[lag:] * x[:-lag]).mean() / (x * x).mean())


def daily(x):
    return x[: len(x) // 24 * 24].reshape(-1, 24)


@pytest.fixture(scope="module")
def paths():
    return [MarketGenerator(SimulatedSection(), seed).columns(0, HOURS) for seed in SEEDS]


@pytest.mark.parametrize(("coin", "low", "high"), [("WETH", 0.40, 0.85), ("WBTC", 0.30, 0.70), ("SOL", 0.60, 1.35)])
def test_volatility_and_fat_tails(paths, coin, low, high):
    for columns in paths:
        r = returns(columns, coin)
        assert low < r.std() * np.sqrt(YEAR) < high
        kurtosis = ((r - r.mean()) ** 4).mean() / r.var() ** 2
        assert 6.0 < kurtosis < 60.0
        by_day = daily(r).sum(axis=1)
        assert ((by_day - by_day.mean()) ** 4).mean() / by_day.var() ** 2 > 3.5


def test_volatility_clusters_and_forgets_slowly(paths):
    for columns in paths:
        size = np.abs(returns(columns, "WETH"))
        hour, day, week = (autocorrelation(size, lag) for lag in (1, 24, 168))
        assert 0.15 < hour < 0.5
        assert hour > day > 0.05
        assert week > 0.02
        assert abs(autocorrelation(returns(columns, "WETH"), 1)) < 0.03


def test_coins_move_together(paths):
    for columns in paths:
        eth, btc, sol = (returns(columns, coin) for coin in ("WETH", "WBTC", "SOL"))
        assert 0.7 < np.corrcoef(eth, btc)[0, 1] < 0.9
        assert 0.6 < np.corrcoef(eth, sol)[0, 1] < 0.85


def test_volatility_changes_between_months(paths):
    for columns in paths:
        r = returns(columns, "WETH")
        months = r[: len(r) // 720 * 720].reshape(-1, 720).std(axis=1)
        assert months.max() > 1.7 * months.min()


@pytest.mark.parametrize(
    ("asset", "median", "top"),
    [("USDC", (2, 10), 20), ("USDT", (2, 10), 20), ("DAI", (2, 10), 20), ("WETH", (1.2, 2.5), 4)],
)
def test_lending_rates_lie_in_the_range_of_real_ones(paths, asset, median, top):
    for columns in paths:
        rate = 100.0 * columns[f"{asset}.lending_rate"]
        assert rate.min() > 0.2
        assert rate.max() < 80.0
        assert rate.max() > 2.0 * np.median(rate)
        assert median[0] < np.median(rate) < median[1]
        assert np.quantile(rate, 0.95) < top
        assert autocorrelation(rate, 1) > 0.6


def test_rates_revert_and_stablecoin_rates_move_together(paths):
    for columns in paths:
        usdc, usdt = (daily(columns[f"{a}.lending_rate"]).mean(axis=1) for a in ("USDC", "USDT"))
        assert autocorrelation(usdc, 1) > 0.4
        assert autocorrelation(usdc, 1) > autocorrelation(usdc, 90)
        assert np.corrcoef(usdc, usdt)[0, 1] > 0.2


def test_rates_are_higher_after_a_run_up(paths):
    found = []
    for columns in paths:
        price = np.log(columns["WETH.price"][::24])
        rate = daily(columns["USDC.lending_rate"]).mean(axis=1)
        found.append(np.corrcoef(price[30:] - price[:-30], rate[30:])[0, 1])
    assert 0.15 < np.mean(found) < 0.7


def test_rate_curve_against_published_numbers():
    curve = RateCurve("X", 0.01, 0.04, 0.60, 0.80, 0.10, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert curve.borrow(np.array([0.0, 0.4, 0.8, 0.9, 1.0]), 0.04) == pytest.approx([0.01, 0.03, 0.05, 0.35, 0.65])
    assert curve.supply(np.array([0.8]), 0.04) == pytest.approx([0.05 * 0.8 * 0.9])


def test_one_stablecoin_a_time_leaves_its_peg_and_returns(paths):
    for seed, columns in zip(SEEDS, paths, strict=True):
        for number in range(3):
            one = episode(SimulatedSection(), seed, number)
            assert number <= one.start / (YEAR / 2) < number + 1
            low, high = int(one.start), int(one.start) + 200
            price = columns[f"{one.asset}.price"][low:high]
            if high + LASTS_HOURS < HOURS:
                assert 0.3 * one.depth < 1.0 - price.min() < 2.0 * one.depth + 0.005
                # Within a month it is back, unless the next episode is that of the same coin.
                following = episode(SimulatedSection(), seed, number + 1)
                if following.start > low + LASTS_HOURS:
                    assert abs(columns[f"{one.asset}.price"][low + LASTS_HOURS] - 1.0) < 0.004
        assert 0.006 <= one.depth <= 0.15
        assert (columns["USDC.price"] == 1.0).all()


def test_lenders_of_a_coin_off_its_peg_earn_more():
    gained = []
    for seed in SEEDS:
        section = SimulatedSection()
        columns = MarketGenerator(section, seed).columns(0, HOURS)
        one = episode(section, seed, 1)
        rate, start = columns[f"{one.asset}.lending_rate"], int(one.start + one.fall)
        gained.append(rate[start - 12 : start + 12].mean() / rate[start - 1000 : start - 400].mean())
    assert min(gained) > 1.0
    assert np.mean(gained) > 2.0


def test_without_depegs_stablecoins_keep_their_peg():
    columns = MarketGenerator(SimulatedSection(depegs=0.0), 5).columns(0, HOURS)
    for asset in ("USDT", "DAI"):
        assert np.abs(columns[f"{asset}.price"] - 1.0).max() < 0.005


def test_gas_is_skewed_persistent_and_follows_volatility(paths):
    linked = []
    for columns in paths:
        gas = np.log(daily(columns["gas.usd"]).mean(axis=1))
        assert 0.4 < gas.std() < 1.8
        assert autocorrelation(gas, 1) > 0.7
        assert columns["gas.usd"].mean() > np.median(columns["gas.usd"])
        spread = np.log(daily(returns(columns, "WETH")[: len(gas) * 24 - 24]).std(axis=1))
        linked.append(np.corrcoef(np.diff(gas[: len(spread)]), np.diff(spread))[0, 1])
    assert np.mean(linked) > 0.2


def test_depth_falls_when_prices_move(paths):
    for columns in paths:
        depth = np.log(daily(columns["WETH.depth"]).mean(axis=1))[:-1]
        spread = np.log(daily(returns(columns, "WETH")).std(axis=1))[: len(depth)]
        assert np.corrcoef(depth[: len(spread)], spread)[0, 1] < -0.5
        assert (columns["WETH.depth"] > 0.0).all()


def follower(columns, coin, days):
    """Annual Sharpe ratio of holding the sign of the trailing return."""
    price, hours = columns[f"{coin}.price"], 24 * days
    sign = np.sign(price[hours:-1] / price[: -1 - hours] - 1.0)
    earned = sign * (price[hours + 1 :] / price[hours:-1] - 1.0)
    return earned.mean() / earned.std() * np.sqrt(YEAR)


@pytest.mark.parametrize(("edge", "low", "high"), [(0.0, -0.75, 0.75), (4.0, 3.0, 5.0), (-4.0, -5.0, -3.0)])
def test_the_planted_edge_is_what_a_follower_earns(edge, low, high):
    sharpes = [
        follower(MarketGenerator(SimulatedSection(edge=edge), seed).columns(0, HOURS), coin, 3)
        for seed in range(4)
        for coin in ("WETH", "SOL")
    ]
    assert low < np.mean(sharpes) < high


def test_without_an_edge_a_run_up_foretells_nothing_at_any_horizon():
    years = [MarketGenerator(SimulatedSection(drift=0.0), seed).columns(0, YEAR) for seed in range(16)]
    for days in (1, 7, 21):
        found = [follower(columns, "WBTC", days) for columns in years]
        assert abs(np.mean(found)) < 3.0 / np.sqrt(
            len(found)
        )  # an annual Sharpe ratio over one year has a deviation of 1


def test_jumps_are_fair():
    rng, rate, loading = np.random.default_rng(1), 0.02, 1.3
    jumps = np.where(
        rng.random(4_000_000) < rate, loading * (JUMP_MEAN + JUMP_SD * rng.standard_normal(4_000_000)), 0.0
    )
    grown = np.exp(jumps - jump_compensator(rate, loading))
    assert abs(grown.mean() - 1.0) < 4.0 * grown.std() / 2000.0
    assert jump_compensator(0.0, loading) == 0.0


def test_regimes_lean_on_past_returns():
    chances = np.linspace(0.0005, 0.9995, 1000)

    def share(regime, trend, today, wanted):
        return np.mean([next_regime(regime, trend, today, u) == wanted for u in chances])

    assert share(CALM, 2.0, 0.0, BULL) > 10 * share(CALM, 0.1, 0.0, BULL)
    assert share(CALM, 0.0, 0.0, CALM) > 0.99
    assert share(BULL, 0.0, -2.4, CRASH) < 0.01
    assert share(BULL, 0.0, -2.6, CRASH) == pytest.approx(0.252, abs=0.002)
    assert share(CRASH, 0.0, 0.0, CRASH) == pytest.approx(0.78, abs=0.002)
