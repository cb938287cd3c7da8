"""Capital that comes and goes is no return: it leaves an agent's value per unit of capital where it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.testing.frames import synthetic_frame

USD = 10**6
Make = Callable[..., ArenaManager]


@pytest.mark.parametrize("drift", [0.002, -0.002])
@pytest.mark.parametrize("change", [3_000 * USD, -1])
def test_a_change_of_capital_is_no_return(make_arena: Make, drift: float, change: int) -> None:
    """An agent whose coins have risen or fallen is given, or gives back, as ranks would have it."""
    arena = make_arena(
        frame=synthetic_frame(80, volatility=0.0, drift=drift), simulation_age_days_min=300, lend_idle=False, agents=2
    )
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 0.9, "band": 0.5})
    arena.allocate_capital(name, 4_000 * USD)
    for _ in range(3):
        arena.run_evolution_cycle()
    account = arena.funding.accounts[name]
    before, peak = account.nav, account.peak_nav
    assert abs(before - 1.0) > 0.05
    worth = arena.funding.equity_raw(account, arena.row)
    if change > 0:
        arena.allocate_capital(name, change)
    else:
        arena._transact(lambda: arena.funding.give_back(account, "arena", -change, arena.row, "by rank"))
    arena._transact(lambda: arena.funding.mark(account, arena.state.present_cycle, arena.row))
    account = arena.funding.accounts[name]
    assert account.nav == pytest.approx(before, rel=2e-3)  # but for what trading the difference costs
    assert account.peak_nav == pytest.approx(peak, rel=2e-3)
    assert arena.funding.equity_raw(account, arena.row) == pytest.approx(worth + change, rel=2e-3)
    arena.run_evolution_cycle()
    assert (arena.funding.accounts[name].nav > before) == (drift > 0.0)  # it goes on from where it was
