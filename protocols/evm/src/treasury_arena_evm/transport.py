"""JSON-RPC through web3.py's HTTP provider, with errors in sentences that never show the secrets in a node's address."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, count
from math import inf
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from treasury_arena.errors import ChainUnavailableError, ConfigError
from treasury_arena.veiled import Veiled
from treasury_arena_evm.direct import direct_session_class
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.reverts import words

if TYPE_CHECKING:
    from web3 import Web3


class NodeError(ChainError):
    """The node answered a request with an error; `code`, `text` and `data` are its own."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        code = error.get("code")
        self.code = code if isinstance(code, int) else 0
        self.text = words(str(error.get("message", "")))
        self.data = error.get("data")
        super().__init__(f"{method}: the node refused: {self.text or f'error {self.code}'}")


class LostError(ChainError, ChainUnavailableError):
    """No answer came, or none that can be believed: the request may or may not have been carried out.

    `busy` says that the node asks for fewer requests.
    """

    def __init__(self, message: str, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


def shown(url: str) -> str:
    """A node's address without what may be secret in it: user, path and query, where providers put their keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


#: Shorter parts of an address are no keys, and would be found in every other word.
_SECRET_MIN = 6
_LOGGERS = (
    "urllib3.connectionpool",
    "web3.providers.HTTPProvider",
    "web3._utils.http_session_manager.HTTPSessionManager",
    "treasury_arena_evm.direct",
)


def secrets_of(url: str) -> tuple[str, ...]:
    """What may be a key in a node's address: user, password, each part of path and query, as written and decoded."""
    # No part is ever held in a local variable but veiled.
    user, password, path, query = map(Veiled, attrgetter("username", "password", "path", "query")(urlsplit(url)))
    found = [user, password, *map(Veiled, path.split("/"))]
    for pair in map(Veiled, query.split("&")):
        found += [pair, *map(Veiled, pair.split("=")[1:])]
    found += [Veiled(unquote(piece)) for piece in found]
    return tuple({text for text in found if len(text) >= _SECRET_MIN})


def without(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret in it replaced by stars."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


class _Hush(logging.Filter):
    """Takes the keys of nodes out of what web3.py and urllib3 log."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = Veiled(record.getMessage())
        clean = without(text, tuple(self.secrets))
        if clean != text:
            record.msg, record.args = clean, ()
        return True


_HUSH = _Hush()
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_HUSH)


#: No answer of a node that we ask for is nested as deeply.
DEPTH_MAX = 64
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class DepthError(ValueError):
    """JSON that is nested more deeply than `DEPTH_MAX`."""


def check_depth(text: bytes) -> None:
    """Raise DepthError for JSON nested too deeply, before it is read.

    Python's reader goes down as far as the recursion limit lets it, and py_ecc, which eth_account imports, lifts that beyond
    what the stack holds.
    """
    if text.count(b"[") + text.count(b"{") <= DEPTH_MAX:
        return
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # what is escaped ends no string
    brackets = b"".join(plain.split(b'"')[::2]).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_MAX:
        raise DepthError(f"nested more than {DEPTH_MAX} deep")


class _Numbers:
    """Counts requests from 0, and keeps the last number that each thread took."""

    def __init__(self) -> None:
        self._count, self.last = count(), threading.local()

    def __next__(self) -> int:
        self.last.number = number = next(self._count)
        return number


@cache
def _provider_class() -> type[Any]:
    """web3.py's provider with an answer's id held against its request's, and no address in its text. Imported when needed."""
    from eth_typing import URI
    from web3 import HTTPProvider

    class Provider(HTTPProvider):
        def __init__(self, *arguments: Any, **keys: Any) -> None:
            super().__init__(*arguments, **keys)
            self.request_counter = _Numbers()  # type: ignore[assignment]

        @staticmethod
        def decode_rpc_response(raw_response: bytes) -> Any:
            check_depth(raw_response)
            return HTTPProvider.decode_rpc_response(raw_response)

        @property
        def asked(self) -> Any:
            """The id of this thread's last request."""
            return self.request_counter.last.number  # type: ignore[attr-defined]

        def encode_batch_rpc_request(self, requests: list[tuple[Any, Any]]) -> bytes:
            bodies, self.request_counter.last.together = [], []  # type: ignore[attr-defined]
            for method, params in requests:
                bodies.append(self.encode_rpc_request(method, params))
                self.asked_together.append(self.asked)
            return b"[" + b",".join(bodies) + b"]"

        def make_batch_request(self, batch_requests: list[tuple[Any, Any]]) -> Any:
            # web3.py's own puts the answers in the order of their ids, and believes whatever ids they have.
            body = self.encode_batch_rpc_request(batch_requests)
            post, keys = self._request_session_manager.make_post_request, self.get_request_kwargs()
            return self.decode_rpc_response(post(URI(Veiled(str(self.endpoint_uri))), body, **keys))

        @property
        def asked_together(self) -> Any:
            """The ids of this thread's last requests that were sent as one."""
            return self.request_counter.last.together  # type: ignore[attr-defined]

        def __str__(self) -> str:
            return f"RPC connection {shown(str(self.endpoint_uri))}"

    return Provider


#: Hosts that no proxy stands before.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _session_here(url: str) -> Any:
    """What asks a node on this machine: directly, or with TLS as any other, but never through a proxy."""
    from requests import Session

    if urlsplit(url).scheme == "http":
        return direct_session_class()(url)
    session = Session()
    session.trust_env = False
    return session


class Requester(Protocol):
    """What a session asks: one node, or several in its place."""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""

    @property
    def w3(self) -> Any:
        """The web3.py object beneath."""

    def request(self, method: str, *params: Any) -> Any:
        """One call's result."""

    def request_together(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of calls ``(method, params)`` sent as one request; None for each that gave none."""


class Transport:
    """Requests to one node. Idempotent ones are tried again by web3.py's provider, transactions are not.

    Args:
        url: the node's address; `secrets` are the parts of it that are never shown.
        timeout_seconds: how long an answer may take.
        retries: whether idempotent requests are tried again at all.
    """

    def __init__(self, url: str, timeout_seconds: float, *, retries: bool = True) -> None:
        try:
            known = (
                urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
            )
        except ValueError:
            known = False
        if not known:
            del url  # a traceback may show what is called something here
            raise ConfigError("the address of a node must be http://HOST:PORT or https://HOST/PATH")
        from web3 import Web3

        self.name, self.secrets = shown(url), secrets_of(url)
        _HUSH.secrets.update(self.secrets)
        keys: dict[str, Any] = {} if retries else {"exception_retry_configuration": None}
        if urlsplit(url).hostname in LOOPBACK:
            keys["session"] = _session_here(url)
        provider = _provider_class()  # it would make the headers anew for every request
        asked = {"timeout": timeout_seconds, "headers": provider.get_request_headers()}
        self.provider = provider(url, request_kwargs=asked, **keys)
        self.w3: Web3 = Web3(self.provider)
        self._alone_until = 0.0

    def __repr__(self) -> str:
        return f"Transport({self.name})"

    def request(self, method: str, *params: Any) -> Any:
        """One call's result. Raises NodeError when the node refuses, LostError when no answer comes, or another call's."""
        from requests.exceptions import HTTPError, RequestException
        from web3.exceptions import Web3Exception
        from web3.types import RPCEndpoint

        why, busy = "", False
        try:
            answer = self.provider.make_request(RPCEndpoint(method), list(params))
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            busy = status == 429
            why = f"answered with HTTP status {status}{'; it asks for fewer requests' if busy else ''}"
        except DepthError as error:
            why = f"answered with JSON that is {error}"
        except (RequestException, Web3Exception, OSError, ValueError) as error:
            why = f"does not answer ({type(error).__name__})"
        if why:  # out here, so that nothing hangs on the library's error, whose text and frames hold the whole address
            raise LostError(f"{method}: the node at {self.name} {why}", busy)
        if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
            raise LostError(f"{method}: the node at {self.name} answered with something else than JSON-RPC")
        # A node that could not read the request answers with an error of no id.
        if answer.get("id") != self.provider.asked and not ("error" in answer and answer.get("id") is None):
            raise LostError(f"{method}: the node at {self.name} answered another request than it was asked")
        if "error" in answer:
            told = answer.pop("error")
            fields = dict(told) if isinstance(told, dict) else {"message": told}
            fields["message"] = Veiled(fields.get("message", ""))
            del told  # it may repeat a key, and a traceback may show local variables
            fields["message"] = without(fields["message"], self.secrets)
            raise NodeError(method, fields)
        return answer["result"]

    def request_together(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of calls ``(method, params)`` sent as one request; None for each that was refused, lost, or not understood.

        Raises nothing: whoever needs a result that did not come asks for it by itself, and hears why. A node that refuses such
        requests is not sent any more, one that answered them oddly or not at all none for a while.
        """
        from requests.exceptions import HTTPError, RequestException
        from web3.exceptions import Web3Exception
        from web3.types import RPCEndpoint

        if not calls or monotonic() < self._alone_until:
            return [None] * len(calls)
        answers, refused = None, False
        try:
            answers = self.provider.make_batch_request(
                [(RPCEndpoint(method), list(params)) for method, params in calls]
            )
            refused = isinstance(answers, dict) and _knows_none(answers)
        except HTTPError as error:
            refused = error.response is not None and error.response.status_code in _REFUSALS
        except (RequestException, Web3Exception, OSError, ValueError):
            pass  # lost: each call is made by itself
        found = _told(answers, self.provider.asked_together)
        if found is None:
            self._alone_until = inf if refused else monotonic() + ALONE_SECONDS
        return [None] * len(calls) if found is None else found


#: How long a node is sent single calls only after several together were lost.
ALONE_SECONDS = 60.0
#: HTTP statuses of a server that takes no such request: bad request, not found, method not allowed, too large.
_REFUSALS = (400, 404, 405, 413)


def _knows_none(answer: dict[str, Any]) -> bool:
    """Whether a node's one answer to several calls says that it is no request, or of no method, that it knows."""
    error = answer.get("error")
    return isinstance(error, dict) and error.get("code") in (-32600, -32601)


def _told(answers: Any, asked: list[int]) -> list[Any] | None:
    """Results by the ids that were asked, None for a refused one; None for all when the ids are not exactly those: answers may
    have changed places.
    """
    if not isinstance(answers, list) or len(answers) != len(asked):
        return None
    told: dict[int, Any] = {}
    for one in answers:
        if not isinstance(one, dict) or type(number := one.get("id")) is not int:
            return None
        told[number] = None if "error" in one else one.get("result")
    return [told[number] for number in asked] if set(told) == set(asked) else None
