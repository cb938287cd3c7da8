"""The desk of the signer: every rule in order, one transaction at a time, the stop looked at before and after the key."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import attrs
from eth_utils.crypto import keccak

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.chain import Signed, Unsigned
from treasury_arena.errors import SignerError, ValidationError
from treasury_arena_keys.book import NonceBook
from treasury_arena_keys.policy import Policy
from treasury_arena_keys.sentinel import why_stopped
from treasury_arena_keys.transactions import payload, read_payload, verified
from treasury_arena_keys.vault import Vault

WINDOW_SECONDS = 60.0


class Rate:
    """Counts signatures of the last minute of this process."""

    def __init__(self, most: int, watch: Stopwatch | None = None) -> None:
        self._most, self._watch = most, watch or Stopwatch()
        self._times: deque[float] = deque()

    def take(self) -> None:
        """Count one more. Raises SignerError (code ``rate``) when the minute is full."""
        now = self._watch.seconds()
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) >= self._most:
            raise SignerError(f"{self._most} signatures a minute are allowed, and were given", "rate")
        self._times.append(now)


@attrs.define
class Desk:
    """Signs what the policy, the rate and the nonce book agree to while nothing is stopped."""

    vault: Vault
    policy: Policy
    book: NonceBook
    rate: Rate
    stop_file: Path
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def sign(self, data: bytes, sender: str) -> tuple[Unsigned, Signed]:
        """Sign an unsigned payload. Raises SignerError with the rule's code; a signature that was made is then withheld."""
        with self._lock:
            self._look()
            transaction = self._read(data, sender)
            refusal = self.policy.judge(transaction)
            if refusal is not None:
                raise SignerError(refusal.reason, refusal.code)
            self.rate.take()
            self.book.claim(transaction, "0x" + keccak(data).hex())
            self._look()
            signed = verified(self.vault.sign(transaction), transaction, "the key")
            self._look()
            return transaction, signed

    def _look(self) -> None:
        why = why_stopped(self.stop_file)
        if why:
            raise SignerError(f"stopped: {why}", "stopped")

    @staticmethod
    def _read(data: bytes, sender: str) -> Unsigned:
        try:
            transaction = read_payload(data, sender)
        except ValidationError as error:
            raise SignerError(f"the request holds no transaction: {error}", "request") from error
        if payload(transaction) != data:
            raise SignerError("the request holds no transaction: it is not in its canonical encoding", "request")
        return transaction
