"""The event store.

1. Events are numbered from 1 without gaps and chained by hash; a stored event is never changed.
2. One append is one transaction: events, ledger lines and projections become visible together or not at all.
3. Two writers never share a number: one waits for the other, and `expected_seq` tells the later one that it was late.
4. No append is stored whose transfers do not sum to zero, or that would leave an account negative that may not be.
5. Everything but the events can be dropped and rebuilt from them.
6. Who lost the lease writes nothing more through a store that it fences.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy.engine import Connection

from treasury_arena.errors import ConcurrencyError, IntegrityError, StoreError, ValidationError, nearest
from treasury_arena.events import codec
from treasury_arena.events.event import Draft, Event, Transfer
from treasury_arena.events.hashing import GENESIS, digests, encode_drafts, seal
from treasury_arena.events.postings import settle
from treasury_arena.store import schema
from treasury_arena.store.database import Database, parse_url
from treasury_arena.store.migrate import prepare
from treasury_arena.store.projections import draw_state, fold_rules, needed, stored, touched
from treasury_arena.store.rules import Row

PAGE_ROWS = 1_000
BUSY_TIMEOUT_MS = 10_000


def open_store(
    url: str | Path, *, create: bool = True, readonly: bool = False, busy_timeout_ms: int = BUSY_TIMEOUT_MS
) -> EventStore:
    """Open the store at a path, ``sqlite:///PATH``, ``sqlite://`` (memory) or ``postgresql://USER:PASSWORD@HOST/NAME``.

    Migrations run first. `busy_timeout_ms`: how long to wait for another writer. With `create` false a store must be there;
    with `readonly` nothing is ever written.

    Raises StoreError with one sentence for whatever is in the way; passwords are never shown.
    """
    database = Database(parse_url(url), create=create, readonly=readonly, busy_timeout_ms=busy_timeout_ms)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return EventStore(database)


class EventStore:
    """Append-only events with their ledger and projections; made by `open_store`. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._writer = threading.Lock()
        self._fence: Callable[[Connection], None] | None = None

    def fenced(self, check: Callable[[Connection], None]) -> EventStore:
        """This store for a writer that may lose its right to write: each append first calls `check` in its own transaction.

        What `check` raises undoes the append. Both stores share their connections; closing one closes the other.
        """
        other = EventStore(self.database)
        other._writer, other._fence = self._writer, check
        return other

    @property
    def url(self) -> str:
        """The store's URL with its password masked."""
        return self.database.url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for other databases."""
        return self.database.path

    def __repr__(self) -> str:
        return f"EventStore({self.url!r})"

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the store object is of no use afterwards."""
        self.database.close()

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], *, expected_seq: int | None = None) -> list[Event]:
        """Store `drafts` in one transaction and return them as events. No drafts: nothing happens.

        Raises ConcurrencyError when the last event's seq is not `expected_seq`; AllocationError or
        CapitalConservationError when a transfer breaks the ledger's laws; ValidationError for a draft that cannot be stored;
        StoreError when the database refuses. Whatever is raised, nothing was written.
        """
        return self.append_decided(lambda _: drafts, expected_seq=expected_seq) if drafts else []

    def append_decided(
        self, decide: Callable[[Connection], Sequence[Draft]], *, expected_seq: int | None = None
    ) -> list[Event]:
        """Store what `decide` returns, in the transaction in which it decides: nothing it has read changes before the commit.

        `decide` gets the transaction's connection to read from and may raise, which undoes everything. Raises as `append`.
        """
        if self.database.readonly:
            raise StoreError(f"store {self.database.label} was opened read-only; nothing was written")
        with self._writer, self.database.write() as connection:
            if self._fence is not None:
                self._fence(connection)
            drafts = decide(connection)
            if not drafts:
                return []
            encoded = encode_drafts(drafts)
            seq, prev_hash = self.last_inside(connection)
            self._check_noted(connection, seq)
            if expected_seq is not None and seq != expected_seq:
                raise ConcurrencyError(
                    f"store {self.database.label} is at event {seq}, not {expected_seq}: another writer was first; "
                    "read the new events and try again"
                )
            self._check_causes(connection, drafts)
            events = seal(drafts, encoded, seq, prev_hash)
            self.database.put(connection, schema.EVENTS, [event_row(event) for event in events])
            self._post(connection, events)
            self._project(connection, events)
        return events

    def _check_noted(self, connection: Connection, seq: int) -> None:
        """Refuse to build on a log that is not as long as the last append left it."""
        found = self.database.fetch(connection, "SELECT last_seq FROM arena_state WHERE id = 1")
        noted = found[0][0] if found else None
        if (noted or 0) != seq:
            raise IntegrityError(
                f"store {self.database.label} ends with event {seq}, its last append with {noted!r}: nothing was written; "
                "`arena audit` tells more"
            )

    def _check_causes(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        for cause in {draft.caused_by for draft in drafts if isinstance(draft.caused_by, str)}:
            if not self.database.rows(connection, schema.EVENTS, "WHERE event_id = ?", [cause]):
                raise ValidationError(f"caused_by {cause!r} is the id of no stored event")

    def _post(self, connection: Connection, events: Sequence[Event]) -> None:
        moving = [event for event in events if event.transfers]
        if not moving:
            return
        accounts = {line.account for event in moving for transfer in event.transfers for line in transfer.lines}
        held = self.database.rows_of(connection, schema.ACCOUNT_BALANCES, accounts)
        balances = {(account, asset): _amount(account, asset, amount) for account, asset, amount, _ in held}
        moved: dict[tuple[str, str], int] = {}
        for event in moving:
            after = settle(balances, event.transfers)
            balances.update(after)
            moved.update(dict.fromkeys(after, event.seq))
        ((entry,),) = self.database.fetch(connection, "SELECT max(entry) FROM capital_ledger")
        self.database.put(connection, schema.CAPITAL_LEDGER, ledger_rows(moving, int(entry or 0)))
        changed = [(*key, str(balances[key]), seq) for key, seq in sorted(moved.items())]
        self.database.put(connection, schema.ACCOUNT_BALANCES, changed, replace=True)

    def _project(self, connection: Connection, events: Sequence[Event]) -> None:
        rows: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in schema.FOLDED}
        dirty: dict[str, set[tuple[Any, ...]]] = {name: set() for name in schema.FOLDED}
        touches = touched(events)
        for name, keys in needed(touches).items():
            table = schema.FOLDED[name]
            for row in self.database.rows_of(connection, table, keys):
                rows[name][row[: table.key_columns]] = dict(zip(table.columns, row, strict=True))
        fold_rules(rows, touches, dirty)
        for name, written in dirty.items():
            if not written:
                continue
            table = schema.FOLDED[name]
            changed = [stored(table, rows[name][key]) for key in sorted(written)]
            self.database.put(connection, table, changed, replace=True)
        state = self._state(connection, events[-1].seq)
        self.database.put(connection, schema.ARENA_STATE, [stored(schema.ARENA_STATE, state)], replace=True)

    def _state(self, connection: Connection, last_seq: int) -> Row:
        runs = self.database.rows_of(connection, schema.SIMULATION_RUNS, [1])
        run = dict(zip(schema.SIMULATION_RUNS.columns, runs[0], strict=True)) if runs else None
        balances = {**self._balances(connection, "pool:"), **self._balances(connection, "treasury:")}
        stages = self.database.fetch(connection, "SELECT stage, count(*) FROM agents GROUP BY stage")
        funded = self.database.fetch(connection, "SELECT pool, allocated_raw FROM agents WHERE allocated_raw <> '0'")
        return draw_state(
            last_seq, run, balances, {stage: int(n) for stage, n in stages}, [(pool, amount) for pool, amount in funded]
        )

    # -- reading -----------------------------------------------------------------------------------------------------

    def last(self) -> tuple[int, str]:
        """``(seq, hash)`` of the last event; ``(0, GENESIS)`` of an empty store. The hash is the digest of the run."""
        with self.database.read() as connection:
            return self.last_inside(connection)

    def last_inside(self, connection: Connection) -> tuple[int, str]:
        """`last`, as a transaction sees it."""
        found = self.database.fetch(connection, "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        return (int(found[0][0]), str(found[0][1])) if found else (0, GENESIS)

    def read(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        event_type: str | None = None,
        agent_id: str | None = None,
        tail: int | None = None,
    ) -> Iterator[Event]:
        """Iterate events in order of seq, `after` excluded and `upto` included; `tail` keeps the last so many.

        Each event's hash is proven while reading, and that no event is missing; without a filter also that each follows the
        one before. Raises IntegrityError naming the first event that was changed or is missing, and StoreError for an
        `event_type` that does not exist.
        """
        if event_type is not None and event_type not in codec.VERSIONS:
            raise StoreError(f"there is no event type {event_type!r}; {nearest(event_type, codec.VERSIONS)}")
        where, params = "", []
        for condition, value in (("seq <= ?", upto), ("event_type = ?", event_type), ("agent_id = ?", agent_id)):
            if value is not None:
                where += f" AND {condition}"
                params.append(value)
        chained = event_type is None and agent_id is None
        if tail is not None:
            return self._tail(where, params, after, tail, chained)
        return self._pages(where, params, after, chained)

    def _pages(self, where: str, params: list[Any], after: int, chained: bool) -> Iterator[Event]:
        with self.database.read() as connection:
            self._check_whole(connection)
            before = self._at(connection, after) if chained else None
        while True:
            with self.database.read() as connection:
                tail = f"WHERE seq > ?{where} ORDER BY seq LIMIT {PAGE_ROWS}"
                rows = self.database.rows(connection, schema.EVENTS, tail, [after, *params])
            for row in rows:
                event = event_of(row)
                if before is not None:
                    check_next(event, *before)
                    before = (event.seq, event.hash)
                yield event
            if len(rows) < PAGE_ROWS:
                return
            after = rows[-1][0]

    def _tail(self, where: str, params: list[Any], after: int, count: int, chained: bool) -> Iterator[Event]:
        with self.database.read() as connection:
            self._check_whole(connection)
            tail = f"WHERE seq > ?{where} ORDER BY seq DESC LIMIT {max(0, int(count))}"
            rows = self.database.rows(connection, schema.EVENTS, tail, [after, *params])
            before = self._at(connection, rows[-1][0] - 1) if rows and chained else None
        for row in reversed(rows):
            event = event_of(row)
            if before is not None:
                check_next(event, *before)
                before = (event.seq, event.hash)
            yield event

    def _at(self, connection: Connection, seq: int) -> tuple[int, str] | None:
        """``(seq, hash)`` of one event; what precedes the first one for 0; None when there is no such event."""
        if seq <= 0:
            return 0, GENESIS
        rows = self.database.rows(connection, schema.EVENTS, "WHERE seq = ?", [seq])
        return (seq, str(rows[0][-1])) if rows else None

    def _check_whole(self, connection: Connection) -> None:
        """Raise IntegrityError when events are missing: within the log, or at its end, where books and state go on."""
        count, last, noted, booked = connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM events), (SELECT max(seq) FROM events), "
            "(SELECT max(last_seq) FROM arena_state), "
            "(SELECT seq FROM capital_ledger ORDER BY entry DESC LIMIT 1)"
        ).one()
        last = last or 0
        missing = None
        if count != last:
            gap = (
                "SELECT min(e.seq) + 1 FROM (SELECT 0 AS seq UNION ALL SELECT seq FROM events) e "
                "WHERE e.seq >= 0 AND NOT EXISTS (SELECT 1 FROM events n WHERE n.seq = e.seq + 1)"
            )
            missing = connection.exec_driver_sql(gap).scalar()
        elif any(isinstance(seq, int) and seq > last for seq in (noted, booked)):
            missing = last + 1
        if missing is not None:
            raise IntegrityError(
                f"event {missing} is missing in store {self.database.label}: its log is not whole; `arena audit` tells more"
            )

    def balance(self, account: str, asset: str) -> int:
        """Base units of `asset` on `account`; 0 for an account never posted to."""
        with self.database.read() as connection:
            tail = "WHERE account = ? AND asset = ?"
            rows = self.database.rows(connection, schema.ACCOUNT_BALANCES, tail, [account, asset])
        return _amount(account, asset, rows[0][2]) if rows else 0

    def balances(self, prefix: str = "", connection: Connection | None = None) -> dict[tuple[str, str], int]:
        """(account, asset) -> base units, for every account that starts with `prefix`, sorted; as a transaction has them."""
        if connection is not None:
            return self._balances(connection, prefix)
        with self.database.read() as connection:
            return self._balances(connection, prefix)

    def _balances(self, connection: Connection, prefix: str) -> dict[tuple[str, str], int]:
        tail, params = "", []
        if prefix:
            collate = "" if self.database.sqlite else ' COLLATE "C"'
            tail = f"WHERE account{collate} >= ? AND account{collate} < ?"
            params = [prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)]
        rows = self.database.rows(connection, schema.ACCOUNT_BALANCES, tail, params)
        return dict(sorted(((account, asset), _amount(account, asset, amount)) for account, asset, amount, _ in rows))


def _amount(account: str, asset: str, amount: Any) -> int:
    try:
        return int(amount)
    except (TypeError, ValueError):
        raise IntegrityError(
            f"account_balances holds {amount!r} as the {asset} of {account}, which is no number; `arena audit` tells more"
        ) from None


event_row: Callable[[Event], tuple[Any, ...]] = attrgetter(*schema.EVENTS.columns)
"""The stored columns of an event."""


def event_of(row: Sequence[Any]) -> Event:
    """The event of a stored row; raises IntegrityError when its hash does not seal it or its data cannot be read."""
    seq, event_id, event_type, version, agent_id, timestamp, data, caused_by, prev_hash, own = row
    try:
        proven = digests(seq, event_type, version, agent_id, timestamp, data, caused_by, prev_hash)
    except TypeError:  # a column that holds nothing, or a number
        proven = ("", "")
    if proven != (event_id, own):
        raise IntegrityError(
            f"event {seq} was changed after it was stored (its hash does not fit); `arena audit` tells more"
        )
    try:
        payload, transfers = codec.decode_data(event_type, version, data)
    except IntegrityError as error:
        raise IntegrityError(f"event {seq}: {error}") from error
    return Event(
        seq, event_id, event_type, version, agent_id, timestamp, data, caused_by, prev_hash, own, payload, transfers
    )


def check_next(event: Event, seq: int, prev_hash: str) -> None:
    """Raise IntegrityError unless `event` follows the one with `seq` and the hash `prev_hash`."""
    if event.seq != seq + 1 or event.prev_hash != prev_hash:
        raise IntegrityError(f"event {seq + 1} is missing or does not follow its predecessor; `arena audit` tells more")


def ledger_rows(events: Sequence[Event], entry: int) -> list[tuple[Any, ...]]:
    """The `capital_ledger` rows of `events`, numbered after `entry`."""
    rows: list[tuple[Any, ...]] = []
    for event in events:
        rows += lines_of(event.seq, event.event_id, event.timestamp, event.transfers, entry + len(rows))
    return rows


def lines_of(
    seq: int, event_id: str, timestamp: str, transfers: Sequence[Transfer], entry: int
) -> list[tuple[Any, ...]]:
    """The `capital_ledger` rows of one event, numbered after `entry`."""
    rows = []
    for index, transfer in enumerate(transfers):
        transfer_id = f"{event_id}:{index}"
        for line in transfer.lines:
            entry += 1
            rows.append(
                (
                    entry,
                    seq,
                    event_id,
                    transfer_id,
                    line.account,
                    line.asset,
                    str(line.amount_raw),
                    transfer.reason,
                    timestamp,
                )
            )
    return rows
