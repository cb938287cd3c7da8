"""What the plugin offers, and configurations that it refuses."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.errors import ConfigError, DataError
from treasury_arena.registry.loader import load_registry
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_erc4626.protocol import VaultProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
COLUMNS = {"rate": "USDC.lending_rate", "price": "USDC.price", "gas": "gas.usd"}
SPEC = MarketSpec("v", "erc4626.vault", "lending", "USDC", COLUMNS)


def test_the_registry_finds_it() -> None:
    registry = load_registry()
    assert "erc4626" in registry.protocols
    assert registry.models["erc4626.vault"].kind == "lending"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "erc4626.vaults"}, "no model 'erc4626.vaults'; did you mean 'erc4626.vault'"),
        ({"params": {"swap_fees": 0.1}}, "no parameter 'swap_fees'; did you mean 'swap_fee'"),
        ({"params": {"swap_fee": 1.0}}, "swap_fee = 1 is a share of the trade"),
        ({"params": {"swap_fee": -0.1}}, "params.swap_fee"),
        ({"params": {"step_seconds": 60.0}}, "a row every 3600 s"),
        ({"columns": {**COLUMNS, "rates": "gas.usd"}}, "no market field 'rates'"),
        ({"columns": {"rate": "USDC.lending_rate"}}, "needs columns.price"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    spec = attrs.evolve(SPEC, **change)
    with pytest.raises(ConfigError, match="market 'v'") as refused:
        VaultProtocol().exact(spec, synthetic_frame(5, step_seconds=3600), ASSETS, ASSETS["USDC"])
    assert said in str(refused.value)


def test_rows_that_cannot_be_are_refused() -> None:
    frame = synthetic_frame(5, step_seconds=3600, columns={"USDC.price": 0.0})
    with pytest.raises(DataError, match=r"'USDC\.price' is 0\.0 at row 0"):
        VaultProtocol().exact(SPEC, frame, ASSETS, ASSETS["USDC"])


def test_listing_it_does_not_import_web3() -> None:
    script = "import sys, treasury_arena_erc4626.plugin as p; p.arena_protocols(); print('web3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
