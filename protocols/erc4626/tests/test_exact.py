"""The vault's arithmetic: rounding against the holder, refusals in the contract's words, and the laws of EIP-4626."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena_erc4626.exact import WORD, Vault, VaultRefusalError, mul_div

AMOUNTS = st.integers(0, 10**27)


@st.composite
def vaults(draw: Any) -> Vault:
    mine, others = draw(AMOUNTS), draw(AMOUNTS)
    return Vault(draw(AMOUNTS), mine + others, shares={"me": mine})


def test_the_first_deposit_gets_a_share_for_each_asset_and_yield_makes_shares_dearer() -> None:
    vault = Vault()
    assert vault.deposit("a", 1_000_000) == 1_000_000
    vault.earn(500_000)
    # (1,500,001 assets for 1,000,001 shares, both with the virtual one)
    assert vault.deposit("b", 1_500_000) == 1_500_000 * 1_000_001 // 1_500_001
    assert vault.to_assets(1_000_000) == 1_000_000 * (vault.assets + 1) // (vault.supply + 1)


def test_virtual_shares_make_inflating_the_first_share_a_loss() -> None:
    vault = Vault()
    vault.deposit("thief", 1)
    vault.earn(10**12)
    vault.deposit("victim", 10**12)
    stolen = vault.redeem("thief", 1)
    assert stolen < 1 + 10**12


@given(vaults(), AMOUNTS)
def test_what_goes_in_and_out_at_once_never_gains(vault: Vault, assets: int) -> None:
    shares = vault.deposit("new", assets)
    assert vault.redeem("new", shares) <= assets


@given(vaults(), AMOUNTS)
def test_minting_pays_at_least_what_redeeming_returns(vault: Vault, shares: int) -> None:
    paid = vault.mint("new", shares)
    assert vault.shares["new"] == shares
    assert vault.redeem("new", shares) <= paid


@given(vaults(), st.data())
def test_a_withdrawal_burns_enough_and_leaves_others_no_poorer(vault: Vault, data: st.DataObject) -> None:
    assets = data.draw(st.integers(0, vault.max_withdraw("me")))
    others = vault.supply - vault.shares["me"]
    before = vault.to_assets(others)
    supply = vault.supply
    burnt = vault.withdraw("me", assets)
    assert supply - vault.supply == burnt
    assert vault.to_assets(others) >= before


@given(vaults())
def test_more_than_there_is_is_refused_in_the_contracts_words(vault: Vault) -> None:
    with pytest.raises(VaultRefusalError) as refused:
        vault.withdraw("me", vault.max_withdraw("me") + 1)
    assert refused.value.reason == "ERC4626: withdraw more than max"
    with pytest.raises(VaultRefusalError) as refused:
        vault.redeem("me", vault.shares["me"] + 1)
    assert refused.value.reason == "ERC4626: redeem more than max"


def test_a_product_beyond_the_word_is_refused() -> None:
    assert mul_div(WORD - 1, 10, 10, up=True) == WORD - 1
    with pytest.raises(VaultRefusalError, match="mulDiv overflow"):
        mul_div(WORD - 1, 10, 9, up=False)


@pytest.mark.parametrize("amount", [-1, WORD, 1.0, True, "1"])
def test_amounts_are_words(amount: Any) -> None:
    for act in ("deposit", "mint", "withdraw", "redeem"):
        with pytest.raises(ValidationError, match="whole amounts from 0"):
            getattr(Vault(), act)("a", amount)


def test_a_vault_cannot_lose_more_than_it_has() -> None:
    vault = Vault()
    vault.deposit("a", 10)
    with pytest.raises(ValidationError, match="holds 10 base units and cannot lose 11"):
        vault.earn(-11)
    vault.earn(-10)
    assert vault.max_withdraw("a") == 10 * 1 // 11
