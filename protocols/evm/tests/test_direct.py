"""Requests to a node on this machine over a kept connection, whatever the node's answers look like."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, IncompleteRead
from time import monotonic, sleep

import pytest

from treasury_arena_evm.direct import DirectConnection
from treasury_arena_evm.transport import LostError, Transport

USUAL = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@contextmanager
def served(answer: Callable[[int, socket.socket], None]) -> Iterator[tuple[int, list[bytes], list[int]]]:
    """A server that reads each request whole and lets `answer` (number of the request, connection) reply; its port, what it
    was sent, and the number of the connection of each.
    """
    sent: list[bytes] = []
    connections: list[int] = []
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                for number in range(100):
                    caller, _ = listener.accept()
                    callers.append(caller)
                    with caller, suppress(OSError):
                        while request := caller.recv(65536):
                            sent.append(request)
                            connections.append(number)
                            answer(len(sent) - 1, caller)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], sent, connections
        finally:
            for one in (listener, *callers):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            thread.join()


def in_pieces(*pieces: bytes) -> Callable[[int, socket.socket], None]:
    def answer(_: int, caller: socket.socket) -> None:
        for piece in pieces:
            caller.sendall(piece)

    return answer


@pytest.fixture
def direct() -> Iterator[Callable[[int], DirectConnection]]:
    made: list[DirectConnection] = []

    def make(port: int) -> DirectConnection:
        made.append(DirectConnection("127.0.0.1", port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_connection_is_kept_and_a_request_is_one_piece(direct):
    with served(in_pieces(USUAL)) as (port, sent, connections):
        one = direct(port)
        assert [one.post("/x?y", b"[1]", 5.0, {"Mark": "a b"}) for _ in range(3)] == [(200, b"{}")] * 3
        one.close()
    request = f"POST /x?y HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 3\r\nMark: a b\r\n\r\n[1]".encode()
    assert (sent, connections) == ([request] * 3, [0, 0, 0])


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), (200, b"abc")),
        ((b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n",), (429, b"")),
        ((b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:4\r\nx: y\r\n\r\nab", b"cd"), (200, b"abcd")),
        ((b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",), (200, b"abc")),
        ((b"HTTP/1.0 503 No\r\nContent-Length: 3\r\n\r\nabc",), (503, b"abc")),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",), (200, b"a")),
        ((b"HTTP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 5\r\n\r\nabc", b"de"), (200, b"abcde")),
    ],
)
def test_every_form_of_an_answer(direct, pieces, expected):
    with served(in_pieces(*pieces)) as (port, _, _):
        one = direct(port)
        assert [one.post("/", b"{}", 5.0) for _ in range(2)] == [expected] * 2
        one.close()


def test_a_node_that_hung_up_meanwhile_is_noticed_before_anything_is_sent(direct):
    hung_up = threading.Semaphore(0)

    def answer(_: int, caller: socket.socket) -> None:
        caller.sendall(USUAL)
        caller.shutdown(socket.SHUT_RDWR)
        hung_up.release()

    with served(answer) as (port, _, connections):
        one = direct(port)
        for _ in range(3):
            assert one.post("/", b"{}", 5.0) == (200, b"{}")
            assert hung_up.acquire(timeout=5.0)
        one.close()
    assert connections == [0, 1, 2]


def test_a_connection_that_was_idle_for_long_is_not_trusted(direct, monkeypatch):
    monkeypatch.setattr("treasury_arena_evm.direct.IDLE_SECONDS", 0.2)
    with served(in_pieces(USUAL)) as (port, sent, connections):
        connection = direct(port)
        connection.post("/", b"a", 5.0)
        connection.post("/", b"b", 5.0)
        sleep(0.3)
        connection.post("/", b"c", 5.0)
        assert len(sent) == 3
        assert connections[2] > connections[1]


def test_what_nobody_asked_for_is_not_taken_for_an_answer(direct):
    with served(in_pieces(USUAL + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")) as (port, _, _):
        one = direct(port)
        assert [one.post("/", b"{}", 5.0) for _ in range(3)] == [(200, b"{}")] * 3
        one.close()


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ((USUAL[:-1],), IncompleteRead),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na",), IncompleteRead),
        ((b"nonsense\r\n\r\n",), HTTPException),
        ((), ConnectionError),
    ],
)
def test_half_an_answer_is_an_error_and_the_next_request_opens_a_connection(direct, pieces, error):
    def answer(number: int, caller: socket.socket) -> None:
        for piece in pieces if not number else (USUAL,):
            caller.sendall(piece)
        caller.shutdown(socket.SHUT_RDWR)

    with served(answer) as (port, sent, _):
        one = direct(port)
        with pytest.raises(error):
            one.post("/", b"{}", 5.0)
        assert len(sent) == 1  # it may have arrived, so it is not sent again
        assert one.post("/", b"{}", 5.0) == (200, b"{}")
        one.close()


def test_an_answer_that_comes_too_late_is_not_the_next_requests(direct):
    late = threading.Event()

    def answer(number: int, caller: socket.socket) -> None:
        if not number:
            late.wait(5.0)
        caller.sendall(USUAL.replace(b"{}", b"%d" % (number + 10)))

    with served(answer) as (port, _, _):
        one = direct(port)
        with pytest.raises(TimeoutError):
            one.post("/", b"{}", 0.05)
        late.set()
        assert one.post("/", b"{}", 5.0) == (200, b"11")
        one.close()


@pytest.mark.parametrize("head", [b"content-length: 400", b"connection: close\r\ncontent-length: 400"])
def test_an_answer_that_drips_is_late_as_a_whole(direct, head):
    gone = threading.Event()

    def answer(_: int, caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        while not gone.wait(0.02):
            caller.sendall(b" ")

    with served(answer) as (port, _, _):
        one = direct(port)
        begun = monotonic()
        with pytest.raises(TimeoutError):
            one.post("/", b"{}", 0.2)
        assert monotonic() - begun < 2.0  # each piece by itself comes in time, the 400th after 8 s
        gone.set()


def test_what_sending_took_is_not_there_for_the_answer(direct):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = threading.Event()

        def read_late() -> None:
            caller, _ = listener.accept()
            with caller:
                sleep(0.8)
                while not gone.is_set() and caller.recv(2**20):
                    pass

        thread = threading.Thread(target=read_late)
        thread.start()
        one = direct(listener.getsockname()[1])
        begun = monotonic()
        with pytest.raises(TimeoutError):
            one.post("/", b" " * 2**24, 1.0)
        assert monotonic() - begun < 1.6  # the answer's first bytes had the whole second once more
        gone.set()
        thread.join()


@pytest.mark.parametrize(
    "head", [b"content-length: 101", b"connection: close\r\ncontent-length: 101", b"transfer-encoding: chunked"]
)
def test_an_answer_that_is_too_long_is_none(direct, head, monkeypatch):
    monkeypatch.setattr("treasury_arena_evm.direct.ANSWER_MAX", 100)

    def answer(_: int, caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        sleep(0.02)
        caller.sendall(b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n")

    with served(answer) as (port, _, _), pytest.raises(HTTPException, match="at most 100 are read"):
        direct(port).post("/", b"{}", 5.0)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((USUAL[:-1],), "does not answer (ChunkedEncodingError)"),
        ((), "does not answer (ConnectionError)"),
        ((b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",), "answered with HTTP status 500"),
    ],
)
def test_what_a_session_says_of_it(pieces, said):
    def answer(_: int, caller: socket.socket) -> None:
        for piece in pieces:
            caller.sendall(piece)
        caller.shutdown(socket.SHUT_RDWR)

    with served(answer) as (port, _, _), pytest.raises(LostError) as caught:
        Transport(f"http://127.0.0.1:{port}", 5.0, retries=False).request("eth_chainId")
    assert said in str(caught.value)


def test_a_node_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LostError, match=r"does not answer \(ConnectionError\)"):
        Transport(f"http://127.0.0.1:{port}", 5.0, retries=False).request("eth_chainId")
