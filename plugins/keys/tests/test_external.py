"""Clients of web3signer and Clef against a small HTTP server that speaks both protocols, honestly and otherwise."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
from eth_account import Account

from treasury_arena.config.keys import Secret
from treasury_arena.contracts.chain import Unsigned
from treasury_arena.errors import SignerError
from treasury_arena_keys import external
from treasury_arena_keys.config import ExternalSection
from treasury_arena_keys.external import ANSWER_MAX, METHODS, ExternalSigner

Answer = Callable[[dict[str, Any]], Any]


def signature(parameters: dict[str, Any], key: str) -> dict[str, Any]:
    """What a real signer makes of the parameters."""
    fields = {name: parameters[name] for name in parameters if name != "from"}
    fields["to"] = bytes.fromhex(fields["to"][2:])
    signed = Account.sign_transaction(fields | {"type": 2}, key)
    return {
        "raw": "0x" + bytes(signed.raw_transaction).hex(),
        "tx": {**parameters, "hash": "0x" + bytes(signed.hash).hex()},
    }


@attrs.define
class Remote:
    """The server, and what it was asked. `answer` maps a request to a result, or to (status, bytes)."""

    key: str
    answer: Answer = attrs.field(init=False)
    asked: list[dict[str, Any]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list, repr=False)
    url: str = ""

    def __attrs_post_init__(self) -> None:
        self.answer = self.honest

    def honest(self, request: dict[str, Any]) -> Any:
        made = signature(request["params"][0], self.key)
        result = made if request["method"] == METHODS["clef"] else made["raw"]
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}


@pytest.fixture
def remote(house: Any) -> Iterator[Remote]:
    found = Remote(house.CANARY)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.asked.append(request)
            found.headers.append(dict(self.headers))
            answer = found.answer(request)
            status, body = answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())
            self.send_response(status)
            if status == 302:
                self.send_header("Location", found.url)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return  # the client hung up, which is what some tests are about

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def signer(house: Any, remote: Remote, kind: str, **more: Any) -> ExternalSigner:
    section = ExternalSection(url=remote.url, **({"timeout_s": 30.0} | more))
    made: ExternalSigner = getattr(external, kind)(section, house.context)
    return made


@pytest.mark.parametrize("kind", METHODS)
def test_a_signature_of_exactly_the_transaction(house: Any, remote: Remote, kind: str) -> None:
    asked: Unsigned = house.transaction(nonce=3, value_raw=5)
    signed = signer(house, remote, kind).sign(asked)
    assert Account.recover_transaction(signed.raw) == house.address
    (request,) = remote.asked
    assert request["method"] == METHODS[kind]
    assert request["params"] == [
        {
            "from": house.address,
            "to": asked.to,
            "gas": hex(asked.gas),
            "maxFeePerGas": hex(asked.fees.cap_raw),
            "maxPriorityFeePerGas": hex(asked.fees.tip_raw),
            "value": "0x5",
            "nonce": "0x3",
            "data": asked.data,
            "chainId": hex(house.CHAIN),
        }
    ]


LIES = {
    "to": "0x" + "9" * 40,
    "gas": "0x1",
    "maxFeePerGas": "0xffffffffff",
    "maxPriorityFeePerGas": "0x0",
    "value": "0x7",
    "nonce": "0x9",
    "data": "0x",
    "chainId": "0x1",
}


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("lie", LIES)
def test_another_transaction_is_refused(house: Any, remote: Remote, kind: str, lie: str) -> None:
    remote.answer = lambda request: remote.honest(
        request | {"params": [request["params"][0] | {lie: LIES[lie]}]},
    )
    with pytest.raises(SignerError, match=f"{kind} signed another transaction than it was asked to"):
        signer(house, remote, kind).sign(house.transaction())


@pytest.mark.parametrize("kind", METHODS)
def test_another_key_is_refused(house: Any, remote: Remote, kind: str) -> None:
    remote.key = "11" * 32
    with pytest.raises(SignerError, match="signed with another key"):
        signer(house, remote, kind).sign(house.transaction())


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            lambda request: {"id": request["id"], "error": {"code": -1, "message": "denied by rule"}},
            "refused: denied by rule",
        ),
        (lambda request: {"id": request["id"], "error": "no"}, "refused: no"),
        (lambda request: {"id": request["id"]}, "no signed transaction"),
        (lambda request: {"id": request["id"], "result": {"raw": 5}}, "no signed transaction"),
        (lambda request: {"id": request["id"], "result": []}, "no signed transaction"),
        (lambda request: {"id": request["id"], "result": "0x" + "00" * 50}, "no signed transaction"),
        (lambda request: {"id": request["id"] + 1, "result": "0x"}, "something other than was asked"),
        (lambda request: [1], "something other than was asked"),
        (lambda request: (200, b"<html>"), r"no JSON \(JSONDecodeError\)"),
        (lambda request: (200, b"[" * 100_000), r"no JSON \(ValueError\)"),
        (lambda request: (500, b"{}"), "HTTP status 500"),
        (lambda request: (302, b"{}"), "HTTP status 302"),
        (lambda request: (200, b" " * (ANSWER_MAX + 1)), f"more than {ANSWER_MAX} bytes"),
    ],
)
def test_an_answer_that_is_no_signature_is_told_in_a_sentence(
    house: Any, remote: Remote, kind: str, answer: Answer, told: str
) -> None:
    remote.answer = answer
    with pytest.raises(SignerError, match=told) as refused:
        signer(house, remote, kind).sign(house.transaction())
    assert "\n" not in str(refused.value)
    assert len(remote.asked) == 1


@pytest.mark.parametrize("kind", METHODS)
def test_no_answer_in_time_is_no_signature(house: Any, remote: Remote, kind: str) -> None:
    over = threading.Event()
    remote.answer = lambda request: (over.wait(20), (200, b"{}"))[1]
    try:
        with pytest.raises(SignerError, match="does not answer"):
            signer(house, remote, kind, timeout_s=0.2).sign(house.transaction())
    finally:
        over.set()


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"H"])
def test_an_answer_that_trickles_is_not_waited_for(house: Any, first: bytes) -> None:
    """A byte now and then never lets a single read run out of time; the whole must."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(first)
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"1")
                    except OSError:
                        return  # the client hung up, as it should

        thread = threading.Thread(target=trickle)
        thread.start()
        section = ExternalSection(url=f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.5)
        try:
            with pytest.raises(SignerError, match=r"does not answer within 0.5 s"):
                external.clef(section, house.context).sign(house.transaction())
        finally:
            over.set()
            thread.join()


def test_nobody_there(house: Any, remote: Remote) -> None:
    gone = ExternalSection(url="http://127.0.0.1:1")
    with pytest.raises(SignerError, match=r"web3signer does not answer .*\(ConnectionRefusedError\)") as refused:
        external.web3signer(gone, house.context).sign(house.transaction())
    assert refused.value.code == "absent"


def test_https_is_spoken_where_https_is_said(house: Any, remote: Remote) -> None:
    section = ExternalSection(url=remote.url.replace("http:", "https:"))
    with pytest.raises(SignerError, match=r"does not answer .*\(SSL"):
        external.clef(section, house.context).sign(house.transaction())
    assert remote.asked == []


@pytest.mark.parametrize("kind", METHODS)
def test_a_stop_is_seen_before_and_after(house: Any, remote: Remote, kind: str) -> None:
    made = signer(house, remote, kind)
    house.stop_file.touch()
    with pytest.raises(SignerError, match="stopped"):
        made.sign(house.transaction())
    assert remote.asked == []
    house.stop_file.unlink()

    def late(request: dict[str, Any]) -> Any:
        house.stop_file.touch()
        return remote.honest(request)

    remote.answer = late
    with pytest.raises(SignerError, match="stopped"):
        made.sign(house.transaction())
    assert len(remote.asked) == 1


@pytest.mark.parametrize("kind", METHODS)
def test_only_its_chain_and_sender_are_asked_for(house: Any, remote: Remote, kind: str) -> None:
    made = signer(house, remote, kind)
    for change in ({"chain_id": 1}, {"sender": house.POOL}):
        with pytest.raises(SignerError, match="asked to sign for"):
            made.sign(house.transaction(**change))
    with pytest.raises(SignerError, match="nonce is -1"):
        made.sign(house.transaction(nonce=-1))
    assert remote.asked == []


def test_the_token_is_sent_and_never_shown(house: Any, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_TEST_TOKEN", "Bearer canary-token")
    made = signer(house, remote, "web3signer", authorization=Secret("env:ARENA_TEST_TOKEN"))
    made.sign(house.transaction())
    assert remote.headers[0]["Authorization"] == "Bearer canary-token"
    remote.answer = lambda request: (200, b"<html>")
    with pytest.raises(SignerError) as refused:
        made.sign(house.transaction())
    import traceback

    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert "canary-token" not in "".join(shown.format()) + repr(made) + repr(vars(made))
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org:9000",
        "http://10.0.0.1:9000",
        "http://0.0.0.0:9000",
        "http://127.0.0.1.example.org",
        "ftp://127.0.0.1",
        "127.0.0.1:9000",
        "https://",
        "https://me:word@example.org",
        "https://example.org:99999",
        "https://example.org/#x",
        "",
    ],
)
def test_an_address_that_others_could_listen_at_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected|authorization") as refused:
        ExternalSection(url=url)
    assert "word" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "http://localhost:8550", "http://[::1]:9000/x", "https://signer.example.org"]
)
def test_an_address_that_is_private_is_taken(url: str) -> None:
    assert ExternalSection(url=url).url == url
