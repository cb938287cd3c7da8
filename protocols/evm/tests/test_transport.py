"""One node's transport: an answer belongs to its request, and what may be a key in an address is shown nowhere."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.transport import (
    DEPTH_MAX,
    DepthError,
    LostError,
    NodeError,
    Transport,
    check_depth,
    secrets_of,
    without,
)

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
        if asked["method"] == "deep":
            body = body.replace(b"[]", b"[" * 200_000 + b"]" * 200_000)
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


def test_an_answer_that_is_nested_too_deeply_is_none(echo):
    """With the recursion limit that eth_account leaves behind it would end the process."""
    with pytest.raises(
        LostError, match=f"deep: the node at .* answered with JSON that is nested more than {DEPTH_MAX} deep"
    ):
        Transport(echo, 5).request("deep")


@st.composite
def _json(draw):
    text = st.text(alphabet='[]{}"\\\\a', max_size=8)
    leaf = st.one_of(st.none(), st.integers(), text)
    found = draw(
        st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=3))
    )
    for _ in range(draw(st.integers(0, 2 * DEPTH_MAX))):
        found = draw(st.sampled_from([[found], {"]": found}, ["]}", found, '"[['], {'"': found, "x": "{" * 9}]))
    return found


def _depth(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=_json())
def test_depth_is_that_of_what_json_reads(value):
    """Brackets in strings count for nothing, escaped quotes end no string."""
    text = json.dumps(value).encode()
    if _depth(value) > DEPTH_MAX:
        with pytest.raises(DepthError):
            check_depth(text)
    else:
        check_depth(text)
