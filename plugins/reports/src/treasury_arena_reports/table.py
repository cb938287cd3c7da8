"""The table at the end of a run, drawn to the width of the terminal."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.checks import check, cleaned
from treasury_arena_reports.facts import (
    Row,
    champions,
    comparison,
    gap,
    gap_sentences,
    headline,
    idle_sentence,
    interval_sentence,
    life_sentence,
    stop_sentences,
    trials_sentence,
)
from treasury_arena_reports.formats import NOTHING, count, number, percent, ratio, strategy_of, usd

NARROWEST = 48
NARROW = 100
WIDE = 112
WIDTH_WITHOUT_TERMINAL = 120
SHOWN_CHAMPIONS = 15


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
    console.print(_comparison(result, width))
    console.print()
    for sentence in (*stop_sentences(result), str(result.verdict.get("text") or ""), interval_sentence(result)):
        if sentence:
            console.print(Text(sentence, style="bold"))
    for sentence in (idle_sentence(result), life_sentence(result), trials_sentence(result)):
        console.print(Text(sentence))
    console.print()
    _champions(console, result, width)
    console.print()
    console.print(Text(_timings(result)))
    console.print(Text(f"Run {result.run_id}, profile {result.profile}, seed {result.seed}"))
    console.print(Text(f"Digest {result.digest}", overflow="fold"))
    lines = out.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _comparison(result: RunResult, width: int) -> Table:
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
    if width < WIDE:
        columns = [column for column in columns if column[0] != "Excess"]
    for unwanted in ("Sortino", "Sharpe", "Annual", "Costs"):
        if _needed(columns, rows) <= width - 16:
            break
        columns = [column for column in columns if column[0] != unwanted]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", min_width=min(14, width // 3))
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for at, row in enumerate(rows):
        style = "bold" if row.kind == "treasury" else None
        cells = [Text(cell(row)) for _, cell in columns]
        table.add_row(Text(row.label), *cells, style=style, end_section=at == 1)
    return table


def _needed(columns: list[tuple[str, Callable[[Row], str]]], rows: list[Row]) -> int:
    return sum(max(len(title), *(len(cell(row)) for row in rows)) + 2 for title, cell in columns)


def _champions(console: Console, result: RunResult, width: int) -> None:
    chosen = champions(result)
    if not chosen:
        console.print(Text("No agent was promoted: none passed the rules, so no capital was given to one."))
        return
    columns: list[tuple[str, Callable[[dict[str, Any]], str], int]] = [
        ("Promoted agent", lambda agent: str(agent["id"]), 0),
        ("Strategy", strategy_of, 60),
        ("Stage", lambda agent: str(agent.get("stage") or NOTHING), 0),
        ("Return", lambda agent: percent(agent.get("total_return")), 0),
        ("Sharpe", lambda agent: ratio(agent.get("sharpe")), 0),
        ("Deflated", lambda agent: number(agent.get("deflated_sharpe")), 70),
        ("PBO", lambda agent: percent(agent.get("pbo"), 0), 80),
        ("Gap bps", gap, 90),
        ("Label", lambda agent: str(agent.get("label") or ""), 100),
    ]
    shown = [(title, cell) for title, cell, from_width in columns if width >= from_width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, _ in shown:
        text = title in ("Promoted agent", "Strategy", "Stage", "Label")
        table.add_column(title, justify="left" if text else "right", no_wrap=not text, overflow="fold")
    for agent in chosen[:SHOWN_CHAMPIONS]:
        table.add_row(*(Text(cell(agent)) for _, cell in shown))
    console.print(table)
    if len(chosen) > SHOWN_CHAMPIONS:
        console.print(Padding(Text(f"and {len(chosen) - SHOWN_CHAMPIONS} more, in report.html"), (0, 0, 0, 0)))
    for sentence in gap_sentences(result):
        console.print(Text(sentence))


def _timings(result: RunResult) -> str:
    timings = result.timings
    return (
        f"Took {number(timings.get('seconds'), 1)} s: {count(timings.get('agent_steps'))} agent-steps, "
        f"{count(timings.get('agent_steps_per_second'))} a second; search {number(timings.get('search_seconds'), 1)} s, "
        f"live {number(timings.get('live_seconds'), 1)} s, store {number(timings.get('store_seconds'), 1)} s; "
        f"{count(timings.get('events'))} events, peak memory {count(timings.get('peak_memory_mib'))} MiB."
    )
