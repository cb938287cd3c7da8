"""JSON Schema (draft 2020-12) of the configuration, out of the same classes that read it."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import attrs

from treasury_arena.config.keys import KeyField, Secret, alternatives, bounds, key_fields
from treasury_arena.config.settings import Settings
from treasury_arena.config.show import plain

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": "^(env|file):.+"}
_LIMITS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum", "in": "enum"}


def json_schema(sections: Mapping[str, type[Any]] | None = None, root: type[Any] = Settings) -> dict[str, Any]:
    """The schema of a configuration file, plugin sections (by dotted key path) included.

    Dates are stated in their JSON form, text as ``YYYY-MM-DD``.
    """
    schema = _table(root)
    for path, cls in sorted((sections or {}).items()):
        *outer, last = path.split(".")
        table = schema
        for part in outer:
            table = table["properties"].setdefault(
                part, {"type": "object", "properties": {}, "additionalProperties": False}
            )
        table["properties"][last] = _table(cls)
    return {"$schema": DRAFT, "title": "Treasury Arena configuration", **schema}


def _table(cls: type[Any]) -> dict[str, Any]:
    keys = key_fields(cls)
    table: dict[str, Any] = {
        "type": "object",
        "properties": {key.name: _key(key) for key in keys},
        "additionalProperties": False,
    }
    required = [key.name for key in keys if key.required]
    return {**table, "required": required} if required else table


def _key(key: KeyField) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_REFERENCE) if key.secret else _type(key.hint)
    limits = list(bounds(key.attribute.validator))
    for target in schema.get("anyOf", [schema]):
        for operator, bound in limits:
            _bound(target, operator, bound)
    if key.help:
        schema["description"] = key.help
    if not key.required and key.default is not None and not attrs.has(type(key.default)):
        schema["default"] = plain(key.default)
    return schema


def _bound(schema: dict[str, Any], operator: str, bound: Any) -> None:
    kind = schema.get("type")
    numeric = kind in ("integer", "number") or isinstance(kind, list)
    if operator == "min_len" and kind in ("string", "array"):
        schema["minLength" if kind == "string" else "minItems"] = bound
    elif operator in _LIMITS and (numeric or operator == "in"):
        schema[_LIMITS[operator]] = float(bound) if isinstance(bound, Decimal) else bound


def _type(hint: Any) -> dict[str, Any]:
    members = alternatives(hint)
    if len(members) > 1:
        return {"anyOf": [_type(member) for member in members]}
    hint = members[0]
    if hint is Secret:
        return dict(_REFERENCE)
    if isinstance(hint, type) and attrs.has(hint):
        return _table(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _type(arguments[0])}
        items = [_type(argument) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is not None:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return dict(_SCALARS.get(hint, {}))


_SCALARS: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    Decimal: {"type": ["number", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    datetime.date: {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
}
