"""Installs @aave-dao/aave-v3-origin and its compiler with npm, and compiles what is deployed, once, into the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from treasury_arena_evm.errors import ToolError
from treasury_arena_evm.local.artifacts import Artifact, write_whole
from treasury_arena_evm.local.install import INSTALL_SECONDS_MAX, OPTIONS, cache_folder

COMPILE_SECONDS_MAX = 300.0
ROOT = "@aave-dao/aave-v3-origin/src/contracts"
CONTRACTS = (
    "instances/PoolInstance.sol",
    "instances/PoolConfiguratorInstance.sol",
    "instances/ATokenInstance.sol",
    "instances/VariableDebtTokenInstance.sol",
    "misc/AaveOracle.sol",
    "misc/DefaultReserveInterestRateStrategyV2.sol",
    "protocol/configuration/PoolAddressesProvider.sol",
    "protocol/configuration/ACLManager.sol",
    "helpers/AaveProtocolDataProvider.sol",
)
#: How the sources name what they import from elsewhere, and where npm puts it.
ELSEWHERE = {
    "solidity-utils/": "@bgd-labs/solidity-utils/src/",
    "openzeppelin-contracts/": "@openzeppelin/",
}
_IMPORT = re.compile(r'^\s*import\s+(?:[^"\';]*from\s+)?["\']([^"\']+)["\']', re.MULTILINE)


def node_modules() -> Path:
    """The folder `node_modules`, installed on first use. Raises ToolError when npm is missing or fails."""
    wanted = (files("treasury_arena_aave.origin") / "package.json").read_bytes()
    home = cache_folder() / f"aave-origin-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not (home / "node_modules").is_dir():
        scratch = Path(tempfile.mkdtemp(prefix=".origin-", dir=home.parent))
        try:
            (scratch / "package.json").write_bytes(wanted)
            _run("npm", ["install", *OPTIONS], scratch, None, INSTALL_SECONDS_MAX)
            try:
                os.replace(scratch, home)
            except OSError:  # another process was first
                if not (home / "node_modules").is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return home / "node_modules"


def _run(program: str, arguments: list[str], folder: Path, given: str | None, seconds: float) -> str:
    path = shutil.which(program)
    if path is None:
        raise ToolError(f"{program} was not found in PATH; install Node.js 20 or later, which brings it")
    # Files, because the compiler gives up on an input pipe that is not full yet, and ends before an output pipe is empty.
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as result:
        source.write(given or "")
        source.seek(0)
        try:
            done = subprocess.run(
                [path, *arguments],
                cwd=folder,
                stdin=source,
                stdout=result,
                stderr=subprocess.PIPE,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{program} did not finish within {seconds:g} s") from error
        if done.returncode:
            raise ToolError(f"{program} failed with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        result.seek(0)
        return result.read()


def _sources(home: Path) -> dict[str, str]:
    """What is deployed and everything it imports, by the names that relative imports resolve to."""
    found: dict[str, str] = {}
    pending = [f"{ROOT}/{name}" for name in CONTRACTS]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = (home / _place(name)).read_text()
        for wanted in _IMPORT.findall(found[name]):
            relative = wanted.startswith(".")
            pending.append(os.path.normpath(os.path.join(os.path.dirname(name), wanted)) if relative else wanted)
    return dict(sorted(found.items()))


def _place(name: str) -> str:
    for prefix, folder in ELSEWHERE.items():
        if name.startswith(prefix):
            return folder + name.removeprefix(prefix)
    return name


def contracts() -> dict[str, Artifact]:
    """Compiled contracts and libraries by name; a quarter of a minute on first use, then from the cache folder."""
    home = node_modules()
    task = {
        "language": "Solidity",
        "sources": {name: {"content": content} for name, content in _sources(home).items()},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": "shanghai",
            "metadata": {"bytecodeHash": "none"},
            "outputSelection": {"*": {"*": ["evm.bytecode.object", "evm.bytecode.linkReferences"]}},
        },
    }
    text = json.dumps(task, sort_keys=True)
    kept = cache_folder() / f"aave-origin-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not kept.is_file():
        write_whole(kept, json.dumps(_compiled(text, home)))
    content = json.loads(kept.read_text())
    return {
        name: Artifact(name, item["code"], [], {key: tuple(value) for key, value in item["links"].items()})
        for name, item in content.items()
    }


def _compiled(task: str, home: Path) -> dict[str, Any]:
    text = _run("node", [str(home / "solc" / "solc.js"), "--standard-json"], home, task, COMPILE_SECONDS_MAX)
    output = json.loads(text[max(text.find("{"), 0) :])
    for problem in output.get("errors", []):
        if problem["severity"] == "error":
            raise ToolError(f"the Solidity compiler refused a contract: {problem['formattedMessage'].strip()}")
    found = {}
    for units in output["contracts"].values():
        for name, unit in units.items():
            code = unit["evm"]["bytecode"]
            if code["object"]:
                links = {
                    library: [place["start"] for place in places]
                    for libraries in code["linkReferences"].values()
                    for library, places in libraries.items()
                }
                found[name] = {"code": code["object"], "links": links}
    return found
