"""The table of the four profiles says no spread where there is none, and no negative zero."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

PROFILES = Path(__file__).resolve().parents[1] / "benchmarks" / "profiles.py"


@pytest.fixture(scope="module")
def profiles() -> ModuleType:
    spec = spec_from_file_location("profiles_table", PROFILES)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_one_seed_has_no_spread(profiles: ModuleType) -> None:
    assert profiles.spread([0.0378]) == "3.78 ± \u2013"
    assert profiles.spread([0.03, 0.05]) == "4.00 ± 1.41"


def test_zero_has_no_sign(profiles: ModuleType) -> None:
    assert profiles.spread([-0.00001, -0.00001]) == "0.00 ± 0.00"
    assert profiles.percent(-0.0001, 1) == "0.0"
    assert profiles.percent(-0.078, 1) == "-7.8"
