from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import ValidationError
from treasury_arena_reports.checks import check
from treasury_arena_reports.plugin import RunReporter


def spoiled(result: RunResult, change: Callable[[dict[str, Any]], None]) -> RunResult:
    fields = copy.deepcopy(attrs.asdict(result))
    change(fields)
    return RunResult(**fields)


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        at: Any = fields
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("agents", 3, "fitness", value=NAN), r"agents\[3\]\.fitness"),
        (put("agents", 3, "genome", "most", value=float("-inf")), r"agents\[3\]\.genome\.most"),
        (put("treasury", "sharpe", value=np.float64("nan")), r"treasury\.sharpe"),
        (put("series", "allocation", "pool_lent", 5, value=NAN), r"series\.allocation\.pool_lent\[5\]"),
        (put("series", "hold_eth", value=np.array([1.0, NAN])), r"series\.hold_eth\[1\]"),
        (put("capital", "costs", value="NaN"), r"capital\.costs is 'NaN'"),
        (put("capital", "final", value="a lot"), r"capital\.final is 'a lot'"),
        (put("benchmarks", "hold_eth", "final", value="Infinity"), r"benchmarks\.hold_eth\.final"),
        (put("series", "hold_eth", value=[1.0]), r"series\.hold_eth has 1 values, expected 366"),
        (put("series", "allocation", "reserve", value=[]), r"series\.allocation\.reserve has 0 values, expected 366"),
        (put("series", "treasury", 9, value=None), r"series\.treasury has no value at row 9"),
        (lambda fields: fields["series"].pop("hold_eth"), r"series has no 'hold_eth'"),
        (lambda fields: fields["capital"].pop("final"), r"no capital\.final"),
        (lambda fields: fields["agents"][2].pop("id"), r"agents\[2\] has no id"),
        (put("agents", 1, "id", value="defi-0000"), r"agents\[1\] repeats the id 'defi-0000'"),
    ],
)
def test_a_result_that_cannot_be_reported_is_refused_by_name_and_leaves_no_file(
    result: RunResult, change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    broken = spoiled(result, change)
    with pytest.raises(ValidationError, match=words):
        RunReporter().table(broken)
    with pytest.raises(ValidationError, match=words):
        RunReporter().write(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("row", [0, 365])
def test_a_date_that_is_none_is_named(result: RunResult, row: int, tmp_path: Path) -> None:
    broken = spoiled(result, put("series", "dates", row, value="yesterday"))
    with pytest.raises(ValidationError, match=rf"series\.dates\[{row}\] is 'yesterday'"):
        RunReporter().write(broken, tmp_path)


def test_a_whole_result_passes(result: RunResult) -> None:
    before = copy.deepcopy(attrs.asdict(result))
    check(result)
    assert attrs.asdict(result) == before
