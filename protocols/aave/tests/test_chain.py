"""The adapter on the local chain: what is quoted happens to the wei, and what must not be signed is not."""

from __future__ import annotations

import sys

import pytest
from aave_pools import USDC, WETH

from treasury_arena.errors import ValidationError
from treasury_arena_aave.chain import AaveMarket
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.wad_ray import MAX_UINT256
from treasury_arena_aave.reading import USER
from treasury_arena_evm.errors import ChainError, FeeError, TokenError
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20


@pytest.fixture
def aave(local_market):
    return AaveMarket(local_market.session, price_age_seconds_max=None)


@pytest.fixture
def alice(local_market):
    return local_market.users[0].signer


def nonce(market, who):
    return int(market.chain.rpc("eth_getTransactionCount", who.address, "latest"), 16)


def held(market, token, who):
    return int(market.chain.call(token, SCALED_TOKEN.function("balanceOf"), who.address))


def refuses(market, who, error, message, call, *arguments):
    """The call is refused in one sentence and nothing was signed."""
    before = nonce(market, who)
    with pytest.raises(error, match=message) as caught:
        call(who, *arguments)
    assert nonce(market, who) == before
    assert "\n" not in str(caught.value)
    return caught.value


def configure(market, function, symbol, *arguments):
    owner, configurator = market.owner.address, market.aave.configurator
    market.chain.send(owner, configurator, CONFIGURATOR.function(function), market.token(symbol).address, *arguments)


def test_supply_borrow_repay_withdraw(local_market, aave, alice):
    market, usdc, weth = local_market, local_market.aave.reserve("USDC"), local_market.aave.reserve("WETH")
    supplied = aave.supply(alice, "WETH", 100 * WETH)
    assert (supplied.version, supplied.operation, supplied.amount_raw) == ("3.0", "supply", 100 * WETH)
    assert len(supplied.receipts) == 2  # an exact approval and the supply
    assert supplied.fee_raw == sum(receipt.fee_raw for receipt in supplied.receipts) > 0
    assert supplied.quote.version == "3.0"
    assert held(market, weth.a_token, alice) == supplied.balance_raw
    borrowed = aave.borrow(alice, "USDC", 100_000 * USDC)
    assert borrowed.account == aave.account(alice.address)
    assert borrowed.quote.health == pytest.approx(1.65, rel=1e-3)
    assert borrowed.quote.borrow_rate > 0.03
    market.chain.advance(30 * 86_400)
    assert aave.debt("USDC", alice.address) == held(market, usdc.variable_debt, alice) > 100_000 * USDC
    assert aave.balance("WETH", alice.address) == held(market, weth.a_token, alice)
    part = aave.repay(alice, "USDC", 40_000 * USDC)
    assert part.amount_raw == 40_000 * USDC
    repaid = aave.repay(alice, "USDC", MAX_UINT256)
    assert repaid.debt_raw == 0
    assert 60_000 * USDC < repaid.amount_raw < 61_000 * USDC
    assert market.chain.call(usdc.asset, ERC20.function("allowance"), alice.address, aave.at.pool) == 0
    back = aave.withdraw(alice, "WETH", MAX_UINT256)
    assert back.amount_raw > 100 * WETH
    assert (back.balance_raw, back.account.health) == (0, MAX_UINT256)


@pytest.mark.parametrize("error", [FeeError("gas is too dear"), ChainError("gone"), OSError("gone")])
def test_what_is_approved_is_taken_back_whatever_the_operation_fails_of(local_market, aave, alice, monkeypatch, error):
    usdc, send = local_market.token("USDC").address, local_market.session.send
    aave.supply(alice, "WETH", 100 * WETH)
    aave.borrow(alice, "USDC", 1_000 * USDC)

    def allowance():
        return local_market.chain.call(usdc, ERC20.function("allowance"), alice.address, aave.at.pool)

    def only_tokens(who, to, *arguments, **more):
        if to == aave.at.pool:
            assert allowance() > 0
            raise error
        return send(who, to, *arguments, **more)

    monkeypatch.setattr(local_market.session, "send", only_tokens)
    for operation, amount in ((aave.supply, 100 * USDC), (aave.repay, 100 * USDC), (aave.repay, MAX_UINT256)):
        with pytest.raises(type(error), match=str(error)):
            operation(alice, "USDC", amount)
        assert allowance() == 0


def test_receipts_are_all_that_was_mined_for_an_operation_and_nothing_else(local_market, aave, alice):
    aave.supply(alice, "WETH", 100 * WETH)
    aave.borrow(alice, "USDC", 1_000 * USDC)
    before = nonce(local_market, alice)
    done = aave.repay(alice, "USDC", MAX_UINT256)
    assert len(done.receipts) == nonce(local_market, alice) - before == 3  # approved, repaid, the rest taken back
    assert [receipt.to for receipt in done.receipts] == [
        local_market.token("USDC").address,
        aave.at.pool,
        local_market.token("USDC").address,
    ]


def test_a_quote_is_what_happens_in_the_same_second(local_market, aave, alice):
    quoted = aave.quote("supply", "USDC", alice.address, 12_345 * USDC)
    done = aave.supply(alice, "USDC", 12_345 * USDC)
    assert done.quote.result == quoted.result
    assert done.balance_raw == pytest.approx(quoted.balance_raw, abs=1)
    assert aave.pool(alice.address).account(USER).collateral == aave.account(alice.address).collateral


def test_switches(local_market, aave, alice):
    aave.supply(alice, "USDC", 10_000 * USDC)
    assert aave.use_as_collateral(alice, "USDC", False).account.collateral == 0
    assert aave.use_as_collateral(alice, "USDC", True).account.ltv == 7_500
    assert aave.set_emode(alice, 1).account.ltv == 9_300
    assert aave.set_emode(alice, 0).account.ltv == 7_500


def test_what_the_contracts_would_refuse_is_not_signed(local_market, aave, alice):
    market = local_market
    refuses(market, alice, RefusalError, "26 INVALID_AMOUNT", aave.supply, "USDC", 0)
    refuses(market, alice, RefusalError, "32 NOT_ENOUGH", aave.withdraw, "USDC", 1)
    refuses(market, alice, RefusalError, "34 COLLATERAL_BALANCE_IS_ZERO", aave.borrow, "USDC", USDC)
    refuses(market, alice, RefusalError, "39 NO_DEBT", aave.repay, "USDC", USDC)
    aave.supply(alice, "WETH", 500 * WETH)
    refuses(market, alice, RefusalError, "36 COLLATERAL_CANNOT_COVER", aave.borrow, "USDC", 900_000 * USDC)
    configure(market, "setBorrowCap", "USDC", 6_000_001)
    refuses(market, alice, RefusalError, "50 BORROW_CAP", aave.borrow, "USDC", 1_000 * USDC)
    configure(market, "setReserveFreeze", "DAI", True)
    refuses(market, alice, RefusalError, "28 RESERVE_FROZEN", aave.supply, "DAI", WETH)
    configure(market, "setReservePause", "DAI", True)
    refuses(market, alice, RefusalError, r"DAI: the reserve is paused \(Aave 3.0, 29", aave.supply, "DAI", WETH)
    refuses(market, alice, RefusalError, "58 INCONSISTENT_EMODE", aave.set_emode, 7)


def test_a_reserve_without_cash(local_market, aave, alice):
    market, maker = local_market, local_market.maker.signer
    aave.supply(alice, "DAI", 1_000 * WETH)
    aave.supply(maker, "WETH", 50_000 * WETH)
    aave.borrow(maker, "DAI", 5_000_990 * WETH)
    error = refuses(market, alice, RefusalError, "not that much cash", aave.withdraw, "DAI", 100 * WETH)
    assert error.code == "0x11"
    assert aave.withdraw(alice, "DAI", 9 * WETH).amount_raw == 9 * WETH


def test_amounts_and_names_that_are_none(local_market, aave, alice):
    market = local_market
    refuses(market, alice, ValidationError, "'everything' is for withdraw and repay", aave.supply, "USDC", MAX_UINT256)
    refuses(market, alice, ValidationError, "'everything' is for", aave.borrow, "USDC", MAX_UINT256)
    refuses(market, alice, ValidationError, "not an amount", aave.withdraw, "USDC", -1)
    refuses(market, alice, TokenError, "unknown token 'USDT' on local; did you mean 'USDC'", aave.supply, "USDT", USDC)
    refuses(market, alice, TokenError, "fewer than", aave.supply, "USDC", 5_000_000 * USDC)
    with pytest.raises(ValidationError, match="unknown operation 'lend'"):
        aave.quote("lend", "USDC", alice.address, 1)
    for floor in (0.9, None, "2", float("nan"), float("inf")):
        with pytest.raises(ValidationError, match="at least 1"):
            AaveMarket(market.session, health_min=floor)


@pytest.mark.parametrize("number", [1.5, True, 1e6, "7", None])
def test_what_is_no_whole_number_is_refused_before_signing(local_market, aave, alice, number):
    aave.supply(alice, "WETH", 10 * WETH)
    aave.borrow(alice, "USDC", 1_000 * USDC)
    for operation in ("supply", "withdraw", "borrow", "repay"):
        said = rf"^{operation} USDC: the amount in base units is .*; expected a whole number \(int\)$"
        refuses(local_market, alice, ValidationError, said, getattr(aave, operation), "USDC", number)
    refuses(local_market, alice, ValidationError, "the e-mode category is", aave.set_emode, number)
    if number is not True:
        refuses(local_market, alice, ValidationError, "neither True nor False", aave.use_as_collateral, "WETH", number)


@pytest.mark.parametrize("age", [float("nan"), float("inf"), -1])
def test_an_age_that_would_refuse_no_price_is_refused(local_market, age):
    with pytest.raises(ValidationError, match=f"price_age_seconds_max = {age} must be a number of seconds"):
        AaveMarket(local_market.session, price_age_seconds_max=age)


def test_the_health_floor(local_market, alice):
    market = local_market
    aave = AaveMarket(market.session, health_min=1.5, price_age_seconds_max=None)
    aave.supply(alice, "WETH", 100 * WETH)
    refuses(
        market,
        alice,
        ValidationError,
        r"health factor would be 1\.3\d+, below the floor of 1\.5",
        aave.borrow,
        "USDC",
        120_000 * USDC,
    )
    aave.borrow(alice, "USDC", 100_000 * USDC)
    refuses(market, alice, ValidationError, "below the floor", aave.withdraw, "WETH", 20 * WETH)
    market.set_price("WETH", 1_500 * 10**8)
    assert aave.repay(alice, "USDC", 10_000 * USDC).quote.health < 1.5  # what improves it is never refused


def test_prices_that_are_old_missing_or_without_a_time(local_market, alice):
    market = local_market
    aave = AaveMarket(market.session)
    assert aave.supply(alice, "USDC", USDC).amount_raw == USDC
    market.set_price("USDC", 10**8, answered=market.chain.now)
    market.chain.advance(80_000)
    assert aave.supply(alice, "USDC", USDC).amount_raw == USDC
    market.chain.advance(10_100)
    refuses(market, alice, ValidationError, r"price of USDC is 90\d+ s old; at most 90000 s", aave.supply, "USDC", USDC)
    refuses(
        market, alice, ValidationError, r"price of USDC is 90\d+ s old", aave.supply, "WETH", WETH
    )  # held beside it
    market.set_price("WETH", 0)
    refuses(market, alice, ValidationError, "oracle has no price for WETH", aave.supply, "USDC", USDC)
    # A source that answers every call with one word tells a price and no time.
    market.set_price("WETH", 2_000 * 10**8)
    market.chain.rpc("anvil_setCode", market.aave.reserve("USDC").source, "0x6305f5e10060005260206000f3")
    refuses(market, alice, ValidationError, "price source of USDC does not tell when", aave.supply, "USDC", USDC)
    assert AaveMarket(market.session, price_age_seconds_max=None).supply(alice, "USDC", USDC).amount_raw == USDC


def test_the_price_that_a_category_has_for_all_of_it_is_as_young_as_any(local_market, alice):
    market, owner, configurator = local_market, local_market.owner.address, local_market.aave.configurator
    second = (2, 8_800, 9_000, 10_200, market.token("WETH").address, "Priced as WETH")
    market.chain.send(owner, configurator, CONFIGURATOR.function("setEModeCategory"), *second)
    for symbol in ("USDC", "DAI"):
        token = market.token(symbol).address
        market.chain.send(owner, configurator, CONFIGURATOR.function("setAssetEModeCategory"), token, 2)
    aave = AaveMarket(market.session)
    for symbol in ("USDC", "DAI", "WETH"):
        market.set_price(symbol, {"WETH": 2_000}.get(symbol, 1) * 10**8, answered=market.chain.now)
    aave.supply(alice, "USDC", 10_000 * USDC)
    market.set_price("WETH", 2_000 * 10**8, answered=market.chain.now - 1_000_000)
    stale = r"price of WETH is 100\d+ s old"
    refuses(market, alice, ValidationError, stale, aave.set_emode, 2)
    AaveMarket(market.session, price_age_seconds_max=None).set_emode(alice, 2)
    refuses(market, alice, ValidationError, stale, aave.borrow, "DAI", 10**18)


def test_a_market_of_another_version_is_refused(local_market):
    market = local_market
    # The implementation's answer to POOL_REVISION, whatever is asked: a pool that says 11.
    market.chain.rpc("anvil_setCode", market.aave.pool, "0x600b60005260206000f3")
    with pytest.raises(ChainError, match="has revision 11; the adapter knows revisions 1 to 3"):
        AaveMarket(market.session)


def test_web3_is_imported_by_nobody_who_does_not_need_it():
    import subprocess

    code = (
        "import sys; import treasury_arena_aave.plugin as p; p.arena_protocols(); import treasury_arena_aave.parity; "
        "import treasury_arena_aave.exact.pool; sys.exit('web3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
