"""The table at the end of a run, drawn to the width of the terminal."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.checks import check, cleaned
from treasury_arena_reports.facts import (
    Row,
    barren_sentence,
    comparison,
    earned_sentence,
    gap,
    gap_sentences,
    headline,
    idle_sentence,
    interval_sentence,
    life_sentence,
    promoted,
    promotion_sentence,
    short_sentence,
    stop_sentences,
    trials_sentence,
)
from treasury_arena_reports.formats import NOTHING, count, number, percent, plural, ratio, strategy_of, usd

NARROWEST = 48
NARROW = 100
WIDTH_WITHOUT_TERMINAL = 120
SHOWN_PROMOTED = 15
SINCE = "Since\npromotion"


def render(result: RunResult, width: int | None = None, colour: bool | None = None) -> str:
    """Draw the closing table as text.

    Args:
        width: columns; by default those of the terminal, or 120 where the output is no terminal.
        colour: whether to use ANSI signs; by default only when standard output is a terminal and NO_COLOR is unset.
    """
    check(result)
    result = cleaned(result)
    terminal = sys.stdout.isatty()
    if width is None:
        width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
        if not terminal and "COLUMNS" not in os.environ:
            width = WIDTH_WITHOUT_TERMINAL
    if colour is None:
        colour = terminal and "NO_COLOR" not in os.environ
    width = max(width, NARROWEST)
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(Text(headline(result), style="bold"))
    console.print()
    _comparison(console, result, width)
    console.print()
    for sentence in (
        *stop_sentences(result),
        barren_sentence(result),
        str(result.verdict.get("text") or ""),
        interval_sentence(result),
    ):
        if sentence:
            console.print(Text(sentence, style="bold"))
    if short := short_sentence(result):
        console.print(Text(short))
    for sentence in (idle_sentence(result), life_sentence(result), trials_sentence(result)):
        console.print(Text(sentence))
    console.print()
    _promoted(console, result, width)
    console.print()
    console.print(Text(_timings(result)))
    console.print(Text(f"Run {result.run_id}, profile {result.profile}, seed {result.seed}"))
    console.print(Text(f"Digest {result.digest}", overflow="fold"))
    lines = out.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _comparison(console: Console, result: RunResult, width: int) -> None:
    cents = width >= NARROW
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("Final USD", lambda row: usd(row.final, cents)),
        ("Return", lambda row: percent(row.total_return)),
        ("Annual", lambda row: percent(row.annual_return)),
        ("Sharpe", lambda row: ratio(row.sharpe)),
        ("Excess", lambda row: ratio(row.excess_sharpe)),
        ("Sortino", lambda row: ratio(row.sortino)),
        ("Drawdown", lambda row: percent(row.max_drawdown)),
        ("Costs", lambda row: usd(row.costs, cents)),
    ]
    rows = comparison(result)
    columns, missing = _fitting(columns, rows, width - 16, ("Excess", "Sortino", "Sharpe", "Annual", "Costs"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", min_width=min(14, width // 3))
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for at, row in enumerate(rows):
        style = "bold" if row.kind == "treasury" else None
        cells = [Text(cell(row)) for _, cell in columns]
        table.add_row(Text(row.label), *cells, style=style, end_section=at == 1)
    console.print(table)
    _tell_missing(console, missing)


def _fitting(
    columns: list[tuple[str, Callable[[Any], str]]], rows: Sequence[Any], width: int, unwanted: Sequence[str]
) -> tuple[list[tuple[str, Callable[[Any], str]]], list[str]]:
    """The columns that fit into `width`, given up in the order of `unwanted`, and the titles of those given up."""
    missing: list[str] = []
    for name in unwanted:
        if _needed(columns, rows) <= width:
            break
        columns = [column for column in columns if column[0] != name]
        missing.append(name)
    return columns, missing


def _needed(columns: list[tuple[str, Callable[[Any], str]]], rows: Sequence[Any]) -> int:
    return sum(max(*map(len, title.split("\n")), 0, *(len(cell(row)) for row in rows)) + 2 for title, cell in columns)


def _tell_missing(console: Console, missing: Sequence[str]) -> None:
    if missing:
        which = f"{plural(len(missing), 'column')} ({', '.join(missing)}) {'does' if len(missing) == 1 else 'do'}"
        console.print(Text(f"{which} not fit here: see report.html"))


def _promoted(console: Console, result: RunResult, width: int) -> None:
    chosen = promoted(result)
    if not chosen:
        console.print(Text("No agent was promoted: none passed the rules, so no capital was given to one."))
        return
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("Promoted agent", lambda agent: str(agent["id"])),
        ("Strategy", strategy_of),
        ("Stage", lambda agent: str(agent.get("stage") or NOTHING)),
        ("Return", lambda agent: percent(agent.get("total_return"))),
        (SINCE, lambda agent: percent(agent.get("return_since_promotion"))),
        ("Sharpe", lambda agent: ratio(agent.get("sharpe"))),
        ("Deflated", lambda agent: number(agent.get("deflated_sharpe"))),
        ("PBO", lambda agent: percent(agent.get("pbo"), 0)),
        ("Gap bps", gap),
        ("Label", lambda agent: str(agent.get("label") or "")),
    ]
    listed = chosen[:SHOWN_PROMOTED]
    shown, missing = _fitting(columns, listed, width + 2, ("Gap bps", "PBO", "Strategy", "Deflated", "Sharpe", "Label"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, _ in shown:
        text = title in ("Promoted agent", "Strategy", "Stage", "Label")
        table.add_column(
            title, justify="left" if text else "right", no_wrap=not text, overflow="fold", vertical="bottom"
        )
    for agent in listed:
        table.add_row(*(Text(cell(agent)) for _, cell in shown))
    console.print(table)
    if len(chosen) > SHOWN_PROMOTED:
        console.print(Padding(Text(f"and {len(chosen) - SHOWN_PROMOTED} more, in report.html"), (0, 0, 0, 0)))
    _tell_missing(console, missing)
    for sentence in filter(None, (promotion_sentence(result), earned_sentence(result), *gap_sentences(result))):
        console.print(Text(sentence))


def _set_up(timings: Mapping[str, Any]) -> str:
    """What came before the first cycle; kernels that must be compiled take most of it."""
    seconds = timings.get("setup_seconds")
    return "" if seconds is None else f"set-up and compiling {number(seconds, 1)} s, "


def _timings(result: RunResult) -> str:
    timings = result.timings
    if "seconds" not in timings:  # of a run that was only looked at again
        return f"{count(timings.get('agent_steps'))} agent-steps, {count(timings.get('events'))} events."
    return (
        f"Took {number(timings.get('seconds'), 1)} s without start and report: "
        f"{count(timings.get('agent_steps'))} agent-steps, {count(timings.get('agent_steps_per_second'))} a second; "
        f"{_set_up(timings)}search {number(timings.get('search_seconds'), 1)} s, "
        f"live {number(timings.get('live_seconds'), 1)} s, store {number(timings.get('store_seconds'), 1)} s; "
        f"{count(timings.get('events'))} events, peak memory {count(timings.get('peak_memory_mib'))} MiB."
    )
