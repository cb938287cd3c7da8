"""What every data source must do: regular finite frames, prefixes that never change, a stable fingerprint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.frame import Window
from treasury_arena.errors import DataError


class SourceConformance:
    """Laws of a data source. Subclasses define ``make`` (a fresh, equal source each time) and ``window``."""

    @pytest.fixture
    def make(self) -> Callable[[], DataSource]:
        """Makes the source; called several times."""
        raise NotImplementedError("define the fixture `make` in your subclass")

    @pytest.fixture
    def window(self) -> Window:
        """At least ten days that the source can serve."""
        raise NotImplementedError("define the fixture `window` in your subclass")

    def test_the_frame_covers_the_window_regularly(self, make: Callable[[], DataSource], window: Window) -> None:
        frame = make().fetch(window)
        step = frame.step_seconds
        assert frame.start == -(-window.start // step) * step
        assert frame.rows == len(range(frame.start, window.end, step))

    def test_every_value_is_finite_and_prices_are_positive(
        self, make: Callable[[], DataSource], window: Window
    ) -> None:
        frame = make().fetch(window)
        for name, column in frame.columns.items():
            assert np.isfinite(column).all(), name
            if name.endswith(".price"):
                assert (column > 0.0).all(), name

    def test_a_shorter_window_is_a_prefix(self, make: Callable[[], DataSource], window: Window) -> None:
        """What is known at a time does not change when more is asked for: no value looks ahead."""
        whole = make().fetch(window)
        middle = whole.epoch(whole.rows // 2)
        part = make().fetch(Window(window.start, middle))
        assert part.start == whole.start
        for name in whole.columns:
            assert part[name].tobytes() == whole[name][: part.rows].tobytes(), name

    def test_a_later_window_is_a_suffix(self, make: Callable[[], DataSource], window: Window) -> None:
        whole = make().fetch(window)
        middle = whole.rows // 2
        part = make().fetch(Window(whole.epoch(middle), window.end))
        for name in whole.columns:
            assert part[name].tobytes() == whole[name][middle:].tobytes(), name

    def test_the_same_source_gives_the_same_frame(self, make: Callable[[], DataSource], window: Window) -> None:
        first, second = make().fetch(window), make().fetch(window)
        assert set(first.columns) == set(second.columns)
        assert all(first[name].tobytes() == second[name].tobytes() for name in first.columns)

    def test_the_fingerprint_is_stable(self, make: Callable[[], DataSource], window: Window) -> None:
        source = make()
        before = source.fingerprint()
        source.fetch(window)
        assert before == source.fingerprint() == make().fingerprint()
        assert len(before) >= 16

    def test_facts_are_text(self, make: Callable[[], DataSource]) -> None:
        facts = make().describe()
        assert facts
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in facts.items())

    def test_an_empty_window_is_refused(self, window: Window) -> None:
        with pytest.raises(DataError):
            Window(window.start, window.start)
