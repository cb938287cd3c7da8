"""Refuse what the kernels cannot compile or would compile wrong or badly, with the author's file, line, column and a way out.

Two nets: the syntax check (milliseconds, no numba) of every plugin function when a kernel is prepared, and `compile_alone`,
numba on one function with its declared types, when compilation fails all the same.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from treasury_arena.errors import PluginCodeError
from treasury_arena.simulation.layout import Function
from treasury_arena.simulation.lint_allowed import MATH_SLOW
from treasury_arena.simulation.lint_rules import Checker, Finding

__all__ = ["Finding", "advise", "check_functions", "compile_alone", "find", "show"]


def show(finding: Finding) -> str:
    """``file:line:column: message``, the source line, a caret, the hint."""
    source = linecache.getline(finding.path, finding.line).rstrip()
    text = f"{finding.path}:{finding.line}:{finding.column + 1}: {finding.message}\n    {source}\n"
    text += "    " + " " * finding.column + "^"
    return text + (f"\n  hint: {finding.hint}" if finding.hint else "")


def find(functions: Iterable[Function]) -> list[Finding]:
    """All findings of the functions and of the helpers they reach, in file and line order."""
    found: list[Finding] = []
    seen: set[tuple[Any, ...]] = set()
    for f in functions:
        if (f.function, *f.params) in seen:
            continue
        seen.add((f.function, *f.params))
        try:
            _find(f, found, seen)
        except RecursionError:
            path, line = inspect.getsourcefile(f.function) or "<unknown>", f.function.__code__.co_firstlineno
            told = f"{f.function.__name__}(), or a helper of it, has an expression nested too deeply to be read"
            found.append(Finding(path, line, 0, told, "split long sums into several statements"))
    return sorted(set(found))


def _find(f: Function, found: list[Finding], seen: set[tuple[Any, ...]]) -> None:
    checker = Checker(f.function, f.params, found, seen)
    checker.run()
    names = ["cash_change" if r is float and len(f.result) > 1 else getattr(r, "__qualname__", "?") for r in f.result]
    what = f"({', '.join(names)})" if len(names) > 1 else f"one {names[0]}"
    checker.check_results(len(f.result), f"{_count(len(names))}: {what}" if len(names) > 1 else what)


def _count(number: int) -> str:
    return {1: "one value", 2: "two values"}[number]


def check_functions(functions: Iterable[Function]) -> None:
    """Raise PluginCodeError with every finding, if there is one."""
    findings = find(functions)
    if findings:
        raise PluginCodeError("\n".join(show(finding) for finding in findings))


def advise(function: Callable[..., Any]) -> list[str]:
    """Functions of `math` it calls that compile and agree bit for bit, but cost 4 to 14 ns a call."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return sorted({node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & MATH_SLOW)


def compile_alone(f: Function) -> None:
    """Compile one function with its declared types; numba's message is cut to two lines at the author's own line.

    Raises PluginCodeError when numba refuses the function or its result has another type than declared.
    """
    from treasury_arena.simulation.compiling import Compiler, result_type, type_of

    path = inspect.getsourcefile(f.function) or "<unknown>"
    code: Any = f.function.__code__
    try:
        compiled = Compiler()(f.function)  # type: ignore[arg-type]
        compiled.compile(tuple(type_of(p) for p in f.params))
        result = compiled.overloads[compiled.signatures[0]].signature.return_type
    except Exception as error:  # numba raises TypingError, but also bare TypeError and NotImplementedError
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        noise = ("Failed in nopython", "During", "File", " ", "This error")
        said = [line for line in text.splitlines() if line.strip() and not line.startswith(noise)]
        lines = [
            int(n) for name, n in re.findall(r'File "([^"]+)", line (\d+)', text) if path.endswith(name.lstrip("./"))
        ]
        raise PluginCodeError(_at(path, lines[0] if lines else code.co_firstlineno, "; ".join(said[:2]))) from error
    if result != result_type(f.result):
        expected = ", ".join(getattr(r, "__qualname__", str(r)) for r in f.result)
        message = f"{f.function.__name__}() gives {result}, the contract expects ({expected}) of float"
        raise PluginCodeError(_at(path, code.co_firstlineno, message))


def _at(path: str, line: int, message: str) -> str:
    source = linecache.getline(path, line)
    return show(Finding(path, line, len(source) - len(source.lstrip()), message))
