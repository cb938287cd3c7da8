"""Rounding and whole numbers: compiled code, where they have 64 bits, against plain Python, where they have no end."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_plugins import build, rounding

from treasury_arena.simulation.interpret import interpret


def rounded(x: float) -> float:
    return float(math.floor(x)) + 3.0 * float(math.ceil(x * 0.5))


def zero(x: float, up: float) -> float:
    return math.copysign(1.0, float(math.ceil(x)) if up > 0.0 else float(math.floor(x)))


@pytest.fixture(scope="module")
def compiler() -> ModuleType:
    from treasury_arena.simulation import compiling

    return compiling


@pytest.fixture(scope="module")
def compiled(compiler: ModuleType) -> object:
    """`rounded` over an array, as a kernel calls it."""
    inner = compiler.Compiler()(rounded)

    @compiler.entry
    def over(values: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
        out = np.empty_like(values)
        for i in range(values.size):
            out[i] = inner(values[i])
        return out

    return over


@settings(max_examples=500)
@example(2.0**63)
@example(-(2.0**63) - 4096.0)
@example(1e300)
@example(-0.5)
@example(-0.0)
@example(5e-324)
@given(x=st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_is_python_s_at_any_size(compiled: object, x: float) -> None:
    found = compiled(np.full(9, x))  # type: ignore[operator]
    assert {struct.pack("<d", value) for value in found} == {struct.pack("<d", rounded(x))}


def test_what_rounds_to_nothing_has_the_sign_of_a_whole_number(compiler: ModuleType) -> None:
    inner = compiler.Compiler()(zero)

    @compiler.entry
    def asked(x: float, up: float) -> float:  # pragma: no cover - compiled
        return inner(x, up)  # type: ignore[no-any-return]

    for x, up in ((-0.0, 1.0), (-0.0, 0.0), (-0.7, 1.0), (0.0, 1.0), (0.3, 0.0)):
        assert asked(x, up) == zero(x, up) == 1.0
    assert asked(-0.7, 0.0) == zero(-0.7, 0.0) == -1.0


def test_what_is_no_number_stays_so_and_no_integer_is_made_of_it(compiled: object) -> None:
    assert np.isnan(compiled(np.array([math.nan])))[0]  # type: ignore[operator]
    assert compiled(np.array([math.inf, -math.inf])).tolist() == [math.inf, -math.inf]  # type: ignore[operator]
    for x in (math.nan, math.inf):
        with pytest.raises((ValueError, OverflowError)):
            rounded(x)


def test_rounding_stays_in_vectors(compiled: object) -> None:
    assembly = "".join(compiled.inspect_asm().values())  # type: ignore[attr-defined]
    assert "roundpd" in assembly or "vrndscalepd" in assembly or "frintm" in assembly
    assert "cvttsd2si" not in assembly


def test_a_strategy_that_rounds_beyond_64_bits_is_judged_as_it_is_funded(tmp_path: Path) -> None:
    kernel = build.kernel(rounding.STRATEGY, tmp_path)
    tables = kernel.tables(build.frame(200))
    genomes = rounding.STRATEGY.space.sample(70, np.random.default_rng(5))
    out = kernel.run(tables, genomes, low=0, high=200, cash=373_261.0, sample=1)
    assert (out.trades > 10).mean() > 0.5
    assert (genomes[:, 0].max() * 373_261.0) > 2.0**63
    for i in (0, 17, 63, 69):
        plain = interpret(kernel, tables, genomes[i], low=0, high=200, cash=373_261.0, sample=1)
        assert plain.curve[0].tobytes() == out.curve[i].tobytes()
        assert plain.trades[0] == out.trades[i]
