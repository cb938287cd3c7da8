"""The live desk: capital and positions follow the arena's agents, and a result that is not simulation's stops an agent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import Holding, Plan, PlannedStep, StepKind
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import ChainUnavailableError, SizeRefusedError, ValidationError
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
    planner = ThinPlanner(world, "market", USDC, StepKind.SUPPLY, StepKind.WITHDRAW)
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


class ThinPlanner(SimulatedPlanner):
    """Takes no order of more than `depth` base units in one piece."""

    depth = 10**12

    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        if abs(target_raw - self.value(holding)) > self.depth:
            raise SizeRefusedError(f"more than {self.depth}; split it")
        return super().plan(holding, target_raw, control)


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


@pytest.mark.no_cover  # of code that others measure
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


def test_what_a_market_does_not_take_in_one_piece_goes_in_pieces_and_comes_home_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = office(tmp_path)
    monkeypatch.setattr(ThinPlanner, "depth", 30_000_000)
    seen = []
    for row in (1, 2, 3):
        assert house.follow([twin(100_000_000)], row)
        seen.append(house.position("a1"))
        house.follow([twin(100_000_000)], row)
        assert house.position("a1") == seen[-1]  # a decision has one piece
    assert seen == [25_000_000, 43_750_000, 71_875_000]
    rows = range(4, 9)
    for row in rows:
        house.follow([], row)  # the arena funds it no longer
    assert (house.position("a1"), house.cash("a1"), house.desk.free_raw()) == (0, 0, CASH)
    assert list(house.store.read(event_type="OrderRejected")) == []
    house.check()


@pytest.mark.parametrize("reverting", [False, True], ids=["in pieces", "refused"])
def test_the_way_home_goes_on_where_no_row_comes_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reverting: bool
) -> None:
    house = office(tmp_path)
    house.follow([twin(100_000_000)], 1)
    monkeypatch.setattr(ThinPlanner, "depth", 30_000_000)
    if reverting:
        house.world.reverting.add("withdraw")
    house.follow([], 2)
    left = house.position("a1")
    assert 0 < left <= 100_000_000
    for _ in range(3):
        house.follow([], 2)
        assert house.position("a1") == left  # not again at once
    house.world.reverting.clear()
    for _ in range(8):
        house.world.mine(3_600 // 12)
        house.follow([], 2)
    assert (house.position("a1"), house.cash("a1"), house.desk.free_raw()) == (0, 0, CASH)
    house.check()


def test_rows_closer_than_an_hour_have_one_order_home_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That an earlier row's order turns an hour old gives the present row no second one."""
    house = office(tmp_path)
    house.follow([twin(100_000_000)], 1)
    monkeypatch.setattr(ThinPlanner, "depth", 10_000_000)
    house.follow([], 2)
    house.world.mine(3_600 // 12 - 40)
    house.follow([], 3)
    left = house.position("a1")
    for _ in range(4):
        house.world.mine(60)
        house.follow([], 3)
        assert house.position("a1") == left
    house.follow([], 4)
    assert house.position("a1") < left
    house.check()


def test_a_market_that_takes_no_size_refuses_with_its_first_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = office(tmp_path)
    monkeypatch.setattr(ThinPlanner, "depth", 0)
    house.follow([twin(100_000_000)], 1)
    (event,) = house.store.read(event_type="OrderRejected")
    assert (event.payload.code, event.payload.reason) == ("market", "more than 0; split it")
    assert house.position("a1") == 0
    house.check()


@pytest.mark.parametrize("error", [ValidationError, ChainUnavailableError])
def test_a_position_that_cannot_be_valued_stops_its_own_agent_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    house = office(tmp_path)
    one, other = twin(50_000_000, name="a1"), twin(20_000_000, name="a2")
    house.follow([one, other], 1)
    plain = SimulatedPlanner.value
    unread = [50_000_000]

    def value(planner: SimulatedPlanner, holding: Holding) -> int:
        if (found := plain(planner, holding)) in unread:
            raise error("market 'market' cannot be valued")
        return found

    monkeypatch.setattr(SimulatedPlanner, "value", value)
    said = house.follow([one, attrs.evolve(other, roles={"lend": ("market", 60_000_000)})], 2)
    assert said[0] == "a1: left as it is: market 'market' cannot be valued"
    assert (house.position("a1"), house.position("a2")) == (50_000_000, 60_000_000)
    unread.append(60_000_000)
    if error is ChainUnavailableError:  # nobody could be valued: whoever asks must know that the chain is away
        with pytest.raises(ChainUnavailableError, match="cannot be valued"):
            house.follow([one, other], 3)
    else:
        assert len(house.follow([one, other], 3)) == 2
    house.check()


class ShapedPlanner(SimulatedPlanner):
    """Positions with a shape of one number: an order of a worth keeps it, one that names another takes it on."""

    shape: tuple[float, ...] = ()
    asked: tuple[tuple[int, tuple[float, ...]], ...] = ()

    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        self.asked = (*self.asked, (target_raw, control))
        plan, other = super().plan(holding, target_raw, control), control not in ((), self.shape)
        self.shape = control or self.shape
        if plan is None and other:
            steps = (PlannedStep(StepKind.APPROVE, "USDC", 1, 50_000), PlannedStep(StepKind.REVOKE, "USDC", 0, 50_000))
            return Plan(steps, 1, 0, False)
        return plan


def test_a_position_takes_on_the_shape_of_its_twin(tmp_path: Path) -> None:
    house = office(tmp_path)
    planner = ShapedPlanner(house.world, "market", USDC, StepKind.SUPPLY, StepKind.WITHDRAW)
    house.engine.planners["market"] = planner  # type: ignore[index]

    def shaped(value: int, *shape: float) -> Twin:
        return attrs.evolve(twin(value), shapes={"lend": shape})

    (_, said) = house.follow([shaped(60_000_000, 0.5)], 1)
    assert said == "a1: lend to 60000000 base units in market, shaped 0.5"
    assert planner.asked[-1] == (60_000_000, (0.5,))
    assert house.follow([shaped(60_000_000, 0.5)], 2) == []
    assert house.follow(
        [shaped(60_500_000, 0.7)], 3
    )  # too small a move is not made, the shape is taken on all the same
    assert planner.asked[-1] == (60_000_000, (0.7,))
    assert house.position("a1") == 60_000_000
    assert house.follow([shaped(30_000_000, 0.7)], 4)
    assert planner.asked[-1] == (30_000_000, (0.7,))
    assert house.follow([shaped(0, 0.7)], 5)
    assert planner.asked[-1] == (0, ())  # nothing has no shape
    assert house.follow([shaped(0, 0.2)], 6) == []
    house.check()


def test_purchases_share_what_cash_there_is(tmp_path: Path) -> None:
    house = office(tmp_path, band=0.05)

    def both(first: int, second: int, third: int) -> Twin:
        roles = {"lend": ("market", first), "more": ("market", second), "most": ("market", third)}
        return attrs.evolve(twin(0), roles=roles)

    house.follow([both(50_000_000, 0, 0)], 1)
    said = house.follow([both(46_000_000, 27_000_000, 27_000_000)], 2)  # what is too much is too little to be sold
    assert said == ["a1: more to 25000000 base units in market", "a1: most to 25000000 base units in market"]
    assert (house.cash("a1"), house.position("a1")) == (0, 50_000_000)
    assert house.follow([both(46_000_000, 32_000_000, 27_000_000)], 3) == []  # there is nothing to buy it with
    assert not list(house.store.read(event_type="OrderRejected"))


def test_a_shape_needs_no_cash(tmp_path: Path) -> None:
    """Too little is held and there is nothing to buy more with: a loan is delevered all the same."""
    house = office(tmp_path)
    planner = ShapedPlanner(house.world, "market", USDC, StepKind.SUPPLY, StepKind.WITHDRAW)
    house.engine.planners["market"] = planner  # type: ignore[index]

    def shaped(lend: int, more: int, shape: float) -> Twin:
        roles = {"lend": ("market", lend), "more": ("market", more)}
        return attrs.evolve(twin(0), roles=roles, shapes={"lend": (shape,), "more": (shape,)})

    house.follow([shaped(100_000_000, 0, 0.5)], 1)
    assert (house.cash("a1"), house.position("a1")) == (0, 100_000_000)
    said = house.follow([shaped(110_000_000, 20_000_000, 0.2)], 2)
    assert said == ["a1: lend to 100000000 base units in market, shaped 0.2"]
    assert planner.shape == (0.2,)
    assert house.position("a1") == 100_000_000
    house.check()
