"""Targets are checked, clipped and compared as the kernels do it, at both sides of each threshold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_plugins import build, tactical

from treasury_arena.contracts.decision import (
    build_book,
    build_genes,
    build_params,
    check_target,
    clip_target,
    wants_trade,
)
from treasury_arena.contracts.strategy import FORCE, HOLD

STRATEGY = tactical.STRATEGY
GOOD = tactical.Target(0.5, 0.3, 0.4, 0.2, 0.1, 0.05)
shares = st.lists(st.floats(-1e-9, 1.0), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"band": HOLD}, None),
        ({"band": FORCE}, None),
        ({"band": math.nan}, "target.band is NaN"),
        ({"eth": math.nan}, "target.eth is nan"),
        ({"eth": -math.inf}, "target.eth is -inf"),
        ({"loan_ltv": math.inf}, "target.loan_ltv is inf"),
        ({"loan_ltv": -3.0}, None),
        ({"eth": -1e-9}, None),
        ({"eth": -1.1e-9}, "a share must not be negative"),
        ({"eth": 0.5000009}, None),
        ({"eth": 0.5000011}, "more than 1"),
        ({"eth": "0.5"}, "not a number"),
        ({"eth": None}, "not a number"),
    ],
)
def test_targets_are_checked(change: dict[str, object], reason: str | None) -> None:
    told = check_target(STRATEGY, GOOD._replace(**change))  # type: ignore[arg-type]
    assert told is None if reason is None else reason in str(told)


def test_another_type_is_no_target() -> None:
    assert "gave tuple, not its Target" in str(check_target(STRATEGY, tuple(GOOD)))


@given(shares=shares, limit=st.floats(0.0, 1.0), coin_limit=st.floats(0.0, 1.0), data=st.data())
def test_clipped_shares_respect_every_limit(
    shares: list[float], limit: float, coin_limit: float, data: st.DataObject
) -> None:
    coins = data.draw(st.lists(st.booleans(), min_size=len(shares), max_size=len(shares)))
    out = clip_target(shares, [limit] * len(shares), coins, coin_limit)
    assert all(0.0 <= share <= limit for share in out)
    assert sum(s for s, coin in zip(out, coins, strict=True) if coin) <= coin_limit * (1 + 1e-12) + 1e-300
    refuge = coins.index(False) if False in coins else None
    for index, (before, after, coin) in enumerate(zip(shares, out, coins, strict=True)):
        if index == refuge:
            assert after >= min(max(before, 0.0), limit)
        else:
            assert after <= max(before, 0.0)
        if not coin and index != refuge:
            assert after == min(max(before, 0.0), limit)


def test_what_is_cut_goes_to_the_first_role_that_is_no_coin() -> None:
    assert clip_target([0.5, 0.2, 0.3], [0.0, 1.0, 1.0], [True, False, False], 1.0) == pytest.approx((0.0, 0.7, 0.3))
    assert clip_target([0.5, 0.2], [0.0, 0.4], [True, False], 1.0) == pytest.approx((0.0, 0.4))
    assert clip_target([0.5, 0.5], [0.1, 0.1], [True, True], 1.0) == (0.1, 0.1)


def test_coins_keep_their_proportions_when_scaled() -> None:
    assert clip_target([0.4, 0.2, 0.4], [1.0] * 3, [True, True, False], 0.3) == pytest.approx((0.2, 0.1, 0.7))
    assert clip_target([0.2, 0.1, 0.4], [1.0] * 3, [True, True, False], 0.5) == (0.2, 0.1, 0.4)


@pytest.mark.parametrize(
    ("value", "equity", "band", "expected"),
    [
        (449.0, 1000.0, 0.05, True),
        (450.0, 1000.0, 0.05, False),
        (450.0, 1000.0, FORCE, True),
        (0.0, 1000.0, HOLD, False),
        (-1.0, 0.0, FORCE, False),
        (math.nan, 1000.0, FORCE, False),
        (math.inf, 1000.0, FORCE, False),
    ],
)
def test_drift_beyond_the_band_wants_a_trade(value: float, equity: float, band: float, expected: bool) -> None:
    assert wants_trade([0.5], [value], equity, band) is expected


def test_structs_are_built_by_name() -> None:
    genome = STRATEGY.space.default
    assert build_genes(STRATEGY, genome)._asdict() == dict(zip(STRATEGY.genes._fields, genome.tolist(), strict=True))
    book = build_book(
        STRATEGY, equity=3.0, cash=1.0, drawdown=0.1, step=4.0, values={"span": 2.0}, views={"span_inside": 1.0}
    )
    assert book == tactical.Book(drawdown=0.1, span=2.0, span_inside=1.0)
    assert build_params(build.MODELS["spot"], build.SPECS["btc"]).fee == 0.001
