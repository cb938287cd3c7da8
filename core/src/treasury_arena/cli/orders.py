"""`arena orders` and `arena check`: what persons see of orders on a chain."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from treasury_arena.cli.common import emit, find_live, find_store, json_option, run_options
from treasury_arena.cli.live import chain_trading, live_store, told_order
from treasury_arena.store import audit
from treasury_arena.trading.live.records import Records

SHOWN = 50


@click.command("orders")
@run_options
@click.option("--all", "everything", is_flag=True, help=f"Also those that ended; the newest {SHOWN}.")
@json_option
def orders(run: Path | None, out: Path | None, db: str | None, everything: bool, as_json: bool) -> int:
    """Show orders on a chain: what each wants, how far it is, and the transactions of its step under way.

    \b
    Example:
      arena orders runs/mine-daemon --all
    """
    with live_store(run, out, readonly=True) as store:
        records = Records(store)
        found = records.intents(SHOWN) if everything else records.open_intents()
        listed = [told_order(records, intent) for intent in found]
    if as_json:
        emit({"orders": listed})
        return 0
    if not listed:
        click.echo("no order is open" if not everything else "there was no order yet")
    for order in listed:
        click.echo(
            f"{order['id'][:12]}  {order['state']:11} {order['agent']:20} {order['role']} to {order['target_raw']} in "
            f"{order['market']}, step {order['step']} of {order['steps']}{'; ' + order['why'] if order['why'] else ''}"
        )
        for attempt in order["transactions"]:
            click.echo(f"    nonce {attempt['nonce']}  {attempt['state']:10} {attempt['kind']:8} {attempt['hash']}")
    return 0


@click.command("check")
@run_options
@json_option
def check(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Hold a run's logs, tables and ledgers against each other, and with orders on a chain against the chain; changes nothing.

    Exit code 1 when anything differs.

    \b
    Example:
      arena check runs/mine-daemon
    """
    found: list[str] = []
    with find_store(run, out, db) as store:
        found += [str(one) for one in audit(store).findings]
    live = find_live(run, out, db)
    block = None
    if live is not None:
        with chain_trading(run, out, db, readonly=True) as trading:
            found += [f"live {one}" for one in audit(trading.store).findings]
            result = trading.engine.reconcile(write=False)
            block = attrs.asdict(result.block)
            found += result.differences
    if as_json:
        emit({"differences": found, "block": block})
    else:
        for difference in found:
            click.echo(difference)
        where = "" if block is None else f", at block {block['number']}"
        click.echo(f"{len(found)} differences{where}" if found else f"nothing differs{where}")
    return 1 if found else 0
