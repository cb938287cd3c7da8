"""The content hash that names a generated module: whatever could change its machine code is in it."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from treasury_arena.errors import PluginError
from treasury_arena.simulation.layout import Layout

COMPILING = tuple(Path(__file__).with_name(name) for name in ("compiling.py", "lanes.py"))
"""Decide what becomes of a module's text; read, not imported, as they import numba."""


def check_importable(thing: Any, where: str) -> None:
    """Raise PluginError unless `thing` (a function or class) is found by its own name in its own module."""
    try:
        found: Any = inspect.getmodule(thing)
        for part in thing.__qualname__.split("."):
            found = getattr(found, part)
    except AttributeError:
        found = None
    if found is None or found is not thing:
        name = f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', thing)}"
        raise PluginError(
            f"{where}: {name} must be defined at module level under that name, so that it can be imported"
        )


def check_plain(function: Any, where: str) -> None:
    """Raise PluginError unless `function` is an undecorated module-level function whose source can be read."""
    check_importable(function, where)
    name = f"{function.__module__}.{function.__qualname__}"
    if not isinstance(function, types.FunctionType) or function.__closure__ or hasattr(function, "__wrapped__"):
        raise PluginError(f"{where}: {name} must be a plain function written with def, without decorators")
    try:
        inspect.getsource(function)
    except OSError as error:
        raise PluginError(f"{where}: the source of {name} cannot be read; define it in a file") from error


def sources(function: Callable[..., Any], seen: dict[str, str] | None = None) -> dict[str, str]:
    """Qualified name -> text of a function, of the helpers it reaches, and values of the numbers and fields they read."""
    seen = {} if seen is None else seen
    assert isinstance(function, types.FunctionType)
    key = f"{function.__module__}.{function.__qualname__}"
    if key in seen:
        return seen
    seen[key] = inspect.getsource(function)
    for name in function.__code__.co_names:
        value: Any = function.__globals__.get(name)
        if isinstance(value, types.FunctionType):
            sources(value, seen)
        elif isinstance(value, int | float):
            seen[f"{function.__module__}.{name}"] = repr(value)
        elif hasattr(value, "_fields"):
            seen[f"{function.__module__}.{name}"] = repr(value._fields)
    return seen


def fingerprint(layout: Layout, text: str) -> str:
    """Hexadecimal hash over the module text, plugin sources and field names of every struct.

    Field names because swapping two of them changes no other text and would run stale code; numba's version because a
    newer one compiles anew anyway. Bounds, defaults, parameters and columns are arguments and stay out.
    """
    compiling = "".join(path.read_text() for path in COMPILING)
    digest = hashlib.sha256(f"{version('numba')}\n{compiling}\n{text}".encode())
    for f in layout.functions:
        for key, source in sorted(sources(f.function).items()):
            digest.update(f"{key}\n{source}\n".encode())
        fields = [getattr(p, "_fields", None) for p in (*f.params, *f.result)]
        digest.update(repr(fields).encode())
    return digest.hexdigest()[:20]
