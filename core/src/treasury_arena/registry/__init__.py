"""Discovery of plugins and the typed facade over what they offer. No other package touches pluggy or entry points."""

from __future__ import annotations

from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry
from treasury_arena.registry.report import PluginReport

__all__ = ["PluginReport", "Registry", "load_registry"]
