"""Compiled contracts: those in the installed npm packages, and one's own, compiled with npm's Solidity compiler."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import attrs

from treasury_arena_evm.errors import ToolError
from treasury_arena_evm.local.install import cache_folder, node_modules

COMPILE_SECONDS_MAX = 120.0
_IMPORT = re.compile(r'^\s*import\s+(?:[^"\';]*from\s+)?["\']([^"\']+)["\']', re.MULTILINE)
_AAVE = "@aave/core-v3/artifacts/contracts"
_V3 = "@uniswap/v3-core/artifacts/contracts"
_PERIPHERY = "@uniswap/v3-periphery/artifacts/contracts"
_ROUTERS = "@uniswap/swap-router-contracts/artifacts/contracts"

#: Where each package keeps what is deployed; folders of Hardhat's or of Truffle's making.
PATHS = {
    **{
        name: f"{_AAVE}/{folder}/{name}.sol/{name}.json"
        for folder, names in {
            "protocol/configuration": ("PoolAddressesProvider", "ACLManager"),
            "protocol/pool": ("Pool", "PoolConfigurator", "DefaultReserveInterestRateStrategy"),
            "protocol/tokenization": ("AToken", "StableDebtToken", "VariableDebtToken"),
            "protocol/libraries/logic": (
                "SupplyLogic",
                "BorrowLogic",
                "LiquidationLogic",
                "EModeLogic",
                "BridgeLogic",
                "PoolLogic",
                "ConfiguratorLogic",
                "FlashLoanLogic",
            ),
            "misc": ("AaveOracle", "AaveProtocolDataProvider"),
            "mocks/tokens": ("MintableERC20",),
            "dependencies/weth": ("WETH9",),
        }.items()
        for name in names
    },
    **{name: f"{_V3}/{name}.sol/{name}.json" for name in ("UniswapV3Factory", "UniswapV3Pool")},
    **{name: f"{_PERIPHERY}/{name}.sol/{name}.json" for name in ("NonfungiblePositionManager", "SwapRouter")},
    "TickLens": f"{_PERIPHERY}/lens/TickLens.sol/TickLens.json",
    "SwapRouter02": f"{_ROUTERS}/SwapRouter02.sol/SwapRouter02.json",
    "QuoterV2": f"{_ROUTERS}/lens/QuoterV2.sol/QuoterV2.json",
    "UniswapV2Factory": "@uniswap/v2-core/build/UniswapV2Factory.json",
    "UniswapV2Pair": "@uniswap/v2-core/build/UniswapV2Pair.json",
    "UniswapV2Router02": "@uniswap/v2-periphery/build/UniswapV2Router02.json",
}


@attrs.frozen
class Artifact:
    """A compiled contract: creation code in hex without 0x (holes where libraries belong) and its ABI."""

    name: str
    code: str
    abi: list[dict[str, Any]]
    links: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict)

    def linked(self, libraries: Mapping[str, str]) -> str:
        """Creation code with the libraries' addresses written into its holes; ToolError when one is missing."""
        missing = set(self.links) - set(libraries)
        if missing:
            raise ToolError(f"contract {self.name} needs the library {sorted(missing)[0]}, which is not deployed yet")
        code = self.code
        for library, starts in self.links.items():
            for start in starts:
                code = code[: 2 * start] + libraries[library][2:].lower() + code[2 * start + 40 :]
        return code


def _links(references: Mapping[str, Mapping[str, list[Mapping[str, int]]]]) -> dict[str, tuple[int, ...]]:
    return {
        library: tuple(place["start"] for place in places)
        for libraries in references.values()
        for library, places in libraries.items()
    }


@cache
def artifact(name: str) -> Artifact:
    """The compiled contract of a package, by its name in PATHS. Raises ToolError when the package lacks it."""
    path = node_modules() / PATHS[name]
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ToolError(
            f"the package of {name} has no {PATHS[name]}; remove {node_modules().parent} to install it again"
        ) from error
    return Artifact(
        name, content["bytecode"].removeprefix("0x"), content["abi"], _links(content.get("linkReferences", {}))
    )


def _sources(folder: Traversable) -> dict[str, str]:
    """The folder's contracts and everything they import, by the names their imports use."""
    found = {item.name: item.read_text() for item in folder.iterdir() if item.name.endswith(".sol")}
    if not found:
        raise ToolError(f"there is no Solidity file in {folder}; expected at least one that ends in .sol")
    pending = sorted(found)
    while pending:
        name = pending.pop()
        for wanted in _IMPORT.findall(found[name]):
            target = os.path.normpath(os.path.join(os.path.dirname(name), wanted)) if wanted.startswith(".") else wanted
            if target not in found:
                found[target] = _imported(folder, target, name)
                pending.append(target)
    return dict(sorted(found.items()))


def _imported(folder: Traversable, target: str, name: str) -> str:
    near = folder / target
    if near.is_file():
        return near.read_text()
    path = node_modules() / target
    if not path.is_file():
        raise ToolError(f"{name} imports {target!r}, which is neither beside it nor in a package of the local chain")
    return path.read_text()


def compiled(folder: Traversable) -> Mapping[str, Artifact]:
    """The contracts of a folder's Solidity files by name, compiled on first use (about 4 s) and kept in the cache folder.

    For anybody's contracts: ``compiled(files("your_package"))["YourContract"].code`` is what `LocalChain.deploy` takes. The
    compiler is solc 0.8.24 from npm; imports are found beside the file, and ``@openzeppelin/contracts`` 4.9 in npm's packages.
    Raises ToolError for a folder without a Solidity file and for what the compiler refuses, in its own words.
    """
    task = {
        "language": "Solidity",
        "sources": {name: {"content": content} for name, content in _sources(folder).items()},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": "paris",
            "metadata": {"bytecodeHash": "none"},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    return _kept(json.dumps(task, sort_keys=True))


@cache
def _kept(text: str) -> Mapping[str, Artifact]:
    kept = cache_folder() / f"solc-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not kept.is_file():
        write_whole(kept, json.dumps(_compile(text)))
    content = json.loads(kept.read_text())
    return {name: Artifact(name, item["code"], item["abi"]) for name, item in content.items()}


def own_contracts() -> Mapping[str, Artifact]:
    """The house's own contracts by name."""
    return compiled(files("treasury_arena_evm.local") / "contracts")


def _compile(task: str) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        raise ToolError(
            "the local chain compiles its contracts with Node.js, but node was not found in PATH; install Node.js 18 or later"
        )
    # Files, because the compiler gives up on an input pipe that is not full yet, and ends before an output pipe is empty.
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as result:
        source.write(task)
        source.seek(0)
        try:
            done = subprocess.run(
                [node, str(node_modules() / "solc" / "solc.js"), "--standard-json"],
                stdin=source,
                stdout=result,
                stderr=subprocess.PIPE,
                text=True,
                timeout=COMPILE_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"the Solidity compiler did not finish within {COMPILE_SECONDS_MAX:g} s") from error
        result.seek(0)
        text = result.read()
    start = text.find("{")
    try:
        output = json.loads(text[max(start, 0) :])
    except ValueError as error:
        raise ToolError(
            f"the Solidity compiler failed with exit code {done.returncode}: {done.stderr.strip()[-300:] or text[:300]}"
        ) from error
    for problem in output.get("errors", []):
        if problem["severity"] == "error":
            raise ToolError(f"the Solidity compiler refused a contract: {problem['formattedMessage'].strip()}")
    return {
        name: {"code": contract["evm"]["bytecode"]["object"], "abi": contract["abi"]}
        for source, contracts in output["contracts"].items()
        if "/" not in source
        for name, contract in contracts.items()
        if contract["evm"]["bytecode"]["object"]
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file so that another process sees all of it or nothing."""
    handle, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    with os.fdopen(handle, "w") as part:
        part.write(text)
    os.replace(name, path)
