"""A chain in memory, with a mempool, replaced blocks and nodes that lie or fall silent: for tests of orders, not of contracts.

Its contracts know one treasury and do what their calldata says in plain JSON: enough to move tokens by logs. Orders against the
real contracts are tested on a local node.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from treasury_arena.contracts.chain import (
    ALL,
    BlockRef,
    ChainClient,
    Counts,
    Effect,
    Fees,
    Holding,
    Identity,
    Inclusion,
    Plan,
    PlannedStep,
    Refusal,
    SendResult,
    Signed,
    Step,
    StepKind,
    StepPlanner,
    TransactionSigner,
    Unsigned,
)
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, FeeCapError, ValidationError

TREASURY = "0x" + "aa" * 20
GAS_USED = 50_000
GWEI = 10**9

#: Kind -> what it does to (wallet, protocol) per unit: a supply takes from the wallet, a borrow gives to it.
SIGNS = {
    StepKind.SUPPLY: -1,
    StepKind.MINT: -1,
    StepKind.REPAY: -1,
    StepKind.WITHDRAW: 1,
    StepKind.BORROW: 1,
    StepKind.COLLECT: 1,
    StepKind.BURN: 1,
}
#: Kinds that exchange base units for liquidity, which is the treasury's own.
RANGES = (StepKind.MINT, StepKind.COLLECT, StepKind.BURN)
LIQUIDITY = "LIQUIDITY"


@attrs.define
class Block:
    """A block: the hashes of what it holds, by its number and its own hash."""

    ref: BlockRef
    transactions: list[str] = attrs.field(factory=list)


@attrs.define
class World:
    """The truth: blocks, waiting transactions and balances. Shared by every client and surviving every restart in a test.

    Attributes:
        depth: a block is final under so many others.
        balances: asset -> base units of the treasury's wallet; `locked` what protocols hold for it (negative: it owes).
        reverting: kinds of step that revert when they are mined.
    """

    depth: int = 0
    base_fee_raw: int = GWEI
    balances: dict[str, int] = attrs.field(factory=dict)
    locked: dict[tuple[str, str], int] = attrs.field(factory=dict)
    allowances: dict[str, int] = attrs.field(factory=dict)
    native_raw: int = 10**21
    blocks: list[Block] = attrs.field(factory=list)
    waiting: dict[str, Unsigned] = attrs.field(factory=dict)
    mined: dict[str, Inclusion] = attrs.field(factory=dict)
    executed: list[str] = attrs.field(factory=list)
    sent: dict[str, Unsigned] = attrs.field(factory=dict)
    reverting: set[str] = attrs.field(factory=set)
    fork: int = 0
    now: int = 1_700_000_000

    def __attrs_post_init__(self) -> None:
        if not self.blocks:
            self._seal([])

    @property
    def nonce(self) -> int:
        """The treasury's next nonce at the latest block."""
        return len(self.executed)

    def _seal(self, transactions: list[str]) -> Block:
        number = len(self.blocks)
        parent = self.blocks[-1].ref.hash if self.blocks else ""
        text = f"{number}|{parent}|{self.fork}|{transactions}"
        block = Block(BlockRef(number, "0x" + hashlib.sha256(text.encode()).hexdigest(), self.now), transactions)
        self.blocks.append(block)
        self.now += 12
        return block

    def accept(self, signed: str, transaction: Unsigned) -> str:
        """Take a transaction into the mempool: ``ok``, ``known`` or ``refused``."""
        if signed in self.mined or signed in self.waiting:
            return "known"
        if transaction.nonce < self.nonce:
            return "refused"
        for other, waiting in list(self.waiting.items()):
            if waiting.nonce == transaction.nonce:
                if transaction.fees.cap_raw * 10 < waiting.fees.cap_raw * 11:
                    return "refused"
                del self.waiting[other]
        self.waiting[signed] = transaction
        self.sent[signed] = transaction
        return "ok"

    def mine(self, blocks: int = 1, *, take: bool = True) -> None:
        """Seal blocks; waiting transactions of the right nonce go into the first one that can pay the base fee."""
        for _ in range(blocks):
            chosen: list[str] = []
            while take:
                ready = [
                    name
                    for name, tx in self.waiting.items()
                    if tx.nonce == self.nonce and tx.fees.cap_raw >= self.base_fee_raw
                ]
                if not ready:
                    break
                chosen.append(ready[0])
                self.executed.append(ready[0])
                self._apply(ready[0], self.waiting.pop(ready[0]), len(self.blocks))
            block = self._seal(chosen)
            for name in chosen:
                self.mined[name] = attrs.evolve(
                    self.mined[name], block_hash=block.ref.hash, block_number=block.ref.number
                )

    def _apply(self, name: str, transaction: Unsigned, number: int) -> None:
        call = _call(transaction)
        kind: str = call["kind"]
        effects: list[Effect] = []
        success = kind not in self.reverting
        price = min(transaction.fees.cap_raw, self.base_fee_raw + transaction.fees.tip_raw)
        fee = (21_000 if kind == "cancel" else GAS_USED) * price
        if success:
            for index, (asset, amount) in enumerate(sorted(call.get("moves", {}).items())):
                if self.balances.get(asset, 0) + amount < 0:
                    success, effects = False, []
                    break
                effects.append(Effect(index, asset, amount))
        if success:
            for effect in effects:
                self.balances[effect.asset] = self.balances.get(effect.asset, 0) + effect.amount_raw
                if kind in SIGNS and kind not in RANGES:
                    key = (call["market"], effect.asset)
                    self.locked[key] = self.locked.get(key, 0) - effect.amount_raw
            if kind in ("approve", "revoke"):
                self.allowances[call["asset"]] = call["amount"]
        self.native_raw -= fee
        self.mined[name] = Inclusion(name, number, "", success, fee, tuple(effects) if success else ())

    def reorganise(self, depth: int, *, drop: bool = False) -> None:
        """Replace the last `depth` blocks by empty ones; their transactions wait again, or are gone with `drop`."""
        depth = min(depth, len(self.blocks) - 1)
        undone: list[str] = []
        for block in self.blocks[len(self.blocks) - depth :]:
            undone += block.transactions
        self.blocks = self.blocks[: len(self.blocks) - depth]
        self.fork += 1
        for name in reversed(undone):
            self._undo(name)
            if not drop:
                self.waiting[name] = self.sent[name]
        self.mine(depth, take=False)

    def _undo(self, name: str) -> None:
        mined = self.mined.pop(name)
        self.executed.remove(name)
        transaction = self.sent[name]
        call = _call(transaction)
        self.native_raw += mined.fee_raw
        for effect in mined.effects:
            self.balances[effect.asset] -= effect.amount_raw
            if call["kind"] in SIGNS and call["kind"] not in RANGES:
                self.locked[call["market"], effect.asset] += effect.amount_raw

    def spend_elsewhere(self) -> None:
        """The treasury's next nonce is used by a transaction from elsewhere."""
        name = f"elsewhere-{self.nonce}"
        for other, waiting in list(self.waiting.items()):
            if waiting.nonce == self.nonce:
                del self.waiting[other]
        self.executed.append(name)
        self.mined[name] = Inclusion(name, len(self.blocks), "", True, 0, ())
        self.mine(1, take=False)


def _call(transaction: Unsigned) -> dict[str, Any]:
    if len(transaction.data) <= 2:
        return {"kind": "cancel"}
    found: dict[str, Any] = json.loads(bytes.fromhex(transaction.data[2:]))
    return found


class SimulatedClient(ChainClient):
    """A client of a `World`. `faults` maps a method's name to what happens when it is asked next (a callable that may raise)."""

    def __init__(
        self, world: World, endpoints: Sequence[str] = ("node-a", "node-b"), fee_cap_raw: int = 100 * GWEI
    ) -> None:
        self.world = world
        self.chain_id = 31337
        self.native = Asset("ETH", 18)
        self.block_seconds = 12.0
        self.endpoints = tuple(endpoints)
        self.fee_cap_raw = fee_cap_raw
        self.faults: dict[str, Callable[[], None]] = {}
        self.refusal: Refusal | None = None

    def _fault(self, method: str) -> None:
        fault = self.faults.get(method)
        if fault is not None:
            fault()

    def identities(self) -> Sequence[Identity]:
        self._fault("identities")
        return [Identity(name, self.chain_id, self.world.blocks[0].ref.hash) for name in self.endpoints]

    def head(self) -> BlockRef:
        self._fault("head")
        return self.world.blocks[-1].ref

    def finalized(self) -> BlockRef:
        self._fault("finalized")
        return self.world.blocks[max(0, len(self.world.blocks) - 1 - self.world.depth)].ref

    def block(self, number: int) -> BlockRef | None:
        self._fault("block")
        return self.world.blocks[number].ref if number < len(self.world.blocks) else None

    def agree(self, depth: int) -> bool:
        self._fault("agree")
        return True

    def counts(self, sender: str) -> Counts:
        self._fault("counts")
        final = self.finalized().number
        before = sum(1 for name in self.world.executed if self.world.mined[name].block_number <= final)
        return Counts(self.world.nonce, before)

    def native_balance(self, address: str) -> int:
        self._fault("native_balance")
        return self.world.native_raw

    def balances(self, address: str) -> Mapping[str, int]:
        self._fault("balances")
        return dict(self.world.balances)

    def fees(self) -> Fees:
        self._fault("fees")
        cap = 2 * self.world.base_fee_raw + GWEI
        if self.world.base_fee_raw + GWEI > self.fee_cap_raw:
            raise FeeCapError(f"gas costs {cap} wei, more than the cap of {self.fee_cap_raw}")
        return Fees(min(cap, self.fee_cap_raw), GWEI)

    def bumped(self, fees: Fees) -> Fees | None:
        higher = Fees(-(-fees.cap_raw * 9 // 8), -(-fees.tip_raw * 9 // 8))
        return None if higher.cap_raw > self.fee_cap_raw else higher

    def gas(self, sender: str, step: Step) -> int:
        self._fault("gas")
        return step.gas_max

    def examine(self, step: Step, transaction: Unsigned) -> Refusal | None:
        self._fault("examine")
        return self.refusal

    def read(self, raw: str) -> tuple[Unsigned, str]:
        fields = json.loads(bytes.fromhex(raw[2:]))
        fees = Fees(fields.pop("cap"), fields.pop("tip"))
        return Unsigned(**fields, fees=fees), "0x" + hashlib.sha256(raw.encode()).hexdigest()

    def send(self, endpoint: str, raw: str) -> SendResult:
        try:
            self._fault("send")
        except ChainUnavailableError as error:
            return SendResult(endpoint, "unknown", str(error))
        transaction, name = self.read(raw)
        outcome = self.world.accept(name, transaction)
        try:
            self._fault("sent")
        except ChainUnavailableError as error:
            return SendResult(endpoint, "unknown", str(error))
        return SendResult(endpoint, outcome)

    def known(self, transaction: str) -> bool:
        self._fault("known")
        return transaction in self.world.waiting or transaction in self.world.mined

    def inclusion(self, transaction: str, sender: str) -> Inclusion | None:
        self._fault("inclusion")
        return self.world.mined.get(transaction)


class SimulatedSigner(TransactionSigner):
    """Signs at once; `asked` keeps what for."""

    def __init__(self, address: str = TREASURY) -> None:
        self.address = address
        self.asked: list[Unsigned] = []

    def sign(self, transaction: Unsigned) -> Signed:
        self.asked.append(transaction)
        fields: dict[str, Any] = {
            "chain_id": transaction.chain_id,
            "sender": transaction.sender,
            "nonce": transaction.nonce,
            "to": transaction.to,
            "value_raw": transaction.value_raw,
            "data": transaction.data,
            "gas": transaction.gas,
            "cap": transaction.fees.cap_raw,
            "tip": transaction.fees.tip_raw,
        }
        raw = "0x" + json.dumps(fields, sort_keys=True).encode().hex()
        return Signed("0x" + hashlib.sha256(raw.encode()).hexdigest(), raw)


class SimulatedPlanner(StepPlanner):
    """A market that supplies (or swaps, borrows, mints) base units one to one. What is owed counts as worth, too.

    Args:
        market, base: as configured.
        enter, leave: kinds of the steps that raise and lower a position, after their approval.
        asset: what a swap buys.
    """

    def __init__(
        self,
        world: World,
        market: str,
        base: Asset,
        enter: StepKind = StepKind.SUPPLY,
        leave: StepKind = StepKind.WITHDRAW,
        asset: str = "WETH",
    ) -> None:
        self.world, self.market, self.base = world, market, base
        self.enter, self.leave, self.asset = enter, leave, asset

    def value(self, holding: Holding) -> int:
        return sum(holding.held.values()) + sum(holding.owed.values())

    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        if target_raw < 0:
            raise ValidationError("a target cannot be negative")
        move = target_raw - self.value(holding)
        if not move:
            return None
        base = self.base.symbol
        size = abs(move)
        if move > 0:
            steps = (
                PlannedStep(StepKind.APPROVE, base, size, GAS_USED),
                PlannedStep(self.enter, base, size, GAS_USED),
                PlannedStep(StepKind.REVOKE, base, 0, GAS_USED),
            )
            return Plan(steps, size, size if SIGNS.get(self.enter, -1) < 0 else 0, False)
        cash = size if SIGNS.get(self.leave, 1) < 0 else 0
        return Plan((PlannedStep(self.leave, base, size, GAS_USED),), size, cash, True)

    def bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        base = step.asset
        moves: dict[str, int] = {}
        if step.kind is StepKind.SWAP:
            moves = {base: -amount_raw, self.asset: amount_raw} if self.enter is StepKind.SWAP else {}
        elif step.kind in SIGNS:
            moves = {base: SIGNS[step.kind] * amount_raw}
            if step.kind in RANGES:
                moves[LIQUIDITY] = -moves[base]
        if step.kind is StepKind.REVOKE and not self.world.allowances.get(base):
            return None
        call = {"kind": str(step.kind), "market": self.market, "asset": base, "amount": amount_raw, "moves": moves}
        data = "0x" + json.dumps(call, sort_keys=True).encode().hex()
        expects: dict[str, int | str] = {"asset": base, "amount_raw": amount_raw}
        return Step(step.kind, base, "0x" + "bb" * 20, data, 0, step.gas_max, expects, {base: amount_raw})

    def holdings(self) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for (market, asset), amount in self.world.locked.items():
            if market == self.market:
                found[asset] = (max(0, amount), max(0, -amount))
        if self.enter in RANGES:
            found[LIQUIDITY] = (self.world.balances.get(LIQUIDITY, 0), 0)
        return found

    def wallet(self) -> frozenset[str]:
        return frozenset({self.asset} if self.enter is StepKind.SWAP else ())


__all__ = [
    "ALL",
    "TREASURY",
    "SimulatedClient",
    "SimulatedPlanner",
    "SimulatedSigner",
    "World",
]
