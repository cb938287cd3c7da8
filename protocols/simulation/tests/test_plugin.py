"""What the plugin registers."""

from __future__ import annotations

from importlib.metadata import entry_points

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError
from treasury_arena_simulation import plugin
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.protocol import SimulationProtocol
from treasury_arena_simulation.source import SimulatedSource

ASSETS = AssetTable(KNOWN_ASSETS)
FRAME = MarketFrame(0, 3600, {"WETH.price": np.array([2000.0]), "gas.usd": np.array([1.0])})


def spec(**changes):
    facts = {
        "name": "eth",
        "model": "simulation.spot",
        "kind": "spot",
        "asset": "WETH",
        "columns": {"price": "WETH.price", "gas": "gas.usd"},
    }
    return MarketSpec(**{**facts, **changes})


def test_the_entry_point_leads_to_the_hooks():
    (point,) = (one for one in entry_points(group="treasury_arena") if one.name == "simulation")
    assert point.load() is plugin
    assert plugin.arena_config_sections() == {"source.simulated": SimulatedSection}
    assert plugin.arena_sources() == {"simulated": SimulatedSource}
    (protocol,) = plugin.arena_protocols()
    assert {model.name: model.kind for model in protocol.models} == {
        "simulation.spot": "spot",
        "simulation.spot_depth": "spot",
        "simulation.lending": "lending",
        "simulation.lending_par": "lending",
    }


@pytest.mark.parametrize("model", SimulationProtocol().models, ids=lambda model: model.name)
def test_models_declare_floats_with_defaults(model):
    assert model.state._field_defaults.keys() == set(model.state._fields)
    assert model.params._field_defaults.keys() == set(model.params._fields)
    assert all(type(value) is float for value in (*model.state(), *model.params()))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "simulation.spt"}, ConfigError, "no model 'simulation.spt'; did you mean 'simulation.spot'"),
        ({"asset": "WETJ"}, ValidationError, "unknown asset 'WETJ': did you mean 'WETH'"),
        ({"columns": {"price": "WETH.price"}}, ConfigError, r"needs columns\.gas"),
        (
            {"columns": {"price": "WETH.price", "gas": "gas.usd", "depth": "WETH.depth"}},
            ConfigError,
            "reads no market field 'depth'",
        ),
        ({"columns": {"price": "WETH.prices", "gas": "gas.usd"}}, DataError, "no column 'WETH.prices': did you mean"),
    ],
)
def test_markets_that_cannot_be_served(changes, error, message):
    with pytest.raises(error, match=message):
        SimulationProtocol().exact(spec(**changes), FRAME, ASSETS, ASSETS["USDC"])


def test_a_market_that_can():
    market = SimulationProtocol().exact(spec(), FRAME, ASSETS, ASSETS["USDC"])
    assert (market.asset.symbol, market.base.symbol, market.spec.name) == ("WETH", "USDC", "eth")
