"""Parity: the same random operations on the exact pool and on the contracts' bytecode, differences in wei.

After every operation both indexes, both rates, the treasury's accrual, cash, deficit and scaled totals of every reserve and all
balances, debts, flags and the account of whoever took part are compared, and every user's from time to time and at the end;
refusals by their code, amounts by the events. The contracts are those of npm's @aave/core-v3 1.19.3 on a local chain, which is
version 3.0; `treasury_arena_aave.origin.ORIGIN` are those of 3.6.0 instead, compiled from source, for version 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.parity import GapCheck, ParityCheck, ParityResult, Tally, Told
from treasury_arena_aave.exact.book import TREASURY
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import RAY
from treasury_arena_aave.mirror import PoolAt, read_pool
from treasury_arena_aave.parity_operations import FIELDS, KINDS, Chooser, Operation
from treasury_arena_aave.parity_sides import Contracts, on_pool
from treasury_arena_evm.interfaces.aave import CONFIGURATOR
from treasury_arena_evm.local.market import LocalMarket, local_market

LIQUIDATOR = "keeper"
EVERYBODY_EVERY = 25
FUNDS_TOKENS = 10**9
PROTOCOL_FEE_BPS = 1_000
DAY = 86_400


@attrs.define
class Course:
    """What happened in a run, to tell how much it means; what was compared is in the tally.

    Attributes:
        version: whose arithmetic the exact pool used.
        tally: comparisons, and what differed.
        operations: so many were executed.
        done: those that were not refused, by kind.
        refused: those that both sides refused, by code.
        days: simulated time.
        usage_max: highest usage ratio of any reserve.
    """

    version: str
    tally: Tally = attrs.field(factory=Tally)
    operations: int = 0
    done: dict[str, int] = attrs.field(factory=dict)
    refused: dict[str, int] = attrs.field(factory=dict)
    days: float = 0.0
    usage_max: float = 0.0


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
        checked: what they are, for the result.
        prepare: funds the users and reads, or deploys, the contracts.
        code: turns a revert reason into the exact pool's code.
        kinds: operations with their weights.
        fields: fields of a reserve's configuration that are changed.
        deficits: whether the contracts keep a reserve's deficit (3.3 and later).
    """

    checked: str
    prepare: Callable[[LocalMarket], Prepared]
    code: Callable[[str], str]
    kinds: Mapping[str, int] = KINDS
    fields: tuple[str, ...] = FIELDS
    deficits: bool = False


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
    """The deployed market of the 3.0 line, with a second e-mode category that has a price source, and fees on liquidations."""
    chain, at = market.chain, PoolAt.read(market.chain, market.aave.provider, _tokens(market))
    users = actors(market, at.pool)
    second = (2, 8_800, 9_000, 10_200, market.token("USDC").address, "Priced as USDC")
    chain.send(market.owner.address, at.configurator, CONFIGURATOR.function("setEModeCategory"), *second)
    for token in market.tokens.values():
        fee = CONFIGURATOR.function("setLiquidationProtocolFee"), token.address, PROTOCOL_FEE_BPS
        chain.send(market.owner.address, at.configurator, *fee)
    return Prepared(at, users, read_pool(chain, at, users, chain.now))


def code_of(reason: str) -> str:
    """The refusal's code from a revert string: a number, Solidity's panic, a number too large, or a token that refuses."""
    if reason.startswith("panic 0x11"):
        return "0x11"
    if reason == "SafeCast: value doesn't fit in 128 bits":
        return "uint128"
    return reason if reason.isdigit() else "transfer"


CORE = Target("@aave/core-v3 1.19.3", prepare, code_of)


def _tokens(market: LocalMarket) -> Mapping[str, str]:
    return {symbol: token.address for symbol, token in market.tokens.items()}


def compare(
    market: LocalMarket,
    operations: int,
    seed: int,
    told: Told = lambda done, of: None,
    *,
    target: Target = CORE,
    change: Callable[[Pool], Pool] | None = None,
    stop_at_first: bool = False,
) -> Course:
    """Run random operations on both sides and compare.

    Args:
        market: a local market; it is changed, so isolate it or throw it away.
        operations: how many.
        seed: of the operations.
        told: is told how far it is.
        target: the contracts.
        change: replaces the exact pool before the first operation; for tests of this check.
        stop_at_first: end at the first difference.
    """
    ready = target.prepare(market)
    pool, start = ready.pool if change is None else change(ready.pool), market.chain.now
    course = Course(pool.version.name)
    with closing(
        Contracts(market, ready.at, ready.users, LIQUIDATOR, target.code, deficits=target.deficits)
    ) as contracts:
        run = _Run(pool, contracts, ready.at, ready.users, course)
        chooser = Chooser(pool, run.actors, seed, target.kinds, target.fields)
        now = start
        for number in range(1, operations + 1):
            step = chooser.draw(now)
            now = step.at
            run.step(number, step, everybody=number == operations or number % EVERYBODY_EVERY == 0)
            told(number, operations)
            if stop_at_first and course.tally.first:
                break
    course.days = (now - start) / DAY
    return course


@attrs.frozen(eq=False)
class _Run:
    """Both sides and the course they are compared in."""

    pool: Pool
    contracts: Contracts
    at: PoolAt
    users: Mapping[str, str]
    course: Course

    @property
    def actors(self) -> tuple[str, ...]:
        """Users who act; the keeper liquidates and the treasury receives."""
        return tuple(name for name in self.users if name not in (LIQUIDATOR, TREASURY))

    def step(self, number: int, step: Operation, *, everybody: bool) -> None:
        """One operation on both sides, and all comparisons after it."""
        pool, course = self.pool, self.course
        config = pool.configs.get(step.asset)
        ours, theirs = on_pool(pool, step, LIQUIDATOR), self.contracts.execute(step, config)
        course.operations = number
        if not theirs.code:
            course.done[step.kind] = course.done.get(step.kind, 0) + 1
        elif ours.code == theirs.code:
            course.refused[theirs.code] = course.refused.get(theirs.code, 0) + 1
            course.tally.refused += 1
        what = " ".join(part for part in (step.kind, step.asset, step.other, step.user) if part)

        def note(quantity: str, a: int | str, b: int | str) -> None:
            # Whose quantity it is belongs to the sentence, not to the table: "user1 USDC owed" is one of many "owed".
            *whose, name = quantity.split(" ")
            course.tally.note(number, f"{what}: {' '.join(whose)}" if whose else what, name, a, b)

        note("refusal", ours.code, theirs.code)
        note("quantities", len(ours.amounts), len(theirs.amounts))
        for place, (a, b) in enumerate(zip(ours.amounts, theirs.amounts, strict=False)):
            note(f"amount{place or ''}", a, b)
        changed = None if everybody else {step.user, LIQUIDATOR, TREASURY}
        exact, found = self.contracts.of_pool(pool, changed), self.contracts.holdings(changed)
        note("quantities", len(exact), len(found))
        for quantity, value in found.items():
            note(quantity, exact.get(quantity, -1), value)
        for reserve in pool.reserves.values():
            owed = reserve.debt_scaled * reserve.borrow_index // RAY
            course.usage_max = max(course.usage_max, owed / max(1, owed + reserve.cash))


@attrs.frozen
class PoolParity(ParityCheck):
    """The exact pool of a version against contracts, on a local market of its own."""

    name: str = "Aave 3.0"
    target: Target = CORE

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        watch = Stopwatch()
        with local_market(anvil=anvil) as market:
            course = compare(market, operations, seed, told, target=self.target)
        return course.tally.result(self.name, self.target.checked, operations, watch.seconds())


def checks() -> tuple[ParityCheck | GapCheck, ...]:
    """What the protocol offers to `arena parity`."""
    from treasury_arena_aave.gap import AccountGap, AccountReserveGap, SupplyGap
    from treasury_arena_aave.origin import ORIGIN

    return PoolParity(), PoolParity("Aave 3.5", ORIGIN), SupplyGap(), AccountGap(), AccountReserveGap()
