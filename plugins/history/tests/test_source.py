"""Frames built from files: values, times, products, and every refusal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.clock import from_epoch
from treasury_arena.domain.frame import Window
from treasury_arena.errors import DataError
from treasury_arena_history.config import Series

if TYPE_CHECKING:
    from .conftest import Bench

HOUR = 3600
DAY = 86_400
START = 1_704_067_200  # 2024-01-01
Price = Callable[..., Series]


def hours(low: int, high: int) -> Window:
    return Window(START + low * HOUR, START + high * HOUR)


def test_a_value_known_at_its_label_stands_at_its_label(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0, 4.0])
    frame = bench.source(price()).fetch(hours(1, 4))
    assert frame.start == START + HOUR
    assert frame["WETH.price"].tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("keys", [{}, {"bar": "1h"}])
def test_a_bar_stands_at_its_closing_time(bench: Bench, price: Price, keys: dict[str, str]) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0, 4.0])
    frame = bench.source(price(label="open", **keys)).fetch(hours(1, 5))
    assert frame["WETH.price"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_delay_moves_the_value_to_the_next_hour(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0, 4.0])
    frame = bench.source(price(delay="12s")).fetch(hours(1, 4))
    assert frame["WETH.price"].tolist() == [1.0, 2.0, 3.0]


def test_a_daily_average_is_known_when_the_day_has_ended(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [2000.0] * 72)
    bench.parquet("gas.parquet", [10.0, 20.0, 30.0], [START, START + DAY, START + 2 * DAY])
    gas = price(
        column="gas.usd",
        file="gas.parquet",
        unit="gwei",
        gas_units=180_000,
        times="WETH.price",
        label="day_open",
        resample="forward",
    )
    frame = bench.source(gas, price()).fetch(hours(24, 72))
    assert frame["gas.usd"] == pytest.approx([10e-9 * 180_000 * 2000] * 24 + [20e-9 * 180_000 * 2000] * 24)
    assert list(frame.columns) == ["gas.usd", "WETH.price"]


@pytest.mark.parametrize(("rule", "expected"), [("last", 4.0), ("mean", 2.5), ("max", 4.0), ("min", 1.0)])
def test_finer_rows_become_one_value_an_hour(bench: Bench, price: Price, rule: str, expected: float) -> None:
    bench.parquet("p.parquet", [9.0, 1.0, 3.0, 2.0, 4.0], [START + 900 * quarter for quarter in range(5)])
    assert bench.source(price(resample=rule)).fetch(hours(1, 2))["WETH.price"].tolist() == [expected]


def test_a_sum_adds_the_rows_of_the_hour_only(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [9.0, 1.0, 3.0, 2.0, 4.0], [START + 900 * quarter for quarter in range(5)])
    volume = price(column="WETH.volume", resample="sum")
    assert bench.source(volume).fetch(hours(1, 2))["WETH.volume"].tolist() == [10.0]


def test_a_value_can_be_scaled_after_its_unit_and_its_inversion(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [2000.0, 2100.0])
    plain = bench.source(price(column="X.volume", unit="usd")).fetch(hours(0, 2))["X.volume"]
    scaled = bench.source(price(column="X.volume", unit="usd", scale=0.25)).fetch(hours(0, 2))["X.volume"]
    assert scaled.tolist() == [0.25 * value for value in plain]
    inverted = bench.source(price(column="X.liquidity", unit="ratio", invert=True, scale=10.0)).fetch(hours(0, 2))
    assert inverted["X.liquidity"].tolist() == [10.0 * (1.0 / value) for value in plain]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_is_positive_and_finite(price: Price, scale: float) -> None:
    with pytest.raises(ValueError, match=r"scale is .*; expected a positive finite number"):
        price(scale=scale)


def test_a_tick_price_can_be_inverted(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", pa.array([-3, 5], pa.int64()))
    frame = bench.source(price(column="USDT.price", unit="tick", invert=True)).fetch(hours(0, 2))
    assert frame["USDT.price"] == pytest.approx([1.0001**3, 1.0001**-5], rel=1e-12)


def test_a_constant_column_and_a_product_of_columns(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [2000.0, 2100.0])
    staked = price(
        column="wstETH.price", file=None, value=None, label=None, constant=1.15, unit="ratio", times="WETH.price"
    )
    frame = bench.source(staked, price()).fetch(hours(0, 2))
    assert frame["wstETH.price"] == pytest.approx([2300.0, 2415.0])


def test_rows_are_chosen_by_condition(bench: Bench, price: Price) -> None:
    symbols, pools = ["A", "B"] * 3, [500, 3000] * 3
    times = [START + HOUR * (row // 2) for row in range(6)]
    bench.parquet("p.parquet", [1.0, 10.0, 2.0, 20.0, 3.0, 30.0], times, symbol=symbols, fee=pools)
    assert bench.source(price(where={"symbol": "B"})).fetch(hours(0, 3))["WETH.price"].tolist() == [10.0, 20.0, 30.0]
    assert bench.source(price(where={"fee": 500})).fetch(hours(0, 3))["WETH.price"].tolist() == [1.0, 2.0, 3.0]


CSV = "timestamp,symbol,close\n2024-01-01T00:00:00Z,A,1.5\n2024-01-01T01:00:00Z,A,2.5\n2024-01-01T02:00:00Z,A,3.5\n"


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n"), CSV.replace("Z", "+00:00")])
def test_a_csv_file_reads_like_parquet(bench: Bench, price: Price, text: str) -> None:
    bench.csv("p.csv", text)
    frame = bench.source(price(file="p.csv", where={"symbol": "A"})).fetch(hours(0, 3))
    assert frame["WETH.price"].tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("form", "stamps"),
    [
        ("naive_utc", ["2024-01-01 00:00:00", "2024-01-01 01:00"]),
        ("s", [str(START), str(START + HOUR)]),
        ("ms", [f"{START}000", f"{START + HOUR}000"]),
    ],
)
def test_declared_time_formats(bench: Bench, price: Price, form: str, stamps: list[str]) -> None:
    bench.csv("p.csv", "timestamp,close\n" + "".join(f"{stamp},{7 + row}\n" for row, stamp in enumerate(stamps)))
    frame = bench.source(price(file="p.csv", time_format=form)).fetch(hours(0, 2))
    assert frame["WETH.price"].tolist() == [7.0, 8.0]


def test_epoch_numbers_and_naive_times_in_parquet(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [7.0, 8.0], epoch=[START, START + HOUR])
    assert bench.source(price(time="epoch", time_format="s")).fetch(hours(0, 2))["WETH.price"].tolist() == [7.0, 8.0]
    bench.parquet("n.parquet", [7.0, 8.0], zone=None)
    frame = bench.source(price(file="n.parquet", time_format="naive_utc")).fetch(hours(0, 2))
    assert frame["WETH.price"].tolist() == [7.0, 8.0]


def refuse(bench: Bench, window: Window, *series: Series, data: bool = True) -> str:
    with pytest.raises(DataError) as told:
        bench.source(*series, data=data).fetch(window)
    sentence = str(told.value)
    assert "\n" not in sentence
    return sentence


def test_a_missing_data_folder_is_refused(bench: Bench, price: Price) -> None:
    assert "--data DIR" in refuse(bench, hours(0, 1), price(), data=False)


def test_a_missing_file_gets_the_nearest_name(bench: Bench, price: Price) -> None:
    bench.parquet("prices.parquet", [1.0])
    sentence = refuse(bench, hours(0, 1), price(file="price.parquet"))
    assert sentence.startswith("price.parquet is not in the data folder")
    assert sentence.endswith("did you mean 'prices.parquet'?")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_parquet_file_is_refused(bench: Bench, price: Price, share: float) -> None:
    path = bench.parquet("p.parquet", list(np.linspace(1, 2, 500)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    sentence = refuse(bench, hours(0, 1), price())
    assert sentence.startswith("p.parquet is ")
    assert "empty (0 bytes)" in sentence or "not a readable parquet file (truncated or damaged?)" in sentence


def test_a_parquet_file_of_noise_or_without_rows_is_refused(bench: Bench, price: Price) -> None:
    (bench.data / "p.parquet").write_bytes(b"PAR1" + bytes(range(200)) + b"PAR1")
    assert "not a readable parquet file" in refuse(bench, hours(0, 1), price())
    bench.parquet("p.parquet", pa.array([], pa.float64()))
    assert refuse(bench, hours(0, 1), price()) == "p.parquet has no rows"


def test_text_of_a_parquet_file_that_is_no_utf_8_is_refused(bench: Bench, price: Price) -> None:
    raw = pa.array([b"\xbbB", b"\xbbB"], pa.binary())
    symbols = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    bench.parquet("p.parquet", [1.0, 2.0], symbol=symbols)
    sentence = refuse(bench, hours(0, 1), price(where={"symbol": "A"}))
    assert sentence.startswith("p.parquet: columns timestamp, close, symbol cannot be read: ")
    assert "UTF8" in sentence


def test_a_pinned_file_must_have_its_content(bench: Bench, price: Price) -> None:
    path = bench.parquet("p.parquet", [1.0])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert bench.source(price(sha256=digest)).fetch(hours(0, 1)).rows == 1
    bench.parquet("p.parquet", [2.0])
    assert f"was declared for {digest}" in refuse(bench, hours(0, 1), price(sha256=digest))


@pytest.mark.parametrize("kind", ["p.csv", "p.parquet"])
def test_damage_anywhere_gives_a_frame_or_one_sentence(bench: Bench, price: Price, kind: str) -> None:
    lines = "".join(f"2024-01-01T{row:02d}:00:00Z,A,{100 + row}\n" for row in range(24))
    bench.csv("p.csv", "timestamp,symbol,close\n" + lines)
    bench.parquet("p.parquet", np.linspace(100, 200, 24), symbol=["A"] * 24)
    content = (bench.data / kind).read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=5), st.integers(0, 400))
    def damage(changes: list[tuple[int, int]], cut: int) -> None:
        hurt = bytearray(content)
        for place, byte in changes:
            hurt[place] = byte
        (bench.data / kind).write_bytes(bytes(hurt[: len(hurt) - max(cut - 200, 0)]))
        series = price(file=kind, where={"symbol": "A"}, max_age="2h")
        sentence, lowest = "", 1.0
        try:
            lowest = float(bench.source(series).fetch(hours(0, 24))["WETH.price"].min())
        except DataError as error:
            sentence = str(error)
        assert sentence == "" or sentence.startswith(kind)
        assert "\n" not in sentence
        assert lowest > 0

    damage()


def test_another_kind_of_file_is_refused(bench: Bench, price: Price) -> None:
    (bench.data / "p.feather").write_bytes(b"x")
    assert refuse(bench, hours(0, 1), price(file="p.feather")) == "p.feather: a history file is .parquet or .csv"


@pytest.mark.parametrize(
    ("keys", "ends"),
    [
        (
            {"value": "closes"},
            "asked for by 'WETH.price': did you mean 'close'? Declare `value`, the column that holds the values",
        ),
        (
            {"time": "timestmp"},
            "has no column 'timestmp', asked for by 'WETH.price': did you mean 'timestamp'? Declare `time = \"timestamp\"`",
        ),
        (
            {"where": {"simbol": "A"}},
            "has no column 'simbol', asked for by 'WETH.price': did you mean 'symbol'? Its name is a key of `where`",
        ),
        ({"where": {"symbol": "ETHUSD"}}, "has no row where symbol = ETHUSD: did you mean 'ETHUSDT'?"),
        ({"where": {"close": "cheap"}}, "column 'close' holds double, which cannot be compared with 'cheap'"),
    ],
)
def test_unknown_names_get_the_nearest(bench: Bench, price: Price, keys: dict[str, Any], ends: str) -> None:
    bench.parquet("p.parquet", [1.0, 2.0], symbol=["ETHUSDT", "ETHUSDT"])
    assert refuse(bench, hours(0, 1), price(**keys)).endswith(ends)


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_value_that_is_not_finite_is_refused_with_row_and_time(
    bench: Bench, price: Price, bad: float, shown: str
) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, bad, 4.0])
    sentence = refuse(bench, hours(0, 4), price())
    assert sentence.startswith(f"p.parquet: column 'close' is {shown} at row 2 (2024-01-01 02:00 UTC)")
    assert "'WETH.price'" in sentence
    assert bench.source(price()).fetch(hours(0, 2)).rows == 2


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e12])
def test_an_impossible_price_is_refused(bench: Bench, price: Price, bad: float) -> None:
    bench.parquet("p.parquet", [1.0, bad])
    sentence = refuse(bench, hours(0, 2), price())
    assert "at row 1 (2024-01-01 01:00 UTC)" in sentence
    assert "expected above 0 and at most 1e+09" in sentence


def test_percent_declared_as_fraction_is_refused_and_can_be_allowed(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [0.04, 4.0])
    rate = {"column": "USDC.lending_rate", "unit": "apr"}
    assert "is the unit really apr?" in refuse(bench, hours(0, 2), price(**rate))
    assert bench.source(price(**rate, maximum=4.0)).fetch(hours(0, 2))["USDC.lending_rate"].tolist() == [0.04, 4.0]
    assert "expected at least 0 and at most 3.9" in refuse(bench, hours(0, 2), price(**rate, maximum=3.9))


def test_a_gas_price_of_zero_is_refused(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [2000.0, 2000.0])
    bench.parquet("gas.parquet", [10.0, 0.0])
    gas = price(column="gas.usd", file="gas.parquet", unit="gwei", gas_units=1e5, times="WETH.price")
    assert "gas.parquet: column 'close' is 0 at row 1" in refuse(bench, hours(0, 2), gas, price())


def test_a_product_out_of_range_is_refused(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1e6, 1e6])
    ratio = price(column="X.price", file=None, value=None, label=None, constant=1e6, unit="ratio", times="WETH.price")
    assert refuse(bench, hours(0, 2), price(), ratio).startswith(
        "the constant makes 'X.price' 1e+12 at 2024-01-01 00:00 UTC"
    )


def test_duplicates_are_refused(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0], [START, START + HOUR, START + HOUR])
    sentence = refuse(bench, hours(0, 1), price())
    assert "two rows of one time: row 1 and row 2 (2024-01-01 01:00 UTC)" in sentence


def test_unsorted_rows_are_refused(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0], [START, START + 2 * HOUR, START + HOUR])
    assert "not in order of time: row 2 (2024-01-01 01:00 UTC) comes after row 1" in refuse(bench, hours(0, 1), price())


@pytest.mark.parametrize(
    ("zone", "says"), [(None, "times without a zone"), ("Europe/London", "time zone Europe/London, expected UTC")]
)
def test_naive_and_other_time_zones_are_refused(bench: Bench, price: Price, zone: str | None, says: str) -> None:
    bench.parquet("p.parquet", [1.0, 2.0], zone=zone)
    assert says in refuse(bench, hours(0, 1), price())


@pytest.mark.parametrize(
    ("unfit", "says"),
    [
        (["1.0", "2.0"], "column 'close' holds string, expected numbers for 'WETH.price'"),
        ([True, False], "column 'close' holds bool, expected numbers for 'WETH.price'"),
    ],
)
def test_a_wrong_type_is_refused(bench: Bench, price: Price, unfit: list[Any], says: str) -> None:
    bench.parquet("p.parquet", unfit)
    assert says in refuse(bench, hours(0, 1), price())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "p.csv is empty (0 bytes)"),
        ("timestamp,close\n", "p.csv has a header and no rows"),
        ("timestamp,close,close\n1,2,3\n", "names column 'close' more than once"),
        ("timestamp, close\n1,2\n", "column 2 of the header is named ' close'"),
        ("timestamp,,close\n1,2,3\n", "column 2 of the header is named ''"),
        ("1704067200,2.0\n1704070800,3.0\n", "line 1 (1704067200, 2.0) is not a header"),
        ("timestamp;close\n1;2\n", "p.csv has no column 'timestamp'"),
        (CSV.replace("2.5", "2,5"), "p.csv is not a readable CSV file"),
        (CSV.replace("2.5", "n/a"), "p.csv: column 'close' is 'n/a' at line 3, expected a number"),
        (CSV.replace("2.5", ""), "p.csv: column 'close' is nan at line 3 (2024-01-01 01:00 UTC)"),
        (CSV.replace("Z", ""), "column 'timestamp' is '2024-01-01T00:00:00' at line 2, which is not marked as UTC"),
        (CSV.replace("01:00:00Z", "01:00:00+02:00"), "at line 3, which is not marked as UTC"),
        (
            CSV.replace("2024-01-01T01", "2024-13-01T01"),
            "is '2024-13-01T01:00:00Z' at line 3, expected an ISO 8601 time",
        ),
    ],
)
def test_a_bad_csv_file_is_refused(bench: Bench, price: Price, text: str, says: str) -> None:
    bench.csv("p.csv", text)
    assert says in refuse(bench, hours(0, 3), price(file="p.csv"))


def test_conditions_on_categories_and_flags(bench: Bench, price: Price) -> None:
    times = [START + HOUR * (row // 2) for row in range(4)]
    kind = pa.array(["A", "B"] * 2).dictionary_encode()
    bench.parquet("p.parquet", [1.0, 10.0, 2.0, 20.0], times, kind=kind, live=[True, False] * 2)
    assert bench.source(price(where={"kind": "B"})).fetch(hours(0, 2))["WETH.price"].tolist() == [10.0, 20.0]
    assert bench.source(price(where={"live": "true"})).fetch(hours(0, 2))["WETH.price"].tolist() == [1.0, 2.0]
    assert "which cannot be compared with 'yes'" in refuse(bench, hours(0, 2), price(where={"live": "yes"}))


def test_decimals_and_whole_numbers_are_numbers(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal128(10, 2)), whole=[3, 4])
    assert bench.source(price()).fetch(hours(0, 2))["WETH.price"].tolist() == [1.5, 2.25]
    assert bench.source(price(value="whole")).fetch(hours(0, 2))["WETH.price"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("times", "form", "says"),
    [
        (pa.array([START, None]), "s", "column 'when' has no time at row 1"),
        (pa.array([0.5, 1.5]), "s", "column 'when' holds double; time_format = 's' needs whole numbers"),
        (pa.array([START, START + HOUR]), "utc", "column 'when' holds int64, expected times"),
        (pa.array(["2024-01-01", "x"]), "naive_utc", "column 'when' is 'x' at row 1, expected an ISO 8601 time"),
        (pa.array(["2024-01-01", "2024-01-02"]), "utc", "which is not marked as UTC"),
        (pa.array([START, 10**12]), "s", "column 'when' holds a time out of range"),
    ],
)
def test_times_of_a_wrong_kind_are_refused(bench: Bench, price: Price, times: Any, form: str, says: str) -> None:
    bench.parquet("p.parquet", [1.0, 2.0], when=times)
    assert says in refuse(bench, hours(0, 1), price(time="when", time_format=form))


def test_a_header_that_is_no_text_is_refused(bench: Bench, price: Price) -> None:
    (bench.data / "p.csv").write_bytes("timestamp,close\n".encode("utf-16"))
    assert "line 1 is not a CSV header" in refuse(bench, hours(0, 1), price(file="p.csv"))


def test_a_gap_longer_than_allowed_is_refused_and_one_as_long_is_carried(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 5.0], [START, START + HOUR, START + 4 * HOUR])
    sentence = refuse(bench, hours(0, 5), price(max_age="1h"))
    assert "gap after row 1 (2024-01-01 01:00 UTC): at 2024-01-01 03:00 UTC" in sentence
    assert "older than 1h (max_age); the next is row 2 (2024-01-01 04:00 UTC)" in sentence
    assert bench.source(price(max_age="2h")).fetch(hours(0, 5))["WETH.price"].tolist() == [1.0, 2.0, 2.0, 2.0, 5.0]


def test_a_mean_is_carried_over_a_gap_and_a_sum_is_not(bench: Bench, price: Price) -> None:
    times = [START + 1800 * row for row in (1, 2, 5, 6)]
    bench.parquet("p.parquet", [1.0, 3.0, 5.0, 7.0], times)
    keys = {"column": "WETH.volume", "max_age": "2h"}
    assert bench.source(price(**keys, resample="mean")).fetch(hours(1, 4))["WETH.volume"].tolist() == [2.0, 2.0, 6.0]
    assert "has a gap after row 1" in refuse(bench, hours(1, 4), price(**keys, resample="sum"))


@pytest.mark.parametrize(("low", "high"), [(0, 3), (9, 12)])
def test_a_window_outside_the_file_says_what_it_covers(bench: Bench, price: Price, low: int, high: int) -> None:
    bench.parquet("p.parquet", [1.0] * 8, [START + HOUR * row for row in range(2, 10)])
    sentence = refuse(bench, hours(low, high), price(max_age="1h"))
    assert "covers 2024-01-01 02:00 UTC to 2024-01-01 09:00 UTC" in sentence
    assert f"is asked for from 2024-01-01 {low:02d}:00 UTC" in sentence


def test_rows_coarser_than_the_grid_need_forward(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0], [START, START + DAY, START + 2 * DAY])
    assert "declare 'forward'" in refuse(bench, hours(0, 48), price())
    frame = bench.source(price(resample="forward")).fetch(hours(0, 48))
    assert frame["WETH.price"].tolist() == [1.0] * 24 + [2.0] * 24


def test_irregular_bars_need_their_length(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0, 4.0], [START, START + 60, START + 500, START + 4000])
    assert "label = 'open' needs bar" in refuse(bench, hours(1, 2), price(label="open"))


@pytest.mark.parametrize("label", ["known", "open", "day_open"])
@pytest.mark.parametrize("rule", ["last", "mean", "max", "min", "forward"])
def test_data_after_a_time_never_change_a_frame_up_to_it(bench: Bench, price: Price, label: str, rule: str) -> None:
    values = np.linspace(100, 200, 24 * 6)
    cut = 24 * 4
    series = price(label=label, resample=rule, max_age="2d")
    bench.parquet("p.parquet", values)
    before = bench.source(series).fetch(hours(48, cut + 1))
    # What is labelled by its opening is not known at its own label, so the row at the cut itself may change too.
    first = cut + 1 if label == "known" else cut
    for poison in (np.full(len(values) - first, 1e6), np.full(len(values) - first, np.nan)):
        bench.parquet("p.parquet", np.concatenate((values[:first], poison)))
        after = bench.source(series).fetch(hours(48, cut + 1))
        np.testing.assert_array_equal(before["WETH.price"], after["WETH.price"])


def test_the_fingerprint_follows_contents_mapping_and_step_not_the_folder(
    bench: Bench, price: Price, tmp_path: Any
) -> None:
    bench.parquet("p.parquet", [1.0, 2.0])
    base = bench.source(price()).fingerprint()
    assert bench.source(price()).fingerprint() == base
    assert bench.source(price(max_age="3h")).fingerprint() != base
    assert bench.source(price(), step=2 * HOUR).fingerprint() != base
    other = type(bench)(tmp_path / "data")
    other.parquet("p.parquet", [1.0, 2.0])
    assert other.source(price()).fingerprint() == base
    bench.parquet("p.parquet", [1.0, 2.5])
    assert bench.source(price()).fingerprint() != base


def test_the_description_says_where_each_column_comes_from(bench: Bench, price: Price) -> None:
    constant = Series(column="USDC.price", constant=1.0, unit="usd")
    said = bench.source(price(label="open", bar="1h", where={"symbol": "A"}, max_age="2h"), constant).describe()
    assert said["USDC.price"] == "constant 1 usd"
    for part in ("p.parquet", "'close' where symbol = A", "usd", "label open (bar 1h)", "last", "carried at most 2h"):
        assert part in said["WETH.price"]


def test_a_window_off_the_hour_keeps_its_own_grid(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0])
    frame = bench.source(price()).fetch(Window(START + 1800, START + 1800 + 2 * HOUR))
    assert frame.time(0) == from_epoch(START + 1800)
    assert frame["WETH.price"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        ("time", "did you mean 'time'? Declare `time = \"time\"`"),
        ("Date", 'Declare `time = "Date"`'),
        ("moment", "Declare `time`, the column that holds the times of the rows"),
    ],
)
def test_a_column_of_times_with_another_name_is_told_with_its_key(
    bench: Bench, price: Price, header: str, ends: str
) -> None:
    bench.csv("p.csv", CSV.replace("timestamp", header))
    sentence = refuse(bench, hours(0, 2), price(file="p.csv"))
    assert "p.csv has no column 'timestamp', asked for by 'WETH.price': " in sentence
    assert sentence.endswith(ends)
    if ends.endswith('"`'):
        assert bench.source(price(file="p.csv", time=header)).fetch(hours(0, 2)).rows == 2


@pytest.mark.parametrize("factor", [100.5, 1 / 100.5])
def test_a_price_that_jumps_is_refused_with_file_line_and_time(bench: Bench, price: Price, factor: float) -> None:
    rows = "".join(f"2024-01-01T{hour:02d}:00:00Z,{2000 * (factor if hour == 2 else 1)}\n" for hour in range(5))
    bench.csv("p.csv", "timestamp,close\n" + rows)
    sentence = refuse(bench, hours(0, 5), price(file="p.csv"))
    assert sentence == (
        f"p.csv: column 'close' takes 'WETH.price' from 2000 at line 3 (2024-01-01 01:00 UTC) to {2000 * factor:g} at line 4 "
        "(2024-01-01 02:00 UTC): no price moves by more than 100 times from one row to the next"
    )
    assert bench.source(price(file="p.csv")).fetch(hours(0, 2)).rows == 2


def test_only_the_product_of_a_price_and_a_factor_is_a_price(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 200.0, 1.0])
    series = price(column="AAVE.price", times="WETH.price"), price(constant=1.0, file=None, value=None, label=None)
    assert bench.source(*series).fetch(hours(0, 3)).rows == 3


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.bool_()])
def test_flags_of_carried_rows_may_be_texts_of_any_kind(bench: Bench, price: Price, kind: pa.DataType) -> None:
    flags = pa.array([False, True, False, False], pa.bool_()).cast(pa.string()).cast(kind)
    bench.parquet("p.parquet", [1.0, 1.0, 3.0, 4.0], is_forward_filled=flags)
    assert bench.source(price()).fetch(hours(0, 4))["WETH.price"].tolist() == [1.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize("flags", [pa.array([[1], [2], [3], [4]]), pa.array([START] * 4, pa.timestamp("s"))])
def test_flags_that_are_none_are_told_with_their_file(bench: Bench, price: Price, flags: pa.Array) -> None:
    bench.parquet("p.parquet", [1.0, 1.0, 3.0, 4.0], is_forward_filled=flags)
    with pytest.raises(
        DataError, match=r"p\.parquet: column 'is_forward_filled' is of type .*, expected true and false"
    ):
        bench.source(price()).fetch(hours(0, 4))


def test_a_column_that_is_there_twice_is_told_with_its_file(bench: Bench, price: Price) -> None:
    path = bench.parquet("p.parquet", [1.0, 2.0])
    table = pq.read_table(path)
    pq.write_table(table.append_column("close", table["close"]), path)
    with pytest.raises(DataError, match=r"p\.parquet has the column 'close' 2 times, expected once"):
        bench.source(price()).fetch(hours(0, 2))


def test_the_columns_there_are_end_a_sentence(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0])
    with pytest.raises(DataError, match=r": known: close, timestamp\. Declare `value`, the column"):
        bench.source(price(value="zzz")).fetch(hours(0, 2))
