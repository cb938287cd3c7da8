"""Liquidity in ranges of a v3 pool in live orders: opened, enlarged, moved, reduced and closed, each a list of steps.

Books have the liquidity of each position's token as an asset of its own, and the coins that an order left in the wallet. A token
that was minted is known by the logs of its receipt, so it is found again whatever was lost; whose it is stands in the books.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from treasury_arena.contracts.chain import ALL, Holding, Plan, PlannedStep, PlannerContext, Step, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS
from treasury_arena_evm.liquidity import asset_of, token_of
from treasury_arena_evm.planning import APPROVE_GAS, REVOKE_GAS, EvmPlanner
from treasury_arena_evm.swaps import KEYS, Swaps
from treasury_arena_evm.v3 import BPS, Pool, check_liquid, check_move, check_priced
from treasury_arena_uniswap.bench import Bench, bench
from treasury_arena_uniswap.orders import check_ticks
from treasury_arena_uniswap.range_model import snapped
from treasury_arena_uniswap.range_steps import RangeSteps
from treasury_arena_uniswap.reading import Held, PositionsReader

Pair = tuple[int, int]
"""Base units of the coin and of the base asset, or of token0 and token1; or ticks."""


@attrs.frozen
class Stand:
    """A holder's position at a block: its tokens of the manager, coins of it in the wallet, and what all is worth.

    Coins in the wallet that are worth less than dust go along with the next order, and count for nothing until then.
    """

    pool: Pool
    ranges: tuple[Held, ...]
    idle: int
    value: int

    @property
    def bounds(self) -> Pair | None:
        """Ticks of the range that is held."""
        return (self.ranges[0].lower, self.ranges[0].upper) if self.ranges else None


@attrs.define
class Draft:
    """A plan being written: steps, and who was allowed to take what.

    Attributes:
        swapped, lost: base units of the base asset that swaps move, and what they cost at the price before.
    """

    planner: RangePlanner
    steps: list[PlannedStep] = attrs.field(factory=list)
    spenders: dict[tuple[str, str], None] = attrs.field(factory=dict)
    swapped: int = 0
    lost: int = 0

    def allow(self, asset: Asset, spender: str, amount: int | str, **details: int) -> None:
        """Let a spender take an amount; of ALL that came in, with ``plus_raw`` beside, the share ``part_raw / of_raw``."""
        if amount or details.get("plus_raw"):
            self.spenders[asset.symbol, spender] = None
            noted: dict[str, Any] = {"spender": spender, **details}
            self.steps.append(PlannedStep(StepKind.APPROVE, asset.symbol, amount, APPROVE_GAS, noted))

    def swap(self, on: Bench, coin_in: bool, taken: int, amount: int | str, **details: int) -> int:
        """Swap `taken` on the bench, and so as a step; what comes."""
        planner, pool = self.planner, on.facts
        out = on.swap(coin_in == planner.coin_first(pool), taken)
        given, came = planner.worth(pool, coin_in, taken), planner.worth(pool, not coin_in, out)
        self.swapped += given
        self.lost += max(0, given - came)
        self.allow(planner.asset if coin_in else planner.base, planner.swaps.router, amount, **details)
        self.steps.append(planner.swaps.step(not coin_in, amount, (taken, out)))
        return out

    def plan(self, notional: int, cash: int, reduces: bool) -> Plan | None:
        """The plan; allowances that are there already are taken back first, and what is left of this order's last."""
        if not self.steps:
            return None
        planner = self.planner
        assets = {asset.symbol: asset for asset in (planner.asset, planner.base)}
        revokes = {
            place: PlannedStep(StepKind.REVOKE, place[0], 0, REVOKE_GAS, {"spender": place[1]})
            for place in self.spenders
        }
        before = [
            step
            for (symbol, spender), step in revokes.items()
            if planner.token(assets[symbol]).allowance(planner.sender, spender)
        ]
        slippage = float(BPS) * self.lost / self.swapped if self.swapped else 0.0
        steps = (*before, *self.steps, *revokes.values())
        return Plan(steps, max(notional, self.swapped), cash, reduces, slippage)


class RangePlanner(EvmPlanner):
    """Ranges in one pool of a coin against the base asset, one for each holder.

    The control is ``(width,)`` as `RangeControl` says, or ``(width, low, high)``: the very range, as ticks of base units of the
    base asset for one of the coin. An order goes one way and the next one goes on: a sale comes first, then a range that is to
    be elsewhere is moved, and money is put in after that.

    Settings beside `Swaps`': `positions`, the manager, and `tick_lens` (the chain's pinned ones).
    """

    def __init__(self, context: PlannerContext) -> None:
        super().__init__(context, (*KEYS, "positions", "tick_lens"))
        if self.asset == self.base:
            raise ConfigError(
                f"market {self.market!r} puts {self.base.symbol} against itself; a pool needs a coin beside the base asset"
            )
        self.swaps = Swaps(self)
        self._lens = self.places.address("tick_lens", "uniswap_v3_tick_lens")
        v3, address = self.swaps.v3, self.places.address("positions", "uniswap_v3_positions")
        self.manager = PositionsReader(
            self.reader, self.sender, positions=address, factory=v3.factory, quoter=v3.quoter
        )
        self.bound = RangeSteps(self, self.swaps, self.manager)

    # --- what there is

    def coin_first(self, pool: Pool) -> bool:
        """Whether the coin is the pool's token0."""
        return pool.token0.symbol == self.asset.symbol

    def sided(self, pool: Pool, first: int, second: int) -> Pair:
        """(token0, token1) as (coin, base), or back."""
        return (first, second) if self.coin_first(pool) else (second, first)

    def worth(self, pool: Pool, coin: bool, amount: int) -> int:
        """Base units of the base asset that an amount of either token is worth at the pool's price, rounded down."""
        if not coin or not amount:
            return amount
        check_priced(pool)
        token = pool.token1 if self.coin_first(pool) else pool.token0
        return pool.worth(*self.sided(pool, amount, 0), token)

    def inside(self, held: Held) -> Pair:
        """Coins and base units that a position would pay out, fees included."""
        return self.sided(held.pool, held.amount0 + held.fees0, held.amount1 + held.fees1)

    def _worth_of(self, held: Held) -> int:
        coin, base = self.inside(held)
        return self.worth(held.pool, True, coin) + base

    def _stand(self, holding: Holding) -> Stand:
        pool = self.swaps.pool()
        tokens = sorted(token for asset in holding.held if (token := token_of(asset)) is not None)
        ranges = tuple(self.bound.owned(token) for token in tokens)
        idle = min(holding.held.get(self.asset.symbol, 0), self.token(self.asset).balance(self.sender))
        beside = self.worth(pool, True, idle)
        beside = beside if beside >= self.dust else 0
        return Stand(pool, ranges, idle, beside + sum(self._worth_of(held) for held in ranges))

    def _value(self, holding: Holding) -> int:
        return self._stand(holding).value if holding.held else 0

    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        pool, found = self.swaps.pool(), {}
        ours = (pool.token0.address.lower(), pool.token1.address.lower(), pool.fee)
        for token in self.manager.owned():
            _, _, token0, token1, fee, _, _, liquidity, *_ = self.reader.call(
                self.manager.positions, V3_POSITIONS.function("positions"), token
            )
            if liquidity and (token0.lower(), token1.lower(), fee) == ours:
                found[asset_of(token)] = (int(liquidity), 0)
        return found

    def wallet(self) -> frozenset[str]:
        return frozenset({self.asset.symbol})

    # --- planning

    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        stand = self._stand(holding)
        small = self.still(stand.value, target_raw)
        if len(stand.ranges) > 1:
            return self._left(stand, stand.ranges[1:])
        if target_raw == 0:
            return self._left(stand, stand.ranges)
        if target_raw < stand.value and not small:
            return self._reduced(stand, target_raw)
        wanted = self._wanted(stand, control)
        if stand.ranges and wanted is not None:
            return self._moved(stand, wanted)
        bounds = wanted or stand.bounds
        if bounds is None or (small and stand.ranges):
            return None
        return self._added(stand, bounds, 0 if small else target_raw - stand.value)

    def _wanted(self, stand: Stand, control: tuple[float, ...]) -> Pair | None:
        """Ticks of the range that is to be had, in the pool's order; None when the one that is held will do."""
        if not all(map(math.isfinite, control)):
            raise ValidationError(
                f"market {self.market!r}: the control {control} of a range is not made of finite numbers"
            )
        if len(control) == 3:
            low, high = (int(bound) for bound in control[1:])
            if (low, high) != control[1:]:
                raise ValidationError(f"market {self.market!r}: a range from {control[1]} to {control[2]} has no ticks")
            bounds = self._ordered(stand.pool, low, high)
            check_ticks(stand.pool, *bounds)
            return None if bounds == stand.bounds else bounds
        if len(control) > 1:
            raise ValidationError(
                f"market {self.market!r}: a range has the control (width) or (width, low tick, high tick), not {control}"
            )
        width = control[0] if control else 0.0
        if not width:
            return None
        apart = self.asset.decimals - self.base.decimals
        around = snapped(self._price(stand.pool), abs(width), float(stand.pool.spacing), float(apart))
        bounds, held = self._ordered(stand.pool, int(around.low), int(around.high)), stand.bounds
        if held is None:
            return bounds
        longer = (bounds[1] - bounds[0]) - (held[1] - held[0])
        kept = width > 0.0 and stand.ranges[0].inside and abs(longer) <= stand.pool.spacing
        return None if kept or bounds == held else bounds

    def _price(self, pool: Pool) -> float:
        """USD per coin."""
        check_priced(pool)
        ratio = (pool.sqrt_price_x96 / 2**96) ** 2
        raw = ratio if self.coin_first(pool) else 1.0 / ratio
        return raw * self.asset.unit / self.base.unit

    def _ordered(self, pool: Pool, low: int, high: int) -> Pair:
        """Ticks of base units of the base asset for one of the coin, in the pool's order; or back."""
        return (low, high) if self.coin_first(pool) else (-high, -low)

    def _bench(self, stand: Stand) -> Bench:
        held = [(one.lower, one.upper, one.liquidity) for one in stand.ranges if one.liquidity]
        return bench(self.reader, stand.pool, held, self._lens)

    def _added(self, stand: Stand, bounds: Pair, budget: int) -> Plan | None:
        """Put coins of the position in the wallet, and a budget, into the range that is held, or a new one."""
        pool, on, draft = stand.pool, self._bench(stand), Draft(self)
        check_liquid(pool)
        check_ticks(pool, *bounds)
        coin, base = stand.idle, budget
        first, amount = on.to_swap(*bounds, *self.sided(pool, coin, base))
        coin_in = first == self.coin_first(pool)
        coins: tuple[int | str, int] = (coin, 0)
        bases: tuple[int | str, int] = (base, 0)
        if amount:
            out = draft.swap(on, coin_in, amount, amount)
            coins = (coin - amount, 0) if coin_in else (ALL, coin)
            bases = (ALL, base) if coin_in else (base - amount, 0)
            coin, base = (coin - amount, base + out) if coin_in else (coin + out, base - amount)
        return self._minted(stand, draft, on, bounds, (coin, base), coins, bases, budget)

    def _moved(self, stand: Stand, bounds: Pair) -> Plan | None:
        """Take everything out of the range that is held and put it into another."""
        (held,), pool, on, draft = stand.ranges, stand.pool, self._bench(stand), Draft(self)
        check_liquid(pool)
        draft.steps.append(self.bound.leaving(held, held.liquidity))
        if held.liquidity:
            on.take(held.lower, held.upper, held.liquidity)
        coin, base = self.inside(held)
        coin += stand.idle
        first, amount = on.to_swap(*bounds, *self.sided(pool, coin, base))
        coin_in = first == self.coin_first(pool)
        if amount:
            have, plus = (coin, stand.idle) if coin_in else (base, 0)
            out = draft.swap(on, coin_in, amount, ALL, plus_raw=plus, part_raw=amount, of_raw=have)
            coin, base = (coin - amount, base + out) if coin_in else (coin + out, base - amount)
        return self._minted(stand, draft, on, bounds, (coin, base), (ALL, stand.idle), (ALL, 0), 0)

    def _minted(
        self,
        stand: Stand,
        draft: Draft,
        on: Bench,
        bounds: Pair,
        amounts: Pair,
        coins: tuple[int | str, int],
        bases: tuple[int | str, int],
        cash: int,
    ) -> Plan | None:
        """The end of an order that puts tokens into a range: tried on the bench, then allowed and minted."""
        pool = stand.pool
        check_move(pool, on.pool.sqrt_price_x96, self.swaps.max_move_bps, f"market {self.market!r}: the order")
        on.add(*bounds, *self.sided(pool, *amounts))
        takes: list[str] = []
        for asset, (amount, plus) in ((self.asset, coins), (self.base, bases)):
            takes += [asset.symbol] if amount or plus else []
            draft.allow(asset, self.manager.positions, amount, **({"plus_raw": plus} if amount == ALL else {}))
        token = stand.ranges[0].token_id if stand.ranges and bounds == stand.bounds else 0
        draft.steps.append(self.bound.minting(bases[0], token, bounds, on.pool.sqrt_price_x96, takes))
        if cash:
            self.token(self.base).check(self.sender, pool.address, cash)
        return draft.plan(cash, cash, False)

    def _left(self, stand: Stand, ranges: tuple[Held, ...]) -> Plan | None:
        """Close ranges and sell their coins, those in the wallet included."""
        return self._sold(stand, [(held, held.liquidity) for held in ranges], stand.idle, stand.value)

    def _reduced(self, stand: Stand, target: int) -> Plan | None:
        """Take so much out that the rest is worth the target: all fees, coins in the wallet, and a part of the liquidity."""
        sold, beside = stand.value - target, self.worth(stand.pool, True, stand.idle)
        if not stand.ranges:
            return self._sold(stand, [], stand.idle * sold // beside, sold)
        (held,) = stand.ranges
        coin, base = self.sided(held.pool, held.amount0, held.amount1)
        inside = self.worth(held.pool, True, coin) + base
        fees = self._worth_of(held) - inside
        part = held.liquidity * max(0, sold - fees - beside) // inside if inside else 0
        return self._sold(stand, [(held, min(part, held.liquidity))], stand.idle, sold)

    def _sold(self, stand: Stand, parts: list[tuple[Held, int]], idle: int, size: int) -> Plan | None:
        pool, on, draft, coin = stand.pool, self._bench(stand), Draft(self), idle
        for held, liquidity in parts:
            if not liquidity and not held.fees0 and not held.fees1 and held.liquidity:
                continue
            draft.steps.append(self.bound.leaving(held, liquidity))
            taken = on.take(held.lower, held.upper, liquidity)[0] if liquidity else (0, 0)
            coin += self.sided(pool, taken[0] + held.fees0, taken[1] + held.fees1)[0]
        if self.worth(pool, True, coin) >= self.dust:
            amount: int | str = ALL if draft.steps else coin
            details = {"plus_raw": idle, "least_raw": self.dust} if amount == ALL else {}
            draft.swap(on, True, coin, amount, **details)
            check_move(pool, on.pool.sqrt_price_x96, self.swaps.max_move_bps, f"market {self.market!r}: the order")
        return draft.plan(size, 0, True)

    # --- binding

    def _allowed(self, step: PlannedStep, amount_raw: int) -> int:
        details = step.details
        amount = amount_raw + int(details.get("plus_raw", 0))
        if details.get("of_raw"):
            amount = amount * int(details["part_raw"]) // int(details["of_raw"])
        least = int(details.get("least_raw", 0))  # coins worth less are left in the wallet
        return amount if not least or self.worth(self.swaps.pool(), True, amount) >= least else 0

    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        return self.bound.bind(step, now)
