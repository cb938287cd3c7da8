"""The socket of the signer: who may ask, how much, how many at once. Nothing a peer sends ends the process."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.clock import Clock, iso
from treasury_arena.errors import ConfigError, SignerError, ValidationError
from treasury_arena_keys.desk import Desk
from treasury_arena_keys.hidden import private_folder
from treasury_arena_keys.sentinel import placed, why_stopped
from treasury_arena_keys.transactions import hex_bytes
from treasury_arena_keys.unix import address
from treasury_arena_keys.wire import LineError, receive, send

CONNECTIONS_MAX = 16
REQUEST_SECONDS = 5.0
_FIELDS = {"sign": {"do", "sender", "unsigned", "stop_file"}, "about": {"do"}}


def listen(path: Path) -> socket.socket:
    """A Unix socket (0600) in a private folder; what a dead signer left there is replaced. Raises ConfigError."""
    try:
        private_folder(path.parent, "socket")
    except OSError as error:
        raise ConfigError(f"socket: the folder {path.parent} cannot be used ({error.strerror})") from error
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigError(f"socket: {path} exists and is no socket; it is left alone")
        path.unlink()
    except FileNotFoundError:
        pass
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The umask makes it 0600 from its first moment on.
    before = os.umask(0o177)
    try:
        with address(path) as short:
            server.bind(short)
    finally:
        os.umask(before)
    server.listen(64)
    return server


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end, as the kernel knows it."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def log(clock: Clock, text: str) -> None:
    """One line of the signer's diary, on standard error."""
    print(f"{iso(clock.now())} {text}", file=sys.stderr, flush=True)


@attrs.define
class Server:
    """Answers requests until `stop` is called. `uid` is the only user who is answered."""

    listener: socket.socket
    desk: Desk
    clock: Clock
    uid: int = attrs.field(factory=os.geteuid)
    _slots: threading.BoundedSemaphore = attrs.field(
        factory=lambda: threading.BoundedSemaphore(CONNECTIONS_MAX), init=False, repr=False
    )
    _wake: tuple[socket.socket, socket.socket] = attrs.field(factory=socket.socketpair, init=False, repr=False)

    def run(self) -> None:
        """Accept connections, each in a thread of its own, until `stop`; those under way are finished first."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.listener, selectors.EVENT_READ)
            waiting.register(self._wake[0], selectors.EVENT_READ)
            while True:
                ready = {found.fileobj for found, _ in waiting.select()}
                if self._wake[0] in ready:
                    break
                connection, _ = self.listener.accept()
                self._begin(connection)
        self.listener.close()
        for _ in range(CONNECTIONS_MAX):
            self._slots.acquire()
        for end in self._wake:
            end.close()

    def stop(self) -> None:
        """End `run`. Safe in a signal handler, also in one that comes after the end."""
        with contextlib.suppress(OSError):
            self._wake[1].send(b"x")

    def _begin(self, connection: socket.socket) -> None:
        if not self._slots.acquire(blocking=False):
            self._refuse(connection, SignerError(f"{CONNECTIONS_MAX} requests are under way already", "busy"))
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._answer(connection)
        finally:
            self._slots.release()

    def _answer(self, connection: socket.socket) -> None:
        try:
            self._admit(connection)
            send(connection, self._handle(receive(connection, REQUEST_SECONDS)), REQUEST_SECONDS)
        except SignerError as error:
            self._refuse(connection, error)
        except LineError as error:
            self._refuse(connection, SignerError(f"no request: {error}", "request"))
        except OSError as error:
            log(self.clock, f"a connection was lost ({type(error).__name__})")
        except Exception as error:  # whatever went wrong, the next request finds the signer alive
            self._refuse(connection, SignerError(f"the signer failed with {type(error).__name__}", "failed"))

    def _admit(self, connection: socket.socket) -> None:
        uid = peer_uid(connection)
        if uid != self.uid:
            raise SignerError(f"user {uid} may not ask this signer", "peer")

    def _refuse(self, connection: socket.socket, error: SignerError) -> None:
        log(self.clock, f"refused ({error.code}): {error}")
        told: dict[str, Any] = {"ok": False, "code": error.code, "reason": str(error)}
        if error.code == "nonce":
            told |= {"least_cap_raw": str(error.least_cap_raw), "least_tip_raw": str(error.least_tip_raw)}
        try:
            send(connection, told, REQUEST_SECONDS)
        except OSError as lost:
            log(self.clock, f"the refusal could not be told ({type(lost).__name__})")

    def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("do")
        fields = _FIELDS.get(wanted) if isinstance(wanted, str) else None
        if fields is None or set(request) != fields or not all(isinstance(value, str) for value in request.values()):
            raise SignerError(
                'expected {"do": "sign", "sender": ..., "unsigned": ..., "stop_file": ...} or {"do": "about"}',
                "request",
            )
        handle: Callable[[dict[str, str]], dict[str, Any]] = self._sign if wanted == "sign" else self._about
        return handle(request)

    def _about(self, request: dict[str, str]) -> dict[str, Any]:
        desk = self.desk
        return {
            "ok": True,
            "address": desk.policy.sender,
            "chain_id": desk.policy.chain_id,
            "stop_file": str(placed(desk.stop_file)),
            "stopped": why_stopped(desk.stop_file),
        }

    def _sign(self, request: dict[str, str]) -> dict[str, Any]:
        watched = str(placed(self.desk.stop_file))
        if request["stop_file"] != watched:
            raise SignerError(
                f"this signer watches the stop file {watched}, the asker {request['stop_file']}; both must watch the same",
                "stop_file",
            )
        try:
            data = hex_bytes(request["unsigned"], "transaction")
        except ValidationError as error:
            raise SignerError(f"the request holds no transaction: {error}", "request") from error
        transaction, signed = self.desk.sign(data, request["sender"])
        log(
            self.clock,
            f"signed nonce {transaction.nonce}: {transaction.data[:10]} of {transaction.to}, gas {transaction.gas}, "
            f"fee cap {transaction.fees.cap_raw} wei, hash {signed.hash}",
        )
        return {"ok": True, "raw": signed.raw}
