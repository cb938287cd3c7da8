"""The parameters of the promoted agents, each placed within the range that the run's agents of its strategy span."""

from __future__ import annotations

from typing import Any

import attrs

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.facts import promoted
from treasury_arena_reports.formats import NOTHING, number, strategy_of


@attrs.frozen
class Value:
    """One gene of one promoted agent: its text and its place in the range seen, in percent (None where all are alike)."""

    text: str
    place: float | None


@attrs.frozen
class Parameters:
    """Promoted agents of one strategy: gene names, the range each gene spans in the run, and a row per agent."""

    strategy: str
    genes: list[str]
    ranges: list[str]
    rows: list[tuple[str, list[Value]]]


def parameters(result: RunResult) -> list[Parameters]:
    """One table per strategy with promoted agents, by name; genes by name."""
    tables = []
    chosen = promoted(result)
    for strategy in sorted({strategy_of(agent) for agent in chosen}):
        genomes = [agent.get("genome") or {} for agent in result.agents if strategy_of(agent) == strategy]
        genes = sorted({name for genome in genomes for name in genome})
        spans = {name: _span(name, genomes) for name in genes}
        rows = [
            (str(agent["id"]), [_value(agent.get("genome") or {}, name, spans[name]) for name in genes])
            for agent in chosen
            if strategy_of(agent) == strategy
        ]
        ranges = [f"{gene_text(low)} to {gene_text(high)}" for low, high in spans.values()]
        tables.append(Parameters(strategy, genes, ranges, rows))
    return tables


def gene_text(value: Any) -> str:
    """Four significant digits, whole numbers without a point."""
    if value is None:
        return NOTHING
    amount = float(value)
    if amount == int(amount) or abs(amount) >= 10_000:
        return number(round(amount), 0)
    return f"{amount:.4g}"


def _span(name: str, genomes: list[dict[str, Any]]) -> tuple[float, float]:
    values = [float(genome[name]) for genome in genomes if genome.get(name) is not None]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _value(genome: dict[str, Any], name: str, span: tuple[float, float]) -> Value:
    value = genome.get(name)
    low, high = span
    if value is None or high <= low:
        return Value(gene_text(value), None)
    return Value(gene_text(value), round(100 * (float(value) - low) / (high - low), 1))
