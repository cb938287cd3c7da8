"""Line numbers of the keys of a TOML text, which `tomli` does not keep.

The text must already have been accepted by `tomli`: the scanner only finds where things are and checks nothing.
"""

from __future__ import annotations

import bisect
import re

import tomli

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}\s#]+(?: \d\d:[^,\]}\s#]+)?")  # a date and its time may be separated by a space
_STRINGS = (
    re.compile(r'"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})'),
    re.compile(r"'''[\s\S]*?'''(?:'{0,2})"),
    re.compile(r'"(?:\\.|[^"\\])*"'),
    re.compile(r"'[^']*'"),
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Map every key path to the line (from 1) of its first mention; items of arrays are whole numbers in the path."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._items: dict[KeyPath, int] = {}  # array of tables -> index of its last table

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self._next("[["):
                table = self._header(array=True)
            elif self._next("["):
                table = self._header(array=False)
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self, *, array: bool) -> KeyPath:
        line = self._line()
        parts = self._key()
        self.at += 2 if array else 1
        path: KeyPath = ()
        for count, part in enumerate(parts, start=1):
            path = (*path, part)
            self.lines.setdefault(path, line)
            if array and count == len(parts):
                self._items[path] = self._items.get(path, -1) + 1
            if path in self._items:
                path = (*path, self._items[path])
                self.lines.setdefault(path, line)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._next("=")
        self._skip(_SPACES)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._next("["):
            self._array(path)
        elif self._next("{"):
            self._inline_table(path)
        elif self.text[self.at] in "\"'":
            self._string()
        else:
            self._skip(_BARE_VALUE)

    def _array(self, path: KeyPath) -> None:
        index = 0
        self._skip(_BLANK)
        while not self._next("]"):
            self.lines.setdefault((*path, index), self._line())
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            self._next(",")
            self._skip(_BLANK)

    def _inline_table(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        while not self._next("}"):
            self._pair(path)
            self._skip(_BLANK)
            self._next(",")
            self._skip(_BLANK)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_SPACES)
            if self.text[self.at] in "\"'":
                parts.append(str(tomli.loads(f"key = {self._string()}")["key"]))
            else:
                parts.append(self._skip(_BARE_KEY))
            self._skip(_SPACES)
            if not self._next("."):
                return parts

    def _string(self) -> str:
        for pattern in _STRINGS:
            if pattern.match(self.text, self.at):
                return self._skip(pattern)
        raise ValueError(f"line {self._line()}: a string without an end")

    def _next(self, token: str) -> bool:
        found = self.text.startswith(token, self.at)
        if found:
            self.at += len(token)
        return found

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"line {self._line()}: unexpected text")
        self.at = match.end()
        return match.group()

    def _line(self) -> int:
        return bisect.bisect_left(self._newlines, self.at) + 1
