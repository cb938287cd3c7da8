"""`arena backtest` and `arena evolve`: the search kernel and the search, without an arena around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.arena.births import Breeder
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.assembly import Assembled, assemble
from treasury_arena.cli.common import (
    config_argument,
    data_option,
    emit,
    json_option,
    read_config,
    say,
    seed_option,
    workers_option,
)
from treasury_arena.cli.lines import barren, speed
from treasury_arena.cli.paths import TypedPath
from treasury_arena.config.settings import Agent, Settings
from treasury_arena.config.show import agents_toml, config_hash
from treasury_arena.domain.statistics.series import FloatArray
from treasury_arena.randomness import stream
from treasury_arena.registry.loader import load_registry


@click.command("backtest")
@config_argument
@data_option
@seed_option
@workers_option
@click.option(
    "--agents", type=click.IntRange(min=1), help="Random genomes per strategy; the configured agents otherwise."
)
@click.option("--out", type=TypedPath(), help="Write curves and metrics as JSON to this file.")
@json_option
def backtest(
    config: Path,
    data: Path | None,
    seed: int | None,
    workers: int | None,
    agents: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Backtest one population over the configured days, without evolution.

    The population: the configuration's [[agents]], or each strategy's defaults, or random genomes with --agents. An agent
    that fails is named with its reason, and the exit code is 1.

    \b
    Example:
      arena backtest examples/quickstart.toml --agents 20
    """
    registry = load_registry()
    settings = read_config(config, registry, {"seed": seed})
    assembled = assemble(settings, registry, data=data, workers=workers, say=say)
    try:
        population = _population(assembled, settings, agents)
        frame = assembled.world.frame
        start = frame.time(assembled.world.first_row).date()
        end = frame.closed_day(assembled.world.last_row)
        result = assembled.engine().backtest(population, start, end)
    finally:
        assembled.close()
    if out is not None:
        result.to_json(out)
    if as_json:
        steps = result.agent_steps / max(result.seconds, 1e-9)
        emit({**result.to_dict(), "timings": {"seconds": result.seconds, "agent_steps_per_second": steps}})
    else:
        lent = result.curves["lend_everything"]
        first, last = (lent.index[at].strftime("%Y-%m-%d") for at in (1, -1))
        click.echo(f"{first} to {last}, {lent.iloc[0]:,.2f} USD each, costs in USD:")
        click.echo(_table(result.table))
        click.echo(f"lending everything over the same days: {lent.iloc[-1] / lent.iloc[0] - 1:.2%}")
        for sentence in result.failures:
            click.echo(sentence)
        say(speed(result.agent_steps, result.seconds))
    return 1 if bool(result.table["failed"].any()) else 0


#: Columns of the table and how their numbers are written.
SHOWN = {
    "total_return": "{:z.2%}",
    "sharpe": "{:z.2f}",
    "floored_sharpe": "{:z.2f}",
    "max_drawdown": "{:z.2%}",
    "costs": "{:,.2f}",
    "trades": "{:,.0f}",
    "fitness": "{:z.4f}",
}


def _table(table: pd.DataFrame) -> str:
    """Best fitness first; of an agent that failed, which has no record, only that it did."""
    ordered = table.sort_values("fitness", ascending=False)
    cells: dict[str, list[str]] = {"strategy": [str(name) for name in ordered["strategy"]]}
    for name, form in SHOWN.items():
        nothing = "failed" if name == "fitness" else "\u2013"
        cells[name] = [
            nothing if failed else form.format(value)
            for value, failed in zip(ordered[name], ordered["failed"], strict=True)
        ]
    return pd.DataFrame(cells, index=ordered.index).to_string()


def _population(assembled: Assembled, settings: Settings, count: int | None) -> list[TreasuryAgent]:
    arena, desks = assembled.arena, assembled.world.desks
    out: list[TreasuryAgent] = []
    if count is None and arena.seeds:
        for index, (name, seed_genes) in enumerate(arena.seeds):
            out.append(TreasuryAgent(f"{name}-{index + 1}", desks[name].strategy, arena.judge_fitness, seed_genes))
        return out
    for name, desk in desks.items():
        genomes = [desk.space.default]
        if count is not None:
            genomes = list(desk.space.sample(count, stream(settings.seed, 0, f"backtest/{name}")))
        for index, genome in enumerate(genomes):
            genes = desk.space.values(np.asarray(genome))
            out.append(TreasuryAgent(f"{name}-{index + 1}", desk.strategy, arena.judge_fitness, genes))
    return out


@click.command("evolve")
@config_argument
@data_option
@seed_option
@workers_option
@click.option("--best", type=click.IntRange(min=1), default=3, show_default=True, help="Genomes to print per strategy.")
@click.option("--out", type=TypedPath(), help="Write the TOML to this file instead of stdout.")
@json_option
def evolve(
    config: Path, data: Path | None, seed: int | None, workers: int | None, best: int, out: Path | None, as_json: bool
) -> int:
    """Search only: breed on the training window before `start`, print the best genomes as TOML that `run` accepts.

    Append the output to a configuration and those agents are born first; what was tried to find them counts as tried there.

    \b
    Example:
      arena evolve examples/quickstart.toml --best 2
    """
    registry = load_registry()
    settings = read_config(config, registry, {"seed": seed})
    assembled = assemble(settings, registry, data=data, workers=workers, say=say)
    try:
        arena, world = assembled.arena, assembled.world
        breeder = Breeder(arena, world, RecordKeeper(arena, world))
        found: list[dict[str, Any]] = []
        trials = 0
        without: list[str] = []
        known: list[FloatArray] = []  # a run bears no two agents that do the same, of whatever strategies
        for name, desk in world.desks.items():
            result, _ = breeder.search(desk, [], 0, world.first_row)
            trials += result.trials
            births = breeder.spawn(desk, result, [], known, best, 0, world.first_row, None)
            found += [{"strategy": name, "score": b.training["score"], "genome": dict(b.genes)} for b in births]
            if not births and result.trial_sharpes.count:
                say(f"every genome found of {name} does what one above does already")
            elif not births:
                without.append(barren(name, assembled.engine().why_barren(name)))
    finally:
        assembled.close()
    told = {"trials": trials, "search": config_hash(settings)[:12]}
    found = [{**entry, **told} for entry in found]
    text = "\n".join(
        f"# training score {entry['score']:.4f}\n"
        + agents_toml([Agent(**{key: value for key, value in entry.items() if key != "score"})])
        for entry in found
    )
    if out is not None:
        out.write_text(text)
    if as_json:
        emit({"agents": found, "trials": trials, "without": without})
    elif out is None and found:
        click.echo(text)
    for sentence in without:
        say(sentence)
    say(f"{trials} genomes tried")
    return 1 if without else 0
