"""Real strategies, stepped on a real node: at every step and at the end the ledger says what the chain says."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import pytest
from aave_bench import DAY, USD, Bench

from treasury_arena.contracts.strategy import Column, Real, Role, Strategy
from treasury_arena.events.catalog import OrderFailed, OrderRejected, OrderSettled
from treasury_arena_looper.strategy import STRATEGY as LOOPER


def live(bench: Bench, runner: Any, day: int, days: int = 1) -> None:
    """Step on so many days, the books held against the chain after every step and every night."""
    for number in range(day, day + days):
        bench.row = 2 * number
        runner.step(bench.account, bench.row)
        assert bench.account.failed is None
        assert bench.loan.unfinished == ""
        bench.books_equal_the_chain()
        bench.chain.advance(DAY)


def test_the_looper_loops_delevers_and_leaves(local_market: Any) -> None:
    looper = LOOPER
    bench = Bench(local_market, cash_usd=30_000)
    rates = {"supply": 0.09, "borrow": 0.03, "growth": 0.0, "rate": 0.02, "gas": 0.5}
    features = lambda genome, row: tuple(rates[name] for name in looper.features._fields)  # noqa: E731
    runner = bench.runner(looper, ("usd", "account"), features)
    wanted = {
        "leverage": 2.0,
        "share": 0.6,
        "floor": 1.3,
        "cushion": 0.1,
        "enter": 0.015,
        "band": 0.2,
        "ltv_band": 0.05,
    }
    bench.account.genome = tuple(looper.space.genome(wanted).tolist())

    live(bench, runner, 0, 3)
    views, entered = bench.views(), len(bench.journal.payloads(OrderSettled))
    assert entered == 2  # lent, and looped
    assert views["ltv"] == pytest.approx(0.5, abs=0.002)
    assert bench.value("account") == pytest.approx(18_000, rel=0.005)
    assert bench.value("usd") == pytest.approx(12_000, rel=0.005)

    live(bench, runner, 3, 3)
    assert len(bench.journal.payloads(OrderSettled)) == entered  # days pass, nothing to do
    bench.move_price(1_400)
    bench.row += 1
    assert 1.0 < bench.views()["health"] < 1.3
    live(bench, runner, 6, 2)
    assert bench.views()["health"] > 1.4
    assert bench.views()["ltv"] == pytest.approx(views["ltv"], abs=0.002)
    assert [order.role for order in bench.journal.payloads(OrderSettled)[entered:]][-1] == "account"

    rates["supply"] = 0.0  # the spread is gone
    live(bench, runner, 8, 3)
    assert bench.account.positions["account"] == bench.loan.open()
    assert bench.on_chain("WETH", "a_token") == bench.on_chain("USDC", "variable_debt") == 0
    assert bench.value("usd") == pytest.approx(bench.equity() / USD, rel=1e-3)
    bench.books_equal_the_chain()
    assert not bench.journal.payloads(OrderRejected)
    assert not bench.journal.payloads(OrderFailed)


class Genes(NamedTuple):
    floor: Annotated[float, Real(0.0, 0.2, 0.03, "APR")]
    band: Annotated[float, Real(0.0, 0.5, 0.01, "share of equity")]


class Features(NamedTuple):
    rate: Annotated[float, Column("raw", 1, of="usd", field="rate")]


class Book(NamedTuple):
    equity: float


class Target(NamedTuple):
    usd: float
    band: float


class State(NamedTuple):
    pass


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Lend more the better it pays, and nothing below the floor."""
    share = 10.0 * f.rate if f.rate >= g.floor else 0.0
    return Target(share if share < 1.0 else 1.0, g.band), s


def test_a_lender_follows_the_reserve_s_own_rate(local_market: Any) -> None:
    lender = Strategy("lender", {"usd": Role("lending", "lending")}, Genes, Features, Book, Target, State, decide)
    bench = Bench(local_market)

    def rate(genome: Any, row: int) -> tuple[float]:
        pool = bench.usd.aave.pool(bench.who.address)
        return (pool.reserves["USDC"].liquidity_rate / 1e27,)

    runner = bench.runner(lender, ("usd",), rate)
    bench.account.genome = (0.01, 0.01)
    bench.local.fund("WETH", bench.local.maker.address, 10_000 * 10**18)
    shares = []
    for day, borrowed in enumerate((0, 2_000_000, 0, 0, -4_000_000, 0, -3_000_000, 0, 0)):
        crowd(bench, borrowed * USD)
        live(bench, runner, day)
        shares.append(
            round(bench.value("usd") / (bench.equity() / USD), 2) if "usd" in bench.account.positions else 0.0
        )
    assert shares[-1] == 0.0  # the rate fell below the floor
    assert max(shares) > 0.3
    assert len(set(shares)) >= 3
    assert bench.account.positions["usd"] == (0, 0)
    assert bench.account.cash_raw > 20_000 * USD
    assert not bench.journal.payloads(OrderRejected)


def crowd(bench: Bench, amount: int) -> None:
    """The maker borrows so much more USDC, or pays it back."""
    from treasury_arena_evm.interfaces.aave import POOL

    maker, pool, usdc = bench.local.maker.address, bench.local.aave.pool, bench.local.token("USDC").address
    if amount > 0:
        bench.chain.send(maker, pool, POOL.function("borrow"), usdc, amount, 2, 0, maker)
    elif amount:
        bench.local.fund("USDC", maker, -amount)
        bench.local.approve(maker, "USDC", pool)
        bench.chain.send(maker, pool, POOL.function("repay"), usdc, -amount, 2, maker)
