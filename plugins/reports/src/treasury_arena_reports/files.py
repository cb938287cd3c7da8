"""`results.json`: the whole result as canonical JSON, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.contracts.results import SCHEMA, RunResult
from treasury_arena.errors import DataError, ValidationError, nearest
from treasury_arena_reports.checks import check

KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "dict": (dict,),
    "list": (list,),
}


def results_json(result: RunResult) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII, one closing newline; equal results give equal text.

    Beside the fields of `RunResult.to_dict` it holds ``benchmark_order``, because sorted keys lose the display order.
    """
    content = {**result.to_dict(), "benchmark_order": list(result.benchmarks)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_scalar)
    return text + "\n"


def load_results(path: Path | str) -> RunResult:
    """Read a `results.json` back.

    Raises DataError naming file and key: unreadable, no JSON, another schema, a field missing, unknown or of a wrong type,
    a number that is not finite; ValidationError for contents that `check` refuses.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON ({error})") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        known = "; `arena resume` of the run writes the file anew" if found == 1 else ""
        raise DataError(f"{path}: expected an object with schema {SCHEMA}, found {found!r}{known}")
    order = content.pop("benchmark_order", None)
    content.pop("schema")
    fields = {field.name: str(field.type) for field in attrs.fields(RunResult)}
    optional = {field.name for field in attrs.fields(RunResult) if field.default is not attrs.NOTHING}
    for key in content:
        if key not in fields:
            raise DataError(f"{path}: unknown key {key!r}, {nearest(key, fields)}")
    for key, kind in fields.items():
        if key not in content and key in optional:  # written before there was such a field
            continue
        if key not in content:
            raise DataError(f"{path}: the key {key!r} is missing")
        expected = kind.split("[")[0]
        if not isinstance(content[key], KINDS[expected]):
            raise DataError(f"{path}: {key!r} must be of type {expected}, not {type(content[key]).__name__}")
    content["benchmarks"] = _ordered(content["benchmarks"], order, path)
    result = RunResult(**content)
    check(result)
    return result


def _ordered(benchmarks: dict[str, Any], order: Any, path: Path) -> dict[str, Any]:
    if order is None:
        return benchmarks
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(benchmarks):
        raise DataError(f"{path}: 'benchmark_order' must list each of {sorted(benchmarks)} once, not {order!r}")
    return {name: benchmarks[name] for name in order}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, every number must be finite")


def _scalar(value: Any) -> Any:
    """numpy scalars and arrays as plain numbers; anything else is refused by name."""
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise ValidationError(f"the result holds a {type(value).__name__}, which JSON cannot say")
    return tolist()
