"""Parity: the same random operations on the exact pool and on the contracts' bytecode, differences in wei.

After every operation both indexes, both rates, the treasury's accrual, cash and scaled totals of every reserve and all
balances, debts, flags and the account of whoever took part are compared, and every user's from time to time and at the end;
refusals by their code, amounts by the events. The contracts are those of npm's @aave/core-v3 1.19.3 on a local chain, which is
version 3.0; `treasury_arena_aave.origin.ORIGIN` are those of 3.6.0 instead, compiled from source, for version 3.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing

import attrs

from treasury_arena_aave.exact.book import TREASURY
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import RAY
from treasury_arena_aave.mirror import PoolAt, read_pool
from treasury_arena_aave.parity_operations import FIELDS, KINDS, Chooser, Operation
from treasury_arena_aave.parity_sides import Contracts, on_pool, pool_holdings
from treasury_arena_evm.interfaces.aave import CONFIGURATOR
from treasury_arena_evm.local.market import LocalMarket

LIQUIDATOR = "keeper"
EVERYBODY_EVERY = 25
TOLD_MAX = 20
FUNDS_TOKENS = 10**9
DAY = 86_400


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


@attrs.frozen
class Prepared:
    """A market that is ready: addresses, users by name, and the exact pool in the same state."""

    at: PoolAt
    users: Mapping[str, str]
    pool: Pool


@attrs.frozen
class Target:
    """Contracts to compare with.

    Attributes:
        checked: what they are, for the report.
        prepare: funds the users and reads, or deploys, the contracts.
        code: turns a revert reason into the exact pool's code.
        kinds: operations with their weights.
        fields: fields of a reserve's configuration that are changed.
    """

    checked: str
    prepare: Callable[[LocalMarket], Prepared]
    code: Callable[[str], str]
    kinds: Mapping[str, int] = KINDS
    fields: tuple[str, ...] = FIELDS


def actors(market: LocalMarket, pool: str) -> dict[str, str]:
    """Four users and a keeper, funded and approved for a pool, and the treasury; name -> address."""
    users = {f"user{n}": account.address for n, account in enumerate(market.users[:4])}
    users[LIQUIDATOR] = market.maker.address
    for address in users.values():
        for symbol, token in market.tokens.items():
            # So much that no operation fails for want of tokens, which the exact pool does not know about.
            market.fund(symbol, address, FUNDS_TOKENS * 10**token.decimals)
            market.approve(address, symbol, pool)
    return {**users, TREASURY: market.aave.treasury}


def prepare(market: LocalMarket) -> Prepared:
    """The deployed market of the 3.0 line, with a second e-mode category that has a price source."""
    chain, at = market.chain, PoolAt.read(market.chain, market.aave.provider, _tokens(market))
    users = actors(market, at.pool)
    second = (2, 8_800, 9_000, 10_200, market.token("USDC").address, "Priced as USDC")
    chain.send(market.owner.address, at.configurator, CONFIGURATOR.function("setEModeCategory"), *second)
    return Prepared(at, users, read_pool(chain, at, users, chain.now))


def code_of(reason: str) -> str:
    """The refusal's code from a revert string: a number, Solidity's panic, or a token that refuses."""
    if reason.startswith("panic 0x11"):
        return "0x11"
    return reason if reason.isdigit() else "transfer"


CORE = Target("bytecode of @aave/core-v3 1.19.3 on a local chain", prepare, code_of)


def _tokens(market: LocalMarket) -> Mapping[str, str]:
    return {symbol: token.address for symbol, token in market.tokens.items()}


def run_parity(
    market: LocalMarket,
    operations: int = 1_000,
    seed: int = 1,
    *,
    target: Target = CORE,
    change: Callable[[Pool], Pool] | None = None,
    stop_at_first: bool = False,
) -> ParityReport:
    """Run random operations on both sides and compare.

    Args:
        market: a local market; it is changed, so isolate it or throw it away.
        operations: how many.
        seed: of the operations.
        target: the contracts.
        change: replaces the exact pool before the first operation; for tests of this check.
        stop_at_first: end at the first difference.
    """
    began = time.perf_counter()
    ready = target.prepare(market)
    pool, start = ready.pool if change is None else change(ready.pool), market.chain.now
    report = ParityReport(pool.version.name, target.checked, seed)
    with closing(Contracts(market, ready.at, ready.users, LIQUIDATOR, target.code)) as contracts:
        run = _Run(pool, contracts, ready.at, ready.users, report)
        chooser = Chooser(pool, run.actors, seed, target.kinds, target.fields)
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
