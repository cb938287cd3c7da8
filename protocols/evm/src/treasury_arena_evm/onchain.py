"""What markets on a chain share: quoting now, settling by transactions, and fills that come from receipts and balances alone.

A market on a chain is an `ExactMarket` whose rows mean nothing: it always speaks of the latest block. Gas is paid in the native
coin by the account that signs, out of what its owner put there: the ledger books it from the owner's side of the world to
``gas`` in that coin, so that an agent's base asset is what the chain says it is, and a fill's `cost_raw` tells what the
gas was worth.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from treasury_arena.contracts.bound import ceil_div, check_target, legs
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket, ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import (
    ChainUnavailableError,
    ExecutionError,
    TreasuryArenaError,
    UnknownOutcomeError,
    ValidationError,
)
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import NONSENSE
from treasury_arena_evm.outstanding import Owner
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.tokens import check_pins
from treasury_arena_evm.transport import LostError, NodeError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

WEI = 10**18
Entry = tuple[str, str, int]


class OnChainMarket(ExactMarket):
    """A market whose fills are transactions of one account.

    Args:
        spec: name, kind and asset; its columns and parameters are not read.
        session: of the chain; its pinned tokens must know asset and base.
        who: the account that signs; all its positions here belong to one holder.
        asset, base: as the ledger knows them, decimals included.
        native_price: base units of the base asset that one whole native coin is worth, to tell what gas cost.
        dust: smallest move in base units of the base asset.

    Raises ConfigError when the chain's pinned tokens have other decimals than the ledger's assets.
    """

    def __init__(
        self,
        spec: MarketSpec,
        session: Session,
        who: LocalAccount,
        asset: Asset,
        base: Asset,
        *,
        native_price: int = 0,
        dust: int | None = None,
    ) -> None:
        self.spec, self.session, self.who, self.asset, self.base = spec, session, who, asset, base
        self.venue = "local" if session.chain.local else "live"
        self.native_price = native_price
        self.dust = base.unit if dust is None else dust
        self.unfinished = self._begun = ""
        self._outcomes: dict[str, Fill | ExecutionError] = {}
        self._spent: list[Receipt] = []
        self._given: set[tuple[str, str]] = set()
        self._first = True
        check_pins(spec.name, session.chain, session.tokens, {asset, base})

    def token(self, asset: Asset) -> Erc20:
        """The asset's contract."""
        return Erc20(self.session, self.session.tokens.symbol(asset.symbol))

    # --- what a market says

    @abstractmethod
    def valued(self, state: ExactState) -> int:
        """What a position is worth now, base units of the base asset."""

    @abstractmethod
    def found(self, state: ExactState) -> ExactState:
        """The position as the chain shows it now; what the books alone know is taken from `state`."""

    def viewed(self, state: ExactState) -> Mapping[str, float]:
        """The model's views of a position now, by name; none unless overridden."""
        return {}

    @abstractmethod
    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        """What moving to the target would do at the latest block, which is pinned; None when there is nothing to do."""

    @abstractmethod
    def execute(self, state: ExactState, fill: Fill) -> Fill:
        """Send the transactions of a quote, each through `sent`; the fill by what the chain says afterwards."""

    @abstractmethod
    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """The fill of what was mined before `execute` failed, by the chain alone: tokens that moved must not leave the books."""

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """Whom an order of this market may allow to take which asset; nobody unless overridden.

        What a process that was killed left of such an allowance is taken back before the first order of the next one.
        """
        return ()

    def value(self, state: ExactState, row: int) -> int:
        """What a position is worth now; errors as `reading`."""
        with self.reading("valued"):
            return self.valued(state)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        """What the chain shows now, and postings of how it differs from what the books last saw; errors as `reading`."""
        with self.reading("looked at"):
            after = self.found(state)
            return after, self.grown(self.holdings(state), self.holdings(after))

    def views(self, state: ExactState, row: int) -> Mapping[str, float]:
        """The model's views of a position now; errors as `reading`."""
        with self.reading("looked at"):
            return self.viewed(state)

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        check_whole(target_raw, f"market {self.spec.name!r}: the target in base units")
        check_target(self.spec.name, target_raw)
        with self._refusals(), self.session.pinned():
            return self.quote(state, target_raw, control)

    def settle(self, intent_id: str, state: ExactState, fill: Fill, row: int) -> Fill:
        """Execute a quote. What fails before any token has moved raises ExecutionError with the gas that is gone.

        What fails later (a clean-up, a read, a step of several) is settled as far as it came, and `unfinished` says why.
        While the node does not tell what became of a transaction, UnknownOutcomeError: asked again with the same `intent_id`,
        nothing is executed a second time, only found out. What came of it is told again until it is said to be `booked`.
        """
        if intent_id not in self._outcomes:
            self._settle(intent_id, state, fill)
        outcome = self._outcomes[intent_id]
        if isinstance(outcome, ExecutionError):
            raise outcome
        return outcome

    def booked(self, intent_id: str) -> None:
        self._outcomes.pop(intent_id, None)

    def _settle(self, intent_id: str, state: ExactState, fill: Fill) -> None:
        if self._begun not in ("", intent_id):  # its receipts are still needed; nothing of this order has been sent
            self._outcomes[intent_id] = ExecutionError(
                f"market {self.spec.name!r}: another order's outcome is not known yet"
            )
            return
        owner = (self.who.address, self.spec.name, intent_id)
        with self.session.listening(self._heard, owner):
            outcome = self._outcome(owner, state, fill)
        self._outcomes[intent_id] = outcome
        self._begun = ""  # not before: who is interrupted here must not begin anew

    def _outcome(self, owner: Owner, state: ExactState, fill: Fill) -> Fill | ExecutionError:
        if self._begun:  # by whatever it was interrupted, Ctrl-C included: nothing is sent a second time
            return self._found_out(owner, state, fill, self.unfinished or "it was interrupted")
        self._spent, self.unfinished, self._begun = [], "", owner[-1]
        try:
            self._take_back(owner)
            return self.execute(state, fill)
        except Exception as error:  # whatever it was, what is mined is mined
            text = str(error) if isinstance(error, TreasuryArenaError) else f"{type(error).__name__}: {error}"
            return self._found_out(owner, state, fill, text)

    def _found_out(self, owner: Owner, state: ExactState, fill: Fill, text: str) -> Fill | ExecutionError:
        """What became of an order that did not go through: its fill as far as it came, or why nothing of it happened."""
        self.unfinished = text
        self.session.resolve(owner)
        unheard = self._take_back(owner)
        if not self._tokens_moved():
            if unheard:
                raise UnknownOutcomeError(f"market {self.spec.name!r}: {text}; then {unheard}")
            return ExecutionError(f"market {self.spec.name!r}: {text}", legs(*self._gas()), self._worth_of_gas())
        try:
            return self.recovered(state, fill)
        except Exception as error:  # the node is away again: the tokens have moved, so the order must not be forgotten
            raise UnknownOutcomeError(f"market {self.spec.name!r}: {text}; then {error}") from error

    def _take_back(self, owner: Owner) -> str:
        """Take back what is left of allowances that this order or an earlier one gave, by the receipts, and once those that a
        process before this one may have left.

        What cannot be taken back now is tried again before the next order; why the node did not let it, empty where it did or
        something else refuses (gas that is too dear). UnknownOutcomeError when a transaction for it may have been sent.
        """
        unheard = ""
        if self._first:
            self._given |= {(self.token(asset).token.address, spender) for asset, spender in self.spenders()}
            self._first = False
        for receipt in self._spent:
            self._given |= receipt.approvals(self.who.address)
        for address, spender in sorted(self._given):
            try:
                Erc20(self.session, self.session.tokens.address(address)).take_back(self.who, spender)
            except TreasuryArenaError as error:
                if self.session.waits(owner):
                    raise UnknownOutcomeError(f"market {self.spec.name!r}: {error}") from error
                if isinstance(error, LostError | NodeError | UnknownOutcomeError):
                    unheard = str(error)
            else:
                self._given.discard((address, spender))
        return unheard

    def _tokens_moved(self) -> bool:
        """Whether a mined transaction of this fill changed what the account holds of any token, or of positions as tokens."""
        return any(receipt.touched(self.who.address) for receipt in self._spent)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What a chain or a token refuses, and what cannot be read, is this market's refusal of the order."""
        try:
            yield
        except ValidationError:
            raise
        except TreasuryArenaError as error:
            raise ValidationError(f"market {self.spec.name!r}: {error}") from error
        except NONSENSE as error:
            raise ValidationError(f"market {self.spec.name!r}: {_said(error)}") from error

    @contextmanager
    def reading(self, done: str) -> Iterator[None]:
        """One block for all reads inside; tells in one sentence that names the market why a position could not be `done`.

        ChainUnavailableError where the node did not answer, or answered what makes no sense: what the position is worth is then
        not known, and not nothing. ValidationError where a contract refused.
        """
        try:
            with self.session.pinned():
                yield
        except ValidationError as error:
            if repr(self.spec.name) in str(error):
                raise
            raise ValidationError(f"market {self.spec.name!r} cannot be {done}: {error}") from error
        except (LostError, NodeError) as error:
            raise ChainUnavailableError(f"market {self.spec.name!r} cannot be {done}: {error}") from error
        except TreasuryArenaError as error:
            raise ValidationError(f"market {self.spec.name!r} cannot be {done}: {error}") from error
        except NONSENSE as error:
            raise ChainUnavailableError(f"market {self.spec.name!r} cannot be {done}: {_said(error)}") from error

    # --- for subclasses

    def sent(self, *receipts: Receipt) -> None:
        """Count the gas of transactions that were mined; those that went through the session count by themselves."""
        known = {receipt.hash for receipt in self._spent}
        self._spent.extend(receipt for receipt in receipts if receipt.hash not in known)

    def moved(self, asset: Asset) -> int:
        """Base units that the account gained or lost in the transactions of this fill, by the token's own events."""
        address = self.token(asset).token.address
        return sum(receipt.deltas(self.who.address).get(address, 0) for receipt in self._spent)

    def _heard(self, receipt: Receipt) -> None:
        if receipt.sender.lower() == self.who.address.lower():
            self.sent(receipt)

    def fill(
        self, state: ExactState, entries: Sequence[Entry], notional_raw: int, cost_raw: int, slippage_bps: float
    ) -> Fill:
        """A fill of `(account, asset, amount)` entries, balanced against the world, with its gas."""
        sums: dict[str, int] = {}
        for _, asset, amount in entries:
            sums[asset] = sums.get(asset, 0) + amount
        world = [("world", asset, -amount) for asset, amount in sums.items()]
        postings = legs(*entries, *world, *self._gas())
        return Fill(state, postings, notional_raw, cost_raw + self._worth_of_gas(), slippage_bps)

    def _gas(self) -> list[Entry]:
        wei, native = sum(receipt.fee_raw for receipt in self._spent), self.session.chain.native
        return [("gas", native, wei), ("world", native, -wei)] if wei else []

    def _worth_of_gas(self) -> int:
        """Base units of the base asset that the gas of this fill was worth, rounded up."""
        return ceil_div(sum(receipt.fee_raw for receipt in self._spent) * self.native_price, WEI)

    def grown(self, before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Leg, ...]:
        """Postings of what holdings became by themselves: what is owed on ``debt``, the rest on ``position``."""
        entries: list[Entry] = []
        for asset in sorted({*before, *after}):
            was, now = before.get(asset, 0), after.get(asset, 0)
            account = "debt" if min(was, now) < 0 else "position"
            entries += [(account, asset, now - was), ("world", asset, was - now)]
        return legs(*entries)


def _said(error: Exception) -> str:
    """An error of reading in one line."""
    return f"the chain's answer makes no sense ({type(error).__name__}: {' '.join(str(error).split())})"
