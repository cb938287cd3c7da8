"""The exact markets over a frame, on the exact engine's own arithmetic: a supply, and an account with debt.

A position's indexes begin at one ray when it is opened and grow row by row, so that a state means the same in every frame
that holds the rows, and the order in which intervals are split changes nothing. Every rounding is the version's; where it
could be in the holder's favour by a unit, the market asks for one unit less.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from treasury_arena.contracts.bound import ONE, asked, ceil_div, fixed, legs
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_aave.bound import Holding, VersionedMarket
from treasury_arena_aave.exact.interest import linear
from treasury_arena_aave.exact.liquidation import SMALL_VALUE, Side, closable, liquidation_amounts
from treasury_arena_aave.exact.wad_ray import PERCENT, RAY, WAD, ray_mul
from treasury_arena_aave.model import NO_DEBT_HEALTH

ORACLE = 10**8
"""The oracle's prices have 8 decimals."""


class SupplyExact(VersionedMarket):
    """An asset lent to a reserve; the state is ``(scaled units, liquidity index in ray)``.

    The reserve is the one observed plus our own deposit: the rate is the observed one times what the reserve's curve pays
    lenders with our deposit over what it pays without. A withdrawal beyond ``supplied - borrowed`` raises ValidationError: cash
    that our deposit would have been is not counted for it, since where all else is lent out ours would have been taken too.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        self._fee = fixed(self._params["swap_fee"], ONE)
        if asset == base and self._fee:
            raise ConfigError(
                f"market {spec.name!r} lends {base.symbol}, the base asset, which needs no swap: set swap_fee = 0"
            )
        if asset == base and (self._columns["price"] != 1.0).any():
            raise ConfigError(
                f"market {spec.name!r}: the price of {base.symbol}, the base asset, must be 1.0 in every row"
            )
        self._curve = self._rate_curve()

    def open(self) -> ExactState:
        return (0, RAY)

    def value(self, state: ExactState, row: int) -> int:
        return self._worth(self._balance(Holding(*state)), row)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: self._balance(Holding(*state))}

    def rate(self, state: ExactState, row: int) -> int:
        """What the position earns in the step that ends at `row`, ray a year."""
        supplied, borrowed = self._at("supplied", row, self.base.unit), self._at("borrowed", row, self.base.unit)
        seen = self._at("rate", row, RAY)
        own = self.value(state, row)
        before, _ = self._curve.rates(max(0, supplied - borrowed), min(borrowed, supplied), 0, self.version)
        if not before:
            return seen
        cash, debt = max(0, supplied + own - borrowed), min(borrowed, supplied + own)
        after, _ = self._curve.rates(cash, debt, 0, self.version)
        return seen * after // before

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        scaled, index = state
        if not scaled:
            return state, ()
        for row in range(row_from + 1, row_to + 1):
            index = ray_mul(linear(self.rate((scaled, index), row), self._step), index)
        interest = self._balance(Holding(scaled, index)) - self._balance(Holding(*state))
        symbol = self.asset.symbol
        return (scaled, index), legs(("position", symbol, interest), ("world", symbol, -interest))

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
        held = Holding(*state)
        tokens = self._balance(held)
        move = target_raw - self._worth(tokens, row)
        size = abs(move)
        if size == 0 or size < self._dust:
            return None
        fee, gas = ceil_div(size * self._fee, ONE), self._gas(row)
        cost = fee + gas
        if cost >= size:
            return None
        if move > 0:
            after = self._lend(held, self._tokens_for(size - cost, row))
            cash, world = -size, size - cost
        else:
            available = self._at("supplied", row, self.base.unit) - self._at("borrowed", row, self.base.unit)
            if size > available:
                raise ValidationError(
                    f"market {self.spec.name!r}: the reserve has {self.base.to_text(max(0, available))} {self.base.symbol} of "
                    f"cash at {self._frame.time(row)}; a withdrawal of {self.base.to_text(size)} has to wait"
                )
            after = self._take(held, tokens - self._tokens_for(target_raw, row))
            cash, world = size - cost, -size
        gained = self._balance(after) - tokens
        base, symbol = self.base.symbol, self.asset.symbol
        postings = legs(
            ("cash", base, cash),
            ("fee", base, fee),
            ("gas", base, gas),
            ("world", base, world),
            ("position", symbol, gained),
            ("world", symbol, -gained),
        )
        final = (after.scaled, after.index) if after.scaled else self.open()
        return Fill(final, postings, size, cost, 10_000.0 * fee / size)


@attrs.frozen
class Plan:
    """Where a trade of an account leads, in base units of the base asset: collateral, debt, costs and cash."""

    gross: int
    debt: int
    fee: int
    gas: int
    cash: int


class AccountExact(VersionedMarket):
    """Collateral and a debt in the base asset; the state is two holdings, ``(scaled, index)`` each: collateral, debt.

    `holdings` shows the debt as a negative amount of the base asset, and the postings have it on the account ``debt``. `trade`
    takes the control ``(ltv,)``; without one it keeps the loan-to-value that is held.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        known = self._params
        if asset == base:
            raise ConfigError(f"market {spec.name!r} borrows {base.symbol} against itself; take another collateral")
        if not known["ltv_max"] <= known["threshold"] <= 1.0 or known["ltv_max"] + known["fee"] >= 1.0:
            raise ConfigError(
                f"market {spec.name!r}: ltv_max = {known['ltv_max']:g} must be at most threshold = {known['threshold']:g}, "
                f"which is at most 1, and together with the fee below 1"
            )
        if known["threshold"] * (1.0 + known["bonus"]) > 1.0:
            raise ConfigError(
                f"market {spec.name!r}: threshold = {known['threshold']:g} with bonus = {known['bonus']:g} would let a "
                f"liquidation take more than there is; Aave wants threshold x (1 + bonus) at most 1"
            )
        self._fee, self._ltv_max = fixed(known["fee"], ONE), fixed(known["ltv_max"], ONE)
        self._slack = fixed(known["slack"], ONE)
        self._threshold, self._bonus = self._basis_points("threshold"), PERCENT + self._basis_points("bonus")
        small = SMALL_VALUE / ORACLE if self.version.later else 0.0
        if known["close_factor"] != 0.5 or known["small"] != small:
            raise ConfigError(
                f"market {spec.name!r}: Aave {self.version.name} has close_factor = 0.5 and small = {small:g}, not "
                f"{known['close_factor']:g} and {known['small']:g}"
            )

    def _basis_points(self, name: str) -> int:
        found = round(self._params[name] * PERCENT)
        if abs(self._params[name] * PERCENT - found) > 1e-6:
            raise ConfigError(
                f"market {self.spec.name!r}: {name} = {self._params[name]} is no whole number of basis points"
            )
        return found

    def open(self) -> ExactState:
        return (0, RAY, 0, RAY)

    @staticmethod
    def _sides(state: ExactState) -> tuple[Holding, Holding]:
        return Holding(state[0], state[1]), Holding(state[2], state[3])

    def _joined(self, collateral: Holding, debt: Holding) -> ExactState:
        """The state of two sides; a side without units begins anew at one ray."""
        first = (collateral.scaled, collateral.index) if collateral.scaled else (0, RAY)
        second = (debt.scaled, debt.index) if debt.scaled else (0, RAY)
        return (*first, *second)

    def value(self, state: ExactState, row: int) -> int:
        collateral, debt = self._sides(state)
        return self._worth(self._balance(collateral), row) - self._owed(debt)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        collateral, debt = self._sides(state)
        return {self.asset.symbol: self._balance(collateral), self.base.symbol: -self._owed(debt)}

    def views(self, state: ExactState, row: int) -> Mapping[str, float]:
        collateral, debt = self._sides(state)
        held, owed = self._worth(self._balance(collateral), row), self._owed(debt)
        health = NO_DEBT_HEALTH
        if owed:
            health = min(health, self._health(self._balance(collateral), owed, row) / WAD)
        return {"health": health, "ltv": owed / held if held else 0.0}

    def shape(self, state: ExactState, row: int) -> tuple[float, ...]:
        """The loan-to-value."""
        return (self.views(state, row)["ltv"],)

    def _values(self, tokens: int, owed: int, row: int) -> tuple[int, int, Side, Side]:
        """Collateral and debt in the oracle's currency, and their sides."""
        secured = Side(max(1, self._at("price", row, ORACLE)), self.asset.unit)
        side = Side(ORACLE, self.base.unit)
        return (
            tokens * secured.price // secured.unit,
            self.version.debt_value(owed, side.price, side.unit),
            secured,
            side,
        )

    def _health(self, tokens: int, owed: int, row: int) -> int:
        held, debt, _, _ = self._values(tokens, owed, row)
        return self.version.health(held, held * self._threshold, debt)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        collateral, debt = self._sides(state)
        for row in range(row_from + 1, row_to + 1):
            if not collateral.scaled:
                break
            grown = linear(self._at("supply_rate", row, RAY), self._step)
            collateral = attrs.evolve(collateral, index=ray_mul(grown, collateral.index))
            if debt.scaled:
                grown = self.version.compounded(self.borrow_rate(self._owed(debt), row), self._step)
                debt = attrs.evolve(debt, index=ray_mul(grown, debt.index))
                collateral, debt = self._liquidated(collateral, debt, row)
        after = self._joined(collateral, debt)
        return after, self._difference(state, after)

    def borrow_rate(self, owed: int, row: int) -> int:
        """What a debt costs in the step that ends at `row`, ray a year: as observed, however large it is."""
        return self._at("borrow_rate", row, RAY)

    def check_loan(self, owed: int, row: int) -> None:
        """Raise ValidationError when the reserve has not the cash for a debt that is raised to `owed`; here nobody asks."""

    def _liquidated(self, collateral: Holding, debt: Holding, row: int) -> tuple[Holding, Holding]:
        tokens, owed = self._balance(collateral), self._owed(debt)
        health = self._health(tokens, owed, row)
        if health >= WAD:
            return collateral, debt
        _, total, secured, side = self._values(tokens, owed, row)
        cover = closable(owed, tokens, side, secured, total, health, self.version)
        found = liquidation_amounts(cover, tokens, side, secured, self._bonus, 0, self.version)
        collateral, debt = self._take(collateral, found.collateral), self._pay(debt, found.debt)
        # What no collateral is left for is nobody's: later versions burn it, in 3.0 nobody pays it.
        return (collateral, debt) if collateral.scaled else (Holding(0, RAY), Holding(0, RAY))

    def _difference(self, before: ExactState, after: ExactState) -> tuple[Leg, ...]:
        was, now = self.holdings(before), self.holdings(after)
        accounts = {self.asset.symbol: "position", self.base.symbol: "debt"}
        entries = [(accounts[symbol], symbol, now[symbol] - was[symbol]) for symbol in now]
        return legs(*entries, *(("world", symbol, -amount) for _, symbol, amount in entries))

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
        collateral, debt = self._sides(state)
        tokens, owed = self._balance(collateral), self._owed(debt)
        held = self._worth(tokens, row)
        control_ltv = asked(self.spec.name, "ltv", control)
        kept = owed * ONE // held if held > 0 else 0
        ltv = min(self._ltv_max, max(0, kept if control_ltv is None else fixed(control_ltv, ONE)))
        plan = self._plan(held, owed, target_raw, ltv, self._gas(row))
        if plan is None:
            return None
        if plan.debt > owed:
            self.check_loan(plan.debt, row)
        goal = self._tokens_for(plan.gross, row)
        if plan.gross > held:
            collateral = self._lend(collateral, self._tokens_for(plan.gross - held, row))
        elif goal < tokens:
            collateral = self._take(collateral, tokens - goal)
        debt = self._owe(debt, plan.debt - owed) if plan.debt > owed else self._pay(debt, owed - plan.debt)
        after = self._joined(collateral, debt)
        base, swapped = self.base.symbol, abs(plan.gross - held)
        moved = self._difference(state, after)
        owed_now = self._owed(debt)
        # The base asset: what leaves cash and what is borrowed pays the swap, its fee and gas; the rest is the world's.
        world = -(plan.cash + plan.fee + plan.gas - (owed_now - owed))
        tokens_moved = tuple(leg for leg in moved if leg.asset != base)
        postings = (
            *legs(
                ("cash", base, plan.cash),
                ("fee", base, plan.fee),
                ("gas", base, plan.gas),
                ("debt", base, owed - owed_now),
                ("world", base, world),
            ),
            *tokens_moved,
        )
        size = max(abs(target_raw - held + owed), swapped)
        return Fill(after, postings, size, plan.fee + plan.gas, 10_000.0 * plan.fee / size if size else 0.0)

    def _plan(self, held: int, owed: int, target: int, ltv: int, gas: int) -> Plan | None:
        """The same decisions as the model's `account_trade`, in integers."""
        worth = held - owed
        move = target - worth
        changed = held > 0 and abs(owed * ONE - ltv * held) > self._slack * held
        small = move == 0 or abs(move) < self._dust
        if small and not changed:
            return None
        if move < 0 and not small:
            gross = target * ONE // (ONE - ltv)
            fee = ceil_div(abs(gross - held) * self._fee, ONE)
            if fee + gas < -move:
                return Plan(gross, gross - target, fee, gas, -move - fee - gas)
            if not changed:
                return None
        aim = target if move > 0 and not small else worth
        gross = self._grown(aim, held, ltv, gas)
        for _ in range(4):
            if gross <= 0:
                return None
            debt = gross * ltv // ONE
            fee = aim - (gross - debt) - gas
            lacking = ceil_div(abs(gross - held) * self._fee, ONE) - fee
            if lacking <= 0:
                break
            gross -= ceil_div(lacking * ONE, ONE - ltv - self._fee)
        else:
            return None
        if not changed and fee + gas >= aim - worth:
            return None
        return Plan(gross, debt, fee, gas, worth - aim)

    def _grown(self, aim: int, held: int, ltv: int, gas: int) -> int:
        """The model's `grown` rounded down."""
        up = ((aim - gas) * ONE + self._fee * held) // (ONE - ltv + self._fee)
        if up >= held:
            return up
        return ((aim - gas) * ONE - self._fee * held) // (ONE - ltv - self._fee)


class AccountReserveExact(AccountExact):
    """An account whose loan moves the rate of the reserve that lends it, along its curve, and is no more than its cash.

    The reserve is the one observed plus our own debt: the borrow rate is the observed one times what the curve asks with our
    debt over what it asks without. A loan that makes the debt more than ``supplied - borrowed`` raises ValidationError.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        self._curve = self._rate_curve()

    def borrow_rate(self, owed: int, row: int) -> int:
        supplied, borrowed = self._at("supplied", row, self.base.unit), self._at("borrowed", row, self.base.unit)
        seen = self._at("borrow_rate", row, RAY)
        _, before = self._curve.rates(max(0, supplied - borrowed), min(borrowed, supplied), 0, self.version)
        cash, debt = max(0, supplied - borrowed - owed), min(borrowed + owed, supplied)
        _, after = self._curve.rates(cash, debt, 0, self.version)
        return seen * after // before if before else seen + after

    def check_loan(self, owed: int, row: int) -> None:
        cash = self._at("supplied", row, self.base.unit) - self._at("borrowed", row, self.base.unit)
        if owed > cash:
            raise ValidationError(
                f"market {self.spec.name!r}: the reserve has {self.base.to_text(max(0, cash))} {self.base.symbol} to lend at "
                f"{self._frame.time(row)}; a debt of {self.base.to_text(owed)} cannot be had"
            )
