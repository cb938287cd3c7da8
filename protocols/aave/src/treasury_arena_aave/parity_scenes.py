"""Scenes of the parity check: positions made to be liquidated, so that every branch of the liquidation's arithmetic is taken.

Left to chance hardly any position falls where the rules part: health factors on both sides of 0.95 (all of a debt or half of it),
values on both sides of 2,000 US dollars (small positions are closed whole) and of 1,000 (what is left must not be dust), debts on
both sides of half of all debts, categories with a bonus of their own, and debts that nothing secures any more. A scene is a
generator of operations; it reads the pool again before each, and ends early when something was refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, PERCENT, WAD

USD = 10**8
Fields = dict[str, Any]
#: Of debts in US dollars.
SIZES = ((200, 2_000), (2_000, 4_000), (4_000, 20_000), (20_000, 2_000_000), (2_000_000, 20_000_000))
#: Where to aim: anywhere; a debt or a collateral below 2,000 with the other side above it; debts that nothing secures any more.
EDGES = ("", "small debt", "small collateral", "hopeless")
#: Health factors to bring an account to, and how likely each band is at an edge.
HEALTHS = ((0.951, 0.9995), (0.93, 0.96), (0.6, 0.95), (0.15, 0.6))
BANDS = {"small debt": (1, 0, 0, 0), "small collateral": (1, 0, 0, 0), "hopeless": (0, 0, 0, 1)}
LTV_BELOW = 300
JOINS_BELOW = 8_000
USUAL = {"paused": False, "frozen": False, "borrowing": True}


@attrs.frozen
class Plan:
    """A position to make.

    Attributes:
        user: whose.
        secured: asset that is supplied.
        owed: asset that is borrowed.
        more: another asset that is borrowed too, or "".
        beside: another asset that is supplied and liquidated instead of the first, or "".
        category: of e-mode; 0 for none.
        value: of the debt, US dollars.
        edge: of `EDGES`.
    """

    user: str
    secured: str
    owed: str
    more: str
    beside: str
    category: int
    value: float
    edge: str


class Scenes:
    """Generates scenes in the state that a pool is in.

    Args:
        pool: read before every operation, never changed here.
        users: who acts.
        rng: draws everything.
        categories: whether e-mode takes part.
    """

    def __init__(self, pool: Pool, users: tuple[str, ...], rng: np.random.Generator, *, categories: bool) -> None:
        self._pool, self._users, self._rng, self._categories = pool, users, rng, categories
        self._assets, self._start = tuple(pool.configs), dict(pool.prices)

    def draw(self) -> Iterator[Fields]:
        """A scene with a position that is there, or with one that is made for it."""
        rng = self._rng
        owing = [user for user in self._users if self._pool.account(user).debt]
        if owing and rng.random() < 0.25:
            yield from self._end(str(rng.choice(owing)))
        else:
            plan = self._plan()
            yield from self._made(plan)
            if self._pool.debts.get((plan.owed, plan.user)):
                yield from self._end(plan.user, plan.beside, plan.edge)

    def _plan(self) -> Plan:
        rng = self._rng
        category = int(rng.choice([0, 0, 1, 1, 2, 2])) if self._categories else 0
        inside = [asset for asset in self._assets if self._may_join(asset)] if category else list(self._assets)
        own = self._own_price(category)
        # Beside the asset whose price all of a category have, the others are worth something else than alone.
        owed = own if own and rng.random() < 0.7 else str(rng.choice(inside))
        others = [asset for asset in self._assets if asset != owed]
        # Where a category has a price of its own, its assets cannot fall against each other.
        alike = [asset for asset in others if (asset in inside) != bool(own)]
        secured = str(rng.choice(alike if category and alike else others))
        last = next(asset for asset in self._assets if asset not in (owed, secured))
        edge = str(rng.choice(EDGES, p=(0.55, 0.15, 0.15, 0.15)))
        low, high = SIZES[int(rng.choice(len(SIZES), p=(0.15, 0.25, 0.25, 0.2, 0.15)))]
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        more = beside = ""
        if edge == "small debt":
            value = float(rng.uniform(1_650, 1_990))
        elif edge == "small collateral":
            # Half of the debt would be less than the collateral pays for.
            value, beside = float(rng.uniform(2_050, 3_500)), last
        elif not edge and rng.random() < (0.7 if own else 0.2):
            beside = last
        elif edge or rng.random() < 0.4:
            more = str(rng.choice([last, secured]))
        return Plan(str(rng.choice(self._users)), secured, owed, more, beside, category, value, edge)

    def _may_join(self, asset: str) -> bool:
        """Whether an asset may be put into any category: its own threshold has to be the lower one."""
        return self._pool.configs[asset].threshold < JOINS_BELOW

    def _own_price(self, category: int) -> str:
        """The asset whose price all assets of a category have, or ""."""
        source = self._pool.categories[category].price_source if category else None
        return source if source in self._assets else ""

    # Making a position.

    def _made(self, plan: Plan) -> Iterator[Fields]:
        pool, rng, user = self._pool, self._rng, plan.user
        for asset, config in pool.configs.items():
            for field, usual in USUAL.items():
                if getattr(config, field) != usual and rng.random() < 0.7:
                    yield {"kind": "configure", "asset": asset, "other": field, "amount": int(usual)}
            if config.threshold and not config.ltv and rng.random() < 0.7:
                yield {"kind": "configure", "asset": asset, "other": "ltv", "amount": config.threshold - LTV_BELOW}
        for asset in self._assets:
            if abs(np.log(pool.prices[asset] / self._start[asset])) > 0.3:
                yield _price(asset, self._start[asset] * float(np.exp(0.05 * rng.standard_normal())))
        for asset in self._assets:
            if pool.debts.get((asset, user)):
                yield {"kind": "repay", "asset": asset, "user": user, "amount": MAX_UINT256}
        if plan.category:
            for asset in dict.fromkeys((plan.owed, plan.more, plan.secured, plan.beside)):
                if asset and self._may_join(asset) and pool.configs[asset].emode != plan.category:
                    yield {"kind": "configure", "asset": asset, "other": "emode", "amount": plan.category}
        if pool.emodes.get(user, 0) != plan.category:
            yield {"kind": "emode", "user": user, "amount": plan.category}
        for asset in self._assets:
            if asset != plan.secured and pool.collaterals.get((asset, user)):
                yield {"kind": "collateral", "asset": asset, "user": user, "flag": False}
        yield from self._secure(plan)
        if plan.beside:
            yield from self._secured(
                user, plan.beside, self._units(plan.beside, plan.value * float(rng.uniform(0.54, 0.65)))
            )
        parts = {plan.owed: 1.0}
        if plan.more:
            share = float(rng.uniform(0.1, 0.9))
            parts = {plan.owed: 1.0 - share, plan.more: share}
        for asset, share in parts.items():
            yield from self._borrow(user, asset, self._units(asset, plan.value * share))

    def _secure(self, plan: Plan) -> Iterator[Fields]:
        """As much collateral as the debt needs and a little more."""
        pool, user, asset = self._pool, plan.user, plan.secured
        config = pool.configs[asset]
        ltv = pool.categories[plan.category].ltv if plan.category and config.emode == plan.category else config.ltv
        wanted = self._units(asset, plan.value * PERCENT / max(ltv, 5_000) * float(self._rng.uniform(1.01, 1.3)))
        yield from self._secured(user, asset, wanted)

    def _secured(self, user: str, asset: str, wanted: int) -> Iterator[Fields]:
        """So much of an asset as collateral, and no more."""
        pool = self._pool
        missing = wanted - pool.balance_of(asset, user)
        if missing > 0:
            yield {"kind": "supply", "asset": asset, "user": user, "amount": missing}
        elif missing < -wanted // 10:
            yield {"kind": "withdraw", "asset": asset, "user": user, "amount": -missing}
        if not pool.collaterals.get((asset, user)):
            yield {"kind": "collateral", "asset": asset, "user": user, "flag": True}

    def _borrow(self, user: str, asset: str, amount: int) -> Iterator[Fields]:
        cash = self._pool.reserves[asset].cash
        missing = amount - cash
        if missing > 0 and cash and self._rng.random() < 0.5:
            amount = cash
        elif missing > 0:
            lender = str(self._rng.choice([other for other in self._users if other != user]))
            yield {"kind": "supply", "asset": asset, "user": lender, "amount": missing * 5 // 4}
        yield {"kind": "borrow", "asset": asset, "user": user, "amount": amount}

    def _units(self, asset: str, dollars: float) -> int:
        """Base units of so many US dollars, with odd last digits."""
        unit, price = self._pool.configs[asset].unit, self._pool.prices[asset]
        return max(1, int(dollars * USD) * unit // price + int(self._rng.integers(0, 1_000)))

    # Its end.

    def _end(self, user: str, asset: str = "", edge: str = "") -> Iterator[Fields]:
        """A price that makes an account weak, and liquidations until it is not."""
        rng = self._rng
        chances = BANDS.get(edge, (0.45, 0.25, 0.15, 0.15))
        low, high = HEALTHS[int(rng.choice(len(HEALTHS), p=chances))]
        moved = self._weaken(user, float(rng.uniform(low, high)), falls=bool(asset or edge) or rng.random() < 0.6)
        if moved is None:
            return
        yield moved
        for number in range(int(rng.integers(1, 4))):
            account = self._pool.account(user)
            if account.health >= WAD or not account.collateral:
                return
            everything = number == 0 and edge and rng.random() < 0.8
            yield self.liquidation(user, asset) | ({"amount": MAX_UINT256} if everything else {})

    def _weaken(self, user: str, wanted: float, *, falls: bool) -> Fields | None:
        """The price of what secures or owes most at which the health factor is `wanted`; None if there is none."""
        pool, account = self._pool, self._pool.account(user)
        category = pool.emodes.get(user, 0)
        if not account.debt or not account.collateral:
            return None
        weighted, owed = dict.fromkeys(self._assets, 0.0), dict.fromkeys(self._assets, 0.0)
        for asset, config in pool.configs.items():
            inside, price = category and config.emode == category, pool.price(asset, category)
            threshold = pool.categories[category].threshold if inside else config.threshold
            source = pool.categories[category].price_source if inside else None
            if pool.collaterals.get((asset, user)):
                weighted[source or asset] += pool.balance_of(asset, user) * price / config.unit * threshold / PERCENT
            owed[source or asset] += pool.debt_of(asset, user) * price / config.unit
        source = max(weighted if falls else owed, key=lambda name: weighted[name] if falls else owed[name])
        rest, all_owed = sum(weighted.values()) - weighted[source], sum(owed.values()) - owed[source]
        # health = (rest + factor * weighted) / (all_owed + factor * owed) = wanted
        above, below = wanted * all_owed - rest, weighted[source] - wanted * owed[source]
        if not below or not 0.02 < above / below < 50:
            return None
        return _price(source, pool.prices[source] * above / below)

    def liquidation(self, user: str, asset: str = "") -> Fields:
        """Of some debt of a user against some collateral: all that may be, about half, or what leaves little of one side."""
        pool, rng = self._pool, self._rng
        secured = [a for a in self._assets if pool.collaterals.get((a, user))] or list(self._assets)
        owing = [a for a in self._assets if pool.debts.get((a, user))] or list(self._assets)
        debt, asset = str(rng.choice(owing)), asset if asset in secured else str(rng.choice(secured))
        config, owed, held = pool.configs[asset], pool.debt_of(debt, user), pool.balance_of(asset, user)
        amount, u = MAX_UINT256, rng.random()
        if u < 0.15:
            amount = owed // 2 + int(rng.integers(-2, 3))
        elif u < 0.3:
            amount = owed - self._units(debt, float(rng.uniform(0, 2_000)))
        elif u < 0.45:
            worth = held * pool.prices[asset] / config.unit / USD - float(rng.uniform(0, 2_000))
            amount = self._units(debt, max(1.0, worth) * PERCENT / max(config.bonus, PERCENT))
        elif u < 0.55:
            amount = owed * int(rng.integers(1, 10**9)) // 10**9
        flag = bool(rng.random() < 0.3)
        return {
            "kind": "liquidate",
            "asset": asset,
            "other": debt,
            "user": user,
            "amount": max(1, amount),
            "flag": flag,
        }


def _price(asset: str, price: float) -> Fields:
    return {"kind": "price", "asset": asset, "amount": max(1, int(price))}
