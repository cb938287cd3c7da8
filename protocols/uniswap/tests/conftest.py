"""Pools, markets and folders that the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: $ARENA_DATA, else ../shared/data beside the repository."""
    repository = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ARENA_DATA") or repository.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no market data: {folder} does not exist (set ARENA_DATA)")
    return folder
