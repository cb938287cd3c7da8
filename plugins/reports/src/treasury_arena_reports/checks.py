"""What a result must fulfil before a word or a line of it is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import ValidationError, nearest
from treasury_arena_reports.formats import decimal, plain


def check(result: RunResult) -> None:
    """Refuse a result that cannot be reported honestly.

    Raises ValidationError naming the place: a number that is not finite, money that is no decimal text, a series that is
    missing or whose length differs from that of the dates, an agent without an id or with another's.
    """
    for path, value in _leaves(attrs.asdict(result), ""):
        if isinstance(value, float | np.floating) and not math.isfinite(value):
            raise ValidationError(
                f"the result of run {result.run_id!r} holds {value} at {path}; every number must be finite, "
                "use None where a metric does not apply"
            )
    for key in ("initial", "final"):
        if key not in result.capital:
            raise ValidationError(f"the result has no capital.{key}; {nearest(key, result.capital)}")
    for key, text in result.capital.items():
        decimal(text, f"capital.{key}")
    for name, row in result.benchmarks.items():
        decimal(row.get("final"), f"benchmarks.{name}.final")
    _check_series(result)
    _check_agents(result)


def cleaned(result: RunResult) -> RunResult:
    """A copy whose texts carry no control signs, fit for terminal, HTML and SVG."""
    fields = attrs.asdict(result)
    return RunResult(**{name: _clean(value) for name, value in fields.items()})


def _check_series(result: RunResult) -> None:
    days = len(result.series.get("dates", ()))
    for name in ("treasury", *result.benchmarks):
        if name not in result.series:
            raise ValidationError(f"series has no {name!r}: {nearest(name, result.series)}")
        _check_length(f"series.{name}", result.series[name], days)
    for name, values in result.series.get("allocation", {}).items():
        _check_length(f"series.allocation.{name}", values, days)


def _check_length(path: str, values: Any, days: int) -> None:
    if len(values) != days:
        raise ValidationError(f"{path} has {len(values)} values, expected {days}, one for each of series.dates")
    if any(value is None for value in values):
        raise ValidationError(f"{path} has no value at row {list(values).index(None)}, expected a number in USD")


def _check_agents(result: RunResult) -> None:
    seen: set[str] = set()
    for row, agent in enumerate(result.agents):
        if "id" not in agent:
            raise ValidationError(f"agents[{row}] has no id; {nearest('id', agent)}")
        if agent["id"] in seen:
            raise ValidationError(f"agents[{row}] repeats the id {agent['id']!r}")
        seen.add(agent["id"])


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{at}]")
    elif isinstance(value, np.ndarray):
        yield from _leaves(value.tolist(), path)
    else:
        yield path, value


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value
