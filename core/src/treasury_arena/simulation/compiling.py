"""What generated modules need from numba: plugin functions under njit, and the decorators of the loops.

Importing this module imports numba; nothing else in the package does, so the lint speaks before numba is loaded.
"""

from __future__ import annotations

import importlib
import math
import os
import types
from collections.abc import Callable
from typing import Any

# SVML would vectorise exp and log with other last bits than plain Python; read by numba at import.
os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")

import numpy as np
from numba import njit
from numba import types as nb_types

nb: Any = nb_types
#: What indexes the tables (`kernel.INDEX`).
index: Any = nb.uint64

#: Loops and plugin functions: only ever called from compiled code, so wrappers for Python are not built.
_INNER: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner: Callable[..., Any] = njit(**_INNER)
#: What Python calls; the only functions kept in numba's cache on disk.
_ENTRY: dict[str, Any] = {"error_model": "numpy", "nogil": True, "cache": True, "no_cfunc_wrapper": True}
entry: Callable[..., Any] = njit(**_ENTRY)


# numba makes 64-bit integers of both, which wrap around; the lint has `float(...)` around each, where Python has no such end.
# Adding 0.0 makes 0.0 of -0.0, as a whole number has no sign of zero.
@inner
def _floor(x: float) -> float:
    return np.floor(x) + 0.0  # type: ignore[no-any-return]


@inner
def _ceil(x: float) -> float:
    return np.ceil(x) + 0.0  # type: ignore[no-any-return]


MATH: Any = types.ModuleType("math", "What plugin functions see as `math`: floor and ceil are floats.")
vars(MATH).update(vars(math), floor=_floor, ceil=_ceil)


def load(module: str, qualified_name: str) -> Any:
    """The object of that name in that module."""
    found: Any = importlib.import_module(module)
    for part in qualified_name.split("."):
        found = getattr(found, part)
    return found


class Compiler:
    """Puts plugin functions under njit where they stand, with the helpers they reach; line numbers stay the author's.

    numba refuses plain functions as callees, so a copy of the function gets globals in which helpers are compiled and
    `math` is `MATH`.
    """

    def __init__(self) -> None:
        self._done: dict[Callable[..., Any], Any] = {}

    def __call__(self, function: types.FunctionType) -> Any:
        if function in self._done:
            return self._done[function]
        scope = {name: MATH if value is math else value for name, value in function.__globals__.items()}
        copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
        # Forced, because LLVM leaves a large decide() as a call per lane, which no loop around it survives as a vector loop.
        self._done[function] = compiled = njit(**_INNER, forceinline=True)(copy)
        for name in function.__code__.co_names:
            if isinstance(scope.get(name), types.FunctionType):
                scope[name] = self(scope[name])
        return compiled


def type_of(param: Any) -> Any:
    """numba's type of a declared argument: float64, none, or a NamedTuple of float64."""
    if param is float:
        return nb.float64
    if param is None:
        return nb.none
    return nb.BaseTuple.from_types([nb.float64] * len(param._fields), param)


def result_type(result: tuple[Any, ...]) -> Any:
    """numba's type of a declared result: one value, or a tuple of several."""
    kinds = [type_of(r) for r in result]
    return kinds[0] if len(kinds) == 1 else nb.Tuple(kinds)
