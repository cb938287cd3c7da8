"""`SocketSigner`: asks the signer process, and believes only bytes that it has read itself."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.chain import Signed, SignerContext, TransactionSigner, Unsigned
from treasury_arena.errors import SignerError, ValidationError
from treasury_arena_keys.config import ProcessSection
from treasury_arena_keys.sentinel import placed, why_stopped
from treasury_arena_keys.transactions import payload, verified
from treasury_arena_keys.unix import address
from treasury_arena_keys.wire import LineError, receive, send


def admitted(transaction: Unsigned, context: SignerContext) -> bytes:
    """The payload to be signed. Raises SignerError when this side refuses already: stopped, another chain or sender."""
    if transaction.chain_id != context.chain_id or transaction.sender.lower() != context.sender.lower():
        raise SignerError(
            f"asked to sign for {transaction.sender} on chain {transaction.chain_id}; this signer is for {context.sender} on "
            f"chain {context.chain_id}",
            "sender",
        )
    still_running(context)
    try:
        return payload(transaction)
    except ValidationError as error:
        raise SignerError(str(error), "request") from error


def still_running(context: SignerContext) -> None:
    """Raise SignerError while the stop file says HARD."""
    why = why_stopped(context.stop_file)
    if why:
        raise SignerError(f"stopped: {why}", "stopped")


class SocketSigner(TransactionSigner):
    """A client of `arena keys serve`; a connection for each request, so that a restarted signer is found again."""

    def __init__(self, section: ProcessSection, context: SignerContext) -> None:
        self.address = context.sender
        self._path, self._seconds, self._context = section.socket, section.timeout_s, context

    def __repr__(self) -> str:
        return f"SocketSigner({self.address}, {self._path})"

    def sign(self, transaction: Unsigned) -> Signed:
        """A signature of exactly this transaction by `address`; raises SignerError with one sentence and the rule's code."""
        data = admitted(transaction, self._context)
        request = {
            "do": "sign",
            "sender": transaction.sender,
            "unsigned": "0x" + data.hex(),
            "stop_file": str(placed(self._context.stop_file)),
        }
        signed = verified(self._ask(request).get("raw"), transaction, "the signer process")
        still_running(self._context)
        return signed

    def about(self) -> dict[str, Any]:
        """What the process says of itself: `address`, `chain_id`, `stop_file`, `stopped` (why, or empty). Raises SignerError."""
        return self._ask({"do": "about"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        watch = Stopwatch()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._seconds)
                with address(self._path) as short:
                    connection.connect(short)
                send(connection, request, max(0.001, self._seconds - watch.seconds()))
                answer = receive(connection, max(0.001, self._seconds - watch.seconds()))
        except LineError as error:
            raise SignerError(f"the signer process at {self._path} gave no answer: {error}", "absent") from error
        except OSError as error:
            raise SignerError(
                f"the signer process at {self._path} does not answer ({error.strerror or type(error).__name__}); is "
                "`arena keys serve` running?",
                "absent",
            ) from error
        if answer.get("ok") is not True:
            raise _refused(answer)
        return answer


def _refused(answer: dict[str, Any]) -> SignerError:
    code, reason = answer.get("code"), answer.get("reason")
    if not isinstance(code, str) or not isinstance(reason, str):
        return SignerError("the signer process refused without a reason", "refused")
    least = [answer.get(name) for name in ("least_cap_raw", "least_tip_raw")]
    cap, tip = (int(one) if isinstance(one, str) and one.isascii() and one.isdigit() else 0 for one in least)
    return SignerError(f"the signer process refused ({code}): {reason[:500]}", code, cap, tip)


def build(section: ProcessSection, context: SignerContext) -> SocketSigner:
    """The factory behind ``signer = "process"``."""
    return SocketSigner(section, context)


def at(path: Path, context: SignerContext, timeout_s: float = 5.0) -> SocketSigner:
    """A client by path, without a configuration."""
    return SocketSigner(ProcessSection(socket=path, timeout_s=timeout_s), context)
