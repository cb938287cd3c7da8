"""Gene declarations: the metadata of a strategy's `Genes` NamedTuple, and the arrays operators work on."""

from __future__ import annotations

import typing
from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.errors import PluginError, nearest

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

REAL, INTEGER, CHOICE = 0, 1, 2


@attrs.frozen
class Real:
    """A real gene in [low, high]. `scale` is the standard deviation of a Gaussian mutation, as a share of the range."""

    low: float
    high: float
    default: float | None = None
    unit: str = ""
    scale: float = 0.1


@attrs.frozen
class Integer:
    """A whole-number gene in [low, high]; the decision function receives it as a float."""

    low: int
    high: int
    default: int | None = None
    unit: str = ""
    scale: float = 0.1


@attrs.frozen
class Choice:
    """A gene that is an index into `values` (windows, thresholds); the decision function receives the index as a float."""

    values: tuple[float, ...]
    default: int = 0
    unit: str = ""


Gene = Real | Integer | Choice


def metadata(cls: type) -> dict[str, typing.Any]:
    """Field name -> first `Annotated` metadata of a NamedTuple class; fields without metadata are left out."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


@attrs.frozen(eq=False)
class GeneSpace:
    """A strategy's genes as arrays of shape (genes,), in the order of its `Genes` fields.

    Attributes:
        names: gene names.
        kind: REAL, INTEGER or CHOICE per gene.
        low, high: inclusive bounds (a choice gene runs from 0 to its number of values less one).
        default: the declared default, or the middle of the range.
        scale: mutation scale as a share of the range (0 for choice genes).
        choices: values of each choice gene, by name.
        units: unit text per gene.
    """

    names: tuple[str, ...]
    kind: IntArray
    low: FloatArray
    high: FloatArray
    default: FloatArray
    scale: FloatArray
    choices: Mapping[str, tuple[float, ...]]
    units: Mapping[str, str]

    @classmethod
    def of(cls, genes: type) -> GeneSpace:
        """Read the declarations of a `Genes` class; raises PluginError for a missing or impossible one."""
        declared = metadata(genes)
        names: tuple[str, ...] = tuple(getattr(genes, "_fields", ()))
        if not names:
            raise PluginError(f"{genes.__qualname__} declares no genes")
        rows: list[tuple[int, float, float, float, float]] = []
        for name in names:
            gene = declared.get(name)
            where = f"gene {name!r} of {genes.__module__}.{genes.__qualname__}"
            if isinstance(gene, Choice):
                if len(gene.values) < 1 or not 0 <= gene.default < len(gene.values):
                    raise PluginError(
                        f"{where}: default {gene.default} is not an index of its {len(gene.values)} values"
                    )
                rows.append((CHOICE, 0.0, len(gene.values) - 1.0, float(gene.default), 0.0))
            elif isinstance(gene, Real | Integer):
                middle = (gene.low + gene.high) / 2
                default = middle if gene.default is None else gene.default
                if isinstance(gene, Integer):
                    default = round(default)
                if not gene.low <= default <= gene.high or not np.isfinite([gene.low, gene.high, gene.scale]).all():
                    raise PluginError(f"{where}: needs low <= default <= high, all finite, not {gene}")
                kind = INTEGER if isinstance(gene, Integer) else REAL
                rows.append((kind, float(gene.low), float(gene.high), float(default), gene.scale))
            else:
                raise PluginError(f"{where} needs Annotated[float, Real(...) | Integer(...) | Choice(...)]")
        kind_, low, high, default_, scale = (np.array(column) for column in zip(*rows, strict=True))
        return cls(
            names=names,
            kind=kind_.astype(np.int64),
            low=low.astype(np.float64),
            high=high.astype(np.float64),
            default=default_.astype(np.float64),
            scale=scale.astype(np.float64),
            choices={n: declared[n].values for n in names if isinstance(declared[n], Choice)},
            units={n: declared[n].unit for n in names},
        )

    @property
    def size(self) -> int:
        return len(self.names)

    def clip(self, genomes: FloatArray) -> FloatArray:
        """Clip an (N, genes) array to the bounds and round integer and choice genes; the input is not changed."""
        out = np.clip(genomes, self.low, self.high)
        whole = self.kind != REAL
        out[:, whole] = np.rint(out[:, whole])
        return np.asarray(out, dtype=np.float64)

    def sample(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Draw `count` genomes uniformly, shape (count, genes)."""
        whole = self.kind != REAL
        high = np.where(whole, self.high + 1.0, self.high)
        draw = self.low + rng.random((count, self.size)) * (high - self.low)
        draw[:, whole] = np.floor(draw[:, whole])
        return self.clip(draw)

    def genome(self, values: Mapping[str, float]) -> FloatArray:
        """One genome of shape (genes,) from values by name; missing genes take their default, unknown ones are refused.

        A choice gene is given by its VALUE (for example a window of 24), not by its index. Raises PluginError for what is no
        number, and for one out of bounds.
        """
        out = self.default.copy()
        for name, value in values.items():
            if name not in self.names:
                raise PluginError(f"unknown gene {name!r}: {nearest(name, self.names)}")
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise PluginError(f"gene {name!r} must be a number, not {value!r}")
            at = self.names.index(name)
            if name in self.choices:
                options = self.choices[name]
                if value not in options:
                    raise PluginError(f"gene {name!r} must be one of {list(options)}, not {value}")
                value = float(options.index(value))
            if not self.low[at] <= value <= self.high[at]:
                raise PluginError(f"gene {name!r} must lie in [{self.low[at]}, {self.high[at]}], not {value}")
            out[at] = value
        return out

    def values(self, genome: FloatArray) -> dict[str, float]:
        """A genome by name, choice genes as their values; the inverse of `genome`."""
        out: dict[str, float] = {}
        for at, name in enumerate(self.names):
            value = float(genome[at])
            out[name] = float(self.choices[name][int(value)]) if name in self.choices else value
        return out
