"""The looper over the real models of Aave accounts and lending."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from loop_markets import make_frame, specs

from treasury_arena.contracts.position import PositionModel
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.testing.conformance import StrategyCase, StrategyConformance
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_looper.strategy import STRATEGY

MODELS: dict[str, PositionModel] = {model.name: model for model in AaveProtocol().models}
ACCOUNT, SUPPLY = MODELS["aave.account"], MODELS["aave.supply"]


def over_aave() -> StrategyCase:
    frame = make_frame(45 * 24 + 1, 7)
    reserve = {"USDC.supplied": np.full(frame.rows, 2.0e8), "USDC.borrowed": np.full(frame.rows, 1.5e8)}
    columns = {name: frame[name] for name in frame.columns} | reserve
    bound = specs(ACCOUNT, SUPPLY)
    lending = {**bound["usd"].columns, "supplied": "USDC.supplied", "borrowed": "USDC.borrowed"}
    bound["usd"] = attrs.evolve(bound["usd"], columns=lending, params={"swap_fee": 0.0})
    market = MarketFrame(frame.start, frame.step_seconds, columns)
    return StrategyCase(STRATEGY, {"usd": SUPPLY, "account": ACCOUNT}, bound, market)


class TestLooper(StrategyConformance):
    @pytest.fixture
    def case(self) -> StrategyCase:
        return over_aave()


def test_loops_are_entered_and_few_are_liquidated_in_a_fall_of_a_tenth() -> None:
    """The collateral loses 10 % within an hour: whoever owes too much for that is liquidated, the careful are not."""
    case = over_aave()
    kernel = case.kernel()
    genomes = STRATEGY.space.sample(64, stream(6, 0, "test/aave"))
    outcome = kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)
    assert (outcome.max_share[:, 1] > 0.09).mean() > 0.3
    assert (outcome.final > 0.0).all()
    assert np.median(outcome.trades) < case.frame.rows / 20
    assert not outcome.failed.any()


def test_the_books_in_exact_integers_follow_the_kernel(live: Any) -> None:
    case = over_aave()
    kernel = case.kernel()
    genome = STRATEGY.space.genome({"leverage": 4.0, "share": 0.8, "floor": 1.2, "smoothing": 24.0, "ltv_band": 0.03})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, (AaveProtocol(),), genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-4)
