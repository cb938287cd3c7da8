"""The quick proof: whether a store is sound, in one pass, without saying what is wrong when it is not.

It proves what `treasury_arena.store.audit` proves, row for row, and vouches for nothing that it does not understand at once.
Where it does not vouch, the audit goes through the store again, slowly, and its findings are what counts.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.errors import TreasuryArenaError
from treasury_arena.events.event import Event, Transfer
from treasury_arena.events.exact import read_exact
from treasury_arena.events.hashing import digests
from treasury_arena.store import schema
from treasury_arena.store.event_store import EventStore, lines_of
from treasury_arena.store.projections import RULES
from treasury_arena.store.replay import Replay, alike

Row = tuple[Any, ...]
Heard = Callable[[Event], None]
"""Hears of every event as it is proven."""

WRONG_CAUSES = (
    "SELECT e.seq FROM events e LEFT JOIN events c ON c.event_id = e.caused_by "
    "WHERE e.caused_by IS NOT NULL AND (c.seq IS NULL OR c.seq >= e.seq) ORDER BY e.seq"
)
"""Events that say they were caused by another that is not there, or not earlier."""

MISSHAPEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, TreasuryArenaError)
"""What reading and folding an event may raise whose content has not the shape that its type asks for."""

GROWING = (schema.TRADES.name, "intents", "slots", "attempts", "postings")
"""Tables that get a row with every order."""


@attrs.define
class Proof:
    """What was gone through: events, those with a cause, ledger lines, sums per transfer, balances, rows of projections."""

    events: int = 0
    digest: str = ""
    causes: int = 0
    lines: int = 0
    sums: int = 0
    balances: int = 0
    rows: int = 0


def proven(store: EventStore, connection: Connection, heard: Heard | None = None) -> Proof | None:
    """Proof that the store is sound as `connection` sees it, or None when that is to be looked at closely.

    `heard` hears events that stand, each with everything before it; whether the whole store does is known at the end only.
    """
    with _uncollected():
        try:
            # PostgreSQL ends what a transaction has seen at the first error; the savepoint keeps it good for its end.
            with store.database.failing_as_store_error(), connection.begin_nested():
                return _proven(store, connection, heard)
        except MISSHAPEN:
            return None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing that a pass makes is a cycle; looking for some among millions of objects takes as long as the pass itself."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _proven(store: EventStore, connection: Connection, heard: Heard | None) -> Proof | None:
    database, replay = store.database, Replay()
    proof = Proof(digest=replay.digest)
    lines = (row for page in database.pages(connection, schema.CAPITAL_LEDGER, "entry") for row in page)
    growing = _Growing(store, connection, replay, proof)
    last = proof.digest
    for page in database.pages(connection, schema.EVENTS, "seq"):
        for row in page:
            seq, event_id, event_type, version, agent_id, timestamp, data, caused_by, prev_hash, own = row
            if seq != proof.events + 1 or prev_hash != last:
                return None
            if type(timestamp) is not str or (agent_id is not None and type(agent_id) is not str):
                return None  # bytes may be sealed as well as text
            if digests(seq, event_type, version, agent_id, timestamp, data, caused_by, prev_hash) != (event_id, own):
                return None
            wanted = heard is not None or event_type in RULES
            read = read_exact(event_type, version, data, wanted)
            if read is None:
                return None
            proof.events, last = seq, own
            transfers = read[1]
            if wanted:
                event = Event(*row + read)
                replay.fold(event)
                if heard is not None:
                    heard(event)
            if transfers:
                proof.balances += replay.post(seq, transfers)
                if not _posted(row, transfers, lines, proof):
                    return None
            if seq == growing.next and not growing.written(seq):
                return None
            if caused_by is not None:
                proof.causes += 1
    replay.last_seq, replay.digest = proof.events, last
    if next(lines, None) is not None or not growing.over:
        return None
    if proof.causes and connection.exec_driver_sql(WRONG_CAUSES).first() is not None:
        return None
    proof.digest = last
    return proof if _projected(store, connection, replay, proof) else None


def _posted(event: Row, transfers: tuple[Transfer, ...], lines: Iterator[Row], proof: Proof) -> bool:
    """Whether the next lines of the ledger are those of an event, whose sums and balances were settled before."""
    for want in lines_of(event[0], event[1], event[5], transfers, proof.lines):
        if next(lines, None) != want:
            return False
        proof.lines += 1
    proof.sums += sum(len({line.asset for line in transfer.lines}) for transfer in transfers)
    return True


class _Growing:
    """The tables that grow with every order, each read in the order in which its rows were written last.

    A row is compared at the event that wrote it last, by its own word, and forgotten: so memory holds open orders only. An
    event that writes it later all the same is refused by the replay, and nothing is vouched for.
    """

    def __init__(self, store: EventStore, connection: Connection, replay: Replay, proof: Proof) -> None:
        self._replay, self._proof = replay, proof
        self._tables = {name: schema.PROJECTIONS[name] for name in GROWING}
        self._rows = {
            name: (row for page in store.database.pages(connection, table, "seq") for row in page)
            for name, table in self._tables.items()
        }
        self._heads: dict[str, Row] = {}
        for name in GROWING:
            self._move(name)
        self.next = self._next()

    def _move(self, name: str) -> None:
        head = next(self._rows[name], None)
        if head is None:
            self._heads.pop(name, None)
        else:
            self._heads[name] = head

    @property
    def over(self) -> bool:
        """Whether no row is left, not even one that names no event."""
        return not self._heads

    def _next(self) -> int | None:
        """The next event that wrote a row last; None when none is left that names one."""
        return min((head[-1] for head in self._heads.values()), default=None)

    def written(self, seq: int) -> bool:
        """Whether every row that event `seq` wrote last is what the events up to it give."""
        for name, table in self._tables.items():
            while (row := self._heads.get(name)) is not None and row[-1] == seq:
                if not alike(self._replay.take(name, row[: table.key_columns]), row):
                    return False
                self._proof.rows += 1
                self._move(name)
        self.next = self._next()
        return True


def _projected(store: EventStore, connection: Connection, replay: Replay, proof: Proof) -> bool:
    """Whether every projection holds the rows that the events give, and no other."""
    for name, table in schema.PROJECTIONS.items():
        expected, held = replay.table(name), 0
        if name in GROWING:  # every stored row was taken
            if expected:
                return False
            continue
        for page in store.database.pages(connection, table):
            held += len(page)
            for row in page:
                want = expected.pop(row[: table.key_columns], None)  # so that a row is not taken for another one twice
                if want is None or not alike(want, row):
                    return False
        if expected:
            return False
        proof.rows += held
    return True
