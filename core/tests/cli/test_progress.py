"""What a terminal shows of a run under way: all that is promised, whole, from 80 columns on."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from treasury_arena.arena.phases import CycleReport
from treasury_arena.cli.progress import RunProgress
from treasury_arena.domain.assets import Asset

USDC = Asset("USDC", 6, stable=True)
REPORT = CycleReport(
    cycle=52,
    row=8_000,
    date="2024-12-30",
    alive=1_120,
    simulation=1_000,
    proving=100,
    arena=20,
    dead=1_555,
    graduated=1_445,
    best=-12.34,
    median=-10.22,
    capital_raw=1_234_567_890 * USDC.unit,
    trials=123_456,
    agent_steps=1_000,
)
PROMISED = (
    "cycle 53/107",
    "2024-12-30",
    "alive 1120 (sim 1000, proving 100, arena 20)",
    "ended 1555",
    "graduated 1445",
    "fitness best -12.34 median -10.22",
    "capital 1,234,567,890",
    "agent-steps/s",
    "ETA",
)


@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_everything_that_is_promised_is_whole(columns: int) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=columns, color_system=None)
    with RunProgress(107, USDC, console=terminal) as progress:
        progress(REPORT)
    assert isinstance(terminal.file, io.StringIO)
    *_, bar, population, numbers = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.file.getvalue()).split("\n")[:-1]
    frame = (bar.split("\r")[-1], population, numbers)
    assert all(len(line) <= columns for line in frame)
    for words in PROMISED:
        assert any(words in line for line in frame), (words, frame)
    assert re.search(r"━.*ETA (\d:\d\d:\d\d|-:--:--)", frame[0])


def test_without_a_terminal_it_is_one_line() -> None:
    plain = Console(file=io.StringIO(), force_terminal=False, width=80)
    with RunProgress(53, USDC, console=plain) as progress:
        progress(REPORT)
    assert isinstance(plain.file, io.StringIO)
    (line,) = plain.file.getvalue().splitlines()
    for words in (*PROMISED[1:], "cycle 53/53"):
        assert words in line


def test_quiet_shows_nothing() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, quiet=True)
    with RunProgress(53, USDC, quiet=True, console=terminal) as progress:
        progress(REPORT)
    assert isinstance(terminal.file, io.StringIO)
    assert terminal.file.getvalue() == ""
