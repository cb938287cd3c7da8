"""The pluggy markers: `hookimpl` for plugin authors, `hookspec` for the house."""

from __future__ import annotations

import pluggy

PROJECT = "treasury_arena"
ENTRY_POINT_GROUP = "treasury_arena"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
