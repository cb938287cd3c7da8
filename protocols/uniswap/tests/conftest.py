"""Pools, markets and folders that the tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena_uniswap.protocol import UniswapProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
MODELS = {model.name: model for model in UniswapProtocol().models}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: $ARENA_DATA, else ../shared/data beside the repository."""
    repository = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ARENA_DATA") or repository.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no market data: {folder} does not exist (set ARENA_DATA)")
    return folder


SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:  # the test-only strategy is imported by name, as a third party's package would be
    sys.path.insert(0, SUPPORT)


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels, kept between sessions: their names are hashes of everything they are made of."""
    kept = getattr(request.config, "cache", None)
    return Path(kept.mkdir("arena_kernels")) if kept else tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="session")
def make_market() -> Callable[..., ExactMarket]:
    """``make_market(model, columns by field, params, asset, step_seconds) -> ExactMarket``."""

    def make(
        model: str,
        fields: Mapping[str, Any],
        params: Mapping[str, float] | None = None,
        asset: str = "WETH",
        step_seconds: int = 3600,
    ) -> ExactMarket:
        frame = MarketFrame(0, step_seconds, {field: np.array(values, float) for field, values in fields.items()})
        kind = MODELS[model].kind
        spec = MarketSpec("tested", model, kind, asset, {field: field for field in fields}, dict(params or {}))
        return UniswapProtocol().exact(spec, frame, ASSETS, ASSETS["USDC"])

    return make
