"""A node that misbehaves: a proxy before a real one that delays, hangs up, halves, refuses, mixes up, lags, doubles and lies.

>>> with FaultyProxy(chain.url, seeded(0.2, seed=1)) as proxy:                    # doctest: +SKIP
...     client = live_client(market, account, {"bad": proxy.url})
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Collection
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from treasury_arena.randomness import stream
from treasury_arena_evm.direct import DirectConnection

#: How far back a stale node is.
STALE_BLOCKS = 4
FORWARD_SECONDS_MAX = 30.0
#: How often it looks whether it shall stop.
_STOP_SECONDS = 0.02
_SEND, _RECEIPT, _CHAIN = "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_chainId"
_AT_LATEST = (
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getBalance",
    "eth_call",
    "eth_blockNumber",
    _RECEIPT,
)


class Fault(StrEnum):
    """What goes wrong with one request."""

    DELAY = "the answer comes late"
    RESET = "the connection is reset before the node hears of it"
    HALF = "half an answer comes"
    BUSY = "HTTP 429"
    BROKEN = "HTTP 503"
    WRONG_ID = "the answer carries another request's number"
    STALE_HEAD = "the node is some blocks behind"
    WRONG_CHAIN = "the node says that it serves another chain"
    DUPLICATE = "a transaction is passed on twice"
    LOST = "the request is carried out, and its answer lost"
    LYING_RECEIPT = "a receipt says something else than the chain"


#: Faults that only some requests can have.
_ONLY = {
    Fault.STALE_HEAD: _AT_LATEST,
    Fault.WRONG_CHAIN: (_CHAIN,),
    Fault.DUPLICATE: (_SEND,),
    Fault.LYING_RECEIPT: (_RECEIPT,),
}

Choose = Callable[[str, int], Fault | None]
"""(method, number of the request) -> what goes wrong with it. A fault that the request cannot have is none."""


def possible(fault: Fault, method: str) -> bool:
    """Whether a request of a method can have a fault."""
    return method in _ONLY.get(fault, (method,))


def seeded(rate: float, seed: int, faults: Collection[Fault] = tuple(Fault)) -> Choose:
    """One fault, drawn from those that the request can have, in a share `rate` of the requests; the same for the same seed."""
    draw, lock, listed = stream(seed, 0, "faults of a node"), threading.Lock(), tuple(faults)

    def choose(method: str, _: int) -> Fault | None:
        usable = [fault for fault in listed if possible(fault, method)]
        with lock:
            hit, which = draw.random() < rate, int(draw.integers(0, max(1, len(usable))))
        return usable[which] if hit and usable else None

    return choose


class FaultyProxy:
    """Stands before a node on a free port of the loopback. Use as a context manager.

    Args:
        target: the node's address.
        choose: says what goes wrong; may be replaced at any time, None for nothing.
        delay_seconds: how late a late answer is.

    Attributes:
        done: how often each fault happened.
    """

    def __init__(self, target: str, choose: Choose | None = None, *, delay_seconds: float = 0.05) -> None:
        self.choose, self.delay_seconds = choose, delay_seconds
        self.done: Counter[Fault] = Counter()
        self._count, self._lock = 0, threading.Lock()
        self._host, self._port = str(urlsplit(target).hostname), urlsplit(target).port or 80
        self._idle: list[DirectConnection] = []
        self._callers: set[socket.socket] = set()
        self._first = int(self._node("eth_blockNumber", [])["result"], 16)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as nodes keep them
            disable_nagle_algorithm = True
            wbufsize = -1  # an answer leaves in one piece

            def setup(self) -> None:
                super().setup()
                with proxy._lock:
                    proxy._callers.add(self.connection)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the caller is gone
                    super().handle()

            def finish(self) -> None:
                with proxy._lock:
                    proxy._callers.discard(self.connection)
                with contextlib.suppress(ConnectionError):  # what it did not wait for
                    super().finish()

            def do_POST(self) -> None:
                proxy._serve(self)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_SECONDS,), name="faulty-proxy", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Hang up for good; nobody is there any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for caller in self._callers:
                with contextlib.suppress(OSError):  # it hung up first
                    caller.shutdown(socket.SHUT_RDWR)
            while self._idle:
                self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- one request

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        calls = asked if isinstance(asked, list) else [asked]
        method = str(calls[0]["method"])
        with self._lock:
            count, self._count = self._count, self._count + 1
        fault = self.choose(method, count) if self.choose is not None else None
        if fault is not None and not possible(fault, method):
            fault = None
        if fault is not None:
            with self._lock:
                self.done[fault] += 1
        if fault is Fault.RESET:
            return _hang_up(handler)
        if fault in (Fault.BUSY, Fault.BROKEN):
            return _answer(handler, b"", 429 if fault is Fault.BUSY else 503)
        shift = 1 if fault is Fault.WRONG_ID else 0
        answers = [
            {**self._forward(fault, str(call["method"]), list(call["params"]), count), "id": call["id"] + shift}
            for call in calls
        ]
        body = json.dumps(answers if isinstance(asked, list) else answers[0]).encode()
        if fault is Fault.LOST:
            return _hang_up(handler)
        if fault is Fault.DELAY:
            sleep(self.delay_seconds)
        if fault is Fault.HALF:
            return _answer(handler, body[: len(body) // 2], length=len(body) if count % 2 else None)
        return _answer(handler, body)

    def _forward(self, fault: Fault | None, method: str, params: list[Any], count: int) -> dict[str, Any]:
        if fault is Fault.DUPLICATE:
            self._node(method, params)
        if fault is Fault.STALE_HEAD:
            return self._stale(method, params)
        answer = self._node(method, params)
        if fault is Fault.WRONG_CHAIN:
            return {**answer, "result": "0x1"}
        if fault is Fault.LYING_RECEIPT and answer.get("result"):
            return {**answer, "result": lie(answer["result"], count)}
        return answer

    def _stale(self, method: str, params: list[Any]) -> dict[str, Any]:
        head = max(self._first, int(self._node("eth_blockNumber", [])["result"], 16) - STALE_BLOCKS)
        if method == "eth_blockNumber":
            return {"jsonrpc": "2.0", "result": hex(head)}
        answer = self._node(method, [hex(head) if item == "latest" else item for item in params])
        result = answer.get("result")
        if method == _RECEIPT and result and int(result["blockNumber"], 16) > head:
            return {**answer, "result": None}
        return answer

    def _node(self, method: str, params: list[Any]) -> dict[str, Any]:
        with self._lock:
            connection = self._idle.pop() if self._idle else DirectConnection(self._host, self._port)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        found: dict[str, Any] = json.loads(connection.post("/", body, FORWARD_SECONDS_MAX)[1])
        with self._lock:
            self._idle.append(connection)
        return found


def lie(receipt: dict[str, Any], which: int) -> dict[str, Any]:
    """The receipt with one thing in it that is not so: its block, its outcome, its sender, or what its logs say."""
    false, logs = dict(receipt), [dict(log) for log in receipt["logs"]]
    kind = which % 6
    if kind == 0:
        false["blockHash"] = "0x" + "ab" * 32
    elif kind == 1:
        false["status"] = "0x0" if receipt["status"] == "0x1" else "0x1"
        false["logs"] = []
    elif kind == 2:
        false["blockNumber"] = hex(int(receipt["blockNumber"], 16) - 1)
    elif kind == 3 and logs:
        logs[-1]["data"] = "0x" + f"{int(logs[-1]['data'], 16) + 1:x}".rjust(64, "0")
        false["logs"] = logs
    elif kind == 4 and logs:
        false["logs"] = [*logs, {**logs[-1], "logIndex": hex(int(logs[-1]["logIndex"], 16) + 1)}]
    else:
        false["from"] = "0x" + "5a" * 20
    return false


def _answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, length: int | None = None) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        if length is not None:
            handler.close_connection = True  # nobody shall wait for the rest
    except OSError:
        handler.close_connection = True  # whoever asked did not wait


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
