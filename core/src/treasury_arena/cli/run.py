"""`arena run`, `resume`, `backtest` and `evolve`."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import click
import numpy as np

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.arena.births import Breeder
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.arena.results import build_result
from treasury_arena.assembly import Assembled, assemble
from treasury_arena.cli.common import emit, find_folder, json_option, say
from treasury_arena.cli.folder import RunFolder
from treasury_arena.cli.progress import RunProgress
from treasury_arena.clock import Stopwatch, WallClock
from treasury_arena.config.load import load_config
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.results import RunResult
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.randomness import stream
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import EventStore, open_store

config_argument = click.argument("config", type=click.Path(path_type=Path))
data_option = click.option("--data", type=click.Path(path_type=Path), help="Folder the data source's files are relative to.")
seed_option = click.option("--seed", type=click.IntRange(min=0), help="Seed, instead of the configuration's.")
workers_option = click.option("--workers", type=click.IntRange(min=1), help="Threads; no result depends on it.")
out_option = click.option("--out", type=click.Path(path_type=Path), help="Folder for everything the run leaves behind.")
db_option = click.option("--db", metavar="URL", help="Database, instead of a SQLite file in the run's folder.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress display.")


def read_config(path: Path, registry: Registry, overrides: dict[str, Any]) -> Settings:
    """Load a configuration file, warning of plugins that were rejected."""
    settings = load_config(path, registry, overrides)
    for warning in registry.warnings:
        say(f"warning: {warning}")
    return settings


def read_text(path: Path) -> str:
    """The configuration's text; raises ConfigError naming the file."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error


@click.command("run")
@config_argument
@data_option
@db_option
@out_option
@seed_option
@workers_option
@quiet_option
@json_option
def run_command(
    config: Path,
    data: Path | None,
    db: str | None,
    out: Path | None,
    seed: int | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Replay history with an arena that only knows the past, and say what it would have made.

    \b
    Example:
      arena run examples/history.toml --data DATA --seed 2 --out runs/second
    """
    registry = load_registry()
    settings = read_config(config, registry, {"seed": seed})
    stamp = WallClock().now().astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{settings.name}-{settings.profile}-s{settings.seed}-{stamp}"
    folder = RunFolder(out if out is not None else Path("runs") / run_id)
    if out is not None:
        run_id = out.resolve().name
    url = db or settings.store.url or None
    notes = {
        "run_id": run_id,
        "data": str(data.resolve()) if data is not None else None,
        "db": url,
        "seed": settings.seed,
        "workers": workers,
    }
    folder.begin(read_text(config), notes)
    return _go(folder, settings, registry, notes, quiet=quiet, as_json=as_json)


@click.command("resume")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder (same as RUN).")
@db_option
@data_option
@click.option("--seed", type=click.IntRange(min=0), help="Must be the run's own seed; for scripts that always pass one.")
@workers_option
@quiet_option
@json_option
def resume(
    run: Path | None,
    out: Path | None,
    db: str | None,
    data: Path | None,
    seed: int | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Go on with an interrupted run from its last committed cycle; the result equals that of an uninterrupted one.

    RUN is the run's folder; the newest one under runs/ unless given.

    \b
    Example:
      arena resume runs/second
    """
    folder = find_folder(run, out)
    notes = folder.notes()
    if seed is not None and seed != notes["seed"]:
        raise ConfigError(f"the run was begun with seed {notes['seed']}, not {seed}: another seed is another run")
    notes = {
        **notes,
        "data": str(data.resolve()) if data is not None else notes["data"],
        "db": db or notes["db"],
        "workers": workers or notes["workers"],
    }
    registry = load_registry()
    settings = read_config(folder.config, registry, {"seed": notes["seed"]})
    return _go(folder, settings, registry, notes, quiet=quiet, as_json=as_json)


def _go(
    folder: RunFolder, settings: Settings, registry: Registry, notes: dict[str, Any], *, quiet: bool, as_json: bool
) -> int:
    watch = Stopwatch()
    url = notes["db"] or str(folder.path / "arena.db")
    with open_store(url) as store:
        data = Path(notes["data"]) if notes["data"] else None
        assembled = assemble(settings, registry, data=data, workers=notes["workers"])
        try:
            result = _cycles(assembled, store, notes["run_id"], watch, quiet=quiet)
        finally:
            assembled.close()
    names = settings.report.reporters or tuple(sorted(registry.reporters))
    paths: list[Path] = []
    for name in names:
        reporter = registry.require("reporters", name)
        paths.extend(reporter.write(result, folder.path))
        if not as_json:
            click.echo(reporter.table(result))
    if as_json:
        emit({**result.to_dict(), "files": [str(path) for path in paths], "out": str(folder.path)})
    else:
        for path in paths:
            click.echo(f"wrote {path}")
    return 0


def _cycles(assembled: Assembled, store: EventStore, run_id: str, watch: Stopwatch, *, quiet: bool) -> RunResult:
    manager = assembled.manager(store)
    try:
        rows = manager.schedule()
        setup = watch.seconds()
        with RunProgress(len(rows), assembled.arena.base, quiet=quiet) as progress:
            manager.run(progress)
        return build_result(manager, run_id, setup_seconds=setup, seconds=watch.seconds())
    finally:
        manager.close()


@click.command("backtest")
@config_argument
@data_option
@seed_option
@workers_option
@click.option("--agents", type=click.IntRange(min=1), help="Random genomes per strategy; the configured agents otherwise.")
@click.option("--out", type=click.Path(path_type=Path), help="Write curves and metrics as JSON to this file.")
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

    The population: the configuration's [[agents]], or each strategy's defaults, or random genomes with --agents.

    \b
    Example:
      arena backtest examples/quickstart.toml --agents 20
    """
    registry = load_registry()
    settings = read_config(config, registry, {"seed": seed})
    assembled = assemble(settings, registry, data=data, workers=workers)
    try:
        population = _population(assembled, settings, agents)
        frame = assembled.world.frame
        start = frame.time(assembled.world.first_row).date()
        end = frame.time(assembled.world.last_row).date()
        result = assembled.engine().backtest(population, start, end)
    finally:
        assembled.close()
    if out is not None:
        result.to_json(out)
    if as_json:
        steps = result.agent_steps / max(result.seconds, 1e-9)
        emit({**result.to_dict(), "timings": {"seconds": result.seconds, "agent_steps_per_second": steps}})
    else:
        shown = ["strategy", "total_return", "sharpe", "floored_sharpe", "max_drawdown", "costs", "trades", "fitness"]
        click.echo(result.table.sort_values("fitness", ascending=False)[shown].to_string(float_format="%.4f"))
        lent = result.curves["lend_everything"]
        click.echo(f"lending everything over the same days: {lent.iloc[-1] / lent.iloc[0] - 1:.4%}")
        say(f"{result.agent_steps / max(result.seconds, 1e-9) / 1e6:.1f} M agent-steps/s")
    return 1 if bool(result.table["failed"].any()) else 0


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
@click.option("--out", type=click.Path(path_type=Path), help="Write the TOML to this file instead of stdout.")
@json_option
def evolve(
    config: Path, data: Path | None, seed: int | None, workers: int | None, best: int, out: Path | None, as_json: bool
) -> int:
    """Search only: breed on the training window before `start`, print the best genomes as TOML that `run` accepts.

    Append the output to a configuration and those agents are born first.

    \b
    Example:
      arena evolve examples/quickstart.toml --best 2
    """
    registry = load_registry()
    settings = read_config(config, registry, {"seed": seed})
    assembled = assemble(settings, registry, data=data, workers=workers)
    try:
        arena, world = assembled.arena, assembled.world
        breeder = Breeder(arena, world, RecordKeeper(arena, world))
        found: list[dict[str, Any]] = []
        trials = 0
        for name, desk in world.desks.items():
            result = breeder.search(desk, [], 0, world.first_row)
            trials += result.trials
            for genome, score in zip(result.genomes[:best], result.scores[:best], strict=True):
                found.append({"strategy": name, "score": float(score), "genome": desk.space.values(genome)})
    finally:
        assembled.close()
    if not found:
        raise ValidationError("the search found no genome without a failure")
    text = "\n".join(_agent_toml(entry) for entry in found)
    if out is not None:
        out.write_text(text)
    if as_json:
        emit({"agents": found, "trials": trials})
    elif out is None:
        click.echo(text)
    say(f"{trials} genomes tried")
    return 0


def _agent_toml(entry: dict[str, Any]) -> str:
    genes = "\n".join(f"{name} = {value!r}" for name, value in entry["genome"].items())
    return f'# training score {entry["score"]:.4f}\n[[agents]]\nstrategy = "{entry["strategy"]}"\n[agents.genome]\n{genes}\n'
