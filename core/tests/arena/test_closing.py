"""Closing an account: a market too thin for the whole position takes it in slices, over several cycles where it must;
what no market takes is dust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena.funding import SLICES_MAX
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ValidationError
from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.frames import reference_markets

USD = 10**6
Make = Callable[..., ArenaManager]


class Depth:
    """Makes a market refuse every trade larger than `most_raw`; None: it takes any size."""

    def __init__(self, market: ExactMarket) -> None:
        self.market = market
        self.most_raw: int | None = None
        self._trade = market.trade
        market.trade = self  # type: ignore[method-assign, assignment]

    def __call__(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        size = abs(target_raw - self.market.value(state, row))
        if self.most_raw is not None and size > self.most_raw:
            raise ValidationError(f"a trade of {size} exceeds the market's depth of {self.most_raw}; split it")
        return self._trade(state, target_raw, row, control)


@pytest.fixture
def holding(make_arena: Make, world: Any) -> tuple[ArenaManager, str, Depth]:
    """An arena, an agent that holds 2,000 USD of the coin and retires in the next cycle, and the coin market's depth."""
    markets = reference_markets(world.frame)
    depth = Depth(markets["coin"])
    arena = make_arena(
        world=attrs.evolve(world, markets=markets),
        retirement_age_days=7,
        simulation_age_days_min=300,
        lend_idle=False,
        agents=2,
    )
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 1.0, "band": 0.5})
    arena.allocate_capital(name, 2_000 * USD, "arena")
    arena.run_evolution_cycle()
    assert arena.agent(name).alive
    assert worth(arena, name) > 1_500 * USD
    return arena, name, depth


def worth(arena: ArenaManager, name: str) -> int:
    """Value of the coins the agent holds now."""
    account = arena.funding.accounts[name]
    return arena.engine.market("coin").value(account.positions["coin"], arena.row)


def told(arena: ArenaManager, name: str, kind: type, after: int) -> list[Any]:
    return [e.payload for e in arena.store.read(after=after, agent_id=name) if isinstance(e.payload, kind)]


def sound(arena: ArenaManager) -> None:
    assert not any(arena.verify_capital_conservation().values())
    assert audit(arena.store).ok


def test_a_market_that_takes_the_whole_size_gets_it_in_one_order(holding: tuple[ArenaManager, str, Depth]) -> None:
    arena, name, _ = holding
    before = arena.store.last()[0]
    arena.run_evolution_cycle()
    assert len(told(arena, name, catalog.OrderSettled, before)) == 1
    assert name not in arena.funding.accounts


def test_a_position_beyond_the_depth_is_sold_in_slices(holding: tuple[ArenaManager, str, Depth]) -> None:
    arena, name, depth = holding
    depth.most_raw = 300 * USD
    before = arena.store.last()[0]
    pool = arena.get_capital_allocation_breakdown()["arena"]["cash"]
    arena.run_evolution_cycle()
    sold = told(arena, name, catalog.OrderSettled, before)
    assert len(sold) > 5
    assert all(order.notional_raw <= 300 * USD for order in sold)
    assert not told(arena, name, catalog.OrderRejected, before)
    returned = sum(payload.amount_raw for payload in told(arena, name, catalog.CapitalReturned, before))
    assert returned >= sum(order.cash_raw for order in sold) > 1_400 * USD
    assert arena.get_capital_allocation_breakdown()["arena"]["cash"] == pool + returned
    assert name not in arena.funding.accounts
    assert not any(arena.store.balances(f"agent:{name}:").values())
    sound(arena)


def test_what_one_cycle_cannot_sell_the_next_ones_do(holding: tuple[ArenaManager, str, Depth]) -> None:
    arena, name, depth = holding
    depth.most_raw = 12 * USD
    before = arena.store.last()[0]
    arena.run_evolution_cycle()
    assert not arena.agent(name).alive
    assert len(told(arena, name, catalog.OrderSettled, before)) == SLICES_MAX
    assert worth(arena, name) > 0
    assert arena.get_capital_allocation_breakdown()["agents"][name] > 0
    while name in arena.funding.accounts:
        left = worth(arena, name)
        assert arena.run_evolution_cycle() is not None
        assert name not in arena.funding.accounts or worth(arena, name) < left
    assert not any(arena.store.balances(f"agent:{name}:").values())
    assert all(order.notional_raw <= 12 * USD for order in told(arena, name, catalog.OrderSettled, before))
    sound(arena)


def test_a_market_that_takes_nothing_keeps_the_account_in_the_books(holding: tuple[ArenaManager, str, Depth]) -> None:
    arena, name, depth = holding
    depth.most_raw = 0
    before = arena.store.last()[0]
    for _ in range(2):
        arena.run_evolution_cycle()
    assert not arena.agent(name).alive
    assert not told(arena, name, catalog.OrderSettled, before)
    breakdown = arena.get_capital_allocation_breakdown()
    assert breakdown["agents"][name] > 0
    assert arena.state.capital_raw == breakdown["total"]
    depth.most_raw = None
    arena.run_evolution_cycle()
    assert name not in arena.funding.accounts
    sound(arena)


def test_capital_that_is_taken_back_is_sold_for_as_far_as_the_market_takes_it(
    holding: tuple[ArenaManager, str, Depth],
) -> None:
    arena, name, depth = holding
    depth.most_raw = 300 * USD
    account, before, held = arena.funding.accounts[name], arena.store.last()[0], worth(arena, name)
    free = account.available_raw
    arena.funding._withdraw(account, free + 1_000 * USD, arena.row)
    arena.journal.commit()
    (sold,) = told(arena, name, catalog.OrderSettled, before)
    assert sold.notional_raw == 250 * USD  # a quarter of what was asked for
    assert worth(arena, name) == pytest.approx(held - 250 * USD, abs=USD)
    (back,) = told(arena, name, catalog.CapitalReturned, before)
    assert back.amount_raw == free + sold.cash_raw
    depth.most_raw = 0
    arena.funding._withdraw(account, 1_000 * USD, arena.row)
    arena.journal.commit()
    assert len(told(arena, name, catalog.OrderSettled, before)) == 1
    sound(arena)


def test_what_is_too_small_to_be_sold_is_kept_as_dust_and_counted_as_nothing(make_arena: Make, world: Any) -> None:
    """On the day of the closing the coin is worth a two-thousandth: half a dollar is left, below the market's dust."""
    frame = world.frame
    row = world.first_row + 2 * 7 * frame.steps_per_day
    fallen = np.where(np.arange(frame.rows) < row, 1.0, 0.0005)
    other = MarketFrame(frame.start, frame.step_seconds, {**frame.columns, "WETH.price": frame["WETH.price"] * fallen})
    arena = make_arena(
        world=attrs.evolve(world, markets=reference_markets(other)),
        retirement_age_days=7,
        simulation_age_days_min=300,
        lend_idle=False,
        agents=2,
    )
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 0.5, "band": 0.5})
    arena.allocate_capital(name, 2_000 * USD, "arena")
    arena.run_evolution_cycle()
    held = arena.engine.market("coin").holdings(arena.funding.accounts[name].positions["coin"])["WETH"]
    before = arena.store.last()[0]
    arena.run_evolution_cycle()
    assert name not in arena.funding.accounts
    assert arena.store.balance("treasury:dust", "WETH") == held > 0
    assert not any(arena.store.balances(f"agent:{name}:").values())
    assert not told(arena, name, catalog.OrderRejected, before)
    total = arena.get_capital_allocation_breakdown()["total"]
    cash = sum(arena.store.balance(account, "USDC") for account in ("treasury:reserve", "pool:proving", "pool:arena"))
    assert arena.state.capital_raw == total == cash
    sound(arena)


def test_a_debt_is_not_swept_away_as_dust(
    holding: tuple[ArenaManager, str, Depth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an emptied position still owes, too little to be bought, keeps the account in the books until it is paid."""
    arena, name, depth = holding
    holdings = depth.market.holdings
    monkeypatch.setattr(
        depth.market, "holdings", lambda state: {"WETH": -5} if state == depth.market.open() else holdings(state)
    )
    before = arena.store.last()[0]
    arena.run_evolution_cycle()
    assert told(arena, name, catalog.OrderSettled, before)
    assert name in arena.funding.accounts
    assert arena.store.balance("treasury:dust", "WETH") == 0
    monkeypatch.undo()
    arena.run_evolution_cycle()
    assert name not in arena.funding.accounts
    sound(arena)
