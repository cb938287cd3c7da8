"""What price sources say of two coins: at the ends of what is an answer, of its age, and of decimals."""

from __future__ import annotations

from fractions import Fraction

import attrs
import pytest

from treasury_arena.contracts.chain import Refusal
from treasury_arena_evm.live.prices import Feed, Prices
from treasury_arena_evm.tokens import Token

NOW = 1_700_000_000
USDC = Token(1, "USDC", "0x" + "11" * 20, 6, frozenset())
WETH = Token(1, "WETH", "0x" + "22" * 20, 18, frozenset())
PAIR = (USDC, WETH)
PRICES = Prices({"USDC": Feed("0x" + "aa" * 20, 86_400), "WETH": Feed("0x" + "bb" * 20, 3_600)}, 50, True)
#: A dollar with eight decimals, and 2,000 dollars with six.
ANSWERS = {
    "price of USDC": 10**8,
    "age of the price of USDC": NOW,
    "decimals of the price of USDC": 8,
    "price of WETH": 2_000 * 10**6,
    "age of the price of WETH": NOW,
    "decimals of the price of WETH": 6,
}


def test_one_base_unit_is_worth_what_both_sources_say() -> None:
    assert PRICES.fair(ANSWERS, NOW, PAIR) == Fraction(10**18, 2_000 * 10**6)
    assert PRICES.fair(ANSWERS, NOW, (WETH, USDC)) == Fraction(2_000 * 10**6, 10**18)


def test_a_source_is_asked_for_its_answer_and_when_it_was_given() -> None:
    """latestRoundData: round, answer, begun, given, round of the answer."""
    asked = PRICES.questions(PAIR)
    assert list(asked) == list(ANSWERS)
    for symbol, address in (("USDC", "0x" + "aa" * 20), ("WETH", "0x" + "bb" * 20)):
        price, age = asked[f"price of {symbol}"], asked[f"age of the price of {symbol}"]
        decimals = asked[f"decimals of the price of {symbol}"]
        assert {price.to, age.to, decimals.to} == {address}
        assert (price.place, age.place, decimals.place) == (1, 3, 0)
        assert (price.data, age.data, decimals.data) == ("0xfeaf968c", "0xfeaf968c", "0x313ce567")
    assert list(attrs.evolve(PRICES, feeds={}).questions(PAIR)) == []


@pytest.mark.parametrize("symbol", ["USDC", "WETH"])
@pytest.mark.parametrize(
    ("answer", "known"), [(0, False), (1, True), (2**255 - 1, True), (2**255, False), (2**256 - 1, False)]
)
def test_an_answer_is_above_nothing_and_signed(symbol: str, answer: int, known: bool) -> None:
    found = PRICES.fair({**ANSWERS, f"price of {symbol}": answer}, NOW, PAIR)
    if known:
        assert isinstance(found, Fraction)
    else:
        assert found == Refusal("oracle", f"the price source of {symbol} has no price")


@pytest.mark.parametrize(
    ("symbol", "age", "known"),
    [
        ("USDC", 86_400, True),
        ("USDC", 86_401, False),
        ("WETH", 3_600, True),
        ("WETH", 3_601, False),
        ("WETH", -60, True),
        ("WETH", -61, False),
    ],
)
def test_an_answer_has_an_age_of_its_own_source(symbol: str, age: int, known: bool) -> None:
    found = PRICES.fair({**ANSWERS, f"age of the price of {symbol}": NOW - age}, NOW, PAIR)
    assert isinstance(found, Fraction) is known
    if not known:
        assert isinstance(found, Refusal)
        assert found.code == "oracle"


def test_a_coin_without_a_source_is_refused_where_one_is_required() -> None:
    one = attrs.evolve(PRICES, feeds={"USDC": PRICES.feeds["USDC"]})
    assert one.fair(ANSWERS, NOW, PAIR) == Refusal("oracle", "no price source is configured for WETH")
    assert attrs.evolve(one, required=False).fair(ANSWERS, NOW, PAIR) is None
    assert list(one.questions(PAIR)) == list(ANSWERS)[:3]
