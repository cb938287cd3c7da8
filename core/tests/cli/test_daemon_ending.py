"""A signal ends a daemon whenever it comes, also in the middle of its opening."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from treasury_arena.cli.daemon import _EndedEarlyError, _Ending
from treasury_arena.isolation import calling


class Scheduler:
    name = "counted"

    def __init__(self) -> None:
        self.stops = 0

    def run(self, jobs: object, book: object) -> None:
        raise AssertionError("it must not run any more")

    def stop(self) -> None:
        self.stops += 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_in_the_opening_ends_it_though_somebody_takes_it_for_an_error(number: int) -> None:
    with _Ending(lambda text: None) as ending:
        with contextlib.suppress(BaseException):  # a plugin's way of opening something
            os.kill(os.getpid(), number)
        with pytest.raises(_EndedEarlyError), ending.of(Scheduler(), None):
            raise AssertionError("it must not begin")


def test_one_in_the_opening_is_no_error_that_is_gone_on_after() -> None:
    with _Ending(lambda text: None), pytest.raises(_EndedEarlyError), contextlib.suppress(Exception):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_in_a_plugins_code_is_no_failure_of_the_plugin(number: int) -> None:
    """As in a source's fetch, which is called while the daemon opens."""
    begun = []
    with _Ending(lambda text: None) as ending, contextlib.suppress(_EndedEarlyError):
        with calling("source 'slow'"):
            os.kill(os.getpid(), number)
        with ending.of(Scheduler(), None):
            begun.append(True)
    assert begun == []


def test_one_that_comes_later_stops_the_scheduler_even_when_nobody_can_be_told() -> None:
    def deaf(text: str) -> None:
        raise BrokenPipeError(text)

    scheduler = Scheduler()
    with _Ending(deaf) as ending, ending.of(scheduler, None):
        with pytest.raises(BrokenPipeError, match="SIGTERM: stopping after the job under way"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert scheduler.stops == 1
