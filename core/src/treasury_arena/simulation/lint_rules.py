"""The rules of the lint: one pass over the syntax tree of a kernel function and of the helpers it reaches.

Each refusal has a reason that was measured or seen: numba compiles some of these silently wrong (a local without value on
one path runs on garbage, `print` and `random` compile), refuses others without the author's line, or compiles them slow.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from treasury_arena.errors import nearest
from treasury_arena.simulation.lint_allowed import (
    BUILT_IN,
    FLOORED,
    ITERATIONS_MAX,
    MATH_CONSTANT,
    MATH_FREE,
    MATH_SLOW,
    REFUSED,
    constant_length,
)
from treasury_arena.simulation.lint_kinds import (
    FLOAT,
    HINT,
    NAMED,
    TRUTH,
    WHOLE,
    Kinds,
    highest,
    is_rounding,
    is_struct,
    syntax,
)
from treasury_arena.simulation.lint_paths import returns, without_value


@attrs.frozen(order=True)
class Finding:
    """One refusal, at the author's line (from 1) and column (from 0)."""

    path: str
    line: int
    column: int
    message: str
    hint: str = ""


class Checker(ast.NodeVisitor):
    """Checks one function; findings go to `found`, helpers are entered once per kinds of arguments (`seen`).

    `params`: per argument a NamedTuple class, float, None, or the kind (`lint_kinds`) of one that may be no float.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        params: Iterable[Any],
        found: list[Finding],
        seen: set[tuple[Any, ...]],
        callers: tuple[Callable[..., Any], ...] = (),
    ) -> None:
        self.found, self.seen, self.within = found, seen, (*callers, function)
        self.scope: dict[str, Any] = function.__globals__
        self.path = inspect.getsourcefile(function) or "<unknown>"
        lines, self.first = inspect.getsourcelines(function)
        self.indent = len(lines[0]) - len(lines[0].lstrip())
        tree = syntax(function)
        self.loops: list[int] = []
        self.name = getattr(function, "__name__", "?")
        if not isinstance(tree, ast.FunctionDef):
            self.tree = ast.FunctionDef(self.name, ast.arguments([], [], None, [], [], None, []), [], [])
            self.kinds = Kinds(self.tree, self.scope, {})
            self.add(tree, "a kernel function is written with def", "lambda and async are not available")
            return
        self.tree = tree
        names = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args)]
        given = list(params)
        self.kinds = Kinds(
            tree,
            self.scope,
            {n: p for n, p in zip(names, given, strict=False) if isinstance(p, int | tuple) or is_struct(p)},
        )
        self.local = self.kinds.local
        if len(names) != len(given):
            self.add(tree, f"{self.name}() takes {len(names)} arguments, the contract passes {len(given)}")
        arguments = tree.args
        if any((arguments.vararg, arguments.kwarg, arguments.kwonlyargs, arguments.defaults, arguments.posonlyargs)):
            self.add(tree, f"{self.name}() may only have plain arguments without defaults")

    def add(self, node: ast.AST, message: str, hint: str = "") -> None:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        self.found.append(Finding(self.path, self.first + line - 1, column + self.indent, message, hint))

    def run(self) -> None:
        """Check the whole function."""
        body = self.tree.body
        if not body:
            return
        for node in body:
            if not (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                self.visit(node)
        for name in without_value(body, {a.arg for a in self.tree.args.args}, self.local):
            self.add(name, f"{name.id!r} has no value on some path", "give it a value before the if")
        if not returns(body):
            self.add(
                body[-1], f"{self.name}() can end without a return", "every path must return the same kind of value"
            )

    def check_results(self, count: int, what: str) -> None:
        """Every return gives `count` values; numba would say so far from the author's line."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Return):
                continue
            value = node.value
            given = len(value.elts) if isinstance(value, ast.Tuple) else 1
            opaque = isinstance(value, ast.IfExp | ast.Name) or (
                isinstance(value, ast.Call) and not is_struct(self.scope.get(getattr(value.func, "id", "")))
            )
            if given != count and not (opaque and count > 1 and given == 1):
                self.add(
                    node, f"{self.name}() must return {what}", f"{given} given" if value is not None else "none given"
                )

            else:
                for each in value.elts if isinstance(value, ast.Tuple) else [value]:
                    self._is_float(each, f"{self.name}() must return {what}")

    def _is_float(self, node: ast.AST | None, wanted: str) -> None:
        kind = highest(self.kinds.of(node))
        if node is not None and kind != FLOAT:
            self.add(node, f"{wanted}, and {ast.unparse(node)!r} may be {NAMED[kind]}", HINT[kind])

    # ---------------------------------------------------------------- statements and expressions
    def visit(self, node: ast.AST) -> None:
        if type(node) in REFUSED:
            self.add(
                node,
                f"{REFUSED[type(node)]} is not available in a kernel function",
                "plain arithmetic, if, and calls of helper functions only",
            )
            return
        super().visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.add(
            node,
            "a while loop may not end, and stops vectorisation (measured: 3.5 times slower)",
            f"use a formula, or `for k in range(<constant>)` up to {ITERATIONS_MAX} iterations",
        )

    def visit_For(self, node: ast.For) -> None:
        length = constant_length(node.iter)
        if length is None:
            self.add(
                node,
                "a for loop whose length depends on data stops vectorisation (measured: 3.5 times slower)",
                f"use a formula, or `for k in range(<constant>)` up to {ITERATIONS_MAX} iterations, numbers up to 2^53",
            )
            return
        total = math.prod(self.loops) * length
        if not 1 <= total <= ITERATIONS_MAX:
            self.add(
                node,
                f"a loop of {total} iterations (nested ones multiplied); 1 to {ITERATIONS_MAX} are allowed",
                "use a formula or a feature",
            )
        if node.orelse:
            self.add(node, "for ... else is not available in a kernel function", "use a flag")
        if not isinstance(node.target, ast.Name):
            self.add(node.target, "a loop variable is one name")
        self.loops.append(length)
        for child in node.body:
            self.visit(child)
        self.loops.pop()

    def visit_Expr(self, node: ast.Expr) -> None:
        self.add(node, "a statement without effect", "kernel functions only compute and return")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)
        else:
            self.add(node, f"{ast.unparse(node)!r} gives no value", "write one behind it")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self.add(node, "a return without a value", "every path must return the same kind of value")
        else:
            self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        for op in node.ops:
            if not isinstance(op, ast.Eq | ast.NotEq | ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                self.add(
                    node,
                    f"{ast.unparse(node)!r}: compiled code compares values where Python compares objects",
                    "write ==, !=, <, <=, > or >= of two floats",
                )
        for side in (node.left, *node.comparators):
            kind = self.kinds.of(side)
            if isinstance(kind, type | tuple):
                self.add(side, f"{ast.unparse(side)!r} is more than one number", "compare its parts one by one")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool | float):
            return
        if value is None:
            self.add(node, "None is not available in a kernel function", "a number that says so, such as 0.0")
        elif isinstance(value, int):
            self.add(node, f"{value!r} is not a float", f"write {_as_float(value)}")
        else:
            self.add(node, f"a {type(value).__name__} constant is not available in a kernel function")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store) or node.id in self.local:
            if isinstance(node.ctx, ast.Store) and node.id in BUILT_IN:
                self.add(node, f"{node.id!r} is the name of a function", "call the value something else")
            return
        if node.id not in self.scope:
            self._undefined(node, node.id)
            return
        value = self.scope[node.id]
        if not isinstance(value, int | float):
            self.add(
                node,
                f"module-level {node.id!r} is a {type(value).__name__}; "
                "only numbers, NamedTuple classes and functions can be used",
                "a table is a Choice gene or a feature column",
            )
        elif isinstance(value, int) and not isinstance(value, bool):
            self.add(
                node, f"module-level {node.id!r} is {value!r}, not a float", f"write {node.id} = {_as_float(value)}"
            )

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = node.value
        struct: Any = self.kinds.of(owner)
        if is_struct(struct):
            self.visit(owner)
            name = struct.__qualname__
            if node.attr not in struct._fields:
                hint = nearest(node.attr, struct._fields)
                self.add(node, f"{ast.unparse(owner)!r} ({name}) has no field {node.attr!r}", hint)
            elif not isinstance(node.ctx, ast.Load):
                self.add(node, f"{ast.unparse(node)} cannot be assigned", f"make {name}(...) with the new value")
        elif isinstance(owner, ast.Name) and self.scope.get(owner.id) is math and owner.id not in self.local:
            if node.attr not in MATH_FREE | MATH_SLOW | MATH_CONSTANT:
                self.add(
                    node,
                    f"math.{node.attr} is not available in a kernel function",
                    nearest(node.attr, MATH_FREE | MATH_SLOW),
                )
        elif isinstance(owner, ast.Name) and owner.id in self.local:
            self.add(node, f"{owner.id!r} has no field {node.attr!r}: it is no NamedTuple on every path")
        elif isinstance(owner, ast.Name) and owner.id == "math" and "math" not in self.scope:
            self.add(node, f"{ast.unparse(node)}: the file does not import math", "write `import math` at its top")
        else:
            self.add(
                node,
                f"{ast.unparse(node)} is not available in a kernel function",
                "only fields of the arguments and functions of `math`",
            )

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Pow):
            self.add(
                node, "** differs in the last bit between Python and compiled code", "write x * x, or math.sqrt(x)"
            )
        elif isinstance(node.op, ast.FloorDiv | ast.MatMult | ast.LShift | ast.RShift):
            self.add(node, f"{ast.unparse(node)!r}: this operator is not available", "write float(math.floor(a / b))")
        elif isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Mod):
            kinds = [highest(self.kinds.of(side)) for side in (node.left, node.right)]
            if FLOAT not in kinds:
                self.add(
                    node,
                    f"{ast.unparse(node)!r} computes with {NAMED[max(kinds)]} and {NAMED[min(kinds)]}, "
                    "which have 64 bits in compiled code and no end in plain Python",
                    HINT[min(kinds)].replace("around it", "around one of them"),
                )
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(ast.copy_location(ast.BinOp(_loaded(node.target), node.op, node.value), node))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.add(node, f"{ast.unparse(node)} cannot be assigned", "build a new value instead")
        if not (isinstance(node.slice, ast.Constant) and type(node.slice.value) is int):
            index = node.slice
            from_the_end = (
                isinstance(index, ast.UnaryOp)
                and isinstance(index.op, ast.USub)
                and isinstance(index.operand, ast.Constant)
            )
            self.add(
                node,
                "an index from the end is not available"
                if from_the_end
                else "an index that is not a constant stops vectorisation (measured: 2 times slower)",
                "count from the front: 0, 1, ..."
                if from_the_end
                else "use a feature with a window gene, or if-expressions",
            )
        self.visit(node.value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        kind = highest(self.kinds.of(node.operand))
        if isinstance(node.op, ast.Invert) or (kind != FLOAT and not isinstance(node.op, ast.Not)):
            what = ast.unparse(node)
            self.add(node, f"{what!r}: only a float has a sign", "write not x" if kind != WHOLE else HINT[kind])
        self.visit(node.operand)

    # ---------------------------------------------------------------- calls
    def visit_Call(self, node: ast.Call) -> None:
        given = [*node.args, *(k.value for k in node.keywords)]
        if is_rounding(node, self.scope):
            self.add(
                node,
                f"{ast.unparse(node.func)}() gives a whole number, which has 64 bits in compiled code and no end in Python",
                FLOORED if ast.unparse(node.func) == "int" else f"write float({ast.unparse(node)})",
            )
            for argument in given:
                self.visit(argument)
            return
        if _is_float_call(node, self.scope) and len(given) == 1:
            inner = given[0]
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and is_rounding(inner, self.scope):
                given = [*inner.args, *(k.value for k in inner.keywords)]
            elif highest(self.kinds.of(inner)) == TRUTH:
                self.add(node, f"{ast.unparse(node)}: a truth value does not become a float", HINT[TRUTH])
        for argument in given:
            self.visit(argument)
        if not isinstance(node.func, ast.Name):
            if isinstance(node.func, ast.Attribute):
                self.visit(node.func)
                if len(given) != 1 or node.keywords:
                    self.add(node, f"{ast.unparse(node.func)}() takes one value")
            else:
                self.add(node, f"{ast.unparse(node.func)} cannot be called from a kernel function")
            return
        name = node.func.id
        value: Any = self.scope.get(name)
        if name in self.local:
            self.add(node, f"{name!r} is a value here and cannot be called", "call the value something else")
        elif isinstance(value, types.FunctionType):
            self._enter(node, value)
        elif is_struct(value):
            self._build(node, value, given)
        elif name not in self.scope and name not in BUILT_IN and not hasattr(builtins, name):
            self._undefined(node, name)
        elif name in BUILT_IN and name not in self.scope:
            least, most = BUILT_IN[name]
            if not least <= len(node.args) <= most or node.keywords:
                self.add(node, f"{name}() takes {'one value' if most == 1 else 'two values or more'}, in order")
        else:
            self.add(
                node,
                f"{name}() cannot be called from a kernel function",
                "functions of this module, NamedTuple classes, abs, min, max, float, math",
            )

    def _build(self, node: ast.Call, struct: Any, given: list[ast.expr]) -> None:
        """A NamedTuple is made: every field, by its name or place, and each a float."""
        if len(given) != len(struct._fields):
            listed = ", ".join(struct._fields)
            self.add(
                node,
                f"{struct.__qualname__} has {len(struct._fields)} fields ({listed}), {len(given)} given",
                "defaults are not applied in compiled code",
            )
        for word in node.keywords:
            if word.arg not in struct._fields:
                self.add(
                    word, f"{struct.__qualname__} has no field {word.arg!r}", nearest(str(word.arg), struct._fields)
                )
        for argument in given:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, bool):
                self.add(argument, f"{argument.value!r} is not a float", f"write {float(argument.value)!r}")
            else:
                self._is_float(argument, f"a field of {struct.__qualname__} is a float")

    def _enter(self, node: ast.Call, helper: types.FunctionType) -> None:
        params = [self._passed(argument) for argument in node.args]
        if helper in self.within:
            names = [getattr(f, "__name__", "?") for f in self.within[self.within.index(helper) :]]
            through = f" through {', '.join(f'{name}()' for name in names[1:])}" if names[1:] else ""
            self.add(node, f"{helper.__name__}() calls itself{through}, which may not end", "use a formula")
        elif node.keywords:
            self.add(node, f"{helper.__name__}() is given arguments by name", "pass them in order")
        elif (helper, *params) not in self.seen:
            self.seen.add((helper, *params))
            Checker(helper, params, self.found, self.seen, self.within).run()

    def _passed(self, argument: ast.AST) -> Any:
        """What a helper is given: a NamedTuple class, float, or the kind of what may be no float."""
        kind = self.kinds.of(argument)
        return kind if is_struct(kind) or highest(kind) != FLOAT else float

    def _undefined(self, node: ast.AST, name: str) -> None:
        known = [*self.local, *BUILT_IN, *(key for key in self.scope if not key.startswith("_"))]
        self.add(node, f"name {name!r} is not defined", nearest(name, known))


def _as_float(value: int) -> str:
    return repr(float(value)) if abs(value) <= sys.float_info.max else "a number below 1.8e308"


def _is_float_call(node: ast.Call, scope: dict[str, Any]) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "float" and "float" not in scope


def _loaded(target: ast.expr) -> ast.expr:
    """An augmented assignment's target as a value; attributes keep their Store, so that their assignment is refused."""
    return ast.copy_location(ast.Name(target.id, ast.Load()), target) if isinstance(target, ast.Name) else target
