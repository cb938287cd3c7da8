"""Which expressions of a kernel function may be truth values or whole numbers, where compiled code counts otherwise.

Whole numbers have 64 bits in compiled code and no end in plain Python, so a product of two of them, or ``int`` and
``math.floor`` of a large float, is another number in a backtest than for an agent with money. Floats are equal in both.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Mapping
from typing import Any

FLOAT, TRUTH, WHOLE = 0, 1, 2
"""What an expression may be, at most; a tuple has a kind per element, a NamedTuple is its class."""
Kind = int | type[Any] | tuple[Any, ...]

NAMED = {TRUTH: "a truth value", WHOLE: "a whole number"}
HINT = {TRUTH: "write 1.0 if ... else 0.0", WHOLE: "write float(...) around it"}


def syntax(function: Any) -> ast.stmt:
    """The statement that defines it; line 1 is its first line."""
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]


def highest(kind: Kind) -> int:
    """A kind's highest, over the elements of a tuple; the fields of a NamedTuple are floats."""
    if isinstance(kind, tuple):
        return max(map(highest, kind), default=FLOAT)
    return FLOAT if isinstance(kind, type) else kind


def is_struct(value: Any) -> bool:
    """Whether it is a NamedTuple's class."""
    return isinstance(value, type) and hasattr(value, "_fields")


class Kinds:
    """The kinds of one function's expressions, from those of its arguments.

    Args:
        tree: the function.
        scope: its module's names.
        given: argument -> kind; those not named are floats.
        known: results of helpers by function and kinds of arguments, shared; one that is under way counts as a float.
    """

    def __init__(
        self,
        tree: ast.FunctionDef,
        scope: Mapping[str, Any],
        given: Mapping[str, Kind],
        known: dict[tuple[Any, ...], Kind] | None = None,
    ) -> None:
        self.tree, self.scope, self.names = tree, scope, dict(given)
        self.known = {} if known is None else known
        stores = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        self.local = {a.arg for a in (*tree.args.posonlyargs, *tree.args.args)} | set(stores)
        before: dict[str, Kind] | None = None
        while before != self.names:  # a name has one kind wherever it stands, so this ends
            before = dict(self.names)
            for node in ast.walk(tree):
                self._assigned(node)

    def of(self, node: ast.AST | None) -> Kind:
        """The kind of an expression."""
        match node:
            case ast.Constant(value=bool()) | ast.Compare():
                return TRUTH
            case ast.Name(id=name):
                return self.names.get(name, FLOAT) if name in self.local else _of_number(self.scope.get(name))
            case ast.Tuple(elts=elements):
                return tuple(self.of(element) for element in elements)
            case ast.UnaryOp(op=op, operand=operand):
                return TRUTH if isinstance(op, ast.Not) else self.of(operand)
            case ast.BoolOp(values=values):
                return self._any(*values)
            case ast.IfExp(body=body, orelse=other):
                return _merged(self.of(body), self.of(other))
            case ast.BinOp(left=left, right=right):
                if isinstance(node.op, ast.Div):
                    return FLOAT
                kinds = [highest(self.of(left)), highest(self.of(right))]
                return max(kinds) if min(kinds) else FLOAT
            case ast.Subscript(value=value, slice=place):
                kind = self.of(value)
                if isinstance(kind, tuple) and isinstance(place, ast.Constant) and type(place.value) is int:
                    return kind[place.value] if -len(kind) <= place.value < len(kind) else FLOAT
                return highest(kind)
            case ast.Call():
                return self._called(node)
        return FLOAT

    def result(self) -> Kind:
        """The kind of what it returns."""
        found: Kind = FLOAT
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Return):
                found = _merged(found, self.of(node.value))
        return found

    def _any(self, *nodes: ast.AST) -> int:
        return max((highest(self.of(node)) for node in nodes), default=FLOAT)

    def _called(self, node: ast.Call) -> Kind:
        if is_rounding(node, self.scope):
            return WHOLE
        if not isinstance(node.func, ast.Name) or node.func.id in self.local:
            return FLOAT
        name = node.func.id
        helper: Any = self.scope.get(name)
        if isinstance(helper, types.FunctionType):
            return self._helped(helper, tuple(self.of(a) for a in node.args))
        if is_struct(helper):
            return helper  # type: ignore[no-any-return]
        return self._any(*node.args) if name in ("abs", "min", "max") else FLOAT

    def _helped(self, helper: types.FunctionType, given: tuple[Kind, ...]) -> Kind:
        if (helper, given) not in self.known:
            self.known[helper, given] = FLOAT
            tree = syntax(helper)
            if isinstance(tree, ast.FunctionDef):
                kinds = dict(zip((a.arg for a in tree.args.args), given, strict=False))
                self.known[helper, given] = Kinds(tree, helper.__globals__, kinds, self.known).result()
        return self.known[helper, given]

    def _assigned(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, self.of(value))
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, self.of(value))
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                self._bind(target, self.of(ast.BinOp(target, op, value)))
            case ast.For(target=target):
                self._bind(target, WHOLE)

    def _bind(self, target: ast.AST, kind: Kind) -> None:
        if isinstance(target, ast.Tuple):
            each = isinstance(kind, tuple) and len(kind) == len(target.elts)
            for i, element in enumerate(target.elts):
                self._bind(element, kind[i] if isinstance(kind, tuple) and each else highest(kind))
        elif isinstance(target, ast.Name):
            self.names[target.id] = _merged(self.names.get(target.id, FLOAT), kind)


def is_rounding(node: ast.AST, scope: Mapping[str, Any]) -> bool:
    """Whether it is a call of ``int``, ``math.floor`` or ``math.ceil``, which make whole numbers of floats."""
    match node:
        case ast.Call(func=ast.Name(id="int")):
            return "int" not in scope
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="floor" | "ceil")):
            return scope.get(name) is math
    return False


def _of_number(value: Any) -> Kind:
    return TRUTH if isinstance(value, bool) else WHOLE if isinstance(value, int) else FLOAT


def _merged(one: Kind, other: Kind) -> Kind:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return tuple(_merged(a, b) for a, b in zip(one, other, strict=True))
    if other == FLOAT or one is other:  # nothing was known yet, or nothing new
        return one
    return other if one == FLOAT else max(highest(one), highest(other))
