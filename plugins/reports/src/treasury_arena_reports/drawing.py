"""What every figure shares: dates, thinning of long series, axes, and labels at the ends of lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import ValidationError
from treasury_arena_reports.formats import number
from treasury_arena_reports.palette import LIGHT, SETTINGS

FloatArray = NDArray[np.float64]
POINTS = 800
EPOCH = date(1970, 1, 1).toordinal()
WIDE = (9.0, 3.9)
HALF = (4.7, 3.4)


@contextmanager
def style() -> Iterator[None]:
    """Draw with the report's settings, whatever the caller's are."""
    with mpl.rc_context():
        settings: Any = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"} | SETTINGS
        mpl.rcParams.update(settings)
        yield


def blank(size: tuple[float, float], text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(size[0], 1.2))
    figure.text(0.02, 0.5, text, color=LIGHT["muted"], va="center")
    return figure


def days_of(dates: Sequence[Any], where: str) -> FloatArray:
    """Days since 1970-01-01 of ISO dates; raises ValidationError naming the row that is no date."""
    days: list[float] = []
    for row, value in enumerate(dates):
        try:
            days.append(float(date.fromisoformat(str(value)[:10]).toordinal() - EPOCH))
        except ValueError as error:
            raise ValidationError(f"{where}[{row}] is {value!r}, expected a date YYYY-MM-DD") from error
    return np.array(days)


def moments_of(dates: Sequence[Any], where: str) -> FloatArray:
    """Where moments stand among closes: the midnight that begins a day is the close of the day before.

    Cycles, births and ends are dated by the day that begins with them, a daily value by the day that closes with it.
    """
    return days_of(dates, where) - 1.0


def thin(values: Sequence[FloatArray], limit: int = POINTS) -> NDArray[np.int64]:
    """Row numbers that draw long series in about `limit` points and keep each one's first, last, lowest and highest."""
    size = len(values[0]) if values else 0
    if size <= limit:
        return np.arange(size)
    kept = [np.linspace(0, size - 1, limit).astype(np.int64)]
    kept.extend(np.array([np.argmin(v), np.argmax(v)]) for v in values)
    return np.unique(np.concatenate(kept))


def time_span(result: RunResult) -> tuple[float, float]:
    """First and last day that any figure over time draws: all of them have this range."""
    known = [days_of(result.series["dates"], "series.dates")]
    known.append(moments_of([row["date"] for row in result.cycles], "cycles.date"))
    known.append(moments_of([row["date"] for row in result.generations], "generations.date"))
    known.append(moments_of([agent["born"] for agent in result.agents if agent.get("born")], "born"))
    everything = np.concatenate(known)
    if not len(everything):
        everything = days_of([result.start, result.end], "start and end")
    return float(everything.min()), float(everything.max())


def date_axis(axes: Axes, result: RunResult) -> None:
    """Dates on the x axis, the same range on every figure of a result, also when there is one day only."""
    first, last = time_span(result)
    axes.grid(False, axis="x")
    if last <= first:
        axes.set_xlim(first - 1, last + 1)
        axes.set_xticks([first], [date.fromordinal(int(first) + EPOCH).isoformat()])
        return
    axes.set_xlim(first, last)
    ticks = _ticks(first, last)
    axes.set_xticks(ticks, _tick_labels(ticks))


def _ticks(first: float, last: float) -> list[float]:
    """Three to six whole days between two, at the beginnings of years or months where the span is long enough."""
    ends = (date.fromordinal(int(day) + EPOCH) for day in (first, last))
    low, high = (datetime(end.year, end.month, end.day, tzinfo=UTC) for end in ends)
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib types dates in part
    found = [float(tick) for tick in locator.tick_values(low, high)]  # type: ignore[no-untyped-call]
    return [tick for tick in found if first <= tick <= last and tick == int(tick)]


def _tick_labels(ticks: Sequence[float]) -> list[str]:
    """Days or months, with the year at the first one and at each that begins another year."""
    days = [date.fromordinal(int(tick) + EPOCH) for tick in ticks]
    if all((day.month, day.day) == (1, 1) for day in days) and len(days) > 1:
        return [str(day.year) for day in days]
    form = "%b" if all(day.day == 1 for day in days) else "%-d %b"
    years = [None, *(day.year for day in days)]
    return [
        day.strftime(form) + (f" {day.year}" if day.year != before else "")
        for before, day in zip(years, days, strict=False)
    ]


def value_axis(
    axes: Axes,
    values: Sequence[FloatArray],
    form: Callable[[float], str],
    bottom: float | None = None,
    least: float = 0.01,
) -> None:
    """Limits with a margin (at least `least` where all values are equal) and labels written by `form`."""
    everything = np.concatenate([np.ravel(v) for v in values]) if values else np.zeros(1)
    low, high = float(everything.min()), float(everything.max())
    if bottom is not None:
        low = min(low, bottom)
    margin = (high - low) * 0.06
    if high - low <= max(abs(high), abs(low)) * 1e-9:
        margin = max(abs(high) * 0.02, least)
    axes.set_ylim(low - (margin if bottom is None or low < bottom else 0.0), high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))


def dollars(value: float) -> str:
    """Axis label: 373k, 1.25M, 250, 0."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{number(value / size, 2).rstrip('0').rstrip('.')}{unit}"
    return number(value, 0 if abs(value) >= 10 or value == 0 else 2)


def share(value: float) -> str:
    """Axis label of a fraction."""
    return f"{number(value * 100, 2).rstrip('0').rstrip('.')}%"


def score(value: float) -> str:
    """Axis label of a training score."""
    return number(value, 2).rstrip("0").rstrip(".")


def end_labels(axes: Axes, labels: Sequence[tuple[float, str, str]], size: float = 8.5) -> None:
    """Write (height, text, colour) beside the right edge, pushed apart where they would overlap."""
    if not labels:
        return
    figure = axes.get_figure()
    height = axes.get_position().height * (figure.get_figheight() if isinstance(figure, Figure) else 1.0) * 72
    low, high = axes.get_ylim()
    gap = (high - low) * size * 1.3 / height
    ordered = sorted(labels, key=lambda label: label[0])
    places = [label[0] for label in ordered]
    for _ in range(200):
        moved = False
        for at in range(len(places) - 1):
            lack = gap - (places[at + 1] - places[at])
            if lack > gap * 1e-3:
                places[at] -= lack / 2
                places[at + 1] += lack / 2
                moved = True
        if not moved:
            break
    span = gap * (len(places) - 1)
    bottom = max(min(places[0], high - span), low) if places[0] < low or places[-1] > high else places[0]
    shift = bottom - places[0]
    for (_, text, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            text,
            (1.0, place + shift),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            size=size,
            annotation_clip=False,
        )


def place(figure: Figure, left: float = 0.62, right: float = 0.15, top: float = 0.32, bottom: float = 0.42) -> Axes:
    """One pair of axes with margins in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def unit(axes: Axes, text: str) -> None:
    """The unit of the y axis, above its top label."""
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        color=LIGHT["muted"],
        size=8.5,
    )


def title(figure: Figure, text: str, wanted: bool) -> None:
    """The message above a figure that stands alone; room is made for it by growing the figure."""
    if not wanted:
        return
    width, height = figure.get_size_inches()
    grown = height + 0.4
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 * height / grown, box.width, box.height * height / grown))
    figure.set_size_inches(width, grown)
    figure.text(0.02, 1 - 0.1 / grown, text, va="top", ha="left", size=10.5, wrap=True)
