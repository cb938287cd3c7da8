"""An order engine on a chain in memory that can be killed at a point and started again on the same store and world."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from treasury_arena.clock import Clock, from_epoch
from treasury_arena.contracts.chain import StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.stops import OFF
from treasury_arena.events.catalog import CapitalAllocated
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.chain import LIQUIDITY, SimulatedClient, SimulatedPlanner, SimulatedSigner, World
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import CrashPoint, LiveLimits, OrderEngine
from treasury_arena.trading.live.records import IntentRecord

USDC = Asset("USDC", 6)
CASH, GAS = 10**10, 10**21
AGENT = "agent-1"
KINDS = ("approve", "supply", "withdraw", "borrow", "repay", "swap", "mint")
PATHS: Mapping[str, tuple[StepKind, StepKind]] = {
    "approve": (StepKind.SUPPLY, StepKind.WITHDRAW),
    "supply": (StepKind.SUPPLY, StepKind.WITHDRAW),
    "withdraw": (StepKind.SUPPLY, StepKind.WITHDRAW),
    "borrow": (StepKind.BORROW, StepKind.REPAY),
    "repay": (StepKind.BORROW, StepKind.REPAY),
    "swap": (StepKind.SWAP, StepKind.SWAP),
    "mint": (StepKind.MINT, StepKind.BURN),
}


class Killed(BaseException):
    """The process is gone."""


class ChainClock:
    """Wall time as the chain's blocks tell it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return from_epoch(self._world.blocks[-1].ref.timestamp)


@attrs.define
class House:
    """Store, world and the engine of the present process."""

    url: str
    world: World
    store: EventStore
    planners: dict[str, SimulatedPlanner]
    limits: LiveLimits = attrs.field(factory=LiveLimits)
    stop: list[str] = attrs.field(factory=lambda: [OFF])
    fuse: list[str] = attrs.field(factory=lambda: [""])
    engine: OrderEngine = attrs.field(init=False)
    client: SimulatedClient = attrs.field(init=False)
    signer: SimulatedSigner = attrs.field(init=False)
    passed: list[tuple[CrashPoint, str]] = attrs.field(factory=list)
    signatures: list[object] = attrs.field(factory=list)

    def start(self, kill: Callable[[CrashPoint, str], None] | None = None) -> OrderEngine:
        """A new process: nothing of the one before but store and world."""

        def passing(point: CrashPoint, kind: str) -> None:
            self.passed.append((point, kind))
            if kill is not None:
                kill(point, kind)

        self.store.close()
        self.store = open_store(self.url)
        self.client, self.signer = SimulatedClient(self.world), SimulatedSigner()
        clock: Clock = ChainClock(self.world)
        self.engine = OrderEngine(
            "arena",
            self.store,
            self.client,
            self.signer,
            self.planners,
            clock,
            self.limits,
            mode="local",
            stop_level=lambda _: self.stop[0],
            fuse=lambda _: self.fuse[0],
            passing=passing,
        )
        return self.engine

    def submit(self, target: int, row: int = 1, role: str = "only") -> str | None:
        return self.engine.submit(Intent(AGENT, role, "market", target, row))

    def intent(self, intent_id: str) -> IntentRecord:
        found = self.engine.records.intent(intent_id)
        assert found is not None
        return found

    def finish(self, rounds: int = 60) -> None:
        """Mine and tick until nothing is open, or so many rounds have passed."""
        for _ in range(rounds):
            self.engine.tick()
            if not [i for i in self.engine.records.open_intents() if i.state != "QUARANTINED"]:
                return
            self.world.mine()
            if self.world.depth:
                self.world.mine(self.world.depth, take=False)

    def executed(self) -> list[str]:
        """Kinds of what the chain carried out, in order."""
        kinds = []
        for name in self.world.executed:
            transaction = self.world.sent.get(name)
            if transaction is None:
                kinds.append("elsewhere")
            elif len(transaction.data) <= 2:
                kinds.append("cancel")
            else:
                kinds.append(json.loads(bytes.fromhex(transaction.data[2:]))["kind"])
        return kinds

    def check_books(self) -> None:
        """Ledger equals chain, nothing hangs, and the tables are what the events say."""
        books = self.store.balances()
        cash = books.get((f"agent:{AGENT}:available", "USDC"), 0) + books.get((f"agent:{AGENT}:reserved", "USDC"), 0)
        assert cash == self.world.balances["USDC"]
        gas = books[("treasury:gas", "ETH")] + books.get((f"agent:{AGENT}:reserved", "ETH"), 0)
        assert gas == self.world.native_raw
        for asset in ("WETH", LIQUIDITY):
            assert books.get((f"agent:{AGENT}:position:only", asset), 0) == self.world.balances.get(asset, 0)
        locked = self.world.locked.get(("market", "USDC"), 0)
        assert (
            books.get((f"agent:{AGENT}:position:only", "USDC"), 0) + books.get((f"agent:{AGENT}:debt:only", "USDC"), 0)
            == locked
        )
        assert replay(self.store).ok

    def check_nothing_reserved(self) -> None:
        books = self.store.balances(f"agent:{AGENT}:reserved")
        assert not any(books.values())


def build(url: str, kind: str = "supply", depth: int = 1) -> House:
    """A funded agent with a market whose steps contain `kind`; a position is there already when the kind leaves one."""
    world = World(depth=depth, balances={"USDC": CASH})
    enter, leave = PATHS[kind]
    planner = SimulatedPlanner(world, "market", USDC, enter, leave)
    store = open_store(url)
    capital = (Line("world:owner", "USDC", -CASH), Line(f"agent:{AGENT}:available", "USDC", CASH))
    gas = (Line("world:owner", "ETH", -GAS), Line("treasury:gas", "ETH", GAS))
    payload = CapitalAllocated("arena", CASH, "test")
    store.append([Draft(payload, "2023-11-14T00:00:00Z", AGENT, (Transfer("capital", capital), Transfer("gas", gas)))])
    house = House(url, world, store, {"market": planner})
    house.start()
    return house
