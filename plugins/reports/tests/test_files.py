from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine

from treasury_arena.arena.backtest import BacktestResult
from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import DataError, ValidationError
from treasury_arena_reports import load_results
from treasury_arena_reports.files import results_json


def test_what_is_written_reads_back_equal_with_the_display_order(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(results_json(result), encoding="utf-8")
    again = load_results(path)
    assert attrs.asdict(again) == attrs.asdict(result)
    assert list(again.benchmarks) == list(result.benchmarks)
    assert results_json(again) == results_json(result)


def test_the_text_is_canonical(result: RunResult) -> None:
    text = results_json(result)
    content = json.loads(text)
    assert content["schema"] == 2
    assert text == json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n"
    turned = attrs.evolve(result, capital=dict(reversed(result.capital.items())))
    assert results_json(turned) == text


def test_numpy_numbers_are_numbers(make: Any) -> None:
    given = make(counts={"births": np.int64(4)}, timings={"seconds": np.float32(1.5)})
    content = json.loads(results_json(given))
    assert content["counts"] == {"births": 4}
    assert content["timings"] == {"seconds": 1.5}


def test_what_json_cannot_say_is_refused(make: Any) -> None:
    with pytest.raises(ValidationError, match="a set, which JSON cannot say"):
        results_json(make(data={"source": {1, 2}}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 3}, "expected an object with schema 2, found 3"),
        ({"schema": 1}, "schema 2, found 1; `arena resume` of the run writes the file anew"),
        ({"trails": 4}, "unknown key 'trails', did you mean 'trials'"),
        ({"trials": "many"}, "'trials' must be of type int, not str"),
        ({"benchmark_order": ["hold_eth"]}, "'benchmark_order' must list each of"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(
    result: RunResult, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**json.loads(results_json(result)), **change}), encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        load_results(path)
    assert str(path) in str(caught.value)


def test_a_missing_key_is_named(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    content = json.loads(results_json(result))
    del content["digest"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="the key 'digest' is missing"):
        load_results(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ('{"schema": NaN}', "holds NaN"),
        ("[]", "found 'list'"),
        (b"\xff\xfe", "not valid JSON"),
    ],
)
def test_what_is_no_result_is_refused(text: str | bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=words):
        load_results(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read \(No such file"):
        load_results(tmp_path / "nowhere.json")


def test_a_file_without_display_order_is_read(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(result.to_dict()), encoding="utf-8")
    assert attrs.asdict(load_results(path)) == attrs.asdict(result)


def test_a_file_of_before_stops_and_failures_were_told_can_still_be_read(result: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    content = {k: v for k, v in json.loads(results_json(result)).items() if k not in ("stops", "failures")}
    path.write_text(json.dumps(content), encoding="utf-8")
    again = load_results(path)
    assert (again.stops, again.failures) == ([], [])


def test_the_curves_of_a_result_are_those_of_a_backtest(result: RunResult) -> None:
    """A frame with `.plot`, and `.plot()` on the result; called, as they had to be once, they are the same."""
    assert list(result.curves.columns) == ["treasury", *result.benchmarks]
    assert [f"{day:%Y-%m-%d}" for day in result.curves.index[[0, 1, -1]]] == ["2023-12-31", result.start, result.end]
    assert result.curves().equals(result.curves)
    assert result.curves.tail(2)["treasury"].tolist() == result.series["treasury"][-2:]
    with mpl.rc_context({"backend": "agg"}):
        for axes in (result.plot(), result.curves.plot()):
            assert [line.get_label() for line in axes.get_lines()] == list(result.curves.columns)


def test_a_plot_has_a_title_and_a_unit_and_is_saved_whole(result: RunResult, tmp_path: Path) -> None:
    backtest = BacktestResult(result.curves, result.agent_table(), 1, 1.0)
    with mpl.rc_context({"backend": "agg"}):
        for drawn, title in ((result, "history: treasury and benchmarks"), (backtest, "Backtest of 120 agents and")):
            axes = drawn.plot()
            axes.figure.savefig(tmp_path / "curves.png")
            assert axes.get_title().startswith(title)
            assert axes.get_ylabel() == "USD"
            whole = axes.figure.bbox
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels()):
                box = text.get_window_extent()
                assert box.x0 >= 0, text
                assert box.y0 >= 0, text
                assert box.x1 <= whole.width, text
                assert box.y1 <= whole.height, text
        (first, *_) = result.plot(subplots=True, title="mine", ylabel="dollars")
        assert first.get_ylabel() == "dollars"
        assert first.figure.get_suptitle() == "mine"
        own = result.plot().figure.add_axes((0.1, 0.1, 0.2, 0.2))
        own.figure.set_layout_engine("none")
        assert result.plot(ax=own) is own
        assert not isinstance(own.figure.get_layout_engine(), ConstrainedLayoutEngine)
