"""Upcasters: how a payload stored by an older version of its event becomes one of the present version.

An event type's version grows by one at each change of meaning; `register` gives the step from one version to the next,
and `upcast` chains the steps. Stored rows are never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from treasury_arena.errors import IntegrityError, StoreError

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_steps: dict[tuple[str, int], Upcaster] = {}


def register(name: str, from_version: int, function: Upcaster) -> None:
    """Register the step that turns `name` of `from_version` into ``from_version + 1``.

    The function receives the payload as stored (a JSON object) and returns a new one; it must be pure.
    Raises ValueError when the step is registered already.
    """
    if (name, from_version) in _steps:
        raise ValueError(f"the step of {name} from version {from_version} is registered already")
    _steps[(name, from_version)] = function


def unregister(name: str, from_version: int) -> None:
    """Remove a step; raises KeyError when there is none."""
    del _steps[(name, from_version)]


def upcast(name: str, version: int, payload: dict[str, Any], current: int) -> dict[str, Any]:
    """Return `payload` in version `current`.

    Raises StoreError for an event newer than the program, IntegrityError when a step is missing.
    """
    if version > current:
        raise StoreError(
            f"event {name} has version {version} but this program knows versions up to {current}; use a newer program"
        )
    while version < current:
        step = _steps.get((name, version))
        if step is None:
            raise IntegrityError(f"event {name} has version {version}, and no upcaster leads to version {version + 1}")
        payload = step(payload)
        version += 1
    return payload
