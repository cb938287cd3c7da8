"""Assembly: the only file that knows everyone. It turns checked settings and accepted plugins into a running arena."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from treasury_arena.arena import begun
from treasury_arena.arena.backtest import SimulationEngine
from treasury_arena.arena.cycle import Listener, silent
from treasury_arena.arena.desk import Desk, World
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.settings import ArenaSettings, CapitalPlan
from treasury_arena.audience import make_audience
from treasury_arena.clock import from_epoch, to_epoch
from treasury_arena.config.checks import no_column
from treasury_arena.config.context import SourceContext
from treasury_arena.config.load import load_config
from treasury_arena.config.resolve import (
    asset_table,
    benchmark_market,
    bound_strategies,
    fitness_terms,
    idle_market,
    market_specs,
    operator,
)
from treasury_arena.config.settings import Agent, Settings, Term
from treasury_arena.config.show import config_hash, hashed_dict
from treasury_arena.contracts.composite import Composite
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.contracts.runtime import Executor
from treasury_arena.contracts.source import DataSource, fetched
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.controls import lending_index
from treasury_arena.domain.frame import MarketFrame, Window, check_jumps
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import ConfigError, DataError, PluginError
from treasury_arena.events.event import Event
from treasury_arena.evolution.settings import OperatorSet, SearchSettings
from treasury_arena.isolation import calling
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry
from treasury_arena.simulation.executors import GuardedExecutor, ThreadExecutor
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena.simulation.warm import Compilation
from treasury_arena.store import EventStore, open_store
from treasury_arena.trading.limits import Limits

OWNER_FITNESS = "owner"
FINGERPRINT_MAX = 256


@attrs.frozen(eq=False)
class Assembled:
    """A run, put together and ready to open a store.

    Attributes:
        settings: the checked configuration.
        arena: the arena's own settings.
        world: the market and everything bound to it.
    """

    settings: Settings
    registry: Registry
    arena: ArenaSettings
    world: World
    limits: Limits

    def manager(
        self,
        store: EventStore,
        listener: Listener = silent,
        halted: Callable[[], str] = lambda: OFF,
        *,
        run: str = "",
        folder: Path | None = None,
        tell: Callable[[Sequence[Event]], None] | None = None,
        begins: str = "",
    ) -> ArenaManager:
        """The arena over `store`, resumed where the store stands.

        Args:
            halted: what stops new risk besides the emergency stop, as a level of it.
            run, folder: the run's id (the arena's name unless given) and folder, for its observers.
            tell: hears of what was committed; the configured observers unless given, until the arena is closed.
            begins: nothing is resumed, this run must begin here; what to do where one is already, at the end of a sentence.

        Raises ConfigError when the store holds another configuration or other data, or an observer cannot be made;
        BegunError when it holds a run and one was to begin, be it that another writer began it at the same time.
        """

        def there() -> bool:
            if begins:
                self.refuse_begun(store, begins)
                return False  # not looked at again, lest another begins between two looks and is taken for this one
            return self._begun(store, "resume it with its own configuration, or give another database")

        found = None if there() else there
        parts = (self.arena, self.world, store, self.limits, tuple(self.registry.validators.values()))
        if tell is not None:
            return ArenaManager(*parts, tell, listener, halted, found=found)
        audience = make_audience(self.settings, self.registry, store, run or self.settings.name, folder)
        try:
            return ArenaManager(*parts, audience, listener, halted, audience.close, found)
        except BaseException:
            audience.close()
            raise

    def refuse_begun(self, store: EventStore, advice: str) -> None:
        """Raise BegunError when `store` holds a run already, this one or another; `advice` says how to begin one."""
        try:
            there = self._begun(store, advice)
        except ConfigError as error:
            raise begun.BegunError(str(error)) from error
        if there:
            raise begun.already(store, advice)

    def _begun(self, store: EventStore, advice: str) -> bool:
        return begun.holds(
            store, self.arena, self.world, lambda name: self.registry.require("strategies", name), advice
        )

    def engine(self) -> SimulationEngine:
        """The backtest engine over the same world."""
        return SimulationEngine(self.arena, self.world)

    @property
    def kernels(self) -> dict[str, Kernel]:
        """Strategy -> its kernel; it knows the markets, and no data."""
        return {name: desk.kernel for name, desk in self.world.desks.items()}

    def close(self) -> None:
        """Release the executor's threads."""
        self.arena.executor.close()


def assemble(
    settings: Settings,
    registry: Registry,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    until: int | None = None,
    before: Assembled | None = None,
    say: Callable[[str], None] | None = None,
) -> Assembled:
    """Load the data, compile the kernels and wire everything.

    Args:
        settings: as `load_config` returns them.
        registry: the plugins.
        data: folder that the data source's files are relative to.
        cache: folder for cached frames and kernels, or None for the user's cache.
        workers: overrides the executor's workers; no result depends on it.
        until: epoch of the present, for a run that goes on while its market does: no row is asked for that is known only
            later, and the data's identity is that of their configuration, because their content grows.
        before: an assembly of the same settings and registry, whose kernels are taken on instead of checked and written anew.
        say: told in a sentence when kernels must be compiled first, which takes a while.

    Raises ConfigError, DataError and PluginError with one clear sentence.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ConfigError(f"workers is {workers!r}; expected a whole number from 1, or None for one per processor")
    strategies = bound_strategies(settings, registry)
    specs = market_specs(settings, registry)
    threads = workers or settings.executor.workers or os.cpu_count() or 1
    source = make_source(settings, registry, data, cache)
    whole, first = run_window(settings, list(strategies.values()))
    window = whole if until is None else known_window(whole, first, until, settings.step_seconds)
    kernels = _prepared(strategies, specs, registry, cache) if before is None else before.kernels
    compilation = Compilation(list(kernels.values()))
    if say is not None and compilation.cold and before is None:
        what = "1 strategy" if compilation.cold == 1 else f"{compilation.cold} strategies"
        say(f"compiling {what} to machine code, some seconds each; later runs start at once")
    with compilation:
        with calling(f"source {settings.source.name!r}"):
            frame = fetched(source.fetch, window, first)
            fingerprint = source.fingerprint() if until is None else f"growing:{config_hash(settings)}"
            facts = source.describe()
        check_delivered(settings.source.name, frame, fingerprint, facts)
        check_frame(frame, window, specs, settings)
        compilation.wait()
    markets = exact_markets(registry, specs, frame, settings)
    world = World(
        frame=frame,
        desks={name: _desk(strategies[name], kernels[name], specs, registry, frame) for name in sorted(strategies)},
        markets=markets,
        lending=_lending(benchmark_market(settings, specs), specs, frame),
        first_row=frame.row(first),
        last_row=(whole.end - whole.start) // settings.step_seconds - 1,
        data_fingerprint=fingerprint,
        data_facts=facts,
        coins=_coins(specs, frame),
        eth=_eth(specs, frame),
    )
    arena = _arena_settings(settings, registry, threads, idle_market(settings, specs))
    return Assembled(settings, registry, arena, world, settings.trading.limits.for_orders())


def open_arena(
    config: Path | str,
    *,
    data: Path | str | None = None,
    store: Path | str | None = None,
    seed: int | None = None,
    workers: int | None = None,
) -> tuple[ArenaManager, SimulationEngine]:
    """An arena and its backtest engine from a configuration file, for scripts and notebooks.

    Args:
        config: path of the TOML file, or its text.
        data: folder of the data source's files.
        store: SQLite file or database URL; in memory unless given.
        seed, workers: override the configuration.
    """
    registry = load_registry()
    source = config if isinstance(config, Path) or "\n" in config else Path(config)
    settings = load_config(source, registry, {"seed": seed})
    assembled = assemble(settings, registry, data=None if data is None else Path(data), workers=workers)
    return assembled.manager(open_store(store if store is not None else "sqlite://")), assembled.engine()


def make_source(settings: Settings, registry: Registry, data: Path | None, cache: Path | None) -> DataSource:
    """The configured data source; raises PluginError when it is unknown."""
    name = settings.source.name
    factory = registry.require("sources", name)
    context = SourceContext(data=data, seed=settings.seed, cache=cache, step_seconds=settings.step_seconds)
    with calling(f"source {name!r}"):
        source: DataSource = factory(settings.sections.get(f"source.{name}"), context)
    return source


def run_window(settings: Settings, strategies: list[Strategy]) -> tuple[Window, int]:
    """The rows a run needs, and the epoch of its first moment.

    From the training window before `start`, and before that the longest feature window (`warmup_days` at most), up to
    the close of the day `end`.
    """
    step = settings.step_seconds
    start = to_epoch(datetime.combine(settings.start, time(), UTC))
    end = to_epoch(datetime.combine(settings.end + timedelta(days=1), time(), UTC))
    return Window(start - lead_days(settings, strategies) * 86_400, end + step), start


def known_window(whole: Window, first: int, until: int, step_seconds: int) -> Window:
    """The part of a run's rows that is known at `until`; raises ConfigError while its first moment lies ahead."""
    if until < first:
        raise ConfigError(
            f"the arena begins on {from_epoch(first).date()}, which is not yet: it is {from_epoch(until)}"
        )
    return Window(whole.start, min(whole.end, (until // step_seconds + 1) * step_seconds))


def lead_days(settings: Settings, strategies: list[Strategy]) -> int:
    """Days before `start` that a run reads: the training window, and the longest feature window before that."""
    warm_up = max((strategy.longest_window for strategy in strategies), default=1) * settings.step_seconds
    return settings.population.training_days + min(-(-warm_up // 86_400), settings.population.warmup_days)


def check_delivered(name: str, frame: object, fingerprint: object, facts: object) -> None:
    """Raise PluginError where a source gave other objects than it owes."""
    if type(frame) is not MarketFrame:  # one of its own kind could say one thing by name and hold another
        raise PluginError(f"source {name!r} fetched an object of type {type(frame).__name__}; expected a MarketFrame")
    if not isinstance(fingerprint, str) or not fingerprint.isprintable() or not 0 < len(fingerprint) <= FINGERPRINT_MAX:
        raise PluginError(
            f"source {name!r} has the fingerprint {fingerprint!r:.80}; expected a printable text of 1 to {FINGERPRINT_MAX} "
            "characters"
        )
    if not isinstance(facts, dict) or not all(isinstance(text, str) for pair in facts.items() for text in pair):
        raise PluginError(f"source {name!r} describes itself by {facts!r:.80}; expected a dict of texts")


def check_frame(frame: MarketFrame, window: Window, specs: Mapping[str, MarketSpec], settings: Settings) -> None:
    """Refuse a frame that is not the window asked for, lacks a market's column, or whose prices jump as no market does.

    Raises DataError naming the column, and its key or the time.
    """
    if (frame.start, frame.end, frame.step_seconds) != (window.start, window.end, settings.step_seconds):
        raise DataError(
            f"the source {settings.source.name!r} delivered rows from {frame.time(0)} to {frame.time(frame.rows - 1)} every "
            f"{frame.step_seconds} s, asked for were {from_epoch(window.start)} to "
            f"{from_epoch(window.end - settings.step_seconds)} every {settings.step_seconds} s"
        )
    for spec in specs.values():
        for field, column in spec.columns.items():
            if column not in frame.columns:
                raise DataError(
                    f"markets.{spec.name}.columns.{field}: {no_column(settings.source.name, column, frame.columns)}"
                )
        if "price" in spec.columns:
            check_jumps(frame, spec.columns["price"])


def exact_markets(
    registry: Registry, specs: Mapping[str, MarketSpec], frame: MarketFrame, settings: Settings
) -> dict[str, ExactMarket]:
    """The exact integer market of every configured market."""
    assets = asset_table(settings)
    owners = {model.name: protocol for protocol in registry.protocols.values() for model in protocol.models}
    out: dict[str, ExactMarket] = {}
    for name, spec in specs.items():
        if spec.model not in owners:
            raise PluginError(f"markets.{name}: no accepted protocol offers the model {spec.model!r}")
        owner = owners[spec.model]
        with calling(f"protocol {owner.name!r}"):
            out[name] = owner.exact(spec, frame, assets, assets[settings.capital.base])
    return out


def wired(
    strategy: Strategy, specs: Mapping[str, MarketSpec], registry: Registry
) -> tuple[dict[str, PositionModel], dict[str, MarketSpec]]:
    """The models and the markets of a bound strategy by role."""
    bound = {role: specs[slot.market] for role, slot in strategy.roles.items()}
    return {role: registry.models[spec.model] for role, spec in bound.items()}, bound


def _prepared(
    strategies: Mapping[str, Strategy], specs: Mapping[str, MarketSpec], registry: Registry, cache: Path | None
) -> dict[str, Kernel]:
    return {
        name: prepare(
            strategy,
            *wired(strategy, specs, registry),
            cache=None if cache is None else cache / "kernels",
        )
        for name, strategy in strategies.items()
    }


def _desk(
    strategy: Strategy, kernel: Kernel, specs: Mapping[str, MarketSpec], registry: Registry, frame: MarketFrame
) -> Desk:
    roles = {role: bound.market for role, bound in strategy.roles.items()}
    return Desk(
        strategy=strategy,
        space=strategy.space,
        roles=roles,
        models={role: registry.models[specs[market].model] for role, market in roles.items()},
        coin_roles=frozenset(role for role, market in roles.items() if specs[market].coin),
        kernel=kernel,
        tables=kernel.tables(frame),
    )


def _lending(name: str, specs: Mapping[str, MarketSpec], frame: MarketFrame) -> np.ndarray[Any, Any]:
    """One dollar lent at the market `name`, or idle when it is empty."""
    if not name:
        return np.ones(frame.rows)
    column = specs[name].columns["rate"]
    with np.errstate(over="ignore", invalid="ignore"):
        index = lending_index(frame[column], frame.step_seconds)
    if not np.isfinite(index).all():
        raise DataError(
            f"column {column!r} has rates up to {frame[column].max():g} a year, at which lending everything overflows; expected "
            "fractions a year (0.05 is 5%)"
        )
    return index


def _coins(specs: Mapping[str, MarketSpec], frame: MarketFrame) -> dict[str, np.ndarray[Any, Any]]:
    columns = {spec.asset: spec.columns["price"] for spec in specs.values() if spec.coin and "price" in spec.columns}
    return {asset: frame[column] for asset, column in sorted(columns.items())}


def _eth(specs: Mapping[str, MarketSpec], frame: MarketFrame) -> np.ndarray[Any, Any] | None:
    coins = _coins(specs, frame)
    return coins.get("WETH", coins.get("ETH"))


def _fitness(terms: tuple[Term, ...], registry: Registry) -> FitnessFunction:
    weighted = ((function, weight) for weight, function in fitness_terms(terms, registry))
    return Composite(terms=tuple(weighted))


def _arena_settings(settings: Settings, registry: Registry, threads: int, idle: str) -> ArenaSettings:
    assets = asset_table(settings)
    base = assets[settings.capital.base]
    capital = settings.capital
    digest = config_hash(settings)
    evolution = settings.evolution
    if OWNER_FITNESS not in registry.fitness:
        raise ConfigError(f"the rules need the fitness function {OWNER_FITNESS!r}: install treasury-arena-fitness")
    return ArenaSettings(
        arena_id=digest,
        name=settings.name,
        profile=settings.profile,
        seed=settings.seed,
        rules=settings.resolved_rules(),
        capital=CapitalPlan(
            total_raw=base.to_raw(capital.total),
            reserve_raw=base.to_raw(capital.reserve),
            proving_raw=base.to_raw(capital.proving),
            arena_raw=base.to_raw(capital.arena),
            proving_slot_raw=base.to_raw(capital.proving_slot),
            proving_agents=capital.proving_agents,
            arena_agents_max=capital.arena_agents_max,
            reserve_lend=capital.reserve_use == "lend",
            idle_market=idle,
        ),
        base=base,
        assets=assets,
        search=SearchSettings(
            population=evolution.population,
            generations=evolution.generations,
            elites=evolution.elites,
            crossover_rate=evolution.crossover_rate,
            restart_after=evolution.restart_after,
        ),
        operators=OperatorSet(
            selection=operator(evolution.selection, registry),
            crossover=operator(evolution.crossover, registry),
            mutation=operator(evolution.mutation, registry),
        ),
        search_fitness=_fitness(settings.fitness.search, registry),
        judge_fitness=_fitness(settings.judge_terms(), registry),
        owner_fitness=registry.fitness[OWNER_FITNESS],
        executor=_executor(settings.executor.name, registry, threads),
        agents=settings.population.agents,
        cycle_days=settings.population.cycle_days,
        training_days=settings.population.training_days,
        birth_cycles=settings.population.birth_cycles,
        workers=threads,
        seeds=tuple((agent.strategy, dict(agent.genome)) for agent in settings.agents),
        tried_before=_tried_before(settings.agents),
        config=hashed_dict(settings),
        config_hash=digest,
        plugins=_used(settings, registry),
    )


def _tried_before(agents: Iterable[Agent]) -> int:
    """Genomes tried to find the agents: those of a search that is named count once."""
    searches: dict[str, int] = {}
    unnamed = 0
    for agent in agents:
        if agent.search:
            searches[agent.search] = max(agent.trials, searches.get(agent.search, 0))
        else:
            unnamed += agent.trials
    return unnamed + sum(searches.values())


def _executor(name: str, registry: Registry, threads: int) -> Executor:
    factory = registry.require("executors", name)
    return ThreadExecutor(threads) if factory is ThreadExecutor else GuardedExecutor(name, factory, threads)


def _used(settings: Settings, registry: Registry) -> dict[str, str]:
    """Distribution -> version of what the run computes with; a plugin that is merely installed changes nothing."""
    evolution = settings.evolution
    used = {
        *bound_strategies(settings, registry),
        *(market.model for market in settings.markets.values()),
        settings.source.name,
        OWNER_FITNESS,
        *(term.name for term in (*settings.fitness.search, *settings.judge_terms())),
        *(choice.name for choice in (evolution.selection, evolution.crossover, evolution.mutation)),
        *registry.validators,
    }
    protocols = {p.name: {model.name for model in p.models} for p in registry.protocols.values()}
    found = {"treasury-arena-core": version("treasury-arena-core")}
    for report in registry.plugins:
        offers = {name for names in report.offers.values() for name in names}
        offers |= {model for name in offers for model in protocols.get(name, ())}
        if report.status == "accepted" and report.distribution and offers & used:
            found[report.distribution] = report.version
    return found
