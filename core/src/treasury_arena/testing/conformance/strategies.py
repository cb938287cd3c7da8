"""What every strategy must do: a clean declaration, valid targets, kernels that agree bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena.simulation.lint import find, show
from treasury_arena.testing.frames import stepped, synthetic_frame
from treasury_arena.testing.reference import LENDING, SPOT


@attrs.frozen(eq=False)
class StrategyCase:
    """What the strategy suite needs.

    Attributes:
        strategy: the declaration.
        models, specs: role -> position model, role -> market.
        frame: market data the specs and features are bound to.
        agents: genomes run through kernel and interpreter.
        cash: USD.
        kernels: folder of compiled kernels, None for the user's.
    """

    strategy: Strategy
    models: Mapping[str, PositionModel]
    specs: Mapping[str, MarketSpec]
    frame: MarketFrame
    agents: int = 40
    cash: float = 10_000.0
    kernels: Path | None = None

    def kernel(self) -> Kernel:
        """Checked, linted and generated."""
        return prepare(self.strategy, self.models, self.specs, cache=self.kernels)


class StrategyConformance:
    """Laws of a strategy. Subclasses define the fixture ``case``."""

    @pytest.fixture
    def case(self) -> StrategyCase:
        """What to test."""
        raise NotImplementedError("define the fixture `case` in your subclass")

    def test_the_declaration_is_complete(self, case: StrategyCase) -> None:
        strategy, space = case.strategy, case.strategy.space
        assert strategy.name == strategy.name.strip().lower()
        assert strategy.summary
        assert set(strategy.roles) == set(case.specs) == set(case.models)
        assert all((space.low <= space.default) & (space.default <= space.high))
        assert set(strategy.columns) == set(strategy.features._fields)

    def test_genomes_by_name_and_back(self, case: StrategyCase) -> None:
        space = case.strategy.space
        for genome in space.sample(20, stream(1, 0, "conformance/genomes")):
            assert np.array_equal(space.genome(space.values(genome)), genome)

    def test_every_function_lints_clean(self, case: StrategyCase) -> None:
        findings = find(case.kernel().layout.functions)
        assert not findings, "\n".join(show(finding) for finding in findings)

    def test_targets_are_valid_over_wide_ranges(self, case: StrategyCase) -> None:
        """Random genomes, features far beyond the frame's and odd books never give an impossible target."""
        strategy, space = case.strategy, case.strategy.space
        tables = case.kernel().tables(case.frame)
        rng = stream(2, 0, "conformance/targets")
        spread = np.abs(tables.features).max() if tables.features.size else 1.0
        for genome in space.sample(100, rng):
            own = strategy.state()
            for _ in range(10):
                scale = float(rng.choice([0.0, 1e-9, 1.0, 10.0]) * max(1.0, spread))
                features = strategy.features(*(scale * rng.standard_normal(len(strategy.features._fields))).tolist())
                target, own = strategy.decide(features, strategy.genes(*genome.tolist()), self._book(case, rng), own)
                assert check_target(strategy, target) is None, f"{features} {genome} gave {target}"
                assert all(math.isfinite(value) for value in own)

    @staticmethod
    def _book(case: StrategyCase, rng: np.random.Generator) -> Any:
        equity = float(10.0 ** rng.uniform(0.0, 8.0))
        parts = rng.dirichlet(np.ones(len(case.strategy.roles) + 1)) * equity
        known = {"equity": equity, "cash": float(parts[-1]), "drawdown": float(rng.uniform(0.0, 0.99))}
        known["step"] = float(rng.integers(0, 10_000))
        known |= dict(zip(case.strategy.roles, parts.tolist(), strict=False))
        return case.strategy.book(*(known.get(name, 0.0) for name in case.strategy.book._fields))

    def test_blocked_scalar_and_plain_python_agree_bit_for_bit(self, case: StrategyCase) -> None:
        kernel, frame = case.kernel(), case.frame
        tables = kernel.tables(frame)
        genomes = kernel.strategy.space.sample(case.agents, stream(3, 0, "conformance/kernel"))
        span = {"low": 0, "high": frame.rows, "cash": case.cash, "sample": 1}
        blocked = kernel.run(tables, genomes, **span)  # type: ignore[arg-type]
        scalar = kernel.run(tables, genomes, kind="scalar", **span)  # type: ignore[arg-type]
        assert blocked.curve.tobytes() == scalar.curve.tobytes()
        assert blocked.costs.tobytes() == scalar.costs.tobytes()
        for index in range(min(5, case.agents)):
            plain = interpret(kernel, tables, genomes[index], **span)  # type: ignore[arg-type]
            assert plain.curve[0].tobytes() == blocked.curve[index].tobytes()
            assert plain.max_share[0].tobytes() == blocked.max_share[index].tobytes()
        assert not blocked.failed.any()

    def test_shares_stay_in_bounds_and_costs_are_paid(self, case: StrategyCase) -> None:
        kernel, frame = case.kernel(), case.frame
        genomes = kernel.strategy.space.sample(case.agents, stream(4, 0, "conformance/shares"))
        outcome = kernel.run(
            kernel.tables(frame), genomes, low=0, high=frame.rows, cash=case.cash, sample=frame.steps_per_day
        )
        assert np.isfinite(outcome.curve).all()
        assert (outcome.mean_share >= 0.0).all()
        assert (outcome.mean_share.sum(axis=1) <= 1.0 + 1e-9).all()
        assert (outcome.costs >= -1e-6).all()
        idle = outcome.trades == 0
        assert np.all(outcome.final[idle] == case.cash)

    def test_decisions_do_not_depend_on_the_future(self, case: StrategyCase) -> None:
        """The curve of a prefix of the data is the prefix of the curve."""
        kernel, frame = case.kernel(), case.frame
        genomes = kernel.strategy.space.sample(8, stream(5, 0, "conformance/prefix"))
        cut = frame.rows // 2
        whole = kernel.run(kernel.tables(frame), genomes, low=0, high=frame.rows, cash=case.cash, sample=1)
        part = kernel.run(kernel.tables(frame.slice(0, cut)), genomes, low=0, high=cut, cash=case.cash, sample=1)
        assert part.curve.tobytes() == np.ascontiguousarray(whole.curve[:, :cut]).tobytes()


def reference_case(strategy: Strategy, days: int = 45, step_seconds: int = 3600) -> StrategyCase:
    """A case over synthetic data in which every market of the strategy is a reference market of its role's kind.

    Each spot market has a price path of its own, each lending market a rate of its own.

    Raises KeyError for a role of a kind that the reference protocol does not offer.
    """
    models = {"spot": SPOT, "lending": LENDING}
    columns: dict[str, Any] = {}
    specs: dict[str, MarketSpec] = {}
    for index, (role, bound) in enumerate(strategy.roles.items()):
        name = bound.market
        path = synthetic_frame(days, step_seconds=step_seconds, seed=index, volatility=0.006, rate=0.03 + 0.02 * index)
        columns[f"{name}.price"] = path["WETH.price"] if bound.kind == "spot" else 1.0
        columns[f"{name}.rate"] = path["USDC.lending_rate"]
        fields = {field: f"{name}.{field}" for field in models[bound.kind].market._fields if field != "gas"}
        spec = MarketSpec(name, models[bound.kind].name, bound.kind, "WETH", fields | {"gas": "gas.usd"})
        specs[role] = stepped(attrs.evolve(spec, coin=bound.kind == "spot"), step_seconds)
    frame = synthetic_frame(days, step_seconds=step_seconds, columns=columns)
    return StrategyCase(strategy, {role: models[b.kind] for role, b in strategy.roles.items()}, specs, frame)
