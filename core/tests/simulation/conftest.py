"""Makes the test-only plugins importable by name, as a third party's package would be, and shares one kernel cache."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels, kept between sessions: their names are hashes of everything they are made of."""
    kept = getattr(request.config, "cache", None)
    return Path(kept.mkdir("arena_kernels")) if kept else tmp_path_factory.mktemp("kernels")
