"""The progress display of a run: on stderr, a live line for people, plain lines where there is no terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from treasury_arena.arena.cycle import CycleReport
from treasury_arena.cli.lines import speed
from treasury_arena.clock import Stopwatch
from treasury_arena.domain.assets import Asset

PLAIN_EVERY = 10


class RunProgress:
    """Shows cycle, date, population, fitness, capital, speed and remaining time.

    Used as a context manager; `quiet` shows nothing.
    """

    def __init__(self, cycles: int, base: Asset, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._base = base
        self._cycles = cycles
        self._watch = Stopwatch()
        self._steps = 0
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("cycle", total=cycles)

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, report: CycleReport) -> None:
        """Show one finished cycle."""
        self._steps += report.agent_steps
        seconds = max(self._watch.seconds(), 1e-9)
        line = (
            f"{report.date}  alive {report.alive} (sim {report.simulation}, proving {report.proving}, arena "
            f"{report.arena})  ended {report.dead}  graduated {report.graduated}  fitness best {report.best:.2f} median "
            f"{report.median:.2f}  capital {self._base.to_float(report.capital_raw):,.0f}  "
            f"{speed(self._steps, seconds)}"
        )
        done = report.cycle + 1
        if self._live:
            self._bar.update(self._task, completed=done, description=line)
        elif done % PLAIN_EVERY == 0 or done == self._cycles:
            eta = seconds / done * (self._cycles - done)
            self._console.print(
                f"cycle {done}/{self._cycles}  {line}  ETA {eta:.0f} s", soft_wrap=True, highlight=False
            )
