"""Gene declarations and the arrays made of them."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treasury_arena.contracts.genes import CHOICE, INTEGER, REAL, Choice, GeneSpace, Integer, Real, metadata
from treasury_arena.contracts.strategy import Column
from treasury_arena.errors import PluginError
from treasury_arena.randomness import stream
from treasury_arena.testing.strategies import LENDER


class Genes(NamedTuple):
    threshold: Annotated[float, Real(-1.0, 3.0, unit="APR", scale=0.2)]
    days: Annotated[float, Integer(1, 10, default=4, unit="days")]
    window: Annotated[float, Choice((24.0, 72.0, 168.0), default=1, unit="h")]
    size: Annotated[float, Real(0.0, 1.0, default=0.25)]


SPACE = GeneSpace.of(Genes)
genomes = arrays(np.float64, (6, 4), elements=st.floats(-50.0, 50.0))


def test_declarations_become_arrays() -> None:
    assert SPACE.names == ("threshold", "days", "window", "size")
    assert SPACE.size == 4
    assert SPACE.kind.tolist() == [REAL, INTEGER, CHOICE, REAL]
    assert SPACE.low.tolist() == [-1.0, 1.0, 0.0, 0.0]
    assert SPACE.high.tolist() == [3.0, 10.0, 2.0, 1.0]
    assert SPACE.default.tolist() == [1.0, 4.0, 1.0, 0.25]
    assert SPACE.scale.tolist() == [0.2, 0.1, 0.0, 0.1]
    assert SPACE.choices == {"window": (24.0, 72.0, 168.0)}
    assert SPACE.units == {"threshold": "APR", "days": "days", "window": "h", "size": ""}


@given(genomes)
def test_clipped_genomes_are_valid_and_stay_so(raw: np.ndarray) -> None:
    before = raw.copy()
    clipped = SPACE.clip(raw)
    assert ((clipped >= SPACE.low) & (clipped <= SPACE.high)).all()
    assert (clipped[:, 1:3] == np.rint(clipped[:, 1:3])).all()
    assert SPACE.clip(clipped).tolist() == clipped.tolist()
    assert raw.tolist() == before.tolist()


@given(genomes)
def test_genomes_and_values_are_inverse(raw: np.ndarray) -> None:
    for genome in SPACE.clip(raw):
        np.testing.assert_array_equal(SPACE.genome(SPACE.values(genome)), genome)


def test_samples_reach_every_whole_value_about_equally_often() -> None:
    draws = SPACE.sample(20_000, stream(1, 0, "genes"))
    assert draws.shape == (20_000, 4)
    assert ((draws >= SPACE.low) & (draws <= SPACE.high)).all()
    for gene, count in ((1, 10), (2, 3)):
        values, shares = np.unique(draws[:, gene], return_counts=True)
        assert values.tolist() == list(np.arange(count) + SPACE.low[gene])
        np.testing.assert_allclose(shares / 20_000, 1 / count, rtol=0.1)
    assert draws[:, 0].mean() == pytest.approx(1.0, abs=0.05)


def test_a_genome_by_name_takes_defaults_and_choice_values() -> None:
    assert SPACE.genome({}).tolist() == SPACE.default.tolist()
    assert SPACE.genome({"window": 168.0, "days": 10}).tolist() == [1.0, 10.0, 2.0, 0.25]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"windw": 24.0}, "unknown gene 'windw': did you mean 'window'"),
        ({"window": 25.0}, r"'window' must be one of \[24\.0, 72\.0, 168\.0\], not 25"),
        ({"size": 1.01}, r"'size' must lie in \[0\.0, 1\.0\]"),
        ({"size": -0.01}, r"'size' must lie in"),
        ({"size": float("nan")}, r"'size' must lie in"),
        ({"size": "x"}, r"'size' must be a number, not 'x'"),
        ({"size": True}, r"'size' must be a number, not True"),
        ({"size": None}, r"'size' must be a number, not None"),
    ],
)
def test_an_impossible_genome_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        SPACE.genome(values)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bounds_belong_to_the_range(value: float) -> None:
    assert SPACE.genome({"size": value})[3] == value


def test_default_of_an_integer_gene_is_whole() -> None:
    class Half(NamedTuple):
        n: Annotated[float, Integer(0, 5)]

    assert GeneSpace.of(Half).default[0] in (2.0, 3.0)


def test_metadata_leaves_plain_fields_out() -> None:
    class Mixed(NamedTuple):
        plain: float
        told: Annotated[float, "first", "second"]

    assert metadata(Mixed) == {"told": "first"}


class NoGenes:
    pass


class Plain(NamedTuple):
    x: float


class Backwards(NamedTuple):
    x: Annotated[float, Real(2.0, 1.0)]


class Outside(NamedTuple):
    x: Annotated[float, Real(0.0, 1.0, default=1.5)]


class Infinite(NamedTuple):
    x: Annotated[float, Real(0.0, float("inf"), default=1.0)]


class Empty(NamedTuple):
    x: Annotated[float, Choice(())]


class BadIndex(NamedTuple):
    x: Annotated[float, Choice((1.0, 2.0), default=2)]


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (NoGenes, "declares no genes"),
        (Plain, "gene 'x' of .*Plain needs Annotated"),
        (Backwards, "low <= default <= high"),
        (Outside, "low <= default <= high"),
        (Infinite, "all finite"),
        (Empty, "default 0 is not an index of its 0 values"),
        (BadIndex, "default 2 is not an index of its 2 values"),
    ],
)
def test_an_impossible_declaration_is_refused_by_name(cls: type, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        GeneSpace.of(cls)


@pytest.mark.parametrize("window", [float("nan"), 2.5, True, None])
def test_a_window_is_a_number_of_rows_or_a_genes_name(window: Any) -> None:
    declared = Annotated[float, Column("sma", window, of="usd")]
    features = NamedTuple("Features", [("x", declared)])  # noqa: UP014 - of a value that only this test knows
    with pytest.raises(PluginError, match=r"feature 'x' has the window .*; expected a number of rows or a gene's name"):
        attrs.evolve(LENDER, features=features)
