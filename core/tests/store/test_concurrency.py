"""Many writers on one store, and a writer that is killed."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from treasury_arena.errors import AllocationError
from treasury_arena.store import EventStore, audit, open_store

pytestmark = pytest.mark.no_cover

HERE = Path(__file__).parent
RACER, WRITER = HERE / "racer.py", HERE / "writer.py"


def racer() -> SimpleNamespace:
    spec = importlib.util.spec_from_file_location("racer", RACER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return SimpleNamespace(take=module.take)


def test_64_threads_never_over_allocate(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened(500)])
    take = racer().take
    with ThreadPoolExecutor(64) as threads:
        got = list(threads.map(lambda i: take(store, f"a{i}", 17), range(64)))
    assert sum(got) == 500 // 17
    assert store.balance("pool:arena", "USDC") == 500 % 17
    assert store.last()[0] == 1 + 500 // 17
    assert audit(store).ok


def test_64_threads_that_do_not_look_first_are_refused_by_the_store(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened(500)])

    def blind(index: int) -> int:
        try:
            store.append([make.allocated(f"a{index}", 17)])
        except AllocationError:
            return 0
        return 1

    with ThreadPoolExecutor(64) as threads:
        assert sum(threads.map(blind, range(64))) == 500 // 17
    assert audit(store).ok


def test_4_processes_never_over_allocate(store_url: str, make: SimpleNamespace) -> None:
    with open_store(store_url) as store:
        store.append([make.opened(300)])
        started = [
            subprocess.Popen([sys.executable, str(RACER), store_url, f"p{i}", "7"], stdout=subprocess.PIPE, text=True)
            for i in range(4)
        ]
        got = [int(process.communicate(timeout=60)[0]) for process in started]
        assert [process.returncode for process in started] == [0] * 4
        assert sum(got) == 300 // 7
        assert store.balance("pool:arena", "USDC") == 300 % 7
        report = audit(store)
    assert report.ok, report.findings
    assert report.last_seq == 1 + 300 // 7


def test_4_processes_open_a_new_store_at_once(empty_url: str) -> None:
    code = "import sys; from treasury_arena.store import open_store; print(open_store(sys.argv[1]).last()[0])"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    results = [process.communicate(timeout=60) for process in started]
    assert [out for out, _ in results] == ["0\n"] * 4, results


@pytest.mark.parametrize("life", range(2))
def test_a_killed_writer_leaves_a_valid_store(store_url: str, make: SimpleNamespace, life: int) -> None:
    with open_store(store_url) as store:
        store.append([make.opened(10**9), make.spawned("a1")])
    writer = subprocess.Popen([sys.executable, str(WRITER), store_url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(random.Random(life).random() * 0.1)
    writer.kill()
    told = [2, *(int(line) for line in writer.stdout.read().split())]
    writer.stdout.close()
    writer.wait()
    with open_store(store_url) as store:
        seen = -1
        while seen != (seen := store.last()[0]):  # a server may still be committing what a dead client sent
            time.sleep(0.5)
        report = audit(store)
        assert report.ok, report.findings
        assert report.last_seq >= told[-1]
        assert (report.last_seq - 2) % 300 == 0
        assert store.balance("agent:a1:available", "USDC") == report.last_seq - 2
        store.append([make.record("a1")], expected_seq=report.last_seq)
