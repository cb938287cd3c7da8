"""Seconds from the start of a process to READY on a live store with a long past, by part.

    python benchmarks/bench_restart.py [--events 100000] [--open 1000] [--url postgresql://...] [--keep FILE]

The past is made by `live_history.py` through the store's own appends; then so many orders are opened by a real engine on a chain
in memory, the first of them with a transaction that nobody has mined. A new process goes on with that: it opens the store, proves
it (R0), takes the lease, reconciles journal, ledger and chain, and asks how every agent stands. Both seconds are given, the
clock's and the processor's, and the highest memory of the process. `--keep` makes the store there, or uses the one that is there.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from live_history import AGENTS, ETH, USDC, make

from treasury_arena.clock import Stopwatch, WallClock
from treasury_arena.contracts.chain import Counts, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.stops import OFF
from treasury_arena.ledger import accounts
from treasury_arena.store import EventStore, open_store, prove
from treasury_arena.store.lease import Lease
from treasury_arena.testing.chain import TREASURY, SimulatedClient, SimulatedPlanner, SimulatedSigner, World
from treasury_arena.testing.orders import ChainClock
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import LiveLimits, OrderEngine
from treasury_arena.trading.live.desk import LiveDesk

PAST_BLOCKS = 200  # more than reconciliation looks back over


class Client(SimulatedClient):
    """Counts nonces as a node does, at once, whatever was executed before."""

    def counts(self, sender: str) -> Counts:
        return Counts(self.world.nonce, self.world.nonce)


def world_of(store: EventStore, nonces: int) -> World:
    """The chain that the past leads to."""
    books = store.balances()
    held = sum(n for (account, asset), n in books.items() if asset == USDC and ":position:" in account)
    cash = sum(
        n
        for (account, asset), n in books.items()
        if asset == USDC and (account.startswith("pool:") or account.endswith((":available", ":reserved")))
    )
    gas = sum(n for (account, asset), n in books.items() if asset == ETH and not account.startswith("world"))
    world = World(balances={USDC: cash}, locked={("market", USDC): held})
    world.native_raw = gas - books.get((accounts.GAS, ETH), 0)
    world.executed = [f"past-{nonce}" for nonce in range(nonces)]
    world.mine(PAST_BLOCKS)
    return world


def desk_of(store: EventStore, world: World) -> LiveDesk:
    clock = ChainClock(world)
    planner = SimulatedPlanner(world, "market", Asset(USDC, 6), StepKind.SUPPLY, StepKind.WITHDRAW)
    engine = OrderEngine(
        "arena",
        store,
        Client(world),
        SimulatedSigner(TREASURY),
        {"market": planner},
        clock,
        LiveLimits(),
        mode="local",
        stop_level=lambda _: OFF,
    )
    return LiveDesk(engine, clock, scale=Decimal(1), band=0.01, tolerance_bps=100.0)


class Laps:
    """Seconds of each part, of the clock and of the processor."""

    def __init__(self) -> None:
        self._watch, self._begun = Stopwatch(), time.process_time()

    def lap(self, name: str) -> None:
        print(f"{name:<34} {self._watch.seconds():>9.2f} {time.process_time() - self._begun:>9.2f}", flush=True)
        self._watch, self._begun = Stopwatch(), time.process_time()


def prepare(url: str, events: int, opened: int) -> World:
    laps = Laps()
    with open_store(url) as store:
        nonces = make(store, events)
        laps.lap(f"(making {store.last()[0]} events)")
        world = world_of(store, nonces)
        desk = desk_of(store, world)
        for number in range(opened):
            agent = f"agent-{number % AGENTS:02d}"
            assert desk.engine.submit(Intent(agent, f"role-{number // AGENTS}", "market", 10_000, number)) is not None
        desk.engine.tick()
        laps.lap(f"(opening {opened} orders)")
    return world


def restart(url: str, world: World) -> None:
    """What a daemon does before it is ready; prints the seconds of each part."""
    whole, laps = Laps(), Laps()
    print(f"{'part':<34} {'clock':>9} {'processor':>9}")
    with open_store(url) as store:
        laps.lap("open the store")
        lease = Lease(store, WallClock(), seconds=600)
        lease.acquire()
        guarded = lease.guarded()
        laps.lap("take the lease")
        prove(guarded)
        laps.lap("prove the store (R0)")
        desk = desk_of(guarded, world)
        assert list(guarded.read(event_type="CapitalBooked", tail=1))
        laps.lap("see that capital was booked")
        found = desk.engine.reconcile()
        assert found.clean, found.differences
        laps.lap("reconcile (R1 to R7)")
        whole.lap("READY")
        assert len(desk.stands()) == AGENTS
        laps.lap("how agents stand, first time")
        assert len(desk.stands()) == AGENTS
        laps.lap("how agents stand, again")
        assert desk.positions()
        laps.lap("what is held")
        assert desk.engine.reconcile().clean
        laps.lap("reconcile again")
        lease.release()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    status = Path("/proc/self/status").read_text().splitlines()
    now = next((int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")), 0.0)
    print(f"memory: highest {peak:.0f} MiB, at the end {now:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an empty database; a SQLite file unless given")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=1_000, help="orders that are open at the restart")
    parser.add_argument("--keep", type=Path, help="a file to keep the store of SQLite in, for other runs")
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.world is not None:
        restart(options.url, pickle.loads(options.world.read_bytes()))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = options.keep or Path(folder) / "live.db"
        url = options.url or f"sqlite:///{file.resolve()}"
        kept = file.with_suffix(".world")
        if options.keep is None or not kept.exists():
            kept.write_bytes(pickle.dumps(prepare(url, options.events, options.open)))
        subprocess.run([sys.executable, __file__, "--url", url, "--world", str(kept)], check=True)


if __name__ == "__main__":
    main()
