"""Frames and markets that the tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.protocol import SimulationProtocol
from treasury_arena_simulation.source import SimulatedSource

START = 1_704_067_200  # 2024-01-01
ASSETS = AssetTable(KNOWN_ASSETS)
MODELS = {model.name: model for model in SimulationProtocol().models}
FIELD_COLUMNS = {"price": "X.price", "depth": "X.depth", "rate": "X.lending_rate", "gas": "gas.usd"}


@attrs.frozen
class Context:
    """What a source factory is given (the fields of the configuration layer's SourceContext)."""

    data: Path | None = None
    seed: int = 7
    cache: Path | None = None
    step_seconds: int = 3600


@pytest.fixture(scope="session")
def make_market() -> Callable[..., ExactMarket]:
    """``make_market(model, asset, columns by field, params, base, step_seconds) -> ExactMarket``."""

    def make(
        model: str,
        asset: str,
        fields: Mapping[str, Any],
        params: Mapping[str, float] | None = None,
        base: str = "USDC",
        step_seconds: int = 3600,
    ) -> ExactMarket:
        frame = MarketFrame(
            START, step_seconds, {FIELD_COLUMNS[field]: np.array(values, float) for field, values in fields.items()}
        )
        columns = {field: FIELD_COLUMNS[field] for field in MODELS[model].market._fields}
        spec = MarketSpec("tested", model, MODELS[model].kind, asset, columns, dict(params or {}))
        return SimulationProtocol().exact(spec, frame, ASSETS, ASSETS[base])

    return make


@pytest.fixture(scope="session")
def make_source() -> Callable[..., SimulatedSource]:
    """``make_source(seed=..., step_seconds=..., **keys of the section) -> SimulatedSource``."""

    def make(run_seed: int = 7, step_seconds: int = 3600, **keys: Any) -> SimulatedSource:
        return SimulatedSource(SimulatedSection(**keys), Context(seed=run_seed, step_seconds=step_seconds))

    return make
