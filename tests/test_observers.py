"""Observers in a whole arena: a run and a daemon that are watched, and what a watcher that fails costs them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.config.load import load_config
from treasury_arena.config.show import config_hash
from treasury_arena.registry.loader import load_registry

CANARY = "c4n4ryT0kenNeverShown"
#: Apprise asks for a module of the standard library that later Pythons do not have.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Port of a webhook on the loopback, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, got
    server.shutdown()
    server.server_close()


def watched(urls: Path, port: int) -> dict[str, Any]:
    urls.write_text(f"json://127.0.0.1:{port}/{CANARY}\n")
    return {
        "observer.notify": {"urls": f"file:{urls}"},
        "observer.metrics": {"port": 0},
        "observer.log": {"path": "events.jsonl", "level": "debug"},
    }


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("utf-8", "replace")


def test_a_watched_run_is_the_same_run(
    house: Any,
    webhook: tuple[int, list[dict[str, Any]]],
    finished_json: dict[str, Any],
    tmp_path: Path,
) -> None:
    port, got = webhook
    config = house.write(tmp_path / "watched.toml", watched(tmp_path / "urls", port))
    folder = tmp_path / "run"
    done = house.arena("run", config, "--out", folder, "--json", "--quiet").ok()
    assert house.outcome(done.json) == house.outcome(finished_json)
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    events = house.arena("events", folder, "--json").json
    assert [(line["seq"], line["event"], line["agent"]) for line in lines] == [
        (event["seq"], event["type"], event["agent_id"]) for event in events
    ]
    assert {line["run"] for line in lines} == {"run"}
    assert all(line["order"] for line in lines if line["event"] == "OrderSettled")
    assert got[-1]["title"] == "run: RunCompleted"
    assert re.search(r"observer\.metrics: http://127\.0\.0\.1:\d+/metrics", done.err)
    shown = [path for path, text in texts(folder) if CANARY in text]
    assert not shown
    assert CANARY not in done.out + done.err


def test_observers_change_no_hash(house: Any, tmp_path: Path) -> None:
    registry = load_registry()
    plain = load_config(house.write(tmp_path / "plain.toml"), registry, {})
    seen = load_config(house.write(tmp_path / "seen.toml", watched(tmp_path / "urls", 1)), registry, {})
    assert config_hash(seen) == config_hash(plain)
    assert {path for path in seen.sections if path.startswith("observer.")} == {
        "observer.log",
        "observer.metrics",
        "observer.notify",
    }
    assert not [path for path in plain.sections if path.startswith("observer.")]


def test_an_address_in_the_configuration_is_refused_and_not_repeated(house: Any, tmp_path: Path) -> None:
    config = house.write(tmp_path / "open.toml", {"observer.notify": {"urls": f"json://host/{CANARY}"}})
    done = house.arena("run", config, "--out", tmp_path / "run")
    assert done.code == 2
    assert "observer.notify.urls: must not hold the secret itself" in done.err
    assert CANARY not in done.out + done.err
    assert not (tmp_path / "run").exists()


def test_an_observer_that_cannot_be_made_ends_the_run_before_its_first_event(house: Any, tmp_path: Path) -> None:
    config = house.write(tmp_path / "absent.toml", {"observer.notify": {"urls": "env:ARENA_ABSENT"}})
    done = house.arena("run", config, "--out", tmp_path / "run", "--quiet")
    assert done.code == 2
    assert "env:ARENA_ABSENT: the environment variable ARENA_ABSENT is not set" in done.err
    assert "Traceback" not in done.err


def test_a_daemon_tells_from_its_lease_to_its_end(
    house: Any, webhook: tuple[int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    port, got = webhook
    changes = {
        **watched(tmp_path / "urls", port),
        "daemon": {"scheduler": "plain", "speed": 3_600.0, "mark_seconds": 3_600},
    }
    changes["observer.notify"]["events"] = ["DaemonStarted", "DaemonStopped"]
    config = house.write(tmp_path / "daemon.toml", changes)
    folder = tmp_path / "daemon"
    done = house.arena("daemon", config, "--out", folder, "--seconds", 3, "--quiet", "--json").ok()
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    events = house.arena("events", folder, "--json").json
    assert [line["seq"] for line in lines] == [event["seq"] for event in events]
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "LeaseTaken"
    assert kinds[-1] == "LeaseReleased"
    assert {"ArenaOpened", "DaemonStarted", "TreasuryMarked", "DaemonStopped"} <= set(kinds)
    assert {name for message in got for name in re.findall("DaemonSt[a-z]+", message["title"])} == {
        "DaemonStarted",
        "DaemonStopped",
    }
    assert CANARY not in done.out + done.err


def test_every_figure_that_the_docs_name_is_served(house: Any) -> None:
    from prometheus_client import CollectorRegistry

    from treasury_arena_observers.figures import Figures

    registry = CollectorRegistry()
    Figures(registry, "first")
    kinds = {"counter": "_total", "info": "_info"}
    served = {metric.name + kinds.get(metric.type, "") for metric in registry.collect()}
    page = (house.root / "docs/how-to/watch.md").read_text()
    assert set(re.findall(r"treasury_arena_(?!observers)\w+", page)) <= served
    table = (house.root / "plugins/observers/README.md").read_text()
    rows = [line.split("|")[1] for line in table.splitlines() if "| gauge |" in line or "| counter |" in line]
    assert {f"treasury_arena_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)} == served
