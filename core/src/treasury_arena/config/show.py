"""The resolved configuration as data and as TOML, and its hash. Secrets are shown as their references only."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.config.keys import KeyField, Secret, key_fields
from treasury_arena.config.settings import OFF, Agent, Settings


def resolved(settings: Settings) -> Settings:
    """The settings with the profile's rules and judging fitness written out, so that nothing is implied."""
    numbers = attrs.asdict(settings.resolved_rules())
    rules = type(settings.rules)(**{name: OFF if value is None else value for name, value in numbers.items()})
    return attrs.evolve(settings, rules=rules, fitness=attrs.evolve(settings.fitness, judge=settings.judge_terms()))


def to_dict(settings: Settings) -> dict[str, Any]:
    """JSON-ready dict of the resolved settings, in the order of the reference; absent optional keys are left out.

    Amounts are decimal text, dates ``YYYY-MM-DD``. It holds what `load_config` accepts.
    """
    return _with_sections(settings, hashed=False)


def hashed_dict(settings: Settings) -> dict[str, Any]:
    """The part of `to_dict` that `config_hash` covers: nothing of where and how a run happens."""
    return _with_sections(settings, hashed=True)


def to_toml(settings: Settings) -> str:
    """The resolved settings as TOML that `load_config` reads to the same settings."""
    return "\n".join(_toml(to_dict(settings), ())).strip("\n") + "\n"


def agents_toml(agents: Iterable[Agent]) -> str:
    """Genomes as the `[[agents]]` tables of a configuration."""
    rows = [_table(agent, False) for agent in agents]
    return "\n".join(_toml({"agents": rows}, ())).strip("\n") + "\n" if rows else ""


def config_hash(settings: Settings) -> str:
    """SHA-256 (hex) over canonical JSON of what a run computes from.

    Paths, secrets, and where and how the run happens (store, reports, executor, observers) do not count; neither does a
    plugin section that holds only defaults, unless it belongs to the chosen source.
    """
    content = json.dumps(
        _with_sections(settings, hashed=True), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _with_sections(settings: Settings, *, hashed: bool) -> dict[str, Any]:
    tree = _table(resolved(settings), hashed)
    for path, content in settings.sections.items():
        if hashed and (
            path.startswith("observer.") or (path != f"source.{settings.source.name}" and _is_default(content))
        ):
            continue
        table = tree
        *outer, last = path.split(".")
        for part in outer:
            table = table.setdefault(part, {})
        # A section below another plugin's section has put its table there already.
        table[last] = {**_table(content, hashed), **table.get(last, {})}
    return tree


def _is_default(content: Any) -> bool:
    keys = key_fields(type(content))
    return not any(key.required for key in keys) and _table(content, True) == _table(type(content)(), True)


def _table(instance: Any, hashed: bool) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key in key_fields(type(instance)):
        value = getattr(instance, key.attribute.name)
        if value is not None and not (hashed and _beside_the_point(key, value)):
            table[key.name] = plain(value, hashed)
    return table


def _beside_the_point(key: KeyField, value: Any) -> bool:
    return key.local or key.secret or isinstance(value, Path) or (key.later and value == key.default)


def plain(value: Any, hashed: bool = False) -> Any:
    """A value of a key as JSON-ready data."""
    if isinstance(value, Decimal):
        text = f"{value:f}"  # not normalize(), which rounds to the context's precision
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Path | Secret):
        return "" if hashed else str(value)
    if attrs.has(type(value)):
        return _table(value, hashed)
    if isinstance(value, Mapping):
        return {name: plain(item, hashed) for name, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [plain(item, hashed) for item in value]
    return value


def _toml(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, dict)}
    rows = {name: value for name, value in table.items() if _is_rows(value)}
    for name, value in table.items():
        if name not in inner and name not in rows:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in inner.items():
        here = (*path, name)
        if not value or any(not isinstance(item, dict) and not _is_rows(item) for item in value.values()):
            yield f"\n[{'.'.join(map(_key, here))}]"
        yield from _toml(value, here)
    for name, value in rows.items():
        for row in value:
            yield f"\n[[{'.'.join(map(_key, (*path, name)))}]]"
            yield from _toml(row, (*path, name))


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(name: str) -> str:
    bare = name and all(char.isascii() and (char.isalnum() or char in "-_") for char in name)
    return name if bare else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    return repr(value)
