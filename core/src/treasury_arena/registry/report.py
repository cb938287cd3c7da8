"""What is known about one plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

#: Stands for the distribution of a plugin that was handed in as an object.
IN_PROCESS = "(in process)"


@attrs.frozen
class PluginReport:
    """One claimant of an entry-point name.

    Attributes:
        name: the entry point's name.
        distribution, version: what it came with, ``(in process)`` for a plugin handed in as an object.
        status: ``accepted`` or ``rejected`` (nothing of it is used).
        reason: why it was rejected; for an accepted plugin, which of its names were refused, or empty.
        offers: hook name -> names it offers, refused ones left out.
        changed: what loading it changed that all code of the process shares; it was put back.
    """

    name: str
    distribution: str
    version: str
    status: Literal["accepted", "rejected"]
    reason: str = ""
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    changed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            **attrs.asdict(self, recurse=False),
            "changed": list(self.changed),
            "offers": {hook: list(names) for hook, names in self.offers.items()},
        }


def way_out(distributions: Iterable[str]) -> str:
    """What ends a quarrel over a name, for the person who sees it: which distributions to choose from."""
    commands = [f"`pip uninstall {name}`" for name in sorted(set(distributions)) if name and name != IN_PROCESS]
    return f"uninstall the one you do not want: {' or '.join(commands)}" if commands else "hand in one of them only"
