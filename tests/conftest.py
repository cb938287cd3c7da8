"""The repository, and a run small enough to be had many times: what the tests that span packages share."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.assembly import assemble
from treasury_arena.cli.folder import RunFolder
from treasury_arena.cli.main import execute
from treasury_arena.config.load import load_config
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

ROOT = Path(__file__).resolve().parents[1]

#: Seven weeks in which agents of two strategies are bred, proven, funded and buried.
SMALL: dict[str, Any] = {
    "name": "small",
    "start": "2024-01-01",
    "end": "2024-02-19",
    "seed": 5,
    "capital": {"idle_market": "usdc_lending"},
    "population": {"agents": 8, "training_days": 20, "birth_cycles": 2},
    "evolution": {"population": 10, "generations": 2},
    "rules": {
        "simulation_floored_min": "off",
        "simulation_psr_min": "off",
        "simulation_drawdown_max": "off",
        "simulation_age_days_min": 7,
        "arena_return_min": "off",
        "arena_floored_min": "off",
        "arena_drawdown_max": "off",
        "arena_age_days_min": 7,
        "fidelity_tolerance": "off",
        "death_drawdown": 0.008,
        "death_floored_below": "off",
    },
    "strategies": {"enabled": ["tactical", "trend"]},
    "source": {"name": "simulated", "simulated": {"gas_usd": 0.05}},
    "markets": {
        "eth": {
            "model": "simulation.spot",
            "asset": "WETH",
            "columns": {"price": "WETH.price", "gas": "gas.usd"},
        },
        "btc": {
            "model": "simulation.spot",
            "asset": "WBTC",
            "columns": {"price": "WBTC.price", "gas": "gas.usd"},
        },
        "usdc_lending": {
            "model": "simulation.lending_par",
            "asset": "USDC",
            "columns": {"rate": "USDC.lending_rate", "gas": "gas.usd"},
        },
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests wait for processes of their own begin first: the workers then end together."""
    long = {item.path for item in items if item.get_closest_marker("no_cover")}
    items.sort(key=lambda item: item.path not in long)


@attrs.frozen
class Done:
    """What a command left behind: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def ok(self) -> Done:
        assert self.code == 0, f"exit code {self.code}: {self.out}{self.err}"
        return self


def toml(tree: dict[str, Any]) -> str:
    """A nested dict as TOML: tables of the first level as tables, deeper ones inline."""
    plain = [f"{key} = {_inline(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    tables = [
        "\n".join([f"\n[{name}]", *(f"{key} = {_inline(value)}" for key, value in table.items())])
        for name, table in tree.items()
        if isinstance(table, dict)
    ]
    return "\n".join([*plain, *tables]) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


class House:
    """The command line, and configurations to feed it with."""

    root = ROOT
    done = Done
    small = SMALL
    toml = staticmethod(toml)

    def arena(self, *arguments: object) -> Done:
        """Run `arena` inside this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = execute([str(argument) for argument in arguments])
        return Done(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
        """Run `arena` as a process of its own."""
        done = subprocess.run(
            self.command(*arguments), env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: object) -> list[str]:
        """The argument vector of `arena`."""
        return [sys.executable, "-c", "from treasury_arena.cli.main import run; run()", *map(str, arguments)]

    def tree(self, changes: dict[str, Any] | None = None) -> dict[str, Any]:
        """The small configuration with `changes`: key path -> value, None to leave the key out."""
        tree = copy.deepcopy(SMALL)
        for path, value in (changes or {}).items():
            *parents, last = path.split(".")
            table = tree
            for name in parents:
                table = table.setdefault(name, {})
            if value is None:
                table.pop(last, None)
            else:
                table[last] = value
        return tree

    def write(self, path: Path, changes: dict[str, Any] | None = None) -> Path:
        """Write the small configuration with `changes` to `path`."""
        path.write_text(toml(self.tree(changes)))
        return path

    @staticmethod
    def outcome(document: dict[str, Any]) -> dict[str, Any]:
        """What a run's JSON says about the run itself: not its name, its folder, or how long it took."""
        return {key: value for key, value in document.items() if key not in {"run_id", "timings", "files", "out"}}


@pytest.fixture(scope="session")
def house() -> House:
    return House()


@pytest.fixture(scope="session")
def daemons() -> Any:
    """tests/support/daemons.py: paper daemons as processes of their own."""
    spec = importlib.util.spec_from_file_location("daemons", Path(__file__).parent / "support" / "daemons.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small_config(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small configuration's file."""
    return house.write(tmp_path_factory.mktemp("config") / "small.toml")


@pytest.fixture(scope="session")
def finished(house: House, small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small run, complete; for reading only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = house.arena("run", small_config, "--out", folder, "--workers", 1, "--json", "--quiet").ok()
    (folder / "stdout.json").write_text(done.out)
    return folder


@pytest.fixture(scope="session")
def finished_json(finished: Path) -> dict[str, Any]:
    """What `run --json` printed for it."""
    document: dict[str, Any] = json.loads((finished / "stdout.json").read_text())
    return document


@pytest.fixture(scope="session")
def interrupted(small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small run after three cycles; for reading only."""
    folder = RunFolder(tmp_path_factory.mktemp("interrupted") / "run")
    folder.begin(small_config.read_text(), {"run_id": "run", "data": None, "db": None, "seed": 5, "workers": 1})
    registry = load_registry()
    assembled = assemble(load_config(small_config, registry, {}), registry)
    with open_store(folder.store_url()) as store:
        manager = assembled.manager(store)
        for _ in range(3):
            manager.run_evolution_cycle()
        manager.close()
    assembled.close()
    return folder.path


@pytest.fixture
def copy_of_interrupted(interrupted: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a copy of the interrupted run's folder that a test may spoil and resume."""
    return lambda: Path(shutil.copytree(interrupted, tmp_path / f"begun{len(list(tmp_path.iterdir()))}"))


@pytest.fixture
def copy_of_finished(finished: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a copy of the finished run's folder that a test may spoil."""
    return lambda: Path(shutil.copytree(finished, tmp_path / f"copy{len(list(tmp_path.iterdir()))}"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def distributions(root: Path) -> list[Path]:
    """Folder of every distribution of the repository, the core first; the outside example is none of them."""
    found = [path.parent for path in sorted(root.glob("*/*/pyproject.toml")) if path.parts[-3] != "examples"]
    return [
        root / "core",
        *(path for path in found if path.parent.name in {"protocols", "plugins", "strategies", "schedulers"}),
    ]


@pytest.fixture(scope="session")
def files(root: Path) -> list[Path]:
    """Every file under version control, or, outside a clone, every file that is not made by a tool."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git clone: what is under version control cannot be told")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := root / name).is_file()]
