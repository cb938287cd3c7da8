"""A vault on a chain as a market: deposits and redemptions through a session, quoted by the vault itself.

The state is ``(shares, assets)``: the holder's shares, and what they were worth when the books last looked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, ConfigError, TreasuryArenaError, ValidationError
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.interfaces.tokens import ERC4626
from treasury_arena_evm.onchain import OnChainMarket
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.transport import NodeError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

BPS, SLIPPAGE_BPS_MAX = 10_000, 1_000


class VaultOnChain(OnChainMarket):
    """One vault of the base asset. Refuses a vault of another asset, one that is closed, and amounts it would not take.

    What a vault with fees of its own keeps is the fill's cost.

    Args: as `OnChainMarket`, `vault`, the vault's address, and `slippage_bps`, how much less than its quote a fill may be.

    Raises ConfigError for a vault of another asset, ValidationError for a slippage that cannot be.
    """

    def __init__(
        self,
        spec: MarketSpec,
        session: Session,
        who: LocalAccount,
        base: Asset,
        vault: str,
        *,
        slippage_bps: int = 50,
        **more: Any,
    ) -> None:
        super().__init__(spec, session, who, base, base, **more)
        check_whole(slippage_bps, "a slippage in bps")
        if not 1 <= slippage_bps <= SLIPPAGE_BPS_MAX:
            raise ValidationError(f"a slippage of {slippage_bps} bps must lie from 1 to {SLIPPAGE_BPS_MAX}")
        self.vault, self.slippage_bps = vault, slippage_bps
        pinned = session.tokens.symbol(base.symbol).address
        try:
            found = str(self._ask("asset"))
        except (ChainUnavailableError, NodeError) as error:
            raise ChainUnavailableError(f"market {spec.name!r}: {error}") from error
        except TreasuryArenaError as error:
            raise ConfigError(
                f"market {spec.name!r}: {vault} is no ERC-4626 vault on {session.chain.name}: {error}"
            ) from error
        if found.lower() != pinned.lower():
            raise ConfigError(
                f"market {spec.name!r}: the vault {vault} holds the token {found}, not {base.symbol} ({pinned})"
            )

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self.session.call(self.vault, ERC4626.function(function), *arguments)

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """The vault, that takes the base asset."""
        return [(self.base, self.vault)]

    def open(self) -> ExactState:
        return (0, 0)

    def _worth(self, shares: int) -> int:
        return int(self._ask("previewRedeem", shares)) if shares else 0

    def valued(self, state: ExactState) -> int:
        return self._worth(state[0])

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: state[1]}

    def found(self, state: ExactState) -> ExactState:
        return (state[0], self._worth(state[0]))

    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        worth = self._worth(state[0])
        move = target_raw - worth
        if abs(move) < max(1, self.dust) and not (target_raw == 0 and worth):
            return None
        token, me = self.token(self.base), self.who.address
        if move > 0:
            if move > (most := int(self._ask("maxDeposit", me))):
                raise ValidationError(f"market {self.spec.name!r}: the vault takes {most} base units now, not {move}")
            token.check(me, self.vault, move)
            shares = int(self._ask("previewDeposit", move))
            if not shares:
                raise ValidationError(f"market {self.spec.name!r}: {move} base units are worth no share")
            return self._filled(state, worth, (state[0] + shares, worth + self._worth(shares)), -move)
        burnt = state[0] if target_raw == 0 else int(self._ask("previewWithdraw", -move))
        paid = worth if target_raw == 0 else -move
        if paid > (most := int(self._ask("maxWithdraw", me))):
            raise ValidationError(f"market {self.spec.name!r}: the vault pays {most} base units now, not {paid}")
        token.check(self.vault, me, paid)
        return self._filled(state, worth, (state[0] - burnt, self._worth(state[0] - burnt)), paid)

    def _filled(self, before: ExactState, worth: int, after: ExactState, cash: int) -> Fill:
        """`worth`: of the shares before, at the price of now; what is less afterwards is the cost."""
        symbol = self.base.symbol
        cost = max(0, worth - after[1] - cash)
        entries = [("cash", symbol, cash), ("position", symbol, after[1] - before[1])]
        return self.fill(after, entries, abs(cash), cost, 10_000.0 * cost / abs(cash) if cash else 0.0)

    def execute(self, state: ExactState, fill: Fill) -> Fill:
        me, cash = self.who.address, fill.cash_raw
        if cash < 0:
            self._check_quoted("shares", fill.state[0] - state[0], int(self._ask("previewDeposit", -cash)))
            with self.token(self.base).allowed(self.who, self.vault, -cash):
                self._send("deposit", -cash, me)
        elif fill.state[0] == 0:
            self._check_quoted("assets", cash, self._worth(state[0]))
            self._send("redeem", state[0], me, me)
        else:
            burnt = int(self._ask("previewWithdraw", cash))
            self._check_quoted("assets a share", state[0] - fill.state[0], burnt, more_is_worse=True)
            self._send("withdraw", cash, me, me)
        return self.recovered(state, fill)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """By the vault's events and the token's: what came in and went out of this position."""
        me, shares, assets = self.who.address.lower(), state[0], 0
        for receipt in self._spent:
            for event in receipt.events(ERC4626.event("Deposit"), self.vault):
                if event["owner"].lower() == me:
                    shares, assets = shares + int(event["shares"]), assets - int(event["assets"])
            for event in receipt.events(ERC4626.event("Withdraw"), self.vault):
                if event["owner"].lower() == me:
                    shares, assets = shares - int(event["shares"]), assets + int(event["assets"])
        moved = self.moved(self.base)
        if moved != assets:
            self.unfinished = f"the vault says {assets} base units moved, the token's own events say {moved}"
        return self._filled(state, self._worth(state[0]), (shares, self._worth(shares)), moved)

    def _check_quoted(self, what: str, quoted: int, now: int, *, more_is_worse: bool = False) -> None:
        """Refuse when the vault gives less than the quote by more than `slippage_bps`: it has no minimum of its own."""
        worse = now - quoted if more_is_worse else quoted - now
        if worse * BPS > quoted * self.slippage_bps:
            raise ValidationError(
                f"market {self.spec.name!r}: the vault's price moved since the quote: {quoted} {what} were quoted, now it is "
                f"{now}"
            )

    def _send(self, function: str, *arguments: Any) -> Receipt:
        return self.session.send(self.who, self.vault, ERC4626.function(function), *arguments)
