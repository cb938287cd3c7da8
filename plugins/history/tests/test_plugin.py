"""The hooks, as the core's plugin manager calls them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pluggy

from treasury_arena import hookspecs
from treasury_arena.contracts.source import DataSource
from treasury_arena.markers import PROJECT
from treasury_arena_history import plugin
from treasury_arena_history.config import HistorySection, Series


def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(hookspecs)
    made.register(plugin)
    made.check_pending()
    return made


def test_the_source_is_registered_with_its_section(tmp_path: Path) -> None:
    hooks = manager().hook
    (sections,) = hooks.arena_config_sections()
    assert sections == {"source.history": HistorySection}
    (sources,) = hooks.arena_sources()
    section = HistorySection(series=[Series(column="USDC.price", constant=1.0, unit="usd")])

    class Context:
        data, cache, seed, step_seconds = None, tmp_path, 1, 3600

    assert isinstance(sources["history"](section, Context()), DataSource)


def test_the_command_is_a_group_named_data() -> None:
    ((group,),) = manager().hook.arena_commands()
    assert group.name == "data"
    assert list(group.commands) == ["check"]


def test_the_entry_point_leads_to_the_plugin() -> None:
    (point,) = [one for one in entry_points(group="treasury_arena") if one.name == "history"]
    assert point.load() is plugin


def test_listing_the_plugin_imports_no_heavy_library() -> None:
    code = "import sys, treasury_arena_history.plugin; print(sorted({'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
