"""Dumped chains: a market is deployed once per set of options, dumped without its history, and loaded ever after."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs

from treasury_arena_evm.local.anvil import Anvil
from treasury_arena_evm.local.artifacts import own_contracts, write_whole
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.deploy import deploy_market
from treasury_arena_evm.local.description import Description, MarketOptions
from treasury_arena_evm.local.install import cache_folder, package_json


def slimmed(dump: str) -> dict[str, Any]:
    """A dump (hex of gzip'd JSON, as anvil gives it) without transactions and blocks; the latest one stays, loading needs it."""
    state: dict[str, Any] = json.loads(gzip.decompress(bytes.fromhex(dump.removeprefix("0x"))))
    state["transactions"] = []
    state["blocks"] = [max(state["blocks"], key=_number)]
    state["historical_states"] = None
    return state


def _number(block: dict[str, Any]) -> int:
    number = block["header"]["number"]
    return int(number, 16) if isinstance(number, str) else int(number)


def _key(options: MarketOptions) -> str:
    """Changes with everything the deployed market follows from."""
    digest = hashlib.sha256(package_json())
    for folder in ("treasury_arena_evm.local", "treasury_arena_evm.interfaces"):
        for item in sorted(files(folder).iterdir(), key=lambda item: item.name):
            if item.name.endswith(".py"):
                digest.update(item.read_bytes())
    digest.update(json.dumps({name: item.code for name, item in own_contracts().items()}, sort_keys=True).encode())
    digest.update(repr(options).encode())
    return digest.hexdigest()[:16]


@attrs.frozen
class Dump:
    """A dumped market: the file for `--load-state`, the time of its latest block, and what is on it."""

    state: Path
    time: int
    description: Description


def dumped_market(program: Path, options: MarketOptions, folder: Path | None = None) -> Dump:
    """The dump of a market with these options; deployed now if the cache has it not."""
    home = folder or cache_folder()
    name = f"market-{_key(options)}"
    state, description = home / f"{name}.state.json", home / f"{name}.json"
    # The description is written last: where it is, the state is whole.
    if not (description.is_file() and state.is_file()):
        with Anvil(program) as node:
            chain = LocalChain(node)
            found = deploy_market(chain, options)
            write_whole(state, json.dumps(slimmed(chain.rpc("anvil_dumpState"))))
            write_whole(description, json.dumps({"time": chain.now, "market": found.as_json()}))
    content = json.loads(description.read_text())
    return Dump(state, content["time"], Description.from_json(content["market"]))
