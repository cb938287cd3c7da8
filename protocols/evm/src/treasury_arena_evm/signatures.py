"""Reads human-readable contract signatures; `abi` makes interfaces of them."""

from __future__ import annotations

import re
from typing import Any

import attrs

from treasury_arena_evm.errors import AbiError

_TOKEN = re.compile(r"\s*([A-Za-z_$][\w$]*|\d+|[()\[\]{},;])")
_ELEMENTARY = re.compile(r"address|bool|string|bytes(?:[1-9]|[12]\d|3[0-2])?|u?int(\d+)")
_LOCATIONS = {"memory", "calldata", "storage"}
_MUTABILITIES = {"view", "pure", "payable", "nonpayable"}
_KINDS = ("function", "event", "error", "constructor", "struct")
_STARTS = ("function ", "event ", "error ", "constructor", "struct ")


@attrs.frozen
class Parameter:
    """A named value of a type; a tuple has `components`, and `suffix` holds the brackets of arrays."""

    name: str
    base: str
    suffix: str = ""
    components: tuple[Parameter, ...] = ()
    indexed: bool = False

    @property
    def canonical(self) -> str:
        """The type as signatures are hashed and arguments encoded: tuples in parentheses."""
        if self.components:
            return f"({','.join(item.canonical for item in self.components)}){self.suffix}"
        return self.base + self.suffix

    @property
    def dynamic(self) -> bool:
        """Whether an indexed value of this type is logged as its hash."""
        return bool(self.suffix or self.components) or self.base in ("string", "bytes")

    def json(self, event: bool) -> dict[str, Any]:
        """The parameter as the contract ABI's JSON has it."""
        fields: dict[str, Any] = {"name": self.name, "type": ("tuple" if self.components else self.base) + self.suffix}
        if self.components:
            fields["components"] = [item.json(False) for item in self.components]
        if event:
            fields["indexed"] = self.indexed
        return fields


@attrs.frozen
class Signature:
    """One parsed line."""

    kind: str
    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...] = ()
    mutability: str = "nonpayable"


def parse(text: str) -> tuple[Signature, ...]:
    """All signatures of a text in order; structs are resolved, so each must be declared above its use. Raises AbiError."""
    structs: dict[str, tuple[Parameter, ...]] = {}
    found = []
    for statement in _statements(text):
        reader = _Reader(statement, structs)
        signature = reader.signature()
        if signature.kind == "struct":
            structs[signature.name] = signature.inputs
        else:
            found.append(signature)
    return tuple(found)


def _statements(text: str) -> list[str]:
    """A statement begins where a line begins with its kind, and ends before the next."""
    statements: list[str] = []
    for line in text.splitlines():
        content = line.split("//")[0].strip()
        if content.startswith(_STARTS) or (content and not statements):
            statements.append(content)
        elif content:
            statements[-1] += f" {content}"
    return statements


class _Reader:
    def __init__(self, text: str, structs: dict[str, tuple[Parameter, ...]]) -> None:
        self._text, self._structs, self._at = text, structs, 0
        self._tokens: list[str] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise AbiError(f"signature {text!r}: unexpected {text[position:].strip()[0]!r}")
            self._tokens.append(match.group(1))
            position = match.end()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        token = self._peek()
        if not token or (expected and token != expected):
            raise AbiError(
                f"signature {self._text!r}: expected {repr(expected) if expected else 'more'}, "
                f"found {repr(token) if token else 'the end'}"
            )
        self._at += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _word(self, what: str) -> str:
        token = self._take()
        if not re.match(r"[A-Za-z_$]", token):
            raise AbiError(f"signature {self._text!r}: expected {what}, found {token!r}")
        return token

    def signature(self) -> Signature:
        kind = self._take()
        if kind not in _KINDS:
            raise AbiError(f"signature {self._text!r} begins with {kind!r}; expected one of {', '.join(_KINDS)}")
        name = "" if kind == "constructor" else self._word("a name")
        inputs = self._fields() if kind == "struct" else self._parameters(kind == "event")
        outputs: tuple[Parameter, ...] = ()
        mutability = "nonpayable"
        while self._at < len(self._tokens):
            token = self._take()
            if token in _MUTABILITIES and kind in ("function", "constructor"):
                mutability = token
            elif token == "returns" and kind == "function":
                outputs = self._parameters(False)
            elif token not in ("external", "public", ";"):
                raise AbiError(f"signature {self._text!r}: unexpected {token!r}")
        return Signature(kind, name, inputs, outputs, mutability)

    def _fields(self) -> tuple[Parameter, ...]:
        self._take("{")
        fields = []
        while not self._accept("}"):
            fields.append(self._parameter(False))
            self._take(";")
        if not fields:
            raise AbiError(f"signature {self._text!r}: a struct needs a field")
        return tuple(fields)

    def _parameters(self, event: bool) -> tuple[Parameter, ...]:
        self._take("(")
        if self._accept(")"):
            return ()
        found = [self._parameter(event)]
        while self._accept(","):
            found.append(self._parameter(event))
        self._take(")")
        return tuple(found)

    def _parameter(self, event: bool) -> Parameter:
        components: tuple[Parameter, ...] = ()
        base = "tuple"
        if self._peek() == "(":
            components = self._parameters(False)
        else:
            base = self._word("a type")
            if base in self._structs:
                components, base = self._structs[base], "tuple"
            else:
                self._check(base)
        suffix = ""
        while self._accept("["):
            size = "" if self._peek() == "]" else self._take()
            self._take("]")
            suffix += f"[{size}]"
        indexed, name = False, ""
        while re.match(r"[A-Za-z_$]", self._peek()):
            word = self._take()
            if word == "indexed" and event:
                indexed = True
            elif word not in _LOCATIONS:
                name = word
                break
        return Parameter(name, base, suffix, components, indexed)

    def _check(self, base: str) -> None:
        match = _ELEMENTARY.fullmatch(base)
        bits = int(match.group(1) or 8) if match else 0
        if not bits or bits % 8 or bits > 256:
            hint = f"; write {base}256" if base in ("uint", "int") else ""
            raise AbiError(f"signature {self._text!r}: {base!r} is no type and no struct declared above{hint}")
