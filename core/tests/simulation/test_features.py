"""Features know only the past, bit for bit, and are the formulas they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from treasury_arena.errors import PluginError
from treasury_arena.simulation import features

prices = st.lists(st.floats(0.01, 1e5), min_size=2, max_size=80).map(lambda x: np.array(x))


@pytest.mark.parametrize("name", sorted(features.BUILT_IN))
@given(column=prices, window=st.integers(1, 100), cut=st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_every_built_in_is_prefix_exact(name: str, column: NDArray[np.float64], window: int, cut: int) -> None:
    function = features.BUILT_IN[name]
    cut = min(cut, column.size)
    whole, part = function(column, window), function(column[:cut], window)
    assert whole.shape == column.shape
    assert np.isfinite(whole).all()
    assert part.tobytes() == whole[:cut].tobytes()
    features.check_causal(function, column, window)


def naive(name: str, seen: NDArray[np.float64], window: int) -> float:
    """The textbook value at the last row of `seen`."""
    part = seen[-window:]
    logs = np.diff(np.log(seen), prepend=np.log(seen[0]))[-window:]
    before = seen[max(seen.size - 1 - window, 0)]
    deviation = part.std()
    return float(
        {
            "raw": seen[-1],
            "log": np.log(seen[-1]),
            "log_price": np.log(seen[-1]),
            "sma": part.mean(),
            "log_sma": np.log(part.mean()),
            "log_ratio_sma": np.log(seen[-1] / part.mean()),
            "momentum": np.log(seen[-1] / before),
            "change": seen[-1] - before,
            "volatility": logs.std(),
            "low": part.min(),
            "high": part.max(),
            "drawdown_high": seen[-1] / part.max() - 1.0,
            "zscore": (seen[-1] - part.mean()) / deviation if deviation > 0.0 else 0.0,
        }[name]
    )


@pytest.mark.parametrize("name", sorted(features.BUILT_IN))
@pytest.mark.parametrize("window", [1, 2, 7, 40])
def test_every_built_in_agrees_with_its_textbook_formula(name: str, window: int) -> None:
    column = 100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(3).standard_normal(60)))
    out = features.BUILT_IN[name](column, window)
    expected = [naive(name, column[: row + 1], window) for row in range(column.size)]
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [1.0, 0.1, 3000.7])
def test_a_constant_series_has_neither_volatility_nor_a_zscore(value: float) -> None:
    column = np.full(50, value)
    assert not features.volatility(column, 10).any()
    assert not features.zscore(column, 10).any()


def test_causality_check_names_the_feature_that_looks_ahead() -> None:
    column = np.linspace(1.0, 2.0, 40)
    with pytest.raises(PluginError, match=r"strategy 'x', feature 'y': row \d+ .* looks ahead"):
        features.check_causal(lambda c, w: c / c.max(), column, 5, "strategy 'x', feature 'y'")


def test_causality_check_sees_a_single_row_of_foresight() -> None:
    with pytest.raises(PluginError, match="looks ahead"):
        features.check_causal(lambda c, w: np.append(c[1:], c[-1]), np.arange(1.0, 41.0), 5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda c, w: c[1:], r"gave shape \(0,\) for a column of shape \(1,\)"),
        (lambda c, w: np.where(np.arange(c.size) == 7, np.nan, c), r"gave nan at row 7 with window 5"),
        (lambda c, w: np.where(np.arange(c.size) == 9, np.inf, c), r"gave inf at row 9 with window 5"),
    ],
)
def test_causality_check_refuses_wrong_shapes_and_values(function: features.FeatureFunction, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        features.check_causal(function, np.arange(1.0, 41.0), 5)


def remembering(seen: dict[bytes, NDArray[np.float64]]) -> features.FeatureFunction:
    """A feature that looks `window` rows ahead in the longest column with the same beginning that it was ever shown."""

    def peek(column: NDArray[np.float64], window: int) -> NDArray[np.float64]:
        longest = seen.setdefault(column[:1].tobytes(), column.copy())
        if column.size > longest.size:
            longest = seen[column[:1].tobytes()] = column.copy()
        ahead = np.minimum(np.arange(column.size) + window, longest.size - 1)
        return np.log(longest[ahead] / column)

    return peek


@pytest.mark.parametrize("windows", [5, (5,), (24, 3), (3, 24, 48)])
def test_a_feature_that_remembers_more_than_it_is_shown_is_found_out(windows: int | tuple[int, ...]) -> None:
    column = 100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(3).standard_normal(400)))
    with pytest.raises(PluginError, match="looks ahead"):
        features.check_causal(remembering({}), column, windows)


def test_a_feature_that_behaves_until_it_was_shown_everything_is_found_out() -> None:
    column = np.linspace(1.0, 2.0, 40)
    calls = []

    def patient(x: NDArray[np.float64], window: int) -> NDArray[np.float64]:
        calls.append(x.size)
        return np.full(x.size, float(calls.count(40) > 2))

    with pytest.raises(PluginError, match="looks ahead"):
        features.check_causal(patient, column, 5)


def test_the_checked_columns_are_those_that_are_used() -> None:
    column = np.linspace(1.0, 2.0, 40)
    found = features.check_causal(features.sma, column, (2, 7))
    assert [part.tobytes() for part in found] == [features.sma(column, window).tobytes() for window in (2, 7)]


def test_a_feature_that_fails_is_named() -> None:
    def broken(column: NDArray[np.float64], window: int) -> NDArray[np.float64]:
        raise SystemExit("enough")

    with pytest.raises(PluginError, match=r"^strategy 'x', feature 'y' failed: SystemExit: enough$"):
        features.check_causal(broken, np.arange(1.0, 41.0), 5, "strategy 'x', feature 'y'")


def test_a_feature_cannot_change_the_market() -> None:
    def spoils(column: NDArray[np.float64], window: int) -> NDArray[np.float64]:
        column[:] = 0.0
        return column

    column = np.arange(1.0, 41.0)
    features.check_causal(spoils, column, 5)
    assert column[0] == 1.0


def test_unknown_feature_is_told_the_nearest() -> None:
    with pytest.raises(PluginError, match="did you mean 'volatility'"):
        features.feature_function("volatilty", "here")
