from __future__ import annotations

import io
import re
import sys
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.html import render_html
from treasury_arena_reports.plugin import RunReporter
from treasury_arena_reports.table import render


def test_it_says_all_that_an_owner_reads_at_the_end(result: RunResult) -> None:
    text = render(result, width=130)
    assert text.startswith("Had this arena managed your 373,261 dollars from 2024-01-01 to 2024-12-30, you would have ")
    for words in (
        "Excess",
        "842.19",
        result.verdict["text"],
        "+1.13 points a year (interval -2.14 to +4.02), within its uncertainty.",
        "Keeping the reserve of 163,261 USD idle cost 12,228.03 USD against lending it, 3.28% of the whole treasury.",
        "120 births, 40 deaths, 12 retirements; 9 graduations to proving, 4 to the arena.",
        "212,480 genomes tried",
        "Deflated",
        "Gap bps",
        "lender",
        result.digest,
        "Took 41.2 s without start and report: 1,830,000,000 agent-steps",
        "set-up and compiling 2.7 s",
    ):
        assert words in text
    for agent in result.agents:
        assert (str(agent["id"]) in text) == agent["promoted"]


def test_rows_come_as_treasury_managed_then_the_benchmarks_in_their_order(result: RunResult) -> None:
    turned = attrs.evolve(result, benchmarks=dict(reversed(result.benchmarks.items())))
    for given in (result, turned):
        text = render(given, width=130)
        labels = ["Whole treasury", "Managed capital", *(row["label"] for row in given.benchmarks.values())]
        places = [text.index(f"\n{label}") for label in labels]
        assert places == sorted(places)


def test_managed_capital_is_what_lies_outside_the_reserve(result: RunResult) -> None:
    expected = sum(v[-1] for name, v in result.series["allocation"].items() if name != "reserve")
    line = next(line for line in render(result, width=130).splitlines() if line.startswith("Managed"))
    assert f"{expected:,.2f}" in line
    assert f"{100 * result.managed['return']:.2f}%" in line


@pytest.mark.parametrize("width", [48, 60, 80, 99, 100, 111, 112, 160])
def test_no_line_is_wider_than_the_terminal(result: RunResult, width: int) -> None:
    text = render(result, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "Final USD" in text
    assert "Return" in text
    assert "Drawdown" in text


def test_colour_only_for_a_terminal(result: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert "\x1b" not in RunReporter().table(result)
    monkeypatch.setattr(sys, "stdout", Screen())
    assert "\x1b[1m" in RunReporter().table(result)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in RunReporter().table(result)


def test_the_width_follows_columns(result: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert RunReporter().table(result) == render(result, width=72, colour=False)
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert RunReporter().table(result) == render(result, width=120, colour=False)


def test_texts_of_a_result_are_never_commands_to_the_terminal(make: Any) -> None:
    wild = make()
    agents = [{**wild.agents[0], "id": "[red]\x1b[2Jx", "promoted": True}, *wild.agents[1:]]
    text = render(attrs.evolve(wild, agents=agents), width=130, colour=False)
    assert "\x1b" not in text
    assert "[red]\ufffd[2Jx" in text


def test_missing_figures_are_dashes(make: Any) -> None:
    given = make(managed={}, treasury={"return": None}, timings={}, capital={"initial": "100", "final": "101.5"})
    text = render(given, width=130)
    row = next(line for line in text.splitlines() if line.startswith("Whole treasury"))
    assert row.split()[2:] == ["101.50", *["\u2013"] * 7]
    assert "not measured in this run" in text


def unmeasured(result: RunResult) -> RunResult:
    """Of three promoted agents no gap was measured, of two of them for the same reason."""
    reasons = iter(["the node is gone.", "the node is gone.", "it <failed>"])
    agents = []
    for agent in result.agents:
        why = next(reasons, None) if agent["promoted"] else None
        agents.append({**agent, "gap_bps": None, "gap_unmeasured": why} if why else agent)
    return attrs.evolve(result, agents=agents)


def test_a_gap_that_was_not_measured_is_said_with_its_reason(result: RunResult) -> None:
    given = unmeasured(result)
    without = [str(agent["id"]) for agent in given.agents if agent.get("gap_unmeasured")]
    assert len(without) == 3
    text = render(given, width=130)
    for line in text.splitlines():
        if line.split(" ")[0] in without:
            assert " not measured " in f"{line} "
    both = " ".join(text.split())
    assert f"Gap of {without[2]} not measured: it <failed>." in both
    one, other = without[:2]
    assert any(f"Gap of {a}, {b} not measured: the node is gone." in both for a, b in ((one, other), (other, one)))
    assert "not measured: " not in render(result, width=130)
    page = render_html(given)
    assert page.count(">not measured</td>") == 3
    assert f"Gap of {without[2]} not measured: it &lt;failed&gt;." in page


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ("0.004", "cost nothing by lying still"),
        ("0.01", "idle cost 0.01 USD"),
        ("-5", "idle saved 5.00 USD against lending it"),
    ],
)
def test_the_idle_reserve_in_words(make: Any, cost: str, words: str) -> None:
    capital = make().capital
    assert words in render(make(capital={**capital, "idle_cost": cost}), width=200)


@pytest.mark.parametrize(("promoted", "said"), [(15, False), (16, True)])
def test_a_long_list_of_promoted_agents_is_cut_and_says_so(make: Any, promoted: int, said: bool) -> None:
    text = render(make(agents=160, promoted=promoted), width=130)
    assert ("and 1 more, in report.html" in text) is said


def test_nobody_promoted(make: Any) -> None:
    assert "No agent was promoted" in render(make(promoted=0))


def test_series_may_be_arrays(make: Any, result: RunResult) -> None:
    series = {name: np.array(v) if name != "allocation" else v for name, v in result.series.items()}
    assert render(make(series=series), width=130) == render(result, width=130)


VERDICT = "The difference to holding the same coin weight passively is +1.1 points a year, inside its uncertainty of -2.1 to +4.0"


def test_the_verdicts_number_is_said_once(make: Any, result: RunResult) -> None:
    said = render(make(verdict={**result.verdict, "text": f"{VERDICT}: no evidence of skill."}), width=200)
    assert VERDICT in said
    assert "+1.13 points" not in said
    assert "+1.13 points a year" in render(result, width=200)  # the words of this one leave it out


STOP = {
    "level": "HARD",
    "start": "2024-02-05",
    "end": "2024-03-04",
    "operator": "ann",
    "reason": "drill",
    "released_by": "bob",
    "release_reason": "over",
    "refused": 12,
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Stopped from 2024-02-05 to 2024-03-04 by ann (drill), released by bob (over); 12 orders refused."),
        (
            {"end": None, "released_by": None, "release_reason": None, "refused": 1},
            "Stopped from 2024-02-05 to the end of the run by ann (drill); 1 order refused.",
        ),
        (
            {"level": "SOFT"},
            "Stopped from taking new risk from 2024-02-05 to 2024-03-04 by ann (drill), released by bob (over); 12 orders",
        ),
        (
            {"operator": None, "reason": None},
            "Stopped from 2024-02-05 to 2024-03-04 by the stop file alone, released by bob (over); 12 orders refused.",
        ),
    ],
)
def test_an_emergency_stop_is_one_sentence(make: Any, changes: dict[str, Any], sentence: str) -> None:
    assert sentence in render(make(stops=[{**STOP, **changes}]), width=200)
    assert sentence in render_html(make(stops=[{**STOP, **changes}]))


def test_deaths_by_failure_with_the_most_frequent_reason_once(make: Any, result: RunResult) -> None:
    failures = [{"reason": "ran longer than 2.0 s.", "deaths": 8}, {"reason": "target.eth is nan", "deaths": 1}]
    text = render(make(failures=failures), width=200)
    assert "120 births, 40 deaths (9 by failure, most often: ran longer than 2.0 s), 12 retirements;" in text
    assert "target.eth" not in text
    assert "failure" not in render(result, width=200)


def test_a_reserve_that_is_lent_is_not_called_still(make: Any) -> None:
    capital = {**make().capital, "idle_cost": "0.000000", "reserve": "175000.5", "reserve_lent": "174990.25"}
    text = render(make(capital=capital), width=200)
    assert "The reserve may be lent: it stands at 175,000 USD, 174,990 of them lent at the end." in text
    assert "Managed capital (reserve left out)" in text
    assert "no reserve" not in text
    assert "lying still" not in text


@pytest.mark.parametrize("width", [48, 60, 70, 80, 90, 100, 112, 130])
def test_every_column_is_there_or_named_as_missing(result: RunResult, width: int) -> None:
    text = render(result, width=width)
    told = " ".join(text.split())
    missing = [
        name
        for listed in re.findall(r"\d columns? \(([^)]*)\) (?:does|do) not fit here: see report.html", told)
        for name in listed.split(", ")
    ]
    heads = "\n".join(line for line in text.splitlines() if "Final USD" in line or line.startswith("Promoted agent"))
    for name in ("Excess", "Sortino", "Sharpe", "Annual", "Costs", "Strategy", "Deflated", "PBO", "Gap bps", "Label"):
        assert (name in heads) or (name in missing)
    assert bool(missing) == (width < 112)


def test_what_an_agent_was_chosen_by_is_told_from_what_came_of_it(make: Any) -> None:
    """Two agents gained 20% and 10%, of which 5% and -10% after their promotion."""
    given = make(agents=3, promoted=0)
    lives = ((0.20, 0.05), (0.10, -0.10))
    agents = [
        {
            **agent,
            "promoted": True,
            "stage": "arena",
            "total_return": whole,
            "return_until_promotion": (1 + whole) / (1 + since) - 1,
            "return_since_promotion": since,
        }
        for agent, (whole, since) in zip(given.agents, lives, strict=False)
    ]
    given = attrs.evolve(given, agents=[*agents, given.agents[2]])
    text = render(given, width=130)
    for agent, told in zip(agents, (["20.00%", "5.00%"], ["10.00%", "-10.00%"]), strict=True):
        line = next(line for line in text.splitlines() if line.startswith(agent["id"]))
        assert line.split()[3:5] == told
    before = (1.20 / 1.05 + 1.10 / 0.90) / 2 - 1
    sentence = (
        f"Mean return of 2 promoted agents: {before:.2%} until promotion, which is what the promotion was decided by, and "
        "-2.50% since."
    )
    page = render_html(given)
    assert sentence in " ".join(text.split())
    assert sentence in page
    assert "Since promotion</th>" in page
    assert "Their returns are out of sample" not in page
    assert "only its return since promotion is out of sample" in page


@pytest.mark.parametrize(
    ("earned", "words"),
    [(("-438.25", "0.5"), "lost 437.75 USD"), (("3.0", None), "earned 3.00 USD"), ((None, None), None)],
)
def test_what_promoted_agents_own_capital_came_to_is_told(
    make: Any, earned: tuple[Any, Any], words: str | None
) -> None:
    given = make(agents=3, promoted=2)
    agents = [{**agent, "earned": amount} for agent, amount in zip(given.agents, (*earned, "1000000"), strict=True)]
    given = attrs.evolve(given, agents=agents)
    text, page = " ".join(render(given, width=130).split()), render_html(given)
    sentence = (
        f"By the ledger, their own capital {words} in all after every cost; the returns above are of records kept"
    )
    assert (sentence in text, sentence in page) == (words is not None,) * 2
    assert ("their own capital" in text) is (words is not None)
    assert (">-438.25<" in page) is (earned[0] == "-438.25")


def test_one_promoted_agent_and_one_without_a_record(make: Any) -> None:
    given = make(agents=2, promoted=2)
    agents = [{**agent, "return_until_promotion": 0.0, "return_since_promotion": -1.0} for agent in given.agents]
    lost_all = render(attrs.evolve(given, agents=agents), width=130)
    assert "Mean return of 2 promoted agents: 0.00% until promotion" in lost_all
    assert "and -100.00% since" in " ".join(lost_all.split())
    agents[1] = {**agents[1], "return_since_promotion": None}
    text = render(attrs.evolve(given, agents=agents), width=130)
    assert "Mean return of 1 promoted agent (1 without a whole record left out): 0.00% until promotion" in text
    assert "Mean return" not in render(make(promoted=0), width=130)


@pytest.mark.parametrize(("days", "short"), [(2, True), (30, True), (31, False)])
def test_a_record_of_a_few_days_gives_no_yearly_rates_and_says_why(make: Any, days: int, short: bool) -> None:
    """31 values are 30 days."""
    given = make(days=days, agents=4, promoted=1)
    text, page = render(given, width=130), render_html(given)
    row = next(line for line in text.splitlines() if line.startswith("Whole treasury")).split()
    assert (row[4:8] == ["\u2013"] * 4) is short
    words = f"The record has {days - 1} day{'s' if days > 2 else ''}: yearly rates and ratios such as Sharpe's"
    assert (words in " ".join(text.split())) is short
    assert (words in page.replace("&#39;", "'")) is short
    assert ("points a year (interval" in text) is not short
    assert (f"{given.treasury['annual_return']:.2%} a year" in page) is not short


def test_the_verdicts_interval_is_in_points_as_its_words_are(make: Any, result: RunResult) -> None:
    told = {**result.verdict, "text": "The record of 59 days is too short.", "difference": 0.0, "low": 0.0, "high": 0.0}
    text = render(make(verdict=told), width=200)
    assert "Managed capital against the control row: 0.00 points a year (interval 0.00 to 0.00)" in text
    assert "% a year" not in text
