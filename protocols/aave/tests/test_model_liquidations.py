"""Liquidations of the float model of an account: Aave's rule in plain numbers, and enough of them in the gap's cases."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from treasury_arena_aave import gap, market
from treasury_arena_aave.exact.liquidation import closable
from treasury_arena_aave.gap import AccountGap, AccountReserveGap
from treasury_arena_aave.model import ACCOUNT, ACCOUNT_RESERVE

WHOLE, HALF, SAFE, GONE = "whole", "half", "safe", "gone"


@pytest.mark.parametrize("model", [ACCOUNT, ACCOUNT_RESERVE], ids=lambda model: model.name)
@pytest.mark.parametrize(
    ("held", "debt", "params", "what"),
    [
        (12_500.0, 10_000.0, {}, SAFE),  # a health factor of 1
        (12_487.5, 10_000.0, {}, HALF),  # 0.999
        (11_887.5, 10_000.0, {}, HALF),  # 0.951
        (11_875.0, 10_000.0, {}, WHOLE),  # 0.95 exactly: all of it, from there on down
        (11_800.0, 10_000.0, {}, WHOLE),  # 0.944
        (11_725.0, 10_000.0, {}, WHOLE),  # 0.938
        (10_501.0, 10_000.0, {}, WHOLE),  # 0.84: the collateral still pays for debt and bonus
        (10_499.0, 10_000.0, {}, GONE),  # and no longer
        (2_425.0, 2_000.0, {}, HALF),  # 2,000 USD are not small
        (2_424.0, 1_999.0, {}, WHOLE),  # 0.97, and small
        (2_424.0, 1_999.0, {"small": 0.0}, HALF),  # 3.0 has no small positions
        (242.5, 200.0, {"small": 0.0}, HALF),
        (2_100.0, 2_040.0, {"threshold": 0.97, "bonus": 0.02}, HALF),  # 0.9985
        (1_999.0, 2_000.0, {"threshold": 0.97, "bonus": 0.02}, GONE),  # 0.9695, but little collateral
        (1_999.0, 2_000.0, {"threshold": 0.97, "bonus": 0.02, "small": 0.0}, HALF),
    ],
)
@pytest.mark.parametrize("price", [1.0, 2_048.0])
def test_a_liquidation_by_the_published_rule(
    model: Any, held: float, debt: float, params: dict[str, float], what: str, price: float
) -> None:
    known = model.params()._replace(**{"threshold": 0.8, "bonus": 0.05, **params})
    line = model.market(**{**dict.fromkeys(model.market._fields, 0.0), "price": price})
    after = model.accrue(model.state(held / price, debt), line, known)
    repaid = {SAFE: 0.0, HALF: debt / 2, WHOLE: debt, GONE: debt}[what]
    left = 0.0 if what is GONE else held - repaid * (1.0 + known.bonus)
    assert (after.collateral * price, after.debt) == pytest.approx((left, debt - repaid), abs=1e-9)


@pytest.mark.parametrize("check", [AccountGap(), AccountReserveGap()], ids=lambda check: check.name)
def test_the_gap_is_measured_on_liquidations_of_every_kind(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: Counter[str] = Counter()

    def seen(debt: int, collateral: int, owed: Any, secured: Any, total: int, health: int, version: Any) -> int:
        may = closable(debt, collateral, owed, secured, total, health, version)
        large = version.name == "3.0" or min(debt * 100, collateral * secured.price // secured.unit) >= 2_000 * 10**8
        above = health > 95 * 10**16
        kinds["half" if may < debt else "whole" if large else "small" if above else "small below 0.95"] += 1
        kinds["near 0.95"] += abs(health - 95 * 10**16) < 10**16
        return may

    monkeypatch.setattr(market, "closable", seen)
    empty: list[bool] = []
    held = gap.Walk.hold

    def hold(walk: gap.Walk) -> None:
        held(walk)
        empty.append(walk.value == 0.0)

    monkeypatch.setattr(gap.Walk, "hold", hold)
    cases = 300
    assert check.run(cases, 7, lambda done, of: None).ok
    assert kinds["half"] + kinds["whole"] + kinds["small"] + kinds["small below 0.95"] >= cases // 5
    assert min(kinds["half"], kinds["whole"]) >= cases // 10
    assert kinds["small"] >= cases // 60
    assert kinds["near 0.95"] >= cases // 10
    assert sum(empty) >= cases // 60
