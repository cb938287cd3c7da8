"""`report.html`: one file that needs nothing else, readable on a phone, on paper, by day and by night."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import facts
from treasury_arena_reports.charts import Chart, draw
from treasury_arena_reports.checks import check, cleaned
from treasury_arena_reports.family import NODES
from treasury_arena_reports.formats import NOTHING, count, decimal, number, percent, ratio, usd
from treasury_arena_reports.lineage import descents, families
from treasury_arena_reports.palette import DARK, LIGHT
from treasury_arena_reports.parameters import parameters

AGENTS_SHOWN = 1000
TIMINGS = {
    "seconds": ("Whole run, without start and report", "s", 1),
    "setup_seconds": ("Loading data and compiling", "s", 1),
    "judge_seconds": ("Judging", "s", 1),
    "search_seconds": ("Search", "s", 1),
    "live_seconds": ("Trading the elapsed intervals", "s", 1),
    "store_seconds": ("Writing events and ledger", "s", 1),
    "agent_steps": ("Agent-steps", "", 0),
    "agent_steps_per_second": ("Agent-steps a second", "", 0),
    "events": ("Events written", "", 0),
    "peak_memory_mib": ("Peak memory", "MiB", 0),
}


@attrs.frozen
class Cell:
    """A table cell: what is read, what is sorted by (nothing: the text), and whether it is a number."""

    text: str
    value: str = ""
    numeric: bool = True
    words: tuple[str, ...] = ()  # parts that no line break may cut, instead of `text`


def render_html(result: RunResult) -> str:
    """The page as text; equal results give equal text.

    Raises ValidationError for a result that `check` refuses. Every text of the result is escaped.
    """
    check(result)
    result = cleaned(result)
    template = _environment().get_template("report.html.j2")
    chosen = facts.promoted(result)
    _, drawn = families(result, NODES)
    return template.render(
        result=result,
        light=LIGHT,
        dark=DARK,
        headline=facts.headline(result),
        verdict=str(result.verdict.get("text") or "No verdict was recorded."),
        interval=facts.interval_sentence(result),
        stops=[*facts.stop_sentences(result), *filter(None, [facts.barren_sentence(result)])],
        sentences=[facts.idle_sentence(result), facts.life_sentence(result), facts.trials_sentence(result)],
        cards=_cards(result),
        rows=facts.comparison(result),
        charts={name: _figure(chart) for name, chart in draw(result).items()},
        unmeasured=facts.gap_sentences(result),
        promoted=[_promoted(agent) for agent in chosen],
        promotion=" ".join(filter(None, (facts.promotion_sentence(result), facts.earned_sentence(result)))),
        short=facts.short_sentence(result),
        families_drawn=drawn if drawn < len(chosen) else 0,
        descents=[_descent(line) for line in descents(result)],
        parameters=parameters(result),
        agents=[_agent(agent) for agent in facts.ranked(result.agents)[:AGENTS_SHOWN]],
        data=[(key, str(value)) for key, value in result.data.items()],
        timings=_timings(result),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("treasury_arena_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(usd=usd, percent=percent, number=number, ratio=ratio, count=count)
    return environment


def _figure(chart: Chart) -> dict[str, Any]:
    return {"name": chart.name, "message": chart.message, "svg": Markup(chart.svg), "narrow": Markup(chart.narrow)}


def _cards(result: RunResult) -> list[tuple[str, str, str]]:
    """Key figures: label, value, what it is measured against."""
    treasury, managed = facts.comparison(result)[:2]
    rate = treasury.annual_return
    yearly = "over the whole record" if rate is None else f"{percent(rate)} a year"
    ahead = facts.lead(result)
    against = NOTHING if ahead is None else f"{'+' if ahead > 0 else ''}{usd(ahead, cents=False)}"
    return [
        (
            "Final treasury",
            usd(result.capital["final"], cents=False),
            f"USD, from {usd(result.capital['initial'], cents=False)}",
        ),
        ("Return", percent(treasury.total_return), yearly),
        ("Against lending everything", against, "USD at the end"),
        (
            "Worst drawdown",
            percent(treasury.max_drawdown),
            f"managed capital {percent(managed.max_drawdown)}",
        ),
        ("Managed capital", percent(managed.total_return), "return, without the reserve"),
        (
            "Sharpe ratio",
            ratio(treasury.sharpe),
            f"over lending everything {ratio(treasury.excess_sharpe)}",
        ),
        ("Costs", usd(result.capital.get("costs")), "USD of fees, spread, impact and gas"),
        ("Trials", count(result.trials), "genomes evaluated"),
    ]


def _cell(value: Any, text: str) -> Cell:
    exact = decimal(value)
    return Cell(text, "" if exact is None else f"{exact:f}")


def _word(value: Any) -> Cell:
    return Cell(NOTHING if value is None or value == "" else str(value), numeric=False)


def _ids(listed: Sequence[Any]) -> Cell:
    """Ids, none of them broken at its hyphen."""
    told = facts.names(listed)
    return Cell(told or NOTHING, numeric=False, words=tuple(told.split(", ")) if told else ())


def _promoted(agent: dict[str, Any]) -> list[Cell]:
    get = agent.get
    return [
        _word(agent["id"]),
        _word(get("strategy")),
        _word(get("stage")),
        _cell(get("total_return"), percent(get("total_return"))),
        _cell(get("return_since_promotion"), percent(get("return_since_promotion"))),
        _cell(get("earned"), usd(get("earned"))),
        _cell(get("sharpe"), ratio(get("sharpe"))),
        _cell(get("deflated_sharpe"), number(get("deflated_sharpe"))),
        _cell(get("pbo"), percent(get("pbo"), 0)),
        _cell(get("max_drawdown"), percent(get("max_drawdown"))),
        _cell(get("gap_bps"), facts.gap(agent)),
        _cell(get("trials"), count(get("trials"))),
        _cell(get("capital"), usd(get("capital"), cents=False)),
        _word(get("label")),
    ]


def _agent(agent: dict[str, Any]) -> list[Cell]:
    get = agent.get
    return [
        _word(agent["id"]),
        _word(get("strategy")),
        _word(get("stage")),
        _word(_day(get("born"))),
        _word(_day(get("ended"))),
        _word(get("reason")),
        _cell(get("fitness"), number(get("fitness"))),
        _cell(get("total_return"), percent(get("total_return"))),
        _cell(get("sharpe"), ratio(get("sharpe"))),
        _cell(get("max_drawdown"), percent(get("max_drawdown"))),
        _cell(get("coin_share"), percent(get("coin_share"), 1)),
        _cell(get("capital"), usd(get("capital"), cents=False)),
        _ids(get("parents") or ()),
        _word(get("label")),
    ]


def _descent(line: Any) -> list[Cell]:
    return [
        _word(line.agent["id"]),
        _word(line.agent.get("strategy")),
        _word(_day(line.agent.get("born"))),
        _ids(line.parents),
        _ids(line.grandparents),
        _ids(line.founders),
        _cell(line.ancestors, count(line.ancestors)),
        _cell(line.depth, count(line.depth)),
    ]


def _day(value: Any) -> str | None:
    """The date of a date or a time."""
    return None if value is None else str(value).split("T")[0]


def _timings(result: RunResult) -> list[tuple[str, str]]:
    lines = []
    known = list(TIMINGS)
    order = sorted(result.timings, key=lambda key: (known.index(key) if key in TIMINGS else len(known), key))
    for key in order:
        value = result.timings[key]
        words, unit, digits = TIMINGS.get(key, (key.replace("_", " "), "", 2))
        lines.append((words, f"{number(value, digits)} {unit}".strip()))
    return lines
