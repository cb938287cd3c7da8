"""Built-in features: causal functions ``(column, window) -> array`` of the same length.

Every one is prefix-exact: ``f(x[:k], w)`` equals ``f(x, w)[:k]`` bit for bit, so a feature table computed once over a
whole frame holds at row t exactly what was known at row t. Sums over a window are therefore built by adding shifted copies
(elementwise, in a fixed order), not by reductions whose grouping depends on the array's length. The first rows use the
rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena.errors import PluginError, nearest
from treasury_arena.isolation import calling

FloatArray = NDArray[np.float64]
FeatureFunction = Callable[[FloatArray, int], FloatArray]

#: Cuts beside the obvious ones.
MORE_CUTS = 8
#: What the last rows are multiplied with to make a past whose future is another one.
POISON = 1.25
#: A rolling deviation below this share of the rolling mean is rounding noise and counts as zero.
NOISE = 1e-12


def _rolling_mean(x: FloatArray, window: int) -> FloatArray:
    total = x.copy()
    for back in range(1, min(window, x.size)):
        total[back:] += x[:-back]
    return total / _rows_seen(x.size, window)


def _rolling_deviation(x: FloatArray, window: int) -> FloatArray:
    """Population standard deviation over the window, in two passes so that nothing cancels."""
    mean = _rolling_mean(x, window)
    squares = (x - mean) ** 2
    for back in range(1, min(window, x.size)):
        squares[back:] += (x[:-back] - mean[back:]) ** 2
    deviation = np.sqrt(squares / _rows_seen(x.size, window))
    return np.where(deviation > NOISE * np.abs(mean), deviation, 0.0)


def _rows_seen(rows: int, window: int) -> FloatArray:
    return np.minimum(np.arange(1, rows + 1), window).astype(np.float64)


def _back(x: FloatArray, window: int) -> FloatArray:
    """The value `window` rows ago, or the first one."""
    return x[np.maximum(np.arange(x.size) - window, 0)]


def _log_changes(x: FloatArray) -> FloatArray:
    logs = elementary.log(x)
    changes = np.zeros_like(logs)
    changes[1:] = logs[1:] - logs[:-1]
    return changes


def raw(column: FloatArray, window: int) -> FloatArray:
    """The column itself (a price, a rate)."""
    return column.copy()


def log_price(column: FloatArray, window: int) -> FloatArray:
    """Natural logarithm of the column."""
    return elementary.log(column)


def sma(column: FloatArray, window: int) -> FloatArray:
    """Simple moving average over `window` rows."""
    return _rolling_mean(column, window)


def log_sma(column: FloatArray, window: int) -> FloatArray:
    """Natural logarithm of the simple moving average."""
    return elementary.log(_rolling_mean(column, window))


def log_ratio_sma(column: FloatArray, window: int) -> FloatArray:
    """Log of value over its own moving average: a valuation proxy, above 0 when dear."""
    return elementary.log(column) - elementary.log(_rolling_mean(column, window))


def momentum(column: FloatArray, window: int) -> FloatArray:
    """Log change over `window` rows (since the first row while there are fewer)."""
    logs = elementary.log(column)
    return logs - _back(logs, window)


def change(column: FloatArray, window: int) -> FloatArray:
    """Difference to the value `window` rows ago; for rates, which may be zero."""
    return column - _back(column, window)


def volatility(column: FloatArray, window: int) -> FloatArray:
    """Standard deviation of one-row log changes over `window` rows, per row (not annualised)."""
    return _rolling_deviation(_log_changes(column), window)


def low(column: FloatArray, window: int) -> FloatArray:
    """Lowest value over `window` rows."""
    padded = np.concatenate([np.full(window - 1, np.inf), column])
    return np.asarray(sliding_window_view(padded, window).min(axis=1))


def high(column: FloatArray, window: int) -> FloatArray:
    """Highest value over `window` rows."""
    padded = np.concatenate([np.full(window - 1, -np.inf), column])
    return np.asarray(sliding_window_view(padded, window).max(axis=1))


def drawdown_high(column: FloatArray, window: int) -> FloatArray:
    """Value over its highest of `window` rows, less 1: 0 at a high, negative below."""
    return column / high(column, window) - 1.0


def zscore(column: FloatArray, window: int) -> FloatArray:
    """Distance from the moving average in standard deviations; 0 where the window is constant."""
    deviation = _rolling_deviation(column, window)
    distance = column - _rolling_mean(column, window)
    return np.where(deviation > 0.0, distance / np.where(deviation > 0.0, deviation, 1.0), 0.0)


#: Feature functions by the name a `Column` uses.
BUILT_IN: Mapping[str, FeatureFunction] = MappingProxyType(
    {
        "raw": raw,
        "log": log_price,
        "log_price": log_price,
        "sma": sma,
        "log_sma": log_sma,
        "log_ratio_sma": log_ratio_sma,
        "momentum": momentum,
        "change": change,
        "volatility": volatility,
        "low": low,
        "high": high,
        "drawdown_high": drawdown_high,
        "zscore": zscore,
    }
)

#: Built-in features that take logarithms and so need positive values.
NEEDS_POSITIVE = frozenset({"log", "log_price", "log_sma", "log_ratio_sma", "momentum", "volatility"})


def feature_function(kind: str | FeatureFunction, where: str) -> FeatureFunction:
    """The function of a `Column.kind`; raises PluginError naming the nearest built-in."""
    if callable(kind):
        return kind
    if kind not in BUILT_IN:
        raise PluginError(f"{where}: there is no built-in feature {kind!r}: {nearest(kind, BUILT_IN)}")
    return BUILT_IN[kind]


def evaluate(function: FeatureFunction, column: FloatArray, window: int, where: str) -> FloatArray:
    """Call a feature function on a copy; raises PluginError for a wrong shape or a value that is not finite."""
    with calling(where):
        out = np.array(function(column.copy(), window), dtype=np.float64)
    if out.shape != column.shape:
        raise PluginError(f"{where}: gave shape {out.shape} for a column of shape {column.shape}")
    bad = np.flatnonzero(~np.isfinite(out))
    if bad.size:
        raise PluginError(
            f"{where}: gave {out[bad[0]]} at row {bad[0]} with window {window}; a finite number is needed"
        )
    return out


def check_causal(
    function: FeatureFunction, column: FloatArray, windows: int | Sequence[int], where: str = "feature"
) -> list[FloatArray]:
    """Compare a feature of prefixes with the prefix of the feature, bit for bit, at several cuts.

    A function may remember what it was called with. So nothing is asked that could teach it more than the call itself may
    know: the prefixes first, the shortest of all windows before any longer one, then a copy whose last rows are others, and
    the whole column last.

    Args:
        function: the feature function.
        column: shape (T,), finite.
        windows: rows, one window or several.
        where: names strategy and feature in the error.

    Returns the whole column's feature for each window, with nothing asked after it that it could have foreseen.
    Raises PluginError when rows up to a cut change with data after it, or a result is not finite or of another length.
    """
    spans = (windows,) if isinstance(windows, int) else tuple(windows)
    rows = column.size
    marks = {1, 2, 3, rows // 3, rows // 2, (2 * rows) // 3, rows - 2, rows - 1}
    marks |= {int(rows * (0.618034 * step % 1.0)) for step in range(1, MORE_CUTS + 1)}  # spread, and no round shares
    cuts = sorted(cut for cut in marks.union(spans, (span + 1 for span in spans)) if 1 <= cut < rows)
    parts = [(cut, span, evaluate(function, column[:cut], span, where)) for cut in cuts for span in spans]
    # Other rows after the middle: who remembers the longest column remembers these when asked for the real ones.
    middle = max(1, rows // 2)
    other = np.concatenate([column[:middle], column[middle:][::-1] * POISON])
    poisoned = [evaluate(function, other, span, where) for span in spans]
    whole = {span: evaluate(function, column, span, where) for span in spans}
    again = {span: evaluate(function, column, span, where) for span in spans}
    parts += [(middle, span, result[:middle]) for span, result in zip(spans, poisoned, strict=True)]
    parts += [(rows, span, again[span]) for span in spans]
    for cut, window, part in parts:
        _compare(part, whole[window], cut, window, where)
    return [whole[span] for span in spans]


def _compare(part: FloatArray, known: FloatArray, cut: int, window: int, where: str) -> None:
    """Raise PluginError unless the first `cut` rows are the same, bit for bit."""
    rows, whole = known.size, np.ascontiguousarray(known)
    differs = np.flatnonzero(np.ascontiguousarray(part).view(np.int64) != whole[:cut].view(np.int64))
    if differs.size:
        raise PluginError(
            f"{where}: row {differs[0]} with window {window} is {whole[differs[0]]} over {rows} rows, "
            f"but {part[differs[0]]} when only the first {cut} are known: the feature looks ahead"
        )
