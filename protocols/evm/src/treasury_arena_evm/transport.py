"""JSON-RPC through web3.py's HTTP provider, with errors in sentences that never show the secrets in a node's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from treasury_arena.errors import ChainUnavailableError, ConfigError
from treasury_arena_evm.errors import ChainError

if TYPE_CHECKING:
    from web3 import Web3


class NodeError(ChainError):
    """The node answered a request with an error; `code`, `text` and `data` are its own."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.code = int(error.get("code") or 0)
        self.text = str(error.get("message", ""))
        self.data = error.get("data")
        super().__init__(f"{method}: the node refused: {self.text or f'error {self.code}'}")


class LostError(ChainError, ChainUnavailableError):
    """No answer came: the request may or may not have been carried out."""


def shown(url: str) -> str:
    """A node's address without what may be secret in it: user, path and query, where providers put their keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class Transport:
    """Requests to one node. Idempotent ones are tried again by web3.py's provider, transactions are not."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        try:
            known = (
                urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
            )
        except ValueError:
            known = False
        if not known:
            raise ConfigError("the address of a node must be http://HOST:PORT or https://HOST/PATH")
        from web3 import HTTPProvider, Web3

        self.name = shown(url)
        self.w3: Web3 = Web3(HTTPProvider(url, request_kwargs={"timeout": timeout_seconds}))

    def request(self, method: str, *params: Any) -> Any:
        """One call's result. Raises NodeError when the node refuses, LostError when no answer comes."""
        from requests.exceptions import HTTPError, RequestException
        from web3.exceptions import Web3Exception
        from web3.types import RPCEndpoint

        try:
            answer = self.w3.provider.make_request(RPCEndpoint(method), list(params))
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            hint = "; it asks for fewer requests" if status == 429 else ""
            raise LostError(f"{method}: the node at {self.name} answered with HTTP status {status}{hint}") from None
        except (RequestException, Web3Exception, OSError, ValueError) as error:
            # The cause is left out on purpose: its text holds the whole address.
            raise LostError(f"{method}: the node at {self.name} does not answer ({type(error).__name__})") from None
        if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
            raise LostError(f"{method}: the node at {self.name} answered with something else than JSON-RPC")
        if "error" in answer:
            error_field: Any = answer["error"]
            raise NodeError(method, error_field if isinstance(error_field, dict) else {"message": str(error_field)})
        return answer["result"]
