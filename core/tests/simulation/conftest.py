"""Makes the test-only plugins importable by name, as a third party's package would be, and shares one kernel cache."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel cache that is cold for the session."""
    return tmp_path_factory.mktemp("kernels")
