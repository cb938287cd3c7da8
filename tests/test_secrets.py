"""Canaries: the database's password, the key in a node's address and the token of a notification show themselves nowhere.

An exception is raised inside every function of the arena that is called while they are handled, and everything that comes of it
is looked at: tracebacks with local variables as three libraries render them, representations, logs, files. What concerns the
treasury's key and the keystore's passphrase is in the tests of the keys plugin.
"""

from __future__ import annotations

import http.server
import io
import json
import logging
import socket
import sys
import threading
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import pytest
import rich.console
import rich.traceback
import structlog.tracebacks

from treasury_arena.clock import VirtualClock
from treasury_arena.config.keys import Secret, dereference
from treasury_arena.config.load import load_config
from treasury_arena.contracts.runtime import ObserverContext, SchedulerContext
from treasury_arena.daemon.opening import opened
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import StoreError, TreasuryArenaError
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store
from treasury_arena.store.database import parse_url
from treasury_arena.veiled import Veiled
from treasury_arena_evm.live.config import EvmSection
from treasury_arena_evm.live.config import client as make_client
from treasury_arena_observers.config import NotifySection
from treasury_arena_observers.notify import build as build_notify

PASSWORD = "correct-horse"  # the test server's own
NODE_KEY = "c0ffee42node0key0canary"
TOKEN = "c0ffee43notify0canary"
CANARIES = (PASSWORD, NODE_KEY, TOKEN)
Canaries = Callable[[str], str]
START = datetime(2024, 1, 1, tzinfo=UTC)
pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
    # Where closing itself is what fails, something stays open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class InjectedError(Exception):
    """What is raised at a place."""


class _Node(http.server.BaseHTTPRequestHandler):
    """A node that answers each call with a refusal that repeats what it was asked with."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told: dict[str, Any] = {"error": {"code": -32000, "message": f"no such project: {self.path}", "data": "0x"}}
        if asked["method"] == "eth_chainId":
            told = {"result": "0x7a69"}
        elif asked["method"] == "eth_getBlockByNumber":
            told = {"result": {"number": "0x1", "hash": "0x" + "11" * 32, "timestamp": "0x1"}}
        answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """The server is not what is tested."""


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Node)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v3/{NODE_KEY}"
    server.shutdown()
    thread.join()
    server.server_close()


def dead_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rendered(error: BaseException) -> dict[str, str]:
    """A traceback with local variables as each library renders it, and the error's own representation."""
    try:
        plain = list(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    except AttributeError:  # a half-made object has no representation, which this version of Python does not bear
        plain = [
            f"{name} = {safe(value)}\n"
            for frame, _ in traceback.walk_tb(error.__traceback__)
            for name, value in frame.f_locals.items()
        ]
    out = io.StringIO()
    trace = rich.traceback.Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_length=100, locals_max_string=10_000
    )
    rich.console.Console(file=out, width=400).print(trace)
    frames = structlog.tracebacks.ExceptionDictTransformer(
        show_locals=True, locals_max_length=100, locals_max_string=10_000, max_frames=200
    )
    return {
        "traceback": "".join(plain),
        "rich": out.getvalue(),
        "structlog": json.dumps(frames((type(error), error, error.__traceback__)), default=repr, indent=1),
        "repr": f"{error!r} {error} {vars(error)!r}",
    }


def safe(value: object) -> str:
    """A local variable as a traceback shows it, half-made or not."""
    try:
        return repr(value)
    except AttributeError as error:
        return f"<{type(error).__name__}>"


def leaks(error: BaseException) -> list[str]:
    """Where a canary shows; the lines of it, for whoever has to mend that."""
    own = str(Path(__file__).name)
    found = []
    for how, text in rendered(error).items():
        for number, line in enumerate(text.splitlines()):
            if any(canary in line for canary in CANARIES) and own not in line:
                found.append(f"{how}:{number}: {line[:300]}")
    return found


def ours(code: CodeType) -> bool:
    """Whether a function belongs to the arena and is no module's own code, whose errors Python wraps by itself."""
    return "/treasury_arena" in code.co_filename and "/tests/" not in code.co_filename and code.co_name != "<module>"


def places(call: Callable[[], Any]) -> list[CodeType]:
    """Every function of the arena that a call goes through in this thread each time, in order: some are on the way only when an
    answer comes late, or in pieces.
    """
    recorded: list[dict[CodeType, None]] = []
    for _ in range(3):
        seen: dict[CodeType, None] = {}

        def trace(frame: FrameType, event: str, argument: Any, seen: dict[CodeType, None] = seen) -> None:
            if event == "call" and ours(frame.f_code):
                seen.setdefault(frame.f_code)

        _traced(trace, call)
        recorded.append(seen)
    return [place for place in recorded[0] if all(place in seen for seen in recorded)]


def broken_in(place: CodeType, call: Callable[[], Any]) -> BaseException | None:
    """The error of a call in which a function raises as soon as it is called; None when nobody heard of it."""
    raised = [False]

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is place and not raised[0]:
            raised[0] = True
            raise InjectedError("here")

    try:
        for _ in range(10):
            _traced(trace, call)
            if raised[0]:
                break
    except (TreasuryArenaError, InjectedError) as error:
        return error
    finally:
        assert raised[0], f"{place.co_qualname} was not called again"
    return None


def _traced(trace: Callable[[FrameType, str, Any], None], call: Callable[[], Any]) -> None:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)


def database_work(canaries: Canaries) -> Callable[[], Any]:
    def work() -> None:
        for target, alive in (("database", True), ("database_dead", False)):
            try:
                with open_store(dereference(canaries(target))) as store:
                    assert alive
                    store.last()
                    list(store.read(tail=1))
                    store.balances()
            except StoreError:
                assert not alive

    return work


def node_work(canaries: Canaries) -> Callable[[], Any]:
    context: Any = SimpleNamespace(
        sender="0x" + "aa" * 20, assets={"USDC": Asset("USDC", 6)}, clock=VirtualClock(START)
    )

    def work() -> None:
        section = EvmSection(chain="local", endpoints={"one": canaries("node"), "dead": canaries("node_dead")})
        client = make_client(section, context)
        client.head()
        with pytest.raises(TreasuryArenaError, match=r"no such project: /v3/\*\*\*"):
            client.native_balance("0x" + "aa" * 20)

    return work


def notify_work(canaries: Canaries, folder: Path) -> Callable[[], Any]:
    section = NotifySection(urls=Secret(canaries("notify")), ending_seconds=0.1, tries=1)

    def work() -> None:
        observer = build_notify(
            section, ObserverContext("run", folder, VirtualClock(START), lambda text: None, lambda kind: None)
        )
        observer.observe([])
        observer.close()

    return work


@pytest.fixture
def canaries(tmp_path: Path, fresh_postgres: Callable[[], str], node: str) -> Callable[[str], str]:
    """Gives the reference to a canary, which is in a file: the whole environment is a local variable of some library."""
    known = {
        "database": fresh_postgres(),
        "database_dead": f"postgresql://arena:{PASSWORD}@127.0.0.1:{dead_port()}/arena",
        "node": node,
        "node_dead": f"http://u:{NODE_KEY}@127.0.0.1:{dead_port()}/{NODE_KEY}?k={NODE_KEY}",
        "notify": f"json://u:{TOKEN}@127.0.0.1:{dead_port()}/{TOKEN}",
    }
    folder = tmp_path.parent / f"{tmp_path.name}-secrets"
    folder.mkdir()
    for name, text in known.items():
        (folder / name).write_text(text)
    return lambda name: f"file:{folder / name}"


PLACES = {"database": 28, "node": 65, "notify": 28}
"""At least so many functions of the arena are on the way of each, more than a hundred together."""


@pytest.mark.parametrize("what", ["database", "node", "notify"])
def test_an_error_in_any_function_shows_no_secret(
    canaries: Canaries, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.DEBUG)
    make: dict[str, Callable[[], Callable[[], Any]]] = {
        "database": lambda: database_work(canaries),
        "node": lambda: node_work(canaries),
        "notify": lambda: notify_work(canaries, tmp_path),
    }
    call = make[what]()
    call()
    found, heard = [], 0
    listed = places(call)
    for place in listed:
        error = broken_in(place, call)
        if error is not None:
            heard += 1
            found += [f"{place.co_qualname}: {leak}" for leak in leaks(error)]
    assert not found, "\n".join(found[:20])
    assert heard >= PLACES[what], (heard, len(listed))
    assert not [line for line in caplog.text.splitlines() if any(canary in line for canary in CANARIES)]


def test_a_daemon_that_fails_anywhere_while_it_opens_shows_no_secret(
    canaries: Canaries, house: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    tree = house.tree({"daemon": {"fuses": ["survival"], "scheduler": "apscheduler"}})
    tree["fuse"] = {"survival": {"conditions": ["drawdown_breach"]}}
    tree["store"] = {"url": canaries("database")}
    tree["observer"] = {
        "log": {"path": "events.jsonl", "level": "debug"},
        "notify": {"urls": canaries("notify"), "ending_seconds": 0.1, "tries": 1},
    }
    registry = load_registry()
    said: list[str] = []

    def call() -> None:
        port = dead_port()  # another each time: one that fails while it closes may keep its own
        tree["observer"]["metrics"] = {"port": port}
        settings = load_config(house.toml(tree), registry, {})
        with (
            open_store(dereference(settings.store.url)) as store,
            opened(
                settings,
                registry,
                store,
                tmp_path,
                None,
                VirtualClock(START),
                data=None,
                workers=1,
                tell=said.append,
                progress=lambda report: None,
            ) as ready,
        ):
            ready.service.heartbeat(0)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                said.append(page.read().decode())

    call()
    assert "arena_" in said[-1]
    listed = [p for p in places(call) if any(part in p.co_filename for part in WATCHED)]
    found, heard = [], 0
    for place in listed[:: max(1, len(listed) // 24)]:
        error = broken_in(place, call)
        if error is not None:
            heard += 1
            found += [f"{place.co_qualname}: {leak}" for leak in leaks(error)]
    assert not found, "\n".join(found[:20])
    assert heard >= 12, (heard, len(listed))
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files
    everything = [caplog.text, *said, *capfd.readouterr(), *(data.decode(errors="replace") for data in files.values())]
    assert not [text for text in everything if any(canary in text for canary in CANARIES)]


WATCHED = ("/daemon/", "/store/", "/config/", "_observers/", "/cli/", "/audience", "_apscheduler/", "/registry/")


def test_a_failing_database_shows_no_password(canaries: Canaries) -> None:
    """The error's causes are the driver's own, with the driver's local variables."""
    known = dereference(canaries("database"))
    for url in (
        dereference(canaries("database_dead")),
        Veiled(known.rpartition("/")[0] + "/absent"),
        Veiled(known.replace("arena:", "nobody:", 1)),
        Veiled(f"postgresql://arena@127.0.0.1:{dead_port()}/x?password={PASSWORD}"),
    ):
        with pytest.raises(StoreError) as caught:
            open_store(url)
        assert caught.value.__cause__ is not None
        assert leaks(caught.value) == []


def test_representations_show_nothing(canaries: Canaries, tmp_path: Path) -> None:
    known = dereference(canaries("database"))
    url = parse_url(known)
    assert url.password == PASSWORD
    context = SchedulerContext(VirtualClock(START), url.render_as_string(hide_password=False), tmp_path)
    assert PASSWORD in context.url
    secret = Secret(canaries("notify"))
    with open_store(known) as store:
        shown = f"{url!r} {url} {context!r} {secret!r} {secret} {secret.reveal()!r} {store!r} {store.database!r} {vars(store)}"
        shown += repr(vars(store.database))
    assert [canary for canary in CANARIES if canary in shown] == []


def test_veiled_text_is_like_any_other_but_for_its_representation() -> None:
    text = Veiled("correct-horse")
    assert (text, hash(text), f"{text}", json.dumps(text)) == (
        "correct-horse",
        hash("correct-horse"),
        "correct-horse",
        '"correct-horse"',
    )
    assert repr([text, text[:4], text[0]]) == "['***', '***', '***']"


def test_the_canary_would_be_found() -> None:
    """The test of the test: a careless function is caught by the same net, whatever renders it."""

    def careless(text: str) -> None:
        raise InjectedError(len(text))

    with pytest.raises(InjectedError) as caught:
        careless(f"postgresql://arena:{PASSWORD}@host/x")
    assert {leak.partition(":")[0] for leak in leaks(caught.value)} == {"traceback", "rich", "structlog"}


def test_nothing_that_a_run_writes_or_says_holds_a_secret(canaries: Canaries, house: Any, tmp_path: Path) -> None:
    """run.json, events, reports, metrics, and every command's output, JSON included."""
    known = dereference(canaries("database"))
    config = house.write(
        tmp_path / "arena.toml",
        {
            "store": {"url": canaries("database")},
            "observer": {
                "log": {"path": "events.jsonl", "level": "debug"},
                "notify": {"urls": canaries("notify"), "ending_seconds": 0.1, "tries": 1},
            },
            "chain": {"evm": {"chain": "local", "endpoints": {"one": canaries("node")}}},
        },
    )
    run = tmp_path / "run"
    texts = []
    for arguments in (
        ("config", "show", config),
        ("config", "show", config, "--json"),
        ("run", config, "--out", run, "--workers", "1", "--json"),
        ("status", run, "--json"),
        ("events", run, "--json"),
        ("audit", run, "--json"),
        ("report", run, "--json"),
        ("config", "show", config, "--set", "store.url=" + known),
        ("run", config, "--db", known.replace("arena:", "nobody:", 1), "--out", tmp_path / "other", "--json"),
    ):
        done = house.arena(*arguments)
        texts.append(done.out + done.err)
    assert len(texts[2]) > 100
    texts += [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    with open_store(known, readonly=True, create=False) as store:
        texts += [repr(event) for event in store.read()]
    assert len(texts) > 20
    assert not [text[:400] for text in texts if any(canary in text for canary in CANARIES)]
