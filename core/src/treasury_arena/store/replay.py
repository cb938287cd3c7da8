"""Replay: fold every event afresh and compare with what is stored, or put it in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.errors import IntegrityError
from treasury_arena.events.event import Event, Transfer
from treasury_arena.events.hashing import GENESIS
from treasury_arena.events.postings import settle
from treasury_arena.store import schema
from treasury_arena.store.event_store import PAGE_ROWS, EventStore, check_next, event_of, ledger_rows
from treasury_arena.store.projections import RULES, draw_state, stored
from treasury_arena.store.rules import Row
from treasury_arena.store.table import Table

StoredRow = tuple[Any, ...]


class Replay:
    """Every projection in memory, folded from events handed to `feed` in order."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in schema.FOLDED}
        self._balances: dict[tuple[str, str], int] = {}
        self._taken: dict[str, set[int]] = {name: set() for name in schema.FOLDED}
        self._moved: dict[tuple[str, str], int] = {}
        self._ways = {
            name: [
                (rule.table, rule.keys, rule.fold, self._rows[rule.table], self._taken[rule.table]) for rule in rules
            ]
            for name, rules in RULES.items()
        }
        self.last_seq = 0
        self.digest = GENESIS

    def feed(self, event: Event) -> None:
        """Fold one event; raises what appending it would have raised."""
        self.fold(event)
        self.post(event.seq, event.transfers)
        self.last_seq, self.digest = event.seq, event.hash

    def fold(self, event: Event) -> None:
        """Fold what an event says by its payload; raises IntegrityError when it touches a row that was taken."""
        for table, keys, fold, rows, taken in self._ways.get(event.event_type, ()):
            for key in keys(event):
                before = rows.get(key)
                if before is None and hash(key) in taken:
                    raise IntegrityError(f"event {event.seq} touches a row of {table} that was taken")
                row = fold(before, event, key)
                if row is not None:
                    rows[key] = row

    def post(self, seq: int, transfers: tuple[Transfer, ...]) -> int:
        """Settle an event's transfers and return how many balances they touch."""
        after = settle(self._balances, transfers)
        self._balances.update(after)
        self._moved.update(dict.fromkeys(after, seq))
        return len(after)

    def settled(self, rows: Iterable[StoredRow]) -> None:
        """Take over what somebody else has settled: rows of `account_balances` as `table` gives them."""
        for account, asset, amount, seq in rows:
            self._balances[account, asset], self._moved[account, asset] = int(amount), seq

    def tables(self) -> dict[str, dict[tuple[Any, ...], StoredRow]]:
        """Projection -> key -> row as the store would hold it."""
        return {name: self.table(name) for name in schema.PROJECTIONS}

    def take(self, name: str, key: tuple[Any, ...]) -> StoredRow:
        """One row as the store would hold it, which is forgotten: an event that touches it again is refused.

        Raises KeyError when there is none.
        """
        row = self._rows[name].pop(key)
        self._taken[name].add(hash(key))
        return stored(schema.PROJECTIONS[name], row)

    def table(self, name: str) -> dict[tuple[Any, ...], StoredRow]:
        """One projection: key -> row as the store would hold it."""
        rows: Iterable[Row]
        if name == schema.ARENA_STATE.name:
            rows = [self._state()] if self.last_seq else []
        elif name == schema.ACCOUNT_BALANCES.name:
            return {key: (*key, str(amount), self._moved[key]) for key, amount in self._balances.items()}
        else:
            rows = self._rows[name].values()
        table = schema.PROJECTIONS[name]
        return keyed(table, [stored(table, row) for row in rows])

    def _state(self) -> Row:
        agents = self._rows["agents"].values()
        funded = [(row["pool"], row["allocated_raw"]) for row in agents if row["allocated_raw"] != "0"]
        stages = Counter(row["stage"] for row in agents)
        return draw_state(self.last_seq, self._rows["simulation_runs"].get((1,)), self._balances, stages, funded)


def keyed(table: Table, rows: Iterable[StoredRow]) -> dict[tuple[Any, ...], StoredRow]:
    """Rows by their key columns."""
    return {row[: table.key_columns]: row for row in rows}


@attrs.frozen
class Difference:
    """A stored row that the events do not give: `stored` or `expected` is None when there is no such row."""

    seq: int
    table: str
    key: tuple[Any, ...]
    stored: StoredRow | None
    expected: StoredRow | None

    def __str__(self) -> str:
        where = f"{self.table} {'/'.join(str(part) for part in self.key)}"
        if self.stored is None:
            return f"{where} is missing"
        if self.expected is None:
            return f"{where} comes from no event"
        names = schema.PROJECTIONS[self.table].columns
        for name, have, want in zip(names, self.stored, self.expected, strict=True):
            if repr(have) != repr(want):
                return f"{where}: {name} is {have!r}, the events say {want!r}"
        return f"{where} differs"


def alike(want: StoredRow, have: StoredRow) -> bool:
    """Whether two rows hold the same to the last bit: True, 1 and 1.0 are three values, and so are both zeros of a float."""
    if want != have:
        return False
    types = [*map(type, want)]
    if types != [*map(type, have)]:
        return False
    return float not in types or repr(want) == repr(have)


def differences(
    expected: dict[str, dict[tuple[Any, ...], StoredRow]], held: dict[str, dict[tuple[Any, ...], StoredRow]]
) -> list[Difference]:
    """Every row that differs, by the seq of the event that wrote it last."""
    found = []
    for name, rows in expected.items():
        others = held[name]
        for key in rows.keys() | others.keys():
            want, have = rows.get(key), others.get(key)
            if want is None or have is None or not alike(want, have):
                seq = (want or have or (0,))[-1]
                found.append(Difference(seq if isinstance(seq, int) else 0, name, key, have, want))
    return sorted(found, key=lambda item: (item.seq, item.table, repr(item.key)))


def stored_tables(store: EventStore, connection: Connection) -> dict[str, dict[tuple[Any, ...], StoredRow]]:
    """Every projection as the database holds it; a row whose key another one has already is kept by a key of its own."""
    tables: dict[str, dict[tuple[Any, ...], StoredRow]] = {name: {} for name in schema.PROJECTIONS}
    for name, table in schema.PROJECTIONS.items():
        for row in store.database.rows(connection, table):
            key = row[: table.key_columns]
            while key in tables[name]:
                key = (*key, "again")
            tables[name][key] = row
    return tables


@attrs.frozen
class ReplayReport:
    """What `replay` found. `digest` is the hash of the last event."""

    events: int
    digest: str
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def _events(store: EventStore, connection: Connection) -> Iterable[Event]:
    after, prev_hash = 0, GENESIS
    while True:
        tail = f"WHERE seq > ? ORDER BY seq LIMIT {PAGE_ROWS}"
        rows = store.database.rows(connection, schema.EVENTS, tail, [after])
        for row in rows:
            event = event_of(row)
            check_next(event, after, prev_hash)
            after, prev_hash = event.seq, event.hash
            yield event
        if len(rows) < PAGE_ROWS:
            return


def replay(store: EventStore) -> ReplayReport:
    """Fold every event into fresh tables and compare them with the stored ones, value by value.

    Raises IntegrityError when the log itself cannot be read in one chain.
    """
    fresh = Replay()
    with store.database.read(snapshot=True) as connection:
        for event in _events(store, connection):
            fresh.feed(event)
        held = stored_tables(store, connection)
    return ReplayReport(fresh.last_seq, fresh.digest, tuple(differences(fresh.tables(), held)))


def compare_projections(store: EventStore) -> list[Difference]:
    """Rows of the projections that the events do not give; empty when all is well."""
    return list(replay(store).differences)


def rebuild_projections(store: EventStore) -> int:
    """Drop every projection and the ledger's lines and write them again from the events, in one transaction.

    Returns the number of events folded. Raises IntegrityError, and changes nothing, when the log cannot be read.
    """
    fresh = Replay()
    with store.database.write() as connection:
        for name in (schema.CAPITAL_LEDGER.name, *schema.PROJECTIONS):
            connection.exec_driver_sql(f'DELETE FROM "{name}"')
        entry = 0
        for event in _events(store, connection):
            fresh.feed(event)
            lines = ledger_rows((event,), entry)
            store.database.put(connection, schema.CAPITAL_LEDGER, lines)
            entry += len(lines)
        for name, rows in fresh.tables().items():
            store.database.put(connection, schema.PROJECTIONS[name], [rows[key] for key in sorted(rows)])
    return fresh.last_seq
