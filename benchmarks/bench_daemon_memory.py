"""Memory of a daemon over many ticks: real jobs on an injected clock, an arena in the books, its twins on a chain in memory.

    python benchmarks/bench_daemon_memory.py [--ticks 10000] [--minutes 6] [--trace]

A tick is a heartbeat with its checks of the fuse, a comparison of journal, ledger and chain, a look at the open orders, and a
block; every hour of the arena a look at the market, a mark, and twins that follow; every week a cycle. The slots of the jobs are
claimed and recorded in the store. Printed are MiB of the process and the objects that Python's collector knows: the chain in
memory keeps three for each block. With `--trace` also what grew, by the line that made it.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from treasury_arena.clock import Stopwatch, VirtualClock, to_epoch
from treasury_arena.config.load import load_config
from treasury_arena.contracts.chain import StepKind
from treasury_arena.daemon.brain import Brain
from treasury_arena.daemon.fusing import Fuses, NoChain, Operator, make_fuses
from treasury_arena.daemon.service import Service
from treasury_arena.daemon.trading import twins_of
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.stops import OFF
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store
from treasury_arena.store.lease import Lease
from treasury_arena.store.slot_book import StoreSlotBook
from treasury_arena.testing.chain import SimulatedClient, SimulatedPlanner, SimulatedSigner, World
from treasury_arena.testing.orders import ChainClock
from treasury_arena.trading.live import OrderEngine
from treasury_arena.trading.live.desk import LiveDesk

START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = """
name = "memory"
start = "2024-01-01"
end = "2024-12-31"
seed = 5
[capital]
idle_market = "usdc_lending"
[population]
agents = 8
training_days = 20
birth_cycles = 2
[evolution]
population = 10
generations = 2
[rules]
simulation_floored_min = "off"
simulation_psr_min = "off"
simulation_drawdown_max = "off"
simulation_age_days_min = 7
arena_return_min = "off"
arena_floored_min = "off"
arena_drawdown_max = "off"
arena_age_days_min = 7
fidelity_tolerance = "off"
death_drawdown = 0.008
death_floored_below = "off"
[strategies]
enabled = ["tactical", "trend"]
[source]
name = "simulated"
[source.simulated]
gas_usd = 0.05
[markets.eth]
model = "simulation.spot"
asset = "WETH"
columns = { price = "WETH.price", gas = "gas.usd" }
[markets.btc]
model = "simulation.spot"
asset = "WBTC"
columns = { price = "WBTC.price", gas = "gas.usd" }
[markets.usdc_lending]
model = "simulation.lending_par"
asset = "USDC"
columns = { rate = "USDC.lending_rate", gas = "gas.usd" }
[daemon]
fuses = ["survival"]
[fuse.survival]
conditions = ["drawdown_breach"]
"""
CASH = 10**12


def memory_mib() -> float:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


class Daemon:
    """The parts of a daemon, called tick by tick."""

    def __init__(self, folder: Path) -> None:
        config = folder / "arena.toml"
        config.write_text(CONFIG)
        registry = load_registry()
        settings = load_config(config, registry, {})
        self.clock, self.wall = VirtualClock(START), VirtualClock(datetime(2026, 5, 1, tzinfo=UTC))
        self.store, self.live = open_store(folder / "arena.db"), open_store(folder / "live.db")
        lease = Lease(self.store, self.wall, seconds=10**8)
        lease.acquire()
        self.slots = StoreSlotBook(lease)
        self.world = World(balances={"USDC": CASH})
        markets = {
            name: SimulatedPlanner(self.world, name, Asset("USDC", 6), StepKind.SUPPLY, StepKind.WITHDRAW)
            for name in ("eth", "btc", "usdc_lending")
        }
        chain = ChainClock(self.world)
        engine = OrderEngine(
            "memory",
            self.live,
            SimulatedClient(self.world),
            SimulatedSigner(),
            markets,
            chain,
            mode="local",
            stop_level=lambda _: OFF,
        )
        self.desk = LiveDesk(engine, chain, scale=Decimal("0.1"), band=0.01, tolerance_bps=10**9)
        self.desk.book("ann")
        self.fuses = Fuses(self.live, make_fuses(settings, registry, live=False), self.wall)
        operator = Operator(self.live, self.wall)
        none = NoChain(operator.call, operator.called)
        self.brain = Brain(settings, registry, self.store, self.clock, workers=1, halted=self.fuses.level)
        self.service = Service(settings.daemon, self.brain, self.fuses, none, none, self.wall, lambda text: None)
        self.service.look(0)

    def job(self, name: str, slot: int) -> None:
        """Claim a slot, do its work, record its end."""
        assert self.slots.claim(name, slot)
        getattr(self, f"do_{name}")(slot)
        self.slots.finish(name, slot)

    def do_heartbeat(self, slot: int) -> None:
        self.service.heartbeat(slot)

    def do_mark(self, slot: int) -> None:
        self.service.look(slot)
        mark = self.service.mark
        assert mark is not None
        self.desk.follow(twins_of(self.brain, mark), mark.row, self.store.last()[0])

    def do_cycle(self, slot: int) -> None:
        self.service.cycle(slot)

    def do_reconcile(self, slot: int) -> None:
        self.desk.engine.reconcile()

    def tick(self, minutes: int) -> None:
        hour = self.clock.now().hour
        for clock in (self.clock, self.wall):
            clock.move_to(clock.now() + timedelta(minutes=minutes))
        slot = to_epoch(self.clock.now())
        if self.clock.now().hour != hour:
            self.job("mark", slot)
            if not self.clock.now().hour:
                self.job("cycle", slot)
        self.job("heartbeat", slot)
        self.job("reconcile", slot)
        self.desk.engine.tick()
        self.world.mine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=6, help="of the arena's clock, in a tick")
    parser.add_argument("--trace", action="store_true", help="trace what Python allocates; several times as slow")
    options = parser.parse_args()
    watch, begun = Stopwatch(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder))
        step = max(1, options.ticks // 10)
        before = None
        print(f"{'ticks':>7} {'MiB':>7} {'objects':>9} {'events':>8} {'live':>7} {'clock s':>8} {'processor s':>11}")
        for tick in range(1, options.ticks + 1):
            daemon.tick(options.minutes)
            if tick == step and options.trace:
                tracemalloc.start(12)
                before = tracemalloc.take_snapshot()
            if tick % step == 0:
                gc.collect()
                objects = len(gc.get_objects())
                seconds, busy = watch.seconds(), time.process_time() - begun
                sizes = f"{daemon.store.last()[0]:>8} {daemon.live.last()[0]:>7}"
                print(f"{tick:>7} {memory_mib():>7.1f} {objects:>9} {sizes} {seconds:>8.0f} {busy:>11.0f}", flush=True)
        if before is not None:
            for line in tracemalloc.take_snapshot().compare_to(before, "lineno")[:25]:
                print(line)
        orders = sum(1 for _ in daemon.live.read(event_type="IntentEnded"))
        print(
            f"{orders} orders ended; {len(daemon.world.executed)} transactions on the chain in memory, which grows with them"
        )
        daemon.brain.close()
        daemon.live.close()
        daemon.store.close()


if __name__ == "__main__":
    main()
