"""`arena data check`: what it finds, how it says so, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from treasury_arena.cli.main import execute
from treasury_arena.domain.frame import Window
from treasury_arena.errors import DataError
from treasury_arena_history.command import data
from treasury_arena_history.survey import OUTLIER_Z, robust_z

if TYPE_CHECKING:
    from .conftest import Bench

HOUR = 3600
START = 1_704_067_200
SERIES = """
[[source.history.series]]
column = "{column}"
file = "p.parquet"
value = "close"
unit = "{unit}"
label = "known"
"""
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def go(*options: str, column: str = "WETH.price", unit: str = "usd", text: str = "") -> tuple[int, dict[str, Any]]:
        config = tmp_path / "c.toml"
        config.write_text(text or SERIES.format(column=column, unit=unit))
        code = execute(["data", "check", str(config), "--data", str(bench.data), "--json", *options])
        told = capsys.readouterr()
        document = json.loads(told.out)
        if code == 2:
            assert document["exit_code"] == 2
            assert document["error"] in told.err
        else:
            assert told.err == ""
        return code, document

    return go


def walk(rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A price whose log changes are +-1% in turn with slowly growing size: no outliers, no repeats."""
    return np.asarray(np.exp(np.cumsum(0.01 * (-1.0) ** np.arange(rows) * (1 + np.arange(rows) / rows))) * 2000)


def levels(document: dict[str, Any]) -> dict[str, str]:
    return {finding["what"]: finding["level"] for finding in document["series"][0]["findings"]}


def test_clean_rows_have_no_findings(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", walk(200))
    code, document = run()
    assert code == 0
    assert document["ok"] is True
    entry = document["series"][0]
    assert entry["findings"] == []
    assert (entry["rows"], entry["interval"], entry["gaps"]) == (200, "1h", 0)
    assert (entry["first"], entry["last"]) == ("2024-01-01 00:00 UTC", "2024-01-09 07:00 UTC")


def test_gaps_are_warned_of_with_the_largest_first(bench: Bench, run: Run) -> None:
    times = [START + HOUR * row for row in range(200) if row not in (50, 100, 101, 102)]
    bench.parquet("p.parquet", walk(196), times)
    code, document = run()
    assert code == 0
    assert levels(document) == {"gaps": "warning"}
    entry = document["series"][0]
    assert entry["gaps"] == 2
    assert entry["gap_list"] == [
        {"after": "2024-01-05 03:00 UTC", "lasts": "4h"},
        {"after": "2024-01-03 01:00 UTC", "lasts": "2h"},
    ]


def test_duplicates_and_disorder_are_errors(bench: Bench, run: Run) -> None:
    times = [START + HOUR * row for row in range(100)]
    times[10], times[40], times[41] = times[9], times[41], times[40]
    bench.parquet("p.parquet", walk(100), times)
    code, document = run()
    assert code == 1
    assert document["ok"] is False
    assert {"order": "error", "duplicates": "error"}.items() <= levels(document).items()
    entry = document["series"][0]
    assert (entry["duplicates"], entry["out_of_order"]) == (1, 1)
    texts = " ".join(finding["text"] for finding in entry["findings"])
    assert "first row 10 (2024-01-01 09:00 UTC)" in texts
    assert "first row 41 (2024-01-02 16:00 UTC)" in texts


def test_missing_values_inside_are_errors_and_leading_ones_warnings(bench: Bench, run: Run) -> None:
    values = walk(100)
    values[:2] = np.nan
    bench.parquet("p.parquet", values)
    code, document = run()
    assert (code, levels(document), document["series"][0]["missing"]) == (0, {"missing": "warning"}, 2)
    values[50] = np.inf
    bench.parquet("p.parquet", values)
    code, document = run()
    assert (code, document["series"][0]["missing"]) == (1, 3)
    assert "rows without a finite value: 1, first row 50 (2024-01-03 02:00 UTC)" in str(document)


def test_a_price_at_or_below_zero_is_an_error(bench: Bench, run: Run) -> None:
    values = walk(100)
    values[30] = 0.0
    bench.parquet("p.parquet", values)
    code, document = run()
    assert code == 1
    assert levels(document)["bounds"] == "error"
    assert "row 30 (2024-01-02 06:00 UTC)" in str(document)


def test_a_spike_is_listed_as_two_changes_with_time(bench: Bench, run: Run) -> None:
    values = walk(300)
    values[77] *= 3
    bench.parquet("p.parquet", values)
    code, document = run()
    assert (code, levels(document)) == (0, {"outliers": "warning"})
    times = {entry["time"] for entry in document["series"][0]["outlier_list"]}
    assert times == {"2024-01-04 05:00 UTC", "2024-01-04 06:00 UTC"}


def test_a_rate_is_judged_by_its_level(bench: Bench, run: Run) -> None:
    values = 4 + walk(300) / 2000
    values[100] = 60.0
    bench.parquet("p.parquet", values)
    _, document = run(column="USDC.lending_rate", unit="percent_apr")
    (outlier,) = document["series"][0]["outlier_list"]
    assert outlier["time"] == "2024-01-05 04:00 UTC"
    assert outlier["value"] == pytest.approx(0.6)


def test_the_robust_score_at_both_sides_of_the_limit() -> None:
    # Median 0 and median absolute deviation 1, whatever the far value is.
    body = np.array([-1.0, 1.0] * 50 + [0.0])
    limit = OUTLIER_Z * 1.4826
    for far, beyond in ((limit * 0.999, False), (limit * 1.001, True)):
        z = robust_z(np.concatenate((body, [far, -far])))
        assert bool(z[-2] > OUTLIER_Z) is beyond
    assert robust_z(np.full(9, 3.0)).tolist() == [0.0] * 9
    assert robust_z(np.array([0.0] * 99 + [1.0]))[-1] > OUTLIER_Z


def test_carried_rows_are_counted_by_the_flag_or_by_repeats(bench: Bench, run: Run) -> None:
    values = walk(100)
    values[20:25] = values[19]
    values[60] = values[59]
    bench.parquet("p.parquet", values)
    _, document = run()
    entry = document["series"][0]
    assert (entry["carried_by"], entry["carried_share"], entry["carried_longest"]) == ("repeats", 0.05, 5)
    assert entry["carried_from"] == "2024-01-01 20:00 UTC"
    flags = np.zeros(100, dtype=bool)
    flags[10:13] = True
    bench.parquet("p.parquet", values, is_forward_filled=flags)
    _, document = run()
    entry = document["series"][0]
    assert (entry["carried_by"], entry["carried_share"], entry["carried_longest"]) == ("flag", 0.03, 3)


def test_an_hour_of_the_day_far_above_the_others_is_told(bench: Bench, run: Run) -> None:
    values = 5 + walk(24 * 60) / 2000
    values[::24] = 14.0
    bench.parquet("p.parquet", values)
    _, document = run(column="USDC.lending_rate", unit="percent_apr")
    (found,) = document["series"][0]["hours_of_day"]
    assert (found["quarter"], found["hour"], found["median"]) == ("2024-Q1", 0, pytest.approx(0.14))


def test_a_rate_far_too_low_for_its_unit_is_told(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", 0.004 * walk(100) / 2000)
    _, document = run(column="USDC.lending_rate", unit="percent_apr")
    assert levels(document)["unit"] == "warning"


def test_an_unreadable_file_is_an_error_beside_the_others(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", walk(100))
    second = SERIES.format(column="WBTC.price", unit="usd").replace("p.parquet", "q.parquet")
    code, document = run(text=SERIES.format(column="WETH.price", unit="usd") + second)
    assert code == 1
    assert document["series"][0]["findings"] == []
    assert "did you mean 'p.parquet'?" in document["series"][1]["findings"][0]["text"]


def test_with_a_period_the_frame_itself_is_tried(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", walk(24 * 5))
    code, document = run("--start", "2024-01-02", "--end", "2024-01-03")
    assert (code, document["frame"]["rows"], document["series"][0]["rows"]) == (0, 48, 48)
    code, document = run("--start", "2024-01-02", "--end", "2024-01-31")
    assert code == 1
    assert "covers 2024-01-01 00:00 UTC to 2024-01-05 23:00 UTC" in document["frame"]["error"]
    code, document = run("--start", "2024-01-02", "--end", "2024-01-01")
    assert (code, "before the first" in document["error"]) == (2, True)


@pytest.mark.parametrize(("day", "found"), [(7, False), (8, True), (14, True), (15, True), (19, True), (20, False)])
def test_the_training_window_and_the_run_are_looked_at_and_nothing_else(
    bench: Bench, run: Run, day: int, found: bool
) -> None:
    """A run from the 15th to the 19th with seven days of training: the files reach from the 1st to the 24th."""
    values = walk(24 * 24)
    values[24 * (day - 1) + 12] = -1.0
    bench.parquet("p.parquet", values)
    dates = 'start = "2024-01-15"\nend = "2024-01-19"\n[population]\ntraining_days = 7\n'
    code, document = run(text=dates + SERIES.format(column="WETH.price", unit="usd"))
    assert code == (1 if found else 0), document
    assert ("bounds" in levels(document)) is found
    assert (document["frame"].get("error") is not None) is found


def test_files_that_lack_the_training_window_are_told(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", walk(24 * 24))
    for training, code in ((14, 0), (15, 1)):
        dates = f'start = "2024-01-15"\nend = "2024-01-19"\n[population]\ntraining_days = {training}\n'
        found, document = run(text=dates + SERIES.format(column="WETH.price", unit="usd"))
        assert found == code, document
    assert "covers 2024-01-01 00:00 UTC to 2024-01-24 23:00 UTC" in document["frame"]["error"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = ", "nvalid value"),
        ("[source]\nname = 'history'\n", "history"),
        (SERIES.format(column="WETH.price", unit="dollars"), "unknown unit 'dollars'"),
        (SERIES.format(column="WETH.price", unit="usd") + "lable = 'open'\n", "label"),
    ],
)
def test_a_wrong_configuration_is_exit_code_two(run: Run, text: str, says: str) -> None:
    code, document = run(text=text)
    assert code == 2
    assert says in document["error"]
    assert "Traceback" not in document["error"]


def test_no_data_folder_is_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    config.write_text(SERIES.format(column="WETH.price", unit="usd"))
    for options, says in (([], "--data DIR"), (["--data", str(tmp_path / "none")], "does not exist")):
        assert execute(["data", "check", str(config), *options]) == 2
        told = capsys.readouterr()
        assert told.err.startswith("arena: ")
        assert says in told.err


def test_the_plain_report_names_series_and_verdict(bench: Bench, tmp_path: Path) -> None:
    bench.parquet("p.parquet", walk(100))
    config = tmp_path / "c.toml"
    constant = '[[source.history.series]]\ncolumn = "USDC.price"\nconstant = 1.0\nunit = "usd"\n'
    config.write_text(SERIES.format(column="WETH.price", unit="usd") + constant)
    result = CliRunner().invoke(data, ["check", str(config), "--data", str(bench.data)])
    assert result.exit_code == 0
    assert "WETH.price: p.parquet column 'close'" in result.stdout
    assert "100 rows, 2024-01-01 00:00 UTC to 2024-01-05 03:00 UTC, every 1h" in result.stdout
    assert "USDC.price: constant 1" in result.stdout
    assert result.stdout.endswith("usable\n")


def test_the_plain_report_tells_findings_and_a_frame_that_fails(bench: Bench, tmp_path: Path) -> None:
    bench.csv(
        "p.csv",
        "timestamp,close,is_forward_filled\n"
        + "".join(
            f"2024-01-0{1 + row // 24}T{row % 24:02d}:00:00Z,{100 + row % 7},{str(row in (5, 6)).lower()}\n"
            for row in range(48)
        ),
    )
    config = tmp_path / "c.toml"
    config.write_text(SERIES.format(column="WETH.price", unit="usd").replace("p.parquet", "p.csv"))
    options = ["check", str(config), "--data", str(bench.data)]
    result = CliRunner().invoke(data, options)
    assert result.exit_code == 0
    assert (
        "warning: 4.2% of the rows are carried forward (flag), the longest 2 rows from 2024-01-01 05:00 UTC"
        in result.stdout
    )
    result = CliRunner().invoke(data, [*options, "--start", "2024-01-01", "--end", "2024-01-02"])
    assert result.exit_code == 0
    assert "the period gives 48 rows of 1 columns" in result.stdout
    result = CliRunner().invoke(data, [*options, "--start", "2024-01-02", "--end", "2024-01-05"])
    assert result.exit_code == 1
    assert "error: p.csv: column 'close' covers" in result.stdout
    assert result.stdout.endswith("not usable: see the errors above\n")


def test_a_period_without_rows_is_an_error(bench: Bench, run: Run) -> None:
    bench.parquet("p.parquet", walk(100))
    code, document = run("--start", "2020-01-01", "--end", "2020-02-01")
    assert code == 1
    assert "has no rows in the period" in document["series"][0]["findings"][0]["text"]


def test_a_file_that_cannot_be_run_yet_is_looked_at_without_the_warm_up_and_that_is_said(
    bench: Bench, tmp_path: Path
) -> None:
    """Training and run, the close of the last day included. What a run of a whole file reads is tested beside the run."""
    bench.parquet("p.parquet", walk(24 * 24 + 1))
    config = tmp_path / "c.toml"
    period = 'start = "2024-01-15"\nend = "2024-01-24"\n[population]\ntraining_days = 14\n'
    config.write_text(period + SERIES.format(column="WETH.price", unit="usd"))
    result = CliRunner().invoke(data, ["check", str(config), "--data", str(bench.data)])
    assert result.exit_code == 0
    assert "gives 577 rows of 1 columns, 2024-01-01 00:00 UTC to 2024-01-25 00:00 UTC" in result.stdout
    assert "note: the configuration cannot be run as it is, so how far its strategies look back" in result.stdout
    explicit = CliRunner().invoke(data, ["check", str(config), "--data", str(bench.data), "--start", "2024-01-02"])
    assert "note: " not in explicit.stdout


def test_a_price_that_no_run_accepts_is_an_error_in_the_same_words(bench: Bench, run: Run, price: Any) -> None:
    values = walk(300)
    values[77] = 999_999.0
    bench.parquet("p.parquet", values)
    sentence = (
        f"p.parquet: column 'close' takes 'WETH.price' from {values[76]:g} at row 76 (2024-01-04 04:00 UTC) to 999999 at row 77 "
        "(2024-01-04 05:00 UTC): no price moves by more than 100 times from one row to the next"
    )
    code, document = run()
    (finding,) = [found for found in document["series"][0]["findings"] if found["what"] == "jump"]
    assert (code, finding["level"], finding["text"]) == (1, "error", sentence)
    code, document = run("--start", "2024-01-02", "--end", "2024-01-10")
    assert (code, document["frame"]["error"]) == (1, sentence)
    with pytest.raises(DataError) as refused:
        bench.source(price()).fetch(Window(START + 86_400, START + 10 * 86_400))
    assert str(refused.value) == sentence
