"""A local chain that is kept in a folder: vaults for agents to lend in and a funded treasury, there again next time."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.errors import ConfigError
from treasury_arena_evm.local.anvil import GENESIS_TIME, Anvil
from treasury_arena_evm.local.artifacts import write_whole
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.deploy import deploy_vault
from treasury_arena_evm.local.description import Description, MarketOptions
from treasury_arena_evm.local.install import anvil_path
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.local.state import dumped_market

STATE, NOTES, LOCK = "state.json", "chain.json", "lock"
#: Markets of the arena with a vault of their own each.
VAULTS = ("usdc_lending", "usdt_lending", "dai_lending")
COINS_RAW = 100 * 10**18
#: Blocks, with their transactions, that are there again next time.
BLOCKS_KEPT = 5_000


@attrs.frozen
class Beginning:
    """What a chain is begun with.

    Attributes:
        address: the treasury that is given money.
        funds_raw: base units of USDC that it is given.
        port: where the node listens, now and whenever the chain is started again; 0 is one that is free now.
    """

    address: str
    funds_raw: int
    port: int


class KeptChain:
    """A running chain of a folder.

    `address` is the treasury's, `vaults` are the vaults by market.
    """

    def __init__(self, folder: Path, market: LocalMarket, address: str, vaults: Mapping[str, str]) -> None:
        self.folder, self.market, self.address, self.vaults = folder, market, address, vaults
        self._height = -1

    @property
    def chain(self) -> LocalChain:
        """The node."""
        return self.market.chain

    def keep(self) -> None:
        """Write the chain's state into the folder, unless it is there already. Raises ChainError when the node is gone."""
        height = self.chain.height
        if height != self._height:
            dump = str(self.chain.rpc("anvil_dumpState"))
            write_whole(self.folder / STATE, json.dumps(shortened(dump, BLOCKS_KEPT)))
            self._height = height


def shortened(dump: str, blocks: int) -> dict[str, Any]:
    """A dump (hex of gzip'd JSON, as anvil gives it) with its newest blocks and their transactions only."""
    state: dict[str, Any] = json.loads(gzip.decompress(bytes.fromhex(dump.removeprefix("0x"))))
    newest = max(_number(block["header"]["number"]) for block in state["blocks"])
    state["blocks"] = [one for one in state["blocks"] if _number(one["header"]["number"]) > newest - blocks]
    state["transactions"] = [one for one in state["transactions"] if _number(one["block_number"]) > newest - blocks]
    return state


def _number(number: str | int) -> int:
    return int(number, 16) if isinstance(number, str) else int(number)


@contextmanager
def kept_chain(folder: Path, beginning: Beginning | None, *, anvil: Path | None = None) -> Iterator[KeptChain]:
    """The folder's chain, begun with `beginning` where there is none yet; kept when the block ends.

    Raises ConfigError when the folder holds no chain and none is to be begun, when it was begun otherwise, and while another
    process runs it; ToolError when npm or anvil are missing, or the port is taken.
    """
    program = anvil or anvil_path()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder):
        notes = _notes(folder)
        if notes is None:
            if beginning is None:
                raise ConfigError(
                    f"{folder} holds no chain yet: give --address, the treasury's (`arena keys create --mode local` makes one)"
                )
            running = _begun(folder, beginning, program)
        else:
            running = _again(folder, notes, beginning, program)
        with running as found:
            try:
                yield found
            finally:
                if found.chain.node.alive:
                    found.keep()


@contextmanager
def _begun(folder: Path, beginning: Beginning, program: Path) -> Iterator[KeptChain]:
    dump = dumped_market(program, MarketOptions())
    with Anvil(program, state=dump.state, time=dump.time, port=beginning.port) as node:
        market = LocalMarket(LocalChain(node), dump.description)
        owner, usdc = market.owner.address, market.token("USDC")
        vaults = {name: deploy_vault(market.chain, owner, usdc) for name in VAULTS}
        market.fund("USDC", beginning.address, beginning.funds_raw)
        market.chain.set_balance(beginning.address, COINS_RAW)
        market.chain.mine()
        found = KeptChain(folder, market, beginning.address, vaults)
        found.keep()
        notes = {
            "port": node.port,
            "address": beginning.address,
            "funds_raw": beginning.funds_raw,
            "vaults": vaults,
            "market": market.description.as_json(),
        }
        # Written last: where it is, the state is whole.
        write_whole(folder / NOTES, json.dumps(notes, indent=1, sort_keys=True) + "\n")
        yield found


@contextmanager
def _again(folder: Path, notes: dict[str, Any], beginning: Beginning | None, program: Path) -> Iterator[KeptChain]:
    if beginning is not None and beginning.address.lower() != notes["address"].lower():
        raise ConfigError(
            f"{folder} holds a chain whose treasury is {notes['address']}, not {beginning.address}: give another --folder"
        )
    with Anvil(program, state=folder / STATE, time=_time(folder), port=notes["port"]) as node:
        market = LocalMarket(LocalChain(node), Description.from_json(notes["market"]))
        yield KeptChain(folder, market, notes["address"], notes["vaults"])


def _time(folder: Path) -> int:
    """Of the latest block of a kept state."""
    blocks = json.loads((folder / STATE).read_text())["blocks"]
    return max((_number(one["header"]["timestamp"]) for one in blocks), default=GENESIS_TIME)


def _notes(folder: Path) -> dict[str, Any] | None:
    path = folder / NOTES
    if not path.exists():
        return None
    try:
        notes: dict[str, Any] = json.loads(path.read_text())
        missing = {"port", "address", "funds_raw", "vaults", "market"} - set(notes)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if missing:
        raise ConfigError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}")
    return notes


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{folder}: another process runs this chain; one at a time can") from error
        yield
    finally:
        os.close(handle)
