"""The audit: what the stored rows prove by themselves, without trusting the program that wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.errors import IntegrityError, TreasuryArenaError
from treasury_arena.events.codec import canonical_json
from treasury_arena.events.event import Event
from treasury_arena.events.hashing import GENESIS, digests
from treasury_arena.events.postings import sign_is_legal
from treasury_arena.store import schema, structure
from treasury_arena.store.event_store import PAGE_ROWS, EventStore, event_of, ledger_rows
from treasury_arena.store.proof import MISSHAPEN, WRONG_CAUSES, Heard, Proof, proven
from treasury_arena.store.replay import Replay, differences, stored_tables
from treasury_arena.store.second import by_two, proven_by_two
from treasury_arena.store.table import Table

FINDINGS_MAX = 200
Listener = TypeVar("Listener", bound=Heard)

CHECKS = (
    "sequence",
    "event_id",
    "hash",
    "chain",
    "cause",
    "canonical",
    "meaning",
    "ledger_line",
    "transfer_sum",
    "never_negative",
    "projection",
    "file",
)
"""Names of the checks, in the order of trust: projections are compared when everything before them holds.

`file` is SQLite's own: its pages, indexes and definitions. It counts tables and indexes, and none on a server.
"""

_FOLDED = ("canonical", "meaning", "ledger_line")
_SUMS = ("transfer_sum", "never_negative")
FILE = CHECKS[-1]
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")


@attrs.frozen
class Finding:
    """Something wrong at event `seq`; 0 for what no event says, in the database's own file."""

    seq: int
    check: str
    message: str

    def __str__(self) -> str:
        place = f"event {self.seq}" if self.check != FILE else "the database"
        return f"{place}: {self.check}: {self.message}"


@attrs.frozen
class AuditReport:
    """Findings by seq, those of the file last, and how many rows or sums each check went through.

    Attributes:
        skipped: checks that were not made, because what they rest on is wrong.
    """

    findings: tuple[Finding, ...]
    checks: dict[str, int]
    last_seq: int
    digest: str
    skipped: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad_seq(self) -> int | None:
        return self.findings[0].seq if self.findings and self.findings[0].check != FILE else None


class _Auditor:
    def __init__(self, store: EventStore, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self.findings: list[Finding] = []
        self.checks = dict.fromkeys(CHECKS, 0)
        self.replay = Replay()
        self.last_seq, self.last_hash = 0, GENESIS
        self.broken_at: int | None = None

    def report(self) -> AuditReport:
        lines: Iterator[tuple[Any, ...]] | None = self._pages(schema.CAPITAL_LEDGER)
        for row in self._pages(schema.EVENTS):
            event = self._event(row)
            if event is not None and lines is not None:
                lines = self._lines(event, lines)
            elif event is None:
                lines = None
        if lines is not None:
            for row in lines:
                self._find(_seq_of(row[1]), "ledger_line", f"ledger entry {row[0]} comes from no event")
                break
        self._causes()
        # From the first bad event on nothing is folded, and ledger lines are compared up to there.
        skipped = [name for name in _FOLDED if self.broken_at is not None and not self.checks[name]]
        if any(finding.check == "ledger_line" for finding in self.findings):
            skipped += _SUMS  # of lines that differ from their events: they say nothing new, and may name a wrong event
        else:
            self._ledger()
        if self.findings:
            skipped.append("projection")
        else:
            self._projections()
        findings = tuple(sorted(self.findings, key=lambda item: item.seq)[:FINDINGS_MAX])
        return AuditReport(findings, self.checks, self.last_seq, self.last_hash, tuple(skipped))

    def _find(self, seq: int, check: str, message: str) -> None:
        self.findings.append(Finding(seq, check, message))

    def _pages(self, table: Table) -> Iterator[tuple[Any, ...]]:
        key = table.key[0]
        after: Any = None
        while True:
            where = "" if after is None else f"WHERE {key} > ? "
            tail = f"{where}ORDER BY {key} LIMIT {PAGE_ROWS}"
            rows = self.store.database.rows(self.connection, table, tail, [] if after is None else [after])
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            after = rows[-1][0]

    def _event(self, row: tuple[Any, ...]) -> Event | None:
        seq, event_id, event_type, version, agent_id, timestamp, data, caused_by, prev_hash, own = row
        expected = self.last_seq + 1
        found = len(self.findings)
        if seq < 1:
            self._find(_born_as(event_id), "sequence", f"an event has the number {seq}; numbers start at 1")
            self._break()
            return None
        if seq != expected:
            self._find(min(seq, expected), "sequence", f"event {expected} is missing; the next one is {seq}")
        if prev_hash != self.last_hash:
            self._find(expected, "chain", f"event {seq} does not follow the hash of the event before it")
        texts = (event_type, timestamp, data, prev_hash)
        optional = (agent_id, caused_by)
        if not all(isinstance(t, str) for t in texts) or not all(t is None or isinstance(t, str) for t in optional):
            self._find(expected, "hash", f"event {seq} holds a value that is not text")
        else:
            its_id, its_hash = digests(seq, event_type, version, agent_id, timestamp, data, caused_by, prev_hash)
            if event_id != its_id:
                self._find(expected, "event_id", f"event {seq} has the id {event_id}, its content gives {its_id}")
            if own != its_hash:
                self._find(expected, "hash", f"event {seq} has the hash {own}, its content gives {its_hash}")
        self.last_seq, self.last_hash = seq, own
        for check in ("sequence", "chain", "event_id", "hash"):
            self.checks[check] += 1
        if len(self.findings) > found:
            self._break()
        return None if self.broken_at is not None else self._meaning(row)

    def _break(self) -> None:
        """What an event means is known as long as every event before it is: from the first bad one on nothing is folded."""
        if self.broken_at is None:
            self.broken_at = min(finding.seq for finding in self.findings)

    def _meaning(self, row: tuple[Any, ...]) -> Event | None:
        seq, data = row[0], row[6]
        self.checks["canonical"] += 1
        self.checks["meaning"] += 1
        try:
            if canonical_json(json.loads(data)) != data:
                self._find(seq, "canonical", f"event {seq} holds data that is not canonical JSON")
            event = event_of(row)
            self.replay.feed(event)
        except MISSHAPEN as error:
            self._find(seq, "meaning", f"event {seq}: {_told(error)}")
            self._break()
            return None
        return event

    def _lines(self, event: Event, lines: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]] | None:
        for want in ledger_rows((event,), self.checks["ledger_line"]):
            have = next(lines, None)
            if have is None or have[0] != want[0]:
                self._find(event.seq, "ledger_line", f"ledger entry {want[0]} of event {event.seq} is missing")
                return None
            if have != want:
                column = next(n for n, a, b in zip(schema.CAPITAL_LEDGER.columns, have, want, strict=True) if a != b)
                message = f"ledger entry {want[0]} of event {event.seq}: {column} is not what the event says"
                self._find(event.seq, "ledger_line", message)
            self.checks["ledger_line"] += 1
        return lines

    def _causes(self) -> None:
        for (seq,) in self.connection.exec_driver_sql(WRONG_CAUSES).fetchmany(FINDINGS_MAX):
            # Later ones may only miss what was changed, and one below 1 is told of as the event that it was born as.
            if self.broken_at is None or 1 <= seq <= self.broken_at:
                self._find(seq, "cause", f"event {seq} was caused by no earlier event")
        self.checks["cause"] = int(
            self.connection.exec_driver_sql("SELECT count(*) FROM events WHERE caused_by IS NOT NULL").scalar() or 0
        )
        twice = "SELECT max(seq), event_id FROM events GROUP BY event_id HAVING count(*) > 1"
        for seq, event_id in self.connection.exec_driver_sql(twice).fetchmany(FINDINGS_MAX):
            self._find(seq, "event_id", f"event {seq} shares its id {event_id} with another")

    def _ledger(self) -> None:
        """Sums per transfer and asset, and every balance at the end of each event, from the ledger's rows alone."""
        balances: dict[tuple[str, str], int] = {}
        sums: dict[tuple[str, str], int] = {}
        touched: set[tuple[str, str]] = set()
        place: tuple[Any, Any] = (None, None)
        for row in self._pages(schema.CAPITAL_LEDGER):
            _, seq, _, transfer_id, account, asset, amount, _, _ = row
            if (seq, transfer_id) != place:
                self._close_transfer(place[0], sums)
                if seq != place[0]:
                    self._close_event(place[0], touched, balances)
                place = (seq, transfer_id)
            if not isinstance(amount, str) or not _DECIMAL.fullmatch(amount):
                self._find(
                    _seq_of(seq),
                    "transfer_sum",
                    f"ledger entry {row[0]} has the amount {amount!r}, expected decimal text",
                )
                continue
            sums[transfer_id, asset] = sums.get((transfer_id, asset), 0) + int(amount)
            balances[account, asset] = balances.get((account, asset), 0) + int(amount)
            touched.add((account, asset))
        self._close_transfer(place[0], sums)
        self._close_event(place[0], touched, balances)

    def _close_transfer(self, seq: Any, sums: dict[tuple[str, str], int]) -> None:
        for (transfer_id, asset), total in sums.items():
            self.checks["transfer_sum"] += 1
            if total:
                self._find(_seq_of(seq), "transfer_sum", f"transfer {transfer_id} sums to {total} {asset}, expected 0")
        sums.clear()

    def _close_event(self, seq: Any, touched: set[tuple[str, str]], balances: dict[tuple[str, str], int]) -> None:
        for account, asset in sorted(touched, key=repr):
            self.checks["never_negative"] += 1
            amount = balances[account, asset]
            if not sign_is_legal(str(account), amount):
                self._find(_seq_of(seq), "never_negative", f"{account} holds {amount} {asset} after event {seq}")
        touched.clear()

    def _projections(self) -> None:
        try:
            expected = self.replay.tables()
        except MISSHAPEN as error:
            self._find(self.last_seq, "meaning", f"what the events give no table can hold: {_told(error)}")
            return
        held = stored_tables(self.store, self.connection)
        self.checks["projection"] = sum(len(rows) for rows in expected.values())
        for difference in differences(expected, held)[:FINDINGS_MAX]:
            self._find(difference.seq, "projection", str(difference))


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, TreasuryArenaError) else f"its content has another shape ({error!r})"


def _seq_of(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _born_as(event_id: Any) -> int:
    try:
        return int(str(event_id)[:10], 16)
    except ValueError:
        return 1


def prove(store: EventStore) -> None:
    """Audit what a run is about to build on; raises IntegrityError with the first finding."""
    _insist(store, audit(store))


def prove_while(store: EventStore, hearing: Callable[[], Listener]) -> Listener:
    """`prove`, while a listener that `hearing` makes hears of every event in order: one pass over the store instead of two.

    A store that only the slow audit can vouch for is read once more, for a new listener.
    """
    listener = hearing()
    with store.database.read(snapshot=True) as connection:
        proof = proven(store, connection, listener)
        sound = not structure.faults(store.database, connection, 1)
    if proof is None or not sound:
        _insist(store, examine(store))
        listener = hearing()
        for event in store.read():
            listener(event)
    return listener


def _insist(store: EventStore, report: AuditReport) -> None:
    if not report.ok:
        raise IntegrityError(
            f"store {store.database.label} is damaged, and nothing is built on it ({report.findings[0]}); `arena audit` "
            "tells more"
        )


def audit(store: EventStore) -> AuditReport:
    """Prove the store from its rows, in one consistent view.

    Gap-free seq from 1, ids and hashes derived again, the chain, causes, canonical JSON, the ledger's rows against the
    events, sums of zero, no account negative after any event, and every projection against a replay; then a SQLite file's own
    pages, indexes and definitions. Whatever was changed by hand, the first finding names the first event concerned, if it
    concerns any; projections are compared only when the log itself holds.
    Raises StoreError when the database cannot be read.
    """
    with ThreadPoolExecutor(1, "arena-file") as beside:
        # SQLite looks at its pages without the interpreter's lock: by a processor that is free, where there is one.
        pages = beside.submit(_pages_broken, store) if by_two(store) else None
        proof = proven_by_two(store)
        if proof is None:
            return examine(store)
        broken = None if pages is None else pages.result()
    return _and_file(store, _report(proof), broken)


def _pages_broken(store: EventStore) -> list[str]:
    with store.database.read(snapshot=True, lenient=True) as connection:
        return structure.broken(store.database, connection, FINDINGS_MAX)


def examine(store: EventStore) -> AuditReport:
    """The audit step by step, on rows one by one: what tells where and what is wrong."""
    with store.database.read(snapshot=True, lenient=True) as connection:
        report = _Auditor(store, connection).report()
    return _and_file(store, report)


def _and_file(store: EventStore, report: AuditReport, broken: list[str] | None = None) -> AuditReport:
    """The report with what is wrong with the file itself; `broken`: what SQLite finds in it, where that is known."""
    with store.database.read(snapshot=True, lenient=True) as connection:
        faults = structure.faults(store.database, connection, FINDINGS_MAX, broken)
        looked_at = structure.counted(store.database, connection)
    spoiled = [Finding(0, FILE, fault) for fault in faults]
    return attrs.evolve(report, findings=(*report.findings, *spoiled), checks={**report.checks, FILE: looked_at})


def _report(proof: Proof) -> AuditReport:
    checks = dict.fromkeys(("sequence", "event_id", "hash", "chain", "canonical", "meaning"), proof.events)
    checks |= {"cause": proof.causes, "ledger_line": proof.lines, "transfer_sum": proof.sums}
    checks |= {"never_negative": proof.balances, "projection": proof.rows, FILE: 0}
    return AuditReport((), {name: checks[name] for name in CHECKS}, proof.events, proof.digest)
