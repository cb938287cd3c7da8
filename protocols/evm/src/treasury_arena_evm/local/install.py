"""Installs the node packages of the local chain with ordinary npm: pinned versions, no install scripts, no lock file.

By hand: ``python -m treasury_arena_evm.local.install``. Fixtures do it by themselves when the folder is not there yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from treasury_arena.simulation.generate import cache_folder as kernel_folder
from treasury_arena_evm.errors import ToolError

INSTALL_SECONDS_MAX = 600.0
#: No lock file, because it would hold a registry's host; no peers, because the packages' peers are build tools.
OPTIONS = (
    "--ignore-scripts",
    "--legacy-peer-deps",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
)
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def cache_folder() -> Path:
    """Home of packages, compiled contracts and dumped chains: beside the kernels in TREASURY_ARENA_CACHE or the user's cache."""
    kernels = kernel_folder()
    folder = (kernels.parent if kernels.name == "kernels" else kernels) / "evm"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def package_json() -> bytes:
    """The shipped list of pinned packages."""
    return (files("treasury_arena_evm.local") / "package.json").read_bytes()


def node_modules(folder: Path | None = None) -> Path:
    """The folder `node_modules`, installed on first use below `folder` (default: the cache folder).

    Raises ToolError when npm is missing or fails. Two processes may install at once: the first one to finish wins.
    """
    wanted = package_json()
    home = (folder or cache_folder()) / f"node-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not (home / "node_modules").is_dir():
        _install(home, wanted)
    return home / "node_modules"


def _install(home: Path, wanted: bytes) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ToolError(
            "the local chain needs npm, which was not found in PATH; install Node.js 18 or later, which brings it"
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".node-", dir=home.parent))
    try:
        (scratch / "package.json").write_bytes(wanted)
        try:
            done = subprocess.run(
                [npm, "install", *OPTIONS, *_asked_by_name(wanted)],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"npm install did not finish within {INSTALL_SECONDS_MAX:g} s") from error
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
            raise ToolError(
                f"npm install failed with exit code {done.returncode}: {' | '.join(lines[:4]) or 'it said nothing'}"
            )
        try:
            os.replace(scratch, home)
        except OSError:
            if not (home / "node_modules").is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _machine() -> tuple[str, str] | None:
    """This machine as anvil's packages are named, None where there is none for it."""
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine().lower())
    return None if system is None or machine is None else (system, machine)


def _asked_by_name(wanted: bytes) -> tuple[str, ...]:
    """anvil's program for this machine: as an optional part of its package it would be left out below Node.js 18, which it
    asks for and does not use.
    """
    machine = _machine()
    if machine is None:
        return ()
    version = json.loads(wanted)["dependencies"]["@foundry-rs/anvil"]
    return "--no-save", f"@foundry-rs/anvil-{'-'.join(machine)}@{version}"


def anvil_path() -> Path:
    """The anvil program of the installed packages; TREASURY_ARENA_ANVIL names another. Raises ToolError when there is none."""
    given = os.environ.get("TREASURY_ARENA_ANVIL")
    if given:
        return checked_anvil(Path(given))
    machine = _machine()
    if machine is None:
        raise ToolError(
            f"no anvil is packaged for {platform.system()} on {platform.machine()}; set TREASURY_ARENA_ANVIL to one of your own"
        )
    name = f"anvil-{'-'.join(machine)}"
    path = node_modules() / "@foundry-rs" / name / "bin" / "anvil"
    if not path.is_file():
        raise ToolError(
            f"npm did not install the package @foundry-rs/{name}; remove {node_modules().parent} to install it again"
        )
    return path


def checked_anvil(path: Path) -> Path:
    """`path` itself if it is a program; ToolError otherwise."""
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ToolError(f"anvil is not a program at {path}")
    return path


def main() -> int:
    """Install and say where."""
    try:
        print(node_modules().parent)
        print(anvil_path())
    except ToolError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
