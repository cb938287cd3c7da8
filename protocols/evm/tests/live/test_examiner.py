"""The gate's look at exact transactions on the real contracts: what is right passes, each thing that is wrong has its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.chain import Fees, Step, StepKind, Unsigned
from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS, V3_ROUTER02
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.live.config import EvmFeed, EvmToken
from treasury_arena_evm.live.trial import QUESTIONS
from treasury_arena_evm.local.live import live_client
from treasury_arena_evm.local.market import LocalMarket

GWEI = 10**9
USDC, WETH = 10**6, 10**18
STRANGER = "0x" + "5a" * 20
HAND_OVER = Interface("function transferFrom(address from, address to, uint256 tokenId)")
Pool = tuple[str, str, int, int]
"""Both coins, the fee in millionths, and the spacing of its ticks."""
POOLS: tuple[Pool, ...] = (("USDC", "WETH", 500, 10), ("WETH", "DAI", 3_000, 60), ("USDC", "DAI", 100, 1))


@attrs.define
class Desk:
    """A client of the local market and steps as planners make them."""

    market: LocalMarket
    client: EvmClient

    @property
    def me(self) -> str:
        return self.market.users[0].address

    def at(self, symbol: str) -> str:
        return self.market.token(symbol).address

    def step(
        self, kind: StepKind, asset: str, to: str, data: bytes, expects: dict[str, Any], spends: Any = None
    ) -> Step:
        lower = {name: value.lower() if isinstance(value, str) else value for name, value in expects.items()}
        return Step(kind, asset, to, "0x" + data.hex(), 0, 900_000, lower, spends or {})

    def approve(self, amount: int = 5 * USDC, spender: str = "", kind: StepKind = StepKind.APPROVE) -> Step:
        spender = spender or self.market.vault
        data = ERC20.function("approve").encode(spender, amount)
        expects = {"asset": self.at("USDC"), "spender": spender, "amount_raw": amount}
        return self.step(kind, "USDC", self.at("USDC"), data, expects)

    def deposit(self, amount: int = 5 * USDC, to: str = "", most: int | None = None) -> Step:
        to = to or self.me
        data = ERC4626.function("deposit").encode(amount, to)
        expects = {"asset": self.at("USDC"), "amount_raw": amount, "recipient": to}
        spends = {"USDC": amount if most is None else most}
        return self.step(StepKind.SUPPLY, "USDC", self.market.vault, data, expects, spends)

    def redeem(self, shares: int, to: str = "") -> Step:
        to = to or self.me
        data = ERC4626.function("redeem").encode(shares, to, self.me)
        expects = {"asset": self.at("USDC"), "shares_raw": shares, "recipient": to, "owner": self.me}
        return self.step(StepKind.WITHDRAW, "USDC", self.market.vault, data, expects)

    def aave(self, kind: StepKind, amount: int, asset: str = "USDC", whom: str = "") -> Step:
        whom, token = whom or self.me, self.at(asset)
        expects: dict[str, Any] = {"asset": token, "amount_raw": amount, "on_behalf_of": whom}
        arguments: tuple[Any, ...] = (token, amount, whom, 0)
        if kind is StepKind.WITHDRAW:
            arguments, expects = (token, amount, whom), {"asset": token, "amount_raw": amount, "recipient": whom}
        elif kind is StepKind.BORROW:
            arguments, expects = (token, amount, 2, 0, whom), {**expects, "rate_mode": 2}
        elif kind is StepKind.REPAY:
            arguments, expects = (token, amount, 2, whom), {**expects, "rate_mode": 2}
        data = POOL.function(str(kind)).encode(*arguments)
        spends = {asset: amount} if kind in (StepKind.SUPPLY, StepKind.REPAY) else {}
        return self.step(kind, asset, self.market.aave.pool, data, expects, spends)

    def swap(self, amount: int = 1_000 * USDC, least: int = WETH // 4, ahead: int = 100, to: str = "") -> Step:
        to, deadline = to or self.me, self.market.chain.now + ahead
        pair = (self.at("USDC"), self.at("WETH"))
        inner = V3_ROUTER02.function("exactInputSingle").encode((*pair, 500, to, amount, least, 0))
        data = V3_ROUTER02.function("multicall(uint256,bytes[])").encode(deadline, [inner])
        expects = {"asset": pair[0], "token_in": pair[0], "token_out": pair[1], "fee": 500, "recipient": to}
        expects |= {"amount_raw": amount, "min_out_raw": least, "deadline": deadline}
        return self.step(StepKind.SWAP, "USDC", self.market.uniswap.router02, data, expects, {"USDC": amount})

    def tick(self, pool: Pool) -> int:
        return self.market.chain.call(self.market.uniswap.pool(*pool[:3]), V3_POOL.function("slot0"))[1]

    def mint(self, kept: tuple[int, int] = (9_500, 9_500), token_id: int | None = None, pool: Pool = POOLS[0]) -> Step:
        """100,000 dollars in both coins, a tenth around the pool's price; `kept` bps of each are the least that it may take."""
        (one, other, fee, spacing), worth = pool, {"USDC": 100_000 * USDC, "DAI": 100_000 * WETH, "WETH": 50 * WETH}
        amounts = [(self.at(symbol), worth[symbol]) for symbol in (one, other)]
        (token0, amount0), (token1, amount1) = sorted(amounts, key=lambda pair: int(pair[0], 16))
        names: dict[str, Any] = {"token_id": token_id}
        if token_id is None:
            middle, width = self.tick(pool) // spacing * spacing, 1_000 // spacing * spacing
            ends = {"tick_lower": middle - width, "tick_upper": middle + width}
            names = {"token0": token0, "token1": token1, "fee": fee, **ends}
        names |= {"amount0_raw": amount0, "amount1_raw": amount1}
        names |= {"min0_raw": amount0 * kept[0] // 10_000, "min1_raw": amount1 * kept[1] // 10_000}
        names |= {} if token_id is not None else {"recipient": self.me}
        names["deadline"] = self.market.chain.now + 100
        function = V3_POSITIONS.function("mint" if token_id is None else "increaseLiquidity")
        expects, spends = {"asset": self.at(one), **names}, {one: worth[one], other: worth[other]}
        to, data = self.market.uniswap.positions, function.encode(tuple(names.values()))
        return self.step(StepKind.MINT, one, to, data, expects, spends)

    def minted(self, pool: Pool = POOLS[0]) -> int:
        """A small range around the price, and its token."""
        chain, positions = self.market.chain, self.market.uniswap.positions
        values = self.mint((0, 0), None, pool).expects
        names = ("token0", "token1", "fee", "tick_lower", "tick_upper")
        order = (*(values[name] for name in names), 10**12, 10**12, 0, 0, self.me, chain.now + 100)
        receipt = chain.send(self.me, positions, V3_POSITIONS.function("mint"), order)
        return int(receipt["logs"][-1]["topics"][1], 16)

    def unsigned(self, step: Step, **changes: Any) -> Unsigned:
        fees = Fees(3 * GWEI, GWEI)
        made = Unsigned(31337, self.me, 0, step.to, step.value_raw, step.data, 900_000, fees)
        return attrs.evolve(made, **changes)

    def code(self, step: Step, **changes: Any) -> str:
        """The code of the refusal, empty for none."""
        refusal = self.client.examine(step, self.unsigned(step, **changes))
        return "" if refusal is None else refusal.code

    def allow(self, spender: str, symbol: str = "USDC") -> None:
        self.market.approve(self.me, symbol, spender)


@pytest.fixture
def desk(local_market: LocalMarket) -> Desk:
    return Desk(local_market, live_client(local_market, local_market.users[0]))


class TestWhatIsRight:
    def test_an_exact_allowance_and_its_end(self, desk: Desk) -> None:
        assert desk.code(desk.approve()) == ""
        desk.allow(desk.market.vault)
        assert desk.code(desk.approve(0, kind=StepKind.REVOKE)) == ""

    def test_a_vault(self, desk: Desk) -> None:
        desk.allow(desk.market.vault)
        assert desk.code(desk.deposit()) == ""
        desk.market.chain.send(desk.me, desk.market.vault, ERC4626.function("deposit"), 9 * USDC, desk.me)
        assert desk.code(desk.redeem(1_000)) == ""

    def test_aave(self, desk: Desk) -> None:
        pool = desk.market.aave.pool
        desk.allow(pool)
        desk.allow(pool, "WETH")
        assert desk.code(desk.aave(StepKind.SUPPLY, 10 * WETH, "WETH")) == ""
        desk.market.chain.send(desk.me, pool, POOL.function("supply"), desk.at("WETH"), 10 * WETH, desk.me, 0)
        assert desk.code(desk.aave(StepKind.BORROW, 5_000 * USDC)) == ""
        desk.market.chain.send(desk.me, pool, POOL.function("borrow"), desk.at("USDC"), 5_000 * USDC, 2, 0, desk.me)
        assert desk.code(desk.aave(StepKind.REPAY, 100 * USDC)) == ""
        assert desk.code(desk.aave(StepKind.WITHDRAW, WETH, "WETH")) == ""

    def test_a_swap_with_a_deadline(self, desk: Desk) -> None:
        desk.allow(desk.market.uniswap.router02)
        assert desk.code(desk.swap()) == ""

    def test_a_cancellation(self, desk: Desk) -> None:
        step = Step(StepKind.CANCEL, "", desk.me, "0x", 0, 21_000, {"recipient": desk.me.lower()})
        assert desk.code(step, gas=21_000) == ""
        assert desk.code(attrs.evolve(step, to=STRANGER), gas=21_000) == "calldata"


Changing = Callable[[Desk], tuple[Step, dict[str, Any]]]
WRONG: dict[str, tuple[str, Changing]] = {
    "another chain": ("chain", lambda d: (d.approve(), {"chain_id": 1})),
    "another sender": ("sender", lambda d: (d.approve(), {"sender": STRANGER})),
    "another contract": ("calldata", lambda d: (d.approve(), {"to": STRANGER})),
    "other calldata": ("calldata", lambda d: (d.approve(), {"data": d.approve(6).data})),
    "coins along": ("value", lambda d: (attrs.evolve(d.approve(), value_raw=1), {"value_raw": 1})),
    "coins that the step has not": ("calldata", lambda d: (d.approve(), {"value_raw": 1})),
    "fees above the cap": ("fees", lambda d: (d.approve(), {"fees": Fees(201 * GWEI, GWEI)})),
    "a tip above the fee": ("fees", lambda d: (d.approve(), {"fees": Fees(GWEI, 2 * GWEI)})),
    "more gas than planned": ("gas", lambda d: (d.approve(), {"gas": 900_001})),
    "no gas": ("gas", lambda d: (d.approve(), {"gas": 0})),
    "a strange contract": ("contract", lambda d: (attrs.evolve(d.deposit(), to=STRANGER), {})),
    "a function of another family": ("contract", lambda d: (attrs.evolve(d.deposit(), to=d.market.aave.pool), {})),
    "a function of another kind": ("contract", lambda d: (attrs.evolve(d.deposit(), kind=StepKind.BORROW), {})),
    "an unknown function": ("calldata", lambda d: (attrs.evolve(d.approve(), data="0xa9059cbb" + "00" * 64), {})),
    "more bytes behind": ("calldata", lambda d: (attrs.evolve(d.approve(), data=d.approve().data + "00"), {})),
    "another recipient": ("recipient", lambda d: (d.deposit(to=STRANGER), {})),
    "on behalf of another": ("recipient", lambda d: (d.aave(StepKind.SUPPLY, USDC, whom=STRANGER), {})),
    "a strange spender": ("allowance", lambda d: (d.approve(spender=STRANGER), {})),
    "a token as spender": ("allowance", lambda d: (d.approve(spender=d.at("DAI")), {})),
    "a revocation of something": ("allowance", lambda d: (d.approve(5, kind=StepKind.REVOKE), {})),
    "another amount than expected": (
        "calldata",
        lambda d: (attrs.evolve(d.approve(), expects={**d.approve().expects, "amount_raw": 6}), {}),
    ),
    "an argument that nobody expects": (
        "calldata",
        lambda d: (attrs.evolve(d.approve(), expects={"asset": d.at("USDC").lower(), "amount_raw": 5 * USDC}), {}),
    ),
    "an expectation that is not met": (
        "calldata",
        lambda d: (attrs.evolve(d.approve(), expects={**d.approve().expects, "deadline": 1}), {}),
    ),
    "another asset": ("token", lambda d: (attrs.evolve(d.approve(), asset="DAI"), {})),
    "an unknown asset": ("token", lambda d: (attrs.evolve(d.approve(), asset="GOLD"), {})),
    "a vault of another asset": (
        "calldata",
        lambda d: (attrs.evolve(d.deposit(), expects={**d.deposit().expects, "asset": d.at("DAI").lower()}), {}),
    ),
    "no allowance": ("simulation", lambda d: (d.deposit(), {})),
    "a deadline that is over": ("deadline", lambda d: (d.swap(ahead=0), {})),
    "a deadline far ahead": ("deadline", lambda d: (d.swap(ahead=121), {})),
    "nothing in return": ("min_out", lambda d: (d.swap(least=0), {})),
    "too much in return": ("simulation", lambda d: (d.swap(least=WETH), {})),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_has_its_code(desk: Desk, what: str) -> None:
    code, make = WRONG[what]
    if what != "no allowance":
        desk.allow(desk.market.uniswap.router02)
        desk.allow(desk.market.aave.pool)
    step, changes = make(desk)
    refusal = desk.client.examine(step, desk.unsigned(step, **changes))
    assert refusal is not None
    assert (refusal.code, refusal.reason.count("\n")) == (code, 0), refusal


def test_questions_are_their_signatures_hashes() -> None:
    assert {name: keccak(name.encode())[:4].hex() for name in QUESTIONS} == QUESTIONS


class TestWhatOnlyATryShows:
    def test_more_leaves_than_may(self, desk: Desk) -> None:
        desk.allow(desk.market.vault)
        assert desk.code(desk.deposit(5 * USDC, most=5 * USDC - 1)) == "spends"

    def test_nothing_is_added_to_an_allowance(self, desk: Desk) -> None:
        desk.market.approve(desk.me, "USDC", desk.market.vault, 1)
        assert desk.code(desk.approve()) == "allowance"

    def test_a_swap_without_deadline(self, desk: Desk) -> None:
        pair = (desk.at("USDC"), desk.at("WETH"))
        data = V3_ROUTER02.function("exactInputSingle").encode((*pair, 500, desk.me, USDC, 1, 0))
        expects = dict(desk.swap(USDC, 1).expects)
        del expects["deadline"]
        step = desk.step(StepKind.SWAP, "USDC", desk.market.uniswap.router02, data, expects, {"USDC": USDC})
        assert desk.code(step) == "deadline"

    def test_the_health_factor_afterwards(self, desk: Desk) -> None:
        pool, chain = desk.market.aave.pool, desk.market.chain
        desk.allow(pool, "WETH")
        chain.send(desk.me, pool, POOL.function("supply"), desk.at("WETH"), 10 * WETH, desk.me, 0)
        data = chain.call(pool, POOL.function("getUserAccountData"), desk.me)
        most = data[2] // 100  # dollars with eight decimals -> base units of USDC
        assert desk.code(desk.aave(StepKind.BORROW, most * 9 // 10)) == ""
        strict = Desk(desk.market, live_client(desk.market, desk.market.users[0], health_min=1.5))
        assert strict.code(strict.aave(StepKind.BORROW, most * 9 // 10)) == "health"
        chain.send(desk.me, pool, POOL.function("borrow"), desk.at("USDC"), most * 9 // 10, 2, 0, desk.me)
        # Below the floor nothing more is borrowed; a little collateral may leave, to pay debt with.
        assert strict.code(strict.aave(StepKind.BORROW, USDC)) == "health"
        assert strict.code(strict.aave(StepKind.WITHDRAW, WETH // 10, "WETH")) == ""
        above = Desk(desk.market, live_client(desk.market, desk.market.users[0], health_min=1.1))
        assert above.code(above.aave(StepKind.WITHDRAW, WETH, "WETH")) == "health"

    @pytest.mark.parametrize(
        ("prices", "answered", "keys", "least", "code"),
        [
            ({}, 0, {}, 495, ""),
            ({}, 0, {"slippage_max_bps": 99}, 495, "min_out"),
            ({}, 0, {"slippage_max_bps": 99}, 496, ""),
            ({"WETH": 2_050 * 10**8}, 0, {}, 490, "oracle"),
            ({"WETH": 1_950 * 10**8}, 0, {}, 495, "oracle"),
            ({"USDC": 0}, 0, {}, 495, "oracle"),
            ({"WETH": -1}, 0, {}, 495, "oracle"),
            ({"WETH": 2_000 * 10**8}, 3_600, {}, 495, ""),
            ({"WETH": 2_000 * 10**8}, 3_601, {}, 495, "oracle"),
            ({"WETH": 2_000 * 10**8}, -60, {}, 495, ""),
            ({"WETH": 2_000 * 10**8}, -61, {}, 495, "oracle"),
        ],
    )
    def test_a_swap_beside_the_price_sources(
        self, desk: Desk, prices: dict[str, int], answered: int, keys: dict[str, int], least: int, code: str
    ) -> None:
        """1,000 USDC are half a WETH by the sources; `least` in thousandths of a WETH, `answered` seconds ago."""
        market = desk.market
        desk.allow(market.uniswap.router02)
        now = market.chain.now
        for symbol, price in prices.items():
            market.set_price(symbol, price, now - answered if answered else 0)
        feeds = {symbol: EvmFeed(address=market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH")}
        client = live_client(market, market.users[0], feeds=feeds, **keys)
        other = Desk(market, client)
        assert other.code(other.swap(least=least * WETH // 1_000)) == code

    @pytest.mark.parametrize("more", [False, True], ids=["mint", "increase"])
    @pytest.mark.parametrize(
        ("prices", "answered", "keys", "kept", "code"),
        [
            ({}, 0, {}, (9_500, 9_500), ""),
            ({}, 0, {}, (9_000, 9_000), ""),
            ({}, 0, {}, (0, 9_500), "min_out"),
            ({}, 0, {}, (9_500, 0), "min_out"),
            ({}, 0, {"slippage_max_bps": 300}, (0, 0), ""),
            ({"WETH": 2_060 * 10**8}, 0, {}, (9_500, 9_500), ""),
            ({"WETH": 2_060 * 10**8}, 0, {"slippage_max_bps": 10}, (9_500, 9_500), "oracle"),
            ({"WETH": 2_400 * 10**8}, 0, {}, (9_500, 9_500), "oracle"),
            ({"WETH": 1_700 * 10**8}, 0, {}, (9_500, 9_500), "oracle"),
            ({"USDC": 0}, 0, {}, (9_500, 9_500), "oracle"),
            ({"WETH": 2_000 * 10**8}, 3_600, {}, (9_500, 9_500), ""),
            ({"WETH": 2_000 * 10**8}, 3_601, {}, (9_500, 9_500), "oracle"),
        ],
    )
    def test_a_mint_beside_the_price_sources(
        self,
        desk: Desk,
        prices: dict[str, int],
        answered: int,
        keys: dict[str, int],
        kept: tuple[int, int],
        code: str,
        more: bool,
    ) -> None:
        """A tenth around 2,000: a price 3% off costs 22 bps of the coins, one at or beyond the end a 40th and more."""
        market = desk.market
        for symbol in ("USDC", "WETH"):
            desk.allow(market.uniswap.positions, symbol)
        token_id = desk.minted() if more else None
        for symbol, price in prices.items():
            market.set_price(symbol, price, market.chain.now - answered if answered else 0)
        feeds = {symbol: EvmFeed(address=market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH")}
        other = Desk(market, live_client(market, market.users[0], feeds=feeds, **keys))
        assert other.code(other.mint(kept, token_id)) == code

    @pytest.mark.parametrize("more", [False, True], ids=["mint", "increase"])
    def test_a_mint_at_ticks_below_0_and_above(self, desk: Desk, more: bool) -> None:
        """Whatever the order of the tokens, and whatever feed is not asked for: what has no part in a mint does not count."""
        market, ticks = desk.market, [desk.tick(pool) for pool in POOLS]
        assert min(ticks) < 0 < max(ticks)
        feeds = {symbol: EvmFeed(address=market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH", "DAI")}
        client = live_client(market, market.users[0], feeds=feeds, slippage_max_bps=10)
        other = Desk(market, client)
        for symbol in ("USDC", "WETH", "DAI"):
            desk.allow(market.uniswap.positions, symbol)
        for pool in POOLS:
            token_id = desk.minted(pool) if more else None
            assert other.code(other.mint(token_id=token_id, pool=pool)) == "", pool
        market.set_price("DAI", 109 * 10**6)
        for pool in POOLS:
            token_id = desk.minted(pool) if more else None
            code = other.code(other.mint(token_id=token_id, pool=pool))
            assert code == ("oracle" if "DAI" in pool else ""), pool

    def test_nothing_is_added_to_the_position_of_another(self, desk: Desk) -> None:
        """Its contract lets anybody add to it, and the money would be the other's."""
        for symbol in ("USDC", "WETH"):
            desk.allow(desk.market.uniswap.positions, symbol)
        token_id = desk.minted()
        assert desk.code(desk.mint(token_id=token_id)) == ""
        given = (desk.me, STRANGER, token_id)
        desk.market.chain.send(desk.me, desk.market.uniswap.positions, HAND_OVER.function("transferFrom"), *given)
        refusal = desk.client.examine(step := desk.mint(token_id=token_id), desk.unsigned(step))
        assert refusal is not None
        assert (refusal.code, STRANGER in refusal.reason) == ("recipient", True)

    def test_a_source_that_does_not_answer_stops_mints_of_its_token_alone(self, desk: Desk) -> None:
        """An increase names a position, so every source is asked; one that is no contract counts for its own token."""
        market = desk.market
        for symbol in ("USDC", "WETH", "DAI"):
            desk.allow(market.uniswap.positions, symbol)
        feeds = {symbol: EvmFeed(address=market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH")}
        feeds["DAI"] = EvmFeed(address=STRANGER)
        other = Desk(market, live_client(market, market.users[0], feeds=feeds))
        for pool in POOLS:
            for token_id in (None, desk.minted(pool)):
                code = other.code(other.mint(token_id=token_id, pool=pool))
                assert code == ("simulation" if "DAI" in pool else ""), (pool, token_id)

    def test_a_mint_at_a_price_that_somebody_has_moved(self, desk: Desk) -> None:
        """With price sources it is refused; without them, on a local chain, it is not known to be wrong."""
        market = desk.market
        for symbol in ("USDC", "WETH"):
            desk.allow(market.uniswap.positions, symbol)
        feeds = {symbol: EvmFeed(address=market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH")}
        other = Desk(market, live_client(market, market.users[0], feeds=feeds))
        assert other.code(other.mint()) == ""
        maker = market.maker.address
        market.fund("USDC", maker, 10**9 * USDC)
        market.approve(maker, "USDC", market.uniswap.router02)
        order = (desk.at("USDC"), desk.at("WETH"), 500, maker, 40_000_000 * USDC, 0, 0)
        market.chain.send(maker, market.uniswap.router02, V3_ROUTER02.function("exactInputSingle"), order)
        assert other.code(other.mint((0, 0))) == "oracle"
        assert desk.code(desk.mint((0, 0))) == ""

    @pytest.mark.parametrize("kind", ["swap", "mint"])
    def test_without_price_sources_where_they_are_required(self, desk: Desk, kind: str) -> None:
        for symbol in ("USDC", "WETH"):
            desk.allow(desk.market.uniswap.positions, symbol)
        desk.allow(desk.market.uniswap.router02)
        assert desk.code(getattr(desk, kind)()) == ""
        worth = desk.client._examiner._worth
        worth._prices = attrs.evolve(worth._prices, required=True)
        assert desk.code(getattr(desk, kind)()) == "oracle"

    def test_other_decimals_than_pinned(self, desk: Desk) -> None:
        usdc = desk.market.token("USDC")
        client = live_client(
            desk.market, desk.market.users[0], tokens={"TUSD": EvmToken(address=usdc.address, decimals=8)}
        )
        other = Desk(desk.market, client)
        refusal = client.examine(attrs.evolve(other.approve(), asset="TUSD"), other.unsigned(other.approve()))
        assert refusal is not None
        assert refusal.code == "token"
        assert "8 decimals, its contract says 6" in refusal.reason

    def test_a_contract_that_is_gone(self, desk: Desk) -> None:
        desk.market.chain.rpc("anvil_setCode", desk.market.vault, "0x")
        assert desk.code(desk.approve()) == ""
        assert desk.code(desk.redeem(5)) == "contract"

    def test_where_the_pool_is_pinned_no_other_contract_is_one(self, desk: Desk) -> None:
        pool = desk.market.aave.pool
        client = live_client(desk.market, desk.market.users[0], contracts={"aave_v3_pool": pool})
        other, step = Desk(desk.market, client), desk.aave(StepKind.SUPPLY, USDC)
        desk.allow(pool)
        assert other.code(step) == ""
        assert other.code(attrs.evolve(step, to=STRANGER)) == "contract"

    def test_a_delegated_account_is_no_contract(self, desk: Desk) -> None:
        pool = desk.market.aave.pool
        client = live_client(desk.market, desk.market.users[0], contracts={"aave_v3_pool": pool})
        desk.market.chain.rpc("anvil_setCode", pool, "0xef0100" + "11" * 20)
        assert Desk(desk.market, client).code(desk.aave(StepKind.SUPPLY, USDC)) == "contract"
