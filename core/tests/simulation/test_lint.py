"""What a plugin author is told: file, line, column, reason, way out, before numba is even imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from kernel_plugins import build, farmer, faulty, six, tactical

from treasury_arena.errors import PluginCodeError
from treasury_arena.simulation.layout import Function, Layout
from treasury_arena.simulation.lint import advise, check_functions, compile_alone, find

SOURCE = '''"""A strategy with one mistake."""

import math
import random
from typing import Annotated, NamedTuple

import numpy as np

from treasury_arena.contracts.strategy import HOLD, Column, Real, Role, Strategy

LEVELS = (0.1, 0.2)
LIMIT, HOURS = 0.9, 24


class Genes(NamedTuple):
    fast: Annotated[float, Real(0.0, 1.0)]


class Features(NamedTuple):
    price: Annotated[float, Column("log_price", 1, "eth")]


class Book(NamedTuple):
    cash: float


class Target(NamedTuple):
    eth: float
    band: float


class State(NamedTuple):
    a: float = 0.0


def unit(x: float) -> float:
    return min(max(x, 0.0), LIMIT)


def helper(x: float) -> float:
    return @helper@


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    w = helper(f.price)
    @body@
    return Target(w, g.fast), State(s.a)


STRATEGY = Strategy("mistaken", {"eth": Role("spot", "eth")}, Genes, Features, Book, Target, State, decide)
'''

# (body, line of the finding within it, the piece the caret points at, message, hint)
CASES = [
    ("w = f.prise", 0, "f.prise", "'f' (Features) has no field 'prise'", "did you mean 'price'?"),
    ("w = g.fsat", 0, "g.fsat", "'g' (Genes) has no field 'fsat'", "did you mean 'fast'?"),
    ("w = unti(w)", 0, "unti(w)", "name 'unti' is not defined", "did you mean 'unit'?"),
    ("w = LIMITS", 0, "LIMITS", "name 'LIMITS' is not defined", "did you mean 'LIMIT'?"),
    ("if w > 1.0:\n        return Target(w, 0.1), State(0)", 1, "0)", "0 is not a float", "write 0.0"),
    ("w = w + 1", 0, "1", "1 is not a float", "write 1.0"),
    ("if w > 1.0:\n        return Target(w, 0.1), State(True)", 1, "True", "True is not a float", "write 1.0"),
    ("if w > 1.0:\n        return Target(w, 0.1)", 1, "return", "decide() must return two values", "1 given"),
    (
        "if w > 1.0:\n        return Target(w), State(w)",
        1,
        "Target(w)",
        "Target has 2 fields (eth, band), 1 given",
        "defaults",
    ),
    (
        "if w > 1.0:\n        return Target(w, bnd=w), State(w)",
        1,
        "bnd",
        "Target has no field 'bnd'",
        "did you mean 'band'?",
    ),
    (
        "if w > 1.0:\n        v = 1.0\n    w = v",
        2,
        "v",
        "'v' has no value on some path",
        "give it a value before the if",
    ),
    (
        "for k in range(3):\n        if w > 1.0:\n            break\n        v = 1.0\n    w = v",
        4,
        "v",
        "'v' has no value",
        "give",
    ),
    ("v += w", 0, "v", "'v' has no value on some path", "give it a value before the if"),
    ("s.a = w", 0, "s.a", "s.a cannot be assigned", "make State(...) with the new value"),
    ("s.a += w", 0, "s.a", "s.a cannot be assigned", "make State(...) with the new value"),
    ("w = sum([w, w])", 0, "[w, w]", "a list is not available", "plain arithmetic"),
    ("w = w if f.price else {}", 0, "{}", "a dict is not available", "plain arithmetic"),
    ('v = "text"', 0, '"text"', "a str constant is not available", ""),
    ("print(w)", 0, "print(w)", "print() cannot be called from a kernel function", "functions of this module"),
    (
        "w = np.sign(w)",
        0,
        "np.sign",
        "np.sign is not available",
        "only fields of the arguments and functions of `math`",
    ),
    ("w = random.random()", 0, "random.random", "random.random is not available", "only fields"),
    ("w = math.gamma(w)", 0, "math.gamma", "math.gamma is not available", "known:"),
    ("w = LEVELS[0]", 0, "LEVELS", "module-level 'LEVELS' is a tuple", "a table is a Choice gene or a feature column"),
    ("w = f[-1]", 0, "f[-1]", "an index from the end is not available", "count from the front"),
    ("w = f[int(g.fast)]", 0, "f[int", "an index that is not a constant stops vectorisation", "window gene"),
    ("while w > 1.0:\n        w = w - 1.0", 0, "while", "a while loop may not end", "range(<constant>)"),
    (
        "for k in range(int(w)):\n        w = w - 1.0",
        0,
        "for",
        "a for loop whose length depends on data",
        "range(<constant>)",
    ),
    ("for k in range(1025):\n        w = w - 1.0", 0, "for", "a loop of 1025 iterations", "use a formula or a feature"),
    ("for k in range(0):\n        w = w - 1.0", 0, "for", "a loop of 0 iterations", "use a formula or a feature"),
    (
        "for k in range(33):\n        for i in range(32):\n            w = w - 1.0",
        1,
        "for",
        "a loop of 1056 iterations (nested ones multiplied)",
        "use a formula",
    ),
    ("w = w ** 2.0", 0, "w ** 2.0", "** differs in the last bit", "write x * x, or math.sqrt(x)"),
    ("w **= 2.0", 0, "w **= 2.0", "** differs in the last bit", "write x * x, or math.sqrt(x)"),
    ("w = w // 2.0", 0, "w // 2.0", "this operator is not available", "float(math.floor(a / b))"),
    ("w = int(w)", 0, "int(w)", "int() gives a whole number", "write float(math.floor(x))"),
    ("w = float(int(w))", 0, "int(w)", "int() gives a whole number", "write float(math.floor(x))"),
    (
        "w = math.floor(w * 1e18) * 1.0",
        0,
        "math.floor(",
        "math.floor() gives a whole number, which has 64 bits in compiled code",
        "write float(math.floor(w * 1e+18))",
    ),
    ("w = w - math.ceil(w)", 0, "math.ceil(", "math.ceil() gives a whole number", "write float(math.ceil(w))"),
    (
        "v = (w > 1.0) + (s.a > 1.0)",
        0,
        "(w > 1.0) +",
        "computes with a truth value and a truth value, which have 64 bits",
        "write 1.0 if ... else 0.0",
    ),
    (
        "for k in range(3):\n        w = w + k * k",
        1,
        "k * k",
        "'k * k' computes with a whole number and a whole number",
        "write float(...) around one of them",
    ),
    ("v = w > 1.0\n    for k in range(64):\n        v = v + v", 2, "v + v", "'v + v' computes with", "write 1.0 if"),
    (
        "for k in range(3):\n        v = k\n        v *= k",
        2,
        "v *= k",
        "'v * k' computes with a whole number",
        "float(",
    ),
    ("a, b = w, w > 1.0\n    b = b - b", 1, "b - b", "'b - b' computes with a truth value", "write 1.0 if"),
    ("v = min(w > 1.0, 2.0)\n    v = v % v", 1, "v % v", "'v % v' computes with a truth value", "write 1.0 if"),
    ("v = (w > 1.0, w)\n    w = v[0] * v[0]", 1, "v[0] * v[0]", "computes with a truth value", "write 1.0 if"),
    ("v = (w > 1.0 or w) * (w < 1.0 and w)", 0, "(w > 1.0 or w) *", "computes with a truth value", "write 1.0 if"),
    ("v = w if w > 1.0 else True\n    v = v * v", 1, "v * v", "computes with a truth value", "write 1.0 if"),
    ("v = -(w > 1.0)", 0, "-(w > 1.0)", "only a float has a sign", "write not x"),
    ("for k in range(3):\n        w = w + -k", 1, "-k", "'-k': only a float has a sign", "write float(...)"),
    ("v = ~(w > 1.0)", 0, "~(w > 1.0)", "only a float has a sign", "write not x"),
    ("w = float(w > 1.0)", 0, "float(w > 1.0)", "a truth value does not become a float", "write 1.0 if ... else 0.0"),
    (
        "return Target(w > 1.0, HOLD), s",
        0,
        "w > 1.0",
        "a field of Target is a float, and 'w > 1.0' may be a truth value",
        "write 1.0 if ... else 0.0",
    ),
    (
        "for k in range(2):\n        s = State(a=k)",
        1,
        "k)",
        "a field of State is a float, and 'k' may be a whole number",
        "write float(...) around it",
    ),
    ("v: float\n    if w > 1.0:\n        v = 2.0\n    w = v", 0, "v: float", "'v: float' gives no value", "write one"),
    ("v = None", 0, "None", "None is not available", "a number that says so"),
    ("v = (w, 2.0)\n    w = w + v.index(w)", 1, "v.index", "'v' has no field 'index': it is no NamedTuple", ""),
    ("for k in range(3):\n        w = w + k.real", 1, "k.real", "'k' has no field 'real'", ""),
    ("v = State(a=w)\n    w = v.b", 1, "v.b", "'v' (State) has no field 'b'", "known: a"),
    ("v = State(a=w)\n    v.a = 2.0", 1, "v.a", "v.a cannot be assigned", "make State(...) with the new value"),
    ("v = (w, 2.0)\n    v[0] = 2.0", 1, "v[0]", "v[0] cannot be assigned", "build a new value instead"),
    ("v = (w, 2.0)\n    w = v[True]", 1, "v[True]", "an index that is not a constant", ""),
    ("w = 1.0 if w is s.a else 2.0", 0, "w is s.a", "compares values where Python compares objects", "write =="),
    ("w = 1.0 if w in (s.a, 2.0) else 2.0", 0, "w in (", "compares values where Python", "write =="),
    ("v = (w, 2.0)\n    w = 1.0 if v == v else 2.0", 1, "v == v", "'v' is more than one number", "one by one"),
    ("w = 1.0 if s == State(a=w) else 2.0", 0, "s ==", "'s' is more than one number", "compare its parts"),
    ("w = math.copysign(1.0, w)", 0, "math.copysign", "math.copysign is not available", "known:"),
    ("abs = math.floor", 0, "abs", "'abs' is the name of a function", "call the value something else"),
    ("v = w\n    w = v(w)", 1, "v(w)", "'v' is a value here and cannot be called", "something else"),
    ("w = min(w)", 0, "min(w)", "min() takes two values or more", ""),
    ("w = float()", 0, "float()", "float() takes one value", ""),
    ("w = math.log(w, 2.0)", 0, "math.log", "math.log() takes one value", ""),
    ("w = w / HOURS", 0, "HOURS", "module-level 'HOURS' is 24, not a float", "write HOURS = 24.0"),
    ("for k in range(9007199254740993, 9007199254740994):\n        w = w + k", 0, "for", "a for loop whose", "2^53"),
    (f"w = 1{'0' * 400}", 0, "1000", "is not a float", "write a number below 1.8e308"),
    (
        "try:\n        w = 1.0\n    except ValueError:\n        w = 2.0",
        0,
        "try",
        "try is not available",
        "plain arithmetic",
    ),
    ("v = lambda x: x", 0, "lambda", "lambda is not available", "plain arithmetic"),
    ("v = decide(f, g, book, s)", 0, "decide(", "decide() calls itself, which may not end", "use a formula"),
    ("w = unit(x=w)", 0, "unit(x=w)", "unit() is given arguments by name", "pass them in order"),
    ("unit(w)", 0, "unit(w)", "a statement without effect", "only compute and return"),
]
LEGAL = [
    "w = unit(w) if w > 0.5 else -w",
    "for k in range(1024):\n        w = w * 0.999",
    "for k in range(32):\n        for i in range(32):\n            w = w * 0.999",
    "for k in range(2, 8, 2):\n        w = w + 0.1 * k\n        if w > 1.0:\n            break",
    "if w > 1.0:\n        v = 1.0\n    else:\n        v = 2.0\n    w = v",
    "if w > 1.0:\n        return Target(w, HOLD), State(a=w)",
    "a, b = w, 2.0\n    w = a % b + float(math.floor(a)) - float(math.ceil(b))",
    "v = (w > 1.0) & (s.a < 1.0) | (w < 0.5)\n    w = w * 2.0 if v and not w > 3.0 else w / 2.0",
    "v = State(a=w)\n    b, v = w, v\n    w = v.a + b",
    "w = " + " + ".join(["w"] * 200),
    "v = " + " & ".join(["(w > 0.0)"] * 60) + "\n    w = w * v",
    "for k in range(4):\n        w = w + float(k) * k + w * (w > 1.0)",
    "w = unit(w > 1.0) + unit(w) if w > 0.0 else w * unit(w < 1.0)",
    "w += math.inf if (w > 1.0) & (s.a < 1.0) else math.sqrt(abs(w))",
]


def mistaken(folder: Path, name: str, body: str, helper: str = "unit(x)") -> object:
    (folder / f"{name}.py").write_text(SOURCE.replace("@body@", body).replace("@helper@", helper))
    importlib.invalidate_caches()
    return importlib.import_module(name).STRATEGY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_math_that_was_not_imported_is_told_as_such(folder: Path) -> None:
    code = SOURCE.replace("import math\n", "").replace("@body@", "w = math.sqrt(w)").replace("@helper@", "unit(x)")
    (folder / "unimported.py").write_text(code)
    importlib.invalidate_caches()
    strategy = importlib.import_module("unimported").STRATEGY
    with pytest.raises(PluginCodeError, match=r"math\.sqrt: the file does not import math\n(?s:.*)write `import math`"):
        build.kernel(strategy, folder / "cache")


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: CASES[n][0].split("\n")[0])
def test_every_mistake_is_told_with_file_line_column_and_hint(number: int, folder: Path) -> None:
    body, offset, piece, message, hint = CASES[number]
    strategy = mistaken(folder, f"mistake_{number}", body)
    lines = (folder / f"mistake_{number}.py").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    w = helper")) + 1
    line = lines[start + offset]
    column = line.index(piece)
    with pytest.raises(PluginCodeError) as raised:
        build.kernel(strategy, folder / "cache")  # type: ignore[arg-type]
    told = str(raised.value)
    place = f"{folder / f'mistake_{number}.py'}:{start + offset + 1}:{column + 1}: "
    entry = next((part for part in told.split(str(folder)) if message in part), None)
    assert entry is not None, told
    assert f"{folder}{entry}".startswith(place), told
    assert f"\n    {line}\n    {' ' * column}^" in entry
    assert hint in entry.partition("hint: ")[2]
    assert not list((folder / "cache").glob("*"))


@pytest.mark.parametrize("number", range(len(LEGAL)), ids=lambda n: LEGAL[n].split("\n")[0])
def test_legal_constructs_pass_and_compile(number: int, folder: Path) -> None:
    strategy = mistaken(folder, f"legal_{number}", LEGAL[number])
    kernel = build.kernel(strategy, folder / "cache")  # type: ignore[arg-type]
    compile_alone(kernel.layout.functions[0])
    assert kernel.generated.path.exists()


def test_mistakes_in_helpers_are_found_in_the_helper(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_helper", "w = unit(w)", helper="x ** 2.0")
    with pytest.raises(PluginCodeError, match=r"mistake_helper\.py:41:12: \*\* differs"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]


def test_kinds_of_what_helpers_give_and_are_given_are_followed(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_given", "v = helper(w)\n    w = v + v", helper="x > 1.0")
    with pytest.raises(PluginCodeError, match=r"mistake_given\.py:47:9: 'v \+ v' computes with a truth value"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]
    strategy = mistaken(folder, "mistake_taken", "w = w * helper(w > 1.0)", helper="x * x")
    with pytest.raises(PluginCodeError, match=r"mistake_taken\.py:41:12: 'x \* x' computes with a truth value"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]
    strategy = mistaken(folder, "mistake_around", "w = w * helper(helper(w > 1.0) + 1.0)", helper="unit(x)")
    kernel = build.kernel(strategy, folder)  # type: ignore[arg-type]
    compile_alone(kernel.layout.functions[0])


def test_helpers_that_call_each_other_are_refused(folder: Path) -> None:
    code = SOURCE.replace("@body@", "w = unit(w)").replace("@helper@", "1.0 if x < 1.0 else other(x - 1.0)")
    (folder / "mutual.py").write_text(code + "\n\ndef other(x: float) -> float:\n    return helper(x)\n")
    importlib.invalidate_caches()
    with pytest.raises(PluginCodeError, match=r"helper\(\) calls itself through other\(\), which may not end"):
        build.kernel(importlib.import_module("mutual").STRATEGY, folder / "cache")


def test_what_is_nested_too_deeply_to_be_read_is_told(folder: Path) -> None:
    strategy = mistaken(folder, "deep", "w = " + " + ".join(["w"] * 600))
    with pytest.raises(PluginCodeError, match=r"deep\.py:44:1: decide\(\), or a helper of it, .* nested too deeply"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]


def test_a_helper_s_empty_return_is_refused(folder: Path) -> None:
    strategy = mistaken(folder, "empty_return", "w = unit(w)", helper="unit(x) if x > 0.0 else None")
    with pytest.raises(PluginCodeError, match="None is not available in a kernel function"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]
    strategy = mistaken(folder, "bare_return", "w = unit(w)", helper="x\n    return")
    with pytest.raises(PluginCodeError, match="a return without a value"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["x > 0.0", "(1.0 if x > 0.0 else x > 1.0)", "unit(x > 0.0)"])
def test_a_result_that_may_be_no_float_is_refused(given: str, folder: Path) -> None:
    code = SOURCE.replace("@body@", "w = unit(w)").replace("@helper@", given)
    (folder / "no_float.py").write_text(code)
    importlib.invalidate_caches()
    module = importlib.import_module("no_float")
    function = Function("value", module.helper, (float,), (float,))
    (finding,) = find([function])
    sys.modules.pop("no_float")
    assert finding.line == 41
    assert finding.message.startswith("helper() must return one float, and ")
    assert finding.message.endswith("may be a truth value")


def test_a_path_without_return_is_refused_at_the_last_statement(folder: Path) -> None:
    body = (
        "if w > 1.0:\n        return Target(w, 0.1), State(w)\n\n\ndef other(w: float, g: Genes, s: State) -> object:"
    )
    strategy = mistaken(folder, "mistake_return", body)
    with pytest.raises(PluginCodeError, match=r"mistake_return\.py:46:5: decide\(\) can end without a return"):
        build.kernel(strategy, folder)  # type: ignore[arg-type]


def test_a_function_with_other_arguments_than_the_contract_is_refused(cache: Path) -> None:
    strategy = attrs.evolve(farmer.STRATEGY, decide=farmer.follow)
    with pytest.raises(PluginCodeError, match=r"follow\(\) takes 3 arguments, the contract passes 4"):
        build.kernel(strategy, cache)


def test_all_mistakes_are_told_at_once_in_line_order(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_many", "w = w ** 2.0\n    w = f.prise\n    print(w)")
    with pytest.raises(PluginCodeError) as raised:
        build.kernel(strategy, folder)  # type: ignore[arg-type]
    told = str(raised.value)
    assert told.index("differs in the last bit") < told.index("no field 'prise'") < told.index("print() cannot")


@pytest.mark.parametrize("module", [farmer, tactical, faulty, six], ids=lambda m: m.__name__)
def test_good_strategies_have_no_findings(module: object, cache: Path) -> None:
    kernel = build.kernel(module.STRATEGY, cache)  # type: ignore[attr-defined]
    assert find(kernel.layout.functions) == []


def test_refusal_comes_before_numba(folder: Path) -> None:
    mistaken(folder, "mistake_early", "w = f.prise")
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import mistake_early\nfrom pathlib import Path\nfrom kernel_plugins import build, farmer\n"
        "from treasury_arena.errors import PluginCodeError\n"
        "build.kernel(farmer.STRATEGY, Path(sys.argv[1]))\n"
        "try:\n    build.kernel(mistake_early.STRATEGY, Path(sys.argv[1]))\n"
        "except PluginCodeError:\n    print('refused', 'numba' in sys.modules)\n"
    )
    support = str(Path(build.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), support], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused", "False"]


def test_second_net_names_the_line_numba_refuses(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_net", "w = f[7]")
    functions = build.kernel(strategy, folder).layout.functions  # type: ignore[arg-type]
    check_functions(functions)
    with pytest.raises(PluginCodeError, match=r"mistake_net\.py:46:5: "):
        compile_alone(functions[0])


def test_second_net_refuses_a_result_of_another_type(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_type", "if w > 1.0:\n        w = 0.5")
    layout = build.kernel(strategy, folder).layout  # type: ignore[arg-type]
    function = attrs.evolve(layout.functions[0], result=(strategy.state, strategy.target))  # type: ignore[attr-defined]
    with pytest.raises(PluginCodeError, match=r"decide\(\) gives .* the contract expects \(State, Target\)"):
        compile_alone(function)


def test_running_a_kernel_that_does_not_compile_points_at_the_author(folder: Path) -> None:
    strategy = mistaken(folder, "mistake_run", "w = f[7]")
    kernel = build.kernel(strategy, folder)  # type: ignore[arg-type]
    tables = kernel.tables(build.frame(20))
    with pytest.raises(PluginCodeError, match=r"mistake_run\.py:46:5: "):
        kernel.run(tables, [[0.5]], low=0, high=20, cash=1.0, sample=5)


def test_slow_functions_are_advised_against(folder: Path) -> None:
    strategy = mistaken(folder, "slow", "w = math.exp(w) + math.sqrt(w) + math.tanh(w)")
    assert advise(strategy.decide) == ["exp", "tanh"]  # type: ignore[attr-defined]
    assert isinstance(Layout(strategy, {"eth": build.MODELS["spot"]}).functions, list)  # type: ignore[arg-type]
