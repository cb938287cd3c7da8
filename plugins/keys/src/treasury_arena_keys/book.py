"""The nonce book: what was signed for which nonce, durable before the signature exists, so that a restarted signer remembers."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import attrs

from treasury_arena.clock import Clock, iso
from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.errors import ConfigError, SignerError
from treasury_arena_keys.hidden import private_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signed (
    chain_id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    nonce TEXT NOT NULL,
    digest TEXT NOT NULL,
    cap_raw TEXT NOT NULL,
    tip_raw TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (chain_id, sender, nonce, digest)
) STRICT, WITHOUT ROWID
"""


def least_replacement(cap_raw: int, tip_raw: int) -> Fees:
    """The lowest fees that replace a transaction with these: both 1.125 times as high, rounded up."""
    return Fees(-(-cap_raw * 9 // 8), -(-tip_raw * 9 // 8))


@attrs.define
class NonceBook:
    """A SQLite file of one signer process, held open and locked for as long as it runs."""

    path: Path
    clock: Clock
    _connection: sqlite3.Connection = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        private_file(self.path, "nonce book")
        try:
            # One lock around all uses is the caller's; SQLite need not check which thread it is.
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA synchronous = FULL")
            if self._connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise ConfigError(
                    f"the nonce book {self.path} is damaged; put back a copy, or see the how-to page on keys"
                )
            self._connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise ConfigError(f"the nonce book {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def claim(self, transaction: Unsigned, digest: str) -> None:
        """Write down that a transaction is about to be signed; durable when this returns.

        Raises SignerError (code ``nonce``) when another was signed for its nonce that it does not outbid, and (code ``book``)
        when the book cannot be read or written: nothing may be signed then. The same transaction may be signed again.
        """
        t = transaction
        key = (t.chain_id, t.sender.lower(), str(t.nonce))
        try:
            rows = self._connection.execute(
                "SELECT digest, cap_raw, tip_raw FROM signed WHERE chain_id = ? AND sender = ? AND nonce = ?", key
            ).fetchall()
            if any(row[0] == digest for row in rows):
                return
            if rows:
                least = least_replacement(max(int(row[1]) for row in rows), max(int(row[2]) for row in rows))
                if t.fees.cap_raw < least.cap_raw or t.fees.tip_raw < least.tip_raw:
                    raise SignerError(
                        f"another transaction was signed for nonce {t.nonce}; a replacement needs a fee cap of {least.cap_raw} "
                        f"and a tip of {least.tip_raw} wei",
                        "nonce",
                        least.cap_raw,
                        least.tip_raw,
                    )
            self._connection.execute(
                "INSERT INTO signed VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, digest, str(t.fees.cap_raw), str(t.fees.tip_raw), iso(self.clock.now())),
            )
        except sqlite3.Error as error:
            raise SignerError(f"the nonce book cannot be written ({error}); nothing is signed", "book") from error
