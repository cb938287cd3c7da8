"""The market and the features of one kernel as two time-major tables, computed once per frame and shared by all agents."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import Column, FeatureFunction
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import DataError
from treasury_arena.simulation.features import NEEDS_POSITIVE, check_causal, evaluate, feature_function
from treasury_arena.simulation.layout import Layout

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Group = tuple[str | FeatureFunction, str, tuple[int, ...]]


@attrs.frozen(eq=False)
class Tables:
    """What a kernel reads of a frame. Row t holds what is known at row t, so any span of rows may be run.

    Attributes:
        market: (T, columns) float64.
        features: (T, columns) float64; features over the same data, kind and windows share columns.
        market_columns: position in `market` of each (role, field) of the layout.
        feature_columns: position in `features` of each feature (of its first window where a gene chooses).
    """

    market: FloatArray
    features: FloatArray
    market_columns: IntArray
    feature_columns: IntArray

    @property
    def rows(self) -> int:
        return int(self.market.shape[0])


def build_tables(layout: Layout, specs: Mapping[str, MarketSpec], frame: MarketFrame) -> Tables:
    """Read and derive every column; raises DataError for a missing or unusable column, PluginError for a feature."""
    names: list[str] = []
    places = []
    for role, field in layout.market:
        name = specs[role].columns[field]
        if name not in names:
            names.append(name)
        places.append(names.index(name))
    market = np.ascontiguousarray(np.stack([frame[name] for name in names], axis=1))
    groups: dict[Group, int] = {}
    columns: list[FloatArray] = []
    starts = []
    for name, column in layout.strategy.columns.items():
        source = _source(column, specs)
        windows = _windows(layout, column)
        group = (column.kind, source, windows)
        if group not in groups:
            groups[group] = len(columns)
            where = f"strategy {layout.strategy.name!r}, feature {name!r} of {source!r}"
            columns += _compute(column, frame[source], windows, where)
        starts.append(groups[group])
    features = np.stack(columns, axis=1) if columns else np.zeros((frame.rows, 1))
    return Tables(
        market,
        np.ascontiguousarray(features),
        np.array(places, dtype=np.int64),
        np.array(starts or [0], dtype=np.int64),
    )


def _source(column: Column, specs: Mapping[str, MarketSpec]) -> str:
    return specs[column.of].columns[column.field] if column.of in specs else column.of


def _windows(layout: Layout, column: Column) -> tuple[int, ...]:
    if isinstance(column.window, str):
        return tuple(int(window) for window in layout.strategy.space.choices[column.window])
    return (column.window,)


def _compute(column: Column, data: FloatArray, windows: tuple[int, ...], where: str) -> list[FloatArray]:
    function = feature_function(column.kind, where)
    if column.kind in NEEDS_POSITIVE and data.min() <= 0.0:
        row = int(np.argmin(data))
        raise DataError(f"{where}: {column.kind!r} takes a logarithm, but the column is {data[row]} at row {row}")
    if callable(column.kind):
        return check_causal(function, data, windows, where)
    return [evaluate(function, data, window, where) for window in windows]
