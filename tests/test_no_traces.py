"""What must not be in the repository: one machine's paths, package registries' hosts, lock files, market data, large files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SIZE_MAX = 500_000
LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
MARKET_DATA = {
    ".parquet",
    ".feather",
    ".arrow",
    ".db",
    ".sqlite",
    ".sqlite3",
    ".pkl",
    ".npy",
    ".npz",
    ".h5",
    ".gz",
    ".zip",
}
# Written so that this file does not find itself.
MACHINE = re.compile(r"/(?:home|Users|root|work|mnt)/[a-z]" r"|[A-Z]:\\Users")
HOSTS = re.compile(r"(?:index|extra-index)-url|pypi\.(?:org|python)|pythonhosted|artifactory|/simple/?\b(?=[\"'\s])")


def text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def found(files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.name}:{number}: {line.strip()}"
        for path in files
        if path.name != Path(__file__).name
        for number, line in enumerate(text(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_path_of_one_machine(files: list[Path]) -> None:
    assert found(files, MACHINE) == []


def test_no_host_of_a_package_registry(files: list[Path]) -> None:
    assert found(files, HOSTS) == []


def test_no_lock_file(files: list[Path]) -> None:
    assert [path.name for path in files if path.name in LOCKS] == []


def test_no_market_data(files: list[Path]) -> None:
    assert [str(path) for path in files if path.suffix in MARKET_DATA] == []
    assert [str(path) for path in files if path.suffix == ".csv" and path.stat().st_size > 20_000] == []


def test_no_large_file(files: list[Path]) -> None:
    assert [str(path) for path in files if path.stat().st_size > SIZE_MAX] == []


@pytest.mark.parametrize("line", ["see /" + "home/ann/data", "C:" + "\\Users\\ann"])
def test_a_machine_path_would_be_found(line: str) -> None:
    assert MACHINE.search(line)


@pytest.mark.parametrize("line", ["--extra-" + "index-url x", "https://files.python" + "hosted.org"])
def test_a_registry_host_would_be_found(line: str) -> None:
    assert HOSTS.search(line)
