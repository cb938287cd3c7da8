"""Chaos: a daemon is killed (SIGKILL) and started again at random moments, for as long as one likes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from treasury_arena.clock import Stopwatch
from treasury_arena.errors import TreasuryArenaError
from treasury_arena.randomness import stream
from treasury_arena.scheduling.bell import Bell

READY = "arena daemon in"
"""What a daemon says when it is at work."""

LIFE_SECONDS = (0.1, 8.0)
"""How long a daemon lives, at least and at most: a quarter of them from their start, the others from when they are at work."""

EARLY_SHARE = 0.25

READY_SECONDS_MAX = 300.0
LOOK_SECONDS = 0.1
_PROGRAM = "from treasury_arena.cli.main import run; run()"


@attrs.frozen
class Killed:
    """What happened: how often it was killed, before it was ready too, and how long each start took until it was, in seconds."""

    kills: int
    early: int
    ready_seconds: tuple[float, ...]


class Chaos:
    """Kills and restarts one daemon.

    Args:
        words: what follows `arena` on its command line.
        said: file that takes what the daemons say.
        seed: of the moments.
        tell: hears of each kill: seconds that have passed, kills until now.
        witness: looks at the stores after each kill, before the next start.
    """

    def __init__(
        self,
        words: Sequence[str],
        said: Path,
        seed: int,
        tell: Callable[[float, int], None],
        witness: Callable[[], None] = lambda: None,
    ) -> None:
        self._words, self._said, self._tell, self._witness = list(words), said, tell, witness
        self._draw = stream(seed, 0, "chaos")
        self._bell, self._last = Bell(), False

    def stop(self) -> None:
        """End it early; what was killed until then counts. The last start, which follows, is not cut short."""
        if not self._last:
            self._bell.stop()

    def run(self, seconds: float) -> Killed:
        """Kill for so many seconds, then let one daemon live until it is ready and end it as a person would.

        Raises TreasuryArenaError when a daemon ends by itself or does not become ready.
        """
        watch, kills, early, ready = Stopwatch(), 0, 0, []
        while watch.seconds() < seconds and not self._bell.stopped:
            process = self._start()
            try:
                young, life = self._draw.random() < EARLY_SHARE, float(self._draw.uniform(*LIFE_SECONDS))
                took = self._until_ready(process, life if young else READY_SECONDS_MAX)
                if took is not None:
                    ready.append(took)
                    self._live(process, life)
                elif not young and not self._bell.stopped:
                    raise self._late()
            finally:
                process.kill()
                process.wait()
            kills, early = kills + 1, early + (took is None)
            self._witness()
            self._tell(watch.seconds(), kills)
        self._last, self._bell = True, Bell()
        process = self._start()
        try:
            took = self._until_ready(process, READY_SECONDS_MAX)
            if took is None:
                raise TreasuryArenaError(
                    f"the daemon was not ready within {READY_SECONDS_MAX:g} s; {self._said} has its words"
                )
            ready.append(took)
            process.send_signal(signal.SIGTERM)
            code = process.wait(READY_SECONDS_MAX)
        finally:
            process.kill()
            process.wait()
        if code:
            raise TreasuryArenaError(
                f"the daemon ended with exit code {code} when it was asked to; {self._said} has its words"
            )
        return Killed(kills, early, tuple(ready))

    def _late(self) -> TreasuryArenaError:
        return TreasuryArenaError(
            f"the daemon was not ready within {READY_SECONDS_MAX:g} s; {self._said} has its words"
        )

    def _start(self) -> subprocess.Popen[bytes]:
        self._said.write_bytes(b"")
        with open(self._said, "ab") as said:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *self._words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # an interrupt in the terminal is ours to handle, not the daemon's
            )

    def _until_ready(self, process: subprocess.Popen[bytes], seconds: float) -> float | None:
        """Seconds until it was ready, None when it was not within so many."""
        watch = Stopwatch()
        while watch.seconds() < seconds:
            if READY in self._said.read_text(errors="replace"):
                return watch.seconds()
            self._live(process, LOOK_SECONDS)
            if self._bell.stopped:
                return None
        return None

    def _live(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        watch = Stopwatch()
        while True:
            if process.poll() is not None:
                last = self._said.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise TreasuryArenaError(f"the daemon ended by itself with exit code {process.returncode}: {last[0]}")
            left = seconds - watch.seconds()
            if left <= 0 or self._bell.stopped:
                return
            self._bell.wait(min(LOOK_SECONDS, left))
