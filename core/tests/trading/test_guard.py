"""The watchdog interrupts what runs too long, and only that."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from treasury_arena.clock import Stopwatch
from treasury_arena.errors import ValidationError
from treasury_arena.trading.guard import LoopLimitError, Watchdog


def spin(seconds: float) -> int:
    watch, turns = Stopwatch(), 1  # a busy machine may let the whole time pass before the first look
    while watch.seconds() < seconds:
        turns += 1
    return turns


def spin_for_ever() -> None:
    turns = 0
    while True:
        turns += 1


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    guard = Watchdog(0.02, poll=0.002)
    yield guard
    guard.close()


def test_an_endless_loop_is_interrupted(watchdog: Watchdog) -> None:
    with pytest.raises(LoopLimitError), watchdog:
        spin_for_ever()


def test_a_loop_that_swallows_every_exception_is_interrupted(watchdog: Watchdog) -> None:
    def stubborn() -> None:
        while True:
            try:
                spin(0.001)
            except Exception:  # what a careless author writes; the interruption must pass through it
                continue

    with pytest.raises(LoopLimitError), watchdog:
        stubborn()


def test_a_quick_call_passes_and_gives_its_result(watchdog: Watchdog) -> None:
    with watchdog:
        result = sum(range(1_000))
    assert result == 499_500


def test_an_error_of_the_call_passes_through(watchdog: Watchdog) -> None:
    with pytest.raises(ZeroDivisionError), watchdog:
        _ = 1 // 0
    with watchdog:
        assert spin(0.001) > 0


def test_the_guard_works_again_after_an_interruption(watchdog: Watchdog) -> None:
    for _ in range(3):
        with pytest.raises(LoopLimitError), watchdog:
            spin_for_ever()
        with watchdog:
            assert spin(0.001) > 0


def test_a_nested_call_shares_the_outer_limit(watchdog: Watchdog) -> None:
    left: list[str] = []

    def outer() -> None:
        with watchdog:
            spin(0.001)
        left.append("inner")
        spin_for_ever()

    with pytest.raises(LoopLimitError), watchdog:
        outer()
    assert left == ["inner"]


def test_a_nested_endless_loop_is_interrupted_and_leaves_nothing_behind(watchdog: Watchdog) -> None:
    with pytest.raises(LoopLimitError), watchdog, watchdog:
        spin_for_ever()
    assert spin(0.05) > 0  # longer than the limit, not guarded
    with watchdog:
        assert spin(0.001) > 0


def test_another_thread_cannot_enter_a_guard_in_use(watchdog: Watchdog) -> None:
    met: list[Exception] = []

    def intrude() -> None:
        try:
            with watchdog:
                spin(0.001)
        except ValidationError as error:
            met.append(error)

    with watchdog:
        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()
    assert "one thread" in str(met[0])


def test_no_stray_exception_after_calls_that_end_near_the_limit() -> None:
    """200 calls that take about the limit: each ends normally or by LoopLimitError inside; nothing arrives later."""
    guard = Watchdog(0.004, poll=0.001)
    ended = {"in time": 0, "interrupted": 0}
    try:
        for call in range(200):
            try:
                with guard:
                    spin(0.0035 + 0.00001 * (call % 100))
            except LoopLimitError:
                ended["interrupted"] += 1
            else:
                ended["in time"] += 1
            # A stray exception would surface here, in code that nobody guards.
            assert spin(0.0015) > 0
    finally:
        guard.close()
    assert sum(ended.values()) == 200


def test_a_closed_guard_can_be_used_again() -> None:
    guard = Watchdog(0.02, poll=0.002)
    with guard:
        assert spin(0.001) > 0
    guard.close()
    with pytest.raises(LoopLimitError), guard:
        spin_for_ever()
    guard.close()


def test_a_loop_of_calls_that_swallow_even_the_interruption_is_over_soon(watchdog: Watchdog) -> None:
    turns = 0
    with contextlib.suppress(LoopLimitError), watchdog:
        for _ in range(20):  # without further interruptions the second turn would never end
            try:
                spin_for_ever()
            except BaseException:  # what a hostile author writes
                turns += 1
    assert 1 <= turns <= 20
    assert spin(0.05) > 0
    with watchdog:
        assert spin(0.001) > 0


def test_a_call_that_swallows_it_a_few_times_is_over_soon_after(watchdog: Watchdog) -> None:
    swallowed = 0
    with watchdog:
        while swallowed < 3:
            try:
                spin_for_ever()
            except LoopLimitError:
                swallowed += 1
    assert swallowed == 3
    assert spin(0.05) > 0


def test_what_is_left_behind_by_an_interruption_is_not_chased(watchdog: Watchdog) -> None:
    for _ in range(5):
        with pytest.raises(LoopLimitError) as kept, watchdog:
            spin_for_ever()
        assert spin(0.01) > 0  # unguarded, while the exception and its frames are still held
        assert kept.value is not None
