"""Settings and plugins put together: the assets, markets and bound strategies that the engines receive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from treasury_arena.config.offered import Offered
from treasury_arena.config.settings import AUTO, NONE, Choice, Settings, Term
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable


def asset_table(settings: Settings) -> AssetTable:
    """The built-in assets and the configured ones."""
    extra = (Asset(entry.symbol, entry.decimals, entry.stable) for entry in settings.assets)
    return AssetTable([*KNOWN_ASSETS, *extra])


def market_specs(settings: Settings, registry: Offered) -> dict[str, MarketSpec]:
    """The configured markets by name, in the file's order."""
    assets = asset_table(settings)
    return {
        name: MarketSpec(
            name=name,
            model=market.model,
            kind=registry.require("models", market.model).kind,
            asset=market.asset,
            columns=dict(market.columns),
            params=dict(market.params),
            coin=not assets[market.asset].stable,
            enabled=market.enabled,
        )
        for name, market in settings.markets.items()
    }


def benchmark_market(settings: Settings, specs: Mapping[str, MarketSpec]) -> str:
    """Name of the market that "lend everything" lends at, empty when there is none.

    The configured idle market; else (``auto``, ``none``) the safest: the base asset's first lending market by name that is
    enabled, without one another stable asset's. Never a coin's: lending a coin is price exposure.
    """
    chosen = settings.capital.idle_market
    if chosen not in (AUTO, NONE):
        return chosen
    lending = [spec for spec in specs.values() if spec.kind == "lending" and not spec.coin and spec.enabled]
    base = settings.capital.base
    return min(lending, key=lambda spec: (spec.asset != base, spec.name)).name if lending else ""


def idle_market(settings: Settings, specs: Mapping[str, MarketSpec]) -> str:
    """Name of the market where idle pools are lent, empty when nothing is lent: the benchmark's unless it is ``none``."""
    return "" if settings.capital.idle_market == NONE else benchmark_market(settings, specs)


def strategy_names(settings: Settings, registry: Offered) -> tuple[str, ...]:
    """The enabled strategies, sorted by name; when none are named, all that are installed and whose markets are there.

    Where that would be none, all that are installed, so that whoever checks them can say what is missing.
    """
    if settings.strategies.enabled:
        return tuple(sorted(settings.strategies.enabled))
    missing = left_out(settings, registry)
    served = [name for name in registry.strategies if name not in missing]
    return tuple(sorted(served or registry.strategies))


def left_out(settings: Settings, registry: Offered) -> dict[str, list[str]]:
    """Strategies that are installed and, none being named, not taken: each with the markets of its roles that there are not."""
    found: dict[str, list[str]] = {}
    if settings.strategies.enabled:
        return found
    for name, strategy in sorted(registry.strategies.items()):
        if name in settings.strategies.bind:
            continue  # whoever binds a role means the strategy
        markets = {slot.market for slot in strategy.roles.values()}
        if missing := sorted(markets - set(settings.markets)):
            found[name] = missing
    return {} if len(found) == len(registry.strategies) else found


def bound_strategies(settings: Settings, registry: Offered) -> dict[str, Strategy]:
    """The enabled strategies with their roles bound to the configured markets."""
    bound: dict[str, Strategy] = {}
    for name in strategy_names(settings, registry):
        strategy: Strategy = registry.require("strategies", name)
        binding = settings.strategies.bind.get(name, {})
        roles = {
            role: attrs.evolve(slot, market=binding.get(role, slot.market)) for role, slot in strategy.roles.items()
        }
        bound[name] = attrs.evolve(strategy, roles=roles)
    return bound


def operator(choice: Choice, registry: Offered) -> Any:
    """The genetic operator of a choice, with its parameters."""
    return registry.require("operators", choice.name)(**choice.params)


def fitness_terms(terms: tuple[Term, ...], registry: Offered) -> list[tuple[float, FitnessFunction]]:
    """Weights and fitness functions with their parameters."""
    built: list[tuple[float, FitnessFunction]] = []
    for term in terms:
        function: Any = registry.require("fitness", term.name)
        built.append((term.weight, attrs.evolve(function, **term.params) if term.params else function))
    return built
