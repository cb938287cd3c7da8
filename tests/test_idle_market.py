"""Where idle capital is lent is decided once: pools and the benchmark "lend everything" use the same market."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treasury_arena.assembly import assemble
from treasury_arena.config.load import load_config
from treasury_arena.domain.controls import lending_index
from treasury_arena.registry.loader import load_registry

RATE = {"USDC": "USDC.lending_rate", "USDT": "USDT.lending_rate"}


def lending(asset: str) -> dict[str, Any]:
    return {
        "model": "simulation.lending_par",
        "asset": asset,
        "columns": {"rate": f"{asset}.lending_rate", "gas": "gas.usd"},
    }


@pytest.mark.parametrize(
    ("idle", "lent_at", "benchmark"),
    [(None, "usdc_lending", "USDC"), ("none", "", "USDC"), ("a_usdt_lending", "a_usdt_lending", "USDT")],
)
def test_pools_and_benchmark_lend_at_one_market(
    house: Any, tmp_path: Path, idle: str | None, lent_at: str, benchmark: str
) -> None:
    config = house.write(
        tmp_path / "idle.toml", {"capital.idle_market": idle, "markets.a_usdt_lending": lending("USDT")}
    )
    registry = load_registry()
    assembled = assemble(load_config(config, registry, {}), registry)
    try:
        frame = assembled.world.frame
        assert assembled.arena.capital.idle_market == lent_at
        expected = lending_index(frame[RATE[benchmark]], frame.step_seconds)
        assert np.array_equal(assembled.world.lending, expected)
    finally:
        assembled.close()


def test_a_market_that_lends_a_coin_is_refused(house: Any, tmp_path: Path) -> None:
    config = house.write(
        tmp_path / "idle.toml",
        {"capital.idle_market": "weth_lending", "markets.weth_lending": lending("WETH")},
    )
    done = house.arena("config", "check", config)
    assert done.code == 2
    for said in ("capital.idle_market", "lends WETH, which is not stable", "usdc_lending"):
        assert said in done.err
