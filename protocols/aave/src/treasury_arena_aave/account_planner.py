"""A loan against a coin in live orders: looping and delevering, planned as a list of steps before the first one is signed.

The loop is rehearsed on an exact copy of the pool and on the exchange's quotes (`treasury_arena_aave.loop`); what it does there
becomes the plan. Amounts that depend on how an earlier step went are ALL of what came in, so no step spends what the order has
not got; the health floor is looked at again before each step that adds risk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from treasury_arena.contracts.bound import ONE, fixed
from treasury_arena.contracts.chain import ALL, Holding, Plan, PlannedStep, PlannerContext, Step, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, SizeRefusedError, ValidationError
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.hands import Rehearsal, aimed, terms_of
from treasury_arena_aave.loop import GRAIN, SPARE, NotReachedError, Terms, place, release
from treasury_arena_aave.planner import GAS, AavePlanner
from treasury_arena_aave.reading import MINED_WITHIN_SECONDS, USER
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.interfaces.aave import ORACLE
from treasury_arena_evm.planning import APPROVE_GAS, REVOKE_GAS
from treasury_arena_evm.swaps import KEYS, Swaps

ROOM = 0.005
"""How much of the health floor, and of what Aave lends, a plan leaves: prices, interest and swaps move until a step is bound."""
STEPS_MAX = 80
"""A plan of more steps is none: it would reserve more gas than it is worth."""
STRANGE = 10_000
"""One part in so many of what is held or owed, or dust, may be unknown to the books before it counts as somebody else's."""


class _BothWaysError(Exception):
    """The order would take collateral out to pay debt back while it puts money in."""


@attrs.frozen
class _Quotes:
    """The pool's quotes, as a rehearsal asks for them."""

    swaps: Swaps

    def quote_buy(self, base_raw: int) -> int:
        return self.swaps.quote(True, base_raw).amount_out

    def quote_sell(self, coin_raw: int) -> int:
        return self.swaps.quote(False, coin_raw).amount_out


class Drafting(Rehearsal):
    """A rehearsal that writes down what it does.

    With a budget the order's base units are exact amounts: the budget and loans are all it has, and it knows them. Without one
    they come out of sales, so they are ALL, and at most what the rehearsal had.
    """

    def __init__(self, planner: AccountPlanner, pool: Pool, prices: tuple[int, int], terms: Terms, budget: int) -> None:
        super().__init__(planner.asset, planner.base, prices, terms, 0, pool, _Quotes(planner.swaps))
        self.planner, self.budget, self.cash = planner, budget, budget
        self.steps: list[PlannedStep] = []
        self.failed: NotReachedError | None = None
        self.spenders: dict[tuple[str, str], PlannedStep] = {}

    def act(self, operation: str, amount: int | None) -> int:
        kind = StepKind(operation)
        if kind is StepKind.WITHDRAW and self.budget:
            raise _BothWaysError
        done = super().act(operation, amount)
        asset, everything = self.coin if kind in (StepKind.SUPPLY, StepKind.WITHDRAW) else self.base, amount is None
        details: dict[str, Any] = {"everything": everything}
        planned: int | str = done
        if kind is StepKind.REPAY:
            if everything and self.budget:  # what the debt grows until it is mined is paid, too; the rest stays cash
                planned = done = min(self.cash, done + done // (2 * SPARE) + 1)
            elif not self.budget:
                planned = ALL
                details |= {} if everything else {"most_raw": done}
        if kind is StepKind.SUPPLY:
            planned = ALL
        if kind in (StepKind.SUPPLY, StepKind.REPAY):
            self._approve(asset.symbol, self.planner.aave.at.pool, planned, details)
        self.steps.append(PlannedStep(kind, asset.symbol, planned, GAS[kind], details))
        return done

    def swap(self, buys: bool, amount: int) -> int:
        out = super().swap(buys, amount)
        self.planner.swaps.checked(buys, amount, paid_now=False)
        symbol, have = (self.base.symbol, self.cash) if buys else (self.coin.symbol, self.idle)
        planned: int | str = amount if buys and self.budget else ALL
        details = {"most_raw": amount} if planned == ALL and amount < have else {}
        if planned == ALL and buys:
            details = {"most_raw": amount}
        self._approve(symbol, self.planner.swaps.router, planned, details)
        self.steps.append(self.planner.swaps.step(buys, planned, (amount, out), **details))
        return out

    def spend(self, operation: StepKind, amount: int) -> int:
        """Supply or sell so much of the coin that an order before this one left in the wallet; what came out."""
        symbol = self.coin.symbol
        if operation is StepKind.SUPPLY:
            super().act("supply", amount)
            self._approve(symbol, self.planner.aave.at.pool, amount, {})
            self.steps.append(PlannedStep(operation, symbol, amount, GAS[operation], {"everything": False}))
            return 0
        out = super().swap(False, amount)
        self.planner.swaps.checked(False, amount)
        self._swapped(self.worth(amount), out)
        self._approve(symbol, self.planner.swaps.router, amount, {})
        self.steps.append(self.planner.swaps.step(False, amount, (amount, out)))
        return out

    def _approve(self, symbol: str, spender: str, amount: int | str, details: Mapping[str, Any]) -> None:
        if len(self.steps) > STEPS_MAX:
            raise NotReachedError(
                f"market {self.planner.market!r}: the order needs more than {STEPS_MAX} steps, for each may free little above "
                f"the health floor"
            )
        noted = {**details, "spender": spender}
        self.steps.append(PlannedStep(StepKind.APPROVE, symbol, amount, APPROVE_GAS, noted))
        self.spenders[symbol, spender] = PlannedStep(StepKind.REVOKE, symbol, 0, REVOKE_GAS, {"spender": spender})

    def planned(self) -> tuple[PlannedStep, ...]:
        """All steps: allowances of before are taken back first, and what is left of this order's last."""
        assets = {asset.symbol: asset for asset in (self.coin, self.base)}
        before = [
            step
            for (symbol, spender), step in self.spenders.items()
            if self.planner.token(assets[symbol]).allowance(self.planner.sender, spender)
        ]
        return (*before, *self.steps, *self.spenders.values())


class AccountPlanner(AavePlanner):
    """A coin as collateral on Aave, a debt in the base asset, swaps in a Uniswap v3 pool; the control is ``(ltv,)``.

    One address has one debt of an asset, so the market has one holder at a time; what else is on Aave there is refused.
    An order goes one way, and the next one goes on: one that would take collateral out after it put money in ends there; one that
    finds coin in the wallet, left by an order that was not finished, supplies that and no more; and one below the
    health floor, or so near it that it would need more than `STEPS_MAX` steps, pays a quarter of the debt from the holder's cash
    or, without any, goes as far as that. A debt that a liquidation left without collateral is paid from cash at a target of 0.

    Settings beside `AavePlanner`'s and `Swaps`': `ltv_max`, to which controls are cut (1: not cut); `slack`, how far the
    loan-to-value may be from the control before a move below dust is made for it (0.02); `wallet`, whether coins in the
    wallet are this market's (true; false where another market keeps the coin there).
    """

    def __init__(self, context: PlannerContext) -> None:
        super().__init__(context, (*KEYS, "ltv_max", "slack", "wallet"))
        if self.asset == self.base:
            raise ConfigError(
                f"market {self.market!r} borrows {self.base.symbol} against itself; take another collateral"
            )
        self.swaps = Swaps(self)
        self._ltv_max = fixed(self.places.number("ltv_max", 1.0, 0.0, 1.0), ONE)
        self._slack = fixed(self.places.number("slack", 0.02, 0.0, 1.0), ONE)
        self._wallet = self.places.flag("wallet", True)

    # --- what there is

    def _prices(self) -> tuple[int, int]:
        ask, found = ORACLE.function("getAssetPrice"), []
        for asset in (self.asset, self.base):
            try:
                price = int(self.reader.call(self.aave.at.oracle, ask, self.aave.reserve(asset.symbol).asset))
            except RevertError as error:
                raise self._unpriced(asset) from error
            if not price:
                raise self._unpriced(asset)
            found.append(price)
        return found[0], found[1]

    def _unpriced(self, asset: Asset) -> ValidationError:
        return ValidationError(
            f"market {self.market!r} cannot be valued: Aave's oracle has no price for {asset.symbol}"
        )

    def _worth(self, coins: int) -> int:
        coin, base = self._prices()
        return coins * coin * self.base.unit // (base * self.asset.unit)

    def _idle(self, holding: Holding, supplied: int) -> int:
        """Coins of a holder that lie in the wallet: what is booked and not supplied.

        Interest that the books have not seen yet makes that less than there is, so a rest below dust is taken as such interest;
        where another market keeps the coin in the same wallet, `wallet` is false.
        """
        booked = holding.held.get(self.asset.symbol, 0)
        if not self._wallet or booked <= supplied:
            return 0
        idle, there = booked - supplied, self.token(self.asset).balance(self.sender)
        idle = there if self._worth(max(0, there - idle)) < self.dust else min(idle, there)
        return idle if self._worth(idle) >= self.dust else 0

    def _value(self, holding: Holding) -> int:
        if not any(holding.held.values()) and not any(holding.owed.values()):
            return 0
        supplied = self.supplied(self.asset)
        return self._worth(supplied + self._idle(holding, supplied)) - self.owed(self.base)

    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        wallet = self.token(self.asset).balance(self.sender) if self._wallet else 0
        return {self.asset.symbol: (self.supplied(self.asset) + wallet, 0), self.base.symbol: (0, self.owed(self.base))}

    def _only_ours(self, holding: Holding) -> None:
        """Raise ValidationError when the address has more on Aave, or another debt, than the holder's books say."""
        supplied, owed = self.supplied(self.asset), self.owed(self.base)
        more = self._worth(max(0, supplied - holding.held.get(self.asset.symbol, 0)))
        other = abs(owed - holding.owed.get(self.base.symbol, 0))
        for there, strange, what in (
            (self._worth(supplied), more, f"has {self.asset.to_text(supplied)} {self.asset.symbol}"),
            (owed, other, f"owes {self.base.to_text(owed)} {self.base.symbol}"),
        ):
            if strange > max(self.dust, there // STRANGE):
                raise ValidationError(
                    f"market {self.market!r}: {self.sender} {what} on Aave, which is not what this position's books say; use an "
                    f"address of its own"
                )

    # --- planning

    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        self._only_ours(holding)
        pool, prices = self._pool()
        terms = self._roomy(pool)
        hands = Drafting(self, pool, prices, terms, 0)
        idle = self._idle(holding, hands.tokens)
        held, owed = hands.worth(hands.tokens + idle), hands.owed
        move = target_raw - (held - owed)
        kept = owed * ONE // held if held else 0
        ltv = aimed(terms, kept, control, self._ltv_max, self.market, self.asset.symbol)
        changed = bool(control) and held > 0 and abs(owed * ONE - ltv * held) > self._slack * held
        small = self.still(held - owed, target_raw)
        if small and not changed and not (idle and target_raw):
            return None
        self.aave.check_modelled(pool)
        self.aave.check_prices(pool, self.asset.symbol, self.base.symbol)
        if idle and (target_raw or owed):
            return self._tidied(hands, idle)
        if target_raw == 0 and owed and held <= owed:
            return self._paid_off(terms, holding.cash_raw, owed)
        surplus = owed - target_raw * ltv // (ONE - ltv)
        spare = min(holding.cash_raw, surplus, owed // 4)
        if spare >= self.dust and terms.health(hands.worth(hands.tokens), owed) < self.aave.health_min:
            return self._repaid(terms, spare)
        if move < 0 and not small:
            self._try(hands, lambda: release(hands, target_raw, ltv))
            if idle:
                hands.spend(StepKind.SWAP, idle)
        elif small:
            hands = self._shaped(hands.terms, kept, ltv)
        else:
            hands = self._placed(hands.terms, max(0, move), ltv)
        if hands.failed is not None:
            if spare >= self.dust:
                return self._repaid(terms, spare)
            if not hands.steps:
                raise hands.failed
        self._check_tokens()
        return self._planned(hands, abs(move) if not small else 0, False)

    def _tidied(self, hands: Drafting, idle: int) -> Plan | None:
        """Coin in the wallet secures the debt again; where Aave does not take it, it is sold and the debt paid with it."""
        try:
            hands.spend(StepKind.SUPPLY, idle)
        except ValidationError:
            if not hands.owed:
                raise
            hands.cash += hands.spend(StepKind.SWAP, idle)
            hands.repay(min(hands.cash, hands.owed))
        return self._planned(hands, hands.worth(idle), True)

    @staticmethod
    def _try(hands: Drafting, loop: Callable[[], None]) -> None:
        """Run a loop; where it does not get to its end, its whole rounds remain, and `hands.failed` says why."""
        try:
            loop()
        except NotReachedError as error:
            hands.failed = error
            while hands.steps and hands.steps[-1].kind is not StepKind.REPAY:
                hands.steps.pop()

    def _repaid(self, terms: Terms, amount: int) -> Plan | None:
        """Below the floor, or so near it that withdrawals free too little: the holder's cash pays some of the debt first."""
        hands = Drafting(self, *self._pool(), terms, amount)
        hands.repay(amount)
        return self._planned(hands, amount, True)

    def _paid_off(self, terms: Terms, cash: int, owed: int) -> Plan | None:
        """A liquidation took the collateral: no sale pays the debt, only cash does. What coin is left, the next order sells."""
        amount = min(cash, owed + owed // SPARE + 1)
        if amount <= 0:
            raise ValidationError(
                f"market {self.market!r}: {self.base.to_text(owed)} {self.base.symbol} are owed, more than the collateral is "
                f"worth, and the holder has no cash to pay with"
            )
        hands = Drafting(self, *self._pool(), terms, amount)
        hands.repay(None if amount > owed else amount)
        return self._planned(hands, min(amount, owed), True)

    def _pool(self) -> tuple[Pool, tuple[int, int]]:
        pool = self.aave.pool(self.sender)
        return pool, (pool.price(self.asset.symbol), pool.price(self.base.symbol))

    def _placed(self, terms: Terms, budget: int, ltv: int) -> Drafting:
        """Put a budget into the position and go to the loan-to-value, as far as no collateral has to leave for that.

        Where it has to, and the budget did nothing before, only the loan-to-value is gone to, and the budget stays cash.
        """
        if budget:
            self.token(self.base).check(self.sender, self.swaps.pool().address, budget)
        hands = Drafting(self, *self._pool(), terms, budget)
        try:
            self._try(hands, lambda: place(hands, ltv))
        except _BothWaysError:
            if not hands.steps:
                ratio = Drafting(self, *self._pool(), terms, 0)
                self._try(ratio, lambda: place(ratio, ltv))
                return ratio
        return hands

    def _shaped(self, terms: Terms, kept: int, ltv: int) -> Drafting:
        """Go to the loan-to-value alone, or as far there as the exchange takes: nobody can ask for half of a shape."""
        while True:
            try:
                return self._placed(terms, 0, ltv)
            except SizeRefusedError:
                nearer = kept + (ltv - kept) // 2
                if abs(nearer - kept) <= 2 * GRAIN:
                    raise
                ltv = nearer

    def _check_tokens(self) -> None:
        """Both tokens do what they say, between Aave, the wallet and the exchange."""
        for asset in (self.asset, self.base):
            at = self.aave.reserve(asset.symbol)
            if self.token(asset).balance(at.a_token):
                self.token(asset).check(at.a_token, self.sender, 1)

    def _planned(self, hands: Drafting, moved: int, safe: bool) -> Plan | None:
        if not hands.steps:
            return None
        kinds = {step.kind for step in hands.steps}
        reduces = safe or (not hands.budget and StepKind.BORROW not in kinds)
        slippage = 10_000.0 * max(0, hands.lost) / hands.swapped if hands.swapped else 0.0
        return Plan(hands.planned(), max(moved, hands.swapped), hands.budget, reduces, slippage)

    # --- binding

    def _allowed(self, step: PlannedStep, amount_raw: int) -> int:
        amount = self._at_most(step, amount_raw)
        if (
            step.details.get("everything")
            and step.details["spender"] == self.aave.at.pool
            and step.asset == self.base.symbol
        ):
            return min(amount, self._owed_later())
        return amount

    @staticmethod
    def _at_most(step: PlannedStep, amount_raw: int) -> int:
        most = step.details.get("most_raw")
        return amount_raw if most is None else min(amount_raw, int(most))

    def _owed_later(self) -> int:
        """The debt with the interest until a transaction that is signed now is surely mined."""
        return self.aave.pool(self.sender, MINED_WITHIN_SECONDS).debt_of(self.base.symbol, USER)

    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        amount, everything = self._at_most(step, amount_raw), bool(step.details.get("everything"))
        if not amount:
            return None
        if step.kind is StepKind.SWAP:
            return self.swaps.bind(step, amount, now)
        if step.kind is StepKind.SUPPLY:
            return self.operation(step, self.asset, amount)
        if step.kind is StepKind.BORROW:
            return self.operation(step, self.base, amount)
        if step.kind is StepKind.WITHDRAW:
            return self._withdrawal(step, amount, everything)
        if step.kind is StepKind.REPAY:
            owed = self.owed(self.base)
            if not owed:
                return None
            whole = everything and amount >= (later := self._owed_later())
            return self.operation(step, self.base, later if whole else min(amount, owed), everything=whole)
        raise ValidationError(f"market {self.market!r}: a loan has no step of the kind {step.kind!s}")

    def _roomy(self, pool: Pool) -> Terms:
        """What bounds a plan: a little less than what bounds its steps, none of which may go below the floor from above it."""
        terms = terms_of(self.aave, pool, self.asset.symbol, self.dust)
        return attrs.evolve(terms, ltv_bps=int(terms.ltv_bps * (1 - ROOM)), floor=terms.floor * (1 + ROOM), dip=0.0)

    def _withdrawal(self, step: PlannedStep, amount: int, everything: bool) -> Step | None:
        """Below a plan's floor already, a withdrawal goes at most half the way from the health factor to one, and a little."""
        supplied = self.supplied(self.asset)
        if not supplied:
            return None
        terms = self._roomy(self.aave.pool(self.sender))
        worth, owed = self._worth(supplied), self.owed(self.base)
        least = self.aave.health_min
        if terms.health(worth, owed) < terms.floor:
            least = 1.0 + 0.9 * (terms.least(worth, owed) - 1.0)
        return self.operation(step, self.asset, min(amount, supplied), everything=everything, least=least)
