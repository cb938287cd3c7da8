"""What holds on every path through a function: its names have values, and it returns.

numba compiles a local without a value on one path silently, and runs on garbage.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

LEAVES = (ast.Return, ast.Break, ast.Continue)


def without_value(body: list[ast.stmt], known: set[str], local: set[str]) -> list[ast.Name]:
    """Reads of local names that have no value on some path through `body`, given those that have one before it."""
    found: list[ast.Name] = []
    _follow(body, known, local, found)
    return found


def returns(body: list[ast.stmt]) -> bool:
    """Whether every path through `body` ends in a return."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and returns(last.body) and returns(last.orelse)
    return isinstance(last, ast.Return)


def _follow(body: list[ast.stmt], known: set[str], local: set[str], found: list[ast.Name]) -> set[str]:
    """Names set on every path through `body`."""
    for node in body:
        if isinstance(node, ast.If):
            found.extend(_unset(node.test, known, local))
            then, other = (_follow(part, set(known), local, found) for part in (node.body, node.orelse))
            if node.body and isinstance(node.body[-1], LEAVES):
                known = other
            elif node.orelse and isinstance(node.orelse[-1], LEAVES):
                known = then
            else:
                known = then & other
        elif isinstance(node, ast.For):
            inside = known | ({node.target.id} if isinstance(node.target, ast.Name) else set())
            after = _follow(node.body, set(inside), local, found)
            leaves = any(isinstance(x, ast.Break | ast.Continue) for x in ast.walk(node))
            known = inside if leaves else after  # a constant range runs at least once
        elif isinstance(node, ast.AugAssign):
            found.extend(_unset(node.value, known, local))
            if isinstance(node.target, ast.Name) and node.target.id not in known:
                found.append(node.target)
        else:
            found.extend(_unset(node, known, local))
            known = known | {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return known


def _unset(node: ast.AST, known: set[str], local: set[str]) -> Iterator[ast.Name]:
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in local and n.id not in known:
            yield n
