"""The configuration file: read with every mistake told at once, checked against the plugins, shown, and documented."""

from __future__ import annotations

from treasury_arena.config.context import SourceContext
from treasury_arena.config.load import load_config
from treasury_arena.config.settings import Settings

__all__ = ["Settings", "SourceContext", "load_config"]
