"""Reads TOML into attrs classes and reports every mistake at once, with file, line and key path."""

from __future__ import annotations

import datetime
import math
import re
import typing
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import attrs

from treasury_arena.config.keys import KeyField, Secret, alternatives, key_fields
from treasury_arena.config.parse import override, parse, toml_text
from treasury_arena.config.scanner import KeyPath, key_lines
from treasury_arena.config.wording import expectation, names, refusal, shown
from treasury_arena.errors import ConfigError, nearest

_BAD: Any = object()


@attrs.frozen
class Problem:
    """One mistake: where it is and what is wrong."""

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


@attrs.frozen
class Reading:
    """What was read.

    Attributes:
        settings: an instance of the schema; beside problems it is only a sketch, in which a key that could not be read holds
            its default (None for a required one) and nothing that spans keys was checked.
        problems: every mistake, by line.
        sections: instances of the further classes by key path.
        lines, file: where the keys are.
    """

    settings: Any
    problems: list[Problem]
    sections: dict[str, Any]
    lines: Mapping[KeyPath, int]
    file: str

    def problem(self, path: KeyPath, text: str) -> Problem:
        return Problem(self.file, line_of(path, self.lines), dotted(path), text)


def read_toml(
    source: Path | str,
    schema: type[Any],
    sections: Mapping[str, type[Any]] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Reading:
    """Read a file (a Path) or a text (a str) into `schema`.

    Args:
        sections: further attrs classes by dotted key path; their instances go to `Reading.sections`, and into the root's
            internal field `sections` where it has one. Those in `taken_sections` are left out.
        overrides: values by dotted key path that replace what the file says.

    Raises ConfigError for a file that cannot be read and for text that is no TOML; every other mistake is in `problems`.
    """
    file, text = (str(source), toml_text(source)) if isinstance(source, Path) else ("<text>", source)
    data, text = parse(file, text)
    lines = key_lines(text)
    for key, value in (overrides or {}).items():
        override(data, tuple(key.split(".")), value, lines)
    taken = taken_sections(schema, sections or {})
    reader = _Reader(file, lines, {path: cls for path, cls in (sections or {}).items() if path not in taken})
    settings = reader.root(schema, data)
    found = [Problem(file, line_of(path, lines), dotted(path), text) for path, text in reader.found]
    problems = sorted(found, key=lambda one: (one.line or 0, one.key))
    return Reading(settings, problems, reader.read_sections, lines, file)


def taken_sections(schema: type[Any], sections: Mapping[str, type[Any]]) -> dict[str, str]:
    """Plugin sections at a key path that the schema itself has, with the sentence that says so."""
    taken: dict[str, str] = {}
    for path in sections:
        cls: Any = schema
        for part in path.split("."):
            keys = {key.name: key for key in key_fields(cls)}
            if part not in keys:
                break
            cls = alternatives(keys[part].hint)[0]
            if not (isinstance(cls, type) and attrs.has(cls)):
                taken[path] = f"configuration section {path!r} of a plugin is refused: {part!r} is a key of the core"
                break
        else:
            taken[path] = f"configuration section {path!r} of a plugin is refused: it is a table of the core"
    return taken


def read_table(cls: type[Any], data: dict[str, Any], path: KeyPath, reading: Reading) -> list[tuple[KeyPath, str]]:
    """The mistakes of a table that belongs to `cls`, as pairs of key path and text."""
    reader = _Reader(reading.file, reading.lines, {})
    reader.table(cls, data, path)
    return reader.found


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a key path, or of the nearest table around it that is in the text."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def dotted(path: KeyPath) -> str:
    """A key path as text: ``agents[0].genome.window``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Reader:
    def __init__(self, file: str, lines: Mapping[KeyPath, int], sections: Mapping[str, type[Any]]) -> None:
        self.file = file
        self.lines = lines
        self.sections = sections
        self.found: list[tuple[KeyPath, str]] = []
        self.read_sections: dict[str, Any] = {}

    def root(self, schema: type[Any], data: dict[str, Any]) -> Any:
        values, partial = self._values(schema, data, ())
        for path, cls in self.sections.items():
            if path not in self.read_sections and not any(key.required for key in key_fields(cls)):
                self.read_sections[path] = self._construct(cls, {}, None, tuple(path.split(".")))
        if "sections" in {attribute.name for attribute in attrs.fields(schema) if attribute.metadata.get("internal")}:
            values["sections"] = dict(sorted(self.read_sections.items()))
            object.__setattr__(partial, "sections", values["sections"])
        return self._construct(schema, values, partial, ()) if not self.found else partial

    def say(self, path: KeyPath, text: str) -> Any:
        self.found.append((path, text))
        return _BAD

    def table(self, cls: type[Any], data: Any, path: KeyPath) -> Any:
        if not isinstance(data, dict):
            return self.say(path, f"is {shown(data)}; expected a table of {names(key_fields(cls))}")
        before = len(self.found)
        values, partial = self._values(cls, data, path)
        return self._construct(cls, values, partial, path) if len(self.found) == before else partial

    def _values(self, cls: type[Any], data: dict[str, Any], path: KeyPath) -> tuple[dict[str, Any], Any]:
        keys = {key.name: key for key in key_fields(cls)}
        values: dict[str, Any] = {}
        for name, value in data.items():
            if name in keys:
                values[name] = self._key(keys[name], value, (*path, name))
            else:
                self._other(name, value, path, list(keys))
        missing = [name for name, key in keys.items() if key.required and name not in values]
        for name in missing:
            self.say((*path, name), f"is missing; expected {expectation(keys[name].hint)}")
        partial: Any = object.__new__(cls)
        for attribute in attrs.fields(cls):
            object.__setattr__(partial, attribute.name, None)
        for name, key in keys.items():
            value = values.get(name, _BAD)
            if value is _BAD and not key.required:
                value = key.default
            object.__setattr__(partial, key.attribute.name, None if value is _BAD else value)
        valid = {
            name: value is _BAD or self._validate(keys[name], value, partial, (*path, name))
            for name, value in values.items()
        }
        for name in (name for name, right in valid.items() if not right):
            object.__setattr__(partial, keys[name].attribute.name, None if keys[name].required else keys[name].default)
        return values, partial

    def _key(self, key: KeyField, value: Any, path: KeyPath) -> Any:
        if not key.secret:
            return self.value(key.hint, value, path)
        try:
            return Secret(value)
        except (ValueError, TypeError):
            return self.say(path, 'must not hold the secret itself; expected a reference, "env:NAME" or "file:PATH"')

    def _other(self, name: str, value: Any, path: KeyPath, known: list[str]) -> None:
        here = dotted((*path, name))
        prefix = f"{dotted(path)}." if path else ""
        if here in self.sections:
            self.read_sections[here] = self.table(self.sections[here], value, (*path, name))
        elif any(section.startswith(f"{here}.") for section in self.sections):
            if not isinstance(value, dict):
                self.say((*path, name), f"is {shown(value)}; expected a table")
                return
            for inner, content in value.items():
                self._other(inner, content, (*path, name), [])
        else:
            inside = {section[len(prefix) :].split(".")[0] for section in self.sections if section.startswith(prefix)}
            self.say((*path, name), f"unknown key; {nearest(name, [*known, *inside])}")

    def _validate(self, key: KeyField, value: Any, partial: Any, path: KeyPath) -> bool:
        if key.attribute.validator is None:
            return True
        try:
            key.attribute.validator(partial, key.attribute, value)
        except (ValueError, TypeError) as error:
            self.say(path, refusal(key.attribute.name, error))
            return False
        return True

    def _construct(self, cls: type[Any], values: dict[str, Any], partial: Any, path: KeyPath) -> Any:
        try:
            return cls(**values)
        except (ValueError, TypeError, ConfigError) as error:
            self.say(path, refusal("", error))
            return partial

    def value(self, hint: Any, value: Any, path: KeyPath) -> Any:
        members = alternatives(hint)
        if len(members) > 1:
            for member in members:
                attempt = _Reader(self.file, self.lines, {})
                read = attempt.value(member, value, path)
                if not attempt.found:
                    return read
            return self.say(path, f"is {shown(value)}; expected {expectation(hint)}")
        hint = members[0]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if attrs.has(hint) and hint is not Secret:
            return self.table(hint, value, path)
        if origin is Literal:
            return self._literal(arguments, value, path)
        if origin is list:
            return self._items(value, path, lambda _: arguments[0], None)
        if origin is tuple:
            endless = arguments[-1] is Ellipsis
            read = self._items(
                value, path, lambda at: arguments[0 if endless else at], None if endless else len(arguments)
            )
            return read if read is _BAD else tuple(read)
        if origin is dict or origin is typing.get_origin(Mapping[str, Any]):
            return self._mapping(arguments[1], value, path)
        return self._scalar(hint, value, path)

    def _literal(self, options: tuple[Any, ...], value: Any, path: KeyPath) -> Any:
        for option in options:
            if type(option) is type(value) and option == value:
                return option
        close = nearest(value, map(str, options)) if isinstance(value, str) else ""
        hint = f"; {close}" if close.startswith("did you mean") else ""
        return self.say(path, f"is {shown(value)}; expected {expectation(Literal[options])}{hint}")

    def _items(self, value: Any, path: KeyPath, hint: Any, length: int | None) -> Any:
        if not isinstance(value, list | tuple):
            return self.say(path, f"is {shown(value)}; expected a list")
        if length is not None and len(value) != length:
            return self.say(path, f"has {len(value)} items; expected {length}")
        read = [self.value(hint(at), item, (*path, at)) for at, item in enumerate(value)]
        return _BAD if any(item is _BAD for item in read) else read

    def _mapping(self, hint: Any, value: Any, path: KeyPath) -> Any:
        if not isinstance(value, dict):
            return self.say(path, f"is {shown(value)}; expected a table of name = {expectation(hint)}")
        read = {name: self.value(hint, item, (*path, name)) for name, item in value.items()}
        return _BAD if any(item is _BAD for item in read.values()) else read

    def _scalar(self, hint: Any, value: Any, path: KeyPath) -> Any:
        if hint is Any:
            return self._anything(value, path)
        number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if number and not _finite(value):
            return self.say(path, f"is {value}; expected a finite number")
        if hint is bool and isinstance(value, bool):
            return value
        if hint is int and number and isinstance(value, int):
            return value
        if hint is float and number:
            return float(value)
        if hint is str and isinstance(value, str):
            return value
        if hint is Path and isinstance(value, str | Path) and str(value):
            return Path(value)
        if hint is Decimal and (number or isinstance(value, str)):
            return self._decimal(value, path)
        if hint is datetime.date:
            return self._date(value, path)
        return self.say(path, f"is {shown(value)}; expected {expectation(hint)}")

    def _anything(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, list):
            return self._items(value, path, lambda _: Any, None)
        if isinstance(value, dict):
            return self._mapping(Any, value, path)
        return self.value(float, value, path) if isinstance(value, float | Decimal) else value

    def _decimal(self, value: Any, path: KeyPath) -> Any:
        try:
            read = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            return self.say(path, f"is {shown(value)}; expected {expectation(Decimal)}")
        return read if read.is_finite() else self.say(path, f"is {shown(value)}; expected {expectation(Decimal)}")

    def _date(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            try:
                return datetime.date.fromisoformat(value)
            except ValueError as error:
                return self.say(path, f"is {value}, an impossible date ({error}); expected a day as YYYY-MM-DD")
        return self.say(path, f"is {shown(value)}; expected {expectation(datetime.date)}")


def _finite(value: int | float | Decimal) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False
