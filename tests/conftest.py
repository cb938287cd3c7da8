"""Where the repository is, and what it holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
