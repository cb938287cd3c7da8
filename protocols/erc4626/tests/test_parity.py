"""The vault in integers equals the contract's bytecode, the check bites, and the model keeps its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from treasury_arena.contracts.parity import Tally
from treasury_arena_erc4626 import exact, parity


def silent(done: int, of: int) -> None:
    assert 0 < done <= of


@pytest.mark.parametrize("seed", [1, 2])
def test_no_difference_in_random_operations(local_market: Any, seed: int) -> None:
    tally = Tally()
    parity.compare(local_market, 150, seed, tally, silent)
    assert tally.first == ""
    assert tally.differences == {}
    assert tally.refused > 0
    assert tally.compared["total assets"] == 150
    assert tally.compared["assets moved"] > 60


def up_and_down(x: int, y: int, below: int, *, up: bool) -> int:
    return x * y // below if up else -(-x * y // below)


def down_only(x: int, y: int, below: int, *, up: bool) -> int:
    return x * y // below


@pytest.mark.parametrize("wrong", [up_and_down, down_only])
def test_the_check_bites(local_market: Any, monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., int]) -> None:
    monkeypatch.setattr(exact, "mul_div", wrong)
    tally = Tally()
    parity.compare(local_market, 40, 1, tally, silent)
    assert tally.differences
    assert "the contract has" in tally.first


def test_without_virtual_shares_the_check_bites(
    make_local_market: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(vault: exact.Vault, assets: int, *, up: bool = False) -> int:
        return exact.mul_div(assets, vault.supply or 1, vault.assets or 1, up=up)

    monkeypatch.setattr(exact.Vault, "to_shares", plain)
    tally = Tally()
    parity.compare(make_local_market(liquid=False), 100, 3, tally, silent)
    assert tally.differences


def test_no_difference_in_a_vault_that_begins_empty(make_local_market: Callable[..., Any]) -> None:
    tally = Tally()
    parity.compare(make_local_market(liquid=False), 100, 3, tally, silent)
    assert (tally.first, tally.differences) == ("", {})
    assert tally.compared["total supply"] == 100


def test_the_model_keeps_its_bound() -> None:
    result = parity.VaultGap().run(300, 5, silent)
    assert result.ok, result
    assert result.cases == 300
    assert result.median <= result.high <= result.largest
