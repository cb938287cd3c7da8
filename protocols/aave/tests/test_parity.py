"""The exact pool equals the deployed bytecode to the wei, and the check notices when it does not."""

from __future__ import annotations

import attrs
import pytest

from treasury_arena_aave.exact import liquidation
from treasury_arena_aave.exact.interest import SECONDS_PER_YEAR
from treasury_arena_aave.exact.liquidation import CLOSE_FACTOR_HEALTH, SMALL_VALUE, closable
from treasury_arena_aave.exact.versions import V3_0, V3_4, V3_5, Version
from treasury_arena_aave.exact.wad_ray import ray_mul, ray_mul_floor
from treasury_arena_aave.gap import AccountGap, AccountReserveGap, SupplyGap
from treasury_arena_aave.mirror import PoolAt, read_pool
from treasury_arena_aave.origin import ORIGIN
from treasury_arena_aave.parity import compare
from treasury_arena_aave.parity_operations import KINDS
from treasury_arena_aave.protocol import AaveProtocol


@pytest.mark.parametrize(("operations", "seed"), [(1_000, 1), (200, 2), (200, 3)])
def test_random_operations_differ_in_nothing(local_market, operations, seed):
    course = compare(local_market, operations, seed)
    tally = course.tally
    assert tally.first == ""
    assert tally.differences == {}
    assert (course.version, course.operations) == ("3.0", operations)
    assert tally.refused == sum(course.refused.values()) > 0
    # Rich enough to mean something: everything happens and is refused, reserves run dry, months pass.
    if operations == 1_000:
        assert all(course.done[kind] >= 10 for kind in KINDS)
        assert len(course.refused) >= 14
        assert course.usage_max > 0.95
        assert course.days > 365
    assert min(tally.compared[name] for name in ("liquidity_index", "borrow_rate", "accrued", "health")) >= operations
    assert {"owed", "supply", "flags", "amount", "amount1", "refusal"} <= tally.compared.keys()


def test_version_3_5_differs_in_nothing_from_3_6_0_compiled(local_market, monkeypatch):
    asked = Asked()
    monkeypatch.setattr(liquidation, "closable", asked)
    course = compare(local_market, 1_000, 1, target=ORIGIN)
    assert course.tally.first == ""
    assert course.tally.differences == {}
    assert course.version == "3.5"
    assert course.done["liquidate"] >= 40
    assert len(course.refused) >= 8
    assert course.tally.compared["deficit"] >= 3_000
    # The close factor's rule is taken on all its sides.
    assert all(asked.times[side] >= 5 for side in asked.times), asked.times


class Asked:
    """Counts on which sides of its rules `closable` is asked."""

    def __init__(self) -> None:
        sides = ("half", "all of a small debt", "all of small collateral", "all of a lesser debt", "all below 0.95")
        self.times = dict.fromkeys(sides, 0)

    def __call__(self, debt, collateral, owed, secured, total_debt, health, version):
        may = closable(debt, collateral, owed, secured, total_debt, health, version)
        debt_value, held = debt * owed.price // owed.unit, collateral * secured.price // secured.unit
        large = debt_value >= SMALL_VALUE and held >= SMALL_VALUE
        self.times["half"] += may < debt
        self.times["all of a small debt"] += debt_value < SMALL_VALUE <= held and health > CLOSE_FACTOR_HEALTH
        self.times["all of small collateral"] += held < SMALL_VALUE <= debt_value and health > CLOSE_FACTOR_HEALTH
        self.times["all of a lesser debt"] += large and health > CLOSE_FACTOR_HEALTH and may == debt
        self.times["all below 0.95"] += large and health <= CLOSE_FACTOR_HEALTH
        return may


@pytest.mark.parametrize("version", [V3_0, V3_4], ids=["3.0", "3.4"])
def test_other_versions_do_differ_from_it(local_market, version):
    def change(pool):
        pool.version = version
        return pool

    course = compare(local_market, 400, 1, target=ORIGIN, change=change, stop_at_first=True)
    assert course.tally.differences


@attrs.frozen
class WithoutThirdTerm(Version):
    """Compounding cut to two terms."""

    def compounded(self, rate: int, seconds: int) -> int:
        squared = ray_mul(rate, rate) // SECONDS_PER_YEAR**2
        return super().compounded(rate, 0) + rate * seconds // SECONDS_PER_YEAR + seconds * (seconds - 1) * squared // 2


@attrs.frozen
class FlooredBalances(Version):
    """Balances rounded down instead of half up."""

    def balance(self, scaled: int, index: int) -> int:
        return ray_mul_floor(scaled, index)


@attrs.frozen
class FlooredSeizure(Version):
    """The seized collateral rounded down, as 3.7 does."""

    def seized(self, base: int, bonus_bps: int) -> int:
        return base * bonus_bps // 10_000


@attrs.frozen
class LenientHealth(Version):
    """A health factor one unit higher."""

    def health(self, collateral: int, weighted: int, debt: int) -> int:
        return super().health(collateral, weighted, debt) + 1


@pytest.mark.parametrize(
    ("mutant", "quantity"),
    [
        (WithoutThirdTerm("3.0", ""), "borrow_index"),
        (FlooredBalances("3.0", ""), "supply"),
        (FlooredSeizure("3.0", ""), None),
        (LenientHealth("3.0", ""), "health"),
        (V3_4, "owed"),
        (V3_5, None),
    ],
    ids=["no third term", "floored balances", "floored seizure", "health", "3.4", "3.5"],
)
def test_the_check_bites(local_market, mutant, quantity):
    def change(pool):
        pool.version = mutant
        return pool

    tally = compare(local_market, 600, 1, change=change, stop_at_first=True).tally
    assert tally.differences
    assert "the contract has" in tally.first
    if quantity is not None:
        assert quantity in tally.differences


def test_a_pool_read_from_the_chain_knows_the_account(local_market):
    market = local_market
    at = PoolAt.read(market.chain, market.aave.provider, {name: token.address for name, token in market.tokens.items()})
    pool = read_pool(market.chain, at, {"maker": market.maker.address}, market.chain.now)
    assert pool.version is V3_0
    assert pool.account("maker").collateral == pytest.approx(40_000_000 * 10**8, rel=1e-4)
    assert pool.categories[1].threshold == 9_500
    assert list(at.reserves) == ["USDC", "WETH", "DAI"]


def test_the_protocol_offers_its_checks():
    checks = AaveProtocol().parity()
    assert [check.name for check in checks] == [
        "Aave 3.0",
        "Aave 3.5",
        "aave.supply",
        "aave.account",
        "aave.account_reserve",
    ]
    seen = []
    result = checks[0].run(30, 4, None, lambda done, of: seen.append((done, of)))
    assert result.ok, result
    assert (result.against, result.operations) == ("@aave/core-v3 1.19.3", 30)
    assert seen == [(number, 30) for number in range(1, 31)]


@pytest.mark.parametrize("check", [SupplyGap(), AccountGap(), AccountReserveGap()], ids=lambda check: check.name)
def test_the_models_keep_their_bounds(check):
    result = check.run(200, 5, lambda done, of: None)
    assert result.ok, result
    assert result.cases == 200
    assert result.median <= result.high <= result.largest
