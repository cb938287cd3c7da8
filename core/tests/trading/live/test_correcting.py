"""Reconciliation tells what differs, and a person's correction brings the books to what the chain has, by new events only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import StepKind
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import ChainUnavailableError, ValidationError
from treasury_arena.ledger import accounts
from treasury_arena.store import audit, open_store
from treasury_arena.testing.chain import LIQUIDITY, TREASURY, SimulatedClient, SimulatedPlanner
from treasury_arena.testing.orders import USDC
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import OrderEngine
from treasury_arena.trading.live.comparing import Difference, Kind
from treasury_arena.trading.live.correcting import Correction, Corrector
from treasury_arena.trading.live.desk import POOL

from .test_desk import CASH, Office, office, twin

LENT = ("market", "USDC")


def corrector(house: Office) -> Corrector:
    return Corrector(house.engine.context, house.engine.reconciler.believable)


def correction(house: Office, reason: str = "by hand") -> Correction:
    return corrector(house).correction(accounts.pool(POOL), reason, "ann")


def corrected(house: Office) -> Correction:
    found = correction(house)
    house.store.append(list(found.drafts))
    return found


def test_nothing_to_correct_is_no_event(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    assert house.engine.reconcile(write=False).clean
    found = correction(house)
    assert (found.drafts, found.left) == ((), ())


@pytest.mark.parametrize("sent", [-7, 5_000_000])
def test_cash_that_came_or_left_by_hand(tmp_path: Path, sent: int) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    free = house.desk.free_raw()
    house.world.balances["USDC"] += sent
    (told,) = house.engine.reconcile(write=False).differences
    assert f"the books say {CASH - 60_000_000}" in told
    found = corrected(house)
    assert found.left == ()
    assert house.desk.free_raw() == free + sent
    assert house.engine.reconcile().clean
    (event,) = house.store.read(event_type="CapitalAdjusted")
    assert (event.payload.amount_raw, event.payload.reason, event.payload.operator) == (sent, "by hand", "ann")
    house.check()
    assert audit(house.store).findings == ()


def test_gas_that_was_topped_up(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.world.native_raw += 10**18
    assert len(house.engine.reconcile(write=False).differences) == 1
    corrected(house)
    assert house.engine.reconcile().clean
    assert house.store.balance("treasury:gas", "ETH") == house.world.native_raw


def test_cash_that_agents_have_is_not_taken_from_them(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(0, given=CASH, equity=CASH)], 1)
    house.world.balances["USDC"] -= 1
    found = corrected(house)
    assert found.drafts == ()
    (left,) = found.left
    assert "1 are gone and only 0 belong to no agent" in left
    assert house.cash("a1") == CASH


def test_all_that_belongs_to_no_agent_can_be_gone(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(0, given=CASH - 5, equity=CASH - 5)], 1)
    assert house.desk.free_raw() == 5
    house.world.balances["USDC"] -= 5
    assert corrected(house).left == ()
    (event,) = house.store.read(event_type="CapitalAdjusted")
    assert (event.payload.address, event.payload.asset, event.payload.amount_raw) == (TREASURY, "USDC", -5)
    assert (house.desk.free_raw(), house.cash("a1")) == (0, CASH - 5)
    house.check()


def test_nothing_is_corrected_while_an_order_waits_to_begin(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(0)], 1)
    intent_id = house.engine.submit(Intent("a1", "lend", "market", 1_000_000, 2))
    assert intent_id is not None
    with pytest.raises(ValidationError, match=f"orders are open: {intent_id[:12]} \\(RESERVED\\)"):
        correction(house)
    house.engine.cancel(intent_id, "over")
    assert correction(house).left == ()


def test_a_loss_in_a_market_is_shared_by_those_who_are_in_it(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000), twin(30_000_000, name="a2")], 1)
    house.world.locked[LENT] -= 9_000_001
    (told,) = house.engine.reconcile().differences  # no interest explains a loss
    assert "the books 90000000" in told
    corrected(house)
    assert house.position("a1") + house.position("a2") == 80_999_999
    assert abs(house.position("a1") - 2 * house.position("a2")) <= 2
    assert house.engine.reconcile().clean
    house.check()


def test_interest_needs_no_person_and_too_much_of_it_does(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    house.world.locked[LENT] += 2
    assert house.engine.reconcile().clean
    assert house.position("a1") == 60_000_002
    house.world.locked[LENT] += 30_000_000  # half of it again, within minutes
    assert not house.engine.reconcile().clean
    assert house.position("a1") == 60_000_002
    corrected(house)
    assert house.position("a1") == 90_000_002


def again(house: Office) -> None:
    """Another process takes the orders over."""
    context = house.engine.context
    house.engine = OrderEngine(
        context.arena_id,
        house.store,
        context.client,
        context.signer,
        context.planners,
        context.clock,
        context.limits,
        mode="local",
        stop_level=lambda _: OFF,
    )


def test_a_gift_is_no_interest_to_a_process_that_begins(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    assert house.engine.reconcile().clean
    again(house)
    house.world.locked[LENT] += 30_000_000  # half of it again, within minutes
    assert not house.engine.reconcile(write=False).clean
    assert not house.engine.reconcile().clean
    assert house.position("a1") == 60_000_000
    house.world.locked[LENT] -= 30_000_000 - 100_000  # what a day's interest may be at most
    again(house)
    assert house.engine.reconcile().clean
    assert house.position("a1") == 60_100_000


def test_an_order_that_begins_while_books_and_chain_are_read_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    client, rows = house.engine.context.client, iter([2])
    honest = type(client).balances

    def late(self: SimulatedClient, address: str) -> Mapping[str, int]:
        for row in rows:  # in the daemon, its own thread advances orders meanwhile
            house.desk.follow([twin(80_000_000)], row, row)
            house.engine.tick()
            house.world.mine()
        return honest(self, address)

    monkeypatch.setattr(type(client), "balances", late)
    assert house.engine.reconcile().differences == ()
    house.mine()
    assert house.position("a1") == 80_000_000
    assert house.engine.reconcile().clean


def test_interest_that_waits_while_orders_are_under_way_is_interest_afterwards(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(600_000_000, equity=CASH, given=CASH)], 1)
    assert house.engine.reconcile().clean
    house.desk.follow([twin(700_000_000, equity=CASH, given=CASH)], 2, 2)
    house.engine.tick()  # signed and sent, and not mined for an hour
    for _ in range(60):
        house.world.now += 60
        house.world.mine(take=False)
        house.world.locked[LENT] += 114  # a tenth of it a year
        assert house.engine.reconcile().clean
    house.mine()
    assert house.engine.reconcile().clean
    assert house.position("a1") == house.world.locked[LENT]


def test_tokens_of_nobody_are_told_and_never_adopted(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.world.balances["PEPE"] = 5
    house.world.locked[LENT] = 12
    found = corrected(house)
    assert found.drafts == ()
    assert any("5 base units of PEPE that no book knows" in text for text in found.left)
    assert any("nobody ever had an order there" in text for text in found.left)


def test_an_order_under_way_is_waited_for(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.desk.follow([twin(60_000_000)], 1, 1)
    house.engine.tick()
    with pytest.raises(ValidationError, match=r"orders are open: .* nothing can be corrected before"):
        correction(house)
    house.mine()
    with pytest.raises(ValidationError, match="needs a reason"):
        correction(house, " ")


def test_before_capital_was_booked_there_is_nothing_to_correct(tmp_path: Path) -> None:
    house = office(tmp_path)
    fresh = open_store(tmp_path / "fresh.db")
    context = attrs.evolve(house.engine.context, store=fresh)
    with pytest.raises(ValidationError, match="no capital was booked yet"):
        Corrector(context, house.engine.reconciler.believable).correction(accounts.pool(POOL), "why", "ann")
    fresh.close()


def test_a_chain_that_is_not_to_be_believed_corrects_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = office(tmp_path)
    house.world.balances["USDC"] += 5
    monkeypatch.setattr(type(house.engine.client), "agree", lambda *_: False)
    with pytest.raises(ChainUnavailableError, match="do not agree"):
        correction(house)


def test_what_one_agent_alone_can_have_done_is_its_own(tmp_path: Path) -> None:
    house = office(tmp_path)
    house.follow([twin(60_000_000)], 1)
    house.follow([twin(0)], 2)
    assert house.position("a1") == 0
    house.world.locked[LENT] = 7_000_000
    assert corrected(house).left == ()
    assert house.position("a1") == 7_000_000


def test_the_remainder_of_a_debt_makes_nobody_a_creditor() -> None:
    shares = {(name, "loan"): -1_000_000 for name in ("a1", "a2", "a3")}
    one = Difference(Kind.DEBT, "USDC", -3_000_000, -1, "", "market", shares)
    parts = one.parts()
    assert sum(parts.values()) == one.missing == 2_999_999
    assert all(shares[place] + part <= 0 for place, part in parts.items())


@pytest.mark.no_cover  # of code that others measure
@settings(max_examples=40)
@given(
    cash=st.integers(-900_000_000, 10**12),
    gas=st.integers(-(10**18), 10**18),
    lent=st.integers(-60_000_000, 10**10),
    other=st.integers(0, 40_000_000),
)
def test_whatever_differs_is_settled_or_told(
    tmp_path_factory: pytest.TempPathFactory, cash: int, gas: int, lent: int, other: int
) -> None:
    house = office(tmp_path_factory.mktemp("house"))
    house.follow([twin(60_000_000), twin(other, name="a2")], 1)
    house.world.balances["USDC"] = max(0, house.world.balances["USDC"] + cash)
    house.world.native_raw += gas
    house.world.locked[LENT] += lent
    found = corrected(house)
    assert correction(house).drafts == ()
    assert set(house.engine.reconcile(write=False).differences) == {text.split("; ")[0] for text in found.left}
    if not found.left:
        house.check()
    assert audit(house.store).findings == ()
    house.store.close()


def kept(house: Office, enter: StepKind, leave: StepKind) -> SimulatedPlanner:
    """The market of an office becomes another: one whose positions are coins in the wallet, or liquidity."""
    planner = SimulatedPlanner(house.world, "market", USDC, enter, leave)
    house.engine.planners["market"] = planner  # type: ignore[index]
    return planner


def test_coins_that_markets_keep_in_the_wallet_are_exact_and_nobody_takes_a_gift_for_interest(tmp_path: Path) -> None:
    house = office(tmp_path)
    kept(house, StepKind.SWAP, StepKind.SWAP)
    house.follow([twin(60_000_000), twin(30_000_000, name="a2")], 1)
    assert house.world.balances["WETH"] == 90_000_000
    assert house.engine.reconcile().clean
    house.world.balances["WETH"] += 1
    (told,) = house.engine.reconcile().differences
    assert told == "positions have 90000000 base units of WETH in the books, and 90000001 on the chain"
    assert house.store.balance("agent:a1:position:lend", "WETH") == 60_000_000
    house.world.balances["WETH"] -= 9_000_001
    found = corrected(house)
    assert found.left == ()
    assert house.store.balance("agent:a1:position:lend", "WETH") == 54_000_000
    assert house.store.balance("agent:a2:position:lend", "WETH") == 27_000_000
    assert house.engine.reconcile().clean


def test_liquidity_in_the_books_that_no_market_knows_is_told(tmp_path: Path) -> None:
    house = office(tmp_path)
    kept(house, StepKind.MINT, StepKind.BURN)
    house.follow([twin(60_000_000)], 1)
    assert house.store.balance("agent:a1:position:lend", LIQUIDITY) == 60_000_000
    assert house.engine.reconcile().clean
    kept(house, StepKind.SUPPLY, StepKind.WITHDRAW)
    (told,) = house.engine.reconcile().differences
    assert told == f"positions have 60000000 base units of {LIQUIDITY} in the books, and 0 on the chain"
    corrected(house)
    assert house.store.balance("agent:a1:position:lend", LIQUIDITY) == 0
    assert house.engine.reconcile().clean


class Pledged(SimulatedPlanner):
    """Its coins lie in the market: other markets' coins in the wallet are none of its, nor its coins theirs."""

    there = 0

    def holdings(self) -> dict[str, tuple[int, int]]:
        return {"WETH": (self.there, 0)}

    def wallet(self) -> frozenset[str]:
        return frozenset()


def test_coins_that_lie_in_a_market_are_not_looked_for_in_the_wallet(tmp_path: Path) -> None:
    house = office(tmp_path)
    kept(house, StepKind.SWAP, StepKind.SWAP)
    loans = Pledged(house.world, "loans", USDC, StepKind.SWAP, StepKind.SWAP)
    house.engine.planners["loans"] = loans  # type: ignore[index]
    both = {"lend": ("market", 30_000_000), "loan": ("loans", 50_000_000)}
    house.follow([attrs.evolve(twin(0), roles=both)], 1)
    loans.there = 50_000_000
    house.world.balances["WETH"] -= loans.there
    assert house.engine.reconcile().clean
    found = correction(house)
    assert (found.drafts, found.left) == ((), ())
    house.world.balances["WETH"] -= 1
    (told,) = house.engine.reconcile().differences
    assert told == "positions have 30000000 base units of WETH in the books, and 29999999 on the chain"
