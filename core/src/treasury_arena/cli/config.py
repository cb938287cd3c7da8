"""`arena config check`, `schema` and `show`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from treasury_arena.assembly import exact_markets, wired
from treasury_arena.cli.common import emit, json_option, read_config
from treasury_arena.cli.paths import TypedPath
from treasury_arena.config.load import load_config
from treasury_arena.config.resolve import bound_strategies, market_specs
from treasury_arena.config.schema import json_schema
from treasury_arena.config.settings import Settings
from treasury_arena.config.show import config_hash, to_dict, to_toml
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, PluginError
from treasury_arena.registry import Registry, load_registry
from treasury_arena.simulation.kernel import lay_out

config_argument = click.argument("config", type=TypedPath())


@click.group("config")
def config() -> None:
    """Check a configuration, print its schema, or show it resolved.

    \b
    Example:
      arena config check examples/quickstart.toml
    """


@config.command("check")
@config_argument
@json_option
def check(config: Path, as_json: bool) -> int:
    """Say everything that is wrong with a configuration at once, and with the code of the strategies that it enables.

    \b
    Example:
      arena config check examples/quickstart.toml
    """
    registry = load_registry()
    settings = read_config(config, registry, {})
    _check_code(settings, registry)
    if as_json:
        emit({"ok": True, "config_hash": config_hash(settings), "warnings": registry.warnings})
    else:
        click.echo(f"{config} is fine (hash {config_hash(settings)[:12]})")
    return 0


def _check_code(settings: Settings, registry: Registry) -> None:
    """Raise PluginError with what the markets, the lint and the wiring say; nothing is compiled, no data are read."""
    specs = market_specs(settings, registry)
    found = _refused_markets(specs, settings, registry)
    for strategy in bound_strategies(settings, registry).values():
        try:
            lay_out(strategy, *wired(strategy, specs, registry))
        except PluginError as error:
            found.append(str(error))
    if found:
        raise PluginError("\n".join(found))


def _refused_markets(specs: Mapping[str, MarketSpec], settings: Settings, registry: Registry) -> list[str]:
    """What the exact markets say against their parameters.

    They are made on columns of ones: nothing that they say of data counts.
    """
    found = []
    for name, spec in specs.items():
        ones = {column: np.ones(2) for column in spec.columns.values()} or {"none": np.ones(2)}
        with contextlib.suppress(DataError):
            try:
                exact_markets(registry, {name: spec}, MarketFrame(0, settings.step_seconds, ones), settings)
            except ConfigError as error:
                found.append(str(error))
    return found


@config.command("schema")
@click.option("--json", "as_json", is_flag=True, help="Accepted for uniformity: the schema is JSON.")
def schema(as_json: bool) -> int:
    """Print the JSON Schema of configurations, installed plugins' sections included.

    \b
    Example:
      arena config schema > arena.schema.json
    """
    emit(json_schema(load_registry().sections))
    return 0


@config.command("show")
@config_argument
@json_option
def show(config: Path, as_json: bool) -> int:
    """Print a configuration with profile and defaults filled in, secrets as references only.

    \b
    Example:
      arena config show examples/quickstart.toml
    """
    settings = load_config(config, load_registry())
    if as_json:
        emit(to_dict(settings))
    else:
        click.echo(to_toml(settings), nl=False)
    return 0
