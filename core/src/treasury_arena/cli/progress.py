"""The progress display of a run: on stderr, live lines for people, plain ones where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from treasury_arena.arena.cycle import CycleReport
from treasury_arena.cli.lines import speed
from treasury_arena.clock import Stopwatch
from treasury_arena.domain.assets import Asset

PLAIN_EVERY = 10


class _Lines(Progress):
    """A bar, and below it lines that a terminal of 80 columns shows whole."""

    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(line, overflow="fold") for line in self.lines)


class RunProgress:
    """Shows cycle, date, population, fitness, capital, speed and remaining time.

    Used as a context manager; `quiet` shows nothing. `console` is stderr's unless given.
    """

    def __init__(self, cycles: int, base: Asset, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, quiet=quiet)
        self._base = base
        self._cycles = cycles
        self._watch = Stopwatch()
        self._steps = 0
        self._live = self._console.is_terminal and not quiet
        self._bar = _Lines(
            TextColumn("cycle {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("", total=cycles)

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
        lines = (
            f"alive {report.alive} (sim {report.simulation}, proving {report.proving}, arena {report.arena})  "
            f"ended {report.dead}  graduated {report.graduated}",
            f"fitness best {report.best:.2f} median {report.median:.2f}  "
            f"capital {self._base.to_float(report.capital_raw):,.0f}  {speed(self._steps, seconds)}",
        )
        done = report.cycle + 1
        if self._live:
            self._bar.lines = lines
            self._bar.update(self._task, completed=done, description=report.date)
        elif done % PLAIN_EVERY == 0 or done == self._cycles:
            eta = seconds / done * (self._cycles - done)
            self._console.print(
                f"cycle {done}/{self._cycles}  {report.date}  {'  '.join(lines)}  ETA {eta:.0f} s",
                soft_wrap=True,
                highlight=False,
            )
