"""The reference page of the configuration, generated from the classes that read it."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import attrs

from treasury_arena.config.keys import KeyField, alternatives, bounds, key_fields
from treasury_arena.config.settings import RuleOverrides, Settings
from treasury_arena.config.show import plain
from treasury_arena.config.wording import expectation
from treasury_arena.domain.rules import PROFILES, Rules

REGENERATE = "python -m treasury_arena.config.reference docs/reference/configuration.md"

_INTRODUCTION = f"""\
# Configuration

<!-- Generated; regenerate with: {REGENERATE} -->

One TOML file describes a run. Every key has a default except those marked *required*; an unknown key is refused with the
nearest valid one. `arena config check FILE` tells every mistake at once, `arena config show FILE` prints the file with all
defaults and the profile written out, `arena config schema` prints a JSON schema for editors.

Amounts are numbers or decimal text (`"163261.50"`) and exact. Dates are TOML dates or text, `YYYY-MM-DD`, in UTC.
Secrets are never written down: their keys take a reference, `"env:NAME"` or `"file:PATH"`.
Plugins add tables of their own, for example `source.history`; see each plugin's page.
"""

_PROFILES = """\
## Profiles

`profile` names a set of rules; a key of the table `rules` overrides one number, and `"off"` disables a threshold. An empty
cell is a threshold that the profile does not have.
"""


def configuration_reference() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION, *_tables(Settings, "Top level", ""), _PROFILES + "\n" + "\n".join(_profile_rows())]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _tables(cls: type[Any], heading: str, path: str, summary: str = "") -> Iterator[str]:
    inner = [(key, *_inner(key)) for key in key_fields(cls)]
    rows = [_row(key, "*the profile's*" if cls is RuleOverrides else "") for key, table, _ in inner if table is None]
    head = ["| key | expects | default | meaning |", "|---|---|---|---|"]
    yield "\n".join([f"## {heading}", "", *([summary, ""] if summary else []), *([*head, *rows] if rows else [])])
    for key, table, form in inner:
        if table is not None:
            below = f"{path}.{key.name}" if path else key.name
            default = "" if key.required or not _has_required(table) else plain(key.default)
            told = f"{key.help} Default: `{json.dumps(default)}`." if default else key.help
            # An array of tables has its items in double brackets, a table of tables one per name.
            yield from _tables(table, f"`[{form.format(below)}]`", below, told)


def _has_required(table: type[Any]) -> bool:
    return any(key.required for key in key_fields(table))


def _inner(key: KeyField) -> tuple[type[Any] | None, str]:
    hint = alternatives(key.hint)[0]
    if isinstance(hint, type) and attrs.has(hint):
        return hint, "{}"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple) and attrs.has(arguments[0]):
        return arguments[0], "[{}]"
    if origin is dict and attrs.has(arguments[1]):
        return arguments[1], "{}.<name>"
    return None, ""


def _row(key: KeyField, absent: str) -> str:
    limits = " and ".join(
        f"{operator} {plain(bound)}" for operator, bound in bounds(key.attribute.validator) if operator != "min_len"
    )
    expects = _expects(key.hint) + (f", {limits}" if limits else "")
    return f"| `{key.name}` | {expects} | {_default(key) or absent} | {key.help} |"


def _expects(hint: Any) -> str:
    members = alternatives(hint)
    if len(members) > 1:
        return " or ".join(_expects(member) for member in members)
    origin, arguments = typing.get_origin(members[0]), typing.get_args(members[0])
    if origin is Literal:
        return ", ".join(f"`{json.dumps(option)}`" for option in arguments)
    if origin in (list, tuple):
        return f"a list, each {_expects(arguments[0])}"
    if origin is dict:
        return f"a table of name = {_expects(arguments[1])}"
    return expectation(members[0])


def _default(key: KeyField) -> str:
    if key.required:
        return "*required*"
    default = plain(key.default)
    return "" if default is None or default in ({}, []) else f"`{json.dumps(default)}`"


def _profile_rows() -> Iterator[str]:
    yield f"| key | {' | '.join(PROFILES)} |"
    yield "|---" * (len(PROFILES) + 1) + "|"
    for attribute in attrs.fields(Rules):
        cells = [getattr(rules, attribute.name) for rules in PROFILES.values()]
        yield f"| `{attribute.name}` | {' | '.join('' if cell is None else json.dumps(cell) for cell in cells)} |"


if __name__ == "__main__":
    import sys

    Path(sys.argv[1]).write_text(configuration_reference(), encoding="utf-8")
