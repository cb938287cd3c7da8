"""Crossover: one child from each pair of parents, all pairs at once.

A choice gene has no order to blend along: every crossover takes it whole from one parent. Integer genes are treated as
real and rounded. Children lie inside the bounds if their parents do.
"""

from __future__ import annotations

import attrs
import numpy as np

from treasury_arena.contracts.genes import CHOICE, FloatArray, GeneSpace
from treasury_arena.contracts.operators import Crossover
from treasury_arena.domain import elementary
from treasury_arena.errors import ValidationError
from treasury_arena_genetics.bounds import settle
from treasury_arena_genetics.fields import probability, within


def pairs(first: FloatArray, second: FloatArray, space: GeneSpace) -> None:
    """Raise ValidationError unless both are (M, genes) of this space."""
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != space.size:
        raise ValidationError(
            f"crossover needs two arrays of shape (M, {space.size}), not {first.shape} and {second.shape}"
        )


@attrs.frozen
class Uniform(Crossover):
    """Each gene comes from the second parent with probability `swap_rate` (Syswerda 1989, ICGA 3).

    Attributes:
        swap_rate: probability, per gene, of taking the second parent's.
    """

    swap_rate: float = attrs.field(default=0.5, validator=probability)
    name = "uniform"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        pairs(first, second, space)
        return np.where(rng.random(first.shape) < self.swap_rate, second, first)


@attrs.frozen
class Blend(Crossover):
    """BLX-alpha: each gene uniform on its parents' interval widened by `alpha` of its length on either side.

    Eshelman and Schaffer 1993, "Real-coded genetic algorithms and interval-schemata", FOGA 2. With alpha = 0.5 the
    expected spread of a population without selection neither shrinks nor grows. What falls outside the bounds is clipped.

    Attributes:
        alpha: widening on each side as a share of the parents' distance.
    """

    alpha: float = attrs.field(default=0.5, validator=within(0.0))
    name = "blend"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        pairs(first, second, space)
        draw = rng.random(first.shape)
        taken = np.where(draw < 0.5, first, second)
        draw *= 1.0 + 2.0 * self.alpha
        draw -= self.alpha
        draw *= second - first
        draw += first
        settle(draw, space)
        return np.where(space.kind == CHOICE, taken, draw)


@attrs.frozen
class SimulatedBinary(Crossover):
    """Simulated binary crossover (SBX), bounded; one of its two symmetric children.

    For parents ``y1 <= y2`` the children are ``(y1 + y2 -+ beta (y2 - y1)) / 2`` with the spread factor beta drawn from
    the polynomial distribution of Deb and Agrawal 1995, "Simulated binary crossover for continuous search space",
    Complex Systems 9, section 4. The distribution is cut so that neither child can leave the bounds, with the nearer
    bound deciding for both: ``beta_max = 1 + 2 min(y1 - low, high - y2) / (y2 - y1)``,
    ``alpha = 2 - beta_max^-(eta + 1)``. Hence the two children lie symmetrically about their parents' middle, and as
    the child kept is either of them with equal chance, the expected value of every real gene is that middle: without
    selection, column means of a population are preserved.

    Attributes:
        eta: distribution index; the larger, the nearer children are to a parent (2 wide, 20 narrow).
        gene_rate: probability, per gene, of being spread; otherwise it comes unchanged from either parent.
    """

    eta: float = attrs.field(default=15.0, validator=within(0.0))
    gene_rate: float = attrs.field(default=0.5, validator=probability)
    name = "sbx"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        pairs(first, second, space)
        swapped = rng.random(first.shape) < 0.5
        children = np.where(swapped, second, first)
        spread = (rng.random(first.shape) < self.gene_rate) & (first != second) & (space.kind != CHOICE)
        at = np.flatnonzero(spread)
        near = children.ravel()[at]
        far = np.where(swapped, first, second).ravel()[at]
        gene = at % space.size
        middle, half = 0.5 * (near + far), 0.5 * (near - far)
        width = np.abs(half)
        room = np.maximum(np.minimum(middle - space.low[gene], space.high[gene] - middle) - width, 0.0)
        power = self.eta + 1.0
        u = rng.random(at.size) * (2.0 - elementary.power(1.0 + room / width, -power))
        beta = elementary.power(np.where(u <= 1.0, u, 1.0 / (2.0 - u)), 1.0 / power)
        children.ravel()[at] = middle + beta * half
        settle(children, space)
        return children
