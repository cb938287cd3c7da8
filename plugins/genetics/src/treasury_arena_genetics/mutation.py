"""Mutation: small changes to an (M, genes) array, on a copy.

`rate` is the probability, per gene, of being mutated; None means one gene per genome on average (1 / genes).
Integer genes stay whole and move by at least one step where the bounds allow it, except under `Owner`, which keeps to
the owner's formula. A choice gene goes to a neighbouring value or to any other one, with equal chance. A gene whose
bounds coincide never moves.
"""

from __future__ import annotations

import attrs
import numpy as np

from treasury_arena.contracts.genes import CHOICE, INTEGER, REAL, FloatArray, GeneSpace
from treasury_arena.contracts.operators import Indices, Mutation
from treasury_arena.domain import elementary
from treasury_arena.errors import ValidationError
from treasury_arena_genetics.bounds import settle
from treasury_arena_genetics.fields import optional_probability, probability, within

Rate = float | None


def _picked(shape: tuple[int, ...], rate: float, rng: np.random.Generator) -> Indices:
    return np.flatnonzero(rng.random(shape) < rate)


def _copied(genomes: FloatArray, space: GeneSpace) -> FloatArray:
    if genomes.ndim != 2 or genomes.shape[1] != space.size:
        raise ValidationError(f"mutation needs an array of shape (M, {space.size}), not {genomes.shape}")
    return np.array(genomes, dtype=np.float64, order="C")


def _whole_steps(old: FloatArray, new: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Round, and turn a move that rounding or the bound would undo into one step, away from a bound if at it."""
    rounded = np.clip(np.rint(new), low, high)
    step = np.where(new >= old, 1.0, -1.0)
    stepped = np.where((old + step > high) | (old + step < low), old - step, old + step)
    return np.clip(np.where(rounded == old, stepped, rounded), low, high)


def _other_choice(old: FloatArray, high: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A neighbouring index or any other index, each way with probability one half."""
    kinds, draws = rng.random((2, old.size))
    step = np.where(draws < 0.5, -1.0, 1.0)
    neighbour = np.where((old + step > high) | (old + step < 0.0), old - step, old + step)
    other = np.minimum(np.floor(draws * high), high - 1.0)
    other += other >= old
    return np.clip(np.where(kinds < 0.5, neighbour, other), 0.0, high)


def _redrawn(genomes: FloatArray, at: Indices, space: GeneSpace, rng: np.random.Generator) -> None:
    """Redraw the genes at the flat positions `at` uniformly over their whole range, in place."""
    gene = at % space.size
    low, high, real = space.low[gene], space.high[gene], space.kind[gene] == REAL
    values = low + rng.random(at.size) * (high - low + np.where(real, 0.0, 1.0))
    genomes.ravel()[at] = np.clip(np.where(real, values, np.floor(values)), low, high)


@attrs.frozen
class Reset(Mutation):
    """Redraws genes of every kind uniformly over their range.

    Attributes:
        rate: probability, per gene, of being redrawn; None for 1 / genes.
    """

    rate: Rate = attrs.field(default=None, validator=optional_probability)
    name = "reset"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        out = _copied(genomes, space)
        _redrawn(out, _picked(out.shape, _share(self.rate, space), rng), space, rng)
        return out


@attrs.frozen
class Owner(Mutation):
    """The owner's mutation: each numeric gene times uniform(1 - spread, 1 + spread), clipped to its bounds.

    A product never moves a zero or a choice gene, nor a small integer that rounds back; `reset_rate` redraws any gene
    uniformly now and then, so that every genome can be reached from every other.

    Attributes:
        spread: half-width of the factor, 0.2 for +-20%.
        rate: probability, per gene, of being multiplied; None for 1 / genes, by default every gene is.
        reset_rate: probability, per gene of any kind, of being redrawn uniformly instead.
    """

    spread: float = attrs.field(default=0.2, validator=probability)
    rate: Rate = attrs.field(default=1.0, validator=optional_probability)
    reset_rate: float = attrs.field(default=0.02, validator=probability)
    name = "owner"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        out = _copied(genomes, space)
        factor = rng.random(out.shape)
        factor *= 2.0 * self.spread
        factor += 1.0 - self.spread
        rate = _share(self.rate, space)
        still = space.kind == CHOICE
        if rate < 1.0:
            factor[(rng.random(out.shape) >= rate) | still] = 1.0
        else:
            factor[:, still] = 1.0
        out *= factor
        settle(out, space)
        if self.reset_rate > 0.0:
            _redrawn(out, _picked(out.shape, self.reset_rate, rng), space, rng)
        return out


@attrs.frozen
class Gaussian(Mutation):
    """Adds a normal deviate whose standard deviation is the gene's own `scale` times its range times `strength`.

    Attributes:
        rate: probability, per gene, of being mutated; None for 1 / genes.
        strength: multiplies the scale that the strategy declares for the gene.
    """

    rate: Rate = attrs.field(default=None, validator=optional_probability)
    strength: float = attrs.field(default=1.0, validator=within(0.0, above=True))
    name = "gaussian"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        out = _copied(genomes, space)
        at = _picked(out.shape, _share(self.rate, space), rng)
        gene = at % space.size
        low, high = space.low[gene], space.high[gene]
        old = out.ravel()[at]
        new = old + rng.standard_normal(at.size) * (self.strength * space.scale * (space.high - space.low))[gene]
        _store(out, at, old, new, low, high, space.kind[gene], rng)
        return out


@attrs.frozen
class Polynomial(Mutation):
    """Polynomial mutation, bounded: steps as a share of the range, never beyond the bounds, mostly small.

    Deb and Goyal 1996, "A combined genetic adaptive search (GeneAS) for engineering design", Computer Science and
    Informatics 26; in the bounded form of Deb and Agrawal 1999, "A niched-penalty approach for constraint handling in
    genetic algorithms": for u <= 1/2 the step is ``(2u + (1 - 2u)(1 - d1)^(eta + 1))^(1 / (eta + 1)) - 1`` with d1 the
    distance to the lower bound as a share of the range, and its mirror image for u > 1/2.

    Attributes:
        eta: distribution index; a typical step is about 1 / eta of the range.
        rate: probability, per gene, of being mutated; None for 1 / genes.
    """

    eta: float = attrs.field(default=20.0, validator=within(0.0))
    rate: Rate = attrs.field(default=None, validator=optional_probability)
    name = "polynomial"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        out = _copied(genomes, space)
        at = _picked(out.shape, _share(self.rate, space), rng)
        gene = at % space.size
        low, high = space.low[gene], space.high[gene]
        old = out.ravel()[at]
        width = high - low
        u = rng.random(at.size)
        down = u <= 0.5
        room = np.where(down, old - low, high - old) / np.where(width > 0.0, width, 1.0)
        tail = np.where(down, 2.0 * u, 2.0 - 2.0 * u)
        power = self.eta + 1.0
        kept = elementary.power(np.maximum(1.0 - room, 0.0), power)
        step = 1.0 - elementary.power(tail + (1.0 - tail) * kept, 1.0 / power)
        new = old + np.where(down, -step, step) * width
        _store(out, at, old, new, low, high, space.kind[gene], rng)
        return out


def _share(rate: Rate, space: GeneSpace) -> float:
    return 1.0 / space.size if rate is None else rate


def _store(
    out: FloatArray,
    at: Indices,
    old: FloatArray,
    new: FloatArray,
    low: FloatArray,
    high: FloatArray,
    kind: Indices,
    rng: np.random.Generator,
) -> None:
    """Write numeric proposals `new` at the flat positions `at`, whole where needed; choice genes get another value."""
    values = np.clip(new, low, high)
    integer, choice = np.flatnonzero(kind == INTEGER), np.flatnonzero(kind == CHOICE)
    values[integer] = _whole_steps(old[integer], new[integer], low[integer], high[integer])
    values[choice] = _other_choice(old[choice], high[choice], rng)
    out.ravel()[at] = values
