"""Treasury Arena: breed treasury strategies on market history, prove them out of sample, let the proven manage capital.

The names below are the public Python API; each is imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.arena.agent import TreasuryAgent
    from treasury_arena.arena.backtest import SimulationEngine
    from treasury_arena.arena.manager import ArenaManager
    from treasury_arena.arena.results import build_result
    from treasury_arena.assembly import assemble, open_arena
    from treasury_arena.config.load import load_config
    from treasury_arena.contracts.results import RunResult
    from treasury_arena.registry.loader import load_registry
    from treasury_arena.store import open_store
    from treasury_arena.trading.engine import TradingEngine

__version__ = "0.1.0"

_HOMES = {
    "ArenaManager": "treasury_arena.arena.manager",
    "RunResult": "treasury_arena.contracts.results",
    "SimulationEngine": "treasury_arena.arena.backtest",
    "TradingEngine": "treasury_arena.trading.engine",
    "TreasuryAgent": "treasury_arena.arena.agent",
    "assemble": "treasury_arena.assembly",
    "build_result": "treasury_arena.arena.results",
    "load_config": "treasury_arena.config.load",
    "load_registry": "treasury_arena.registry.loader",
    "open_arena": "treasury_arena.assembly",
    "open_store": "treasury_arena.store",
}

__all__ = [
    "ArenaManager",
    "RunResult",
    "SimulationEngine",
    "TradingEngine",
    "TreasuryAgent",
    "__version__",
    "assemble",
    "build_result",
    "hookimpl",
    "load_config",
    "load_registry",
    "open_arena",
    "open_store",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'treasury_arena' has no attribute {name!r}")
