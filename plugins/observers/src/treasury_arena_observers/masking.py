"""Takes secrets out of whatever is written or told."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from treasury_arena.errors import ConfigError

MASKED = "***"
_PART_MIN = 4
_VARIABLE_MIN = 8
_NUMBER_MIN = 10  # shorter ones are ports, and would be found in amounts
_BETWEEN = r"[/?&=:@#,;\s]+"
_NAME = r"passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|authorization|mnemonic|credential"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_URL = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]*)://[^\s\"'<>\\]+")
_HEADER = re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE)
_PAIR = re.compile(rf"([\w-]*(?:{_NAME})[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+", re.IGNORECASE)
#: Fields of events that are nobody's business: whoever has signed bytes can send them.
_FIELDS = frozenset({"signed"})


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """What finds the secrets and each telling part of them."""
    known = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _VARIABLE_MIN}
    parts: set[str] = set()
    for secret in secrets:
        _, _, rest = secret.rpartition("://")
        known |= {secret, rest, unquote(rest)}
        parts |= {*re.split(_BETWEEN, rest), *re.split(_BETWEEN, unquote(rest))}
    parts = {part for part in parts if len(part) >= _PART_MIN and not (part.isdigit() and len(part) < _NUMBER_MIN)}
    known |= {part for part in parts if len(part) >= _VARIABLE_MIN}
    longest = sorted((one for one in known if len(one) >= _PART_MIN), key=lambda one: (-len(one), one))
    patterns = [
        *map(re.escape, longest),
        # A short part is one only where it stands alone: it may be in any word.
        *(rf"(?<!\w){re.escape(part)}(?!\w)" for part in sorted(parts - known)),
    ]
    return re.compile("|".join(patterns)) if patterns else None


class Mask:
    """Replaces secrets by ``***``: the given ones and each telling part of them, what secret-looking environment variables hold,
    everything behind the scheme of a URL, and values after names such as ``password``.

    Its representation shows none of them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        try:
            self._known = _pattern(secrets)
        except Exception as error:  # told without its frames, which hold what is to be hidden
            raise ConfigError(f"what is to be masked cannot be read ({type(error).__name__})") from None

    def __repr__(self) -> str:
        return "Mask()"

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASKED, text)
        text = _URL.sub(rf"\1://{MASKED}", text)
        text = _HEADER.sub(rf"\1 {MASKED}", text)
        return _PAIR.sub(rf"\1{MASKED}", text)

    def value(self, value: Any, name: str = "") -> Any:
        """JSON-ready data without secrets; `name` is the key it stands under. Only texts can be secret."""
        if isinstance(value, str):
            return MASKED if value and (name in _FIELDS or _SECRET_NAME.search(name)) else self(value)
        if isinstance(value, Mapping):
            return {self(str(inner)): self.value(item, str(inner)) for inner, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        return value


class MaskedRecords(logging.Filter):
    """Takes secrets out of what libraries log, tracebacks included."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place; every record passes."""
        text = self._mask(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({record.exc_info[0].__name__})"
        record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = text, None, None, None, None
        return True
