"""A real store, a real HTTP receiver on the loopback, and events as the arena stores them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.clock import WallClock
from treasury_arena.contracts.runtime import ObserverContext
from treasury_arena.events import catalog
from treasury_arena.events.event import Draft, Event
from treasury_arena.events.hashing import GENESIS, encode_drafts, seal
from treasury_arena.store import EventStore, open_store

AT = "2024-01-01T00:00:00Z"


@attrs.define(eq=False)
class Receiver:
    """What a webhook got, and how it answers: `refuse` so many requests, and none while `silent`."""

    port: int = 0
    refuse: int = 0
    got: list[dict[str, Any]] = attrs.field(factory=list)
    paths: list[str] = attrs.field(factory=list)
    changed: threading.Condition = attrs.field(factory=threading.Condition)
    silent: threading.Event = attrs.field(factory=threading.Event)
    go_on: threading.Event = attrs.field(factory=threading.Event)

    def wait(self, fits: Callable[[Receiver], bool], seconds: float = 30.0) -> None:
        """Until the receiver is as asked; fails the test otherwise."""
        with self.changed:
            assert self.changed.wait_for(lambda: fits(self), seconds), f"got {self.got}, asked {len(self.paths)} times"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook on the loopback."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with state.changed:
                state.paths.append(self.path)
                refused = state.refuse > 0
                state.refuse -= refused
                state.changed.notify_all()
            if state.silent.is_set():
                state.go_on.wait(60.0)
                return
            self.send_response(500 if refused else 200)
            self.end_headers()
            if not refused:
                with state.changed:
                    state.got.append(json.loads(body))
                    state.changed.notify_all()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    state.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with open_store(tmp_path / "arena.sqlite") as opened:
        yield opened


@pytest.fixture
def told() -> list[str]:
    """What observers say of themselves."""
    return []


@pytest.fixture
def context(store: EventStore, tmp_path: Path, told: list[str]) -> ObserverContext:
    return ObserverContext(
        "first", tmp_path, WallClock(), told.append, lambda kind: next(store.read(event_type=kind, tail=1), None)
    )


@pytest.fixture
def append(store: EventStore) -> Callable[..., list[Event]]:
    """Stores payloads, each as an event of its own."""

    def stored(*payloads: Any, agent: str | None = None) -> list[Event]:
        return store.append([Draft(payload, AT, agent) for payload in payloads])

    return stored


@pytest.fixture
def sealed() -> Callable[..., list[Event]]:
    """Payloads as events of a log that nobody keeps, so that each can come without what precedes it in an arena's life."""

    def made(*payloads: Any, agent: str | None = None) -> list[Event]:
        drafts = [Draft(payload, AT, agent) for payload in payloads]
        return seal(drafts, encode_drafts(drafts), 0, GENESIS)

    return made


@pytest.fixture
def opened_arena() -> catalog.ArenaOpened:
    """A payload."""
    return catalog.ArenaOpened(
        name="first",
        seed=1,
        profile="balanced",
        config={},
        config_hash="0" * 64,
        base_asset="USDC",
        assets={"USDC": 6},
        plugins={},
        data_fingerprint="",
        start=AT,
        end=AT,
    )
