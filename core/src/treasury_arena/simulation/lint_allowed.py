"""What a kernel function may use of Python, and what it may not."""

from __future__ import annotations

import ast

#: Vectorised, or cheap.
MATH_FREE = frozenset({"sqrt", "fabs", "floor", "ceil"})
#: Allowed, bit-equal to plain Python, but 4 to 14 ns a call because they are not vectorised.
MATH_SLOW = frozenset({"exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "atan", "log2", "log10"})
MATH_CONSTANT = frozenset({"inf", "pi", "e", "tau"})
#: Built-in functions, with the fewest and most arguments.
BUILT_IN = {"abs": (1, 1), "float": (1, 1), "min": (2, 255), "max": (2, 255)}
ITERATIONS_MAX = 1024
WHOLE_MAX = 2**53
"""Largest number in a loop's range: up to here floats are exact."""
FLOORED = "write float(math.floor(x))"

REFUSED: dict[type[ast.AST], str] = {
    ast.Try: "try",
    ast.With: "with",
    ast.Raise: "raise",
    ast.Assert: "assert",
    ast.Lambda: "lambda",
    ast.Dict: "a dict",
    ast.List: "a list",
    ast.Set: "a set",
    ast.ListComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.GeneratorExp: "a generator",
    ast.JoinedStr: "an f-string",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Import: "import",
    ast.ImportFrom: "import",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Await: "await",
    ast.Starred: "*arguments",
    ast.FunctionDef: "a nested function",
    ast.ClassDef: "a nested class",
    ast.Delete: "del",
    ast.NamedExpr: "the walrus operator",
    ast.Match: "match",
    ast.AsyncFor: "async",
    ast.AsyncWith: "async",
}


def constant_length(node: ast.expr) -> int | None:
    """Iterations of ``range(<constants>)``, or None for anything else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"):
        return None
    values: list[int] = []
    for argument in node.args:
        try:
            value = ast.literal_eval(argument)
        except ValueError:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > WHOLE_MAX:
            return None
        values.append(value)
    return len(range(*values)) if 1 <= len(values) <= 3 and values[2:] != [0] and not node.keywords else None
