"""Aave on a chain as markets of the books: quoted on the exact pool as the chain has it, settled by transactions.

`SupplyOnChain` lends the base asset. `AccountOnChain` is a coin as collateral and a debt in the base asset, looped and delevered
step by step (`treasury_arena_aave.loop`) over an exchange that it is given. What the contracts, the tokens or the floor would
refuse in any step is refused while quoting, before anything is signed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.contracts.bound import ONE, fixed
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ExecutionError, SizeRefusedError, ValidationError
from treasury_arena_aave.chain import AaveMarket
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, WAD
from treasury_arena_aave.hands import SLIPPAGE_BPS_MAX, Exchange, Rate, Rehearsal, Transactions, aimed, terms_of
from treasury_arena_aave.loop import GRAIN, SPARE, Hands, Terms, pay_off, place, release
from treasury_arena_aave.model import NO_DEBT_HEALTH
from treasury_arena_aave.reading import HEALTH_MIN, PRICE_AGE_SECONDS_MAX, USER
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.interfaces.aave import ORACLE, POOL, SCALED_TOKEN
from treasury_arena_evm.onchain import OnChainMarket

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session


class AaveOnChain(OnChainMarket):
    """What both markets share.

    A position is worth what the books last saw of it (`accrue` looks, and so does every fill): between two orders of one row
    blocks pass, and a purchase must not ask for more than the row's value says because a debt has grown by some units.

    One account has one supply and one debt of an asset on Aave: markets that touch the same side of the same reserve need
    accounts of their own. What the account holds of it counts as the position's, gifts of aTokens too.
    """

    def __init__(
        self,
        spec: MarketSpec,
        session: Session,
        who: LocalAccount,
        asset: Asset,
        base: Asset,
        *,
        health_min: float = HEALTH_MIN,
        price_age_seconds_max: int | None = PRICE_AGE_SECONDS_MAX,
        **more: Any,
    ) -> None:
        super().__init__(spec, session, who, asset, base, **more)
        self.aave = AaveMarket(session, health_min=health_min, price_age_seconds_max=price_age_seconds_max)
        self._supplied, self._borrowed = self.aave.reserve(asset.symbol), self.aave.reserve(base.symbol)

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """The pool, that takes either asset."""
        return [(asset, self.aave.at.pool) for asset in dict.fromkeys((self.asset, self.base))]

    def _index(self, asset: str, *, debt: bool = False) -> int:
        name = "getReserveNormalizedVariableDebt" if debt else "getReserveNormalizedIncome"
        return int(self.session.call(self.aave.at.pool, POOL.function(name), asset))

    def _scaled(self, token: str) -> int:
        return int(self.session.call(token, SCALED_TOKEN.function("scaledBalanceOf"), self.who.address))

    def _supply(self, scaled: int) -> int:
        return self.aave.version.balance(scaled, self._index(self._supplied.asset)) if scaled else 0

    def _debt(self, scaled: int) -> int:
        return self.aave.version.debt(scaled, self._index(self._borrowed.asset, debt=True)) if scaled else 0

    @property
    def supplied(self) -> int:
        """Base units of the asset that the account has on Aave now."""
        with self.session.pinned():
            return self._supply(self._scaled(self._supplied.a_token))

    @property
    def owed(self) -> int:
        """Base units of the base asset that the account owes now."""
        with self.session.pinned():
            return self._debt(self._scaled(self._borrowed.debt_token))

    def _only_ours(self, state: ExactState) -> None:
        """An empty position must be empty on the chain too, but for dust that anybody can send."""
        if any(state):
            return
        there = self.supplied
        if self._value_of(there) > max(1, self.dust):
            raise ValidationError(
                f"market {self.spec.name!r}: {self.who.address} already has {self.asset.to_text(there)} {self.asset.symbol} "
                f"on Aave that this position does not know of; use an account of its own"
            )

    def _value_of(self, tokens: int) -> int:
        return tokens


class SupplyOnChain(AaveOnChain):
    """The base asset lent on Aave. The state is ``(scaled units, base units when the books last looked)``.

    It never secures a loan: Aave makes a first supply collateral by itself, which is switched off again, so that a debt of
    the same account cannot be paid out of it.

    Args: as `OnChainMarket` without `asset`, and `health_min`, `price_age_seconds_max` as `AaveMarket`.
    """

    def __init__(self, spec: MarketSpec, session: Session, who: LocalAccount, base: Asset, **more: Any) -> None:
        super().__init__(spec, session, who, base, base, **more)

    def open(self) -> ExactState:
        return (0, 0)

    def valued(self, state: ExactState) -> int:
        return state[1]

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.base.symbol: state[1]}

    def found(self, state: ExactState) -> ExactState:
        with self.session.pinned():
            scaled = self._scaled(self._supplied.a_token)
            return (scaled, self._supply(scaled))

    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        self._only_ours(state)
        symbol, me = self.base.symbol, self.who.address
        move = target_raw - state[1]
        if abs(move) < max(1, self.dust) and not (target_raw == 0 and state[1]):
            return None
        pool = self.aave.pool(me)
        self.aave.check_modelled(pool)
        self.aave.check_prices(pool, symbol)
        token = self.token(self.base)
        if move > 0:
            pool.supply(symbol, USER, move)
            if pool.collaterals.get((symbol, USER)):
                pool.use_as_collateral(symbol, USER, False)
            token.check(me, self._supplied.a_token, move)
        else:
            pool.withdraw(symbol, USER, MAX_UINT256 if target_raw == 0 else -move)
            token.check(self._supplied.a_token, me, -move)
        after = (pool.supplies[symbol, USER], pool.balance_of(symbol, USER))
        return self._filled(state, after, -move)

    def _filled(self, before: ExactState, after: ExactState, cash: int) -> Fill:
        symbol = self.base.symbol
        entries = [("cash", symbol, cash), ("position", symbol, after[1] - before[1])]
        return self.fill(after, entries, abs(cash), 0, 0.0)

    def execute(self, state: ExactState, fill: Fill) -> Fill:
        symbol, cash = self.base.symbol, fill.cash_raw
        if cash < 0:
            self.aave.supply(self.who, symbol, -cash)
            if self.aave.pool(self.who.address).collaterals.get((symbol, USER)):
                self.aave.use_as_collateral(self.who, symbol, False)
        else:
            self.aave.withdraw(self.who, symbol, cash if fill.state[0] else MAX_UINT256)
        return self.recovered(state, fill)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """By the token's events, held against the pool's, and by what the chain holds now."""
        told, moved, me = 0, self.moved(self.base), self.who.address.lower()
        for receipt in self._spent:
            for name, owner, sign in (("Supply", "onBehalfOf", -1), ("Withdraw", "user", 1)):
                for event in receipt.events(POOL.event(name), self.aave.at.pool):
                    if (event["reserve"].lower(), event[owner].lower()) == (self._supplied.asset.lower(), me):
                        told += sign * int(event["amount"])
        if moved != told:
            self.unfinished = f"the pool says {told} base units moved, the token's own events say {moved}"
        return self._filled(state, self.found(state), moved)


@attrs.frozen
class Plan:
    """Where an order of an account leads: worth and loan-to-value (of `ONE`), and cash to put in.

    `what` is ``place``, ``release`` or ``pay_off``, as the functions of `treasury_arena_aave.loop`.
    """

    target_raw: int
    ltv: int
    budget_raw: int
    what: str
    terms: Terms

    def do(self, hands: Hands) -> None:
        """Do it; ValidationError where it cannot be done."""
        hands.cash = self.budget_raw
        if self.what == "place":
            place(hands, self.ltv)
        elif self.what == "release":
            release(hands, self.target_raw, self.ltv)
        else:
            pay_off(hands)


@attrs.frozen(kw_only=True)
class Planned(Fill):
    """A quote of an account, with its plan, and the swaps that it takes as they were quoted."""

    plan: Plan
    rates: tuple[Rate, ...]


class AccountOnChain(AaveOnChain):
    """A coin as collateral on Aave, and a debt in the base asset; the control is ``(ltv,)``.

    The state is ``(scaled units, tokens, scaled debt, debt, idle tokens)``: tokens and debt as the books last saw them, and coin
    that an order which could not be finished left in the wallet.

    Args: as `OnChainMarket`, and
        exchange: swaps between the base asset and the coin for the same account; one that gives allowances says its
            `spender`, so that what a killed process left of them is taken back.
        ltv_max: controls are cut to it (None: they are not, and one beyond what Aave lends or the floor allows is refused).
        slack: how far the loan-to-value may be from the control before a move below `dust` is made for it.
        slippage_bps: by which a swap may pay less than the order's quote had it.
        health_min, price_age_seconds_max: as `AaveMarket`.

    Raises ConfigError when the coin is the base asset.
    """

    def __init__(
        self,
        spec: MarketSpec,
        session: Session,
        who: LocalAccount,
        asset: Asset,
        base: Asset,
        exchange: Exchange,
        *,
        ltv_max: float | None = None,
        slack: float = 0.02,
        slippage_bps: int = 50,
        **more: Any,
    ) -> None:
        super().__init__(spec, session, who, asset, base, **more)
        if asset == base:
            raise ConfigError(f"market {spec.name!r} borrows {base.symbol} against itself; take another collateral")
        self.exchange = exchange
        self._ltv_max = None if ltv_max is None else fixed(ltv_max, ONE)
        self._slack = fixed(slack, ONE)
        if not 1 <= slippage_bps <= SLIPPAGE_BPS_MAX:
            raise ValidationError(f"a slippage of {slippage_bps} bps must lie from 1 to {SLIPPAGE_BPS_MAX}")
        self.slippage_bps = slippage_bps

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """The pool, and whoever the exchange says takes what is swapped."""
        taker = getattr(self.exchange, "spender", None)
        return [*super().spenders(), *((asset, taker) for asset in (self.asset, self.base) if taker is not None)]

    def open(self) -> ExactState:
        return (0, 0, 0, 0, 0)

    def _prices(self) -> tuple[int, int]:
        """The oracle's prices of coin and base asset, 8 decimals."""
        ask = ORACLE.function("getAssetPrice")
        found: list[int] = []
        for asset, reserve in ((self.asset, self._supplied), (self.base, self._borrowed)):
            try:
                price = int(self.session.call(self.aave.at.oracle, ask, reserve.asset))
            except RevertError as error:
                raise self._unpriced(asset) from error
            if not price:
                raise self._unpriced(asset)
            found.append(price)
        return found[0], found[1]

    def _unpriced(self, asset: Asset) -> ValidationError:
        return ValidationError(
            f"market {self.spec.name!r} cannot be valued: Aave's oracle has no price for {asset.symbol}"
        )

    def _value_of(self, tokens: int) -> int:
        coin, base = self._prices()
        return tokens * coin * self.base.unit // (base * self.asset.unit)

    def valued(self, state: ExactState) -> int:
        if not any(state):
            return 0
        return self._value_of(state[1] + state[4]) - state[3]

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: state[1] + state[4], self.base.symbol: -state[3]}

    def viewed(self, state: ExactState) -> Mapping[str, float]:
        if not state[3]:
            return {"health": NO_DEBT_HEALTH, "ltv": 0.0}
        held = self._value_of(state[1] + state[4])
        health = self.aave.account(self.who.address).health / WAD
        return {"health": min(NO_DEBT_HEALTH, health), "ltv": state[3] / held if held else 0.0}

    def found(self, state: ExactState) -> ExactState:
        with self.session.pinned():
            scaled, owing = self._scaled(self._supplied.a_token), self._scaled(self._borrowed.debt_token)
            return (scaled, self._supply(scaled), owing, self._debt(owing), state[4])

    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        self._only_ours(state)
        if not any(state) and (there := self.owed):
            raise ValidationError(
                f"market {self.spec.name!r}: {self.who.address} already owes {self.base.to_text(there)} {self.base.symbol} on "
                f"Aave that this position does not know of; use an account of its own"
            )
        pool, coin, base = self.aave.pool(self.who.address), self.asset.symbol, self.base.symbol
        prices = (pool.price(coin), pool.price(base))
        terms = terms_of(self.aave, pool, coin, self.dust)
        hands = Rehearsal(self.asset, self.base, prices, terms, state[4], pool, self.exchange)
        held, owed = hands.held, hands.owed
        move = target_raw - (hands.worth(state[1] + state[4]) - state[3])
        kept = owed * ONE // held if held else 0
        ltv = aimed(terms, kept, control, self._ltv_max, self.spec.name, coin)
        changed = bool(control) and held > 0 and abs(owed * ONE - ltv * held) > self._slack * held
        small = abs(move) < max(1, self.dust) and not (target_raw == 0 and (held or owed))
        if small and not changed:
            return None
        what = "release" if move < 0 and not small else "place"
        budget = 0 if small else max(0, move)
        if target_raw == 0 and owed and held <= owed:
            # A liquidation took the collateral: no sale pays this debt, only cash does, interest until it is mined included.
            what, budget = "pay_off", owed + owed // SPARE + 1
        self.aave.check_modelled(pool)
        self.aave.check_prices(pool, coin, base)
        self._check_tokens(pool, 0 if small else owed if what == "pay_off" else move)
        plan = Plan(target_raw, ltv, budget, what, hands.terms)
        while True:
            try:
                plan.do(hands)
                break
            except SizeRefusedError:
                # What is to be swapped for the shape alone cannot be halved by whoever asks: go half the way.
                nearer = kept + (plan.ltv - kept) // 2
                if not small or abs(nearer - kept) <= 2 * GRAIN:
                    raise
                plan, pool = attrs.evolve(plan, ltv=nearer), self.aave.pool(self.who.address)
                hands = Rehearsal(self.asset, self.base, prices, hands.terms, state[4], pool, self.exchange)
        if what != "pay_off" and hands.lost >= abs(move) and not changed:
            return None
        after = (
            pool.supplies.get((coin, USER), 0),
            hands.tokens,
            pool.debts.get((base, USER), 0),
            hands.owed,
            hands.idle,
        )
        fill = self._filled(state, after, hands.cash - budget, hands.swapped, hands.lost)
        whole = {field.name: getattr(fill, field.name) for field in attrs.fields(Fill)}
        return Planned(**whole, plan=plan, rates=tuple(hands.rates))

    def _check_tokens(self, pool: Pool, move: int) -> None:
        """Both tokens do what they say; the wallet has what is to be paid."""
        me, coin, base = self.who.address, self.token(self.asset), self.token(self.base)
        if move > 0:
            base.check(me, self._borrowed.a_token, move)
        elif pool.reserves[self.base.symbol].cash:
            base.check(self._borrowed.a_token, me, 1)
        if pool.reserves[self.asset.symbol].cash:
            coin.check(self._supplied.a_token, me, 1)

    def _filled(self, before: ExactState, after: ExactState, cash: int, swapped: int, lost: int) -> Fill:
        coin, base = self.asset.symbol, self.base.symbol
        entries = [
            ("cash", base, cash),
            ("position", coin, after[1] + after[4] - before[1] - before[4]),
            ("debt", base, before[3] - after[3]),
        ]
        slippage = 10_000.0 * max(0, lost) / swapped if swapped else 0.0
        return self.fill(after, entries, max(abs(cash), swapped), max(0, lost), slippage)

    def execute(self, state: ExactState, fill: Fill) -> Fill:
        if not isinstance(fill, Planned):
            raise ExecutionError("the fill is not one that this market quoted")
        fill.plan.do(Transactions(self.asset, self.base, self._prices(), fill.plan.terms, state[4], self, fill.rates))
        return self.recovered(state, fill)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """By the tokens' events, swaps (both tokens moved, in opposite directions) included, and by what the chain holds now."""
        coin, base = self._supplied.asset, self._borrowed.asset
        swapped = lost = 0
        for receipt in self._spent:
            moved = receipt.deltas(self.who.address)
            got, paid = moved.get(coin, 0), moved.get(base, 0)
            if got * paid < 0:
                worth = self._value_of(abs(got))
                swapped += abs(paid) if got > 0 else worth
                lost += abs(paid) - worth if got > 0 else worth - abs(paid)
        after = self.found((0, 0, 0, 0, state[4] + self.moved(self.asset)))
        return self._filled(state, after, self.moved(self.base), swapped, lost)
