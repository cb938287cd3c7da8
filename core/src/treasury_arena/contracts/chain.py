"""The door to a chain: what live orders ask of nodes, of a signer, and of the protocols that plan their transactions.

An intent becomes a plan, an ordered list of `PlannedStep`; a step that is about to be signed is bound to calldata (`Step`); a
bound step with nonce and fees is an `Unsigned` transaction, one signature of it an `Attempt`. Nothing here decides: the order
engine journals first and asks these doors afterwards, so each of them may fail at any moment.

A read that fails raises `ChainUnavailableError` and means "unknown", never zero and never "no".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset, AssetTable

if TYPE_CHECKING:
    from treasury_arena.clock import Clock


class StepKind(StrEnum):
    """What one transaction of a plan does. CANCEL is the engine's own: a transfer of nothing to the sender itself."""

    APPROVE = "approve"
    SUPPLY = "supply"
    WITHDRAW = "withdraw"
    BORROW = "borrow"
    REPAY = "repay"
    SWAP = "swap"
    MINT = "mint"
    COLLECT = "collect"
    BURN = "burn"
    REVOKE = "revoke"
    CANCEL = "cancel"


ALL = "all"
"""In place of an amount: all that earlier steps of the same intent brought in of the asset."""


@attrs.frozen
class PlannedStep:
    """One step as it was planned when the intent was reserved: JSON-ready, without calldata.

    Attributes:
        kind: what it does.
        asset: symbol of the asset that moves first (the one approved, supplied, borrowed, or sold).
        amount_raw: base units of it, or ALL.
        gas_max: most gas that its transaction may use.
        details: what else its planner needs to bind it, JSON-ready; its keys ending in ``_raw`` are base units.
    """

    kind: StepKind
    asset: str
    amount_raw: int | str
    gas_max: int
    details: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Step:
    """A step bound to calldata, with what a reader of the calldata must find in it.

    Attributes:
        kind, asset: as planned.
        to: the contract that is called.
        data: calldata, ``0x`` and hex digits.
        value_raw: wei of the native coin that go along.
        gas_max: most gas that it may use.
        expects: argument name -> value (int, or text in lower case) that the gate's own decoder must find; at least `asset`,
            `amount_raw` and `recipient` where money moves, `spender` for an allowance, `min_out_raw` and `deadline` for a swap.
            The names for each function that is called: docs/explanation/orders.md, "What calldata says".
        spends: symbol -> most base units that may leave the treasury by it.
    """

    kind: StepKind
    asset: str
    to: str
    data: str
    value_raw: int
    gas_max: int
    expects: Mapping[str, int | str]
    spends: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Fees:
    """Wei per unit of gas: the most that is paid in all, and what the block's maker gets of it."""

    cap_raw: int
    tip_raw: int


@attrs.frozen
class Unsigned:
    """A transaction before its signature: all that the signature covers. `gas` is its limit."""

    chain_id: int
    sender: str
    nonce: int
    to: str
    value_raw: int
    data: str
    gas: int
    fees: Fees


@attrs.frozen
class Signed:
    """A signed transaction. `hash` was computed here, not asked of a node."""

    hash: str
    raw: str


@attrs.frozen
class BlockRef:
    """A block by number and hash; `timestamp` in seconds since 1970."""

    number: int
    hash: str
    timestamp: int


@attrs.frozen
class Counts:
    """How many transactions of a sender the latest and the finalized block hold: the next nonce, seen from each."""

    latest: int
    finalized: int


@attrs.frozen
class SendResult:
    """What one endpoint said to a transaction: ``ok``, ``known``, ``refused`` or ``unknown`` (no answer). It proves nothing."""

    endpoint: str
    outcome: str
    text: str = ""


@attrs.frozen
class Effect:
    """Base units that the sender gained (+) or lost (-) of a pinned asset, by one log of the receipt."""

    log_index: int
    asset: str
    amount_raw: int


@attrs.frozen
class Inclusion:
    """A mined transaction: its block, whether it went through, its whole fee in wei, and what it moved."""

    hash: str
    block_number: int
    block_hash: str
    success: bool
    fee_raw: int
    effects: tuple[Effect, ...]
    logs: tuple[dict[str, Any], ...] = ()


@attrs.frozen
class Identity:
    """Whom an endpoint says it serves: the chain's id and the hash of its first block."""

    endpoint: str
    chain_id: int
    genesis: str


@attrs.frozen
class Refusal:
    """Why something is not signed: a code of the gate, and one sentence."""

    code: str
    reason: str


class ChainClient(ABC):
    """One chain through one or several endpoints. Every method may raise ChainUnavailableError.

    Attributes:
        chain_id: the configured chain.
        native: the coin that pays for gas, as the ledger books it.
        block_seconds: nominal time between blocks.
        endpoints: names of the nodes, without what is secret in their addresses.
        fee_cap_raw: most wei per unit of gas that is ever offered.
    """

    chain_id: int
    native: Asset
    block_seconds: float
    endpoints: Sequence[str]
    fee_cap_raw: int

    @abstractmethod
    def identities(self) -> Sequence[Identity]:
        """What every endpoint says it is; endpoints that do not answer are left out, ChainUnavailableError when none does."""

    @abstractmethod
    def head(self) -> BlockRef:
        """The latest block."""

    @abstractmethod
    def finalized(self) -> BlockRef:
        """The highest block that can no longer be replaced."""

    @abstractmethod
    def block(self, number: int) -> BlockRef | None:
        """The canonical block of that number; None when there is none yet."""

    @abstractmethod
    def agree(self, depth: int) -> bool:
        """Whether all endpoints that answer have the same block `depth` below the lowest of their heads."""

    @abstractmethod
    def counts(self, sender: str) -> Counts:
        """A sender's transaction counts."""

    @abstractmethod
    def native_balance(self, address: str) -> int:
        """Wei of the native coin."""

    @abstractmethod
    def balances(self, address: str) -> Mapping[str, int]:
        """Symbol -> base units of every pinned asset that an address holds as plain tokens."""

    @abstractmethod
    def fees(self) -> Fees:
        """Fees for the next block, under the configured cap. Raises FeeCapError above it."""

    @abstractmethod
    def bumped(self, fees: Fees) -> Fees | None:
        """Both fees times 1.125, rounded up; None when that is above the cap."""

    @abstractmethod
    def gas(self, sender: str, step: Step) -> int:
        """Gas limit for a step: an estimate with room, refused (ValidationError) when it would fail or pass `step.gas_max`."""

    @abstractmethod
    def examine(self, step: Step, transaction: Unsigned) -> Refusal | None:
        """Points 3 to 9 of the gate, on the exact transaction; None when all hold."""

    @abstractmethod
    def read(self, raw: str) -> tuple[Unsigned, str]:
        """Decode signed bytes: the transaction and its hash. Raises ValidationError for bytes that are none."""

    @abstractmethod
    def send(self, endpoint: str, raw: str) -> SendResult:
        """Send signed bytes to one endpoint; never raises, for nothing a node says is proof."""

    @abstractmethod
    def known(self, transaction: str) -> bool:
        """Whether any endpoint knows a transaction, mined or waiting."""

    @abstractmethod
    def inclusion(self, transaction: str, sender: str) -> Inclusion | None:
        """Where a transaction was mined, by a canonical block; None while it is not."""


class TransactionSigner(ABC):
    """Signs for one address. The key lives elsewhere: in another process, or behind an external signer."""

    address: str

    @abstractmethod
    def sign(self, transaction: Unsigned) -> Signed:
        """A signature. Raises SignerError when it is refused or does not come: nothing was published then."""


@attrs.frozen
class Holding:
    """What the books say that a holder has in one position: symbol -> base units held, and owed (positive)."""

    cash_raw: int
    held: Mapping[str, int] = attrs.field(factory=dict)
    owed: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Plan:
    """What an intent will do.

    Attributes:
        steps: in order.
        notional_raw: size of the move in base units of the base asset.
        cash_raw: most base units of the base asset that it takes from its holder.
        reduces: whether it only ever lowers risk.
        slippage_bps: expected.
    """

    steps: tuple[PlannedStep, ...]
    notional_raw: int
    cash_raw: int
    reduces: bool
    slippage_bps: float = 0.0


class StepPlanner(ABC):
    """One market's way from a wish to transactions; lives with its protocol.

    Attributes:
        market: the market's configured name.
        base: the asset that cash is in.
    """

    market: str
    base: Asset

    @abstractmethod
    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        """Steps that bring a position's value to `target_raw`; None when it is there already (below dust).

        Raises ValidationError with one sentence for what the market refuses.
        """

    @abstractmethod
    def bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        """Calldata for a step at this moment (`now`: seconds since 1970, for deadlines); None when it need not be done.

        `amount_raw` is the planned amount, with ALL resolved. Raises ValidationError when it cannot be done any more.
        """

    @abstractmethod
    def value(self, holding: Holding) -> int:
        """Worth of a position now, in base units of the base asset."""

    @abstractmethod
    def holdings(self) -> Mapping[str, tuple[int, int]]:
        """What the chain says of this market for the treasury's address: symbol -> (held, owed), all holders together."""

    def wallet(self) -> frozenset[str]:
        """Symbols of tokens that its positions keep in the treasury's wallet beside `holdings`, shared with other markets.

        What all of them have booked is held against the wallet together.
        """
        return frozenset()


@attrs.frozen
class ChainContext:
    """What a chain client's factory learns beside its own configuration section.

    Attributes:
        assets: decimals of every asset by symbol, as the ledger has them; a token pinned with others is refused.
        clock: says what time it is.
        sender: the treasury's address on it.
    """

    assets: AssetTable
    clock: Clock
    sender: str


@attrs.frozen
class SignerContext:
    """What a signer's factory learns beside its own configuration section.

    Attributes:
        chain_id: the only chain it may sign for.
        sender: the only address it may sign for.
        stop_file: a file whose presence means HARD stop, looked at before every signature.
    """

    chain_id: int
    sender: str
    stop_file: Path


@attrs.frozen
class PlannerContext:
    """What a protocol's planner is made of.

    Attributes:
        spec: the market, as configured.
        client: the chain's client; a protocol refuses one of a kind it cannot read with (ConfigError).
        sender: the treasury's address.
        assets, base: as the ledger has them.
        places: contract addresses by role, and other settings of the market on this chain (``live.markets.NAME``).
    """

    spec: MarketSpec
    client: ChainClient
    sender: str
    assets: AssetTable
    base: Asset
    places: Mapping[str, Any]
