"""Signals are heard while a program wants to hear them, and only those that it was not told to ignore."""

from __future__ import annotations

import signal
import threading

import pytest

from treasury_arena.scheduling.signals import ENDING, hearing


@pytest.mark.parametrize("number", ENDING)
def test_each_is_heard_also_within_itself_and_is_everybodys_again_afterwards(number: signal.Signals) -> None:
    before, heard = signal.getsignal(number), []

    def hear(got: signal.Signals) -> None:
        heard.append(got)
        if len(heard) < 5:
            signal.raise_signal(number)

    with hearing(hear):
        signal.raise_signal(number)
    assert heard == [number] * 5
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hearing(pytest.fail):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_hears_nothing_and_changes_nothing() -> None:
    found = []

    def work() -> None:
        with hearing(pytest.fail):
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
