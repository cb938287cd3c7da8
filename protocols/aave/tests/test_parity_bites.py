"""Every wrong place that is named here is noticed by the runs of test_parity.py, within the operations and seed they have."""

from __future__ import annotations

import pytest

from treasury_arena.testing.mutants import Mutant
from treasury_arena_aave.exact import interest, liquidation, wad_ray
from treasury_arena_aave.exact.book import Book
from treasury_arena_aave.exact.liquidation import Liquidations, closable
from treasury_arena_aave.exact.versions import Version
from treasury_arena_aave.exact.wad_ray import WAD
from treasury_arena_aave.origin import ORIGIN
from treasury_arena_aave.parity import CORE, compare

OPERATIONS, SEED = 1_000, 1
AMOUNTS = Liquidations._amounts
SMALL, DUST = liquidation.SMALL_VALUE, liquidation.DUST_VALUE

IN_BOTH = (
    Mutant("close factor's health 0.94", liquidation, "CLOSE_FACTOR_HEALTH", 94 * WAD // 100),
    Mutant("close factor's health 0.90", liquidation, "CLOSE_FACTOR_HEALTH", 90 * WAD // 100),
    Mutant("close factor of 49%", liquidation, "CLOSE_FACTOR", 4_900),
    Mutant("shares rounded down", wad_ray.percent_mul, "(value * share_bps + PERCENT // 2)", "(value * share_bps)"),
    Mutant("fee to the treasury forgotten", AMOUNTS, "secured_config.protocol_fee, version", "0, version"),
)
IN_3_0 = (
    Mutant("no third term", interest.compounded_by_powers, "cubed // 6", "cubed // 6 * 0"),
    Mutant("indexes rounded down", wad_ray.ray_mul, "(a * b + HALF_RAY)", "(a * b)"),
    Mutant(
        "no bonus of the category's own",
        AMOUNTS,
        "emode.bonus if emode and secured_config.emode == category else secured_config.bonus",
        "secured_config.bonus",
    ),
    Mutant("a category's bonus for every collateral", AMOUNTS, "emode and secured_config.emode == category", "emode"),
    Mutant("no debt at the category's price", AMOUNTS, "emode.price_source if emode and emode.price_source else ", ""),
    Mutant(
        "no collateral at the category's price",
        AMOUNTS,
        "self.price(collateral_asset, category)",
        "self.prices[collateral_asset]",
    ),
    Mutant(
        "a category's threshold for every collateral",
        Book.account,
        "value * (emode.threshold if inside and emode",
        "value * (emode.threshold if emode",
    ),
)
IN_3_5 = (
    Mutant("no third term", interest.compounded_by_exponent, "ray_mul(x, x // 6)", "0"),
    Mutant("all of every debt may be closed", closable, "if debt_value > half:", "if False:"),
    Mutant("half of this debt instead of all debts", closable, "percent_mul(total_debt,", "percent_mul(debt_value,"),
    Mutant("half of a debt although it is small", closable, "debt_value >= SMALL_VALUE and ", ""),
    Mutant("half of a debt although its collateral is small", closable, "collateral_value >= SMALL_VALUE and ", ""),
    Mutant("small below 20,000", liquidation, "SMALL_VALUE", SMALL * 10),
    Mutant("small below 200", liquidation, "SMALL_VALUE", SMALL // 10),
    Mutant("dust below 10,000", liquidation, "DUST_VALUE", DUST * 10),
    Mutant("dust below 100", liquidation, "DUST_VALUE", DUST // 10),
    Mutant("any collateral may be left", AMOUNTS, "kept >= DUST_VALUE", "True"),
    Mutant("any debt may be left", AMOUNTS, "left >= DUST_VALUE", "True"),
    Mutant("no deficit of the other debts", Liquidations._write_off, "].deficit + owed", "].deficit"),
    Mutant("no deficit of the debt itself", Liquidations._settle, "].deficit + burnt", "].deficit"),
    Mutant("other debts not written off", Liquidations._write_off, "if self.borrowings.get((asset, user)) and", "if 0 and"),
    Mutant("treasury's share once", Liquidations.liquidate, "accrued=now + now - accrued", "accrued=now"),
    Mutant("balances rounded half up", Version.balance, "if self.directed", "if False"),
    Mutant("debts rounded half up", Version.debt, "if self.directed", "if False"),
)  # fmt: skip
WRONG = [(CORE, one) for one in (*IN_BOTH, *IN_3_0)] + [(ORIGIN, one) for one in (*IN_BOTH, *IN_3_5)]


@pytest.mark.parametrize(
    ("target", "mutant"), WRONG, ids=[f"{'3.0' if target is CORE else '3.5'} {one.name}" for target, one in WRONG]
)
def test_it_is_noticed(local_market, monkeypatch, target, mutant):
    mutant.switch_on(monkeypatch)
    course = compare(local_market, OPERATIONS, SEED, target=target, stop_at_first=True)
    assert course.tally.differences, f"{mutant.name}: {course.operations} operations and no difference"
    assert "the contract has" in course.tally.first
    print(f"noticed at operation {course.operations}: {course.tally.first}")
