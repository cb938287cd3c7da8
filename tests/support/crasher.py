"""Runs `arena` commands in processes that kill themselves with SIGKILL at a named point.

    crasher.py < jobs.json > outcomes.json

A job is a list of attempts, each ``{"arguments": [...], "kill": [POINT, NUMBER] or null}``, made one after the other; the
point "seconds" kills from outside after NUMBER seconds. The market and the kernels are prepared once; every attempt is
a fork of its own, so that nothing survives it but the disk.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import attrs

from treasury_arena import assembly
from treasury_arena.arena.cycle import PHASES
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.cli import folder, run
from treasury_arena.cli.main import execute
from treasury_arena.store import event_store

#: Points outside the cycle's phases: around the folder, the store, the transactions and the reports.
OTHER_POINTS = (
    "before the folder",
    "configuration written",
    "notes written",
    "store opened",
    "before ArenaOpened",
    "events inserted",
    "before COMMIT",
    "after COMMIT",
    "before a report",
    "after a report",
)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class Killer:
    """Kills its process when a point is reached for the given time (for phases: in the given cycle)."""

    def __init__(self, point: str, number: int) -> None:
        self.point, self.number = point, number
        self.seen = 0

    def phase(self, phase: str, cycle: int) -> None:
        if (phase, cycle) == (self.point, self.number):
            die()

    def reach(self, point: str) -> None:
        if point == self.point:
            self.seen += 1
            if self.seen == self.number:
                die()

    def around(self, owner: Any, name: str, before: str = "", after: str = "") -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.reach(before)
            result = original(*args, **kwargs)
            self.reach(after)
            return result

        setattr(owner, name, wrapped)

    def install(self) -> None:
        if self.point in PHASES:
            timer = run.PhaseTimer.__call__

            def told(watch: Any, phase: str, cycle: int = 0) -> None:
                self.phase(phase, cycle)
                timer(watch, phase, cycle)

            run.PhaseTimer.__call__ = told  # type: ignore[method-assign]
            return
        assert self.point in OTHER_POINTS, self.point
        self.around(folder.RunFolder, "begin", before="before the folder", after="notes written")
        self.around(folder, "_write", after="configuration written")
        self.around(run, "open_store", after="store opened")
        self.around(ArenaManager, "_open", before="before ArenaOpened")
        self.around(event_store.EventStore, "_post", before="events inserted")
        self.around(event_store.EventStore, "append", after="after COMMIT")
        self.around(event_store.EventStore, "_project", after="before COMMIT")
        loaded = run.load_registry

        def registry() -> Any:
            found = loaded()
            for reporter in found.reporters.values():
                self.around(type(reporter), "write", before="before a report", after="after a report")
            return found

        run.load_registry = registry


def without_reports() -> None:
    """Draw no charts: most jobs compare what a command prints, and drawing costs as much as the run."""
    registry = attrs.evolve(run.load_registry(), reporters={})
    run.load_registry = lambda: registry


def attempt(arguments: list[str], kill: list[Any] | None, *, reports: bool) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            code, out, err = 70, io.StringIO(), io.StringIO()
            try:
                if not reports:
                    without_reports()
                if kill is not None and kill[0] != "seconds":
                    Killer(*kill).install()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = execute(arguments)
            except BaseException:
                err.write(traceback.format_exc())
            json.dump({"out": out.getvalue(), "err": err.getvalue()}, told)
            told.flush()
            os._exit(code)
        if kill is not None and kill[0] == "seconds":
            time.sleep(kill[1])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        told.seek(0)
        text = told.read()
    outcome = json.loads(text) if text else {"out": "", "err": ""}
    return {**outcome, "code": os.waitstatus_to_exitcode(status)}


def share_the_world() -> None:
    """Assemble each configuration once, in the parent: a fork takes it over ready-made."""
    known: dict[str, Any] = {}
    original = assembly.assemble

    def assembled(settings: Any, registry: Any, **options: Any) -> Any:
        key = assembly.config_hash(settings)
        if key not in known:
            known[key] = original(settings, registry, **options)
        return known[key]

    run.assemble = assembled


def main() -> None:
    jobs = json.load(sys.stdin)
    share_the_world()
    warm = Path(tempfile.mkdtemp()) / "warm"
    first = jobs[0][0]["arguments"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        execute(["run", first[1], "--out", str(warm), "--json", "--quiet", "--workers", "1"])
    shutil.rmtree(warm.parent)
    outcomes = []
    for job in jobs:
        reports = any("report" in str((one["kill"] or [""])[0]) for one in job)
        outcomes.append([attempt(**one, reports=reports) for one in job])
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
