"""Declaring configuration keys: attrs fields with a help text, bounds and, for secrets, a reference."""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from treasury_arena.config.files import read_small
from treasury_arena.errors import ConfigError
from treasury_arena.veiled import Veiled

#: Characters of a file that holds a secret; a key or URL has some hundreds.
SECRET_MAX = 2**16
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)


def key(
    default: Any,
    help: str,
    *checks: Callable[[Any, Any, Any], Any],
    secret: bool = False,
    local: bool = False,
    later: bool = False,
) -> Any:
    """An attrs field that is a configuration key.

    Args:
        default: its default, or `attrs.NOTHING` for a key that must be given.
        help: one sentence for the reference page and the JSON schema.
        checks: attrs validators.
        secret: the value is a reference to a secret (``env:NAME`` or ``file:PATH``), read as a `Secret`.
        local: where and how a run happens, not what it computes; left out of `config_hash`.
        later: younger than its table; at its default left out of `config_hash`, so that runs begun before go on.
    """
    metadata = {"help": help, "secret": secret, "local": local, "later": later}
    return attrs.field(default=default, validator=list(checks) or None, metadata=metadata)


def section(cls: type[Any], help: str, *, local: bool = False) -> Any:
    """An attrs field that is a table of keys with defaults throughout."""
    return attrs.field(factory=cls, metadata={"help": help, "local": local})


@attrs.frozen
class Secret:
    """A secret by reference. Its text and representation show the reference, never the secret."""

    reference: str

    def __attrs_post_init__(self) -> None:
        if not _REFERENCE.fullmatch(self.reference):
            raise ValueError('expected a reference, "env:NAME" or "file:PATH", not the secret itself')

    def reveal(self) -> str:
        """Read the secret now; raises ConfigError when the variable is unset or the file unreadable."""
        return dereference(self.reference)

    def __str__(self) -> str:
        return self.reference


def is_reference(text: str) -> bool:
    """Whether a text is a reference to a secret, not the secret itself."""
    return _REFERENCE.fullmatch(text) is not None


def dereference(text: str) -> str:
    """The text that an ``env:NAME`` or ``file:PATH`` reference points to, veiled; any other text as it is."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return text
    kind, place = match.groups()
    if kind == "env":
        if place not in os.environ:
            raise ConfigError(f"{text}: the environment variable {place} is not set")
        return Veiled(os.environ[place])
    try:
        return Veiled(read_small(Path(place), SECRET_MAX, "a secret", encoding="utf-8-sig").strip())
    except ConfigError as error:
        raise ConfigError(f"{text}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text}: the file cannot be read ({type(error).__name__})") from error


def database_url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Validator: a database URL without a plain password, or a reference to one."""
    database(instance, attribute, value)
    if value and not _REFERENCE.fullmatch(value) and not urlsplit(value).scheme:
        raise ValueError(f"is {value!r}; expected a database URL, for example sqlite:///arena.db")


def database(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Validator: a database URL without a plain password, a reference to one, or the path of a SQLite file."""
    if not value or _REFERENCE.fullmatch(value):
        return
    try:
        parts = urlsplit(value)
        password = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError as error:
        raise ValueError("is not a database URL; expected for example sqlite:///arena.db") from error
    if password:
        raise ValueError(
            'holds a plain password; expected a reference to the whole URL, "env:NAME" or "file:PATH", '
            "or a URL without a password"
        )


@attrs.frozen
class KeyField:
    """One key of a settings class: its TOML name, type, default and metadata."""

    name: str
    attribute: attrs.Attribute[Any]
    hint: Any

    @property
    def help(self) -> str:
        return str(self.attribute.metadata.get("help", ""))

    @property
    def secret(self) -> bool:
        return bool(self.attribute.metadata.get("secret", False)) or Secret in alternatives(self.hint)

    @property
    def local(self) -> bool:
        return bool(self.attribute.metadata.get("local", False))

    @property
    def later(self) -> bool:
        return bool(self.attribute.metadata.get("later", False))

    @property
    def required(self) -> bool:
        return self.attribute.default is attrs.NOTHING

    @property
    def default(self) -> Any:
        """Its default, made anew where a factory makes it."""
        default: Any = self.attribute.default
        return default.factory() if hasattr(default, "takes_self") else default


def key_fields(cls: type[Any]) -> list[KeyField]:
    """The configuration keys of an attrs class, in order; fields that are not set at construction are no keys."""
    if any(isinstance(attribute.type, str) for attribute in attrs.fields(cls)):
        attrs.resolve_types(cls)
    return [
        KeyField(attribute.alias or attribute.name, attribute, attribute.metadata.get("hint", attribute.type))
        for attribute in attrs.fields(cls)
        if attribute.init and not attribute.metadata.get("internal", False)
    ]


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union without None; any other type alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(member for member in typing.get_args(hint) if member is not type(None))
    return (hint,)


def bounds(validator: Any) -> Iterator[tuple[str, Any]]:
    """The bounds that attrs validators state, as pairs such as ``(">=", 1)``, ``("in", [...])`` and ``("min_len", 1)``."""
    if validator is None:
        return
    for inner in getattr(validator, "_validators", ()):
        yield from bounds(inner)
    if hasattr(validator, "compare_op"):
        yield validator.compare_op, validator.bound
    elif hasattr(validator, "options"):
        yield "in", sorted(validator.options, key=str)
    elif hasattr(validator, "min_length"):
        yield "min_len", validator.min_length
    elif hasattr(validator, "validator"):
        yield from bounds(validator.validator)
