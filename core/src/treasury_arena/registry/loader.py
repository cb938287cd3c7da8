"""Loads plugins one by one, so that a broken or hostile one costs itself and nobody else."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

import attrs
import pluggy

from treasury_arena import hookspecs
from treasury_arena.errors import PluginError, nearest
from treasury_arena.isolation import describe
from treasury_arena.markers import PROJECT
from treasury_arena.registry.discovery import Candidate, discover
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.offers import KINDS, MODELS, Kind, Offer, read_offers
from treasury_arena.registry.report import PluginReport, way_out
from treasury_arena.registry.shared import undisturbed

#: Set to 1, every hook call is told on standard error.
TRACE_VARIABLE = "TREASURY_ARENA_TRACE"


@attrs.frozen
class _Loaded:
    candidate: Candidate
    offers: list[Offer]
    changed: list[str]


def load_registry(*, only: Iterable[str] | None = None, extra: Mapping[str, object] | None = None) -> Registry:
    """Discover, check and load plugins.

    Args:
        only: names of the installed plugins to load; the default is the environment's ``TREASURY_ARENA_PLUGINS``
            (separated by commas), else all that are installed.
        extra: plugins handed in as objects, by name.

    Never raises for a plugin's own failure: it is rejected and reported, `Registry.require` raises when it is missed.
    """
    candidates, rejected = discover(only, extra or {})
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded: list[_Loaded] = []
    with _interrupted() as asked:
        for candidate in candidates:
            changed: list[str] = []
            try:
                # What a plugin prints must not end up in a command's JSON.
                with contextlib.redirect_stdout(sys.stderr), undisturbed(changed):
                    loaded.append(_Loaded(candidate, _load(manager, candidate), changed))
            except BaseException as error:  # a plugin may call sys.exit when it is imported, or interrupt itself
                if isinstance(error, KeyboardInterrupt) and asked():
                    raise
                rejection = candidate.rejected(describe(error, candidate.package))
                rejected.append(attrs.evolve(rejection, changed=tuple(changed)))
    return _merge(loaded, rejected)


@contextlib.contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Tells whether a person interrupted (Ctrl-C) since then: only the main thread can be, and only where that is not ignored."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    signals: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: bool(signals)
    finally:
        signal.signal(signal.SIGINT, before)


def _load(manager: pluggy.PluginManager, candidate: Candidate) -> list[Offer]:
    try:
        plugin = candidate.load()
        manager.register(plugin, name=candidate.name)
        _check_pending(manager)
        return [offer for kind in KINDS for offer in _call(manager, plugin, candidate, kind)]
    except BaseException:
        if manager.has_plugin(candidate.name):
            manager.unregister(name=candidate.name)
        raise


def _check_pending(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        hooks = [kind.hook for kind in KINDS]
        pending = {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}
        unknown = [name for name, caller in pending.items() if name not in hooks and caller.get_hookimpls()]
        told = "; ".join(f"unknown hook {name!r}: {nearest(name, hooks)}" for name in unknown)
        raise PluginError(told or str(error)) from error


def _call(manager: pluggy.PluginManager, plugin: object, candidate: Candidate, kind: Kind) -> list[Offer]:
    caller: pluggy.HookCaller = getattr(manager.hook, kind.hook)
    offers: list[Offer] = []
    for implementation in caller.get_hookimpls():
        if implementation.plugin is not plugin:
            continue
        if implementation.hookwrapper or implementation.wrapper:
            raise PluginError(f"{kind.hook} is a hook wrapper; plugins may only offer objects of their own")
        offers += read_offers(kind, implementation.function())
    if offers and os.environ.get(TRACE_VARIABLE) == "1":
        print(f"{candidate.name}: {kind.hook} -> {', '.join(name for _, name, _ in offers)}", file=sys.stderr)
    return offers


def _merge(loaded: list[_Loaded], rejected: list[PluginReport]) -> Registry:
    claims: dict[tuple[str, str], list[tuple[_Loaded, Kind, Any]]] = defaultdict(list)
    for one in loaded:
        for kind, name, item in one.offers:
            claims[kind.plural, name].append((one, kind, item))
    refused: dict[tuple[str, str], str] = {}
    tables: dict[str, dict[str, Any]] = {}
    for (plural, name), claimants in sorted(claims.items(), key=lambda claim: claim[0]):
        if len(claimants) == 1:
            tables.setdefault(plural, {})[name] = claimants[0][2]
        else:
            plugins = [one.candidate for one, _, _ in claimants]
            rivals = ", ".join(f"{one.name} of {one.distribution} {one.version}".rstrip() for one in plugins)
            refused[plural, name] = (
                f"{claimants[0][1].singular} {name!r} is refused: more than one claim to that name (plugins {rivals}), and "
                f"no claim is preferred; {way_out(one.distribution for one in plugins)}"
            )
    reports = [*rejected, *(_accepted(one, refused) for one in loaded)]
    reports.sort(key=lambda report: (report.name, report.distribution))
    return Registry(**tables, plugins=tuple(reports), refused=refused)


def _accepted(one: _Loaded, refused: Mapping[tuple[str, str], str]) -> PluginReport:
    offers: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, None] = {}
    for kind, name, _ in one.offers:
        if (kind.plural, name) in refused:
            reasons[refused[kind.plural, name]] = None
        elif kind is not MODELS:
            offers[kind.hook].append(name)
    return PluginReport(
        one.candidate.name,
        one.candidate.distribution,
        one.candidate.version,
        "accepted",
        "; ".join(reasons),
        {hook: tuple(names) for hook, names in offers.items()},
        tuple(one.changed),
    )
