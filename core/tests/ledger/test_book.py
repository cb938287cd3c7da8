"""The laws of posting, on the book and against an independent count."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.errors import AllocationError, CapitalConservationError, TreasuryArenaError, ValidationError
from treasury_arena.events.catalog import AgentFailed
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.ledger import Ledger, accounts
from treasury_arena.store import open_store

WORLD = accounts.world("owner")
ACCOUNTS = [
    WORLD,
    accounts.TREASURY_RESERVE,
    accounts.pool("arena"),
    accounts.agent_available("a1"),
    accounts.agent_position("a1", "lend"),
    accounts.fee("aave.usdc"),
    accounts.GAS,
]
ASSETS = ["USDC", "ETH"]
MOVES = st.tuples(
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ASSETS),
    st.one_of(st.integers(0, 50), st.just(2**70)),
)


def move(source: str, target: str, asset: str, amount: int) -> Transfer:
    return Transfer("move", (Line(source, asset, -amount), Line(target, asset, amount)))


@given(st.lists(MOVES, max_size=40))
def test_the_book_agrees_with_a_naive_count_and_never_breaks_a_law(moves: list[tuple[str, str, str, int]]) -> None:
    book = Ledger()
    naive = dict.fromkeys(itertools.product(ACCOUNTS, ASSETS), 0)
    for source, target, asset, amount in moves:
        allowed = source.startswith("world:") or naive[source, asset] >= amount or source == target
        try:
            book.apply(move(source, target, asset, amount))
        except (AllocationError, CapitalConservationError):
            assert not allowed
        else:
            assert allowed
            naive[source, asset] -= amount
            naive[target, asset] += amount
        assert {key: book.balance(*key) for key in naive} == naive
        assert all(total == 0 for total in book.totals().values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(MOVES, min_size=1, max_size=3), max_size=8))
def test_the_book_and_the_store_accept_and_refuse_alike(groups: list[list[tuple[str, str, str, int]]]) -> None:
    book = Ledger()
    with open_store("sqlite://") as store:
        for group in groups:
            transfers = tuple(move(*one) for one in group)
            outcomes: list[str] = []
            for post in (
                lambda given=transfers: book.apply(*given),
                lambda given=transfers: store.append(
                    [Draft(AgentFailed("k", "r"), "2024-01-01T00:00:00Z", None, given)]
                ),
            ):
                try:
                    post()
                except TreasuryArenaError as error:
                    outcomes.append(f"{type(error).__name__}: {error}")
                else:
                    outcomes.append("booked")
            assert outcomes[0] == outcomes[1]
            assert store.balances() == book.balances()
        assert Ledger.of(store).balances() == book.balances()


@given(st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ASSETS), st.integers(-9, 9)), max_size=6))
def test_lines_must_sum_to_zero_per_asset(lines: list[tuple[str, str, int]]) -> None:
    rich = Ledger(dict.fromkeys(itertools.product(ACCOUNTS, ASSETS), 10**6))
    before = rich.balances()
    transfer = Transfer("any", tuple(Line(*line) for line in lines))
    sums = {asset: sum(amount for _, name, amount in lines if name == asset) for asset in ASSETS}
    if any(sums.values()):
        with pytest.raises(CapitalConservationError, match="does not conserve"):
            rich.apply(transfer)
        assert rich.balances() == before
    else:
        rich.apply(transfer)
        assert rich.totals() == Ledger(before).totals()


def test_totals_are_sums_over_all_accounts() -> None:
    book = Ledger({("a", "USDC"): 5, ("b", "USDC"): -2, ("b", "WETH"): 7})
    assert book.totals() == {"USDC": 3, "WETH": 7}


def test_a_book_that_does_not_sum_to_zero_says_which_asset_is_amiss() -> None:
    sound = Ledger({("a", "USDC"): 5, ("b", "USDC"): -5, ("a", "WETH"): 0})
    assert sound.conserved() == {"USDC": 0, "WETH": 0}
    broken = Ledger({("a", "USDC"): 5, ("b", "USDC"): -5, ("b", "WETH"): 7})
    with pytest.raises(CapitalConservationError, match=r"does not sum to zero: \{'WETH': 7\}"):
        broken.conserved()


@pytest.mark.parametrize(
    ("account", "error"),
    [
        (accounts.pool("arena"), AllocationError),
        (accounts.lent(accounts.pool("arena")), AllocationError),
        (accounts.TREASURY_RESERVE, AllocationError),
        (accounts.lent(accounts.TREASURY_RESERVE), AllocationError),
        (accounts.DUST, AllocationError),
        (accounts.agent_available("a1"), CapitalConservationError),
        (accounts.agent_reserved("a1"), CapitalConservationError),
        (accounts.agent_position("a1", "lend"), CapitalConservationError),
        (accounts.fee("m"), CapitalConservationError),
        (accounts.GAS, CapitalConservationError),
    ],
)
def test_an_account_gives_all_it_has_and_not_one_unit_more(account: str, error: type[Exception]) -> None:
    book = Ledger({(account, "USDC"): 10})
    with pytest.raises(error, match=f"{account} holds 10 base units of USDC and cannot give 11; nothing was changed"):
        book.apply(move(account, WORLD, "USDC", 11))
    assert book.balance(account, "USDC") == 10
    book.apply(move(account, WORLD, "USDC", 10))
    assert book.balance(account, "USDC") == 0
    assert book.balance(WORLD, "USDC") == 10


def test_transfers_applied_together_stand_or_fall_together() -> None:
    book = Ledger({("pool:arena", "USDC"): 10})
    there, back = move("pool:arena", "gas", "USDC", 15), move(WORLD, "pool:arena", "USDC", 5)
    with pytest.raises(AllocationError):
        book.copy().apply(there)
    book.apply(there, back)
    assert book.balances("pool:") == {("pool:arena", "USDC"): 0}
    with pytest.raises(AllocationError):
        book.apply(back, move("pool:arena", "gas", "USDC", 6))
    assert book.balance("pool:arena", "USDC") == 0


def test_a_copy_is_independent() -> None:
    book = Ledger({("gas", "ETH"): 5})
    other = book.copy()
    other.apply(move("gas", WORLD, "ETH", 5))
    assert book.balance("gas", "ETH") == 5


@pytest.mark.parametrize(("amount", "fits"), [(10**78 - 1, True), (10**78, False)])
def test_amounts_stay_within_78_digits(amount: int, fits: bool) -> None:
    book = Ledger()
    if fits:
        book.apply(move(WORLD, "gas", "ETH", amount))
        assert book.balance("gas", "ETH") == amount
        with pytest.raises(CapitalConservationError, match="beyond 78 digits"):
            book.apply(move(WORLD, "gas", "ETH", 1))
    else:
        with pytest.raises(CapitalConservationError, match="beyond 78 digits"):
            book.apply(move(WORLD, "gas", "ETH", amount))


def test_what_the_world_gave_stays_within_78_digits_too() -> None:
    book = Ledger()
    half = 5 * 10**77
    book.apply(move(WORLD, "gas", "ETH", half))
    with pytest.raises(CapitalConservationError, match=r"world:owner would hold -10{78} base units of ETH"):
        book.apply(move(WORLD, "pool:arena", "ETH", half))
    book.apply(move(WORLD, "pool:arena", "ETH", half - 1))
    assert book.balance(WORLD, "ETH") == 1 - 10**78
    with pytest.raises(CapitalConservationError, match=r"gas would hold 10{78} base units of ETH"):
        book.apply(move("world:other", "gas", "ETH", half))


@pytest.mark.parametrize("role", ["loan", "a:b", "debt", "position"])
def test_a_debt_is_owed_and_never_paid_beyond_nothing(role: str) -> None:
    debt = accounts.agent_debt("a1", role)
    book = Ledger()
    book.apply(move(debt, WORLD, "USDC", 5))
    assert book.balance(debt, "USDC") == -5
    told = f"{debt} owes 5 base units of USDC and cannot be paid 6; nothing was changed"
    with pytest.raises(CapitalConservationError, match=told):
        book.apply(move(WORLD, debt, "USDC", 6))
    book.apply(move(WORLD, debt, "USDC", 5))
    assert book.balance(debt, "USDC") == 0
    with pytest.raises(CapitalConservationError, match="owes 0 base units of USDC and cannot be paid 1"):
        book.apply(move(WORLD, debt, "USDC", 1))


@pytest.mark.parametrize("account", ["agent:debt:available", "agent:debt:reserved", "agent:a1:position:debt"])
def test_only_the_account_of_a_debt_is_one(account: str) -> None:
    book = Ledger()
    with pytest.raises(CapitalConservationError, match="cannot give 1"):
        book.apply(move(account, WORLD, "USDC", 1))
    book.apply(move(WORLD, account, "USDC", 1))


def test_one_asset_that_balances_does_not_excuse_another() -> None:
    book = Ledger()
    lines = (Line(WORLD, "ETH", -5), Line("gas", "ETH", 5), Line("gas", "USDC", 1))
    with pytest.raises(CapitalConservationError, match="does not conserve USDC: its lines sum to 1 base units"):
        book.apply(Transfer("odd", lines))
    assert book.balances() == {}


@pytest.mark.parametrize("line", [Line("gas", "ETH", 0.0), Line("gas", "ETH", True), Line("gas", "", 0)])  # type: ignore[arg-type]
def test_lines_that_are_no_amounts(line: Line) -> None:
    with pytest.raises(CapitalConservationError, match="expected an int of base units and an asset's symbol"):
        Ledger().apply(Transfer("odd", (line,)))


@pytest.mark.parametrize(
    "account",
    [
        "",
        "pool:",
        "pool:a:b",
        "agent:a1",
        "agent:a1:cash",
        "agent::available",
        "gas:x",
        "World:x",
        "world:a b",
        "pool:a\n",
    ],
)
def test_accounts_of_no_known_shape_are_refused(account: str) -> None:
    with pytest.raises(ValidationError, match="is not of the form"):
        Ledger().apply(move(WORLD, account, "USDC", 1))


def test_names() -> None:
    assert accounts.pool("proving") == "pool:proving"
    assert accounts.lent(accounts.pool("arena")) == "pool:arena:lent"
    assert accounts.agent_available("x") == "agent:x:available"
    assert accounts.agent_reserved("x") == "agent:x:reserved"
    assert accounts.agent_position("x", "coin") == "agent:x:position:coin"
    assert accounts.agent_position("x", "coin").startswith(accounts.agent_prefix("x"))
    assert accounts.agent_debt("x", "coin") == "agent:x:debt:coin"
    assert accounts.fee("uniswap.eth") == "fee:uniswap.eth"
    assert accounts.world("aave") == "world:aave"
    assert accounts.lent(accounts.TREASURY_RESERVE) == "treasury:reserve:lent"
    assert (accounts.TREASURY_RESERVE, accounts.DUST, accounts.GAS) == ("treasury:reserve", "treasury:dust", "gas")
    with pytest.raises(ValidationError):
        accounts.pool("a b")
    with pytest.raises(ValidationError):
        accounts.lent(accounts.lent(accounts.pool("arena")))


def test_a_book_is_taken_from_a_store(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append(
            [Draft(AgentFailed("k", "r"), "2024-01-01T00:00:00Z", None, (move(WORLD, "pool:arena", "USDC", 7),))]
        )
        assert Ledger.of(store).balances("pool") == {("pool:arena", "USDC"): 7}
