"""An order engine on the local market that can be killed at a point and started again: the real client, the real contracts.

For tests of orders against a chain, the house's and anyone's. Blocks come only when the test says so.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.contracts.chain import Holding, Plan, PlannedStep, Step, StepKind, StepPlanner
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import ChainUnavailableError, ValidationError
from treasury_arena.events.catalog import CapitalAllocated
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.replay import replay
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import CrashPoint, LiveLimits, OrderEngine
from treasury_arena.trading.live.records import IntentRecord
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.liquidity import token_of
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.local.accounts import Account
from treasury_arena_evm.local.live import ChainClock, LocalSigner, live_client
from treasury_arena_evm.local.market import LocalMarket

AGENT, MARKET, ROLE = "agent-1", "vault", "only"
GAS_MAX = 300_000
#: Blocks mined first, for a loaded chain has none before its latest: finality and replaced blocks need some.
HISTORY = 14
_ENDED = ("SETTLED", "FAILED", "CANCELLED", "QUARANTINED")


class VaultSteps(StepPlanner):
    """The local vault as a market: approve, deposit, take the rest of the allowance back; withdraw."""

    market = MARKET

    def __init__(self, client: EvmClient, market: LocalMarket, owner: str) -> None:
        self._client, self._vault, self._owner = client, market.vault, owner
        self._token, self.base = market.token("USDC").address, Asset("USDC", 6)

    def value(self, holding: Holding) -> int:
        return holding.held.get("USDC", 0)

    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        if target_raw < 0:
            raise ValidationError(f"a target of {target_raw} base units; a position cannot be negative")
        move = target_raw - self.value(holding)
        if not move:
            return None
        if move < 0:
            return Plan((PlannedStep(StepKind.WITHDRAW, "USDC", -move, GAS_MAX),), -move, 0, True)
        revoke = PlannedStep(StepKind.REVOKE, "USDC", 0, GAS_MAX)
        approve = PlannedStep(StepKind.APPROVE, "USDC", move, GAS_MAX)
        supply = PlannedStep(StepKind.SUPPLY, "USDC", move, GAS_MAX)
        first = (revoke,) if self._allowance() else ()
        return Plan((*first, approve, supply, revoke), move, move, False)

    def bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        asset, owner = self._token.lower(), self._owner.lower()
        expects: dict[str, int | str] = {"asset": asset, "amount_raw": amount_raw}
        if step.kind in (StepKind.APPROVE, StepKind.REVOKE):
            if self._allowance() == amount_raw:
                return None
            data = ERC20.function("approve").encode(self._vault, amount_raw)
            expects["spender"] = self._vault.lower()
            return self._step(step, self._token, data, expects, {})
        expects["recipient"] = owner
        if step.kind is StepKind.SUPPLY:
            data = ERC4626.function("deposit").encode(amount_raw, self._owner)
            return self._step(step, self._vault, data, expects, {"USDC": amount_raw})
        expects["owner"] = owner
        data = ERC4626.function("withdraw").encode(amount_raw, self._owner, self._owner)
        return self._step(step, self._vault, data, expects, {})

    def holdings(self) -> Mapping[str, tuple[int, int]]:
        shares = int(self._ask(self._vault, ERC4626.function("balanceOf"), self._owner))
        return {"USDC": (int(self._ask(self._vault, ERC4626.function("previewRedeem"), shares)), 0)}

    def _allowance(self) -> int:
        return int(self._ask(self._token, ERC20.function("allowance"), self._owner, self._vault))

    def _ask(self, to: str, function: Any, *arguments: Any) -> Any:
        try:
            return self._client.call(to, function, *arguments)
        except RevertError as error:
            raise ValidationError(str(error)) from error
        except ChainError as error:
            raise ChainUnavailableError(str(error)) from error

    @staticmethod
    def _step(step: PlannedStep, to: str, data: bytes, expects: dict[str, int | str], spends: dict[str, int]) -> Step:
        return Step(step.kind, step.asset, to, "0x" + data.hex(), 0, step.gas_max, expects, spends)


MakePlanner = Callable[[EvmClient, LocalMarket, str], StepPlanner]


@attrs.define
class ChainHouse:
    """Store, chain, and the engine of the present process.

    Attributes:
        endpoints: addresses of nodes by name, None for the market's own.
        keys: of `EvmSection`, beside.
        stop: the level of the emergency stop, in its only place.
        first_nonce: of the treasury when the house was built.
        make: makes the planner of its one market of a new client; the local vault's unless given.
    """

    url: str
    market: LocalMarket
    who: Account
    store: EventStore
    endpoints: Mapping[str, str] | None = None
    keys: dict[str, Any] = attrs.field(factory=dict)
    limits: LiveLimits = attrs.field(factory=LiveLimits)
    stop: list[str] = attrs.field(factory=lambda: [OFF])
    first_nonce: int = 0
    make: MakePlanner = VaultSteps
    engine: OrderEngine = attrs.field(init=False)
    client: EvmClient = attrs.field(init=False)
    planner: StepPlanner = attrs.field(init=False)

    def start(self, kill: Callable[[CrashPoint, str], None] = lambda point, kind: None) -> OrderEngine:
        """A new process: nothing of the one before but store and chain."""
        self.store.close()
        self.store = open_store(self.url)
        clock = ChainClock(self.market.chain)
        self.client = live_client(self.market, self.who, self.endpoints, clock, **self.keys)
        self.planner = self.make(self.client, self.market, self.who.address)
        self.engine = OrderEngine(
            "arena",
            self.store,
            self.client,
            LocalSigner(self.who),
            {self.planner.market: self.planner},
            clock,
            self.limits,
            mode="local",
            stop_level=lambda _: self.stop[0],
            passing=kill,
        )
        return self.engine

    # --- orders

    def submit(self, target: int, row: int = 1, role: str = ROLE, control: tuple[float, ...] = ()) -> str | None:
        """An intent of the agent."""
        return self.engine.submit(Intent(AGENT, role, self.planner.market, target, row, control))

    def settle(
        self, target: int, row: int = 1, role: str = ROLE, control: tuple[float, ...] = (), rounds: int = 80
    ) -> None:
        """An intent that must settle within so many rounds of `finish`."""
        intent_id = self.submit(target, row, role, control)
        assert intent_id is not None
        self.finish(rounds)
        intent = self.intent(intent_id)
        assert intent.state == "SETTLED", (intent.failed, intent.reason)

    def intent(self, intent_id: str) -> IntentRecord:
        """A journaled intent."""
        found = self.engine.records.intent(intent_id)
        assert found is not None
        return found

    def finish(self, rounds: int = 80) -> None:
        """Tick and mine until nothing but quarantined intents is open, or so many rounds have passed."""
        for _ in range(rounds):
            self.engine.tick()
            waiting = [i for i in self.engine.records.open_intents() if i.state != "QUARANTINED"]
            if not waiting and not self.engine.records.open_slots():
                return
            self.market.chain.mine()

    # --- the chain

    def mine_without(self, blocks: int) -> None:
        """Blocks into which nothing goes that waits: every transaction that was sent waits again afterwards."""
        chain = self.market.chain
        waiting = [
            attempt.signed
            for slot in self.engine.records.open_slots()
            for attempt in self.engine.records.attempts(slot.slot)
            if chain.rpc("eth_getTransactionByHash", attempt.tx_hash) is not None
        ]
        chain.rpc("anvil_dropAllTransactions")
        chain.mine(blocks)
        for raw in waiting[-1:]:
            chain.rpc("eth_sendRawTransaction", raw)

    def mined(self) -> list[str]:
        """Kinds of what the chain carried out for the treasury since the house was built, by what the journal signed."""
        nonce = int(self.market.chain.rpc("eth_getTransactionCount", self.who.address, "latest"), 16)
        kinds: list[str] = []
        for slot in self.engine.records.used(self.client.chain_id, self.who.address):
            for attempt in self.engine.records.attempts(slot.slot):
                receipt = self.market.chain.rpc("eth_getTransactionReceipt", attempt.tx_hash)
                if receipt is not None:
                    assert slot.nonce < nonce
                    kinds.append(attempt.call["kind"] if receipt["status"] == "0x1" else "reverted")
        return kinds

    # --- what must hold

    def check_books(self) -> None:
        """Ledger equals chain to the unit, and the tables are what the events say."""
        books = self.store.balances()

        def sum_of(asset: str, *names: str) -> int:
            return sum(amount for (name, of), amount in books.items() if of == asset and name.startswith(names))

        available, reserved = f"agent:{AGENT}:available", f"agent:{AGENT}:reserved"
        cash, there = sum_of("USDC", available, reserved), self.market.balance("USDC", self.who.address)
        assert cash == there, f"the books have {cash} of cash, the chain {there}"
        gas, coins = sum_of("ETH", "treasury:gas", reserved), self.market.chain.balance(self.who.address)
        assert gas == coins, f"the books have {gas} wei, the chain {coins}"
        slots = len(self.engine.records.used(self.client.chain_id, self.who.address))
        for asset, (held, owed) in self.planner.holdings().items():
            position, debt = (sum_of(asset, f"agent:{AGENT}:{kind}:") for kind in ("position", "debt"))
            room = 2 + slots if token_of(asset) is None else 0  # what earns is rounded
            assert abs(position - held) <= room, f"the books have a position of {position} {asset}, the chain {held}"
            assert abs(owed + debt) <= room, f"the books have a debt of {-debt} {asset}, the chain {owed}"
        for asset in self.planner.wallet():
            booked, there = sum_of(asset, f"agent:{AGENT}:position:"), self.market.balance(asset, self.who.address)
            assert booked == there, f"the books have {booked} {asset} in the wallet, the chain {there}"
        liquidity = {asset for _, asset in books if token_of(asset) is not None and sum_of(asset, "agent:")}
        assert liquidity <= set(self.planner.holdings()), "the books have liquidity that the chain has not"
        assert replay(self.store).ok

    def check_nothing_doubled(self) -> None:
        """Of each step of each intent at most one transaction went through, and each used nonce is a journaled slot's."""
        done: Counter[tuple[str | None, int | None]] = Counter()
        nonces = set()
        for slot in self.engine.records.used(self.client.chain_id, self.who.address):
            for attempt in self.engine.records.attempts(slot.slot):
                receipt = self.market.chain.rpc("eth_getTransactionReceipt", attempt.tx_hash)
                if receipt is None:
                    continue
                nonces.add(slot.nonce)
                if receipt["status"] == "0x1" and attempt.call["kind"] != "cancel":
                    done[slot.intent_id, slot.step] += 1
        doubled = [step for step, times in done.items() if times > 1]
        assert not doubled, f"carried out twice: {doubled}"
        now = int(self.market.chain.rpc("eth_getTransactionCount", self.who.address, "latest"), 16)
        assert nonces == set(range(self.first_nonce, now)), "a nonce was used by nothing that is in the journal"

    def check_nothing_hangs(self) -> None:
        """Every intent has ended or waits for a person, and no slot of one that has ended is open."""
        states = Counter(str(intent.state) for intent in self.engine.records.intents(10_000))
        assert set(states) <= set(_ENDED), states
        slots = self.engine.records.used(self.client.chain_id, self.who.address)
        ends = Counter(str(slot.state) for slot in slots)
        assert set(ends) <= {"FINAL", "SUPERSEDED", "QUARANTINED", "DISPLACED"}, ends


def build(
    url: str,
    market: LocalMarket,
    who: Account,
    endpoints: Mapping[str, str] | None = None,
    make: MakePlanner = VaultSteps,
    **keys: Any,
) -> ChainHouse:
    """A house whose agent has all of an account's USDC; blocks come only when asked for. `keys` are those of `EvmSection`."""
    store, chain = open_store(url), market.chain
    cash, gas = market.balance("USDC", who.address), chain.balance(who.address)
    capital = (Line("world:owner", "USDC", -cash), Line(f"agent:{AGENT}:available", "USDC", cash))
    coins = (Line("world:owner", "ETH", -gas), Line("treasury:gas", "ETH", gas))
    payload = CapitalAllocated("arena", cash, "test")
    store.append(
        [Draft(payload, "2024-01-01T00:00:00Z", AGENT, (Transfer("capital", capital), Transfer("gas", coins)))]
    )
    nonce = int(chain.rpc("eth_getTransactionCount", who.address, "latest"), 16)
    chain.rpc("evm_setAutomine", False)
    chain.mine(HISTORY)
    house = ChainHouse(url, market, who, store, endpoints, {"finality": 1, **keys}, first_nonce=nonce, make=make)
    house.start()
    return house


def with_dollars_alone(market: LocalMarket) -> None:
    """The treasury's account gives its coins away, so that a house knows of all that it has but DAI."""
    who = market.users[0]
    token, coins = market.token("WETH").address, market.balance("WETH", who.address)
    market.chain.send(who.address, token, ERC20.function("transfer"), market.maker.address, coins)


@contextmanager
def copied(house: ChainHouse, path: Path) -> Iterator[ChainHouse]:
    """The same treasury, on a copy at `path` of its SQLite store and a chain whose changes are undone afterwards.

    `house` has ended by then, and is only begun with again.
    """
    assert house.store.path is not None
    house.store.close()
    shutil.copy(house.store.path, path)
    with house.market.chain.isolated():
        house.market.chain.rpc("evm_setAutomine", False)
        one = attrs.evolve(house, url=f"sqlite:///{path}", store=open_store(path), keys=dict(house.keys), stop=[OFF])
        one.start()
        try:
            yield one
        finally:
            one.store.close()
