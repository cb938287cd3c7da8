from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import messages, plots
from treasury_arena_reports.drawing import days_of, thin
from treasury_arena_reports.html import AGENTS_SHOWN, render_html
from treasury_arena_reports.plugin import RunReporter, arena_reporters

IDS = {
    *("answer", "verdict", "figures", "comparison", "curves", "growth", "lead", "drawdown", "capital", "allocation"),
    *("population", "search", "fitness-generation", "fitness-cycle", "promoted", "family", "lineage", "parameters"),
    *("agents", "methods", "data", "run", "timings", "digest"),
}
VOID = {"meta", "br", "hr", "img", "link", "input", "wbr"}


class Page(HTMLParser):
    """Reads a page: ids, attributes, texts, and that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.sources: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attributes:
            if name == "id":
                self.ids[str(value)] += 1
            if name == "href":
                self.links.append(str(value))
            if name in ("src", "srcset", "action", "data", "poster", "xlink:href"):
                self.sources.append((tag, str(value)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def html(result: RunResult) -> str:
    return render_html(result)


def drawings(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html, flags=re.S)


def test_every_part_is_there_once_and_every_link_leads_to_a_part(html: str) -> None:
    page = Page(html)
    assert set(page.ids) >= IDS
    assert max(page.ids.values()) == 1
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)


def test_the_page_asks_nothing_of_any_other_place(html: str) -> None:
    page = Page(html)
    assert page.sources == []
    assert page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []


def test_every_chart_is_well_formed_and_says_its_message(html: str, result: RunResult) -> None:
    found = drawings(html)
    assert len(found) == 9
    for text in found:
        root = ET.fromstring(text)
        assert root.tag == "svg"
        assert root.get("role") == "img"
        assert len(str(root.get("aria-label"))) > 10
        assert len(root.findall(".//path")) >= 3
    everything = "".join(ET.fromstring(text).get("aria-label") or "" for text in found)
    assert f"The treasury ended at {float(result.capital['final']):,.0f} USD" in everything


def test_charts_name_their_lines_and_colours_follow_the_page(html: str) -> None:
    growth = drawings(html)[0]
    words = [node.text for node in ET.fromstring(growth).iter("text")]
    for name in ("Treasury", "Lend everything", "Hold ETH", "60/40", "Mean coin weight", "Weekly weights"):
        assert any(str(word).startswith(name) for word in words)
    assert re.findall(r"(?:fill|stroke): #(?!000)", growth) == []
    assert "var(--blue)" in growth
    assert "prefers-color-scheme:dark" in html


def test_the_answer_and_the_figures_are_in_words(html: str, result: RunResult) -> None:
    text = Page(html).text
    for words in (
        "Had this arena managed your 373,261 dollars from 2024-01-01 to 2024-12-30, you would have",
        result.verdict["text"],
        "Keeping the reserve of 163,261 USD idle cost 12,228.03 USD",
        "212,480",
        "Out of sample",
        "Probability of backtest overfitting",
        "a negative number",
        result.digest,
        "Aave v3 USDC, USDT, DAI, WETH",
        "Peak memory",
        "612 MiB",
    ):
        assert words in text
    assert all(str(agent["id"]) in text for agent in result.agents)
    assert not re.search(r"-0\.?0*%", text)
    assert not re.search(r"\b(?:nan|None|inf)\b", text)


def test_equal_results_give_equal_bytes_whatever_the_caller_has_set(make: Any, html: str, tmp_path: Path) -> None:
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        first = RunReporter().write(make(), tmp_path / "a")
    second = RunReporter().write(make(), tmp_path / "b" / "deeper")
    assert [path.name for path in first] == ["report.html", "results.json"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_text(encoding="utf-8") == html
    other = RunReporter().write(make(seed=8), tmp_path / "a")
    assert other[0].read_bytes() != second[0].read_bytes()


def test_drawing_leaves_the_callers_settings_alone(make: Any) -> None:
    with mpl.rc_context({"lines.linewidth": 9}):
        render_html(make(days=5, agents=5, promoted=1))
        assert mpl.rcParams["lines.linewidth"] == 9


WILD = "<script>alert(1)</script>\"&'\x00\x1b$x_1$\ud800"


def test_every_text_is_escaped(make: Any) -> None:
    given = make(days=20, agents=12, promoted=4)
    agents = [
        {**agent, "id": f"{WILD}{at}", "strategy": WILD, "reason": WILD, "label": WILD, "parents": [f"{WILD}0"]}
        | {"genome": {WILD: float(at)}}
        for at, agent in enumerate(given.agents)
    ]
    benchmarks = {**given.benchmarks, "extra": {"label": WILD, "final": "1.0"}}
    allocation = {**given.series["allocation"], WILD: [1000.0] * 20}
    wild = attrs.evolve(
        given,
        name=WILD,
        digest=WILD,
        profile=WILD,
        verdict={"text": WILD},
        data={WILD: WILD},
        agents=agents,
        benchmarks=benchmarks,
        series={**given.series, "extra": [5e5] * 20, "allocation": allocation},
        generations=[{**row, "strategy": WILD} for row in given.generations],
    )
    html = render_html(wild)
    page = Page(html)
    assert page.tags["script"] == 1
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "\x1b" not in html
    for text in drawings(html):
        ET.fromstring(text)


SHAPES: dict[str, dict[str, Any]] = {
    "nobody promoted": {"promoted": 0},
    "nobody born": {"agents": 0, "promoted": 0},
    "one day": {"days": 1},
    "two days": {"days": 2},
    "no day": {"days": 1, "empty": True},
    "six years": {"days": 2200, "agents": 300},
    "five hundred agents": {"agents": 500, "promoted": 60},
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size_of_run_gives_a_whole_page(make: Any, shape: str) -> None:
    options = dict(SHAPES[shape])
    empty = options.pop("empty", False)
    given = make(**options)
    if empty:
        series: dict[str, Any] = {name: [] for name in given.series if name != "allocation"}
        given = attrs.evolve(
            given, series={**series, "allocation": {"reserve": []}}, generations=[], cycles=[], data={}
        )
    html = render_html(given)
    page = Page(html)
    assert len(drawings(html)) == (9 if any(agent["promoted"] for agent in given.agents) else 8)
    assert {"answer", "comparison", "growth", "agents", "digest"} <= set(page.ids)
    assert len(html.encode()) < 3_000_000
    assert ("No agent was promoted" in page.text) == (not any(agent["promoted"] for agent in given.agents))
    assert ("No agent was born" in page.text) == (not given.agents)
    for text in drawings(html):
        ET.fromstring(text)


def test_values_that_never_move(make: Any) -> None:
    given = make(days=30, agents=10, promoted=3)
    flat = {name: [100.0] * 30 for name in given.series if name not in ("dates", "allocation")}
    allocation = {name: [0.0] * 30 for name in given.series["allocation"]}
    series = {**given.series, **flat, "allocation": allocation}
    generations = [{**row, "best": 1.0, "median": 1.0} for row in given.generations]
    agents = [{**agent, "genome": {"most": 0.5}, "born": given.start} for agent in given.agents]
    text = Page(render_html(attrs.evolve(given, series=series, generations=generations, agents=agents))).text
    assert "The treasury never fell below an earlier high" in text
    assert "Breeding raised the best score in 0 of" in text
    assert "No capital was recorded" in text


def test_a_treasury_of_nothing_divides_by_nothing(make: Any) -> None:
    given = make(days=10, agents=4, promoted=1)
    flat = {name: [0.0] * 10 for name in given.series if name not in ("dates", "allocation")}
    capital = dict.fromkeys(given.capital, "0") | {"idle_cost": "1"}
    html = render_html(attrs.evolve(given, series={**given.series, **flat}, capital=capital))
    assert "idle cost 1.00 USD against lending it." in html


def test_figures_that_do_not_apply(make: Any) -> None:
    given = make(days=40, agents=20, promoted=5)
    bare = [
        {"id": agent["id"], "promoted": agent["promoted"]}
        | dict.fromkeys(("strategy", "stage", "born", "parents", "genome", "fitness", "capital", "deflated_sharpe"))
        for agent in given.agents
    ]
    generations = [{**row, "best": None, "median": None} for row in given.generations]
    benchmarks = {name: {"label": None, "final": None} for name in given.benchmarks}
    html = render_html(
        attrs.evolve(
            given,
            agents=bare,
            generations=generations,
            benchmarks=benchmarks,
            treasury={},
            managed={},
            verdict={},
            counts={},
            timings={"seconds": None},
        )
    )
    text = Page(html).text
    assert "No verdict was recorded." in text
    assert "No search gave a score" in text
    assert not re.search(r"\bNone\b", text)


def test_without_benchmarks_the_answer_stands_alone(make: Any) -> None:
    given = make(days=10, agents=4, promoted=1, benchmarks={})
    series = {name: given.series[name] for name in ("dates", "treasury", "allocation")}
    text = Page(render_html(attrs.evolve(given, series=series))).text
    assert f"you would have {float(given.capital['final']):,.0f}. " in text
    assert "There is no lending benchmark to compare with" in text


@pytest.mark.parametrize(("born", "cut"), [(AGENTS_SHOWN, False), (AGENTS_SHOWN + 1, True)])
def test_a_very_long_list_of_agents_is_cut_and_says_so(make: Any, born: int, cut: bool) -> None:
    text = Page(render_html(make(days=30, agents=born, promoted=2))).text
    assert ("The remaining agents are in results.json." in text) is cut
    assert f"Show 1,000 {'of 1,001 ' if cut else ''}agents" in text


def test_the_hook_offers_one_reporter() -> None:
    assert [reporter.name for reporter in arena_reporters()] == ["report"]


@pytest.mark.parametrize("name", plots.__all__)
def test_each_figure_stands_alone_in_a_notebook(result: RunResult, name: str) -> None:
    with_title, without = getattr(plots, name)(result), getattr(plots, name)(result, title=False)
    assert len(with_title.texts) == len(without.texts) + 1
    assert with_title.get_figheight() > without.get_figheight()
    assert f"`{name}`" in (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_a_long_series_keeps_its_ends_and_extremes() -> None:
    rows = [np.sin(np.arange(10_000) / 7.0), np.zeros(10_000)]
    rows[0][4321], rows[0][8765] = 5.0, -5.0
    kept = thin(rows)
    assert len(kept) <= 804
    assert {0, 4321, 8765, 9999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thin([np.zeros(800)]).tolist() == list(range(800))


OVER_TIME = ("growth", "lead", "drawdown", "allocation", "population", "fitness_by_cycle", "family_tree")


@pytest.mark.parametrize("name", OVER_TIME)
def test_figures_over_time_share_their_range(make: Any, name: str) -> None:
    """Also where a strategy is searched for a few weeks only, and nobody is born in the last months."""
    given = make(days=300, agents=20, promoted=6)
    late = [row for row in given.generations if "vol" not in row["strategy"] or "2024-03" < row["date"] < "2024-05"]
    agents = [agent for agent in given.agents if "2024-02" < agent["born"] < "2024-06"]
    given = attrs.evolve(given, generations=late, agents=agents, cycles=given.cycles[3:-3])
    whole = tuple(days_of([given.series["dates"][0], given.end], "closes"))
    axes = getattr(plots, name)(given).axes
    assert len(axes) == (4 if name == "fitness_by_cycle" else 1)
    assert {pair.get_xlim() for pair in axes} == {whole}


@pytest.mark.parametrize("name", OVER_TIME)
def test_figures_over_time_hold_all_that_was_dated(make: Any, name: str) -> None:
    """A last cycle beyond the last recorded day widens every figure alike."""
    given = make(days=60, agents=12, promoted=4)
    cycles = [*given.cycles, {**given.cycles[-1], "date": "2024-03-09"}]
    limits = {pair.get_xlim() for pair in getattr(plots, name)(attrs.evolve(given, cycles=cycles)).axes}
    assert limits == {tuple(days_of([given.series["dates"][0], "2024-03-08"], "closes"))}


def test_ratios_read_as_in_the_terminal(make: Any, result: RunResult) -> None:
    """A million where there was next to nothing to divide by says no more than that; the page and the table say the same."""
    lend = {**result.benchmarks["lend_everything"], "sortino": 1_000_000.0, "sharpe": 47.36, "excess_sharpe": -2000.0}
    page = Page(render_html(make(benchmarks={**result.benchmarks, "lend_everything": lend}))).text
    assert "1,000,000.00" not in page
    assert ">999" in page
    assert "<-999" in page
    assert "47.36" in page


@pytest.mark.parametrize(("days", "words"), [(367, "0 of 366 days"), (2, "0 of 1 day"), (1, "0 of 0 days")])
def test_days_are_counted_by_their_closes(make: Any, days: int, words: str) -> None:
    """The first value is that of the first moment: 367 values are 366 days."""
    given = make(days=days, agents=5, promoted=1)
    series = {**given.series, "lend_everything": [value + 1.0 for value in given.series["treasury"]]}
    assert f"worth more than lending everything on {words}" in Page(render_html(make(days=days, series=series))).text


def test_the_measure_of_the_verdict_is_explained(result: RunResult) -> None:
    assert "the mean of the daily differences" in Page(render_html(result)).text


def test_a_search_is_joined_to_the_one_of_the_cycle_before_only(make: Any) -> None:
    """Searches in cycles 0, 1, 2, 9 and 20: one line of three and two marks, none of it across the months between."""
    given = make(days=300, agents=20, promoted=6)
    rows = [row for row in given.generations if row["cycle"] in (0, 1, 2, 9, 20)]
    (axes, *_) = plots.fitness_by_cycle(attrs.evolve(given, generations=rows)).axes
    days = days_of([given.series["dates"][7 * cycle] for cycle in (0, 1, 2, 9, 20)], "date")
    for line in axes.lines[:2]:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert line.get_marker() == "o"
        assert np.isnan(y).tolist() == [False, False, False, True, False, True, False]
        assert x[~np.isnan(y)].tolist() == days.tolist()
    (axes, *_) = plots.fitness_by_cycle(given).axes
    assert not np.isnan(np.asarray(axes.lines[0].get_ydata())).any()


TICKS: dict[str, tuple[int, str, list[str]]] = {
    "three days": (3, "2024-01-01", ["1 Jan 2024", "2 Jan", "3 Jan"]),
    "two months": (59, "2024-01-01", ["1 Jan 2024", "15 Jan", "1 Feb", "15 Feb"]),
    "over the new year": (120, "2023-11-20", ["Dec 2023", "Jan 2024", "Feb", "Mar"]),
    "years": (2200, "2020-01-01", ["2020", "2022", "2024", "2026"]),
}


@pytest.mark.parametrize("span", TICKS, ids=str)
def test_the_year_stands_at_the_first_tick(make: Any, span: str) -> None:
    days, start, told = TICKS[span]
    given = make(days=days, agents=3, promoted=1)
    first = date.fromisoformat(start)
    dates = [(first + timedelta(days=at)).isoformat() for at in range(days)]
    given = attrs.evolve(given, series={**given.series, "dates": dates}, cycles=[], generations=[], agents=[])
    (axes,) = plots.growth(given).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == told
    assert axes.xaxis.get_major_formatter().get_offset() == ""


def test_without_promotions_that_is_said_once_and_no_figure_is_drawn(make: Any) -> None:
    html = render_html(make(days=40, agents=8, promoted=0))
    assert html.count("No agent was promoted") == 1
    assert 'id="family"' not in html


def test_promoted_agents_have_one_name(html: str, make: Any) -> None:
    many = Page(render_html(make(agents=500, promoted=60))).text
    assert "Drawn: the families of the first" in many
    for text in (Page(html).text, many):
        assert "romoted agents" in text
        assert not re.search(r"champion|winner", text, flags=re.I)


def test_an_id_is_never_broken(html: str, result: RunResult) -> None:
    """In a list of parents each id is one piece, and beside its parameters too."""
    child = next(agent for agent in result.agents if agent["promoted"] and len(set(agent["parents"])) == 2)
    one, other = child["parents"]
    assert f'<span class="w">{one},</span> <span class="w">{other}</span>' in html
    assert f'<tr><td class="w">{child["id"]}</td>' in html
    assert ".w{white-space:nowrap}" in html
    assert "td:first-child{min-width:7.5em;white-space:normal}" not in html


def test_a_table_that_scrolls_shows_that_it_does(html: str) -> None:
    """A shade at the right edge that the end of the table covers."""
    (rule, _) = re.findall(r"^\.scroll\{(.*)\}$", html, flags=re.M)
    cover, shade = rule.split("background:")[1].split(",linear-gradient(")
    assert "var(--paper)" in cover
    assert cover.endswith("local")
    assert "var(--shade)" in shade
    assert shade.endswith("scroll")


def test_marks_of_parameters_stay_apart(html: str) -> None:
    """A track is as wide as its column, which leaves room to the next one and to the edge."""
    (track,) = re.findall(r"^\.track\{(.*)\}$", html, flags=re.M)
    assert "width:84px" not in track
    assert ".genes td,.genes th{font-size:13px;padding-right:20px}" in html
    assert '<table class="genes">' in html
    assert '<th scope="col">buy_<wbr>below</th>' in html


def test_moments_stand_at_the_close_that_they_are(make: Any) -> None:
    """A cycle at the midnight that begins 8 January stands with the close of the 7th, as its capital does."""
    given = make(days=60, agents=12, promoted=4)
    (axes,) = plots.population(given).axes
    x = {float(point) for point in axes.collections[0].get_paths()[0].vertices[:, 0]}
    assert x == set(days_of(given.series["dates"][::7], "dates").tolist())
    assert given.cycles[1]["date"] == "2024-01-08"
    assert days_of(["2024-01-07"], "date")[0] in x


@pytest.mark.parametrize("days", [2, 60, 366, 2200])
@pytest.mark.parametrize("name", OVER_TIME)
def test_no_date_is_cut_at_the_edge(make: Any, name: str, days: int) -> None:
    """The first date stands in the middle below its day, half of it to the left of the axes; the last one likewise."""
    given = make(days=days, agents=12, promoted=4)
    figure = getattr(plots, name)(given)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        for label in axes.get_xticklabels():
            box = label.get_window_extent()
            assert box.x0 >= 0, label.get_text()
            assert box.x1 <= figure.bbox.width, label.get_text()
            assert box.y0 >= 0, label.get_text()


def test_agents_that_ended_in_the_last_cycle_explain_why_fewer_are_alive(make: Any) -> None:
    """Nothing begins in the last cycle. Where agents were born in it, or none ended, there is nothing to explain."""
    given = make(days=60, agents=12, promoted=4)
    last = {**given.cycles[-1], "date": "2024-03-01", "dead": given.cycles[-2]["dead"] + 10}
    fell = attrs.evolve(given, cycles=[*given.cycles[:-1], last])
    words = "; 10 ended in the last cycle, which has no births"
    assert messages.population_message(fell).endswith(f"in the arena{words}")
    assert words in Page(render_html(fell)).text
    born = attrs.evolve(fell, agents=[*fell.agents[:-1], {**fell.agents[-1], "born": last["date"]}])
    steady = attrs.evolve(fell, cycles=[*given.cycles[:-1], {**last, "dead": given.cycles[-2]["dead"]}])
    for other in (born, steady):
        assert messages.population_message(other).endswith("in the arena")
