"""The vault in integers against the contract's bytecode, operation by operation, and its model against its exact market.

The contract is a vault of ours on OpenZeppelin's ERC4626 4.9.6, compiled on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np

from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.parity import GapCheck, GapResult, ParityCheck, ParityResult, Tally, Told
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena_erc4626.exact import Vault, VaultRefusalError
from treasury_arena_erc4626.market import VaultMarket
from treasury_arena_erc4626.model import VAULT, VaultColumns, VaultParams, VaultState

if TYPE_CHECKING:
    from treasury_arena_evm.local.market import LocalMarket

AGAINST = "OpenZeppelin ERC4626 4.9.6"
ACTS = ("deposit", "mint", "withdraw", "redeem", "earn", "lose")
SHARES = (0.3, 0.15, 0.25, 0.15, 0.1, 0.05)
OPENING = 10**6


class VaultParity(ParityCheck):
    """Random deposits, mints, withdrawals, redemptions, gains and losses by several holders.

    Two thirds of them on a vault with others' money in it, the rest on one that begins empty and stays small, where the
    virtual share counts.
    """

    name = "ERC-4626 vault"

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        from treasury_arena_evm.local.description import MarketOptions
        from treasury_arena_evm.local.market import local_market

        watch, tally = Stopwatch(), Tally()
        small = operations // 3
        if small:
            with local_market(MarketOptions(liquid=False), anvil=anvil) as market:
                compare(market, small, seed, tally, lambda done, of: told(done, operations))
        with local_market(anvil=anvil) as market:
            compare(market, operations - small, seed, tally, lambda done, of: told(small + done, operations))
        return tally.result(self.name, AGAINST, operations, watch.seconds())


def compare(market: LocalMarket, operations: int, seed: int, tally: Tally, told: Told) -> None:
    """Run the operations on the market's vault and on `Vault`, noting every quantity after each."""
    from treasury_arena_evm.errors import RevertError
    from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626

    chain, at = market.chain, market.vault
    address = chain.call(at, ERC4626.function("asset")).lower()
    asset = next(token for token in market.tokens.values() if token.address.lower() == address)
    holders = [account.address for account in market.users]
    for holder in holders:
        market.fund(asset.symbol, holder, OPENING * 10**asset.decimals)
        market.approve(holder, asset.symbol, at)
    shares = {holder: chain.call(at, ERC4626.function("balanceOf"), holder) for holder in holders}
    vault = Vault(
        chain.call(at, ERC4626.function("totalAssets")), chain.call(at, ERC4626.function("totalSupply")), shares=shares
    )
    rng = stream(seed, 0, "erc4626/parity")
    for number in range(1, operations + 1):
        act, holder, amount = _draw(rng, vault, holders)
        wallet = market.balance(asset.symbol, holder)
        if act in ("deposit", "mint", "earn") and _cost(vault, act, amount) > wallet:
            market.fund(asset.symbol, holder, _cost(vault, act, amount) - wallet)
        wallet, held = market.balance(asset.symbol, holder), vault.shares.get(holder, 0)
        ours, theirs = "", ""
        try:
            _apply(vault, act, holder, amount)
        except VaultRefusalError as error:
            ours = error.reason
        try:
            if act == "earn":
                chain.send(holder, asset.address, ERC20.function("transfer"), at, amount)
            elif act == "lose":
                _lose(market, holder, amount)
            elif act in ("deposit", "mint"):
                chain.send(holder, at, ERC4626.function(act), amount, holder)
            else:
                chain.send(holder, at, ERC4626.function(act), amount, holder, holder)
        except RevertError as error:
            theirs = error.reason
        tally.refused += bool(ours) and ours == theirs
        where = f"{act} of {amount}"
        tally.note(number, where, "refusal", ours, theirs)
        tally.note(number, where, "total assets", vault.assets, chain.call(at, ERC4626.function("totalAssets")))
        tally.note(number, where, "total supply", vault.supply, chain.call(at, ERC4626.function("totalSupply")))
        mine = vault.shares.get(holder, 0)
        tally.note(number, where, "shares", mine, chain.call(at, ERC4626.function("balanceOf"), holder))
        tally.note(
            number,
            where,
            "withdrawable",
            vault.max_withdraw(holder),
            chain.call(at, ERC4626.function("maxWithdraw"), holder),
        )
        if act in ("deposit", "withdraw", "redeem", "mint") and not ours:
            paid = wallet - market.balance(asset.symbol, holder)
            tally.note(number, where, "assets moved", _moved(vault, held, mine, act, amount, paid), paid)
        for function, value in (
            ("previewDeposit", vault.to_shares(amount)),
            ("previewRedeem", vault.to_assets(amount)),
        ):
            tally.note(number, where, "preview", value, chain.call(at, ERC4626.function(function), amount))
        told(number, operations)


def _draw(rng: np.random.Generator, vault: Vault, holders: list[str]) -> tuple[str, str, int]:
    """An act, who does it, and an amount: mostly possible, now and then dust, nothing, or more than there is."""
    act, holder = str(rng.choice(ACTS, p=SHARES)), str(rng.choice(holders))
    most = {
        "deposit": max(1, vault.assets // 5),
        "mint": max(1, vault.supply // 5),
        "withdraw": vault.max_withdraw(holder),
        "redeem": vault.shares.get(holder, 0),
        "earn": max(1, vault.assets // 50),
        "lose": vault.assets // 100,
    }[act]
    kind = rng.random()
    if kind < 0.1:
        speck = int(rng.integers(0, 3))
        return act, holder, min(speck, vault.assets) if act == "lose" else speck
    if kind < 0.2 and act in ("withdraw", "redeem"):
        return act, holder, most + int(rng.integers(0, 3))
    return act, holder, most * int(rng.integers(1, 10**9)) // 10**9


def _cost(vault: Vault, act: str, amount: int) -> int:
    return vault.to_assets(amount, up=True) if act == "mint" else amount


def _apply(vault: Vault, act: str, holder: str, amount: int) -> None:
    if act == "earn":
        vault.earn(amount)
    elif act == "lose":
        vault.earn(-amount)
    else:
        getattr(vault, act)(holder, amount)


def _moved(vault: Vault, held: int, mine: int, act: str, amount: int, paid: int) -> int:
    """Assets that went in by our arithmetic: given for deposits and withdrawals, else what the shares were worth."""
    if act == "deposit":
        return amount
    if act == "withdraw":
        return -amount
    # Undo the move to see what the shares cost before it.
    before = Vault(vault.assets - paid, vault.supply - (mine - held))
    return before.to_assets(amount, up=True) if act == "mint" else -before.to_assets(amount)


def _lose(market: LocalMarket, sender: str, amount: int) -> None:
    from treasury_arena_evm.abi import Interface

    market.chain.send(sender, market.vault, Interface("function lose(uint256 assets)").function("lose"), amount)


@attrs.frozen
class VaultGap(GapCheck):
    """The model against the exact market over vaults of 6 to 18 decimals, growing at 0 to 60 % a year."""

    name: str = "erc4626.vault"
    bound: float = 5e-6

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        rng = stream(seed, 0, "erc4626/gap")
        errors = np.zeros(cases)
        for case in range(cases):
            errors[case] = self._one(rng)
            told(case + 1, cases)
        median, high, largest = (float(q) for q in np.quantile(errors, [0.5, 0.99, 1.0]))
        return GapResult(self.name, cases, median, high, largest, self.bound)

    @staticmethod
    def _one(rng: np.random.Generator) -> float:
        """Buy at least a million base units, hold for a day, sell a part; the difference as a share of what was bought."""
        asset, base = Asset("X", int(rng.choice([6, 8, 18]))), Asset("USDC", 6, stable=True)
        price = 10.0 ** rng.uniform(-1.0, 4.0) if asset.decimals > 6 else 1.0
        columns = {"x.rate": rng.uniform(0.0, 0.6, 25), "x.price": np.full(25, price), "x.gas": np.full(25, 0.1)}
        spec = MarketSpec("x", VAULT.name, VAULT.kind, "X", {field: f"x.{field}" for field in VaultColumns._fields})
        market = VaultMarket(spec, MarketFrame(0, 3600, columns), asset, base)
        stake = max(10.0 ** rng.uniform(2.0, 6.0), 1.1e6 * price / asset.unit)
        stake_raw = round(stake * base.unit)
        stake = stake_raw / base.unit
        bought = market.trade(market.open(), stake_raw, 0)
        assert bought is not None
        held, _ = market.accrue(bought.state, 0, 24)
        lines = [
            VaultColumns(*(float(columns[f"x.{field}"][row]) for field in VaultColumns._fields)) for row in range(25)
        ]
        model, _ = VAULT.trade(VaultState(), stake, lines[0], VaultParams(), None)
        for line in lines[1:]:
            model = VAULT.accrue(model, line, VaultParams()) if VAULT.accrue else model
        part = market.value(held, 24) * int(rng.integers(1, 10)) // 10
        sold = market.trade(held, part, 24)
        assert sold is not None
        after, cash = VAULT.trade(model, part / base.unit, lines[24], VaultParams(), None)
        cash_error = abs(cash - sold.cash_raw / base.unit)
        left = float(VAULT.value(after, lines[24], VaultParams()))
        error: float = max(cash_error, abs(left - market.value(sold.state, 24) / base.unit)) / stake
        return error


def checks() -> tuple[ParityCheck | GapCheck, ...]:
    """What the protocol offers to `arena parity`."""
    return VaultParity(), VaultGap()
