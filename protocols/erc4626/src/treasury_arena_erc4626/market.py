"""A vault over a market frame, in integers on the vault's own arithmetic.

The state is ``(shares, assets, supply)``: the holder's shares, and the vault as it has grown since the position was opened
(others' assets are the parameter `vault_assets`, at one share each). So a state means the same in every frame that holds
its rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from treasury_arena.contracts.bound import ONE, SECONDS_PER_YEAR, BoundMarket, ceil_div, fixed, legs
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError
from treasury_arena_erc4626.exact import Vault
from treasury_arena_erc4626.model import VAULT

ME = "me"


class VaultMarket(BoundMarket):
    """Deposits and withdrawals of one holder; every rounding is the vault's own, against the holder.

    Raises ConfigError for parameters that cannot be, DataError for rows that cannot.
    """

    def __init__(self, spec: MarketSpec, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, VAULT, frame, asset, base)
        self._dust = fixed(self._params["dust"], base.unit)
        self._fee = fixed(self._params["swap_fee"], ONE)
        self._others = fixed(self._params["vault_assets"], asset.unit)
        if self._params["step_seconds"] != frame.step_seconds:
            raise ConfigError(
                f"market {spec.name!r}: step_seconds = {self._params['step_seconds']:g}, but the market data have a row every "
                f"{frame.step_seconds} s"
            )

    def open(self) -> ExactState:
        return (0, 0, 0)

    @staticmethod
    def _vault(state: ExactState) -> Vault:
        shares, assets, supply = state
        return Vault(assets, supply, shares={ME: shares})

    @staticmethod
    def _state(vault: Vault) -> ExactState:
        return (vault.shares[ME], vault.assets, vault.supply) if vault.shares[ME] else (0, 0, 0)

    def _tokens(self, state: ExactState) -> int:
        return self._vault(state).max_withdraw(ME)

    def value(self, state: ExactState, row: int) -> int:
        return self._worth(self._tokens(state), row)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: self._tokens(state)}

    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        self._check_trade(target_raw, row)
        held = self._tokens(state)
        move = target_raw - self._worth(held, row)
        size = abs(move)
        if size == 0 or size < self._dust:
            return None
        fee, gas = ceil_div(size * self._fee, ONE), self._gas(row)
        cost = fee + gas
        if cost >= size:
            return None
        vault = self._vault(state)
        if move > 0:
            if not vault.supply:
                vault.assets = vault.supply = self._others
            vault.deposit(ME, self._tokens_for(size - cost, row))
            cash, world = -size, size - cost
        elif target_raw == 0:
            vault.redeem(ME, vault.shares[ME])
            cash, world = size - cost, -size
        else:
            vault.withdraw(ME, held - self._tokens_for(target_raw, row))
            cash, world = size - cost, -size
        after = self._state(vault)
        tokens = self._tokens(after) - held
        symbol = self.base.symbol
        postings = legs(
            ("cash", symbol, cash),
            ("fee", symbol, fee),
            ("gas", symbol, gas),
            ("world", symbol, world),
            ("position", self.asset.symbol, tokens),
            ("world", self.asset.symbol, -tokens),
        )
        return Fill(after, postings, size, cost, 10_000.0 * fee / size)

    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        if not state[0]:
            return state, ()
        vault, held = self._vault(state), self._tokens(state)
        for row in range(row_from + 1, row_to + 1):
            above, below = self._ratio("rate", row)
            vault.earn(vault.assets * above * self._frame.step_seconds // (below * SECONDS_PER_YEAR))
        after = self._state(vault)
        gained, symbol = self._tokens(after) - held, self.asset.symbol
        return after, legs(("position", symbol, gained), ("world", symbol, -gained))
