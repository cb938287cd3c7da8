"""What every protocol must do: exact integer laws, and agreement of model and exact."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import TreasuryArenaError, ValidationError
from treasury_arena.testing.conformance.cases import (
    ProtocolCase,
    book_legs,
    check_balanced,
    check_views,
    is_reached,
    price_of,
    state_worth,
    sums_of,
    threshold_of,
    worth_of_one,
)

CASES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
NO_NUMBERS = (math.nan, math.inf, -math.inf)
MONSTERS = (1.7e308, 1e300, 1e31, 5e-324, -1e300)


class ProtocolConformance:
    """Laws of a protocol's models and exact markets. Subclasses define the fixture ``case``."""

    @pytest.fixture
    def case(self) -> ProtocolCase:
        """What to test."""
        raise NotImplementedError("define the fixture `case` in your subclass")

    @staticmethod
    def _draw(data: st.DataObject, case: ProtocolCase) -> tuple[ExactMarket, MarketSpec, int, int]:
        spec = data.draw(st.sampled_from(case.specs))
        row = data.draw(st.integers(0, case.frame.rows - 1))
        target = data.draw(st.integers(0, case.largest_usd * case.base.unit))
        return case.market(spec), spec, row, target

    def _held(self, data: st.DataObject, case: ProtocolCase, market: ExactMarket, row: int) -> ExactState:
        first = data.draw(st.integers(0, case.largest_usd * case.base.unit))
        fill = market.trade(market.open(), first, row, case.control)
        return market.open() if fill is None else fill.state

    def test_names_are_full_and_distinct(self, case: ProtocolCase) -> None:
        names = [model.name for model in case.protocol.models]
        assert len(set(names)) == len(names) > 0
        assert all(name.startswith(f"{case.protocol.name}.") for name in names)

    def test_every_model_opens_empty_with_default_parameters(self, case: ProtocolCase) -> None:
        for model in case.protocol.models:
            assert all(math.isfinite(value) for value in model.state())
            assert set(model.state._field_defaults) == set(model.state._fields)

    def test_an_empty_position_is_worth_nothing(self, case: ProtocolCase) -> None:
        for spec in case.specs:
            market = case.market(spec)
            assert market.value(market.open(), 0) == 0
            assert not any(market.holdings(market.open()).values())

    @CASES
    @given(data=st.data())
    def test_legs_of_a_fill_sum_to_zero(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, row, target = self._draw(data, case)
        fill = market.trade(self._held(data, case, market, row), target, row, case.control)
        if fill is not None:
            check_balanced(fill.legs)
            assert {leg.asset for leg in fill.legs if leg.account in ("cash", "fee", "gas")} <= {case.base.symbol}

    @CASES
    @given(data=st.data())
    def test_a_purchase_takes_exactly_the_difference(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, spec, row, target = self._draw(data, case)
        held = self._held(data, case, market, row)
        move = target - market.value(held, row)
        fill = market.trade(held, target, row, case.control)
        if fill is not None and move > 0:
            assert fill.cash_raw == -move
            assert market.value(fill.state, row) <= target
        if fill is not None and move < 0:
            assert 0 <= fill.cash_raw <= -move
        if fill is not None:
            # A position with a control (leverage, a range) may swap more than its value moves.
            assert fill.notional_raw >= abs(move)
            assert fill.notional_raw == abs(move) or case.model(spec).control is not None

    @CASES
    @given(data=st.data())
    def test_costs_and_slippage_are_never_negative(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, row, target = self._draw(data, case)
        held = self._held(data, case, market, row)
        fill = market.trade(held, target, row, case.control)
        if fill is not None:
            assert fill.cost_raw >= 0
            assert fill.slippage_bps >= 0.0
            assert sum(leg.amount for leg in fill.legs if leg.account in ("fee", "gas")) <= fill.cost_raw

    @CASES
    @given(data=st.data())
    def test_a_trade_never_makes_anybody_richer(self, case: ProtocolCase, data: st.DataObject) -> None:
        """Cash and position together lose at least the cost told, and hardly more (whole tokens round down)."""
        market, spec, row, target = self._draw(data, case)
        held = self._held(data, case, market, row)
        fill = market.trade(held, target, row, case.control)
        if fill is not None:
            lost = market.value(held, row) - market.value(fill.state, row) - fill.cash_raw
            token = worth_of_one(case, spec, row)
            assert fill.cost_raw <= lost <= fill.cost_raw + token + 2, (
                f"{lost} base units are lost, {fill.cost_raw} told"
            )

    @CASES
    @given(data=st.data())
    def test_a_position_is_worth_the_tokens_it_amounts_to(self, case: ProtocolCase, data: st.DataObject) -> None:
        """The ledger keeps the holdings, the arena counts the value: at the market's price they are the same."""
        market, spec, row, _ = self._draw(data, case)
        held = self._held(data, case, market, row)
        holdings = dict(market.holdings(held))
        coins = 0 if spec.asset == case.base.symbol else holdings.pop(spec.asset, 0)
        money = holdings.pop(case.base.symbol, 0)
        if holdings or (coins and "price" not in spec.columns):
            return  # tokens that no column prices
        if spec.asset == case.base.symbol:
            coins, money = money, 0
        each = Fraction(price_of(case, spec, row)) * case.base.unit / case.assets[spec.asset].unit
        allowed = Fraction(case.bound) * abs(coins) * each + worth_of_one(case, spec, row) + 2
        assert abs(market.value(held, row) - (coins * each + money)) <= allowed, "the holdings have another worth"

    @CASES
    @given(data=st.data())
    def test_a_round_trip_never_gains(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, row, target = self._draw(data, case)
        there = market.trade(market.open(), target, row, case.control)
        if there is not None:
            back = market.trade(there.state, 0, row, case.control)
            if back is not None:
                assert there.cash_raw + back.cash_raw <= 0
                assert market.value(back.state, row) == 0

    @CASES
    @given(data=st.data())
    def test_a_negative_target_is_refused(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, row, target = self._draw(data, case)
        with pytest.raises(ValidationError):
            market.trade(self._held(data, case, market, row), -target - 1, row, case.control)

    @CASES
    @given(data=st.data())
    def test_a_control_that_is_no_number_is_refused(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, spec, row, target = self._draw(data, case)
        if case.model(spec).control is None:
            return
        held = self._held(data, case, market, row)
        bad = list(case.control)
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.sampled_from(NO_NUMBERS))
        with pytest.raises(ValidationError, match=f"market {spec.name!r}: .*(nan|inf)"):
            market.trade(held, target, row, tuple(bad))

    @CASES
    @given(data=st.data())
    def test_a_position_with_a_control_says_its_shape(self, case: ProtocolCase, data: st.DataObject) -> None:
        """Orders on a chain follow it: finite numbers, the same whenever they are asked for."""
        market, spec, row, _ = self._draw(data, case)
        held = self._held(data, case, market, row)
        if case.model(spec).control is None or not market.value(held, row):
            return
        shape = market.shape(held, row)
        assert shape
        assert all(isinstance(part, float) and math.isfinite(part) for part in shape)
        assert market.shape(held, row) == shape

    @CASES
    @given(data=st.data())
    def test_numbers_beyond_measure_end_in_one_sentence(self, case: ProtocolCase, data: st.DataObject) -> None:
        """A frame's finite numbers may be anything: a market refuses them, or computes with them and answers numbers."""
        _, spec, row, target = self._draw(data, case)
        columns = dict(case.frame.columns)
        if spec.columns:
            name = data.draw(st.sampled_from(sorted(spec.columns.values())))
            columns[name] = columns[name].copy()
            columns[name][row:] = data.draw(st.sampled_from(MONSTERS))
        frame = MarketFrame(case.frame.start, case.frame.step_seconds, columns)
        target = data.draw(st.sampled_from((target, 2**254, 10**400)))
        told, fill = None, None
        try:
            market = case.protocol.exact(spec, frame, case.assets, case.base)
            fill = market.trade(market.open(), target, row, case.control)
            state = market.open() if fill is None else fill.state
            state, _ = market.accrue(state, row, frame.rows - 1)
            assert isinstance(market.value(state, frame.rows - 1), int)
            assert all(math.isfinite(view) for view in market.views(state, frame.rows - 1).values())
        except TreasuryArenaError as error:
            told = str(error)
        assert told is None or (told and "\n" not in told)
        assert fill is None or math.isfinite(fill.slippage_bps)

    @CASES
    @given(data=st.data())
    def test_dust_does_nothing(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, row, _ = self._draw(data, case)
        held = self._held(data, case, market, row)
        value = market.value(held, row)
        assert market.trade(held, value, row, case.control) is None
        if value:
            assert market.trade(held, value - 1, row, case.control) is None
        assert market.trade(held, value + 1, row, case.control) is None

    @CASES
    @given(data=st.data())
    def test_splitting_an_interval_changes_nothing(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, _, _, _ = self._draw(data, case)
        low, middle, high = sorted(data.draw(st.integers(0, case.frame.rows - 1)) for _ in range(3))
        held = self._held(data, case, market, low)
        whole, legs = market.accrue(held, low, high)
        part, first = market.accrue(held, low, middle)
        rest, second = market.accrue(part, middle, high)
        assert rest == whole
        assert sums_of((*first, *second)) == sums_of(legs)
        assert market.accrue(held, low, low) == (held, ())

    @CASES
    @given(data=st.data())
    def test_postings_carry_the_holdings(self, case: ProtocolCase, data: st.DataObject) -> None:
        """What legs put on the position and debt accounts is what `holdings` says, after trades and accruals alike."""
        market, _, row, target = self._draw(data, case)
        booked: dict[str, int] = {}
        state = market.open()
        for goal in (target, target // 3, target // 2, 0):
            fill = market.trade(state, goal, row, case.control)
            if fill is not None:
                state = fill.state
                book_legs(booked, fill.legs)
            later = min(case.frame.rows - 1, row + 3)
            state, legs = market.accrue(state, row, later)
            check_balanced(legs)
            book_legs(booked, legs)
            row = later
            assert booked == {asset: amount for asset, amount in market.holdings(state).items() if amount}

    @CASES
    @given(data=st.data())
    def test_the_same_question_has_the_same_answer(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, spec, row, target = self._draw(data, case)
        again = case.market(spec)
        held = self._held(data, case, market, row)
        assert market.trade(held, target, row, case.control) == again.trade(held, target, row, case.control)
        assert market.value(held, row) == again.value(held, row)
        assert market.views(held, row) == again.views(held, row)

    @CASES
    @given(data=st.data())
    def test_the_future_is_not_read(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, spec, row, target = self._draw(data, case)
        past = case.protocol.exact(spec, case.frame.until(row), case.assets, case.base)
        held = self._held(data, case, market, row)
        assert past.trade(held, target, row, case.control) == market.trade(held, target, row, case.control)
        assert past.value(held, row) == market.value(held, row)
        low = data.draw(st.integers(0, row))
        assert past.accrue(held, low, row) == market.accrue(held, low, row)

    @CASES
    @given(data=st.data())
    def test_model_and_exact_agree_within_the_bound(self, case: ProtocolCase, data: st.DataObject) -> None:
        market, spec, row, target = self._draw(data, case)
        held = self._held(data, case, market, row)
        model, unit = case.model(spec), case.base.unit
        fill: Fill | None = market.trade(held, target, row, case.control)
        state = model.state()
        line = model.market(*(float(case.frame[spec.columns[field]][row]) for field in model.market._fields))
        params = build_params(model, spec)
        control = None if model.control is None else model.control(*case.control)
        start = market.value(held, row) / unit
        if not is_reached(model, start, line, params, control, case.bound):
            return
        if start:
            # The float state whose value is the exact one's: bought without dust, then corrected for its cost.
            state = state_worth(model, start, line, params, control)
            assert model.value(state, line, params) == pytest.approx(start, rel=case.bound)
            check_views(case, spec, market, (held, row), (state, line, params))
        after, cash = model.trade(state, target / unit, line, params, control)
        size = max(abs(target / unit - start), start, 1.0)
        if fill is None:
            assert abs(cash) <= 2.0 * threshold_of(spec, params, line)
        elif cash == 0.0:
            assert fill.notional_raw / unit <= 2.0 * threshold_of(spec, params, line)
        else:
            # A venue that swaps whole base units of the asset rounds what it sells, and the fee on it.
            allowed = case.bound * size + (3.0 + 2.0 * worth_of_one(case, spec, row)) / unit
            assert cash == pytest.approx(fill.cash_raw / unit, abs=allowed)
            assert model.value(after, line, params) == pytest.approx(market.value(fill.state, row) / unit, abs=allowed)
            check_views(case, spec, market, (fill.state, row), (after, line, params))
        if fill is not None and cash != 0.0 and row + 1 < case.frame.rows and model.accrue is not None:
            later = min(case.frame.rows - 1, row + 5)
            grown, _ = market.accrue(fill.state, row, later)
            for now in range(row + 1, later + 1):
                line = model.market(*(float(case.frame[spec.columns[field]][now]) for field in model.market._fields))
                after = model.accrue(after, line, params)
            # Whole units round twice: those bought, and what their scaled form is worth after interest.
            assert model.value(after, line, params) == pytest.approx(
                market.value(grown, later) / unit,
                # What is held and what was earned are each rounded to whole units once more.
                abs=case.bound * size + (3.0 + 4.0 * worth_of_one(case, spec, later)) / unit,
            )
            check_views(case, spec, market, (grown, later), (after, line, params))
