"""The plain scheduler keeps every law of schedulers, on both databases."""

from __future__ import annotations

import pytest

from treasury_arena.testing.conformance import SchedulerConformance


class TestPlain(SchedulerConformance):
    @pytest.fixture
    def scheduler(self) -> str:
        return "plain"

    @pytest.fixture
    def url(self, empty_url: str) -> str:
        return empty_url
