"""The live desk: capital and positions follow the arena's agents, and a result that is not simulation's stops an agent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import StepKind
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import ValidationError
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.chain import SimulatedClient, SimulatedPlanner, SimulatedSigner, World
from treasury_arena.testing.orders import USDC, ChainClock
from treasury_arena.trading.live import LiveLimits, OrderEngine
from treasury_arena.trading.live.desk import LiveDesk, Twin

CASH = 1_000_000_000


@attrs.define
class Office:
    """A desk over one lending market on a chain in memory."""

    world: World
    store: EventStore
    engine: OrderEngine
    desk: LiveDesk

    def mine(self, rounds: int = 12) -> None:
        for _ in range(rounds):
            self.engine.tick()
            self.world.mine()

    def follow(self, twins: list[Twin], row: int) -> list[str]:
        said = self.desk.follow(twins, row, row)
        self.mine()
        return said

    def cash(self, agent: str) -> int:
        return self.store.balance(f"agent:{agent}:available", "USDC")

    def position(self, agent: str) -> int:
        return self.store.balance(f"agent:{agent}:position:lend", "USDC")

    def check(self) -> None:
        """Books and chain agree, and the tables are what the events say."""
        books = self.store.balances()
        plain = sum(
            amount
            for (account, asset), amount in books.items()
            if asset == "USDC" and (account.startswith("pool:") or account.endswith((":available", ":reserved")))
        )
        assert plain == self.world.balances["USDC"]
        held = sum(amount for (account, _), amount in books.items() if ":position:" in account)
        assert held == self.world.locked.get(("market", "USDC"), 0)
        assert replay(self.store).ok


def office(path: Path, *, scale: str = "1", band: float = 0.01, tolerance: float = 100.0) -> Office:
    world = World(balances={"USDC": CASH})
    store = open_store(path / "live.db")
    planner = SimulatedPlanner(world, "market", USDC, StepKind.SUPPLY, StepKind.WITHDRAW)
    clock = ChainClock(world)
    engine = OrderEngine(
        "arena",
        store,
        SimulatedClient(world),
        SimulatedSigner(),
        {"market": planner},
        clock,
        LiveLimits(),
        mode="local",
        stop_level=lambda _: OFF,
    )
    desk = LiveDesk(engine, clock, scale=Decimal(scale), band=band, tolerance_bps=tolerance)
    desk.book("ann")
    return Office(world, store, engine, desk)


def twin(
    value: int, *, equity: int = 100_000_000, given: int = 100_000_000, nav: float = 1.0, name: str = "a1"
) -> Twin:
    return Twin(name, equity, nav, given, {"lend": ("market", value)})


def test_capital_and_positions_follow_the_arena(tmp_path: Path) -> None:
    house = office(tmp_path)
    assert house.desk.free_raw() == CASH
    house.follow([twin(60_000_000)], 1)
    assert (house.cash("a1"), house.position("a1")) == (40_000_000, 60_000_000)
    assert house.desk.free_raw() == CASH - 100_000_000
    house.follow([twin(20_000_000)], 2)
    assert (house.cash("a1"), house.position("a1")) == (80_000_000, 20_000_000)
    house.follow([twin(20_000_000, given=150_000_000)], 3)  # shares are followed: a fifth of what is there now
    assert house.position("a1") == 30_000_000
    house.check()


def test_capital_that_is_taken_back_is_sold_for(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(100_000_000)], 1)
    assert house.cash("a1") == 0
    house.follow([twin(40_000_000, equity=40_000_000, given=40_000_000)], 2)
    assert (house.position("a1"), house.cash("a1")) == (40_000_000, 60_000_000)
    house.follow([twin(40_000_000, equity=40_000_000, given=40_000_000)], 3)
    assert (house.position("a1"), house.cash("a1"), house.desk.free_raw()) == (40_000_000, 0, CASH - 40_000_000)
    house.check()


def test_live_capital_is_scaled(tmp_path: Path) -> None:
    house = office(tmp_path, scale="0.1")
    house.follow([twin(50_000_000)], 1)
    assert (house.cash("a1"), house.position("a1")) == (5_000_000, 5_000_000)


def test_a_pool_gives_what_it_has_and_no_more(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(0, given=CASH - 1, name="a1"), twin(0, given=50, name="a2")], 1)
    assert (house.cash("a1"), house.cash("a2"), house.desk.free_raw()) == (CASH - 1, 1, 0)
    house.check()


def test_small_differences_are_not_worth_an_order(tmp_path: Path) -> None:
    house = office(tmp_path, band=0.05)
    house.follow([twin(50_000_000)], 1)
    assert house.follow([twin(54_000_000)], 2) == []
    assert house.position("a1") == 50_000_000
    assert house.follow([twin(56_000_000)], 3)
    assert house.position("a1") == 56_000_000
    assert house.follow([twin(0)], 4)  # nothing is always worth it
    assert house.position("a1") == 0


def test_an_agent_that_the_arena_funds_no_longer_comes_home(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    house.follow([], 2)
    assert house.position("a1") == 0
    said = house.follow([], 3)
    assert "funds it no longer" in said[0]
    assert (house.cash("a1"), house.desk.free_raw()) == (0, CASH)
    assert house.follow([], 4) == []
    house.check()


@pytest.mark.parametrize(("nav", "halts"), [(1.0099, False), (1.0101, True), (0.9901, False), (0.9899, True)])
def test_a_result_that_is_not_simulations_stops_the_agent_and_says_why(
    tmp_path: Path, nav: float, *, halts: bool
) -> None:
    """Above as below: what is tested is whether simulation tells the truth, not whether the agent was lucky."""
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    said = house.follow([twin(60_000_000, nav=nav)], 2)
    stand = house.desk.stands()["a1"]
    assert bool(stand.halted) == halts
    if not halts:
        assert house.position("a1") == 60_000_000
        return
    assert "bps from simulation's of the same days, more than 100" in said[0]
    house.follow([twin(60_000_000, nav=nav)], 3)
    assert (house.position("a1"), house.cash("a1")) == (0, 0)
    assert house.follow([twin(60_000_000)], 4) == []  # also when the difference is gone by itself
    house.check()
    house.desk.resume("a1", "the feed was wrong", "ann")
    house.follow([twin(60_000_000, nav=nav)], 5)
    assert house.position("a1") == 60_000_000  # its comparison began anew
    assert not house.desk.stands()["a1"].halted
    house.check()


def test_only_that_agent_stops(tmp_path: Path) -> None:
    house = office(tmp_path)
    both = [twin(60_000_000), twin(60_000_000, name="a2")]
    house.follow(both, 1)
    house.follow([twin(60_000_000, nav=1.5), both[1]], 2)
    assert (house.position("a1"), house.position("a2")) == (0, 60_000_000)


def test_interest_that_both_earn_is_no_difference(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(50_000_000)], 1)
    house.world.locked["market", "USDC"] += 2_000_000
    house.engine.reconcile()
    house.follow([twin(52_000_000, equity=102_000_000, nav=1.02)], 2)
    mark = house.desk.stands()["a1"].mark
    assert mark is not None
    assert mark.equity_raw == 102_000_000
    assert abs(mark.gap_bps) < 1e-6


def test_what_is_not_halted_is_not_resumed(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(0)], 1)
    with pytest.raises(ValidationError, match="is not halted"):
        house.desk.resume("a1", "why", "ann")


def test_capital_is_booked_once(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.world.balances["USDC"] += 5
    with pytest.raises(ValidationError, match="booked its capital already"):
        house.desk.book("ann")
    assert house.desk.free_raw() == CASH


def test_an_agent_with_an_order_under_way_is_left_alone(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.desk.follow([twin(60_000_000)], 1, 1)
    assert house.engine.records.open_intents()
    seq = house.store.last()
    assert house.desk.follow([twin(10_000_000, nav=9.0)], 2, 2) == []
    assert house.store.last() == seq


def test_a_new_desk_goes_on_where_the_old_one_was(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    house.desk = LiveDesk(house.engine, ChainClock(house.world), scale=Decimal(1), band=0.01, tolerance_bps=100.0)
    assert house.follow([twin(60_000_000)], 1) == []
    house.follow([twin(60_000_000, nav=1.02)], 2)
    assert house.desk.stands()["a1"].halted


@settings(max_examples=30, deadline=None)
@given(
    days=st.lists(
        st.dictionaries(
            st.sampled_from(("a1", "a2", "a3")),
            st.tuples(st.integers(0, 400_000_000), st.floats(0.0, 1.0)),
            max_size=3,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_the_arena_does_books_and_chain_agree(
    tmp_path_factory: pytest.TempPathFactory, days: list[dict[str, tuple[int, float]]]
) -> None:
    house = office(tmp_path_factory.mktemp("office"))
    for row, day in enumerate(days, 1):
        house.follow(
            [
                twin(int(given * share), equity=max(1, given), given=given, name=name)
                for name, (given, share) in day.items()
            ],
            row,
        )
        house.check()
    for row in range(len(days) + 1, len(days) + 4):
        house.follow([], row)
    assert house.desk.free_raw() == CASH
    house.check()
    house.store.close()
