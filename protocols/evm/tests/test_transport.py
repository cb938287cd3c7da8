"""One node's transport: an answer belongs to its request, and what may be a key in an address is shown nowhere."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treasury_arena_evm import transport as transports
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


#: Answers to several calls that no single call would be believed with.
ODD: dict[str, Callable[[list[Any]], Any]] = {
    "no object": lambda answers: [*answers[:-1], 7],
    "one too few": lambda answers: answers[:-1],
    "one twice": lambda answers: [*answers, answers[0]],
    "one twice instead": lambda answers: [*answers[:-1], answers[0]],
    "a list as id": lambda answers: [{**answers[0], "id": [7]}, *answers[1:]],
    "an object as id": lambda answers: [{**answers[0], "id": {}}, *answers[1:]],
    "no id": lambda answers: [{**answers[0], "id": None}, *answers[1:]],
    "true as id": lambda answers: [{**one, "id": True} for one in answers],
    "busy": lambda answers: {"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "too many requests"}},
    "a number": lambda answers: 7,
}


class _Echo(BaseHTTPRequestHandler):
    """Answers each request with its own id and parameters; ``swap`` is answered with another id, ``status`` with its parameter
    as HTTP status, and several calls of which one is ``single`` as if only single ones were known.
    """

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = asked["id"] + (asked["method"] == "swap")
        if asked["method"] in ("refuse", "both"):
            both = {"result": "0x01"} if asked["method"] == "both" else {}
            return {"jsonrpc": "2.0", "id": number, "error": {"code": "odd", "message": f"no {self.path}"}, **both}
        return {"jsonrpc": "2.0", "id": number, "result": asked["params"]}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls = asked if isinstance(asked, list) else [asked]
        self.server.requests.append(len(calls))  # type: ignore[attr-defined]
        answers: Any = [self._answer(call) for call in calls]
        if not isinstance(asked, list):
            answers = answers[0]
        elif "single" in [call["method"] for call in calls]:
            answers = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "one at a time"}}
        elif calls[0]["method"] in ODD:
            answers = ODD[calls[0]["method"]](answers)
        else:
            answers.reverse()  # in any order
        body = json.dumps(answers).encode()
        if calls[0]["method"] == "deep":
            body = body.replace(b"[]", b"[" * 200_000 + b"]" * 200_000)
        self.send_response(calls[0]["params"][0] if calls[0]["method"] == "status" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # with fewer, the kernel lets callers who come together wait for seconds

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.requests: list[int] = []


@pytest.fixture
def server():
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def echo(server):
    return f"http://127.0.0.1:{server.server_address[1]}/{KEY}"


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


def test_several_calls_go_in_one_request_and_what_is_refused_is_none(echo, server):
    transport = Transport(echo, 5)
    assert transport.request("same", 0) == [0]
    calls = [("same", [1]), ("refuse", []), ("both", []), ("same", [2, 3])]
    assert transport.request_together(calls) == [[1], None, None, [2, 3]]
    assert transport.request_together([]) == []
    assert transport.request("same", 4) == [4]
    assert server.requests == [1, 4, 1]


@pytest.mark.parametrize(
    "odd",
    [("swap", [9]), ("deep", []), *[(name, []) for name in ODD], *[("status", [n]) for n in (401, 429, 503)]],
    ids=str,
)
def test_nothing_of_an_odd_answer_to_several_calls_is_believed(echo, server, odd, monkeypatch):
    """And for a while calls go one by one."""
    monkeypatch.setattr(transports, "monotonic", lambda: now[0])
    transport, now = Transport(echo, 5), [100.0]
    assert transport.request_together([odd, ("same", [1]), ("same", [2])]) == [None] * 3
    now[0] += transports.ALONE_SECONDS - 1
    assert transport.request_together([("same", [1]), ("same", [2])]) == [None] * 2
    now[0] += 1
    assert transport.request_together([("same", [1]), ("same", [2])]) == [[1], [2]]
    assert server.requests == [3, 2]


@pytest.mark.parametrize("refusal", [("single", []), ("status", [400]), ("status", [413])], ids=str)
def test_a_node_that_takes_one_call_at_a_time_is_not_sent_several_again(echo, server, refusal, monkeypatch):
    monkeypatch.setattr(transports, "ALONE_SECONDS", 0.0)
    transport = Transport(echo, 5)
    assert transport.request_together([refusal, ("same", [1])]) == [None] * 2
    assert transport.request_together([("same", [1]), ("same", [2])]) == [None] * 2
    assert transport.request("same", 1) == [1]
    assert server.requests == [2, 1]


def test_a_node_that_is_gone_gives_nothing_to_several_calls(server, echo):
    server.shutdown()
    server.server_close()
    assert Transport(echo, 1).request_together([("same", [1])]) == [None]


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


_TEXT = st.text(alphabet='[]{}"\\\\a', max_size=8)
_FLAT = st.recursive(
    st.one_of(st.none(), st.integers(), _TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=3),
)
_WRAPPINGS = st.integers(0, 2 * DEPTH_MAX).flatmap(lambda many: st.binary(min_size=many, max_size=many))


@st.composite
def _json(draw):
    found = draw(_FLAT)
    for which in draw(_WRAPPINGS):
        found = [[found], {"]": found}, ["]}", found, '"[['], {'"': found, "x": "{" * 9}][which % 4]
    return found


def _depth(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=_json())
@example(value=reduce(lambda inner, _: [inner], range(DEPTH_MAX), "[{"))
@example(value=reduce(lambda inner, _: {"]": inner}, range(DEPTH_MAX + 1), '"'))
def test_depth_is_that_of_what_json_reads(value):
    """Brackets in strings count for nothing, escaped quotes end no string."""
    text = json.dumps(value).encode()
    if _depth(value) > DEPTH_MAX:
        with pytest.raises(DepthError):
            check_depth(text)
    else:
        check_depth(text)


def test_what_a_node_says_is_one_line_of_a_length_that_can_be_read() -> None:
    error = NodeError("eth_call", {"code": -32000, "message": "no\n\x1b[31mway" + "!" * 10**6})
    assert error.text.startswith("no  [31mway!!!")
    assert len(str(error)) < 600
    assert str(error).isprintable()
