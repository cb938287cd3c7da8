"""Checks of settings against the plugins that are installed: names, parameters, markets, roles, genomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from treasury_arena.config.keys import key_fields
from treasury_arena.config.offered import Offered
from treasury_arena.config.read import Problem, Reading, read_table
from treasury_arena.config.resolve import strategy_names
from treasury_arena.config.scanner import KeyPath
from treasury_arena.config.settings import AUTO, NONE, Choice, Settings, Term
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable
from treasury_arena.errors import PluginError, ValidationError, nearest

Found = Iterator[tuple[KeyPath, str]]


def check(reading: Reading, registry: Offered) -> list[Problem]:
    """Every mistake that only shows beside the plugins; parts that could not be read are left out."""
    found: list[Problem] = []
    broken = {problem.key for problem in reading.problems}
    for part in _PARTS:
        for path, text in part(reading.settings, registry, reading):
            problem = reading.problem(path, text)
            if not any(_inside(problem.key, key) for key in broken):
                found.append(problem)
    return [*found, *_unknown_kinds(reading.settings, registry)]


def _unknown_kinds(settings: Settings, registry: Offered) -> list[Problem]:
    """Mistakes of the strategies themselves, wherever the file's lines are: roles of a kind that there is not."""
    kinds = {model.kind for model in registry.models.values()}
    return [
        Problem(
            f"strategy {name!r}",
            None,
            "",
            f"its role {role!r} asks for a market of kind {slot.kind!r}, which no installed protocol offers; "
            f"{nearest(slot.kind, kinds)}",
        )
        for name in strategy_names(settings, registry)
        if name in registry.strategies
        for role, slot in registry.strategies[name].roles.items()
        if slot.kind not in kinds
    ]


def _inside(key: str, outer: str) -> bool:
    return not outer or key == outer or key.startswith((f"{outer}.", f"{outer}["))


def _missing(registry: Offered, kind: str, name: str) -> str | None:
    try:
        registry.require(kind, name)
    except PluginError as error:
        return str(error)
    return None


def _assets(settings: Settings, registry: Offered, reading: Reading) -> Found:
    known = {asset.symbol for asset in KNOWN_ASSETS}
    seen: set[str] = set()
    for at, entry in enumerate(settings.assets or ()):
        if entry.symbol in known | seen:
            yield ("assets", at, "symbol"), f"{entry.symbol!r} is already defined; expected another symbol"
        seen.add(entry.symbol)
    extra = [
        Asset(one.symbol, one.decimals or 0, one.stable) for one in settings.assets or () if one.symbol is not None
    ]
    table = AssetTable([*KNOWN_ASSETS, *extra])
    symbols = list(table)
    for name, market in settings.markets.items():
        if market.asset is not None and market.asset not in symbols:
            yield ("markets", name, "asset"), f"unknown asset {market.asset!r}; {nearest(market.asset, symbols)}"
    capital = settings.capital
    if capital.base not in symbols:
        yield ("capital", "base"), f"unknown asset {capital.base!r}; {nearest(capital.base, symbols)}"
        return
    for name in ("total", "reserve", "proving", "arena", "proving_slot"):
        try:
            table[capital.base].to_raw(getattr(capital, name))
        except ValidationError as error:
            yield ("capital", name), str(error)


def no_column(source: str, column: str, known: Iterable[str]) -> str:
    """What to say of a column that a source does not have."""
    return f"the source {source!r} has no column {column!r}; {nearest(column, list(known))}"


def _source_columns(settings: Settings, registry: Offered, reading: Reading) -> tuple[str, ...] | None:
    """The configured source's columns as its section names them; None where only its data can tell, or the section is wrong."""
    path = f"source.{settings.source.name}"
    if any(_inside(problem.key, path) or _inside(path, problem.key) for problem in reading.problems):
        return None
    section, cls = reading.sections.get(path), registry.sections.get(path)
    if section is None and cls is not None and not any(key.required for key in key_fields(cls)):
        section = cls()
    found = getattr(section, "column_names", None)
    return found if isinstance(found, tuple) else None


def _markets(settings: Settings, registry: Offered, reading: Reading) -> Found:
    known = _source_columns(settings, registry, reading)
    for name, market in settings.markets.items():
        path: KeyPath = ("markets", name)
        if market.model is None:
            continue
        if (missing := _missing(registry, "models", market.model)) is not None:
            yield (*path, "model"), missing
            continue
        model = registry.models[market.model]
        fields, params = _fields(model.market), _fields(model.params)
        for field in market.columns or {}:
            if field not in fields:
                yield (
                    (*path, "columns", field),
                    f"{model.name} reads no market field of that name; {nearest(field, fields)}",
                )
        columns = market.columns or {}
        unbound = [field for field in fields if field not in columns]
        if unbound and all(field in fields for field in columns):
            yield (
                (*path, "columns"),
                f"{model.name} also reads {', '.join(unbound)}; "
                f"expected a column of the market data for each of {', '.join(fields)}",
            )
        for field, column in columns.items():
            if field in fields and not _reads(field, column):
                yield (
                    (*path, "columns", field),
                    f"{column!r} is no {field}; expected a column named like {', '.join(_COLUMNS[field])}",
                )
            elif field in fields and known is not None and column not in known:
                yield (*path, "columns", field), no_column(settings.source.name, column, known)
        for param in market.params or {}:
            if param not in params:
                yield (*path, "params", param), f"{model.name} has no such parameter; {nearest(param, params)}"
    yield from _idle_market(settings, registry, reading)


#: Market field -> what the columns that it may read are named like (see `MarketFrame`).
_COLUMNS = {
    "price": ("ASSET.price",),
    "rate": ("ASSET.lending_rate", "ASSET.borrow_rate"),
    "depth": ("ASSET.depth",),
    "gas": ("gas.usd",),
}
_NAMED = {like.partition(".")[2] for likes in _COLUMNS.values() for like in likes}


def _reads(field: str, column: str) -> bool:
    """False when a column's name says that it is something else; a name that says nothing is believed."""
    kind = column.rpartition(".")[2]
    return field not in _COLUMNS or kind not in _NAMED or kind in {n.partition(".")[2] for n in _COLUMNS[field]}


def _idle_market(settings: Settings, registry: Offered, reading: Reading) -> Found:
    for name in (AUTO, NONE):
        if name in settings.markets:
            yield ("markets", name), f"a market must not be named {name!r}: capital.idle_market uses that word"
    idle = settings.capital.idle_market
    if any(_lost(problem.key) for problem in reading.problems):
        return
    stable = {asset.symbol for asset in KNOWN_ASSETS if asset.stable}
    stable |= {entry.symbol for entry in settings.assets or () if entry.stable and entry.symbol is not None}
    lending = [name for name in settings.markets if _kind(settings, registry, name) == "lending"]
    fitting = [name for name in lending if settings.markets[name].asset in stable]
    path: KeyPath = ("capital", "idle_market")
    if idle in (AUTO, NONE):
        if idle == AUTO and settings.capital.reserve_use == "lend" and not fitting:
            yield (
                ("capital", "reserve_use"),
                'is "lend", but no market lends a stable asset; expected "idle", or a lending market of one',
            )
        return
    if idle not in settings.markets:
        yield path, f"unknown market {idle!r}; {nearest(idle, [*settings.markets, AUTO, NONE])}"
        return
    kind, asset = _kind(settings, registry, idle), settings.markets[idle].asset
    if kind is not None and kind != "lending":
        yield path, f"market {idle!r} is of kind {kind}; expected lending: {nearest(idle, fitting)}"
    elif kind is not None and asset is not None and asset not in stable:
        yield (
            path,
            f"market {idle!r} lends {asset}, which is not stable: idle capital would be price exposure; "
            f"expected a lending market of a stable asset: {nearest(idle, fitting)}",
        )


def _strategies(settings: Settings, registry: Offered, reading: Reading) -> Found:
    enabled = settings.strategies.enabled or ()
    for at, name in enumerate(enabled):
        if (missing := _missing(registry, "strategies", name)) is not None:
            yield ("strategies", "enabled", at), missing
        elif name in enabled[:at]:
            yield ("strategies", "enabled", at), f"{name!r} is named twice"
    names = strategy_names(settings, registry)
    if not names:
        yield ("strategies", "enabled"), "no strategy is installed; expected at least one"
    for name, binding in settings.strategies.bind.items():
        path: KeyPath = ("strategies", "bind", name)
        if name not in registry.strategies:
            yield path, _missing(registry, "strategies", name) or ""
            continue
        roles = registry.strategies[name].roles
        for role in binding:
            if role not in roles:
                yield (*path, role), f"strategy {name!r} has no such role; {nearest(role, roles)}"
    if any(_lost(problem.key) for problem in reading.problems):
        return
    if not settings.markets and any(registry.strategies[name].roles for name in names if name in registry.strategies):
        yield ("markets",), "there is no market for a strategy to trade in; expected at least one [markets.NAME]"
        return
    for name in names:
        if name in registry.strategies:
            yield from _roles(settings, registry, registry.strategies[name])


def _lost(key: str) -> bool:
    # Markets or names of strategies that could not be read at all: what refers to them cannot be judged.
    return key == "markets" or key.startswith("strategies") or (key.startswith("markets.") and key.count(".") == 1)


def _roles(settings: Settings, registry: Offered, strategy: Strategy) -> Found:
    binding = settings.strategies.bind.get(strategy.name, {})
    kinds = {model.kind for model in registry.models.values()}
    for role, slot in strategy.roles.items():
        if slot.kind not in kinds:
            continue  # a mistake of the strategy, not of the file
        path: KeyPath = ("strategies", "bind", strategy.name, role)
        market = binding.get(role, slot.market)
        fitting = [name for name in settings.markets if _kind(settings, registry, name) == slot.kind]
        if market not in settings.markets:
            own = "" if role in binding else f" (the strategy's own choice; bind the role or define [markets.{market}])"
            yield (
                path,
                f"there is no market {market!r}{own}; expected one of kind {slot.kind}: {nearest(market, fitting)}",
            )
        elif (kind := _kind(settings, registry, market)) is not None and kind != slot.kind:
            yield path, f"market {market!r} is of kind {kind}; expected {slot.kind}: {nearest(market, fitting)}"
        elif (other := slot.differs(_market_params(settings, registry, market))) is not None:
            yield (
                ("markets", market, "params", other[0]),
                f"is {other[1]:g}, but role {role!r} of strategy {strategy.name!r} reckons with {other[2]:g}; bind the role to "
                f"a market that has it, or take the strategy out",
            )


def _market_params(settings: Settings, registry: Offered, market: str) -> dict[str, float]:
    """A market's parameters, as far as they are numbers."""
    model, given = registry.models.get(settings.markets[market].model), settings.markets[market].params or {}
    defaults = {} if model is None else getattr(model.params, "_field_defaults", {})
    return {name: float(value) for name, value in {**defaults, **given}.items() if isinstance(value, int | float)}


def _kind(settings: Settings, registry: Offered, market: str) -> str | None:
    model = registry.models.get(settings.markets[market].model)
    return None if model is None else model.kind


def _agents(settings: Settings, registry: Offered, reading: Reading) -> Found:
    names = strategy_names(settings, registry)
    for at, agent in enumerate(settings.agents or ()):
        path: KeyPath = ("agents", at)
        if agent.strategy is None:
            continue
        if (missing := _missing(registry, "strategies", agent.strategy)) is not None:
            yield (*path, "strategy"), missing
            continue
        if agent.strategy not in names and all(name in registry.strategies for name in names):
            yield (*path, "strategy"), f"strategy {agent.strategy!r} is not enabled; {nearest(agent.strategy, names)}"
        space = registry.strategies[agent.strategy].space
        for gene, value in (agent.genome or {}).items():
            try:
                space.genome({gene: value})
            except PluginError as error:
                yield (*path, "genome", gene), str(error)


def _evolution(settings: Settings, registry: Offered, reading: Reading) -> Found:
    for slot, kind in (("selection", Selection), ("crossover", Crossover), ("mutation", Mutation)):
        choice: Choice = getattr(settings.evolution, slot)
        path: KeyPath = ("evolution", slot)
        if choice.name is None:
            continue
        if (missing := _missing(registry, "operators", choice.name)) is not None:
            yield (*path, "name"), missing
            continue
        operator = registry.operators[choice.name]
        if not issubclass(operator, kind):
            fitting = [name for name, one in registry.operators.items() if issubclass(one, kind)]
            yield (*path, "name"), f"{choice.name!r} is no {slot} operator; {nearest(choice.name, fitting)}"
            continue
        yield from _params(operator, choice, path, reading)


def _fitness(settings: Settings, registry: Offered, reading: Reading) -> Found:
    for slot in ("search", "judge"):
        terms: tuple[Term, ...] = getattr(settings.fitness, slot) or ()
        for at, term in enumerate(terms):
            path: KeyPath = ("fitness", slot, at)
            if term.name is None:
                continue
            if (missing := _missing(registry, "fitness", term.name)) is not None:
                yield (*path, "name"), missing
            else:
                yield from _params(type(registry.fitness[term.name]), term, path, reading)
    if settings.profile is not None and not settings.fitness.judge:
        for term in settings.judge_terms():
            if (missing := _missing(registry, "fitness", term.name)) is not None:
                yield ("fitness", "judge"), f"the profile ranks by {term.name!r}: {missing}"


def _params(cls: type[Any], choice: Choice | Term, path: KeyPath, reading: Reading) -> Found:
    params: Mapping[str, Any] = choice.params or {}
    if not attrs.has(cls):
        for name in params:
            yield (*path, "params", name), f"{choice.name!r} takes no parameters"
        return
    known = [key.name for key in key_fields(cls)]
    unknown = [name for name in params if name not in known]
    for name in unknown:
        yield (*path, "params", name), f"{choice.name!r} has no such parameter; {nearest(name, known)}"
    if not unknown:
        yield from read_table(cls, dict(params), (*path, "params"), reading)


def _plugins(settings: Settings, registry: Offered, reading: Reading) -> Found:
    if (missing := _missing(registry, "sources", settings.source.name)) is not None:
        yield ("source", "name"), missing
    else:
        section = f"source.{settings.source.name}"
        cls = registry.sections.get(section)
        if cls is not None and section not in reading.sections:
            required = [key.name for key in key_fields(cls) if key.required]
            yield ("source", settings.source.name), f"is missing; this source needs {', '.join(required)}"
    if (missing := _missing(registry, "executors", settings.executor.name)) is not None:
        yield ("executor", "name"), missing
    for at, name in enumerate(settings.report.reporters or ()):
        if (missing := _missing(registry, "reporters", name)) is not None:
            yield ("report", "reporters", at), missing


def _fields(struct: type[Any]) -> tuple[str, ...]:
    return tuple(getattr(struct, "_fields", ()))


_PARTS: tuple[Callable[[Settings, Offered, Reading], Found], ...] = (
    _assets,
    _markets,
    _strategies,
    _agents,
    _evolution,
    _fitness,
    _plugins,
)
