"""From a file to TOML data: unreadable files, syntax errors, impossible dates, and overrides from outside."""

from __future__ import annotations

import difflib
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomli

from treasury_arena.config.files import read_small
from treasury_arena.config.scanner import KeyPath
from treasury_arena.errors import ConfigError

_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[Tt ]\d{2}:\d{2}[0-9:.+\-Zz]*)?")


#: Characters of a configuration; the largest anybody wrote has some thousands.
TEXT_MAX = 2**22


def toml_text(path: Path) -> str:
    try:
        return read_small(path, TEXT_MAX, "a configuration", encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file{_meant(path)}") from error
    except IsADirectoryError as error:
        inside = sorted(one.name for one in path.glob("*.toml"))
        known = f" (known: {', '.join(inside)})" if inside else ""
        raise ConfigError(f"{path}: is a folder; expected a file{known}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _meant(path: Path) -> str:
    """The configuration beside a missing one that is named almost like it, as the end of a sentence; empty without one."""
    # Compared without their suffix: `.toml`, which all share, would make any two short names alike.
    beside = {one.stem: one.name for one in sorted(path.parent.glob("*.toml"))} if path.parent.is_dir() else {}
    near = difflib.get_close_matches(path.stem, beside, n=1)
    return f"; did you mean {beside[near[0]]!r}?" if near else ""


def parse(file: str, text: str) -> tuple[dict[str, Any], str]:
    # An impossible date is a syntax error to tomli; as text it becomes a problem of its key, beside all the others.
    while True:
        try:
            return tomli.loads(text, parse_float=Decimal), text
        except tomli.TOMLDecodeError as error:
            literal = _date_at(text, error.pos)
            if literal is None:
                told = error.msg[0].lower() + error.msg[1:]
                raise ConfigError(f"{file}:{error.lineno}:{error.colno}: not TOML: {told}") from error
            text = f'{text[: literal.start()]}"{literal.group()}"{text[literal.end() :]}'
        except ValueError as error:  # a whole number with thousands of digits
            raise ConfigError(f"{file}: not TOML: {str(error).split(';')[0].lower()}") from error
        except RecursionError as error:
            raise ConfigError(f"{file}: not TOML: nested too deeply") from error


def _date_at(text: str, position: int) -> re.Match[str] | None:
    for match in _DATE.finditer(text, text.rfind("\n", 0, position) + 1, position + 40):
        if match.start() <= position <= match.end() and text[match.start() - 1 : match.start()] in (
            "",
            " ",
            "\t",
            "=",
            ",",
            "[",
        ):
            return match
    return None


def override(data: dict[str, Any], path: tuple[str, ...], value: Any, lines: dict[KeyPath, int]) -> None:
    for part in path[:-1]:
        inner = data.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        data = inner
    data[path[-1]] = value
    for known in [one for one in lines if one[: len(path)] == path]:
        del lines[known]
