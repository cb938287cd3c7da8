"""What the plugin registers, and what it refuses to be bound to."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError
from treasury_arena_uniswap import plugin
from treasury_arena_uniswap.protocol import UniswapProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
COLUMNS = {field: field for field in ("price", "liquidity", "volume", "gas")}


def test_the_entry_point_leads_to_the_hooks():
    (point,) = (one for one in entry_points(group="treasury_arena") if one.name == "uniswap")
    assert point.load() is plugin
    (protocol,) = plugin.arena_protocols()
    assert {model.name: model.kind for model in protocol.models} == {
        "uniswap.spot": "spot",
        "uniswap.spot_tvl": "spot",
        "uniswap.range": "range",
        "uniswap.range_tvl": "range",
    }


def test_the_plugin_is_light():
    code = "import sys, treasury_arena_uniswap.protocol; sys.exit('web3' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("model", UniswapProtocol().models, ids=lambda model: model.name)
def test_models_declare_floats_with_defaults(model):
    assert all(type(value) is float for value in (*model.state(), *model.params()))


TVL = {"price": "price", "tvl": "gas", "gas": "gas"}


def make(values=None, **changes):
    facts = {"name": "lp", "model": "uniswap.range", "kind": "range", "asset": "WETH", "columns": COLUMNS}
    cells = {"price": 2000.0, "liquidity": 1e7, "volume": 1e6, "gas": 1.0, **(values or {})}
    frame = MarketFrame(0, 3600, {name: np.array([1.0 if name == "price" else 0.0, cells[name]]) for name in cells})
    return UniswapProtocol().exact(MarketSpec(**{**facts, **changes}), frame, ASSETS, ASSETS["USDC"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "uniswap.rang"}, ConfigError, "no model 'uniswap.rang'; did you mean 'uniswap.range"),
        ({"asset": "WETJ"}, ValidationError, "unknown asset 'WETJ': did you mean 'WETH'"),
        ({"asset": "USDC"}, ConfigError, "trades USDC against itself"),
        ({"asset": "WBTC"}, ConfigError, "decimals_apart = 12, but WBTC has 8 decimals and USDC 6: write 2"),
        ({"columns": {"price": "price"}}, ConfigError, r"needs columns\.liquidity"),
        ({"columns": {**COLUMNS, "tvl": "gas"}}, ConfigError, "no market field 'tvl'"),
        ({"params": {"fees": 0.1}}, ConfigError, "no parameter 'fees'; did you mean 'fee'"),
        ({"params": {"fee": 0.00050005}}, ConfigError, "fee = 0.00050005 must be a whole number of millionths"),
        ({"params": {"fee": 1.0}}, ConfigError, "fee = 1 is a share of the trade; expected less than 1"),
        (
            {
                "model": "uniswap.spot_tvl",
                "columns": {"price": "price", "tvl": "gas", "gas": "gas"},
                "params": {"concentration": 0.0},
            },
            ConfigError,
            "concentration = 0 leaves no liquidity",
        ),
        ({"params": {"spacing": 0.0}}, ConfigError, "spacing = 0 must be a whole number of ticks from 1 to 16383"),
        ({"params": {"fee_protocol": 3.0}}, ConfigError, "one part in 4 to 10, or 0"),
        ({"params": {"coin_is_token0": 2.0}}, ConfigError, "coin_is_token0 = 2 must be"),
        ({"params": {"dust": -1.0}}, ConfigError, "dust = -1.0 must be a finite number"),
        ({"params": {"decimals_apart": -4.0}}, ConfigError, "WETH has 18 decimals and USDC 6: write 12"),
        ({"params": {"decimals_apart": float("nan")}}, ConfigError, "decimals_apart = nan must be a finite number"),
        ({"params": {"decimals_apart": float("-inf")}}, ConfigError, "decimals_apart = -inf must be a finite number"),
        ({"values": {"price": 0.0}}, DataError, "column 'price' is 0.0 at row 1"),
        ({"values": {"volume": -1.0}}, DataError, "column 'volume' is -1.0 at row 1"),
    ],
)
def test_markets_that_cannot_be_served(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize("name", ["uniswap.range", "uniswap.range_tvl"])
def test_a_coin_may_have_fewer_decimals_than_the_base_asset(name):
    """GUSD has 2, USDC 6; model, kernel's parameters and exact market agree about the range."""
    assets = AssetTable((*(asset for asset in KNOWN_ASSETS if asset.symbol != "GUSD"), Asset("GUSD", 2, stable=True)))
    model = {model.name: model for model in UniswapProtocol().models}[name]
    row = {"price": 1.0, "liquidity": 1e8, "tvl": 1e8, "volume": 1e6, "gas": 0.0}
    columns = {field: field for field in model.market._fields}
    frame = MarketFrame(0, 3600, {field: np.full(3, row[field]) for field in columns})
    spec = MarketSpec("lp", name, "range", "GUSD", columns, {"decimals_apart": -4.0, "fee": 0.0001, "spacing": 1.0})
    market, params = UniswapProtocol().exact(spec, frame, assets, assets["USDC"]), build_params(model, spec)
    assert params.decimals_apart == -4.0
    fill = market.trade(market.open(), 10_000 * 10**6, 0, (0.05,))
    line = model.market(*(row[field] for field in columns))
    state, cash = model.trade(model.state(), 10_000.0, line, params, model.control(0.05))
    assert cash == -10_000.0 == fill.cash_raw / 1e6
    exact, _ = market.accrue(fill.state, 0, 1)
    state = model.accrue(state, line, params)
    assert model.value(state, line, params) == pytest.approx(
        market.value(exact, 1) / 1e6, abs=0.05
    )  # five cents of GUSD
    for view, function in model.views.items():
        assert function(state, line, params) == pytest.approx(market.views(exact, 1)[view], abs=1e-6)
    _, low, high = market.shape(exact, 1)
    assert 1.0001**low * 1e-4 == pytest.approx(1.0 / 1.05, rel=1e-3)
    assert 1.0001**high * 1e-4 == pytest.approx(1.05, rel=1e-3)
    with pytest.raises(ConfigError, match="GUSD has 2 decimals and USDC 6: write -4"):
        UniswapProtocol().exact(attrs.evolve(spec, params={}), frame, assets, assets["USDC"])


def test_an_empty_pool_is_refused_with_its_time():
    with pytest.raises(ValidationError, match="the pool has no liquidity at 1970-01-01 01:00"):
        make({"liquidity": 0.0}).trade(make().open(), 10**9, 1, (0.1,))


def test_a_price_beyond_measure_is_refused():
    with pytest.raises(DataError, match=r"needs a number from 1e-18 to 1e\+30"):
        make({"price": 1e60}).trade(make().open(), 10**9, 1, (0.1,))


def test_rows_outside_the_frame_are_refused():
    with pytest.raises(ValidationError, match="from row 1 to row 2 of 2"):
        make().accrue(make().open(), 1, 2)


def test_nothing_is_earned_of_volume_that_a_pool_without_liquidity_cannot_have_traded():
    rows = {"price": [2000.0] * 3, "liquidity": [1e7, 0.0, 1e7], "volume": [0.0, 1e6, 1e6], "gas": [0.1] * 3}
    frame = MarketFrame(0, 3600, {name: np.array(values) for name, values in rows.items()})
    spec = MarketSpec("lp", "uniswap.range", "range", "WETH", COLUMNS)
    market = UniswapProtocol().exact(spec, frame, ASSETS, ASSETS["USDC"])
    held = market.trade(market.open(), 1_000 * ASSETS["USDC"].unit, 0, (0.1,)).state
    dry, legs = market.accrue(held, 0, 1)
    assert (market.value(dry, 1), legs) == (market.value(held, 0), ())
    assert market.value(market.accrue(held, 0, 2)[0], 2) > market.value(held, 0)
    model = {model.name: model for model in UniswapProtocol().models}["uniswap.range"]
    line = [model.market(*(rows[COLUMNS[field]][row] for field in model.market._fields)) for row in range(3)]
    state, _ = model.trade(model.state(), 1_000.0, line[0], model.params(), model.control(0.1))
    assert model.accrue(state, line[1], model.params()) == state
    assert model.accrue(state, line[2], model.params()) != state
