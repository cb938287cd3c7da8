"""A daemon's orders on a chain: client, signer and planners of the configuration, one engine, one desk, one store."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.clock import Clock, iso
from treasury_arena.config.daemon import LIVE
from treasury_arena.config.resolve import asset_table, bound_strategies, market_specs
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.chain import (
    ChainClient,
    ChainContext,
    PlannerContext,
    Signed,
    SignerContext,
    StepPlanner,
    TransactionSigner,
    Unsigned,
)
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.daemon.brain import Brain, Mark
from treasury_arena.domain.stops import higher
from treasury_arena.errors import (
    ChainUnavailableError,
    ConfigError,
    LeaseLostError,
    PluginError,
    SignerError,
    nearest,
)
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft
from treasury_arena.isolation import calling, describe
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore, fuses, prove, stop
from treasury_arena.trading.account import Account
from treasury_arena.trading.live import LiveLimits, OrderEngine
from treasury_arena.trading.live.desk import LiveDesk, Twin

OPERATOR = "the daemon"


def stop_reader(live: EventStore, arena: EventStore, file: Path) -> Callable[[Connection], str]:
    """Reads the emergency stop of both stores, sentinels included: the live one's inside the transaction that asks.

    `file`: the arena's sentinel.
    """

    def level(connection: Connection) -> str:
        return higher(stop.level_inside(live, connection), stop.level(arena, stop.StopFile(file)))

    return level


def make_client(settings: Settings, registry: Registry, clock: Clock) -> ChainClient:
    """The configured chain client; raises ConfigError and PluginError."""
    live = settings.live
    if not live.address:
        raise ConfigError("live.address is missing; expected the treasury's address")
    factory = registry.require("chains", live.chain)
    with calling(f"chain client {live.chain!r}"):
        client: ChainClient = factory(
            settings.sections.get(f"chain.{live.chain}"), ChainContext(asset_table(settings), clock, live.address)
        )
    return client


def make_signer(settings: Settings, registry: Registry, chain_id: int, stop_file: Path) -> TransactionSigner:
    """The configured signer; raises ConfigError and PluginError, SignerError when it signs for another address."""
    live = settings.live
    factory = registry.require("signers", live.signer)
    with calling(f"signer {live.signer!r}"):
        signer: TransactionSigner = factory(
            settings.sections.get(f"signer.{live.signer}"), SignerContext(chain_id, live.address, stop_file)
        )
    return signer


def make_planners(settings: Settings, registry: Registry, client: ChainClient) -> dict[str, StepPlanner]:
    """The planner of every market under ``live.markets``.

    Raises ConfigError for a market that is not configured, and one that a strategy trades and that has no place on the chain.
    """
    specs, assets = market_specs(settings, registry), asset_table(settings)
    owners = {model.name: protocol for protocol in registry.protocols.values() for model in protocol.models}
    planners: dict[str, StepPlanner] = {}
    for name, places in settings.live.markets.items():
        if name not in specs:
            raise ConfigError(f"live.markets.{name}: no such market; {nearest(name, specs)}")
        spec = specs[name]
        if spec.model not in owners:
            raise PluginError(f"markets.{name}: no accepted protocol offers the model {spec.model!r}")
        owner = owners[spec.model]
        context = PlannerContext(
            spec, client, settings.live.address, assets, assets[settings.capital.base], dict(places)
        )
        with calling(f"protocol {owner.name!r}"):
            planners[name] = owner.planner(context)
    for strategy in bound_strategies(settings, registry).values():
        for role, bound in strategy.roles.items():
            if bound.market not in planners:
                raise ConfigError(
                    f"strategy {strategy.name!r} trades its role {role!r} in the market {bound.market!r}, which has no place on "
                    f"the chain: add live.markets.{bound.market}, or leave the strategy out"
                )
    return planners


class NoSigner(TransactionSigner):
    """The address of the treasury for whoever only looks, or decides: it signs nothing."""

    def __init__(self, address: str) -> None:
        self.address = address

    def sign(self, transaction: Unsigned) -> Signed:
        raise SignerError("this command signs nothing")


class ChainTrading:
    """Follows a brain on a chain; each method is the work of a job.

    Args:
        settings, registry: of the arena.
        store: the live store, under its lease.
        arena: the arena's own store, whose emergency stop counts too; `stop_file` is its sentinel.
        wall: the machine's time.
        fuse_names: fuses that must be closed.
        tell: hears one sentence about whatever is worth a line.
        signer: in place of the configured one, for who signs nothing.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: EventStore,
        arena: EventStore,
        wall: Clock,
        stop_file: Path,
        fuse_names: tuple[str, ...],
        tell: Callable[[str], None],
        signer: TransactionSigner | None = None,
    ) -> None:
        base = asset_table(settings)[settings.capital.base]
        live = settings.live
        self.store, self.wall, self.tell, self.mode = store, wall, tell, settings.daemon.mode
        self.client = make_client(settings, registry, wall)
        self.signer = signer or make_signer(settings, registry, self.client.chain_id, stop_file)
        self.specs: dict[str, MarketSpec] = dict(market_specs(settings, registry))
        limits = LiveLimits(
            **{
                f"{name}_raw": None if amount is None else base.to_raw(amount)
                for name, amount in attrs.asdict(live.limits, recurse=False).items()
            }
        )
        self.engine = OrderEngine(
            settings.name,
            store,
            self.client,
            self.signer,
            make_planners(settings, registry, self.client),
            wall,
            limits,
            mode=LIVE if self.mode == LIVE else "local",
            stop_level=stop_reader(store, arena, stop_file),
            fuse=lambda connection: fuses.why_no_risk(connection, fuse_names, wall),
            broken=lambda why: [fuses.locking(name, why, wall) for name in fuse_names],
        )
        self.desk = LiveDesk(self.engine, wall, scale=live.scale, band=live.band, tolerance_bps=live.fidelity_bps)
        self.ready = False
        self.differences: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Book the capital of a test chain's address, or insist that a person has armed live; then reconcile once.

        Raises IntegrityError when the live store does not hold (R0), ConfigError when live was never armed,
        ChainUnavailableError when the chain does not answer.
        """
        prove(self.store)
        booked = list(self.store.read(event_type="CapitalBooked", tail=1))
        if self.mode == LIVE and (self.engine.records.armed() is None or not booked):
            raise ConfigError("live is not armed: a person confirms chain, address and limit with `arena arm` first")
        if not booked:
            self.tell(
                f"booked {self.desk.book(OPERATOR)} base units of {self.desk.base} that the test chain's address holds"
            )
        self.reconcile(0)

    def reconcile(self, slot: int) -> None:
        """Hold journal, ledger and chain against each other; nothing new begins before the first success."""
        try:
            found = self.engine.reconcile()
        except ChainUnavailableError as error:
            payload = o.ReconciliationFailed("chain", str(error))
            self.store.append([Draft(payload, iso(self.wall.now()))])
            raise
        with self._lock:
            self.ready, fresh = True, tuple(d for d in found.differences if d not in self.differences)
            self.differences = found.differences
        for difference in fresh:
            self.tell(f"reconcile: {difference}")

    @contextlib.contextmanager
    def advancing(self, every_seconds: float, lost: Callable[[LeaseLostError], None]) -> Iterator[None]:
        """Advance open orders again and again, in a thread of its own, for as long as a ``with`` block lasts.

        No slot is claimed for that: orders look at journal and chain only, so a look that is missed or doubled changes nothing.
        Whatever a look raises is told, and looked for again: orders are never left unwatched.
        """
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(every_seconds):
                try:
                    if self.ready:
                        self.engine.tick()
                except LeaseLostError as error:
                    lost(error)
                    return
                except Exception as error:
                    self.tell(f"orders: {describe(error)}")

        thread = threading.Thread(target=work, name="orders")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def follow(self, brain: Brain, mark: Mark) -> None:
        """Bring live agents to where the arena's are."""
        if not self.ready:
            return
        with brain.lock:
            twins = twins_of(brain, mark)
            seq = brain.store.last()[0]
        for sentence in self.desk.follow(twins, mark.row, seq):
            self.tell(sentence)

    def mismatch(self) -> int:
        """How many differences the newest reconciliation could not explain; 1 before the first."""
        with self._lock:
            return len(self.differences) if self.ready else 1


def twins_of(brain: Brain, mark: Mark) -> list[Twin]:
    """The arena's funded agents as they are at a mark."""
    manager, twins = brain.manager, []
    for account in mark.accounts:
        agent = manager.state.agents[account.agent_id]
        if not agent.funded or account.closing:
            continue
        desk, markets = manager.world.desks[account.strategy], manager.world.markets
        twins.append(twin_of(account, desk.roles, desk.models, markets, mark.row, agent.given_raw))
    return twins


def twin_of(
    account: Account,
    bound: Mapping[str, str],
    models: Mapping[str, PositionModel],
    markets: Mapping[str, ExactMarket],
    row: int,
    given_raw: int,
) -> Twin:
    """An account at a row, with its roles `bound` to markets: what its positions are worth, and what shape they have."""
    roles, shapes, worth = dict[str, tuple[str, int]](), dict[str, tuple[float, ...]](), account.cash_raw
    for role, name in bound.items():
        market, held = markets[name], account.positions.get(role)
        value = 0 if held is None else market.value(held, row)
        roles[role], worth = (name, value), worth + value
        if held is not None and value and models[role].control is not None:
            shapes[role] = market.shape(held, row)
    return Twin(account.agent_id, worth, account.nav, given_raw, roles, shapes)
