"""Random operations on `V3Pool` and on UniswapV3Pool side by side."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from treasury_arena.contracts.parity import Told
from treasury_arena_evm.abi import Entry, Interface
from treasury_arena_evm.interfaces.uniswap import V3_POOL
from treasury_arena_uniswap.exact import RefusedError, V3Pool
from treasury_arena_uniswap.exact.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, sqrt_ratio_at_tick
from treasury_arena_uniswap.owed import position_key
from treasury_arena_uniswap.parity.batch import Batch, Receipt, batches, logged
from treasury_arena_uniswap.parity.boundaries import Key, any_boundary
from treasury_arena_uniswap.parity.report import Counts

if TYPE_CHECKING:
    from treasury_arena_evm.local.market import LocalMarket

BLOCK = 50
"""Operations a block; the pool's own state is compared after each."""
DEEP = 8
"""Blocks between comparisons of all positions, ticks and words."""
FAR = 20_000
"""Ticks from the first price that swaps do not go beyond."""
MOST = 2**128 - 1
ANY_AMOUNT = 2**120
"""An amount to swap that only a price limit ends."""
FUNDS = {"USDC": 10**9 * 10**6, "WETH": 10**6 * 10**18}
PAID = Interface(
    "event CollectProtocol(address indexed sender, address indexed recipient, uint128 amount0, uint128 amount1)"
)
CALLER = Interface("""
    function mint(address pool, int24 lower, int24 upper, uint128 amount) returns (uint256 amount0, uint256 amount1)
    function swap(address pool, bool zeroForOne, int256 amount, uint160 limit) returns (int256 amount0, int256 amount1)
""")


class Operation(NamedTuple):
    """One operation, as the chain is asked for it and as the integers did it."""

    kind: str
    sender: str
    to: str
    function: Entry
    arguments: tuple[Any, ...]
    event: Entry | None
    expected: dict[str, int]
    refused: str | None


def check_v3(
    market: LocalMarket, operations: int = 2_000, seed: int = 1, fee: int = 500, told: Told | None = None
) -> Counts:
    """Run random operations on the market's USDC/WETH pool of `fee`, which must be without liquidity (``liquid=False``).

    Mints, burns, collections, swaps of exact amounts in and out with and without price limits, dust, refusals, and the
    protocol's share; again and again a swap stops in the very tick at which a position begins or ends, and that position is
    minted, burned and collected there. Compared: every operation's amounts, price, tick, liquidity and revert reason; after every
    block fee growth and protocol fees; now and then and at the end all positions, ticks and bitmap words.
    """
    counts = Counts()
    run = _Run(market, fee, random.Random(seed), counts)
    with batches(market.chain) as batch:
        while counts.operations < operations:
            run.block(batch, min(BLOCK, operations - counts.operations))
            if told is not None:
                told(counts.operations, operations)
        run.deep()
    return counts


class _Run:
    def __init__(self, market: LocalMarket, fee: int, draw: random.Random, counts: Counts) -> None:
        self.market, self.chain, self.draw, self.counts = market, market.chain, draw, counts
        self.address, self.caller = market.uniswap.pool("USDC", "WETH", fee), market.uniswap.caller
        self.users, self.owner = [user.address for user in market.users[:3]], market.owner.address
        for user in self.users:
            for symbol, amount in FUNDS.items():
                market.fund(symbol, user, amount)
                market.approve(user, symbol, self.caller)
        self.pool = V3Pool(fee, self._read("tickSpacing"))
        price, self.centre, *_ = self._read("slot0")
        self.pool.initialize(price)
        part = market.options.protocol_fee
        self.pool.set_fee_protocol(part, part)
        if self._read("liquidity"):
            raise ValueError("the pool has liquidity already; take a market made with liquid=False")
        self.blocks = 0
        self.owners: list[Key] = []
        self.touched: set[int] = set()
        self.planned: list[Callable[[], Operation]] = []
        self.choices: list[tuple[float, Callable[[], Operation]]] = [
            (0.16, self._mint),
            (0.12, self._burn),
            (0.10, self._collect),
            (0.52, self._swap),
            (0.04, self._stop_at_a_boundary),
            (0.02, self._set_protocol),
            (0.04, self._collect_protocol),
        ]

    def _read(self, name: str, *arguments: Any) -> Any:
        return self.chain.call(self.address, V3_POOL.function(name), *arguments)

    def _read_each(self, name: str, each: Iterable[Any]) -> list[Any]:
        return self.chain.call_many(self.address, [(V3_POOL.function(name), (one,)) for one in each])

    def _note(self, quantity: str, ours: int, theirs: int, where: str) -> None:
        self.counts.note(self.counts.operations, where, quantity, ours, theirs)

    # ---------------------------------------------------------------- a block on both sides
    def block(self, batch: Batch, size: int) -> None:
        """Do `size` operations here and there, then compare."""
        done = []
        for _ in range(size):
            operation = self._first() if len(self.owners) < 4 else self._any()
            batch.add(operation.sender, operation.to, operation.function, *operation.arguments)
            done.append(operation)
        for operation, receipt in zip(done, batch.mined(), strict=True):
            self._compare(batch, operation, receipt)
        self.blocks += 1
        self._state()
        if self.blocks % DEEP == 0:
            self.deep()

    def _compare(self, batch: Batch, operation: Operation, receipt: Receipt) -> None:
        where = f"{operation.kind}{operation.arguments[1:]}"
        done = self.counts.judge(operation.kind, operation.refused, batch.refusal(receipt), where)
        if not done or operation.event is None:
            return
        seen = logged(receipt, self.address, operation.event)
        for name, value in operation.expected.items():
            label = name if name.startswith(("amount", "sqrt")) else f"{name} after a swap"
            self._note(f"{operation.kind.split()[0]} {label}", value, seen[name], where)

    def _state(self) -> None:
        where, pool = "state after it", self.pool
        price, tick, *_ = self._read("slot0")
        fees0, fees1 = self._read("protocolFees")
        facts: list[tuple[str, int, int]] = [
            ("sqrtPriceX96", pool.sqrt_price_x96, price),
            ("tick", pool.tick, tick),
            ("liquidity", pool.liquidity, self._read("liquidity")),
            ("feeGrowthGlobal0X128", pool.growth0, self._read("feeGrowthGlobal0X128")),
            ("feeGrowthGlobal1X128", pool.growth1, self._read("feeGrowthGlobal1X128")),
            ("protocolFees0", pool.protocol_fees0, fees0),
            ("protocolFees1", pool.protocol_fees1, fees1),
        ]
        for name, ours, theirs in facts:
            self._note(name, ours, theirs, where)

    def deep(self) -> None:
        """Compare all positions, ticks and words of the bitmap."""
        where = "state after it"
        positions = self.pool.positions
        known = self._read_each("positions", [position_key(*key) for key in positions])
        for (key, held), theirs in zip(positions.items(), known, strict=True):
            ours = (held.liquidity, held.inside0, held.inside1, held.owed0, held.owed1)
            names = ("liquidity", "fee growth 0", "fee growth 1", "fees owed 0", "fees owed 1")
            for name, one, other in zip(names, ours, theirs, strict=True):
                self._note(f"position {name}", one, other, f"{where}, position {key}")
        words: dict[int, None] = {}
        ticks = sorted(self.touched)
        for tick, found in zip(ticks, self._read_each("ticks", ticks), strict=True):
            gross, net, outside0, outside1, *_ = found
            entry = self.pool.ticks.at.get(tick)
            ours4 = (
                (entry.liquidity_gross, entry.liquidity_net, entry.outside0, entry.outside1) if entry else (0, 0, 0, 0)
            )
            names4 = ("gross liquidity", "net liquidity", "fee growth 0", "fee growth 1")
            for name, one, other in zip(names4, ours4, (gross, net, outside0, outside1), strict=True):
                self._note(f"tick {name}", one, other, f"{where}, tick {tick}")
            words[tick // self.pool.tick_spacing >> 8] = None
        for word, theirs in zip(words, self._read_each("tickBitmap", words), strict=True):
            self._note("bitmap word", self.pool.ticks.words.get(word, 0), theirs, where)

    # ---------------------------------------------------------------- random operations
    def _any(self) -> Operation:
        if self.planned:
            return self.planned.pop(0)()
        weights = [weight for weight, _ in self.choices]
        return self.draw.choices([make for _, make in self.choices], weights)[0]()

    def _first(self) -> Operation:
        """The first positions: one everywhere, the others around the price."""
        user, spacing = self.users[len(self.owners) % 3], self.pool.tick_spacing
        if not self.owners:
            end = MAX_TICK // spacing * spacing
            return self._minted(user, -end, end, 10**15)
        width = spacing * 10 ** len(self.owners)
        here = self.pool.tick // spacing * spacing
        return self._minted(user, here - width, here + width, 10**17)

    def _mint(self) -> Operation:
        draw, spacing = self.draw, self.pool.tick_spacing
        user = draw.choice(self.users)
        here = self.pool.tick // spacing
        lower = (here + round(draw.gauss(-3, 30))) * spacing
        upper = lower + spacing * max(1, round(10 ** draw.uniform(0.0, 2.5)))
        if draw.random() < 0.4 and self.owners:
            user, lower, upper = draw.choice(self.owners)
        amount = int(10 ** draw.uniform(0.0, 18.0))
        if draw.random() < 0.2:
            end = MAX_TICK // spacing * spacing
            lower, upper, amount = draw.choice(
                [
                    (upper, lower, amount),
                    (lower, lower, amount),
                    (-end - spacing, upper, amount),
                    (lower, end + spacing, amount),
                    (lower + 1, upper, amount) if spacing > 1 else (lower, upper, 0),
                    (lower, upper, 0),
                    (lower, upper, self.pool.ticks.liquidity_max + 1),
                    (lower, upper, 2**127 - 1),
                    (lower, upper, 2**127),
                    (lower, upper, MOST),
                ]
            )
        return self._minted(user, lower, upper, amount)

    def _minted(self, user: str, lower: int, upper: int, amount: int) -> Operation:
        self._stand(lower, upper)
        operation = self._done(
            "mint",
            user,
            CALLER.function("mint"),
            (self.address, lower, upper, amount),
            V3_POOL.event("Mint"),
            lambda: _pair(self.pool.mint(user, lower, upper, amount)),
        )
        if operation.refused is None and (user, lower, upper) not in self.owners:
            self.owners.append((user, lower, upper))
            self.touched |= {lower, upper}
        return operation

    def _stand(self, lower: int, upper: int) -> None:
        self.counts.at_lower += self.pool.tick == lower
        self.counts.at_upper += self.pool.tick == upper

    def _position(self) -> Key:
        if self.draw.random() < 0.06:
            return self.users[0], self.centre // 60 * 60, self.centre // 60 * 60 + 600
        return self.draw.choice(self.owners)

    def _burn(self) -> Operation:
        return self._burned(*self._position())

    def _burned(self, user: str, lower: int, upper: int) -> Operation:
        self._stand(lower, upper)
        held = self.pool.positions.get((user, lower, upper))
        size = held.liquidity if held else 0
        draw = self.draw
        amount = draw.choice([0, size, size // 2, int(size * draw.random()), draw.randint(0, 10), size + 1, 2**127])
        if amount == size and draw.random() < 0.7:  # else too few positions live long
            amount = size // 3
        return self._done(
            "burn",
            user,
            V3_POOL.function("burn"),
            (lower, upper, amount),
            V3_POOL.event("Burn"),
            lambda: _pair(self.pool.burn(user, lower, upper, amount)),
            direct=True,
        )

    def _collect(self) -> Operation:
        return self._collected(*self._position())

    def _collected(self, user: str, lower: int, upper: int) -> Operation:
        self._stand(lower, upper)
        most0, most1 = (self.draw.choice([MOST, MOST, 0, 1, self.draw.randint(0, 10**9)]) for _ in range(2))
        return self._done(
            "collect",
            user,
            V3_POOL.function("collect"),
            (user, lower, upper, most0, most1),
            V3_POOL.event("Collect"),
            lambda: _pair(self.pool.collect(user, lower, upper, most0, most1)),
            direct=True,
        )

    def _swap(self) -> Operation:
        draw = self.draw
        zero_for_one, exact_in = draw.random() < 0.5, draw.random() < 0.6
        usdc = self.market.options.usdc_first == (zero_for_one == exact_in)
        amount = int(10 ** (draw.uniform(0.0, 12.5) if usdc else draw.uniform(0.0, 21.0)))
        if draw.random() < 0.15:
            amount = draw.randint(0, 4)
        amount = amount if exact_in else -amount
        return self._swapped_until(zero_for_one, amount, self._limit(zero_for_one))

    def _stop_at_a_boundary(self) -> Operation:
        """A swap that stops in a position's first or last tick; what follows happens to that position, there."""
        boundary = any_boundary(self.draw, self.pool, self.owners, self.centre, FAR)
        if boundary is None:
            return self._swap()
        user, lower, upper = boundary.position
        amount = int(10 ** self.draw.uniform(6.0, 16.0))
        visits: list[Callable[[], Operation]] = [
            lambda: self._minted(user, lower, upper, amount),
            lambda: self._burned(user, lower, upper),
            lambda: self._collected(user, lower, upper),
        ]
        self.draw.shuffle(visits)
        self.planned += visits
        price, limit = self.pool.sqrt_price_x96, boundary.sqrt_price_x96
        return self._swapped_until(limit < price, ANY_AMOUNT if self.draw.random() < 0.6 else -ANY_AMOUNT, limit)

    def _swapped_until(self, zero_for_one: bool, amount: int, limit: int) -> Operation:
        return self._done(
            "swap out" if amount < 0 else "swap in",
            self.draw.choice(self.users),
            CALLER.function("swap"),
            (self.address, zero_for_one, amount, limit),
            V3_POOL.event("Swap"),
            lambda: self._swapped(zero_for_one, amount, limit),
        )

    def _limit(self, zero_for_one: bool) -> int:
        """Mostly the end of where prices may go; also initialised ticks, prices near by, and limits that are refused."""
        draw, price, spacing = self.draw, self.pool.sqrt_price_x96, self.pool.tick_spacing
        side = -1 if zero_for_one else 1
        far = sqrt_ratio_at_tick(self.centre + side * FAR)
        kind = draw.random()
        if kind < 0.12:
            near = sorted(self.pool.ticks.at, key=lambda tick: abs(tick - self.pool.tick))[:6]
            return sqrt_ratio_at_tick(draw.choice(near)) if near else far
        if kind < 0.30:
            return price + side * int(price * 10 ** draw.uniform(-9.0, -1.5))
        if kind < 0.36:
            word = (self.pool.tick // spacing >> 8) * 256 * spacing
            return sqrt_ratio_at_tick(word + side * 256 * spacing)
        if kind < 0.40:
            return draw.choice([price, MIN_SQRT_RATIO, MAX_SQRT_RATIO, 0, price - side])
        return far

    def _swapped(self, zero_for_one: bool, amount: int, limit: int) -> dict[str, int]:
        result = self.pool.swap(zero_for_one, amount, limit)
        self.counts.crossed += len(result.crossed)
        return {
            "amount0": result.amount0,
            "amount1": result.amount1,
            "sqrtPriceX96": result.sqrt_price_x96,
            "liquidity": result.liquidity,
            "tick": result.tick,
        }

    def _set_protocol(self) -> Operation:
        allowed = [0, 4, 5, 10] if self.market.options.protocol_fee else [0]
        parts = tuple(self.draw.choice([*allowed, *allowed, 3, 11]) for _ in range(2))

        def act() -> dict[str, int]:
            self.pool.set_fee_protocol(*parts)
            return {}

        return self._done("set protocol", self.owner, V3_POOL.function("setFeeProtocol"), parts, None, act, direct=True)

    def _collect_protocol(self) -> Operation:
        most0, most1 = (self.draw.choice([MOST, 0, 1, self.draw.randint(0, 10**12)]) for _ in range(2))
        return self._done(
            "protocol collect",
            self.owner,
            V3_POOL.function("collectProtocol"),
            (self.owner, most0, most1),
            PAID.event("CollectProtocol"),
            lambda: _pair(self.pool.collect_protocol(most0, most1)),
            direct=True,
        )

    def _done(
        self,
        kind: str,
        sender: str,
        function: Entry,
        arguments: tuple[Any, ...],
        event: Entry | None,
        act: Callable[[], dict[str, int]],
        direct: bool = False,
    ) -> Operation:
        """The operation, done here; a refusal is part of it."""
        to = self.address if direct else self.caller
        try:
            expected, refused = act(), None
        except RefusedError as error:
            expected, refused = {}, error.reason
        return Operation(kind, sender, to, function, arguments, event, expected, refused)


def _pair(amounts: tuple[int, int]) -> dict[str, int]:
    return {"amount0": amounts[0], "amount1": amounts[1]}


__all__ = ["check_v3"]
