"""The deployed market: its parts, its parameters, and that it is the same every time."""

from __future__ import annotations

import json
from itertools import product

import pytest

from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.interfaces.aave import DATA_PROVIDER, ORACLE, POOL, PRICE_SOURCE
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.interfaces.uniswap import V2_PAIR, V2_ROUTER, V3_POOL, V3_QUOTER, V3_ROUTER, V3_ROUTER02
from treasury_arena_evm.local.anvil import Anvil
from treasury_arena_evm.local.artifacts import artifact
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.deploy import VAULT, deploy_market, deploy_vault
from treasury_arena_evm.local.description import Description, MarketOptions
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.local.uniswap import CALLER

FOREVER = 2**255
USD, ETH = 10**6, 10**18


class TestDeployment:
    def test_the_pools_bytecode_is_the_deployed_one(self):
        # The init code hashes that Uniswap's own periphery and v2 library carry to compute addresses.
        pool, pair = (keccak(bytes.fromhex(artifact(name).code)).hex() for name in ("UniswapV3Pool", "UniswapV2Pair"))
        assert pool == "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"
        assert pair == "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"

    def test_tokens_have_their_decimals_and_users_their_funds(self, local_market):
        for symbol, decimals in {"USDC": 6, "WETH": 18, "DAI": 18}.items():
            token = local_market.token(symbol)
            assert local_market.chain.call(token.address, ERC20.function("decimals")) == decimals == token.decimals
            for user in local_market.users:
                assert local_market.balance(symbol, user.address) > 0
        assert len(local_market.users) >= 4
        assert all(local_market.chain.balance(user.address) > 10**20 for user in local_market.users)

    def test_the_same_every_time(self, local_market, anvil_path):
        with Anvil(anvil_path) as node:
            chain = LocalChain(node)
            found = deploy_market(chain, MarketOptions())
            assert found == local_market.description
            for name, address in found.uniswap.pools.items():
                slot0 = V3_POOL.function("slot0")
                assert chain.call(address, slot0) == local_market.chain.call(address, slot0), name
            for token in found.tokens.values():
                data = DATA_PROVIDER.function("getReserveData"), token.address
                there = local_market.chain.call(found.aave.data_provider, *data)
                assert chain.call(found.aave.data_provider, *data) == there

    def test_time_goes_on_where_the_dump_ended(self, local_market):
        start = local_market.chain.now
        for blocks in (1, 2):
            local_market.chain.mine()
            assert local_market.chain.now == start + 12 * blocks
        with local_market.chain.isolated():
            local_market.chain.advance(100_000)
        local_market.chain.mine()
        assert local_market.chain.now == start + 36

    def test_a_description_survives_json(self, local_market):
        content = json.loads(json.dumps(local_market.description.as_json()))
        assert Description.from_json(content) == local_market.description

    def test_what_is_not_there_is_named_with_the_nearest(self, local_market):
        with pytest.raises(ChainError, match="no token 'USDT'; did you mean 'USDC'"):
            local_market.token("USDT")
        with pytest.raises(ChainError, match="no pool USDC/WETH:400; did you mean 'USDC/WETH:500'"):
            local_market.uniswap.pool("WETH", "USDC", 400)
        with pytest.raises(ChainError, match="no pair DAI/WETH"):
            local_market.uniswap.pair("WETH", "DAI")
        with pytest.raises(ChainError, match="no reserve WBTC"):
            local_market.aave.reserve("WBTC")


class TestOptions:
    @pytest.mark.parametrize(("usdc_first", "protocol_fee"), list(product([True, False], [0, 5])))
    def test_token_order_and_protocol_fee(self, make_local_market, usdc_first, protocol_fee):
        market = make_local_market(usdc_first=usdc_first, protocol_fee=protocol_fee)
        chain, usdc = market.chain, market.token("USDC").address
        for name, pool in market.uniswap.pools.items():
            if "USDC" in name:
                first = chain.call(pool, V3_POOL.function("token0"))
                assert (int(first, 16) == int(usdc, 16)) is usdc_first
            assert chain.call(pool, V3_POOL.function("slot0"))[5] == protocol_fee * 17  # one nibble per token
        first = chain.call(market.uniswap.pair("USDC", "WETH"), V2_PAIR.function("token0"))
        assert (int(first, 16) == int(usdc, 16)) is usdc_first

    @pytest.mark.parametrize("fee", [1, 3, 11, -1])
    def test_a_protocol_fee_that_pools_refuse(self, fee):
        with pytest.raises(ChainError, match=f"protocol_fee = {fee} is none of 0, 4"):
            MarketOptions(protocol_fee=fee)

    def test_an_empty_market(self, make_local_market):
        market = make_local_market(liquid=False)
        for pool in market.uniswap.pools.values():
            assert market.chain.call(pool, V3_POOL.function("slot0"))[0] > 0
            assert market.chain.call(pool, V3_POOL.function("liquidity")) == 0
        for token in market.tokens.values():
            data = market.chain.call(market.aave.data_provider, DATA_PROVIDER.function("getReserveData"), token.address)
            assert data[2] == data[4] == 0
        assert market.chain.call(market.vault, ERC4626.function("totalAssets")) == 0


class TestUniswap:
    def test_quote_equals_swap_through_both_routers(self, local_market):
        chain, alice = local_market.chain, local_market.users[0].address
        usdc, weth = local_market.token("USDC").address, local_market.token("WETH").address
        for router in (local_market.uniswap.router, local_market.uniswap.router02):
            local_market.approve(alice, "USDC", router)
            quote = V3_QUOTER.function("quoteExactInputSingle")
            expected = chain.call(local_market.uniswap.quoter, quote, (usdc, weth, 1_000 * USD, 500, 0))[0]
            before = local_market.balance("WETH", alice)
            if router == local_market.uniswap.router:
                order = (usdc, weth, 500, alice, FOREVER, 1_000 * USD, 0, 0)
                chain.send(alice, router, V3_ROUTER.function("exactInputSingle"), order)
            else:
                order = (usdc, weth, 500, alice, 1_000 * USD, 0, 0)
                chain.send(alice, router, V3_ROUTER02.function("exactInputSingle"), order)
            assert local_market.balance("WETH", alice) - before == expected
            assert 0.49 * ETH < expected < 0.5 * ETH

    def test_pools_are_called_without_a_router(self, local_market):
        chain, alice, caller = local_market.chain, local_market.users[0].address, local_market.uniswap.caller
        pool = local_market.uniswap.pool("USDC", "WETH", 500)
        for symbol in ("USDC", "WETH"):
            local_market.approve(alice, symbol, caller)
        chain.send(alice, caller, CALLER.function("mint"), pool, -887_270, 887_270, 10**15)
        assert chain.call(pool, V3_POOL.function("burn"), -887_270, 887_270, 10**15, sender=alice)[0] > 0
        price = chain.call(pool, V3_POOL.function("slot0"))[0]
        limit = price * 999 // 1000
        chain.send(alice, caller, CALLER.function("swap"), pool, True, 10**30, limit)
        assert chain.call(pool, V3_POOL.function("slot0"))[0] == limit

    def test_v2_trades(self, local_market):
        chain, bob = local_market.chain, local_market.users[1].address
        path = [local_market.token("USDC").address, local_market.token("WETH").address]
        local_market.approve(bob, "USDC", local_market.uniswap.v2_router)
        router = local_market.uniswap.v2_router
        expected = chain.call(router, V2_ROUTER.function("getAmountsOut"), 1_000 * USD, path)[1]
        before = local_market.balance("WETH", bob)
        chain.send(bob, router, V2_ROUTER.function("swapExactTokensForTokens"), 1_000 * USD, 0, path, bob, FOREVER)
        assert local_market.balance("WETH", bob) - before == expected


class TestAave:
    def borrow(self, market: LocalMarket, user: str) -> None:
        weth, usdc = market.token("WETH").address, market.token("USDC").address
        market.approve(user, "WETH", market.aave.pool)
        market.chain.send(user, market.aave.pool, POOL.function("supply"), weth, 10 * ETH, user, 0)
        market.chain.send(user, market.aave.pool, POOL.function("borrow"), usdc, 15_000 * USD, 2, 0, user)

    def health(self, market: LocalMarket, user: str) -> int:
        return market.chain.call(market.aave.pool, POOL.function("getUserAccountData"), user)[5]

    def test_borrowing_and_a_price_that_falls(self, local_market):
        user = local_market.users[0].address
        self.borrow(local_market, user)
        assert self.health(local_market, user) > ETH
        local_market.set_price("WETH", 1_700 * 10**8)
        price = ORACLE.function("getAssetPrice"), local_market.token("WETH").address
        assert local_market.chain.call(local_market.aave.oracle, *price) == 1_700 * 10**8
        assert self.health(local_market, user) < ETH
        liquidator = local_market.users[1].address
        local_market.approve(liquidator, "USDC", local_market.aave.pool)
        assets = local_market.token("WETH").address, local_market.token("USDC").address
        before = local_market.balance("WETH", liquidator)
        liquidate = POOL.function("liquidationCall")
        local_market.chain.send(liquidator, local_market.aave.pool, liquidate, *assets, user, 1_000 * USD, False)
        assert local_market.balance("WETH", liquidator) > before

    def test_a_price_sources_age(self, local_market):
        chain, source = local_market.chain, local_market.aave.reserve("WETH").source
        round_data = PRICE_SOURCE.function("latestRoundData")
        assert chain.call(source, round_data)[1::2] == (2_000 * 10**8, chain.now)
        height = chain.height
        local_market.set_price("WETH", 0, answered=chain.now - 90_000)
        assert chain.call(source, round_data)[1::2] == (0, chain.now - 90_000)
        assert chain.height == height

    def test_debt_grows_with_the_chains_time_alone(self, local_market):
        user = local_market.users[0].address
        self.borrow(local_market, user)
        debt = local_market.aave.reserve("USDC").variable_debt
        before = local_market.chain.call(debt, ERC20.function("balanceOf"), user)
        local_market.chain.advance(30 * 86_400)
        assert 0.001 < local_market.chain.call(debt, ERC20.function("balanceOf"), user) / before - 1 < 0.01

    def test_a_refusal_is_the_contracts_number(self, local_market):
        user = local_market.users[0].address
        self.borrow(local_market, user)
        order = local_market.token("USDC").address, 5_000 * USD, 2, 0, user
        with pytest.raises(RevertError) as caught:
            local_market.chain.send(user, local_market.aave.pool, POOL.function("borrow"), *order)
        assert caught.value.reason == "36"  # COLLATERAL_CANNOT_COVER_NEW_BORROW

    def test_tests_do_not_see_each_other(self, local_market):
        pool = POOL.function("getUserAccountData")
        assert [
            local_market.chain.call(local_market.aave.pool, pool, user.address)[0] for user in local_market.users
        ] == [0] * 6


class TestVault:
    def test_yield_and_loss_move_the_share_price(self, local_market):
        chain, alice = local_market.chain, local_market.users[0].address
        local_market.approve(alice, "USDC", local_market.vault)
        chain.send(alice, local_market.vault, ERC4626.function("deposit"), 1_000 * USD, alice)
        shares = chain.call(local_market.vault, ERC20.function("balanceOf"), alice)
        worth = ERC4626.function("convertToAssets"), shares
        assert chain.call(local_market.vault, *worth) == 1_000 * USD
        local_market.fund("USDC", local_market.vault, 100_000 * USD)
        assert 1_099 * USD < chain.call(local_market.vault, *worth) < 1_101 * USD
        chain.send(alice, local_market.vault, VAULT.function("lose"), 500_000 * USD)
        assert chain.call(local_market.vault, *worth) < 700 * USD

    @pytest.mark.parametrize("offset", [0, 6])
    def test_offset_of_the_shares_decimals(self, local_market, offset):
        vault = deploy_vault(local_market.chain, local_market.owner.address, local_market.token("USDC"), offset)
        assert (
            local_market.chain.call(vault, ERC4626.function("asset")).lower()
            == local_market.token("USDC").address.lower()
        )
        assert local_market.chain.call(vault, ERC4626.function("convertToShares"), 7) == 7 * 10**offset


@pytest.mark.parametrize("symbol", ["USDC", "WETH", "DAI"])
def test_funds_for_anyone(local_market, symbol):
    stranger = "0x" + "ab" * 20
    local_market.fund(symbol, stranger, 12_345)
    local_market.fund(symbol, stranger, 1)
    assert local_market.balance(symbol, stranger) == 12_346


class TestOddTokens:
    @pytest.mark.parametrize("first", [True, False])
    def test_one_is_token0_or_token1_of_every_pool(self, local_market, first):
        market = local_market.with_odd_token("PlainToken", 8, first=first)
        odd = int(market.token("ODD").address, 16)
        others = [int(token.address, 16) for token in local_market.tokens.values()]
        assert odd < min(others) if first else odd > max(others)

    def test_the_session_knows_it_and_the_market_it_came_from_does_not(self, local_market):
        market = local_market.with_odd_token("SilentToken", 2, symbol="QUIET")
        user = market.users[0]
        market.fund("QUIET", user.address, 700)
        assert market.session.tokens.symbol("QUIET").decimals == 2
        assert market.balance("QUIET", user.address) == 700
        assert "QUIET" not in local_market.tokens
        with pytest.raises(ChainError, match="the local market has a token 'QUIET' already"):
            market.with_odd_token(symbol="QUIET")
        for kind, more, said in (
            ("GuardedToken", (), "a GuardedToken wants one more argument, True or False"),
            ("GuardedToken", (1,), r"a GuardedToken wants .*; not \(1,\)"),
            ("PlainToken", (True,), r"a PlainToken wants no more than its decimals, not \(True,\)"),
            ("GardedToken", (), "there is no odd token 'GardedToken'; did you mean 'GuardedToken'"),
        ):
            with pytest.raises(ChainError, match=said):
                local_market.with_odd_token(kind, 18, *more)
        with pytest.raises(ChainError, match="the local market has no token 'ODD'"):
            local_market.turn("ODD", "FeeToken")

    def test_a_token_that_turns_keeps_who_holds_what(self, local_market):
        market = local_market.with_odd_token("PlainToken", 6)
        chain, address = market.chain, market.token("ODD").address
        alice, bob = (user.address for user in market.users[:2])
        market.fund("ODD", alice, 10_000)
        transfer = ERC20.function("transfer")
        for kind, arrived in (
            ("PlainToken", 1_000),
            ("FeeToken", 990),
            ("SharesToken", 1_000),
            ("GuardedToken", 1_000),
        ):
            market.turn("ODD", kind, *([True] if kind == "GuardedToken" else []))
            before = market.balance("ODD", alice), market.balance("ODD", bob)
            chain.send(alice, address, transfer, bob, 1_000)
            assert market.balance("ODD", alice) == before[0] - 1_000
            assert market.balance("ODD", bob) == before[1] + arrived
            assert chain.call(address, ERC20.function("decimals")) == 6
        for what in (("pause",), ("blockAccount", bob)):
            market.tell("ODD", *what, True)
            with pytest.raises(RevertError, match="paused" if what == ("pause",) else "blocked"):
                chain.send(alice, address, transfer, bob, 1)
            market.tell("ODD", *what, False)
        chain.send(alice, address, transfer, bob, 1)
