"""Random operations on `V2Pool` and on UniswapV2Pair side by side, through the router and directly."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from treasury_arena.contracts.parity import Told
from treasury_arena_evm.abi import Entry
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V2_FACTORY, V2_PAIR, V2_ROUTER
from treasury_arena_uniswap.exact import RefusedError, V2Pool
from treasury_arena_uniswap.exact.refusal import require
from treasury_arena_uniswap.exact.v2_pool import MINIMUM_LIQUIDITY, NOBODY
from treasury_arena_uniswap.parity.batch import Batch, Receipt, batches, logged
from treasury_arena_uniswap.parity.report import Counts

if TYPE_CHECKING:
    from treasury_arena_evm.local.market import LocalMarket

BLOCK = 40
FOREVER = 2**255
FUNDS = {"USDC": 10**9 * 10**6, "WETH": 10**6 * 10**18}
SWAPPED = ("amount0In", "amount1In", "amount0Out", "amount1Out")
Outcome = dict[str, int]


class Call(NamedTuple):
    """One transaction of an operation."""

    to: str
    function: Entry
    arguments: tuple[Any, ...]


class Operation(NamedTuple):
    """An operation: its transactions, of which `judged` is the one that may be refused, and what the integers did."""

    kind: str
    sender: str
    calls: tuple[Call, ...]
    judged: int
    event: Entry
    expected: Outcome
    refused: str | None


def check_v2(
    market: LocalMarket,
    operations: int = 2_000,
    seed: int = 1,
    protocol_fee: bool = False,
    told: Told | None = None,
    counts: Counts | None = None,
) -> Counts:
    """Run random operations on the market's USDC/WETH pair, which must be without liquidity (``liquid=False``).

    First liquidity that is too little, by one unit and for one share; then additions and removals of liquidity, swaps of exact
    amounts in and out through the router, swaps at the pair's own door that ask for the last unit or one too many, dust and
    refusals. Compared: amounts and revert reasons, after every block reserves, supply, shares, and the product that the
    protocol's fee is counted from. Goes on counting in `counts`.
    """
    counts = Counts() if counts is None else counts
    last = counts.operations + operations
    run = _Run(market, random.Random(seed), counts, protocol_fee)
    with batches(market.chain) as batch:
        while counts.operations < last:
            run.block(batch, min(BLOCK, last - counts.operations))
            if told is not None:
                told(operations - (last - counts.operations), operations)
    return counts


class _Run:
    def __init__(self, market: LocalMarket, draw: random.Random, counts: Counts, protocol_fee: bool) -> None:
        self.market, self.chain, self.draw, self.counts = market, market.chain, draw, counts
        self.pair, self.router = market.uniswap.pair("USDC", "WETH"), market.uniswap.v2_router
        self.users = [user.address for user in market.users[:3]]
        fee_to = market.users[3].address if protocol_fee else None
        if fee_to:
            market.chain.send(market.owner.address, market.uniswap.v2_factory, V2_FACTORY.function("setFeeTo"), fee_to)
        order = ("USDC", "WETH") if market.options.usdc_first else ("WETH", "USDC")
        self.tokens = tuple(market.token(symbol).address for symbol in order)
        for user in self.users:
            for symbol, amount in FUNDS.items():
                market.fund(symbol, user, amount)
                market.approve(user, symbol, self.router)
            market.chain.send(user, self.pair, V2_PAIR.function("approve"), self.router, 2**256 - 1)
        if self._read("totalSupply"):
            raise ValueError("the pair has liquidity already; take a market made with liquid=False")
        self.pool = V2Pool(fee_to)
        least = MINIMUM_LIQUIDITY
        self.too_little = [(least - 1, least), (least, least)]  # the root of the product below it, and on it
        self.whole = (10**6, 5 * 10**14) if market.options.usdc_first else (5 * 10**14, 10**6)  # one USD of each

    def _read(self, name: str, *arguments: Any) -> Any:
        return self.chain.call(self.pair, V2_PAIR.function(name), *arguments)

    def _note(self, quantity: str, ours: int, theirs: int, where: str) -> None:
        self.counts.note(self.counts.operations, where, quantity, ours, theirs)

    # ---------------------------------------------------------------- a block on both sides
    def block(self, batch: Batch, size: int) -> None:
        """Do `size` operations here and there, then compare."""
        done = []
        for _ in range(size):
            operation = self._any() if self.pool.supply else self._first()
            for call in operation.calls:
                batch.add(operation.sender, call.to, call.function, *call.arguments)
            done.append(operation)
        receipts = iter(batch.mined())
        for operation in done:
            own = [next(receipts) for _ in operation.calls]
            self._compare(batch, operation, own[operation.judged])
        self._state()

    def _compare(self, batch: Batch, operation: Operation, receipt: Receipt) -> None:
        where = f"{operation.kind}{operation.calls[operation.judged].arguments}"
        if self.counts.judge(operation.kind, operation.refused, batch.refusal(receipt), where):
            seen = logged(receipt, self.pair, operation.event)
            for name, value in operation.expected.items():
                self._note(f"{operation.kind.split()[0]} {name}", value, seen[name], where)

    def _state(self) -> None:
        where, pool = "state after it", self.pool
        reserve0, reserve1, _ = self._read("getReserves")
        self._note("reserve0", pool.reserve0, reserve0, where)
        self._note("reserve1", pool.reserve1, reserve1, where)
        self._note("supply", pool.supply, self._read("totalSupply"), where)
        self._note("k_last", pool.k_last, self._read("kLast"), where)
        for owner, shares in pool.shares.items():
            if owner != NOBODY:
                self._note("shares", shares, self._read("balanceOf", owner), f"{where}, {owner}")

    # ---------------------------------------------------------------- random operations
    def _any(self) -> Operation:
        user, kind = self.draw.choice(self.users), self.draw.random()
        if kind < 0.15:
            return self._add(user, 10 ** self.draw.uniform(-6.0, 6.0))
        if kind < 0.28:
            return self._remove(user)
        if kind < 0.80:
            return self._swap(user)
        return self._raw_swap(user)

    def _first(self) -> Operation:
        """The first liquidity: too little for the shares that nobody gets, enough for those alone, then a million dollars."""
        if self.too_little:
            return self._added(self.users[0], *self.too_little.pop(0))
        return self._add(self.users[0], 10**6)

    def _amount(self, side: int, most: float) -> int:
        if self.draw.random() < 0.1:
            return self.draw.randint(0, 4)
        return int(self.whole[side] * 10 ** self.draw.uniform(-6.0, most))

    def _add(self, user: str, dollars: float) -> Operation:
        wanted0, wanted1 = (int(one * dollars) for one in self.whole)
        if self.draw.random() < 0.05 and self.pool.supply:
            wanted0, wanted1 = self.draw.choice([(0, wanted1), (wanted0, 0), (1, 1)])
        return self._added(user, wanted0, wanted1)

    def _added(self, user: str, wanted0: int, wanted1: int) -> Operation:
        order = (*self.tokens, wanted0, wanted1, 0, 0, user, FOREVER)

        def act() -> Outcome:
            amount0, amount1 = _matching(self.pool, wanted0, wanted1)
            self.pool.mint(user, amount0, amount1)
            return {"amount0": amount0, "amount1": amount1}

        return self._done("add", user, (Call(self.router, V2_ROUTER.function("addLiquidity"), order),), "Mint", act)

    def _remove(self, user: str) -> Operation:
        held = self.pool.shares.get(user, 0)
        shares = self.draw.choice(
            [held // 10, held // 3, int(held * self.draw.random()), self.draw.randint(0, 5), held + 1]
        )
        order = (*self.tokens, shares, 0, 0, user, FOREVER)

        def act() -> Outcome:
            amount0, amount1 = self.pool.burn(user, shares)
            return {"amount0": amount0, "amount1": amount1}

        call = Call(self.router, V2_ROUTER.function("removeLiquidity"), order)
        return self._done("remove", user, (call,), "Burn", act)

    def _swap(self, user: str) -> Operation:
        zero_for_one, exact_in = self.draw.random() < 0.5, self.draw.random() < 0.6
        path = self.tokens if zero_for_one else self.tokens[::-1]
        amount = self._amount(0 if zero_for_one == exact_in else 1, 5.0)
        reserve = self.pool.reserve1 if zero_for_one else self.pool.reserve0
        if not exact_in and self.draw.random() < 0.05:
            amount = reserve + self.draw.randint(0, 1)
        if exact_in:
            call = Call(self.router, V2_ROUTER.function("swapExactTokensForTokens"), (amount, 0, path, user, FOREVER))
        else:
            order = (amount, 2**255, path, user, FOREVER)
            call = Call(self.router, V2_ROUTER.function("swapTokensForExactTokens"), order)

        def act() -> Outcome:
            if exact_in:
                sides = (amount, 0, 0, self.pool.swap_exact_in(zero_for_one, amount))
            else:
                sides = (self.pool.swap_exact_out(zero_for_one, amount), 0, 0, amount)
            ordered = sides if zero_for_one else (sides[1], sides[0], sides[3], sides[2])
            return dict(zip(SWAPPED, ordered, strict=True))

        return self._done("swap in" if exact_in else "swap out", user, (call,), "Swap", act)

    def _raw_swap(self, user: str) -> Operation:
        """Pay the pair first, then ask for what is due, one unit more or less; what was refused is taken back by `skim`."""
        zero_for_one = self.draw.random() < 0.5
        amount = self._amount(0 if zero_for_one else 1, 5.0)
        reserves = self.pool.reserve0, self.pool.reserve1
        reserve_in, reserve_out = reserves if zero_for_one else reserves[::-1]
        due = amount * 997 * reserve_out // (reserve_in * 1_000 + amount * 997)
        out = max(0, due + self.draw.choice([0, 0, 1, 1, -1, reserve_out]))
        paid0, paid1 = (amount, 0) if zero_for_one else (0, amount)
        out0, out1 = (0, out) if zero_for_one else (out, 0)
        token = self.tokens[0 if zero_for_one else 1]
        calls = (
            Call(token, ERC20.function("transfer"), (self.pair, amount)),
            Call(self.pair, V2_PAIR.function("swap"), (out0, out1, user, b"")),
            Call(self.pair, V2_PAIR.function("skim"), (user,)),
        )

        def act() -> Outcome:
            self.pool.swap(paid0, paid1, out0, out1)
            return dict(zip(SWAPPED, (paid0, paid1, out0, out1), strict=True))

        return self._done("swap raw", user, calls, "Swap", act, judged=1)

    def _done(
        self,
        kind: str,
        sender: str,
        calls: tuple[Call, ...],
        event: str,
        act: Callable[[], Outcome],
        judged: int = 0,
    ) -> Operation:
        try:
            expected, refused = act(), None
        except RefusedError as error:
            expected, refused = {}, error.reason
        return Operation(kind, sender, calls, judged, V2_PAIR.event(event), expected, refused)


def _matching(pool: V2Pool, wanted0: int, wanted1: int) -> tuple[int, int]:
    """What the router pays in for the amounts wanted: the pair's own ratio."""
    if not pool.supply:
        return wanted0, wanted1
    require(wanted0 > 0, "UniswapV2Library: INSUFFICIENT_AMOUNT", "nothing is offered")
    best1 = wanted0 * pool.reserve1 // pool.reserve0
    if best1 <= wanted1:
        return wanted0, best1
    require(wanted1 > 0, "UniswapV2Library: INSUFFICIENT_AMOUNT", "nothing is offered")
    return wanted1 * pool.reserve0 // pool.reserve1, wanted1
