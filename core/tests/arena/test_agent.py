"""TreasuryAgent: run, record, never raise; and two of the historic defects."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.errors import AgentError, PluginError, ValidationError
from treasury_arena.testing.strategies import HOLDER, HolderState, HolderTarget
from treasury_arena.testing.worlds import ExcessReturn

FEATURES = {"dear": 0.1}
BOOK = {"step": 5.0, "equity": 1_000.0, "coin": 100.0, "usd": 0.0}


def agent(**more: Any) -> TreasuryAgent:
    return TreasuryAgent("a-0001", more.pop("strategy", HOLDER), ExcessReturn(), more.pop("genome", None), **more)


def deciding(decide: Callable[..., Any], **more: Any) -> TreasuryAgent:
    return agent(strategy=attrs.evolve(HOLDER, decide=decide), **more)


def test_it_says_what_it_wants_of_every_role() -> None:
    shares = agent(genome={"share": 0.25}).execute_strategy(FEATURES, BOOK)
    assert [(s.role, s.share, s.change_usd) for s in shares] == [("coin", 0.25, 150.0), ("usd", 0.75, 750.0)]


def test_its_own_state_is_carried_on() -> None:
    seen = []

    def remember(f: Any, g: Any, book: Any, s: HolderState) -> Any:
        seen.append(s.above)
        return HolderTarget(0.0, 0.0, 1.0), HolderState(s.above + 1.0)

    someone = deciding(remember)
    for _ in range(3):
        someone.execute_strategy(FEATURES, BOOK)
    assert seen == [0.0, 1.0, 2.0]


def test_a_missing_field_names_it() -> None:
    with pytest.raises(ValidationError, match="features lacks 'dear'"):
        agent().execute_strategy({"deer": 1.0}, BOOK)
    with pytest.raises(ValidationError, match="book lacks 'step'"):
        agent().execute_strategy(FEATURES, {})


def endless(*_: Any) -> Any:
    turns = 0
    while True:
        turns += 1


def raising(*_: Any) -> Any:
    raise RuntimeError("author's mistake")


@pytest.mark.parametrize(
    ("decide", "text"),
    [
        (raising, "RuntimeError: author's mistake"),
        (endless, "ran longer than"),
        (lambda *_: (HolderTarget(math.nan, 0.0, 0.1), HolderState()), "target.coin is nan"),
        (lambda *_: (HolderTarget(0.8, 0.8, 0.1), HolderState()), "more than 1"),
        (lambda *_: None, "TypeError"),
        (lambda *_: sys.exit(3), "SystemExit: 3"),
        (lambda *_: (_ for _ in ()).throw(BaseException("from below")), "BaseException: from below"),
    ],
)
def test_safe_execute_never_raises(decide: Callable[..., Any], text: str) -> None:
    trades, error = deciding(decide, limit_seconds=0.05).safe_execute(FEATURES, BOOK)
    assert trades == []
    assert isinstance(error, AgentError)
    assert text in str(error)
    assert str(error).count("agent ") == 1, "it is named once"


def test_safe_execute_returns_trades_and_no_error() -> None:
    trades, error = agent().safe_execute(FEATURES, BOOK)
    assert ([trade.role for trade in trades], error) == (["coin", "usd"], None)


def test_fitness_is_calculated_before_it_is_recorded() -> None:
    """Historic defect: the fitness stored with a day was that of the days before it."""
    someone = agent()
    for day in (0.01, -0.02, 0.03):
        told = someone.record_performance(day)
        assert told == someone.calculate_fitness()
        assert someone.record["fitness"].iloc[-1] == told
    assert someone.record["fitness"].tolist() == pytest.approx([0.01, 1.01 * 0.98 - 1.0, 1.01 * 0.98 * 1.03 - 1.0])
    assert someone.record["daily_return"].tolist() == [0.01, -0.02, 0.03]


@pytest.mark.parametrize("day", [math.nan, math.inf, -1.0001])
def test_an_impossible_day_is_refused_and_not_recorded(day: float) -> None:
    someone = agent()
    someone.record_performance(0.01)
    with pytest.raises(ValidationError, match="not a daily return"):
        someone.record_performance(day)
    assert len(someone.record) == 1


def test_losing_everything_can_be_recorded() -> None:
    assert agent().record_performance(-1.0) == pytest.approx(-1.0)


def test_capital_changes_are_validated() -> None:
    """Historic defect: negative and hundredfold capital went through."""
    someone = agent()
    for old, new in ((0, 10**12), (1_000, 10_000), (1_000, 0), (1_000, 1)):
        someone.validate_capital_change(old, new)
    for old, new in ((1_000, -1), (1_000, 10_001), (0, -1)):
        with pytest.raises(ValidationError):
            someone.validate_capital_change(old, new)
    with pytest.raises(ValidationError):
        agent(capital_raw=-1)


def test_genes_by_name() -> None:
    assert agent(genome={"window": 24.0, "share": 0.1}).genes["window"] == 24.0
    with pytest.raises(PluginError, match="did you mean 'share'"):
        agent(genome={"shares": 0.1})
    with pytest.raises(PluginError):
        agent(genome={"share": 1.1})
