"""HTTP to a node on this machine: connections that are kept, each request in one piece, and nothing that only strangers need.

Proxies, passwords in files, cookies, redirects and pools by host took most of the time of such a request.
"""

from __future__ import annotations

import http.client
import io
import logging
import re
import select
import socket
from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from treasury_arena.veiled import Veiled

if TYPE_CHECKING:
    from requests import Response

_LOGGER = logging.getLogger(__name__)
#: Connections that are kept when nobody uses them.
_IDLE_MAX = 8
_RECEIVED_MAX = 65_536
#: Seconds without a request after which a connection is opened anew: nodes hang up on idle ones (anvil after 30), and one that
#: does so while a request is on its way may have heard it or not.
IDLE_SECONDS = 5.0
#: A request that is sent with this share of its time left may wait for the answer's first bytes as if nothing were spent.
_SENT_EARLY = 0.95
#: Bytes of an answer; the largest that we ask for (logs of a block, a whole block) has a few million.
ANSWER_MAX = 2**26


#: The head of a usual answer: a whole one of a length that is told, on a connection that stays.
_USUAL = re.compile(
    rb"HTTP/1\.1 (\d{3})[^\r\n]*(?:\r\n(?!connection:|transfer-encoding:|content-length:)[^\r\n]+)*"
    rb"\r\ncontent-length: ?(\d{1,9})"
    rb"(?:\r\n(?!connection:|transfer-encoding:|content-length:)[^\r\n]+)*\r\n\r\n",
    re.IGNORECASE,
)


class DirectConnection:
    """A connection to an ``http`` address, opened when it is first used. One thread at a time; `close` it at the end."""

    def __init__(self, host: str, port: int) -> None:
        self._address, self._name = (host, port), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._socket: socket.socket | None = None
        self._used = 0.0
        self._heard = select.poll()

    def post(
        self, path: str, body: bytes, timeout_seconds: float, headers: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Status and content of the answer. Raises OSError and HTTPException, after which the connection is opened anew.

        The whole answer must come within the timeout, and be of `ANSWER_MAX` bytes at most.

        A node that hung up since the last answer is noticed before anything is sent; later it is an error, for the request may
        have arrived.
        """
        try:
            until = monotonic() + timeout_seconds
            connected = self._connected(timeout_seconds)
            connected.sendall(self._request(path, body, headers or {"Content-Type": "application/json"}))
            if until - monotonic() < _SENT_EARLY * timeout_seconds:  # connecting or sending took long
                _wait_until(connected, until)
            begun = connected.recv(_RECEIVED_MAX)
            self._used = monotonic()
            usual = _USUAL.match(begun)
            return self._unusual(connected, begun, until) if usual is None else self._usual(connected, usual, until)
        except BaseException:
            self.close()
            raise

    def _request(self, path: str, body: bytes, headers: Mapping[str, Any]) -> bytes:
        # A node's key may be in the path: no part of the request is ever held in a local variable.
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self._name}\r\nContent-Length: {len(body)}\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            + "\r\n"
        ).encode("latin-1") + body

    def close(self) -> None:
        """Hang up; harmless when it was done before."""
        if self._socket is not None:
            self._heard.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()

    def _connected(self, timeout_seconds: float) -> socket.socket:
        # Nothing is due: what is heard is the end, or something that nobody asked for.
        if self._socket is not None and (monotonic() - self._used > IDLE_SECONDS or self._heard.poll(0)):
            self.close()
        if self._socket is None:
            try:
                found = socket.create_connection(self._address, timeout_seconds)
            except TimeoutError as error:
                raise ConnectionError("no connection in time") from error
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._heard.register(found, select.POLLIN)
            self._socket = found
        if self._socket.gettimeout() != timeout_seconds:
            self._socket.settimeout(timeout_seconds)
        return self._socket

    def _usual(self, connected: socket.socket, head: re.Match[bytes], until: float) -> tuple[int, bytes]:
        """Most of a request's time would be spent on reading its answer's head in a general way."""
        status, length = (int(number) for number in head.groups())
        _check_length(length)
        pieces, missing = [head.string[head.end() :]], length - (len(head.string) - head.end())
        while missing > 0:
            _wait_until(connected, until)
            piece = connected.recv(min(missing, _RECEIVED_MAX))
            if not piece:
                raise http.client.IncompleteRead(b"".join(pieces), missing)
            pieces.append(piece)
            missing -= len(piece)
        if missing < 0:  # more than was asked for, which must not be taken for the next answer
            self.close()
        return status, b"".join(pieces)[:length]

    def _unusual(self, connected: socket.socket, begun: bytes, until: float) -> tuple[int, bytes]:
        response = http.client.HTTPResponse(cast(socket.socket, _Resumed(connected, begun, until)), method="POST")
        try:
            response.begin()
            _check_length(response.length or 0)
            return response.status, response.read()
        finally:
            response.close()
            self.close()


def _check_length(length: int) -> None:
    if length > ANSWER_MAX:
        raise http.client.HTTPException(f"an answer of {length} bytes or more; at most {ANSWER_MAX} are read")


def _wait_until(connected: socket.socket, until: float) -> None:
    """Wait for the next piece no longer than that; TimeoutError when it is past."""
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("the answer did not come whole in time")
    connected.settimeout(left)


class _Resumed(io.RawIOBase):
    """A socket of which something was read already."""

    def __init__(self, connected: socket.socket, begun: bytes, until: float) -> None:
        super().__init__()
        self._connected, self._begun, self._until, self._read = connected, begun, until, len(begun)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._begun:
            _wait_until(self._connected, self._until)
            count = self._connected.recv_into(buffer)
            self._read += count
            _check_length(self._read)
            return count
        some, self._begun = self._begun[: len(buffer)], self._begun[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


class _Answered:
    """As much of requests' response as web3.py's provider looks at; a whole one takes longer than the answer's way here."""

    def __init__(self, status_code: int, content: bytes) -> None:
        self.status_code, self.content = status_code, content

    def raise_for_status(self) -> None:
        """Raise requests' HTTPError for a status that is an error."""
        if self.status_code >= 400:
            from requests import HTTPError

            raise HTTPError(f"HTTP status {self.status_code}", response=cast(Any, self))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open: the content is here."""


@cache
def direct_session_class() -> type[Any]:
    """A session of requests, as web3.py's provider wants one, whose ``post`` goes directly to one node. Imported when needed."""
    from requests import ConnectionError as Unconnected
    from requests import ReadTimeout, Session
    from requests.exceptions import ChunkedEncodingError

    class DirectSession(Session):
        def __init__(self, url: str) -> None:
            super().__init__()
            self._address = str(urlsplit(url).hostname), urlsplit(url).port or 80
            path, query = map(Veiled, attrgetter("path", "query")(urlsplit(url)))
            self._path = Veiled((path or "/") + (f"?{query}" if query else ""))
            self._idle: list[DirectConnection] = []

        def post(self, url: Any, data: Any = None, json: Any = None, **keys: Any) -> Response:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = DirectConnection(*self._address)
            try:
                status, content = connection.post(self._path, data, keys["timeout"], keys["headers"])
            except TimeoutError as error:
                raise ReadTimeout(error) from error
            except http.client.IncompleteRead as error:
                raise ChunkedEncodingError(error) from error
            except (OSError, http.client.HTTPException) as error:
                raise Unconnected(error) from error
            _LOGGER.debug('"POST %s" %s', self._path, status)
            if len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
            return cast("Response", _Answered(status, content))

        def close(self) -> None:
            super().close()
            while self._idle:
                self._idle.pop().close()

    return DirectSession
