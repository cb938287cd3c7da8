"""Synthetic market frames and the reference markets over them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from treasury_arena.clock import iso
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import DataError
from treasury_arena.randomness import stream
from treasury_arena.testing.reference import ReferenceProtocol

START = 1_704_067_200
"""2024-01-01 UTC."""

USDC = Asset("USDC", 6, stable=True)
WETH = Asset("WETH", 18)
ASSETS = AssetTable((USDC, WETH))

COIN = MarketSpec(
    "coin", "reference.spot", "spot", "WETH", {"price": "WETH.price", "gas": "gas.usd"}, {"fee": 0.001}, coin=True
)
USD = MarketSpec(
    "usd",
    "reference.lending",
    "lending",
    "USDC",
    {"rate": "USDC.lending_rate", "price": "USDC.price", "gas": "gas.usd"},
)
COIN_LENDING = MarketSpec(
    "coin_lending",
    "reference.lending",
    "lending",
    "WETH",
    {"rate": "WETH.lending_rate", "price": "WETH.price", "gas": "gas.usd"},
    {"fee": 0.001},
    coin=True,
)


def synthetic_frame(
    days: int = 120,
    *,
    step_seconds: int = 21_600,
    seed: int = 7,
    drift: float = 0.0005,
    volatility: float = 0.01,
    rate: float = 0.05,
    gas: float = 0.05,
    columns: Mapping[str, Any] | None = None,
) -> MarketFrame:
    """A coin on a geometric random walk, lending rates that wobble about `rate`, constant gas.

    Args:
        days: length; the frame also holds the midnight after the last day.
        drift, volatility: mean and standard deviation of the coin's log change per row.
        rate: APR of lending USDC as a fraction a year; WETH lends at a fifth of it.
        gas: USD per action.
        columns: replaces or adds whole columns, given as one value or one per row.
    """
    rows = days * 86_400 // step_seconds + 1
    draw = stream(seed, 0, "testing/frame")
    path = np.concatenate([[0.0], np.cumsum(drift + volatility * draw.standard_normal(rows - 1))])
    wobble = 1.0 + 0.1 * np.sin(np.arange(rows) / 40.0)
    table: dict[str, Any] = {
        "WETH.price": 2_000.0 * np.exp(path),
        "USDC.price": 1.0,
        "USDC.lending_rate": rate * wobble,
        "WETH.lending_rate": 0.2 * rate * wobble,
        "gas.usd": gas,
    } | dict(columns or {})
    return MarketFrame(START, step_seconds, {name: np.array(np.broadcast_to(v, rows)) for name, v in table.items()})


def stepped(spec: MarketSpec, step_seconds: int) -> MarketSpec:
    """`spec` with its lending parameter ``step_seconds`` set to the frame's."""
    if spec.kind != "lending":
        return spec
    return attrs.evolve(spec, params={**spec.params, "step_seconds": float(step_seconds)})


def reference_markets(frame: MarketFrame, *specs: MarketSpec) -> dict[str, ExactMarket]:
    """Exact reference markets over `frame` by name; ``coin``, ``usd`` and ``coin_lending`` unless `specs` are given."""
    protocol = ReferenceProtocol()
    chosen = specs or (COIN, USD, COIN_LENDING)
    return {s.name: protocol.exact(stepped(s, frame.step_seconds), frame, ASSETS, USDC) for s in chosen}


class SyntheticSource(DataSource):
    """Serves windows of one synthetic frame; raises DataError for a window that is not inside it."""

    def __init__(self, frame: MarketFrame | None = None) -> None:
        self.frame = synthetic_frame() if frame is None else frame

    def fetch(self, window: Window) -> MarketFrame:
        frame = self.frame
        if window.start < frame.start or window.end > frame.end:
            raise DataError(
                f"the window {window.start} to {window.end} is not inside the frame, which runs from "
                f"{iso(frame.time(0))} to {iso(frame.time(frame.rows - 1))}"
            )
        low = -(-(window.start - frame.start) // frame.step_seconds)
        high = -(-(window.end - frame.start) // frame.step_seconds)
        return frame.slice(low, high)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.frame.start}|{self.frame.step_seconds}".encode())
        for name in sorted(self.frame.columns):
            digest.update(name.encode())
            digest.update(self.frame[name].tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, str]:
        return {"source": "synthetic", "rows": str(self.frame.rows)}
