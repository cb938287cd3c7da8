"""Blocked, scalar, any number of workers, any order of agents and plain Python give the same bits."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_plugins import build, farmer, faulty, six, tactical

from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import Kernel, Tables
from treasury_arena.simulation.outcome import Outcome
from treasury_arena.simulation.warm import compile_kernels

pytestmark = pytest.mark.no_cover

STRATEGIES = [s.STRATEGY for s in (farmer, tactical, faulty, six)]
ROWS = 420
FIELDS = [f.name for f in attrs.fields(Outcome) if f.name != "steps"]


@pytest.fixture(scope="module")
def prepared(cache: Path) -> dict[str, tuple[Kernel, Tables]]:
    kernels = [build.kernel(strategy, cache) for strategy in STRATEGIES]
    compile_kernels(kernels, processes=2)
    frame = build.frame(ROWS)
    return {k.strategy.name: (k, k.tables(frame)) for k in kernels}


def same(a: Outcome, b: Outcome, order: np.ndarray | slice = slice(None)) -> None:
    for name in FIELDS:
        left, right = np.ascontiguousarray(getattr(a, name)[order]), np.ascontiguousarray(getattr(b, name))
        assert left.tobytes() == right.tobytes(), name
    assert a.steps == b.steps or not isinstance(order, slice)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
@given(seed=st.integers(0, 2**32), agents=st.integers(1, 160), low=st.integers(0, 100), high=st.integers(300, ROWS))
@settings(max_examples=6, deadline=None)
def test_same_bits(
    strategy: object, prepared: dict[str, tuple[Kernel, Tables]], seed: int, agents: int, low: int, high: int
) -> None:
    kernel, tables = prepared[strategy.name]  # type: ignore[attr-defined]
    rng = np.random.default_rng(seed)
    genomes = kernel.strategy.space.sample(agents, rng)
    each = {
        "starts": np.where(rng.random(agents) < 0.5, low, rng.integers(low, high + 1, agents)),
        "cash": rng.lognormal(10.0, 2.0, agents),
        "limits": np.where(
            rng.random((agents, 1)) < 0.5, 1.0, rng.uniform(0.0, 1.0, (agents, len(kernel.layout.roles)))
        ),
        "coin_limit": np.where(rng.random(agents) < 0.5, 1.0, rng.uniform(0.0, 1.0, agents)),
    }
    span = {"low": low, "high": high, "sample": int(rng.integers(1, 40))}
    blocked = kernel.run(tables, genomes, **span, **each)
    assert blocked.steps == int((high - each["starts"]).sum())
    same(blocked, kernel.run(tables, genomes, **span, **each, kind="scalar"))
    for workers in (2, 3):
        same(blocked, kernel.run(tables, genomes, **span, **each, workers=workers))
    order = rng.permutation(agents)
    shuffled = kernel.run(tables, genomes[order], **span, **{name: value[order] for name, value in each.items()})
    same(blocked, shuffled, order)
    for a in rng.integers(0, agents, 3):
        one = {name: value[a] for name, value in each.items()}
        plain = interpret(
            kernel, tables, genomes[a], **span, start=one["starts"], **{k: v for k, v in one.items() if k != "starts"}
        )
        same(blocked, plain, np.array([a]))


def test_the_samples_do_trade_fail_and_meet_limits(prepared: dict[str, tuple[Kernel, Tables]]) -> None:
    for name, (kernel, tables) in prepared.items():
        genomes = kernel.strategy.space.sample(100, np.random.default_rng(1))
        out = kernel.run(tables, genomes, low=0, high=ROWS, cash=1e5, sample=24)
        assert (out.trades > 0).mean() > 0.4, name
        assert (out.failed.mean() > 0.5) == (name == "faulty")
        assert np.isfinite(out.curve).all()


def test_rows_before_low_change_nothing_but_features(prepared: dict[str, tuple[Kernel, Tables]]) -> None:
    kernel, tables = prepared["tactical"]
    genomes = kernel.strategy.space.sample(40, np.random.default_rng(2))
    part = Tables(tables.market[100:], tables.features[100:], tables.market_columns, tables.feature_columns)
    whole = kernel.run(tables, genomes, low=100, high=ROWS, cash=1e5, sample=24)
    same(whole, kernel.run(part, genomes, low=0, high=ROWS - 100, cash=1e5, sample=24))


def test_poisoned_future_changes_nothing_before_it(prepared: dict[str, tuple[Kernel, Tables]]) -> None:
    kernel, tables = prepared["farmer"]
    genomes = kernel.strategy.space.sample(40, np.random.default_rng(2))
    frame = build.frame(ROWS)
    poisoned = {name: np.concatenate([c[:200], c[200:][::-1] * 3.0]) for name, c in frame.columns.items()}
    other = kernel.tables(attrs.evolve(frame, columns=poisoned))
    same(
        kernel.run(tables, genomes, low=0, high=200, cash=1e5, sample=1),
        kernel.run(other, genomes, low=0, high=200, cash=1e5, sample=1),
    )
