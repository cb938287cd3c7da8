"""The reporter passes the core's conformance suite."""

from __future__ import annotations

import pytest

from treasury_arena.contracts.runtime import Reporter
from treasury_arena.testing.conformance import ReporterConformance
from treasury_arena_reports.plugin import RunReporter


class TestConformance(ReporterConformance):
    @pytest.fixture
    def reporter(self) -> Reporter:
        return RunReporter()
