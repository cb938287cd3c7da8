"""Many threads and processes submit against one limit: it is never exceeded, and nothing that fits is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from treasury_arena.events.catalog import CapitalAllocated
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, audit, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.chain import World
from treasury_arena.testing.orders import House
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import CrashPoint

pytestmark = pytest.mark.no_cover

SUBMITTER = Path(__file__).parent / "submitter.py"
FIT, THREADS, PROCESSES, EACH = 24, 64, 4, 16
CODES = {
    "hourly": "hourly_limit",
    "daily": "daily_limit",
    "agent_daily": "agent_limit",
    "arena": "arena_limit",
    "capital": "capital",
    "gas": "capital",
}


def _submitter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("submitter", SUBMITTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


S = _submitter()
MOST = FIT * S.AMOUNT


def funded(store: EventStore, kind: str, agents: set[str], gas_each: int) -> None:
    """Every agent can pay for all its orders, unless the limit is what there is to pay with."""
    cash = MOST if kind == "capital" else 10 * PROCESSES * THREADS * S.AMOUNT
    gas = FIT * gas_each if kind == "gas" else 10**24
    transfers = [Transfer("gas", (Line("world:owner", "ETH", -gas), Line("treasury:gas", "ETH", gas)))]
    for agent in sorted(agents):
        lines = (Line("world:owner", "USDC", -cash), Line(f"agent:{agent}:available", "USDC", cash))
        transfers.append(Transfer("capital", lines))
    payload = CapitalAllocated("arena", cash, "test")
    store.append([Draft(payload, "2023-11-14T00:00:00Z", None, tuple(transfers))])


def gas_of_one(tmp_path: Path) -> int:
    """Wei that one of these orders reserves."""
    with open_store(tmp_path / "one.db") as store:
        funded(store, "hourly", {"a-x-0"}, 0)
        own = S.engine(store, "hourly", MOST)
        granted = own.submit(S.intents("hourly", "x", 1)[0])
        assert granted is not None
        return int(own.records.open_intents()[0].gas_raw)


def check(store: EventStore, kind: str, granted: list[str], tried: int) -> None:
    """As many as fit, the sum is the limit, and every other one was refused for it, in an event."""
    assert len(granted) == len(set(granted)) == FIT
    reserved = list(store.read(event_type="IntentReserved"))
    assert {event.payload.intent_id for event in reserved} == set(granted)
    assert sum(event.payload.notional_raw for event in reserved) == MOST
    refused = [event.payload for event in store.read(event_type="OrderRejected")]
    assert len(refused) == tried - FIT
    assert {payload.code for payload in refused} == {CODES[kind]}
    books = store.balances()
    assert sum(a for (n, asset), a in books.items() if n.endswith(":reserved") and asset == "USDC") == MOST
    assert min(a for (n, _), a in books.items() if not n.startswith("world:")) >= 0
    assert audit(store).ok
    assert replay(store).ok


@pytest.mark.parametrize("kind", S.KINDS)
def test_64_threads_never_exceed_a_limit(store_url: str, tmp_path: Path, kind: str) -> None:
    wanted = S.intents(kind, "t", THREADS)
    with open_store(store_url) as store:
        funded(store, kind, {intent.agent_id for intent in wanted}, gas_of_one(tmp_path))
        own = S.engine(store, kind, MOST)
        begin = threading.Barrier(THREADS)

        def submit(intent: Intent) -> str | None:
            begin.wait(30)
            return own.submit(intent)

        with ThreadPoolExecutor(THREADS) as threads:
            got = list(threads.map(submit, wanted))
        check(store, kind, [name for name in got if name is not None], THREADS)


class Submitters:
    """Processes that submit at the same time, whatever they are told."""

    def __init__(self) -> None:
        command = [sys.executable, str(SUBMITTER)]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]

    def say(self, *lines: str) -> None:
        """One line to each."""
        for process, line in zip(self.processes, lines, strict=True):
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def hear(self) -> list[str]:
        """One line of each."""
        return [process.stdout.readline().strip() for process in self.processes if process.stdout is not None]

    def end(self) -> list[int]:
        for process in self.processes:
            process.communicate(timeout=120)
        return [process.returncode for process in self.processes]


@pytest.fixture(scope="module")
def submitters() -> Iterator[Submitters]:
    made = Submitters()
    yield made
    assert made.end() == [0] * PROCESSES


@pytest.mark.parametrize("kind", S.KINDS)
def test_4_processes_never_exceed_a_limit(store_url: str, tmp_path: Path, submitters: Submitters, kind: str) -> None:
    names = [f"p{i}" for i in range(PROCESSES)]
    with open_store(store_url) as store:
        agents = {intent.agent_id for name in names for intent in S.intents(kind, name, EACH)}
        funded(store, kind, agents, gas_of_one(tmp_path))
        submitters.say(*(json.dumps([store_url, kind, MOST, name, EACH]) for name in names))
        assert submitters.hear() == ["ready"] * PROCESSES
        submitters.say(*["go"] * PROCESSES)
        granted = [name for one in submitters.hear() for name in json.loads(one) if name is not None]
        check(store, kind, granted, PROCESSES * EACH)


def test_the_limit_of_capital_at_work_holds_while_orders_are_carried_out(store_url: str) -> None:
    """Capital moves from reservations into positions while others submit: it is counted once, wherever it is."""
    few = 6  # so that all begin before their deadline
    wanted = S.intents("arena", "t", THREADS)
    world = World(balances={"USDC": 10**12})
    with open_store(store_url) as store:
        funded(store, "arena", {intent.agent_id for intent in wanted}, 0)
        own = S.engine(store, "arena", few * S.AMOUNT, world)
        done = threading.Event()

        def carry_out() -> None:
            while not done.is_set() or own.records.open_intents():
                own.tick()
                if own.records.open_slots():
                    world.mine()

        worker = threading.Thread(target=carry_out)
        worker.start()
        try:
            with ThreadPoolExecutor(THREADS) as threads:
                got = [name for name in threads.map(own.submit, wanted) if name is not None]
        finally:
            done.set()
            worker.join(120)
        assert not worker.is_alive()
        assert len(got) == few
        assert world.locked["market", "USDC"] == few * S.AMOUNT
        held = sum(amount for (name, _), amount in store.balances().items() if ":position:" in name)
        assert held == few * S.AMOUNT
        assert own.submit(Intent(wanted[0].agent_id, "late", "market", S.AMOUNT, 2)) is None
        assert replay(store).ok


def test_a_position_that_changed_since_the_order_was_planned_is_planned_anew(house_of: Callable[..., House]) -> None:
    """Another thread's order for the same position is final between a plan and its reservation: the target is not doubled."""
    house, target = house_of("supply"), 10**9
    meanwhile = [True]

    def other(point: CrashPoint, kind: str) -> None:
        if point is CrashPoint.K0 and meanwhile:
            meanwhile.clear()
            assert house.submit(target, row=2) is not None
            house.finish()

    house.start(other)
    house.submit(target, row=1)
    house.finish()
    assert house.world.locked["market", "USDC"] == target
    house.check_books()
    house.check_nothing_reserved()


def test_64_threads_that_want_one_position_make_it_once(house_of: Callable[..., House]) -> None:
    house, target = house_of("supply"), 10**9
    with ThreadPoolExecutor(THREADS) as threads:
        got = list(threads.map(lambda row: house.submit(target, row=row), range(THREADS)))
    assert len([name for name in got if name is not None]) == 1
    refused = [event.payload.code for event in house.store.read(event_type="OrderRejected")]
    assert refused == ["position_busy"] * (THREADS - 1)
    house.finish()
    assert house.world.locked["market", "USDC"] == target
    house.check_books()


def test_64_threads_that_submit_one_intent_reserve_it_once(house_of: Callable[..., House]) -> None:
    house = house_of("supply")
    with ThreadPoolExecutor(THREADS) as threads:
        got = set(threads.map(lambda _: house.submit(10**9), range(THREADS)))
    assert len(got) == 1
    assert None not in got
    assert len(list(house.store.read(event_type="IntentReserved"))) == 1
    assert not list(house.store.read(event_type="OrderRejected"))
