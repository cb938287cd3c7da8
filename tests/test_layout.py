"""The shape of the repository: every distribution is built the same way and known wherever it must be."""

from __future__ import annotations

import configparser
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import treasury_arena

#: The distribution that protocols stand on. It has an entry point for its chain client only, and no protocol of its own.
LIBRARY = "evm"


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def modules(folder: Path) -> list[str]:
    return [path.parent.name for path in (folder / "src").glob("*/__init__.py")]


def test_the_expected_distributions_are_there(root: Path, distributions: list[Path]) -> None:
    names = {str(path.relative_to(root)) for path in distributions}
    assert {"core", "protocols/simulation", "plugins/fitness", "plugins/genetics"} <= names


def test_every_folder_below_a_home_of_plugins_is_a_distribution(root: Path, distributions: list[Path]) -> None:
    homes = [root / name for name in ("protocols", "plugins", "strategies", "schedulers") if (root / name).is_dir()]
    folders = [path for home in homes for path in home.iterdir() if path.is_dir() and any(path.rglob("*.py"))]
    assert sorted(folders) == sorted(distributions[1:])


def test_every_distribution_has_the_same_parts(root: Path, distributions: list[Path]) -> None:
    for folder in distributions:
        where = folder.relative_to(root)
        (module,) = modules(folder)
        assert (folder / "README.md").stat().st_size > 0, f"{where} has no README.md"
        assert (folder / "src" / module / "py.typed").is_file(), f"{where}: {module} has no py.typed"
        assert sorted((folder / "tests").rglob("test_*.py")), f"{where} has no tests"


def test_every_distribution_is_named_after_its_folder(distributions: list[Path]) -> None:
    for folder in distributions:
        expected = "treasury_arena" if folder.name == "core" else f"treasury_arena_{folder.name}"
        described = project(folder)["project"]
        assert described["name"] == f"treasury-arena-{folder.name}"
        assert modules(folder) == [expected]
        assert project(folder)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{expected}"]


def test_all_versions_are_equal(root: Path, distributions: list[Path]) -> None:
    versions = {str(path.name): project(path)["project"]["version"] for path in [root, *distributions]}
    assert set(versions.values()) == {treasury_arena.__version__}, versions


def test_every_plugin_states_the_range_of_cores_it_works_with(distributions: list[Path]) -> None:
    for folder in distributions[1:]:
        needs = project(folder)["project"]["dependencies"]
        assert [need for need in needs if need.startswith("treasury-arena-core>=")], f"{folder.name} needs no core"


def test_every_entry_point_names_a_module_that_exists(distributions: list[Path]) -> None:
    for folder in distributions:
        points = project(folder)["project"].get("entry-points", {}).get("treasury_arena", {})
        assert list(points) == [folder.name]
        for module in points.values():
            path = folder / "src" / (module.replace(".", "/") + ".py")
            assert path.is_file(), f"{folder.name}: entry point module {module} does not exist"
            assert find_spec(module) is not None


def test_only_the_root_configures_the_tools(distributions: list[Path]) -> None:
    for folder in distributions:
        tools = set(project(folder).get("tool", {}))
        assert tools <= {"hatch"}, (
            f"{folder.name} configures {tools - {'hatch'}}; that belongs into the root pyproject.toml"
        )


def test_requirements_hold_every_distribution_once(root: Path, distributions: list[Path]) -> None:
    lines = [line for line in (root / "requirements.txt").read_text().splitlines() if line.startswith("-e")]
    listed = [line.removeprefix("-e ./").split("[")[0] for line in lines]
    assert listed == sorted(set(listed), key=listed.index)
    assert set(listed) == {str(path.relative_to(root)) for path in distributions}


def test_the_meta_distribution_pins_every_distribution(root: Path, distributions: list[Path]) -> None:
    pins = set(project(root)["project"]["dependencies"])
    assert pins == {f"{project(path)['project']['name']}=={treasury_arena.__version__}" for path in distributions}


def test_mypy_and_the_import_contracts_know_every_distribution(root: Path, distributions: list[Path]) -> None:
    tool = project(root)["tool"]
    for folder in distributions:
        assert f"$MYPY_CONFIG_FILE_DIR/{folder.relative_to(root)}/src" in tool["mypy"]["mypy_path"].split(":")
    plugins = {modules(path)[0] for path in distributions[1:]}
    assert set(tool["importlinter"]["root_packages"]) == plugins | {"treasury_arena"}
    contracts = {contract["name"]: contract for contract in tool["importlinter"]["contracts"]}
    beside = plugins - {f"treasury_arena_{LIBRARY}"}
    assert set(contracts["The core knows no plugin"]["forbidden_modules"]) == plugins
    assert set(contracts["No plugin knows another"]["modules"]) == beside
    assert set(contracts["The evm library knows no protocol that stands on it"]["forbidden_modules"]) == beside


@pytest.fixture(scope="module")
def tox(root: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read(root / "tox.ini")
    return parser


def test_tox_tests_every_distribution_alone(
    root: Path, distributions: list[Path], tox: configparser.RawConfigParser
) -> None:
    factors = ",".join(re.findall(r"\{(.*?)\}", tox["tox"]["env_list"])).split(",")
    assert set(factors) == {path.name for path in distributions}
    for folder in distributions:
        where = folder.relative_to(root)
        assert f"-e ./{where}" in tox["local"][folder.name]
        assert f"{folder.name}: pytest {where}/tests" in tox["testenv"]["commands"]
        assert f"{where}/src" in tox["testenv:typing"]["commands"]
