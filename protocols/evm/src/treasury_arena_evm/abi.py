"""Contract interfaces from human-readable signatures, so that no ABI of a third party needs to be shipped.

>>> erc20 = Interface('''
...     function transfer(address to, uint256 amount) returns (bool)
...     event Transfer(address indexed from, address indexed to, uint256 amount)
... ''')
>>> erc20.function("transfer").selector.hex()
'a9059cbb'

One signature a line (a `struct` may span several). Understood: `function`, `event`, `error`, `constructor`, `struct`; types by
their canonical names (`uint256`, never `uint`), arrays, tuples in parentheses, names of structs; `view`, `pure`, `payable`,
`returns (...)`, `indexed`. Format of the entries: the Solidity contract ABI specification's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal, cast

import attrs

from treasury_arena.errors import nearest
from treasury_arena_evm.addresses import keccak
from treasury_arena_evm.errors import AbiError
from treasury_arena_evm.signatures import Parameter, Signature, parse

Kind = Literal["function", "event", "error", "constructor"]


@attrs.frozen
class Entry:
    """One function, event, error or constructor."""

    kind: Kind
    name: str
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    mutability: str = "nonpayable"

    @cached_property
    def signature(self) -> str:
        """Name and canonical types: ``transfer(address,uint256)``."""
        return f"{self.name}({','.join(parameter.canonical for parameter in self.inputs)})"

    @cached_property
    def selector(self) -> bytes:
        """First four bytes of keccak256(signature)."""
        return self.topic[:4]

    @cached_property
    def topic(self) -> bytes:
        """keccak256(signature): an event's first topic."""
        return keccak(self.signature.encode())

    @property
    def json(self) -> dict[str, Any]:
        """The entry as the contract ABI's JSON has it."""
        fields: dict[str, Any] = {
            "type": self.kind,
            "inputs": [item.json(self.kind == "event") for item in self.inputs],
        }
        if self.kind != "constructor":
            fields["name"] = self.name
        if self.kind == "function":
            fields["outputs"] = [item.json(False) for item in self.outputs]
        if self.kind in ("function", "constructor"):
            fields["stateMutability"] = self.mutability
        if self.kind == "event":
            fields["anonymous"] = False
        return fields

    def encode(self, *arguments: Any) -> bytes:
        """Call data: the selector (none for a constructor) and the encoded arguments; AbiError when they do not fit."""
        from eth_abi.exceptions import EncodingError

        if len(arguments) != len(self.inputs):
            raise AbiError(f"{self.signature} takes {len(self.inputs)} arguments, not {len(arguments)}")
        try:
            data = _encoded(self._taken, arguments)
        except (EncodingError, TypeError) as error:
            raise AbiError(f"{self.signature} cannot take {arguments!r}: {error}") from error
        return data if self.kind == "constructor" else self.selector + data

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """The outputs in returned data; AbiError when they are not there (no contract at the address, another interface)."""
        return self._decoded(self._returned, data, "returned")

    def decode_arguments(self, data: bytes) -> tuple[Any, ...]:
        """The arguments in call data (or an error's data) that begins with the selector."""
        if data[:4] != self.selector:
            raise AbiError(f"0x{data[:4].hex()} is not the selector of {self.signature}")
        return self._decoded(self._taken, data[4:], "was given")

    def decode_log(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """An event's values by name; a dynamic indexed value is its hash. AbiError when the log is of another event."""
        indexed = [item for item in self.inputs if item.indexed]
        if not topics or bytes(topics[0]) != self.topic or len(topics) != len(indexed) + 1:
            raise AbiError(f"the log is no {self.signature}")
        values: dict[str, Any] = {}
        for parameter, topic in zip(indexed, topics[1:], strict=True):
            values[parameter.name] = (
                bytes(topic) if parameter.dynamic else self._decoded((parameter.canonical,), bytes(topic), "logged")[0]
            )
        plain = tuple(item for item in self.inputs if not item.indexed)
        values.update(zip((item.name for item in plain), self._decoded(_kinds(plain), data, "logged"), strict=True))
        return {item.name: values[item.name] for item in self.inputs}

    @cached_property
    def _taken(self) -> tuple[str, ...]:
        return _kinds(self.inputs)

    @cached_property
    def _returned(self) -> tuple[str, ...]:
        return _kinds(self.outputs)

    def _decoded(self, kinds: Sequence[str], data: bytes, verb: str) -> tuple[Any, ...]:
        from eth_abi.exceptions import DecodingError

        try:
            return _values(tuple(kinds), bytes(data))
        except (DecodingError, OverflowError) as error:
            raise AbiError(f"{self.signature} {verb} {len(data)} bytes that are not ({', '.join(kinds)})") from error


#: Coding takes longer than a node on this machine takes to answer, and most reads ask what was asked before.
CODED_MAX = 4096
#: Bytes above which data is not kept.
KEPT_BYTES_MAX = 2048


def _encoded(kinds: tuple[str, ...], arguments: tuple[Any, ...]) -> bytes:
    from eth_abi.abi import encode

    # Only of kinds whose equals are the same, and none that is long.
    if all(type(one) is int or (type(one) is str and len(one) <= KEPT_BYTES_MAX) for one in arguments):
        return _encoded_once(kinds, arguments)
    return encode(kinds, arguments)


@lru_cache(maxsize=CODED_MAX)
def _encoded_once(kinds: tuple[str, ...], arguments: tuple[int | str, ...]) -> bytes:
    from eth_abi.abi import encode

    return encode(kinds, arguments)


def _values(kinds: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    return _values_once(kinds, data) if len(data) <= KEPT_BYTES_MAX else _values_once.__wrapped__(kinds, data)


@lru_cache(maxsize=CODED_MAX)
def _values_once(kinds: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    from eth_abi.abi import decode

    return tuple(decode(kinds, data))


def _kinds(parameters: Sequence[Parameter]) -> tuple[str, ...]:
    return tuple(item.canonical for item in parameters)


Read = tuple[str, Entry, Sequence[Any]]
"""A contract's address, one of its functions, and its arguments."""


class Interface:
    """The functions, events and errors of a contract, by name; an overloaded name is asked for by its whole signature."""

    def __init__(self, text: str, *bases: Interface) -> None:
        self._entries: tuple[Entry, ...] = tuple(entry for base in bases for entry in base)
        own = tuple(
            Entry(cast(Kind, item.kind), item.name, item.inputs, item.outputs, item.mutability) for item in parse(text)
        )
        seen = {(entry.kind, entry.signature) for entry in own}
        self._entries = tuple(item for item in self._entries if (item.kind, item.signature) not in seen) + own
        self._named: dict[tuple[Kind, str], list[Entry]] = {}
        for entry in self._entries:
            for name in {entry.name, entry.signature}:
                self._named.setdefault((entry.kind, name), []).append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def abi(self) -> list[dict[str, Any]]:
        """The interface as web3.py takes it."""
        return [entry.json for entry in self._entries]

    def function(self, name: str) -> Entry:
        """The function of that name or whole signature; AbiError with the nearest name when there is none or more than one."""
        return self._one("function", name)

    def event(self, name: str) -> Entry:
        """The event of that name or whole signature."""
        return self._one("event", name)

    @property
    def constructor(self) -> Entry:
        """The constructor; one without arguments when none was declared."""
        return next((entry for entry in self._entries if entry.kind == "constructor"), Entry("constructor", ""))

    def error(self, data: bytes) -> str | None:
        """A declared custom error in revert data as text, ``Name(values)``, or None."""
        for entry in self._entries:
            if entry.kind == "error" and data[:4] == entry.selector:
                return f"{entry.name}({', '.join(str(value) for value in entry.decode_arguments(data))})"
        return None

    def _one(self, kind: Kind, name: str) -> Entry:
        found = self._named.get((kind, name), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise AbiError(
                f"{kind} {name!r} is overloaded; ask for one of {', '.join(item.signature for item in found)}"
            )
        names = {entry.name for entry in self._entries if entry.kind == kind}
        raise AbiError(f"the interface has no {kind} {name!r}; {nearest(name, names)}")


__all__ = ["Entry", "Interface", "Parameter", "Signature"]
