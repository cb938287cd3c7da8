"""What a data source delivers is checked before anything is made of it: the window asked for, and prices that can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena import assembly
from treasury_arena.config.load import load_config
from treasury_arena.config.resolve import market_specs
from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import ConfigError, DataError
from treasury_arena.registry.loader import load_registry

HOUR = 3_600


@attrs.define
class Other(DataSource):
    """A source that delivers something else than its inner one."""

    inner: DataSource
    change: Callable[[DataSource, Window], MarketFrame]

    def fetch(self, window: Window) -> MarketFrame:
        return self.change(self.inner, window)

    def fingerprint(self) -> str:
        return self.inner.fingerprint()

    def describe(self) -> dict[str, str]:
        return dict(self.inner.describe())


def cut(low: int, high: int) -> Callable[[DataSource, Window], MarketFrame]:
    """The frame without its first `low` and its last `high` rows."""

    def change(source: DataSource, window: Window) -> MarketFrame:
        frame = source.fetch(window)
        return frame.slice(low, frame.rows - high)

    return change


def every_other(source: DataSource, window: Window) -> MarketFrame:
    frame = source.fetch(window)
    return MarketFrame(frame.start, 2 * HOUR, {name: frame[name][::2] for name in frame.columns})


def moved(hours: int) -> Callable[[DataSource, Window], MarketFrame]:
    """As many rows as asked for, but others."""
    return lambda source, window: source.fetch(Window(window.start + hours * HOUR, window.end + hours * HOUR))


ASKED = "asked for were 2023-"
TO = " to 2024-02-20 00:00:00+00:00 every 3600 s"
WRONG: dict[str, tuple[Callable[[DataSource, Window], MarketFrame], tuple[str, ...]]] = {
    "a row missing at the beginning": (cut(1, 0), (" 01:00:00+00:00 to 2024-02-20 00:00:00+00:00",)),
    "the training window missing": (cut(24 * 30, 0), ("to 2024-02-20 00:00:00+00:00",)),
    "the last row missing": (cut(0, 1), ("to 2024-02-19 23:00:00+00:00",)),
    "a longer window": (
        lambda source, window: source.fetch(Window(window.start, window.end + HOUR)),
        ("to 2024-02-20 01:00:00+00:00",),
    ),
    "other days": (moved(24), ("to 2024-02-21 00:00:00+00:00",)),
    "a coarser grid": (every_other, ("every 7200 s",)),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_source_that_delivers_another_window_is_refused(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    change, needles = WRONG[fault]
    known = assembly.make_source
    monkeypatch.setattr(assembly, "make_source", lambda *arguments: Other(known(*arguments), change))
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--quiet")
    assert done.code == 2
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("arena: ")]
    for needle in ("the source 'simulated' delivered rows from 2023-", ASKED, TO, *needles):
        assert needle in sentence
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def checked(small_config: Path) -> Callable[..., None]:
    """``checked({column: (row, factor)})`` checks the run's frame, its column multiplied by the factor from that row on."""
    registry = load_registry()
    settings = load_config(small_config, registry, {})
    specs = market_specs(settings, registry)
    strategies = list(assembly.bound_strategies(settings, registry).values())
    window, _ = assembly.run_window(settings, strategies)
    frame = assembly.make_source(settings, registry, None, None).fetch(window)

    def check(changes: dict[str, tuple[int, float]], without: str = "") -> None:
        columns = {name: np.array(frame[name]) for name in frame.columns if name != without}
        for name, (row, factor) in changes.items():
            columns[name][:row] = 100.0
            columns[name][row:] = 100.0 * factor
        assembly.check_frame(MarketFrame(frame.start, frame.step_seconds, columns), window, specs, settings)

    return check


@pytest.mark.parametrize("row", [1, 700, -1])
@pytest.mark.parametrize("column", ["WETH.price", "WBTC.price"])
def test_a_price_jumps_a_hundredfold_at_most(checked: Any, column: str, row: int) -> None:
    for factor in (99.999, 1 / 99.999):
        checked({column: (row, factor)})
    for factor in (100.001, 1 / 100.001, 1e12):
        with pytest.raises(
            DataError, match=rf"column '{column}' goes from 100 to .* no price moves by more than 100 times"
        ):
            checked({column: (row, factor)})


def test_what_is_no_price_may_jump(checked: Any) -> None:
    checked({"gas.usd": (700, 1_000.0), "USDC.lending_rate": (700, 1e-3)})


def test_a_column_that_only_the_data_can_tell_to_be_missing(checked: Any) -> None:
    """A source that does not say its columns beforehand is asked when its rows are there."""
    said = r"markets\.eth\.columns\.price: the source 'simulated' has no column 'WETH\.price'; did you mean 'WBTC\.price'\?"
    with pytest.raises(DataError, match=said):
        checked({}, without="WETH.price")


def raising(*arguments: Any) -> Any:
    raise ValueError("no")


#: Method, what it does instead, and what is said.
OWED: dict[str, tuple[str, Callable[..., Any], str]] = {
    "no frame": ("fetch", lambda self, window: None, "fetched an object of type NoneType; expected a MarketFrame"),
    "a frame of its own kind": (
        "fetch",
        lambda self, window: type("Own", (MarketFrame,), {})(window.start, 3600, {"a.price": [1.0]}),
        "fetched an object of type Own; expected a MarketFrame",
    ),
    "a dict": ("fetch", lambda self, window: {}, "fetched an object of type dict; expected a MarketFrame"),
    "no description": ("describe", lambda self: None, "describes itself by None; expected a dict of texts"),
    "a number": ("describe", lambda self: {"rows": 5}, "describes itself by {'rows': 5}; expected a dict of texts"),
    "a failing description": ("describe", raising, "failed: ValueError: no"),
    "a failing fingerprint": ("fingerprint", raising, "failed: ValueError: no"),
    "a fingerprint that is no text": (
        "fingerprint",
        lambda self: 5,
        "has the fingerprint 5; expected a printable text",
    ),
    "an empty fingerprint": ("fingerprint", lambda self: "", "has the fingerprint ''; expected a printable text"),
    "a fingerprint with NUL": ("fingerprint", lambda self: "a\0", "has the fingerprint 'a\\x00'; expected a printable"),
    "a fingerprint of megabytes": ("fingerprint", lambda self: "a" * 10**7, "of 1 to 256 characters"),
}


@pytest.mark.parametrize("fault", OWED)
def test_a_source_that_does_not_give_what_it_owes_is_named(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    method, instead, said = OWED[fault]
    monkeypatch.setattr(Other, method, instead)
    known = assembly.make_source
    monkeypatch.setattr(
        assembly, "make_source", lambda *given: Other(known(*given), lambda one, window: one.fetch(window))
    )
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--quiet")
    assert done.code == 2, done.err
    assert "source 'simulated'" in done.err
    assert said in done.err
    assert len(done.err) < 1_000
    assert not (tmp_path / "run").exists()


def test_rates_at_which_lending_overflows_are_told(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absurd(source: DataSource, window: Window) -> MarketFrame:
        frame = source.fetch(window)
        columns = {name: frame[name] * (1e8 if name.endswith("rate") else 1.0) for name in frame.columns}
        return MarketFrame(frame.start, frame.step_seconds, columns)

    known = assembly.make_source
    monkeypatch.setattr(assembly, "make_source", lambda *arguments: Other(known(*arguments), absurd))
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--quiet")
    assert done.code == 2, done.err
    assert "column 'USDC.lending_rate' has rates up to" in done.err
    assert "expected fractions a year (0.05 is 5%)" in done.err
    assert "Warning" not in done.err


@pytest.mark.parametrize("workers", [0, -1, True, "x", 1.5])
def test_workers_are_counted(small_config: Path, workers: Any) -> None:
    registry = load_registry()
    with pytest.raises(ConfigError, match="expected a whole number from 1"):
        assembly.assemble(load_config(small_config, registry, {}), registry, workers=workers)


@pytest.mark.parametrize(("start", "step"), [(0.0, 3600), (0, 3600.0), (True, 3600), (0, None)])
def test_a_frame_begins_and_goes_on_in_whole_seconds(start: Any, step: Any) -> None:
    with pytest.raises(DataError, match="must be whole seconds"):
        MarketFrame(start, step, {"a": np.ones(3)})


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("concentration = 12 }", "concentration = 0 }", "concentration"),
        ("concentration = 12 }", "concentration = -12 }", "concentration"),
        ("spacing = 10,", "spacing = 0.5,", "params.spacing = 0.5"),
        ("coin_is_token0 = 0 }", "coin_is_token0 = 0.5 }", "params.coin_is_token0 = 0.5"),
        ("ltv_max = 0.75,", "ltv_max = 0.99,", "ltv_max"),
        ("threshold = 0.78,", "threshold = 1.5,", "threshold"),
        ("bonus = 0.045,", "bonus = 5.0,", "bonus"),
        (
            "fee = 0.0005, spacing = 10,",
            "fee = 0.01, spacing = 200,",
            "'low' of strategy 'range_tvl' reckons with 0.0005",
        ),
        (
            "fee = 0.003, spacing = 60,",
            "fee = 0.01, spacing = 200,",
            "is 0.01, but role 'high' of strategy 'range_tvl'",
        ),
    ],
)
def test_a_check_of_a_configuration_asks_the_exact_markets(
    house: Any, tmp_path: Path, was: str, becomes: str, said: str
) -> None:
    """Parameters that no run could be made with are told by `arena config check`, before any data are read."""
    text = (Path(__file__).resolve().parents[1] / "examples" / "defi.toml").read_text()
    assert was in text
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace(was, becomes))
    done = house.arena("config", "check", wrong)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
