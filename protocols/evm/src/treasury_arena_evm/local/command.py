"""`arena chain local`: a chain of one's own to trade on, and the files that a daemon and its signer start with."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treasury_arena.config.keys import is_reference
from treasury_arena.scheduling.bell import Bell
from treasury_arena.scheduling.signals import hearing
from treasury_arena_evm.errors import ToolError

if TYPE_CHECKING:
    from treasury_arena_evm.local.kept import KeptChain

USDC_DECIMALS = 6
KEEP_SECONDS = 2.0


@click.group()
def chain() -> None:
    """Chains on this machine, to rehearse on.

    \b
    Example:
      arena chain local --address 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """


@chain.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("chain"),
    show_default=True,
    help="Where the chain is kept, with the files for daemon and signer.",
)
@click.option("--address", help="The treasury's address, given USDC and ETH when the chain is begun.")
@click.option("--funds", default="373261", show_default=True, metavar="AMOUNT", help="USDC that it is given.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8_545,
    show_default=True,
    help="Where the node listens, on this machine only; 0: a free one. A chain that was begun keeps its own.",
)
@click.option(
    "--keystore",
    type=click.Path(path_type=Path),
    default=Path("keys"),
    show_default=True,
    help="Folder of the treasury's key, for signer.toml.",
)
@click.option(
    "--passphrase", metavar="REFERENCE", help="file:PATH or env:NAME of its passphrase, for signer.toml; else it asks."
)
@click.option(
    "--stop-file",
    type=click.Path(path_type=Path),
    default=Path("runs/local-daemon/arena.db.stop"),
    show_default=True,
    help="What `arena stop` writes: beside the arena's SQLite file, else arena.stop in the daemon's folder. For signer.toml.",
)
@click.option(
    "--live-store", metavar="URL", help="Database of live orders, for arena.toml; a SQLite file unless given."
)
@click.option("--seconds", type=click.FloatRange(min=0.0), help="Stop after so many seconds; for trying things out.")
@click.option("--anvil", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another anvil program.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout as soon as the chain answers.")
def local(
    folder: Path,
    address: str | None,
    funds: str,
    port: int,
    keystore: Path,
    passphrase: str | None,
    stop_file: Path,
    live_store: str | None,
    seconds: float | None,
    anvil: Path | None,
    as_json: bool,
) -> int:
    """Run a chain on this machine with tokens, three vaults, Aave and Uniswap, and money for one treasury, until Ctrl-C.

    Its state is kept in the folder, every two seconds and at the end, and goes on when it is started again. When it is begun,
    arena.toml (a whole configuration for `arena daemon`) and signer.toml (for `arena keys serve`) are written there; files that
    are there already are left alone. Needs npm, which brings node and contracts at the first start. All of it is worthless.

    \b
    Example:
      arena chain local --address 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --passphrase file:passphrase
    """
    from treasury_arena_evm.live.contracts import address_of
    from treasury_arena_evm.local.kept import Beginning, kept_chain
    from treasury_arena_evm.local.written import Wishes, write_files

    if passphrase is not None and not is_reference(passphrase):
        raise click.BadParameter(
            "--passphrase: expected a reference, file:PATH or env:NAME, never the passphrase itself"
        )
    amount = _raw(funds)
    beginning = None if address is None else Beginning(address_of("--address", address), amount, port)
    with _ended(seconds) as bell, kept_chain(folder, beginning, anvil=anvil) as kept:
        arena, signer = write_files(kept, Wishes(keystore, passphrase, stop_file, live_store))
        _tell(kept, arena, signer, as_json)
        bell.wait(0.0 if bell.stopped else KEEP_SECONDS)
        while not bell.stopped:
            if not kept.chain.node.alive:
                raise ToolError(f"the node of {folder} has ended by itself; start the chain again")
            kept.keep()
            bell.wait(KEEP_SECONDS)
    if not as_json:
        click.echo(f"the chain has stopped; `arena chain local --folder {folder}` goes on with it")
    return 0


def _raw(text: str) -> int:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise click.BadParameter(f"--funds {text!r} is no number") from error
    if not amount.is_finite() or not 0 < amount <= 10**12:
        raise click.BadParameter(f"--funds {text!r}; expected an amount above 0 and at most a million millions")
    raw = amount.scaleb(USDC_DECIMALS)
    if raw != int(raw):
        raise click.BadParameter(f"--funds {text!r}; USDC has {USDC_DECIMALS} decimals")
    return int(raw)


def _tell(kept: KeptChain, arena: Path, signer: Path, as_json: bool) -> None:
    market = kept.market
    funds = market.balance("USDC", kept.address)
    if as_json:
        document: dict[str, Any] = {
            "url": market.url,
            "chain_id": market.chain.chain_id,
            "block": market.chain.height,
            "pid": market.chain.node.pid,
            "folder": str(kept.folder),
            "address": kept.address,
            "usdc_raw": funds,
            "vaults": dict(kept.vaults),
            "tokens": {symbol: token.address for symbol, token in market.tokens.items()},
            "config": str(arena),
            "signer": str(signer),
        }
        click.echo(json.dumps(document, indent=1, sort_keys=True))
    else:
        click.echo(f"chain {market.chain.chain_id} at {market.url}, block {market.chain.height}, kept in {kept.folder}")
        click.echo(f"treasury {kept.address}: {Decimal(funds).scaleb(-USDC_DECIMALS):,.2f} USDC in its wallet")
        click.echo(f"signer:  arena keys serve {signer}")
        click.echo(f"daemon:  arena daemon {arena}")
        click.echo("Ctrl-C stops it")
    sys.stdout.flush()  # whoever reads it waits for it


@contextlib.contextmanager
def _ended(seconds: float | None) -> Iterator[Bell]:
    """A bell that is stopped by SIGTERM, Ctrl-C and a closed terminal, and after so many seconds.

    No `threading.Event`: a second signal within its `set` waits for ever on a lock that the first one holds.
    """
    bell = Bell()
    timer = None if seconds is None else threading.Timer(seconds, bell.stop)
    with hearing(lambda _: bell.stop()):
        if timer is not None:
            timer.start()
        try:
            yield bell
        finally:
            if timer is not None:
                timer.cancel()
