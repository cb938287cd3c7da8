"""`arena parity` as anybody runs it: every protocol's integers equal the contracts' bytecode, in runs long enough to tell."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize(
    ("protocol", "operations", "checks"), [("uniswap", 2_000, 8), ("aave", 1_000, 2), ("erc4626", 300, 1)]
)
def test_zero_differences(house: Any, protocol: str, operations: int, checks: int) -> None:
    done = house.arena("parity", "--protocol", protocol, "--operations", operations, "--seed", 20, "--json").ok()
    found = done.json
    assert found["failed"] == []
    assert len(found["bytecode"]) == checks
    for result in found["bytecode"]:
        assert result["differences"] == {}
        assert result["first"] == ""
        assert result["operations"] == operations
        assert result["refused"] > operations // 100
        assert sum(result["compared"].values()) > 3 * operations
    for gap in found["models"]:
        assert gap["largest"] <= gap["bound"]
        assert gap["cases"] >= operations
    assert found["ok"]
