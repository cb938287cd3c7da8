"""Every rounding and threshold of the vault's market, in fixed numbers worked out beside it.

Prices, gas and rates are fractions that a float holds exactly, so that the numbers here are the market's to the unit.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena_erc4626.exact import Vault
from treasury_arena_erc4626.protocol import VaultProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
USD, ETH, HOUR, YEAR = 10**6, 10**18, 3600, 31_536_000
PRICE = 3000
OTHERS = 1_000 * ETH
GAS = 0.25 + 2.0**-21  # 250,000.48 base units
FREE = {"gas": 0.0, "swap_fee": 0.0, "dust": 0.0}


def market(asset="WETH", rows=4, *, price=float(PRICE), rate=0.0, gas=GAS, **params):
    columns = {"price": price, "rate": rate, "gas": gas}
    columns = {name: np.array(np.broadcast_to(value, rows), float) for name, value in columns.items()}
    params = {"swap_fee": 0.0005, "vault_assets": 1_000.0, **params}
    spec = MarketSpec("m", "erc4626.vault", "lending", asset, {name: name for name in columns}, params)
    return VaultProtocol().exact(spec, MarketFrame(0, HOUR, columns), ASSETS, ASSETS["USDC"])


def coins(usd):
    """Base units of WETH that base units of USDC buy, as a fraction."""
    return Fraction(usd * 10**12, PRICE)


def posted(legs):
    """Amounts by account and asset; they sum to zero per asset."""
    for symbol in {leg.asset for leg in legs}:
        assert sum(leg.amount for leg in legs if leg.asset == symbol) == 0
    amounts = {(leg.account, leg.asset): leg.amount for leg in legs}
    assert len(amounts) == len(legs)
    return amounts


def state_of(vault):
    return (vault.shares["me"], vault.assets, vault.supply)


def grown():
    """A vault of others in which a share is worth a little more than an asset, with a holder's part of it."""
    vault = Vault(OTHERS, OTHERS)
    vault.deposit("me", 10 * ETH + 7)
    vault.earn(17 * ETH + 3)
    return vault


@pytest.mark.parametrize("size", [10_000_001, 10_001_999, 10_002_000, 7_777_777_777])
def test_a_deposit_pays_fee_and_gas_rounded_up_and_brings_tokens_rounded_down(size):
    fill = market(actions=3.0).trade((0, 0, 0), size, 0)
    fee, gas = math.ceil(Fraction(size, 2_000)), 750_002  # 3 x 250,000.48
    tokens = math.floor(coins(size - fee - gas))
    assert posted(fill.legs) == {
        ("cash", "USDC"): -size,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("world", "USDC"): size - fee - gas,
        ("position", "WETH"): tokens,
        ("world", "WETH"): -tokens,
    }
    # In a vault where nothing has been earned yet a share is an asset.
    assert fill.state == (tokens, OTHERS + tokens, OTHERS + tokens)
    assert (fill.notional_raw, fill.cost_raw) == (size, fee + gas)
    assert fill.slippage_bps == 10_000.0 * fee / size


def test_a_later_deposit_meets_the_vault_as_it_has_grown():
    vault = grown()
    before, held = state_of(vault), vault.max_withdraw("me")
    value = math.floor(Fraction(held * PRICE, 10**12))
    size = 5_000 * USD + 1
    fill = market().trade(before, value + size, 0)
    fee, gas = 2_500_001, 250_001
    tokens = math.floor(coins(size - fee - gas))
    minted = math.floor(Fraction(tokens * (vault.supply + 1), vault.assets + 1))
    assert fill.state == (before[0] + minted, before[1] + tokens, before[2] + minted)
    vault.deposit("me", tokens)
    assert fill.state == state_of(vault)
    gained = vault.max_withdraw("me") - held
    assert posted(fill.legs) == {
        ("cash", "USDC"): -size,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("world", "USDC"): size - fee - gas,
        ("position", "WETH"): gained,
        ("world", "WETH"): -gained,
    }


@pytest.mark.parametrize("target", [1, 2 * USD, 1_234_567_891, 20_000 * USD])
def test_a_withdrawal_leaves_the_targets_tokens_rounded_down_and_burns_shares_rounded_up(target):
    vault = grown()
    before, held = state_of(vault), vault.max_withdraw("me")
    size = math.floor(Fraction(held * PRICE, 10**12)) - target
    fill = market().trade(before, target, 0)
    fee, gas = math.ceil(Fraction(size, 2_000)), 250_001
    out = held - math.floor(coins(target))
    burnt = math.ceil(Fraction(out * (vault.supply + 1), vault.assets + 1))
    assert fill.state == (before[0] - burnt, before[1] - out, before[2] - burnt)
    left = math.floor(Fraction(fill.state[0] * (fill.state[1] + 1), fill.state[2] + 1))
    assert posted(fill.legs) == {
        ("cash", "USDC"): size - fee - gas,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("world", "USDC"): -size,
        ("position", "WETH"): left - held,
        ("world", "WETH"): held - left,
    }
    assert (fill.notional_raw, fill.cost_raw, fill.slippage_bps) == (size, fee + gas, 10_000.0 * fee / size)


def test_an_exit_redeems_every_share_and_is_paid_the_value_less_costs():
    vault = grown()
    before, held = state_of(vault), vault.max_withdraw("me")
    value = math.floor(Fraction(held * PRICE, 10**12))
    assert market().value(before, 0) == value
    assert market().holdings(before) == {"WETH": held}
    fill = market().trade(before, 0, 0)
    fee, gas = math.ceil(Fraction(value, 2_000)), 250_001
    assert fill.state == (0, 0, 0)
    assert posted(fill.legs) == {
        ("cash", "USDC"): value - fee - gas,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("world", "USDC"): -value,
        ("position", "WETH"): -held,
        ("world", "WETH"): held,
    }


def test_an_exit_leaves_no_share_behind_where_a_withdrawal_of_all_tokens_would():
    # 10 shares at about 2/3 of an asset are worth 6.67; to take out 6 burns 8.998, rounded up to 9.
    vault = Vault(2_000, 3_000, shares={"me": 10})
    assert vault.to_shares(vault.max_withdraw("me"), up=True) == 9
    fill = market("USDC", price=1.0, **FREE).trade(state_of(vault), 0, 0)
    assert fill.state == (0, 0, 0)
    assert posted(fill.legs)["position", "USDC"] == -6


def test_a_position_is_worth_what_can_be_withdrawn_rounded_down():
    dear = market(**FREE)
    assert dear.value((10**12 - 1, OTHERS, OTHERS), 0) == 2_999  # a base unit of WETH is 3 x 10^-9 of one of USDC
    assert dear.value((10**12, OTHERS, OTHERS), 0) == 3_000
    assert market("USDC", price=1.0, **FREE).value((2, 2_000, 1_001), 0) == 3  # 2 x 2,001 / 1,002 = 3.99


@pytest.mark.parametrize(
    ("dust", "least"),
    [(1.0, 1_000_000), (2.0**-7, 7_813), (0.0, 1)],  # 7,812.5 rounds half up
)
@pytest.mark.parametrize("way", [1, -1])
def test_a_move_below_dust_is_not_made_and_one_of_dust_is(dust, least, way):
    lending = market("USDC", price=1.0, **FREE | {"dust": dust})
    state = (5 * USD, OTHERS, OTHERS)
    assert lending.trade(state, 5 * USD + way * (least - 1), 0) is None
    fill = lending.trade(state, 5 * USD + way * least, 0)
    assert posted(fill.legs)["cash", "USDC"] == -way * least
    assert fill.state == (5 * USD + way * least, OTHERS + way * least, OTHERS + way * least)
    assert lending.trade(state, 5 * USD, 0) is None


@pytest.mark.parametrize("way", [1, -1])
def test_a_move_that_its_costs_eat_up_is_not_made_and_one_of_a_unit_more_is(way):
    # At 1/2 the fee of 500,001 is 250,001, rounded up, with gas 500,001: all of it. 500,002 leave one unit.
    lending = market("USDC", price=1.0, **FREE | {"gas": 0.25, "swap_fee": 0.5})
    state = (5 * USD, OTHERS, OTHERS)
    assert lending.trade(state, 5 * USD + way * 500_001, 0) is None
    fill = lending.trade(state, 5 * USD + way * 500_002, 0)
    amounts = posted(fill.legs)
    assert (amounts["fee", "USDC"], amounts["gas", "USDC"]) == (250_001, 250_000)
    assert amounts["cash", "USDC"] == (-500_002 if way > 0 else 1)
    assert fill.state[0] == (5 * USD + 1 if way > 0 else 5 * USD - 500_002)


def test_a_vault_earns_row_by_row_at_the_rows_own_rate_rounded_down():
    rates = [0.5, 1 / 16, 1 / 8, 3 / 16]
    held, assets, supply = 10 * ETH + 7, OTHERS + 10 * ETH + 11, OTHERS + 10 * ETH + 7
    before = held * (assets + 1) // (supply + 1)
    start, steps, uneven = (held, assets, supply), [], 0
    for rate in rates[1:]:
        earned = Fraction(rate) * assets * HOUR / YEAR
        uneven += earned.denominator > 1
        assets += math.floor(earned)
        steps.append(assets)
    assert uneven == 3
    lending = market(rate=rates)
    after, legs = lending.accrue(start, 0, 3)
    assert after == (held, assets, supply)
    gained = math.floor(Fraction(held * (assets + 1), supply + 1)) - before
    assert posted(legs) == {("position", "WETH"): gained, ("world", "WETH"): -gained}
    state = start
    for row, expected in enumerate(steps):
        state, _ = lending.accrue(state, row, row + 1)
        assert state[1] == expected
    assert lending.accrue(start, 2, 2) == (start, ())
    assert lending.accrue((0, 0, 0), 0, 3) == ((0, 0, 0), ())


def test_a_yield_below_one_unit_is_not_earned():
    lending = market("USDC", price=1.0, rate=1 / 16)
    # An hour at 1/16 a year is one part in 140,160.
    assert lending.accrue((100, 140_159, 140_159), 0, 1) == ((100, 140_159, 140_159), ())
    assert lending.accrue((100, 140_160, 140_160), 0, 1)[0] == (100, 140_161, 140_160)
