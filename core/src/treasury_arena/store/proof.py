"""The quick proof: whether a store is sound, in one pass, without saying what is wrong when it is not.

It proves what `treasury_arena.store.audit` proves, row for row, and vouches for nothing that it does not understand at once.
Where it does not vouch, the audit goes through the store again, slowly, and its findings are what counts.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.errors import TreasuryArenaError
from treasury_arena.events.event import Event, Transfer
from treasury_arena.events.exact import read_exact
from treasury_arena.events.hashing import digests
from treasury_arena.store import schema
from treasury_arena.store.database import Database
from treasury_arena.store.event_store import EventStore, lines_of
from treasury_arena.store.projections import RULES
from treasury_arena.store.replay import Replay, alike
from treasury_arena.store.table import Table

Row = tuple[Any, ...]
Heard = Callable[[Event], None]
"""Hears of every event as it is proven."""
Vouched = TypeVar("Vouched")

WRONG_CAUSES = (
    "SELECT e.seq FROM events e LEFT JOIN events c ON c.event_id = e.caused_by "
    "WHERE e.caused_by IS NOT NULL AND (c.seq IS NULL OR c.seq >= e.seq) ORDER BY e.seq"
)
"""Events that say they were caused by another that is not there, or not earlier."""

MISSHAPEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, TreasuryArenaError)
"""What reading and folding an event may raise whose content has not the shape that its type asks for."""

NO_EVENT = math.inf
"""Stands where a number of an event does, and is none."""

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


@attrs.define
class Books:
    """The first share of a proof: ids, hashes, the chain, canonical text, causes and every ledger line.

    Attributes:
        proof: what was gone through.
        moved: rows of `account_balances` as the ledger gives them.
    """

    proof: Proof
    moved: list[Row]


def proven(
    store: EventStore,
    connection: Connection,
    heard: Heard | None = None,
    books: Callable[[], Books | None] | None = None,
) -> Proof | None:
    """Proof that the store is sound as `connection` sees it, or None when that is to be looked at closely.

    `heard` hears events that stand, each with everything before it; whether the whole store does is known at the end only.
    `books` is asked in the end for what somebody else has proven of exactly what `connection` sees, None when it does not
    stand: then the payloads are folded and the tables compared here, and nothing else. Nothing may hear of events then.
    """

    def prove() -> Proof | None:
        replay = Replay()
        found = _gone_through(store.database, connection, replay, heard=heard, booking=books is None)
        if found is not None and books is not None:
            other = books()
            # The other must have seen, and proven, just what this process sees.
            if other is None or (other.proof.events, other.proof.digest) != store.last_inside(connection):
                return None
            replay.settled(other.moved)
            found = attrs.evolve(other.proof, rows=found.rows)
        if found is None:
            return None
        replay.last_seq, replay.digest = found.events, found.digest
        return found if _projected(store.database, connection, replay, found) else None

    return _vouched(store.database, connection, prove)


def books_of(database: Database, connection: Connection) -> Books | None:
    """The first share of a proof, for somebody who folds the payloads of the same events; None where it does not stand."""

    def prove() -> Books | None:
        replay = Replay()
        proof = _gone_through(database, connection, replay, folding=False)
        return None if proof is None else Books(proof, [*replay.table(schema.ACCOUNT_BALANCES.name).values()])

    return _vouched(database, connection, prove)


def _vouched(database: Database, connection: Connection, prove: Callable[[], Vouched | None]) -> Vouched | None:
    with _uncollected():
        try:
            # PostgreSQL ends what a transaction has seen at the first error; the savepoint keeps it good for its end.
            with database.failing_as_store_error(), connection.begin_nested():
                return prove()
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


def _gone_through(
    database: Database,
    connection: Connection,
    replay: Replay,
    *,
    heard: Heard | None = None,
    booking: bool = True,
    folding: bool = True,
) -> Proof | None:
    """One pass over the events, with both shares of the proof or with one of them; None where it does not stand."""
    proof = Proof(digest=replay.digest)
    lines = _rows(database, connection, schema.CAPITAL_LEDGER, "entry") if booking else iter(())
    growing = _Growing(database, connection, replay, proof, GROWING if folding else ())
    before, last = 0, proof.digest
    for row in _rows(database, connection, schema.EVENTS, "seq"):
        seq, event_id, event_type, version, agent_id, timestamp, data, caused_by, prev_hash, own = row
        wanted = folding and (heard is not None or event_type in RULES)
        if booking:
            if seq != before + 1 or prev_hash != last:
                return None
            if type(timestamp) is not str or (agent_id is not None and type(agent_id) is not str):
                return None  # bytes may be sealed as well as text
            if digests(seq, event_type, version, agent_id, timestamp, data, caused_by, prev_hash) != (event_id, own):
                return None
            if caused_by is not None:
                proof.causes += 1
        elif not wanted:
            continue
        read = read_exact(event_type, version, data, wanted)
        if read is None:
            return None
        before, last = seq, own
        if wanted:
            event = Event(*row + read)
            replay.fold(event)
            if heard is not None:
                heard(event)
        transfers = read[1]
        if transfers and booking:
            proof.balances += replay.post(seq, transfers)
            if not _posted(row, transfers, lines, proof):
                return None
        if seq == growing.next and not growing.written(seq):
            return None
    proof.events, proof.digest = before, last
    if next(lines, None) is not None or not growing.over:
        return None
    if proof.causes and connection.exec_driver_sql(WRONG_CAUSES).first() is not None:
        return None
    return proof


def _rows(database: Database, connection: Connection, table: Table, order: str) -> Iterator[Row]:
    return chain.from_iterable(database.pages(connection, table, order))


def _posted(event: Row, transfers: tuple[Transfer, ...], lines: Iterator[Row], proof: Proof) -> bool:
    """Whether the next lines of the ledger are those of an event, whose sums and balances were settled before."""
    wanted = lines_of(event[0], event[1], event[5], transfers, proof.lines)
    if [*islice(lines, len(wanted))] != wanted:
        return False
    proof.lines += len(wanted)
    for transfer in transfers:
        proof.sums += len({line.asset for line in transfer.lines})
    return True


class _Growing:
    """The tables that grow with every order, each read in the order in which its rows were written last.

    A row is compared at the event that wrote it last, by its own word, and forgotten: so memory holds open orders only. An
    event that writes it later all the same is refused by the replay, and nothing is vouched for.
    """

    def __init__(
        self, database: Database, connection: Connection, replay: Replay, proof: Proof, names: Sequence[str]
    ) -> None:
        self._replay, self._proof, self._names = replay, proof, names
        self._rows = [_rows(database, connection, schema.PROJECTIONS[name], "seq") for name in names]
        self._heads = [next(rows, None) for rows in self._rows]
        self._seqs = [NO_EVENT if head is None else head[-1] for head in self._heads]
        self.next = min(self._seqs, default=NO_EVENT)
        """The next event that wrote a row last."""

    @property
    def over(self) -> bool:
        """Whether no row is left, not even one that names no event."""
        return not any(self._heads)

    def written(self, seq: int) -> bool:
        """Whether every row that event `seq` wrote last is what the events up to it give."""
        for place, name in enumerate(self._names):
            while self._seqs[place] == seq and (row := self._heads[place]) is not None:
                if not alike(self._replay.take(name, row[: schema.PROJECTIONS[name].key_columns]), row):
                    return False
                self._proof.rows += 1
                self._heads[place] = head = next(self._rows[place], None)
                self._seqs[place] = NO_EVENT if head is None else head[-1]
        self.next = min(self._seqs, default=NO_EVENT)
        return True


def _projected(database: Database, connection: Connection, replay: Replay, proof: Proof) -> bool:
    """Whether every projection holds the rows that the events give, and no other."""
    for name, table in schema.PROJECTIONS.items():
        expected, held = replay.table(name), 0
        if name in GROWING:  # every stored row was taken
            if expected:
                return False
            continue
        for page in database.pages(connection, table):
            held += len(page)
            for row in page:
                want = expected.pop(row[: table.key_columns], None)  # so that a row is not taken for another one twice
                if want is None or not alike(want, row):
                    return False
        if expected:
            return False
        proof.rows += held
    return True
