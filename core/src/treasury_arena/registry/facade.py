"""The registry: what the accepted plugins offer, one typed attribute per hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.contracts.chain import ChainClient, ChainContext, SignerContext, TransactionSigner
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.fuse import Action, Fuse, FuseContext, Guard
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.contracts.position import PositionModel
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
from treasury_arena.errors import PluginError, nearest
from treasury_arena.registry.offers import KINDS, MODELS
from treasury_arena.registry.report import PluginReport

if TYPE_CHECKING:
    import click

_TOLD_MAX = 2  # beyond it an error names rejected plugins without their reasons, which `warnings` has
_SINGULAR = {kind.plural: kind.singular for kind in (*KINDS, MODELS)}


@attrs.frozen(kw_only=True)
class Registry:
    """Everything accepted plugins offer, by name, sorted by name.

    Attributes:
        sections: configuration sections by key path.
        plugins: one report per claimant of an entry-point name, sorted by name.
        refused: (kind, name) -> why that one name is not available, although a plugin offers it.
    """

    strategies: dict[str, Strategy] = attrs.field(factory=dict)
    protocols: dict[str, Protocol] = attrs.field(factory=dict)
    models: dict[str, PositionModel] = attrs.field(factory=dict)
    sources: dict[str, Callable[..., DataSource]] = attrs.field(factory=dict)
    fitness: dict[str, FitnessFunction] = attrs.field(factory=dict)
    operators: dict[str, type[Selection] | type[Crossover] | type[Mutation]] = attrs.field(factory=dict)
    validators: dict[str, Validator] = attrs.field(factory=dict)
    executors: dict[str, Callable[[int], Executor]] = attrs.field(factory=dict)
    schedulers: dict[str, Callable[[Any, SchedulerContext], Scheduler]] = attrs.field(factory=dict)
    chains: dict[str, Callable[[Any, ChainContext], ChainClient]] = attrs.field(factory=dict)
    signers: dict[str, Callable[[Any, SignerContext], TransactionSigner]] = attrs.field(factory=dict)
    fuses: dict[str, Callable[[Any, FuseContext], Fuse]] = attrs.field(factory=dict)
    guards: dict[str, Guard] = attrs.field(factory=dict)
    actions: dict[str, Action] = attrs.field(factory=dict)
    observers: dict[str, Callable[[Any, ObserverContext], Observer]] = attrs.field(factory=dict)
    reporters: dict[str, Reporter] = attrs.field(factory=dict)
    sections: dict[str, type[Any]] = attrs.field(factory=dict)
    commands: dict[str, click.Command] = attrs.field(factory=dict)
    plugins: tuple[PluginReport, ...] = ()
    refused: Mapping[tuple[str, str], str] = attrs.field(factory=dict)

    @property
    def warnings(self) -> list[str]:
        """One sentence per rejected plugin, refused name and plugin that changed what is not its own: no error by itself."""
        rejected = [
            f"plugin {one.name!r}{_source(one)} was rejected: {one.reason}" for one in self.plugins if _bad(one)
        ]
        changed = [
            f"plugin {one.name!r}{_source(one)} changed {' and '.join(one.changed)} when it was loaded; that was put back"
            for one in self.plugins
            if one.changed
        ]
        return [*rejected, *self.refused.values(), *changed]

    def require(self, kind: str, name: str) -> Any:
        """The object of that name; `kind` is an attribute's name (``strategies``) or ``plugins``.

        Raises PluginError saying whether the name is unknown (with the nearest one) or was rejected (with the reason).
        """
        if kind == "plugins":
            return self._plugin(name)
        if kind not in _SINGULAR:
            raise PluginError(f"unknown kind of plugin object {kind!r}: {nearest(kind, [*_SINGULAR, 'plugins'])}")
        offered: Mapping[str, Any] = getattr(self, kind)
        if name in offered:
            return offered[name]
        if (kind, name) in self.refused:
            raise PluginError(self.refused[kind, name])
        bad = [one for one in self.plugins if _bad(one)]
        for one in bad:
            if name == one.name:
                raise PluginError(
                    f"{_SINGULAR[kind]} {name!r}: the plugin of that name{_source(one)} was rejected: {one.reason}"
                )
        sentence = f"unknown {_SINGULAR[kind]} {name!r}: {nearest(name, offered)}"
        if bad:
            few = len(bad) <= _TOLD_MAX
            told = "; ".join(f"{one.name}: {one.reason}" if few else one.name for one in bad)
            sentence += f" (rejected plugins may have offered it: {told})"
        raise PluginError(sentence)

    def _plugin(self, name: str) -> PluginReport:
        for one in self.plugins:
            if one.name == name and _bad(one):
                raise PluginError(f"plugin {name!r}{_source(one)} was rejected: {one.reason}")
            if one.name == name:
                return one
        raise PluginError(f"unknown plugin {name!r}: {nearest(name, [one.name for one in self.plugins])}")


def _bad(report: PluginReport) -> bool:
    return report.status == "rejected"


def _source(report: PluginReport) -> str:
    return f" of {report.distribution} {report.version}".rstrip() if report.distribution else ""
