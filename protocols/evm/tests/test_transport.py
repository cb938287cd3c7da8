"""One node's transport: an answer belongs to its request, and what may be a key in an address is shown nowhere."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.transport import NodeError, Transport, secrets_of, without

KEY = "k3y-of-the-node"


class _Echo(BaseHTTPRequestHandler):
    """Answers each request with its own id and first parameter; ``swap`` is answered with another id."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = asked["id"] + (asked["method"] == "swap")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "result": asked["params"]}
        if asked["method"] == "refuse":
            answer = {"jsonrpc": "2.0", "id": number, "error": {"code": "odd", "message": f"no {self.path}"}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{KEY}"
        server.shutdown()
        thread.join()


def test_each_thread_gets_the_answer_to_its_own_question(echo):
    transport, wrong = Transport(echo, 5), []

    def ask(mark: int) -> None:
        answers = [transport.request("same", mark, number) for number in range(30)]
        wrong.extend(number for number, answer in enumerate(answers) if answer != [mark, number])

    threads = [threading.Thread(target=ask, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_answer_to_another_request_is_no_answer(echo):
    with pytest.raises(ChainError, match="answered another request than it was asked"):
        Transport(echo, 5).request("swap", 1)


def test_a_nodes_key_is_in_no_error_repr_or_log(echo, caplog):
    transport = Transport(echo, 5)
    with caplog.at_level(logging.DEBUG), pytest.raises(NodeError) as caught:
        transport.request("refuse")
    assert (caught.value.code, caught.value.text) == (0, "no /***")
    assert any("POST" in record.getMessage() for record in caplog.records)
    told = [
        caplog.text,
        str(caught.value),
        repr(caught.value),
        repr(transport),
        str(transport.provider),
        str(transport.w3),
    ]
    assert not [text for text in told if KEY in text]


def test_what_may_be_a_key_in_an_address():
    url = "https://someone:pass%2Fword@node.example/v3/abcdef0123?token=t0ken-of-it&x=1"
    assert {"someone", "pass/word", "abcdef0123", "t0ken-of-it"} <= set(secrets_of(url))
    assert without("no abcdef0123 for t0ken-of-it", secrets_of(url)) == "no *** for ***"
    assert secrets_of("http://127.0.0.1:8545") == ()
