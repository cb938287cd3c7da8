"""Finds plugins: entry points of the group `treasury_arena`, and objects handed in by the caller.

`pluggy.load_setuptools_entrypoints` is not used: its first broken plugin stops the rest, and of two distributions that
claim one name the first on disk wins silently.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import Distribution, EntryPoint, entry_points

import attrs
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import treasury_arena
from treasury_arena.errors import nearest
from treasury_arena.isolation import describe
from treasury_arena.markers import ENTRY_POINT_GROUP
from treasury_arena.registry.report import IN_PROCESS, PluginReport, way_out

CORE = "treasury-arena-core"
#: Names of the plugins to load, separated by commas; unset loads all that are installed.
PLUGINS_VARIABLE = "TREASURY_ARENA_PLUGINS"


@attrs.frozen
class Candidate:
    """A plugin that may be loaded: `load()` imports it; `package` is the import name its code lives in."""

    name: str
    distribution: str
    version: str
    package: str
    requires: tuple[str, ...]
    load: Callable[[], object]

    def rejected(self, reason: str) -> PluginReport:
        return PluginReport(self.name, self.distribution, self.version, "rejected", reason)

    def misfit(self) -> str | None:
        """Why its declared requirements exclude the core that is installed, or None."""
        for text in self.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                return f"its requirement {text!r} cannot be read: {str(error).splitlines()[0]}"
            if canonicalize_name(requirement.name) != CORE:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if not requirement.specifier.contains(treasury_arena.__version__, prereleases=True):
                return f"needs {CORE}{requirement.specifier}, but {treasury_arena.__version__} is installed"
        return None


def wanted(only: Iterable[str] | None) -> list[str] | None:
    """The explicit list of plugins: `only`, else the environment's; None for all."""
    if only is not None:
        return list(only)
    listed = os.environ.get(PLUGINS_VARIABLE)
    return None if listed is None else [name for name in (part.strip() for part in listed.split(",")) if name]


def discover(only: Iterable[str] | None, extra: Mapping[str, object]) -> tuple[list[Candidate], list[PluginReport]]:
    """Candidates sorted by name, and reports on those refused before any of their code ran.

    Every claimant of a doubled name is refused. The explicit list does not apply to `extra`.
    """
    names = wanted(only)
    found, rejected = _installed(names)
    found += [_in_process(name, plugin) for name, plugin in extra.items()]
    if names is not None:
        known = {candidate.name for candidate in found} | {report.name for report in rejected}
        installed = [point.name for point in entry_points(group=ENTRY_POINT_GROUP)]
        rejected += [
            PluginReport(name, "", "", "rejected", f"is not installed: {nearest(name, installed)}")
            for name in dict.fromkeys(names)
            if name not in known
        ]
    accepted: list[Candidate] = []
    for candidate in sorted(found, key=lambda one: (one.name, one.distribution)):
        rivals = [other.distribution for other in found if other is not candidate and other.name == candidate.name]
        if rivals:
            rejected.append(
                candidate.rejected(
                    f"the name {candidate.name!r} is also claimed by {', '.join(sorted(rivals))}, and no claim is preferred; "
                    + way_out([candidate.distribution, *rivals])
                )
            )
        elif (reason := candidate.misfit()) is not None:
            rejected.append(candidate.rejected(reason))
        else:
            accepted.append(candidate)
    return accepted, rejected


def _installed(names: list[str] | None) -> tuple[list[Candidate], list[PluginReport]]:
    found: list[Candidate] = []
    rejected: list[PluginReport] = []
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if names is not None and point.name not in names:
            continue
        try:
            found.append(_candidate(point, point.dist))
        except Exception as error:  # damaged metadata of one distribution
            rejected.append(PluginReport(point.name, "", "", "rejected", describe(error, point.name)))
    return found, rejected


def _candidate(point: EntryPoint, distribution: Distribution | None) -> Candidate:
    return Candidate(
        name=point.name,
        distribution=distribution.name if distribution else "",
        version=distribution.version if distribution else "",
        package=point.module.split(".")[0],
        requires=tuple(distribution.requires or ()) if distribution else (),
        load=point.load,
    )


def _in_process(name: str, plugin: object) -> Candidate:
    module = getattr(plugin, "__name__", None) or type(plugin).__module__
    return Candidate(name, IN_PROCESS, "", str(module).split(".")[0], (), lambda: plugin)
