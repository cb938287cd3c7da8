"""The section ``chain.evm``: what is refused, in one sentence that names the key, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.clock import VirtualClock
from treasury_arena.config.read import read_toml
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.chain import ChainContext
from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable
from treasury_arena.errors import ConfigError, TreasuryArenaError
from treasury_arena_evm import plugin
from treasury_arena_evm.chains import ETHEREUM
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.live.config import EvmSection, client
from treasury_arena_evm.live.decoder import AAVE, POSITIONS, ROUTER, TOKEN, VAULT

NODE = {"mine": "http://127.0.0.1:9"}
SENDER = "0x" + "5a" * 20
VAULT_AT = "0x" + "7b" * 20


def context(*assets: Asset) -> ChainContext:
    return ChainContext(AssetTable(assets or KNOWN_ASSETS), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)), SENDER)


def made(*assets: Asset, **keys: Any) -> EvmClient:
    return client(EvmSection(**{"endpoints": NODE, **keys}), context(*assets))


def read(tmp_path: Path, text: str) -> EvmSection:
    file = tmp_path / "arena.toml"
    file.write_text(text)
    reading = read_toml(file, Settings, plugin.arena_config_sections())
    section = reading.sections["chain.evm"]
    assert isinstance(section, EvmSection)
    return section


def test_the_plugin_offers_the_client_and_its_section() -> None:
    assert plugin.arena_chains()["evm"](EvmSection(endpoints=NODE), context()).chain == ETHEREUM
    assert plugin.arena_config_sections() == {"chain.evm": EvmSection}


def test_a_section_as_it_is_written(tmp_path: Path) -> None:
    section = read(
        tmp_path,
        """
        [chain.evm]
        chain = "arbitrum"
        finality = 64
        fee_cap_gwei = 2.5
        endpoints = { mine = "http://127.0.0.1:8545", other = "env:NODE_URL" }
        [chain.evm.vaults]
        steady = "0x7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b"
        [chain.evm.tokens.GHO]
        address = "0x7dfF72693f6A4149b17e7C6314655f6A9F7c8B33"
        decimals = 18
        """,
    )
    assert (section.chain, section.finality, section.tokens["GHO"].decimals) == ("arbitrum", 64, 18)
    assert "NODE_URL" in repr(section)


@pytest.mark.parametrize(
    ("endpoints", "said"),
    [
        ("{}", "names no node"),
        ('{ mine = "node.example" }', "mine is no address of a node"),
        ('{ mine = "ws://node.example" }', "mine is no address of a node"),
        ('{ mine = "https://node.example/v3/0123456789abcdef" }', "mine holds what may be a key"),
        ('{ mine = "https://someone:password@node.example" }', "mine holds what may be a key"),
        ('{ mine = "https://node.example/?key=0123456789" }', "mine holds what may be a key"),
    ],
)
def test_addresses_of_nodes_that_are_refused(tmp_path: Path, endpoints: str, said: str) -> None:
    file = tmp_path / "arena.toml"
    file.write_text(f"[chain.evm]\nendpoints = {endpoints}\n")
    found = [
        one for one in read_toml(file, Settings, plugin.arena_config_sections()).problems if "chain.evm" in one.key
    ]
    (problem,) = found
    assert problem.key == "chain.evm.endpoints"
    assert said in str(problem)
    assert "0123456789" not in str(problem)
    assert "password@" not in str(problem)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"chain": "etherum"}, r"unknown chain 'etherum'; did you mean 'ethereum'"),
        ({"finality": 0}, r"chain\.evm\.finality = 0: on ethereum no block is final at once"),
        ({"finality": -1}, r"chain\.evm\.finality = -1 must be finalized, or 0 to 10000"),
        ({"block_seconds": -1.0}, r"chain\.evm\.block_seconds = -1"),
        ({"wrapped": SENDER}, r"chain\.evm\.wrapped is pinned for ethereum"),
        ({"contracts": {"uniswap_router": SENDER}}, r"chain\.evm\.contracts\.uniswap_router is no contract"),
        ({"contracts": {"aave_v3_pool": "0x12"}}, r"chain\.evm\.contracts\.aave_v3_pool = '0x12' must be an address"),
        ({"vaults": {"v": "0x7dff72693f6A4149b17e7C6314655f6A9F7c8B33"}}, r"chain\.evm\.vaults\.v = .* other capitals"),
        ({"endpoints": {"mine": "env:SURELY_NOT_SET"}}, r"environment variable SURELY_NOT_SET is not set"),
    ],
)
def test_keys_that_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(TreasuryArenaError, match=said):
        made(**keys)


def test_other_decimals_than_the_ledgers_are_refused() -> None:
    with pytest.raises(ConfigError, match="USDC has 6 decimals on ethereum, the ledger has it with 8"):
        made(Asset("USDC", 8))


def test_a_treasury_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"live\.address = 'me' must be an address"):
        client(EvmSection(endpoints=NODE), ChainContext(context().assets, context().clock, "me"))


def test_contracts_by_family() -> None:
    contracts = made(vaults={"steady": VAULT_AT})._examiner._contracts
    assert contracts.family(VAULT_AT.upper().replace("X", "x")) == VAULT
    assert contracts.family(ETHEREUM.contract("uniswap_v3_router")) == ROUTER
    assert contracts.family(ETHEREUM.contract("uniswap_v3_positions")) == POSITIONS
    assert contracts.family("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48") == TOKEN
    assert contracts.family(ETHEREUM.contract("uniswap_v3_factory")) == contracts.family(SENDER) == ""
    assert (contracts.of(AAVE), contracts.provider) == ((), ETHEREUM.contract("aave_v3_provider"))


def test_what_the_client_takes_from_the_section() -> None:
    plain = made()
    assert (plain.chain_id, plain.block_seconds, plain.fee_cap_raw) == (1, 12.0, 200 * 10**9)
    assert (plain.native, plain.chain.finality) == (Asset("ETH", 18), "finalized")
    other = made(fee_cap_gwei=0.5, finality=7, block_seconds=3.0, endpoints={"b": NODE["mine"], "a": NODE["mine"]})
    assert (other.fee_cap_raw, other.chain.finality, other.block_seconds) == (5 * 10**8, 7, 3.0)
    assert tuple(other.endpoints) == ("b", "a")
