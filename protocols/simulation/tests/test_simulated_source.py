"""The data source: one endless path per seed, cut into windows."""

from __future__ import annotations

import hashlib
import math

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.domain.frame import Window
from treasury_arena.errors import ConfigError, DataError
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.generator import COLUMNS
from treasury_arena_simulation.recursion import rhythm

ORIGIN = 1_672_531_200  # 2023-01-01
HOUR, DAY = 3600, 86_400


def same(one, other):
    return one.start == other.start and all(np.array_equal(one[name], other[name]) for name in one.columns)


@settings(max_examples=12, deadline=None)
@given(
    low=st.integers(0, 2000),
    length=st.integers(1, 1500),
    longer=st.integers(0, 1500),
    seed=st.integers(0, 2**31),
    edge=st.sampled_from([0.0, 2.0]),
)
def test_a_longer_window_begins_with_the_shorter_one(make_source, low, length, longer, seed, edge):
    start = ORIGIN + low * HOUR
    short = make_source(run_seed=seed, edge=edge).fetch(Window(start, start + length * HOUR))
    source = make_source(run_seed=seed, edge=edge)
    long = source.fetch(Window(start, start + (length + longer) * HOUR))
    assert short.rows == length
    assert same(long.slice(0, length), short)
    # Whatever was asked before, the same dates give the same data.
    assert same(source.fetch(Window(start, start + length * HOUR)), short)
    if longer:
        tail = source.fetch(Window(start + length * HOUR, start + (length + longer) * HOUR))
        assert same(long.slice(length, length + longer), tail)


def test_columns_and_labels(make_source):
    frame = make_source().fetch(Window(ORIGIN, ORIGIN + 30 * DAY))
    assert tuple(frame.columns) == COLUMNS
    assert {"WETH.price", "USDC.price", "DAI.lending_rate", "SOL.depth", "gas.usd"} <= set(COLUMNS)
    assert (frame.start, frame.step_seconds, frame.rows) == (ORIGIN, HOUR, 720)


def test_seeds_and_keys_change_the_path_and_the_fingerprint(make_source):
    window = Window(ORIGIN, ORIGIN + DAY)
    first, again = make_source(), make_source()
    assert same(first.fetch(window), again.fetch(window))
    assert first.fingerprint() == again.fingerprint()
    for other in (make_source(run_seed=8), make_source(volatility=1.1), make_source(edge=1.0)):
        assert other.fingerprint() != first.fingerprint()
    assert not same(make_source(run_seed=8).fetch(window), first.fetch(window))


def test_the_sections_own_seed_wins(make_source):
    window = Window(ORIGIN, ORIGIN + DAY)
    pinned = make_source(run_seed=1, seed=7)
    assert pinned.fingerprint() != make_source(run_seed=1).fingerprint()
    assert same(pinned.fetch(window), make_source(run_seed=7).fetch(window))
    assert same(make_source(run_seed=2, seed=0).fetch(window), make_source(run_seed=0).fetch(window))


def test_a_coarser_grid_is_a_cut_of_the_hourly_one(make_source):
    window = Window(ORIGIN + HOUR, ORIGIN + 10 * DAY)
    hourly = make_source().fetch(window)
    coarse = make_source(step_seconds=4 * HOUR).fetch(window)
    assert coarse.start == ORIGIN + 4 * HOUR
    assert coarse.step_seconds == 4 * HOUR
    assert coarse.end == ORIGIN + 10 * DAY
    for name in COLUMNS:
        assert np.array_equal(coarse[name], hourly[name][3::4])


def test_window_edges_are_start_inclusive_and_end_exclusive(make_source):
    source = make_source()
    assert source.fetch(Window(ORIGIN, ORIGIN + HOUR)).rows == 1
    assert source.fetch(Window(ORIGIN, ORIGIN + HOUR + 1)).rows == 2
    assert source.fetch(Window(ORIGIN + 1, ORIGIN + HOUR + 1)).start == ORIGIN + HOUR


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window(ORIGIN - HOUR, ORIGIN + DAY), r"before source\.simulated\.origin = 2023-01-01"),
        (Window(ORIGIN + 1, ORIGIN + 2), "no row of the 3600 s grid"),
        (Window(ORIGIN, ORIGIN + 101 * 366 * DAY), "more than a century"),
    ],
)
def test_windows_that_cannot_be_served(make_source, window, message):
    with pytest.raises(DataError, match=message):
        make_source().fetch(window)


@pytest.mark.parametrize("step", [60, 5400, 0, -3600])
def test_steps_that_cannot_be_cut(make_source, step):
    with pytest.raises(ConfigError, match=f"a step of {step} s"):
        make_source(step_seconds=step)


def test_description_names_the_edge(make_source):
    assert make_source().describe()["planted edge"] == "none"
    assert make_source(edge=2.0, edge_days=5).describe()["planted edge"] == "2 a year over 5 days"
    assert make_source(step_seconds=2 * HOUR).describe()["resampled"] == "one row in 2"


def test_prices_start_where_the_section_says_and_scale_with_it(make_source):
    window = Window(ORIGIN, ORIGIN + 60 * DAY)
    usual, double = make_source().fetch(window), make_source(eth_price=2400.0, depth=2.0, gas_usd=0.5).fetch(window)
    assert usual["WETH.price"][0] == pytest.approx(1200.0, rel=0.1)
    np.testing.assert_allclose(double["WETH.price"], 2.0 * usual["WETH.price"], rtol=1e-12)
    np.testing.assert_allclose(double["WETH.depth"], 2.0 * usual["WETH.depth"], rtol=1e-12)
    np.testing.assert_allclose(double["gas.usd"], 2.0 * usual["gas.usd"], rtol=1e-12)
    assert (make_source(gas_usd=0.0).fetch(window)["gas.usd"] == 0.0).all()


@pytest.mark.parametrize(
    "keys",
    [
        {"volatility": 3.0, "jumps": 10.0, "edge": 20.0, "depegs": 12.0, "rates": 5.0},
        {"volatility": 0.01, "jumps": 0.0, "edge": -20.0, "depegs": 0.0, "rates": 0.0, "drift": -2.0},
    ],
)
def test_extreme_keys_give_usable_markets(make_source, keys):
    frame = make_source(**keys).fetch(Window(ORIGIN, ORIGIN + 200 * DAY))
    for name in COLUMNS:
        positive = name.endswith((".price", ".depth"))
        assert (frame[name] > 0.0).all() if positive else (frame[name] >= 0.0).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"origin": "01.01.2023"}, "expected YYYY-MM-DD"),
        ({"origin": "2023-02-29"}, "not a day of the calendar"),
        ({"seed": -1}, "seed = -1 must be a number from 0"),
        ({"seed": 10**400}, "must be a number from 0"),
        ({"volatility": 0.0}, r"volatility = 0\.0 must be a number from 0\.01 to 3"),
        ({"volatility": float("nan")}, "volatility = nan must be"),
        ({"edge": 20.5}, "from -20 to 20"),
        ({"edge_days": 0}, "from 1 to 60"),
        ({"gas_usd": float("inf")}, "gas_usd = inf must be"),
        ({"eth_price": -5.0}, "eth_price"),
    ],
)
def test_sections_that_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        SimulatedSection(**keys)


def test_every_key_of_the_section_has_a_default():
    assert all(attribute.default is not attrs.NOTHING for attribute in attrs.fields(SimulatedSection))


def test_the_market_of_a_seed_is_the_same_on_every_machine(make_source):
    """Two years with jumps and depegs, to the bit; a C library with other bits than glibc's for single numbers shows here."""
    frame = make_source(run_seed=3, edge=1.0).fetch(Window(ORIGIN, ORIGIN + 730 * DAY))
    content = hashlib.sha256()
    for name in COLUMNS:
        content.update(np.ascontiguousarray(frame[name]).astype("<f8").tobytes())
    assert content.hexdigest()[:16] == "e4838f01077f1891"


def test_the_rhythm_of_a_day_is_a_cosine():
    hours = np.arange(-48, 48)
    wanted = [math.cos(math.pi * (hour - 15) / 12.0) for hour in hours.tolist()]
    assert rhythm(hours) == pytest.approx(wanted, abs=1e-14)
