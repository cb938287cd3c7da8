"""Looking over the rows of a series before they are used: what `arena data check` reports. Nothing is changed."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena_history.checks import jump
from treasury_arena_history.config import Series
from treasury_arena_history.reader import NANOSECONDS, IntArray, Rows, show
from treasury_arena_history.resample import DAY, usual_distance
from treasury_arena_history.source import converted
from treasury_arena_history.units import RATES, FloatArray, bounds_of, family_of, spell

#: Robust z-score from which a value is listed as an outlier. Hourly log returns of coins are heavy-tailed: 20 lists
#: about one hour in a thousand of the worst weeks, not every busy day.
OUTLIER_Z = 20.0
#: An hour of the day whose median is this many times the median of the other hours is told (a sampling trap).
HOUR_RATIO = 1.5
#: A run of this many equal neighbours counts as carried forward, where the file has no flag for it.
REPEAT_RUN = 2
LISTED = 10
_HOUR = 3600 * NANOSECONDS


@attrs.frozen
class Finding:
    """One thing found: `level` is ``error`` (a frame cannot be built from it) or ``warning``."""

    level: str
    what: str
    text: str


@attrs.frozen
class Survey:
    """What was found in one series: `facts` for the table and JSON, `findings` for the reader."""

    column: str
    facts: dict[str, Any]
    findings: list[Finding]


def survey(rows: Rows, series: Series) -> Survey:
    """Count and list gaps, duplicates, disorder, missing values, outliers, hour-of-day jumps and carried values."""
    found: list[Finding] = []
    order = np.argsort(rows.time, kind="stable")
    time, value = rows.time[order], converted(rows.value[order], series)
    finite = np.isfinite(value)
    facts: dict[str, Any] = {
        "file": rows.file,
        "title": rows.title,
        "rows": len(rows),
        "first": show(int(time[0])),
        "last": show(int(time[-1])),
    }
    facts.update(_order(rows, found))
    facts.update(_gaps(rows, time, found))
    facts.update(_missing(rows, found))
    _impossible(rows, series, found)
    level = elementary.log(value[finite]) if family_of(series.column) == "price" and (value[finite] > 0).all() else None
    if level is not None and series.times is None:
        whole = attrs.evolve(rows, number=rows.number[order], time=time, value=rows.value[order], filled=None)
        told = jump(whole.only(finite), value[finite], series.column)
        if told is not None:
            found.append(Finding("error", "jump", told))
    facts.update(_outliers(time[finite], value[finite], level, found))
    facts["hours_of_day"] = _hours(time[finite], value[finite], found) if level is None else []
    facts.update(_carried(rows, time, value, order, found))
    if series.unit in RATES and finite.any() and 0 < float(np.median(value[finite])) < 5e-5:
        found.append(
            Finding(
                "warning",
                "unit",
                f"the median rate is {np.median(value[finite]):.2g} a year; is it really {series.unit}?",
            )
        )
    return Survey(series.column, facts, found)


def _order(rows: Rows, found: list[Finding]) -> dict[str, Any]:
    back = np.flatnonzero(np.diff(rows.time) < 0)
    _, first = np.unique(rows.time, return_index=True)
    duplicates = len(rows) - len(first)
    if back.size:
        found.append(
            Finding("error", "order", f"rows that go back in time: {back.size}, first {rows.at(int(back[0]) + 1)}")
        )
    if duplicates:
        repeat = int(np.setdiff1d(np.arange(len(rows)), first)[0])
        found.append(Finding("error", "duplicates", f"rows that repeat a time: {duplicates}, first {rows.at(repeat)}"))
    return {"duplicates": duplicates, "out_of_order": int(back.size)}


def _gaps(rows: Rows, time: IntArray, found: list[Finding]) -> dict[str, Any]:
    usual = usual_distance(time)
    steps = np.diff(time)
    limit = 1.5 * (usual if usual is not None else float(np.median(steps)) if steps.size else 0)
    wide = np.flatnonzero(steps > limit)
    largest = int(steps.max()) if steps.size else 0
    listed = [
        {"after": show(int(time[at])), "lasts": spell(steps[at] / NANOSECONDS)}
        for at in wide[np.argsort(-steps[wide], kind="stable")][:LISTED]
    ]
    if wide.size:
        text = f"gaps: {wide.size}, the largest {listed[0]['lasts']} after {listed[0]['after']}"
        found.append(Finding("warning", "gaps", text))
    return {
        "interval": spell(usual / NANOSECONDS) if usual is not None else None,
        "gaps": int(wide.size),
        "largest_gap": spell(largest / NANOSECONDS),
        "gap_list": listed,
    }


def _missing(rows: Rows, found: list[Finding]) -> dict[str, Any]:
    bad = np.flatnonzero(~np.isfinite(rows.value))
    if bad.size:
        leading = int(np.argmax(np.isfinite(rows.value))) if bad.size < len(rows) else len(rows)
        inner = bad.size - leading
        if inner:
            at = int(bad[bad >= leading][0])
            found.append(Finding("error", "missing", f"rows without a finite value: {inner}, first {rows.at(at)}"))
        if leading:
            found.append(
                Finding(
                    "error" if leading == len(rows) else "warning",
                    "missing",
                    f"rows without a value before the first with one: {leading}",
                )
            )
    return {"missing": int(bad.size)}


def _impossible(rows: Rows, series: Series, found: list[Finding]) -> None:
    """Values that no frame accepts; a product's range is known only when the frame is built."""
    if series.times is not None:
        return
    seen = np.isfinite(rows.value)
    bounds = bounds_of(series.column, series.minimum, series.maximum)
    bad = np.flatnonzero(seen & bounds.outside(converted(rows.value, series)))
    if bad.size:
        at = int(bad[0])
        text = f"values not {bounds}: {bad.size}, first {rows.value[at]:g} {series.unit} at {rows.at(at)}"
        found.append(Finding("error", "bounds", text))


def robust_z(values: FloatArray) -> FloatArray:
    """Distance from the median in units of 1.4826 x median absolute deviation (1.2533 x mean where that is 0)."""
    centre = np.median(values)
    distance = np.abs(values - centre)
    scale = 1.4826 * float(np.median(distance)) or 1.2533 * float(distance.mean())
    return np.asarray((values - centre) / scale if scale > 0 else np.zeros_like(values))


def _outliers(time: IntArray, value: FloatArray, level: FloatArray | None, found: list[Finding]) -> dict[str, Any]:
    """Prices by log change, everything else by level."""
    if len(value) < 3:
        return {"outliers": 0, "outlier_list": []}
    looked, offset = (value, 0) if level is None else (np.diff(level), 1)
    z = robust_z(looked)
    far = np.flatnonzero(np.abs(z) > OUTLIER_Z)
    worst = far[np.argsort(-np.abs(z[far]), kind="stable")][:LISTED]
    listed = [
        {"time": show(int(time[at + offset])), "value": float(value[at + offset]), "z": round(float(z[at]), 1)}
        for at in worst
    ]
    if far.size:
        kind = "levels" if level is None else "changes"
        text = f"{kind} beyond {OUTLIER_Z:g} robust deviations: {far.size}, the largest at {listed[0]['time']}"
        found.append(Finding("warning", "outliers", f"{text} ({listed[0]['value']:.6g})"))
    return {"outliers": int(far.size), "outlier_list": listed}


def _hours(time: IntArray, value: FloatArray, found: list[Finding]) -> list[dict[str, Any]]:
    """Calendar quarters in which one hour of the day lies far above the others (a daily sample there misleads)."""
    if len(time) < 48 or float(np.median(np.diff(time))) > 6 * _HOUR:
        return []
    hours = time % DAY // _HOUR
    months = time.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    listed = []
    for quarter in np.unique(months // 3):
        inside = months // 3 == quarter
        for hour in np.unique(hours[inside]):
            this = value[inside & (hours == hour)]
            other = value[inside & (hours != hour)]
            if len(this) < 10 or not len(other):
                continue
            here, elsewhere = float(np.median(this)), float(np.median(other))
            if elsewhere > 0 and here > HOUR_RATIO * elsewhere:
                name = f"{1970 + int(quarter) // 4}-Q{int(quarter) % 4 + 1}"
                listed.append({"quarter": name, "hour": int(hour), "median": here, "other_median": elsewhere})
    for entry in listed:
        text = (
            f"in {entry['quarter']} the median at {entry['hour']:02d}:00 UTC is {entry['median']:.4g} against "
            f"{entry['other_median']:.4g} in the other hours; a daily sample at that hour misstates the series"
        )
        found.append(Finding("warning", "hour_of_day", text))
    return listed


def _carried(
    rows: Rows, time: IntArray, value: FloatArray, order: NDArray[np.int64], found: list[Finding]
) -> dict[str, Any]:
    """Share and longest stretch of rows that repeat the one before: by the file's flag, else by equal values."""
    if rows.filled is not None:
        by, mask = "flag", rows.filled[order]
    else:
        by, mask = "repeats", np.concatenate(([False], value[1:] == value[:-1]))
    starts, lengths = _runs(mask)
    if by == "repeats":
        keep = lengths >= REPEAT_RUN
        starts, lengths = starts[keep], lengths[keep]
    share = float(lengths.sum() / len(mask))
    facts: dict[str, Any] = {"carried_by": by, "carried_share": share, "carried_longest": 0, "carried_from": None}
    if lengths.size:
        at = int(np.argmax(lengths))
        facts["carried_longest"] = int(lengths[at])
        facts["carried_from"] = show(int(time[starts[at]]))
        text = f"{share:.1%} of the rows are carried forward ({by}), the longest {lengths[at]} rows from {facts['carried_from']}"
        found.append(Finding("warning", "carried", text))
    return facts


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges[::2].astype(np.int64), (edges[1::2] - edges[::2]).astype(np.int64)
