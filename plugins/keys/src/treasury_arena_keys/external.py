"""Signers of others: web3signer (`eth_signTransaction`) and Clef (`account_signTransaction`), JSON-RPC over HTTP.

They enforce rules of their own, or none; what this side can do is to ask for one exact transaction, to look at the stop file
before and after, and to refuse an answer that is anything but that transaction, signed by that address.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from treasury_arena.contracts.chain import Signed, SignerContext, TransactionSigner, Unsigned
from treasury_arena.errors import SignerError
from treasury_arena_keys.client import admitted, still_running
from treasury_arena_keys.config import ExternalSection
from treasury_arena_keys.transactions import verified
from treasury_arena_keys.wire import parse

ANSWER_MAX = 1_048_576
METHODS = {"web3signer": "eth_signTransaction", "clef": "account_signTransaction"}


class ExternalSigner(TransactionSigner):
    """A client of one external signer. `kind` is a name of METHODS."""

    def __init__(self, kind: str, section: ExternalSection, context: SignerContext) -> None:
        self.address = context.sender
        self._kind, self._method = kind, METHODS[kind]
        self._section, self._context = section, context

    def __repr__(self) -> str:
        return f"ExternalSigner({self._kind}, {self.address})"

    def sign(self, transaction: Unsigned) -> Signed:
        """A signature of exactly this transaction by `address`; raises SignerError with one sentence."""
        admitted(transaction, self._context)
        signed = verified(self._raw(self._call(_parameters(transaction))), transaction, self._kind)
        still_running(self._context)
        return signed

    def _raw(self, result: Any) -> Any:
        """web3signer answers with the signed bytes alone, Clef with an object that holds them as ``raw``."""
        return result.get("raw") if isinstance(result, dict) else result

    def _call(self, parameters: dict[str, str]) -> Any:
        number = secrets.randbelow(2**31)
        request = {"jsonrpc": "2.0", "id": number, "method": self._method, "params": [parameters]}
        answer = self._post(json.dumps(request).encode())
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise SignerError(f"{self._kind} answered something other than was asked", "absent")
        if answer.get("error") is not None:
            error = answer["error"]
            told = error.get("message") if isinstance(error, dict) else error
            raise SignerError(f"{self._kind} refused: {str(told)[:300]}", "refused")
        return answer.get("result")

    def _post(self, body: bytes) -> Any:
        parts = urlsplit(self._section.url)
        assert parts.hostname is not None
        headers = {"Content-Type": "application/json", "Connection": "close"}
        seconds = self._section.timeout_s
        opener = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = opener(parts.hostname, parts.port, timeout=seconds)
        path, fault = (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), ""
        try:
            if self._section.authorization is not None:
                headers["Authorization"] = self._section.authorization.reveal()
            connection.connect()
            with _hangs_up(connection.sock, seconds):
                connection.request("POST", path, body, headers)
                with connection.getresponse() as response:
                    return parse(self._body(response))
        except (OSError, http.client.HTTPException, ValueError) as error:
            fault = type(error).__name__
        finally:
            connection.close()
            headers.clear()
        # Outside of `except`: the error of the library carries frames that know the header.
        raise SignerError(f"{self._kind} does not answer within {seconds:g} s, or no JSON ({fault})", "absent")

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise SignerError(f"{self._kind} answered with HTTP status {response.status}", "absent")
        data = response.read(ANSWER_MAX + 1)
        if len(data) > ANSWER_MAX:
            raise SignerError(f"{self._kind} answered with more than {ANSWER_MAX} bytes", "absent")
        if response.length:  # what was announced and did not come
            raise http.client.IncompleteRead(data, response.length)
        return data


@contextmanager
def _hangs_up(connection: socket.socket, seconds: float) -> Iterator[None]:
    """End a connection when its time is over, however slowly its bytes trickle in."""
    timer = threading.Timer(seconds, _hang_up, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


def _parameters(t: Unsigned) -> dict[str, str]:
    """The transaction as both protocols write it: every number in hex."""
    return {
        "from": t.sender,
        "to": t.to,
        "gas": hex(t.gas),
        "maxFeePerGas": hex(t.fees.cap_raw),
        "maxPriorityFeePerGas": hex(t.fees.tip_raw),
        "value": hex(t.value_raw),
        "nonce": hex(t.nonce),
        "data": t.data,
        "chainId": hex(t.chain_id),
    }


def web3signer(section: ExternalSection, context: SignerContext) -> ExternalSigner:
    """The factory behind ``signer = "web3signer"``."""
    return ExternalSigner("web3signer", section, context)


def clef(section: ExternalSection, context: SignerContext) -> ExternalSigner:
    """The factory behind ``signer = "clef"``."""
    return ExternalSigner("clef", section, context)
