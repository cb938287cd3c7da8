"""Two distributions that claim one name: neither gets it, and every message says which they are and what to uninstall."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: An outside plugin that offers the bundled strategy under its own entry point.
COPY = """
import attrs
from treasury_arena.markers import hookimpl
import treasury_arena_trend.plugin as own


@hookimpl
def arena_strategies():
    return list(own.arena_strategies())
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path that distributions are laid into."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


def install(site: Path, module: str, code: str, entry: str = "", needs: str = "treasury-arena-core>=0.1,<0.2") -> None:
    """Lay a distribution `outside-<module>` with one module and one entry point into the folder."""
    (site / f"{module}.py").write_text(code)
    info = site / f"outside_{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: outside-{module}\nVersion: 1.0\nRequires-Dist: {needs}\n"
    )
    (info / "entry_points.txt").write_text(f"[treasury_arena]\n{entry or module} = {module}\n")
    importlib.invalidate_caches()


@pytest.fixture(params=["entry point", "strategy"])
def impostor(request: pytest.FixtureRequest, site: Path) -> str:
    """Claims the bundled name `trend`, by its entry point or by a strategy it offers."""
    install(site, "impostor", COPY, entry="trend" if request.param == "entry point" else "mine")
    return str(request.param)


def assert_told(text: str) -> None:
    assert "treasury-arena-trend" in text
    assert "outside-impostor" in text
    assert "`pip uninstall outside-impostor` or `pip uninstall treasury-arena-trend`" in text


def test_run_check_and_resume_name_both_claimants_and_the_way_out(
    house: Any, impostor: str, small_config: Path, interrupted: Path, tmp_path: Path
) -> None:
    for words in (
        ["run", small_config, "--out", tmp_path / "run"],
        ["config", "check", small_config],
        ["resume", interrupted],
        ["backtest", small_config],
    ):
        done = house.arena(*words)
        assert done.code == 2
        assert "trend" in done.err
        assert_told(done.err)
    assert not (tmp_path / "run").exists()


def test_resume_misses_a_strategy_that_the_configuration_does_not_name(
    house: Any, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `strategies.enabled` all that are accepted compete, so a claimed one would silently be left out."""
    monkeypatch.setenv("TREASURY_ARENA_PLUGINS", "core,simulation,fitness,genetics,reports,tactical,trend")
    config = house.write(tmp_path / "all.toml", {"strategies.enabled": None, "end": "2024-01-09"})
    house.arena("run", config, "--out", tmp_path / "run", "--quiet").ok()
    install(site, "impostor", COPY, entry="trend")
    done = house.arena("resume", tmp_path / "run", "--quiet")
    assert done.code == 2
    assert "holds agents of a strategy that is not there now: strategy 'trend'" in done.err
    assert_told(done.err)


def test_the_list_of_plugins_says_what_is_offered_and_what_was_refused(house: Any, impostor: str) -> None:
    done = house.arena("plugins")
    assert done.code == 1
    for name in ("mine", "trend") if impostor == "strategy" else ("trend",):
        lines = [line for line in done.out.splitlines() if line.startswith(f"{name} ")]
        assert lines
        for line in lines:
            assert_told(line)
    assert_told(done.err)
    documents = house.arena("plugins", "--json").json
    assert_told(" ".join(documents["warnings"]))


def test_a_plugin_that_loses_one_name_still_shows_the_others(house: Any, site: Path) -> None:
    both = COPY.replace(
        "list(own.arena_strategies())",
        "[*own.arena_strategies(), attrs.evolve(own.arena_strategies()[0], name='other')]",
    )
    install(site, "impostor", both, entry="mine")
    (line,) = [line for line in house.arena("plugins").out.splitlines() if line.startswith("mine ")]
    assert "arena_strategies: other; " in line
    assert_told(line)
