"""What a final step posts, kind by kind, and what is posted back when its finality broke."""

from __future__ import annotations

from typing import Any

import pytest

from treasury_arena.contracts.chain import Effect, StepKind
from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import Ledger
from treasury_arena.trading.live import postings

CASH, FREE = "agent:a:reserved", "agent:a:available"
POSITION, DEBT, WORLD = "agent:a:position:r", "agent:a:debt:r", "world:m"
K = StepKind
Books = dict[tuple[str, str], int]


def posted(kind: StepKind, before: Books, *effects: tuple[str, int]) -> Books:
    """Balances after a step, those of 0 left out, under the ledger's laws."""
    ledger = Ledger(before)
    book = postings.StepBook("a", "r", "m", "USDC", ledger.balance)
    lines = book.lines(kind, [Effect(number, asset, amount) for number, (asset, amount) in enumerate(effects)])
    assert all(line.amount_raw for line in lines)
    ledger.apply(Transfer("step", lines))
    return {key: amount for key, amount in ledger.balances().items() if amount}


CASES: list[tuple[StepKind, Books, tuple[tuple[str, int], ...], Books]] = [
    # Base units go into the position, and come out of it; what the position earned comes with them.
    (K.SUPPLY, {(CASH, "USDC"): 9}, (("USDC", -7),), {(CASH, "USDC"): 2, (POSITION, "USDC"): 7}),
    (K.WITHDRAW, {(POSITION, "USDC"): 7}, (("USDC", 7),), {(CASH, "USDC"): 7}),
    (K.WITHDRAW, {(POSITION, "USDC"): 9}, (("USDC", 7),), {(CASH, "USDC"): 7, (POSITION, "USDC"): 2}),
    (K.WITHDRAW, {(POSITION, "USDC"): 7}, (("USDC", 8),), {(CASH, "USDC"): 8, (WORLD, "USDC"): -1}),
    # Coins of the position are the position's, in the wallet and in the market.
    (K.SUPPLY, {(POSITION, "WETH"): 7}, (("WETH", -7),), {(POSITION, "WETH"): 7}),
    (K.WITHDRAW, {(POSITION, "WETH"): 7}, (("WETH", 7),), {(POSITION, "WETH"): 7}),
    (K.WITHDRAW, {(POSITION, "WETH"): 7}, (("WETH", 9),), {(POSITION, "WETH"): 9, (WORLD, "WETH"): -2}),
    (K.WITHDRAW, {(POSITION, "WETH"): 7}, (("WETH", 5),), {(POSITION, "WETH"): 7}),
    # A debt, and what is paid back of it; interest that no book has yet is paid with it.
    (K.BORROW, {}, (("USDC", 5),), {(CASH, "USDC"): 5, (DEBT, "USDC"): -5}),
    (K.BORROW, {}, (("WETH", 5),), {(POSITION, "WETH"): 5, (DEBT, "WETH"): -5}),
    (K.REPAY, {(CASH, "USDC"): 5, (DEBT, "USDC"): -5}, (("USDC", -5),), {}),
    (K.REPAY, {(CASH, "USDC"): 5, (DEBT, "USDC"): -5}, (("USDC", -3),), {(CASH, "USDC"): 2, (DEBT, "USDC"): -2}),
    (K.REPAY, {(CASH, "USDC"): 8, (DEBT, "USDC"): -5}, (("USDC", -6),), {(CASH, "USDC"): 2, (WORLD, "USDC"): 1}),
    # A swap is with the world.
    (
        K.SWAP,
        {(CASH, "USDC"): 9},
        (("USDC", -7), ("WETH", 3)),
        {(CASH, "USDC"): 2, (WORLD, "USDC"): 7, (POSITION, "WETH"): 3, (WORLD, "WETH"): -3},
    ),
    (
        K.SWAP,
        {(POSITION, "WETH"): 3},
        (("WETH", -3), ("USDC", 7), ("USDC", 0)),
        {(CASH, "USDC"): 7, (WORLD, "USDC"): -7, (WORLD, "WETH"): 3},
    ),
    # A range: tokens for liquidity, liquidity for tokens; anybody may have added liquidity.
    (
        K.MINT,
        {(CASH, "USDC"): 9},
        (("USDC", -9), ("L", 4)),
        {(WORLD, "USDC"): 9, (POSITION, "L"): 4, (WORLD, "L"): -4},
    ),
    (
        K.BURN,
        {(POSITION, "L"): 4},
        (("L", -6), ("USDC", 9)),
        {(CASH, "USDC"): 9, (WORLD, "USDC"): -9, (WORLD, "L"): 4},
    ),
    (K.COLLECT, {(POSITION, "L"): 4}, (("L", -4),), {(WORLD, "L"): 4}),
    (K.COLLECT, {(POSITION, "L"): 4}, (("L", -5),), {(WORLD, "L"): 4}),
    (K.BURN, {(POSITION, "L"): 9}, (("L", -4),), {(POSITION, "L"): 5, (WORLD, "L"): 4}),
    # Two logs of one step see each other.
    (
        K.WITHDRAW,
        {(POSITION, "USDC"): 7},
        (("USDC", 5), ("USDC", 5)),
        {(CASH, "USDC"): 10, (WORLD, "USDC"): -3},
    ),
    (
        K.REPAY,
        {(CASH, "USDC"): 9, (DEBT, "USDC"): -5},
        (("USDC", -4), ("USDC", -4)),
        {(CASH, "USDC"): 1, (WORLD, "USDC"): 3},
    ),
]


@pytest.mark.parametrize(("kind", "before", "effects", "after"), CASES)
def test_a_step_posts_what_its_logs_say(kind: StepKind, before: Books, effects: Any, after: Books) -> None:
    given = {**before}
    for (_, asset), amount in before.items():  # somebody gave it
        given["world:owner", asset] = given.get(("world:owner", asset), 0) - amount
    found = posted(kind, given, *effects)
    assert {key: amount for key, amount in found.items() if key[0] != "world:owner"} == after


@pytest.mark.parametrize("kind", [K.SUPPLY, K.SWAP, K.MINT])
def test_money_that_the_books_do_not_have_is_not_spent_out_of_the_world(kind: StepKind) -> None:
    with pytest.raises(Exception, match="cannot give"):
        posted(kind, {(CASH, "USDC"): 6}, ("USDC", -7))


def lines(*transfers: Transfer) -> dict[str, list[tuple[str, str, int]]]:
    return {one.reason: [(line.account, line.asset, line.amount_raw) for line in one.lines] for one in transfers}


def test_a_reservation_and_its_release_mirror_each_other() -> None:
    reserved, released = postings.reserve("a", "USDC", 5, "ETH", 7), postings.release("a", "USDC", 5, "ETH", 7)
    assert lines(*reserved) == {
        "reserve": [(FREE, "USDC", -5), (CASH, "USDC", 5)],
        "reserve gas": [("treasury:gas", "ETH", -7), (CASH, "ETH", 7)],
    }
    assert lines(*released) == {
        "release": [(CASH, "USDC", -5), (FREE, "USDC", 5)],
        "release gas": [(CASH, "ETH", -7), ("treasury:gas", "ETH", 7)],
    }
    assert list(lines(*postings.reserve("a", "USDC", 0, "ETH", 7))) == ["reserve gas"]
    assert list(lines(*postings.release("a", "USDC", 5, "ETH", 0))) == ["release"]


def test_gas_comes_out_of_what_is_reserved_for_it() -> None:
    assert [(line.account, line.asset, line.amount_raw) for line in postings.gas_paid("a", "ETH", 3)] == [
        (CASH, "ETH", -3),
        ("gas", "ETH", 3),
    ]
    assert postings.gas_paid("a", "ETH", 0) == ()


@pytest.mark.parametrize(
    ("reserved", "free", "retaken", "left", "suspense"),
    [
        (0, 10, 7, (0, 3), 0),  # the withdrawn 7 were set free and are still there
        (0, 7, 7, (0, 0), 0),
        (0, 4, 7, (0, 0), -3),  # 3 of them are gone
        (2, 10, 5, (0, 5), 0),
        (7, 10, 0, (0, 10), 0),
        (9, 10, 0, (2, 10), 0),
    ],
)
def test_a_withdrawal_that_broke_is_taken_back_from_where_the_money_went(
    reserved: int, free: int, retaken: int, left: tuple[int, int], suspense: int
) -> None:
    ledger = Ledger({(CASH, "USDC"): reserved, (FREE, "USDC"): free, ("world:owner", "USDC"): -reserved - free})
    step = Transfer("step", (Line(POSITION, "USDC", -7), Line(CASH, "USDC", 7)))
    back, again = postings.posted_back("a", "USDC", [step], ledger.balance)
    ledger.apply(*back)
    assert again == retaken
    assert (ledger.balance(CASH, "USDC"), ledger.balance(FREE, "USDC")) == left
    assert ledger.balance(POSITION, "USDC") == 7
    assert ledger.balance("world:broken", "USDC") == suspense
    assert [one.reason for one in back][-1] == "reverse step"


def test_what_broke_and_is_no_cash_is_lacking_on_its_own_account() -> None:
    ledger = Ledger({(POSITION, "WETH"): 1, ("world:m", "WETH"): -1, (DEBT, "USDC"): -2, ("world:owner", "USDC"): 2})
    swap = Transfer("step", (Line("world:m", "WETH", -3), Line(POSITION, "WETH", 3)))
    loan = Transfer("loan", (Line(DEBT, "USDC", -2), Line("world:m", "USDC", 2)))
    back, again = postings.posted_back("a", "USDC", [swap, loan], ledger.balance)
    ledger.apply(*back)
    assert again == 0
    assert ledger.balance(POSITION, "WETH") == 0
    assert ledger.balance("world:broken", "WETH") == -2
    assert ledger.balance(DEBT, "USDC") == 0
    assert not any(ledger.totals().values())
