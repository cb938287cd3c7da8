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
from treasury_arena.simulation.outcome import Outcome
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


def over_the_fall(genomes: Any, **params: float) -> Outcome:
    """The collateral loses 10 % within an hour, in the middle."""
    case = over_aave()
    account = attrs.evolve(case.specs["account"], params=params)
    case = attrs.evolve(case, specs={**case.specs, "account": account})
    kernel = case.kernel()
    return kernel.run(kernel.tables(case.frame), genomes, low=0, high=case.frame.rows, cash=100_000.0, sample=24)


def liquidated(genomes: Any) -> Any:
    """Whose money depends on what a liquidator is paid."""
    return over_the_fall(genomes).final != over_the_fall(genomes, bonus=0.0).final


def test_loops_are_entered_and_few_are_liquidated_in_a_fall_of_a_tenth() -> None:
    genomes = STRATEGY.space.sample(64, stream(6, 0, "test/aave"))
    outcome = over_the_fall(genomes)
    assert (outcome.max_share[:, 1] > 0.09).mean() > 0.3
    assert (outcome.max_drawdown > 0.05).sum() > 8, "who is in a loop when the collateral falls"
    assert liquidated(genomes).mean() < 0.1
    assert outcome.final.min() > 80_000.0
    assert np.median(outcome.trades) < 45 * 24 / 20
    assert not outcome.failed.any()


def test_who_owes_too_much_for_a_fall_of_a_tenth_is_liquidated_and_who_owes_less_is_not() -> None:
    """Below 4 times the own capital the health factor is 0.83 / 0.75 before the fall, and 0.996 after it."""
    genomes = STRATEGY.space.sample(64, stream(6, 0, "test/aave"))
    reckless = {"enter": 0.0, "hysteresis": 0.1, "floor": 1.01, "cushion": 0.01, "share": 1.0}
    names = STRATEGY.genes._fields
    for name, value in reckless.items():
        genomes[:, names.index(name)] = value
    leverage, hit = genomes[:, names.index("leverage")], liquidated(genomes)
    assert (leverage < 3.9).sum() > 8
    assert not hit[leverage < 3.9].any()
    assert hit[leverage > 4.1].mean() > 0.5
    assert over_the_fall(genomes).final[hit].max() < 80_000.0


def test_the_books_in_exact_integers_follow_the_kernel(live: Any) -> None:
    case = over_aave()
    kernel = case.kernel()
    genome = STRATEGY.space.genome({"leverage": 4.0, "share": 0.8, "floor": 1.2, "smoothing": 24.0, "ltv_band": 0.03})
    plain = interpret(kernel, kernel.tables(case.frame), genome, low=0, high=case.frame.rows, cash=50_000.0, sample=24)
    account, equity = live(case, (AaveProtocol(),), genome, 50_000.0)
    assert account.failed is None
    assert plain.trades[0] > 2.0
    assert equity == pytest.approx(plain.final[0], rel=1e-8)
