"""JSON-RPC through web3.py's HTTP provider, with errors in sentences that never show the secrets in a node's address."""

from __future__ import annotations

import json
import logging
import threading
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from treasury_arena.errors import ChainUnavailableError, ConfigError
from treasury_arena_evm.errors import ChainError

if TYPE_CHECKING:
    from web3 import Web3


class NodeError(ChainError):
    """The node answered a request with an error; `code`, `text` and `data` are its own."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        code = error.get("code")
        self.code = code if isinstance(code, int) else 0
        self.text = str(error.get("message", ""))
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
)


def secrets_of(url: str) -> tuple[str, ...]:
    """What may be a key in a node's address: user, password, each part of path and query, as written and decoded."""
    parts = urlsplit(url)
    found = [parts.username or "", parts.password or "", *parts.path.split("/")]
    found += [piece for pair in parts.query.split("&") for piece in (pair, *pair.split("=")[1:])]
    return tuple({text for piece in found for text in (piece, unquote(piece)) if len(text) >= _SECRET_MIN})


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
        text = record.getMessage()
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


@cache
def _provider_class() -> type[Any]:
    """web3.py's provider with an answer's id held against its request's, and no address in its text. Imported when needed."""
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint

    class Provider(HTTPProvider):
        def __init__(self, *arguments: Any, **keys: Any) -> None:
            super().__init__(*arguments, **keys)
            self._asked = threading.local()

        def encode_rpc_request(self, method: RPCEndpoint, params: Any) -> bytes:
            encoded = super().encode_rpc_request(method, params)
            self._asked.id = json.loads(encoded)["id"]
            return encoded

        @staticmethod
        def decode_rpc_response(raw_response: bytes) -> Any:
            check_depth(raw_response)
            return HTTPProvider.decode_rpc_response(raw_response)

        @property
        def asked(self) -> Any:
            """The id of this thread's last request."""
            return self._asked.id

        def __str__(self) -> str:
            return f"RPC connection {shown(str(self.endpoint_uri))}"

    return Provider


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
        self.provider = _provider_class()(url, request_kwargs={"timeout": timeout_seconds}, **keys)
        self.w3: Web3 = Web3(self.provider)

    def __repr__(self) -> str:
        return f"Transport({self.name})"

    def request(self, method: str, *params: Any) -> Any:
        """One call's result. Raises NodeError when the node refuses, LostError when no answer comes, or another call's."""
        from requests.exceptions import HTTPError, RequestException
        from web3.exceptions import Web3Exception
        from web3.types import RPCEndpoint

        try:
            answer = self.provider.make_request(RPCEndpoint(method), list(params))
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            hint = "; it asks for fewer requests" if status == 429 else ""
            raise LostError(
                f"{method}: the node at {self.name} answered with HTTP status {status}{hint}", status == 429
            ) from None
        except DepthError as error:
            raise LostError(f"{method}: the node at {self.name} answered with JSON that is {error}") from None
        except (RequestException, Web3Exception, OSError, ValueError) as error:
            # The cause is left out on purpose: its text holds the whole address.
            raise LostError(f"{method}: the node at {self.name} does not answer ({type(error).__name__})") from None
        if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
            raise LostError(f"{method}: the node at {self.name} answered with something else than JSON-RPC")
        # A node that could not read the request answers with an error of no id.
        if answer.get("id") != self.provider.asked and not ("error" in answer and answer.get("id") is None):
            raise LostError(f"{method}: the node at {self.name} answered another request than it was asked")
        if "error" in answer:
            told: Any = answer["error"]
            fields = dict(told) if isinstance(told, dict) else {"message": str(told)}
            raise NodeError(method, {**fields, "message": without(str(fields.get("message", "")), self.secrets)})
        return answer["result"]
