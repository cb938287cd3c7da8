"""Parity: the same random operations on the exact pool and on the contracts' bytecode, differences in wei.

After every operation both indexes, both rates, the treasury's accrual, cash and scaled totals of every reserve and all
balances, debts, flags and the account of whoever took part are compared, and every user's from time to time and at the end;
refusals by their code, amounts by the events. The contracts are those of npm's @aave/core-v3 1.19.3 on a local chain, so the
version is 3.0; later versions have no bytecode here and are not checked by this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing

import attrs
import numpy as np

from treasury_arena.randomness import stream
from treasury_arena_aave.exact.book import TREASURY
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, RAY, WAD
from treasury_arena_aave.mirror import PoolAt, read_pool
from treasury_arena_aave.parity_sides import Contracts, Operation, on_pool, pool_holdings
from treasury_arena_evm.interfaces.aave import CONFIGURATOR
from treasury_arena_evm.local.market import LocalMarket

LIQUIDATOR = "keeper"
EVERYBODY_EVERY = 25
TOLD_MAX = 20
FUNDS_TOKENS = 10**9
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
    "liquidate": 14,
    "treasury": 2,
    "configure": 6,
}


@attrs.frozen
class Difference:
    """A quantity that was not the same: the operation's number, what it was, and both values."""

    number: int
    operation: str
    quantity: str
    exact: str
    contracts: str


@attrs.define
class ParityReport:
    """What a parity run found; `attrs.asdict` is JSON.

    Attributes:
        version: whose arithmetic the exact pool used.
        checked: the contracts.
        counts: operations by kind.
        done: those of them that were not refused.
        refused: refusals by code, the same on both sides.
        compared: comparisons by quantity.
        differences: largest difference in units of the last digit by quantity; only those above zero.
        told: the first differences in full.
        seconds: wall time.
        days: simulated time.
        usage_max: highest usage ratio of any reserve.
    """

    version: str
    checked: str
    seed: int
    operations: int = 0
    counts: dict[str, int] = attrs.field(factory=dict)
    done: dict[str, int] = attrs.field(factory=dict)
    refused: dict[str, int] = attrs.field(factory=dict)
    compared: dict[str, int] = attrs.field(factory=dict)
    differences: dict[str, int] = attrs.field(factory=dict)
    told: list[Difference] = attrs.field(factory=list)
    seconds: float = 0.0
    days: float = 0.0
    usage_max: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether nothing differed."""
        return not self.told

    def note(self, number: int, operation: str, quantity: str, exact: int | str, contracts: int | str) -> None:
        """Record one comparison."""
        kind = quantity.rsplit(" ", 1)[-1]
        self.compared[kind] = self.compared.get(kind, 0) + 1
        if exact == contracts:
            return
        numbers = isinstance(exact, int) and isinstance(contracts, int)
        size = abs(int(exact) - int(contracts)) if numbers else 1
        self.differences[kind] = max(self.differences.get(kind, 0), size)
        if len(self.told) < TOLD_MAX:
            self.told.append(Difference(number, operation, quantity, str(exact), str(contracts)))


class Chooser:
    """Draws operations that are likely to do something, given the exact pool's state, and some that are refused."""

    def __init__(self, pool: Pool, users: tuple[str, ...], seed: int) -> None:
        self._pool, self._users = pool, users
        self._assets = tuple(pool.configs)
        self._rng: np.random.Generator = stream(seed, 0, "aave/parity")
        self._start = dict(pool.prices)
        weights = np.array(list(KINDS.values()), float)
        self._kinds, self._weights = list(KINDS), weights / weights.sum()

    def draw(self, now: int) -> Operation:
        """The next operation, some seconds to sixty days after `now`."""
        rng = self._rng
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

    def _supply(self, step: Operation) -> dict[str, object]:
        reserve = self._pool.reserves[step.asset]
        return {"amount": self._part((reserve.cash + 10**3 * self._pool.config(step.asset).unit) // 8)}

    def _withdraw(self, step: Operation) -> dict[str, object]:
        held = self._pool.balance_of(step.asset, step.user)
        if held == 0 and self._rng.random() < 0.9:
            return {"kind": "supply", **self._supply(step)}
        return {"amount": MAX_UINT256 if self._rng.random() < 0.25 else self._part(held)}

    def _borrow(self, step: Operation) -> dict[str, object]:
        account = self._pool.account(step.user)
        room = max(0, account.collateral * account.ltv // 10_000 - account.debt)
        if room == 0 and self._rng.random() < 0.7:
            return {"kind": "supply", **self._supply(step)}
        limit = room * self._pool.config(step.asset).unit // self._pool.prices[step.asset]
        reserve = self._pool.reserves[step.asset]
        if self._rng.random() < 0.15:
            return {"amount": self._part(reserve.cash)}
        return {"amount": self._part(min(limit, reserve.cash) * 11 // 10)}

    def _repay(self, step: Operation) -> dict[str, object]:
        owing = tuple(a for a in self._assets if self._pool.debts.get((a, step.user)))
        asset = self._one(owing) if owing and self._rng.random() < 0.9 else step.asset
        owed = self._pool.debt_of(asset, step.user)
        if owed == 0 and self._rng.random() < 0.8:
            return {"kind": "borrow", **self._borrow(step)}
        return {"asset": asset, "amount": MAX_UINT256 if self._rng.random() < 0.35 else self._part(owed)}

    def _collateral(self, step: Operation) -> dict[str, object]:
        return {"flag": bool(self._rng.random() < 0.6)}

    def _emode(self, step: Operation) -> dict[str, object]:
        return {"asset": "", "amount": int(self._rng.choice([0, 0, 1, 2, 3]))}

    def _price(self, step: Operation) -> dict[str, object]:
        """A random walk that is drawn back to where it began."""
        price, start = self._pool.prices[step.asset], self._start[step.asset]
        wild = 0.25 if start > 10 * 10**8 else 0.04
        factor = float(np.exp(wild * self._rng.standard_normal())) * (start / price) ** 0.3
        return {"amount": max(1, int(price * factor)), "user": ""}

    def _liquidate(self, step: Operation) -> dict[str, object]:
        pool = self._pool
        weak = tuple(user for user in self._users if pool.account(user).health < WAD)
        if not weak and self._rng.random() < 0.7:
            return self._squeeze(step)
        user = self._one(weak) if weak and self._rng.random() < 0.95 else step.user
        secured = tuple(a for a in self._assets if pool.collaterals.get((a, user)))
        owing = tuple(a for a in self._assets if pool.debts.get((a, user)))
        debt = self._one(owing) if owing and self._rng.random() < 0.95 else self._one(self._assets)
        asset = self._one(secured) if secured and self._rng.random() < 0.95 else step.asset
        amount = MAX_UINT256 if self._rng.random() < 0.5 else self._part(pool.debt_of(debt, user))
        return {"asset": asset, "other": debt, "user": user, "amount": amount, "flag": bool(self._rng.random() < 0.3)}

    def _squeeze(self, step: Operation) -> dict[str, object]:
        """A price that puts somebody's health factor a little below one, now and then far below."""
        pool = self._pool
        owing = tuple(user for user in self._users if pool.account(user).debt)
        user = self._one(owing) if owing else step.user
        secured = tuple(a for a in self._assets if pool.collaterals.get((a, user))) or self._assets
        asset, health = self._one(secured), min(pool.account(user).health, 3 * WAD)
        fall = WAD / health * float(self._rng.uniform(0.75, 0.999))
        return {
            "kind": "price",
            "asset": asset,
            "user": "",
            "amount": max(1, int(pool.prices[asset] * min(fall, 0.98))),
        }

    def _treasury(self, step: Operation) -> dict[str, object]:
        return {"user": ""}

    def _configure(self, step: Operation) -> dict[str, object]:
        """What was switched off comes back soon, so that the market does not stand still."""
        pool, rng = self._pool, self._rng
        for asset, config in pool.configs.items():
            for field, usual in (("paused", 0), ("frozen", 0), ("borrowing", 1), ("supply_cap", 0), ("borrow_cap", 0)):
                if int(getattr(config, field)) != usual and rng.random() < 0.6:
                    return {"asset": asset, "other": field, "amount": usual, "user": ""}
        reserve, config = pool.reserves[step.asset], pool.config(step.asset)
        field = str(
            rng.choice(
                [
                    "paused",
                    "frozen",
                    "borrowing",
                    "supply_cap",
                    "borrow_cap",
                    "reserve_factor",
                    "protocol_fee",
                    "ltv",
                    "emode",
                ]
            )
        )
        supplied, owed = (
            scaled * index // RAY // config.unit
            for scaled, index in (
                (reserve.supplied_scaled, reserve.liquidity_index),
                (reserve.debt_scaled, reserve.borrow_index),
            )
        )
        usual_ltv = config.threshold - 300
        values = {
            "paused": 1,
            "frozen": 1,
            "borrowing": 0,
            "supply_cap": supplied + int(rng.integers(1, 1000)),
            "borrow_cap": owed + int(rng.integers(1, 1000)),
            "reserve_factor": int(rng.choice([0, 500, 1_000, 2_000, 10_000])),
            "protocol_fee": int(rng.choice([0, 1_000, 3_333])),
            "ltv": usual_ltv if config.ltv == 0 or rng.random() < 0.5 else 0,
            "emode": int(rng.choice([0, 1, 2])) if config.threshold < 8_000 else 0,
        }
        return {"other": field, "amount": values[field], "user": ""}


def prepare(market: LocalMarket) -> tuple[PoolAt, dict[str, str]]:
    """Fund four users and a keeper, approve, and add a second e-mode category with a price source; addresses."""
    chain, at = market.chain, PoolAt.read(market.chain, market.aave.provider, _tokens(market))
    users = {f"user{n}": account.address for n, account in enumerate(market.users[:4])}
    users[LIQUIDATOR], users[TREASURY] = market.maker.address, market.aave.treasury
    for name, address in users.items():
        if name != TREASURY:
            for symbol, token in market.tokens.items():
                # So much that no operation fails for want of tokens, which the exact pool does not know about.
                market.fund(symbol, address, FUNDS_TOKENS * 10**token.decimals)
                market.approve(address, symbol, at.pool)
    second = (2, 8_800, 9_000, 10_200, market.token("USDC").address, "Priced as USDC")
    chain.send(market.owner.address, market.aave.configurator, CONFIGURATOR.function("setEModeCategory"), *second)
    return at, users


def _tokens(market: LocalMarket) -> Mapping[str, str]:
    return {symbol: token.address for symbol, token in market.tokens.items()}


def run_parity(
    market: LocalMarket,
    operations: int = 1_000,
    seed: int = 1,
    *,
    change: Callable[[Pool], Pool] | None = None,
    stop_at_first: bool = False,
) -> ParityReport:
    """Run random operations on both sides and compare.

    Args:
        market: a local market; it is changed, so isolate it or throw it away.
        operations: how many.
        seed: of the operations.
        change: replaces the exact pool before the first operation; for tests of this check.
        stop_at_first: end at the first difference.
    """
    began = time.perf_counter()
    at, users = prepare(market)
    start = market.chain.now
    pool = read_pool(market.chain, at, users, start)
    if change is not None:
        pool = change(pool)
    report = ParityReport(pool.version.name, "bytecode of @aave/core-v3 1.19.3 on a local chain", seed)
    with closing(Contracts(market, at, users, LIQUIDATOR)) as contracts:
        run = _Run(pool, contracts, at, users, report)
        chooser = Chooser(pool, run.actors, seed)
        now = start
        for number in range(1, operations + 1):
            step = chooser.draw(now)
            now = step.at
            run.step(number, step, everybody=number == operations or number % EVERYBODY_EVERY == 0)
            if stop_at_first and not report.equal:
                break
    report.days, report.seconds = (now - start) / DAY, time.perf_counter() - began
    return report


@attrs.frozen(eq=False)
class _Run:
    """Both sides and the report they are compared in."""

    pool: Pool
    contracts: Contracts
    at: PoolAt
    users: Mapping[str, str]
    report: ParityReport

    @property
    def actors(self) -> tuple[str, ...]:
        """Users who act; the keeper liquidates and the treasury receives."""
        return tuple(name for name in self.users if name not in (LIQUIDATOR, TREASURY))

    def step(self, number: int, step: Operation, *, everybody: bool) -> None:
        """One operation on both sides, and all comparisons after it."""
        pool, report = self.pool, self.report
        config = pool.configs.get(step.asset)
        ours, theirs = on_pool(pool, step, LIQUIDATOR), self.contracts.execute(step, config)
        report.operations = number
        _count(report.counts, step.kind)
        _count(report.refused if theirs.code else report.done, theirs.code or step.kind)
        told = " ".join(part for part in (step.kind, step.asset, step.other, step.user) if part)
        report.note(number, told, "refusal", ours.code, theirs.code)
        report.note(number, told, "quantities", len(ours.amounts), len(theirs.amounts))
        for place, (a, b) in enumerate(zip(ours.amounts, theirs.amounts, strict=False)):
            report.note(number, told, f"amount{place or ''}", a, b)
        changed = None if everybody else {step.user, LIQUIDATOR, TREASURY}
        exact, found = pool_holdings(pool, self.at, self.users, changed), self.contracts.holdings(changed)
        report.note(number, told, "quantities", len(exact), len(found))
        for quantity, value in found.items():
            report.note(number, told, quantity, exact.get(quantity, -1), value)
        for reserve in pool.reserves.values():
            owed = reserve.debt_scaled * reserve.borrow_index // RAY
            report.usage_max = max(report.usage_max, owed / max(1, owed + reserve.cash))


def _count(table: dict[str, int], key: str) -> None:
    table[key] = table.get(key, 0) + 1
