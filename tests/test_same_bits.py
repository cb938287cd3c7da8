"""No shipped package leaves a number to code that numpy chooses by the processor; the C library's is left, and said.

What `math` gives is the C library's, and so in the last bit the processor's: see docs/explanation/determinism.md.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ELEMENTARY = frozenset(
    [
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "power",
        "float_power",
        "pow",
        "cbrt",
        "hypot",
        "logaddexp",
        "logaddexp2",
        "geomspace",
        "logspace",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "arctan2",
        "sinh",
        "cosh",
        "tanh",
        "arcsinh",
        "arccosh",
        "arctanh",
    ]
)
"""numpy chooses their instructions by the machine: `treasury_arena.domain.elementary` has those that are needed."""
PRODUCTS = frozenset(
    [
        "dot",
        "vdot",
        "inner",
        "matmul",
        "einsum",
        "tensordot",
        "convolve",
        "correlate",
        "cov",
        "corrcoef",
        "linalg",
        "fft",
        "polyfit",
    ]
)
"""In what order they add is the choice of a library: multiply and sum."""
ORDERS = frozenset({"partition", "argpartition"})
"""In what order they leave equal or unsorted values differs by machine: sort."""
REFUSED = ELEMENTARY | PRODUCTS | ORDERS

ALLOWED = {
    "core/src/treasury_arena/testing/frames.py": "made-up markets for tests",
    "core/src/treasury_arena/testing/conformance/reporters.py": "made-up curves for tests",
    "protocols/aave/src/treasury_arena_aave/gap.py": "random scenes that two arithmetics are compared on",
    "protocols/aave/src/treasury_arena_aave/parity_operations.py": "random operations for a comparison with a chain",
    "protocols/aave/src/treasury_arena_aave/parity_scenes.py": "random scenes for a comparison with a chain",
    "protocols/uniswap/src/treasury_arena_uniswap/gap.py": "random scenes that two arithmetics are compared on",
    "protocols/uniswap/src/treasury_arena_uniswap/exact/tick_math.py": "a power of decimals, which are exact",
}
"""File -> why its numbers reach no decision, event or result, or are the same everywhere."""


def findings(source: str) -> list[str]:
    """Lines of `source` whose result is the machine's choice."""
    found = []
    for node in ast.walk(ast.parse(source)):
        what = None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy"):
            what = node.attr if node.attr in REFUSED else None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            what = _method(node, node.func.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "numpy":
            what = next((name.name for name in node.names if name.name in REFUSED), None)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            what = "@"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            what = None if isinstance(node.left, ast.Constant) or _square(node.right) else "**"
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Pow):
            what = None if _square(node.value) else "**="
        if what:
            found.append(f"{node.lineno}: {what}")
    return found


def _square(exponent: ast.expr) -> bool:
    return isinstance(exponent, ast.Constant) and exponent.value == 2


def _method(call: ast.Call, name: str) -> str | None:
    """A product of arrays, or an order in which equal values stand as the machine likes: `kind="stable"` gives one order."""
    if name == "argsort":
        kinds = [
            word.value.value for word in call.keywords if word.arg == "kind" and isinstance(word.value, ast.Constant)
        ]
        return None if kinds == ["stable"] else name
    return name if name in ("dot", "argpartition") else None


def shipped(root: Path) -> list[Path]:
    folders = [
        root / "core/src",
        *(s for kind in ("protocols", "plugins", "schedulers", "strategies") for s in root.glob(f"{kind}/*/src")),
    ]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_no_number_depends_on_the_machine(root: Path) -> None:
    files = shipped(root)
    assert len(files) > 200
    seen = {str(path.relative_to(root)): findings(path.read_text()) for path in files}
    assert {name: found for name, found in seen.items() if found and name not in ALLOWED} == {}


def test_every_exception_is_needed(root: Path) -> None:
    assert [name for name in ALLOWED if not findings((root / name).read_text())] == []


@pytest.mark.parametrize(
    "line",
    [
        "np.exp(x)",
        "np.linalg.norm(x)",
        "from numpy import log",
        "a @ b",
        "a @= b",
        "x ** 1.5",
        "x **= 1.5",
        "x ** y",
        "np.partition(x, 3)",
        "x.argpartition(3)",
        "np.argsort(x)",
        "x.argsort(kind='quicksort')",
        "x.dot(y)",
    ],
)
def test_a_finding_is_found(line: str) -> None:
    assert len(findings(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "math.exp(x)",
        "elementary.exp(x)",
        "x**2",
        "10**decimals",
        "np.sqrt(x)",
        "np.sort(x)",
        "np.argsort(x, kind='stable')",
        "x **= 2",
    ],
)
def test_what_is_exact_or_one_number_is_not(line: str) -> None:
    assert findings(line) == []
