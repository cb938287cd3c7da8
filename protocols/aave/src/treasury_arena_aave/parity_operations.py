"""The operations of the parity check: drawn so that most do something, in the state that the exact pool is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from treasury_arena.randomness import stream
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, RAY, WAD
from treasury_arena_aave.parity_scenes import JOINS_BELOW, LTV_BELOW, Fields, Scenes

DAY = 86_400
LONGEST_GAP = 60 * DAY
KINDS = {
    "supply": 18,
    "withdraw": 14,
    "borrow": 20,
    "repay": 16,
    "collateral": 5,
    "emode": 5,
    "price": 8,
    "liquidate": 18,
    "treasury": 5,
    "configure": 6,
}
FIELDS = (
    "paused",
    "frozen",
    "borrowing",
    "supply_cap",
    "borrow_cap",
    "reserve_factor",
    "protocol_fee",
    "ltv",
    "emode",
)
"""Fields of a reserve's configuration that are changed."""


@attrs.frozen
class Operation:
    """One step: `kind` on `asset` by `user`.

    Attributes:
        kind: supply, withdraw, borrow, repay, collateral, emode, price, liquidate, treasury, configure.
        other: the debt asset of a liquidation, or the field a configuration changes.
        amount: base units, a price with 8 decimals, a category, or the field's value.
        flag: collateral on, or a liquidation that takes the supply instead of the token.
        at: second of the block.
    """

    kind: str
    at: int
    asset: str = ""
    user: str = ""
    other: str = ""
    amount: int = 0
    flag: bool = False


class Chooser:
    """Draws operations that are likely to do something, given the exact pool's state, and some that are refused."""

    def __init__(
        self,
        pool: Pool,
        users: tuple[str, ...],
        seed: int,
        kinds: Mapping[str, int] = KINDS,
        fields: tuple[str, ...] = FIELDS,
    ) -> None:
        self._pool, self._users, self._fields = pool, users, fields
        self._assets = tuple(pool.configs)
        self._rng: np.random.Generator = stream(seed, 0, "aave/parity")
        self._start = dict(pool.prices)
        weights = np.array(list(kinds.values()), float)
        self._kinds, self._weights = list(kinds), weights / weights.sum()
        self._scenes = Scenes(pool, users, self._rng, categories="emode" in kinds)
        self._scene: Iterator[Fields] = iter(())

    def draw(self, now: int) -> Operation:
        """The next operation, some seconds to sixty days after `now`: of the scene that is on, or any."""
        rng = self._rng
        if rng.random() < 0.9:
            fields = next(self._scene, None)
            if fields is not None:
                soon = rng.random() < 0.85
                return Operation(at=now + (int(rng.integers(1, 600)) if soon else self._gap()), **fields)
        kind = str(rng.choice(self._kinds, p=self._weights))
        step = Operation(kind, now + self._gap(), self._one(self._assets), self._one(self._users))
        return attrs.evolve(step, **getattr(self, f"_{kind}")(step))

    def _one(self, options: tuple[str, ...]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _gap(self) -> int:
        u = self._rng.random()
        if u < 0.6:
            return int(self._rng.integers(1, 3_600))
        if u < 0.88:
            return int(self._rng.integers(3_600, DAY))
        if u < 0.975:
            return int(self._rng.integers(DAY, 6 * DAY))
        return int(self._rng.integers(6 * DAY, LONGEST_GAP + 1))

    def _part(self, whole: int) -> int:
        """A share of `whole` with odd last digits, now and then nothing, one unit, or too much."""
        u = self._rng.random()
        if u < 0.02:
            return 0
        if u < 0.05:
            return int(self._rng.integers(1, 10))
        share = int(self._rng.integers(1, 10**9)) if u < 0.92 else int(self._rng.integers(10**9, 2 * 10**9))
        return whole * share // 10**9 + int(self._rng.integers(0, 1000)) * (whole > 10**6)

    def _supply(self, step: Operation) -> Fields:
        reserve = self._pool.reserves[step.asset]
        return {"amount": self._part((reserve.cash + 10**3 * self._pool.config(step.asset).unit) // 8)}

    def _withdraw(self, step: Operation) -> Fields:
        held = self._pool.balance_of(step.asset, step.user)
        if held == 0 and self._rng.random() < 0.9:
            return {"kind": "supply", **self._supply(step)}
        return {"amount": MAX_UINT256 if self._rng.random() < 0.25 else self._part(held)}

    def _borrow(self, step: Operation) -> Fields:
        account = self._pool.account(step.user)
        room = max(0, account.collateral * account.ltv // 10_000 - account.debt)
        if room == 0 and self._rng.random() < 0.7:
            return {"kind": "supply", **self._supply(step)}
        limit = room * self._pool.config(step.asset).unit // self._pool.prices[step.asset]
        reserve = self._pool.reserves[step.asset]
        if self._rng.random() < 0.15:
            return {"amount": self._part(reserve.cash)}
        return {"amount": self._part(min(limit, reserve.cash) * 11 // 10)}

    def _repay(self, step: Operation) -> Fields:
        owing = tuple(a for a in self._assets if self._pool.debts.get((a, step.user)))
        asset = self._one(owing) if owing and self._rng.random() < 0.9 else step.asset
        owed = self._pool.debt_of(asset, step.user)
        if owed == 0 and self._rng.random() < 0.8:
            return {"kind": "borrow", **self._borrow(step)}
        return {"asset": asset, "amount": MAX_UINT256 if self._rng.random() < 0.35 else self._part(owed)}

    def _collateral(self, step: Operation) -> Fields:
        return {"flag": bool(self._rng.random() < 0.6)}

    def _emode(self, step: Operation) -> Fields:
        return {"asset": "", "amount": int(self._rng.choice([0, 0, 1, 2, 3]))}

    def _price(self, step: Operation) -> Fields:
        """A random walk that is drawn back to where it began."""
        price, start = self._pool.prices[step.asset], self._start[step.asset]
        wild = 0.25 if start > 10 * 10**8 else 0.04
        factor = float(np.exp(wild * self._rng.standard_normal())) * (start / price) ** 0.3
        return {"amount": max(1, int(price * factor)), "user": ""}

    def _liquidate(self, step: Operation) -> Fields:
        pool = self._pool
        accounts = {user: pool.account(user) for user in self._users}
        # Who has nothing left to take stays weak for ever in 3.0.
        weak = tuple(user for user, account in accounts.items() if account.health < WAD and account.collateral)
        if not weak and self._rng.random() < 0.85:
            self._scene = self._scenes.draw()
            return {"user": "", **next(self._scene, {"kind": "treasury"})}
        return self._scenes.liquidation(self._one(weak) if weak else step.user)

    def _treasury(self, step: Operation) -> Fields:
        return {"user": ""}

    def _configure(self, step: Operation) -> Fields:
        """What was switched off comes back soon, so that the market does not stand still."""
        pool, rng = self._pool, self._rng
        for asset, config in pool.configs.items():
            for field, usual in (("paused", 0), ("frozen", 0), ("borrowing", 1), ("supply_cap", 0), ("borrow_cap", 0)):
                if field in self._fields and int(getattr(config, field)) != usual and rng.random() < 0.6:
                    return {"asset": asset, "other": field, "amount": usual, "user": ""}
        reserve, config = pool.reserves[step.asset], pool.config(step.asset)
        field = self._one(self._fields)
        supplied, owed = (
            scaled * index // RAY // config.unit
            for scaled, index in (
                (reserve.supplied_scaled, reserve.liquidity_index),
                (reserve.debt_scaled, reserve.borrow_index),
            )
        )
        usual_ltv = config.threshold - LTV_BELOW
        values = {
            "paused": 1,
            "frozen": 1,
            "borrowing": 0,
            "supply_cap": supplied + int(rng.integers(1, 1000)),
            "borrow_cap": owed + int(rng.integers(1, 1000)),
            "reserve_factor": int(rng.choice([0, 500, 1_000, 2_000, 10_000])),
            "protocol_fee": int(rng.choice([0, 1_000, 3_333])),
            "ltv": usual_ltv if config.ltv == 0 or rng.random() < 0.5 else 0,
            "emode": int(rng.choice([0, 1, 2])) if config.threshold < JOINS_BELOW else 0,
        }
        return {"other": field, "amount": values[field], "user": ""}
