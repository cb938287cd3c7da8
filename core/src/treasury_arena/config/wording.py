"""Values and types of the configuration in words, for the sentences of problems."""

from __future__ import annotations

import datetime
import re
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import attrs

from treasury_arena.config.keys import KeyField, Secret, alternatives


def expectation(hint: Any) -> str:
    """What a type asks for, in words."""
    members = alternatives(hint)
    if len(members) > 1:
        return " or ".join(expectation(member) for member in members)
    hint = members[0]
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        Path: "a file path",
        Decimal: "an amount, as a number or decimal text",
        datetime.date: "a day as YYYY-MM-DD",
        Secret: 'a reference, "env:NAME" or "file:PATH"',
        Any: "a value",
    }
    if isinstance(hint, type) and attrs.has(hint) and hint is not Secret:
        return "a table"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(
            shown(option).removeprefix("the text ") for option in arguments
        )
    if origin in (list, tuple):
        return "a list"
    return words.get(hint, "a table") if not origin else "a table"


def refusal(name: str, error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    match = re.fullmatch(rf"'{re.escape(name)}' must be (in .*|[<>=]+ .*?)(?: \(got |: )(.*?)\)?", text)
    return f"is {match.group(2)}; expected {match.group(1)}" if match else text


def names(keys: list[KeyField]) -> str:
    return ", ".join(key.name for key in keys)


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value if len(value) <= 60 else value[:57] + "..."}"'
    if isinstance(value, int | float | Decimal):
        return f"the number {value}"
    if isinstance(value, datetime.datetime):
        return f"the time {value.isoformat()}"
    if isinstance(value, datetime.date):
        return f"the date {value.isoformat()}"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else type(value).__name__
