"""The hooks: each registers objects of one contract. No money, array or market datum crosses a hook.

A plugin is a module (or object) named by an entry point of the group ``treasury_arena``; its functions carry
``@treasury_arena.hookimpl`` and return lists. Bodies should import lazily, so that listing plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookspec

if TYPE_CHECKING:
    import click

    from treasury_arena.contracts.chain import ChainClient, ChainContext, SignerContext, TransactionSigner
    from treasury_arena.contracts.fitness import FitnessFunction
    from treasury_arena.contracts.fuse import Action, Fuse, FuseContext, Guard
    from treasury_arena.contracts.operators import Crossover, Mutation, Selection
    from treasury_arena.contracts.protocol import Protocol
    from treasury_arena.contracts.runtime import (
        Executor,
        Observer,
        ObserverContext,
        Reporter,
        Scheduler,
        SchedulerContext,
    )
    from treasury_arena.contracts.source import DataSource
    from treasury_arena.contracts.strategy import Strategy
    from treasury_arena.contracts.validation import Validator


@hookspec
def arena_strategies() -> list[Strategy]:
    """Strategies the plugin offers; each is one population that breeds within itself."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_protocols() -> list[Protocol]:
    """Protocols: position models and exact markets."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_sources() -> Mapping[str, Callable[..., DataSource]]:
    """Data source factories by name: ``factory(section, context) -> DataSource``.

    ``section`` is the parsed configuration section of the source (an instance of the class that
    ``arena_config_sections`` registers under ``source.<name>``), ``context`` a
    `treasury_arena.config.context.SourceContext` (data folder, seed, cache folder). A section that has a tuple
    ``column_names`` says which columns every frame has: a market's are then held against it before data are read.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_fitness() -> list[FitnessFunction]:
    """Fitness functions, by their `name`."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_operators() -> Mapping[str, type[Selection] | type[Crossover] | type[Mutation]]:
    """Genetic operators by name: attrs classes whose fields are their parameters, settable in TOML."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_validators() -> list[Validator]:
    """Extra validators asked for every order, after the built-in ones."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_executors() -> Mapping[str, Callable[[int], Executor]]:
    """Executor factories by name: ``factory(workers) -> Executor``."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_schedulers() -> Mapping[str, Callable[[Any, SchedulerContext], Scheduler]]:
    """Scheduler factories by name: ``factory(section, context) -> Scheduler``.

    ``section`` is the parsed configuration section registered under ``scheduler.<name>``, or None.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_chains() -> Mapping[str, Callable[[Any, ChainContext], ChainClient]]:
    """Chain client factories by name: ``factory(section, context) -> ChainClient``.

    ``section`` is the parsed configuration section registered under ``chain.<name>``.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_signers() -> Mapping[str, Callable[[Any, SignerContext], TransactionSigner]]:
    """Signer factories by name: ``factory(section, context) -> TransactionSigner``.

    ``section`` is the parsed configuration section registered under ``signer.<name>``. The factory must not hold the key:
    it belongs to another process.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_fuses() -> Mapping[str, Callable[[Any, FuseContext], Fuse]]:
    """Survival fuse factories by name: ``factory(section, context) -> Fuse``.

    ``section`` is the parsed configuration section registered under ``fuse.<name>``.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_guards() -> list[Guard]:
    """Further guards that a fuse can be told to judge by."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_fuse_actions() -> list[Action]:
    """Further actions that a fuse can be told to take when it trips."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_observers() -> Mapping[str, Callable[[Any, ObserverContext], Observer]]:
    """Factories of observers of committed events by name: ``factory(section, context) -> Observer``.

    ``section`` is the parsed configuration section registered under ``observer.<name>``, or None. An observer whose section has
    a key that must be given is made only where it is given.
    """
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_reporters() -> list[Reporter]:
    """Reporters that draw a finished run."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_config_sections() -> Mapping[str, type[Any]]:
    """Configuration sections by key path (``source.history``): attrs classes whose fields are the allowed keys."""
    raise AssertionError("a hookspec is never called")


@hookspec
def arena_commands() -> list[click.Command]:
    """Commands (or groups) added to the `arena` command line."""
    raise AssertionError("a hookspec is never called")
