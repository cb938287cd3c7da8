"""What the watchdog counts: processor time of the guarded thread. A stopped or starved process is not blamed, a loop is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from treasury_arena.trading import guard
from treasury_arena.trading.guard import WALL_FACTOR, WALL_SECONDS, LoopLimitError, Watchdog

LIMITS = (1.0, 4.0)
"""Seconds of processor time; of wall time, the first allows the least there is, the second a multiple of its own."""
PATIENCE_SECONDS = 30
"""How long anything that must happen may take before a test gives up; no result depends on it."""


@attrs.define
class Clocks:
    """Time as the guard sees it, moved by hand. A pipe tells of every look at it."""

    processor: float = 100.0
    wall: float = 5_000.0
    looks: int = 0
    pipe: tuple[int, int] = attrs.field(factory=os.pipe)

    def thread_time(self) -> float:
        return self.processor

    def pthread_getcpuclockid(self, thread: int) -> int:
        return thread

    def clock_gettime(self, clock: int) -> float:
        self.looks += 1
        os.write(self.pipe[1], b"x")
        return self.processor

    def seconds(self) -> float:
        return self.wall

    def are_looked_at(self, times: int = 3) -> None:
        """Return once the guard has looked `times` more."""
        while select.select([self.pipe[0]], [], [], 0)[0]:
            os.read(self.pipe[0], 4096)
        for _ in range(times):
            assert select.select([self.pipe[0]], [], [], PATIENCE_SECONDS)[0], "the guard does not look"
            os.read(self.pipe[0], 1)

    def pass_in_a_loop(self, processor: float = 0.0, wall: float = 0.0) -> None:
        """Let time pass and loop on, for as long as the guard needs to look a hundred times."""
        self.processor += processor
        self.wall += wall
        enough = self.looks + 100
        while self.looks < enough:
            continue


def most_wall(watchdog: Watchdog) -> float:
    return max(WALL_SECONDS, WALL_FACTOR * watchdog.limit_seconds)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    made = Clocks()
    monkeypatch.setattr(guard, "time", made)
    monkeypatch.setattr(guard, "Stopwatch", lambda: made)
    yield made
    for end in made.pipe:
        os.close(end)


@pytest.fixture(params=LIMITS)
def watchdog(request: pytest.FixtureRequest, clocks: Clocks) -> Iterator[Watchdog]:
    made = Watchdog(request.param, poll=0.001)
    yield made
    made.close()


def test_processor_time_up_to_the_limit_is_allowed(watchdog: Watchdog, clocks: Clocks) -> None:
    with watchdog:
        clocks.processor += watchdog.limit_seconds
        clocks.are_looked_at()


def test_processor_time_beyond_the_limit_is_not(watchdog: Watchdog, clocks: Clocks) -> None:
    with pytest.raises(LoopLimitError), watchdog:
        clocks.pass_in_a_loop(processor=watchdog.limit_seconds * 1.001)


def test_a_starved_call_is_not_blamed_for_the_time_that_others_took(watchdog: Watchdog, clocks: Clocks) -> None:
    for _ in range(3):
        with watchdog:
            clocks.wall += most_wall(watchdog)
            clocks.processor += 0.9 * watchdog.limit_seconds
            clocks.are_looked_at()


def test_a_call_that_hangs_without_computing_ends_at_last(watchdog: Watchdog, clocks: Clocks) -> None:
    with pytest.raises(LoopLimitError), watchdog:
        clocks.pass_in_a_loop(wall=most_wall(watchdog) * 1.001)


# -- a real process, stopped and continued

CHILD = """
import os, sys
from treasury_arena.trading.guard import LoopLimitError, Watchdog

looks, looked = os.pipe()

class Watched(Watchdog):
    def _late(self):
        os.write(looked, b"x")
        return super()._late()

def say(word):
    os.write(1, word.encode() + b"\\n")

after = sys.argv[1]
guard = Watched(0.25, poll=0.005)
try:
    with guard:
        say("inside")
        os.read(0, 1)  # stopped here, and continued
        if after == "loop":
            while True:
                pass
        os.read(looks, 1 << 16)
        for _ in range(5):  # the guard has looked since, and seen how late it is
            os.read(looks, 1)
    say("in time")
except LoopLimitError:
    say("interrupted")
guard.close()
"""


def line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE_SECONDS)[0], "the process says nothing"
    return process.stdout.readline().decode().strip()


@pytest.fixture
def stopped() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts the child, stops it inside the guard for several times its limit, and lets it go on."""
    started: list[subprocess.Popen[bytes]] = []

    def start(after: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, after], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        started.append(process)
        assert line(process) == "inside"
        process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        # Nothing is measured here: no length of the stop changes what must come out.
        select.select([], [], [], 0.8)
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.send_signal(signal.SIGCONT)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_that_is_stopped_for_longer_than_the_limit_is_not_blamed(stopped: Callable[[str], Any]) -> None:
    assert line(stopped("wait")) == "in time"


def test_an_endless_loop_in_a_process_that_was_stopped_is(stopped: Callable[[str], Any]) -> None:
    assert line(stopped("loop")) == "interrupted"
