"""One request and one answer per connection, each one line of JSON, each bounded in size and time."""

from __future__ import annotations

import json
import socket
from typing import Any

from treasury_arena.clock import Stopwatch

LINE_MAX = 131_072
"""Bytes of a request or an answer, its newline included."""


BRACKETS_MAX = 1_000
"""Opening brackets in JSON from outside. A library of Ethereum's lifts Python's limit of recursion, and depth would kill."""


class LineError(Exception):
    """No line came: too long, too late, cut off, or no JSON object."""


def receive(connection: socket.socket, seconds: float) -> dict[str, Any]:
    """Read the one line of a connection within `seconds` in all. Raises LineError, or OSError of the socket."""
    watch, data = Stopwatch(), bytearray()
    while b"\n" not in data:
        left = seconds - watch.seconds()
        if left <= 0:
            raise LineError(f"no whole line within {seconds:g} s")
        connection.settimeout(left)
        try:
            part = connection.recv(65_536)
        except TimeoutError:
            raise LineError(f"no whole line within {seconds:g} s") from None
        if not part:
            raise LineError("the connection ended before its line did")
        data += part
        if len(data) > LINE_MAX:
            raise LineError(f"the line is longer than {LINE_MAX} bytes")
    line, rest = bytes(data).split(b"\n", 1)
    if rest:
        raise LineError("more than one line came")
    try:
        found = parse(line)
    except ValueError:
        raise LineError("the line is no JSON") from None
    if not isinstance(found, dict):
        raise LineError("the line is no JSON object")
    return found


def parse(data: bytes) -> Any:
    """JSON from outside. Raises ValueError for anything that is none, or that is nested as no message is."""
    if data.count(b"[") + data.count(b"{") > BRACKETS_MAX:
        raise ValueError("nested too deeply")
    return json.loads(data)


def send(connection: socket.socket, message: dict[str, Any], seconds: float) -> None:
    """Write one line within `seconds` in all. Raises LineError for one that is too long, or OSError of the socket."""
    line = json.dumps(message, sort_keys=True, allow_nan=False).encode() + b"\n"
    if len(line) > LINE_MAX:
        raise LineError(f"the line is longer than {LINE_MAX} bytes")
    connection.settimeout(seconds)
    connection.sendall(line)
