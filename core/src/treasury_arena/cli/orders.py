"""`arena orders`, `check`, `quarantine`, `flatten` and `arm`: what persons see of orders on a chain, and what they decide."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import attrs
import click

from treasury_arena.cli.common import emit, find_folder, find_store, json_option, read_config, run_options, say
from treasury_arena.cli.stop import operator_name, operator_option, reason_option
from treasury_arena.clock import WallClock, iso
from treasury_arena.daemon.opening import stop_file
from treasury_arena.daemon.trading import ChainTrading, NoSigner
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import EventStore, audit, open_store
from treasury_arena.trading.live.records import IntentRecord, Records

SHOWN = 50
OUTCOMES = ("SETTLED", "FAILED", "CANCELLED")


def _live_store(run: Path | None, out: Path | None, *, readonly: bool) -> EventStore:
    folder = find_folder(run, out)
    url = folder.live_url()
    if url is None:
        raise ConfigError(f"{folder.path} has no orders on a chain: they are those of a daemon in mode local or live")
    return open_store(url, create=False, readonly=readonly)


@contextlib.contextmanager
def _trading(run: Path | None, out: Path | None, *, readonly: bool = False) -> Iterator[ChainTrading]:
    """The orders of a daemon's folder with its chain, signing nothing."""
    folder = find_folder(run, out)
    registry = load_registry()
    settings = read_config(folder.config, registry, {"seed": folder.notes()["seed"]})
    with find_store(run, out, None) as arena, _live_store(run, out, readonly=readonly) as store:
        signer = NoSigner(settings.live.address)
        stop = stop_file(arena, folder.path)
        yield ChainTrading(settings, registry, store, arena, WallClock(), stop, settings.daemon.fuses, say, signer)


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
    with _live_store(run, out, readonly=True) as store:
        records = Records(store)
        found = records.intents(SHOWN) if everything else records.open_intents()
        listed = [_order(records, intent) for intent in found]
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


def _order(records: Records, intent: IntentRecord) -> dict[str, Any]:
    slot = records.open_slot(intent.intent_id)
    attempts = [] if slot is None else records.attempts(slot.slot)
    return {
        "id": intent.intent_id,
        "state": str(intent.state),
        "agent": intent.agent_id or "",
        "role": intent.role,
        "market": intent.market,
        "target_raw": intent.target_raw,
        "reserved_at": intent.reserved_at,
        "step": min(intent.next_step + 1, len(intent.steps)),
        "steps": len(intent.steps),
        "why": intent.failed or "",
        "transactions": [
            {"nonce": slot.nonce, "state": str(slot.state), "kind": attempt.call["kind"], "hash": attempt.tx_hash}
            for attempt in attempts
            if slot is not None
        ],
    }


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
        found += [f"event {one.seq}: {one.check}: {one.message}" for one in audit(store).findings]
    live = None if db is not None else find_folder(run, out).live_url()
    block = None
    if live is not None:
        with _trading(run, out, readonly=True) as trading:
            found += [f"live event {one.seq}: {one.check}: {one.message}" for one in audit(trading.store).findings]
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


@click.group("quarantine")
def quarantine() -> None:
    """Orders that wait for a person's decision, and agents that were stopped.

    \b
    Example:
      arena quarantine list runs/mine-daemon
    """


@quarantine.command("list")
@run_options
@json_option
def quarantine_list(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Show what waits for a decision.

    \b
    Example:
      arena quarantine list runs/mine-daemon
    """
    with _trading(run, out, readonly=True) as trading:
        records = trading.engine.records
        waiting = [_order(records, one) for one in records.open_intents() if one.state == "QUARANTINED"]
        whys = {e.payload.intent_id: e.payload.reason for e in trading.store.read(event_type="IntentQuarantined")}
        for order in waiting:
            order["why"] = whys.get(order["id"], order["why"])
        halted = {agent: stand.halted for agent, stand in trading.desk.stands().items() if stand.halted}
        sender = records.halted(trading.client.chain_id, trading.signer.address)
    if as_json:
        emit({"orders": waiting, "agents": halted, "sender": sender})
        return 0
    for order in waiting:
        click.echo(f"order {order['id'][:12]} of {order['agent']}: {order['why']}")
    for agent, why in halted.items():
        click.echo(f"agent {agent}: {why}")
    if sender is not None:
        click.echo(f"sender {trading.signer.address}: {sender}")
    if not waiting and not halted and sender is None:
        click.echo("nothing waits for a decision")
    return 0


@quarantine.command("resolve")
@click.argument("what")
@run_options
@click.option("--outcome", type=click.Choice(OUTCOMES), help="What became of an order.")
@reason_option
@operator_option
@json_option
def quarantine_resolve(
    what: str,
    run: Path | None,
    out: Path | None,
    db: str | None,
    outcome: str | None,
    reason: str,
    operator: str | None,
    as_json: bool,
) -> int:
    """Decide: WHAT is an order's id (12 digits do), an agent's id, or `sender`. What was moved is not moved back by this.

    \b
    Example:
      arena quarantine resolve 3f2a9c01d4e5 runs/mine-daemon --outcome FAILED --reason "never mined, nonce used by hand"
    """
    who = operator_name(operator)
    with _trading(run, out) as trading:
        records, address = trading.engine.records, trading.signer.address
        matching = [
            one.intent_id for one in records.open_intents() if one.intent_id.startswith(what) and len(what) >= 12
        ]
        if what == "sender":
            if records.halted(trading.client.chain_id, address) is None:
                raise ValidationError(f"the sender {address} is not halted; there is nothing to resolve")
            payload = o.SenderResumed(trading.client.chain_id, address.lower(), reason, who)
            trading.store.append([Draft(payload, iso(WallClock().now()))])
        elif what in trading.desk.stands():
            trading.desk.resume(what, reason, who)
        elif len(matching) == 1:
            if outcome is None:
                raise click.UsageError(f"an order needs --outcome: {', '.join(OUTCOMES)}")
            trading.engine.resolve(matching[0], outcome, reason, who)
        else:
            raise ValidationError(
                f"{what!r} is no open order (12 digits of its id at least), no agent with live capital, and not 'sender'"
            )
    if as_json:
        emit({"resolved": what, "outcome": outcome, "reason": reason, "operator": who})
    else:
        click.echo(f"{what} resolved{'' if outcome is None else ' as ' + outcome}")
    return 0


@click.command("flatten")
@run_options
@reason_option
@operator_option
@json_option
def flatten(
    run: Path | None, out: Path | None, db: str | None, reason: str, operator: str | None, as_json: bool
) -> int:
    """Bring every live agent home: sell all positions, return the cash to the pool, and take no new risk.

    The daemon carries it out at its next look at the market, also while a fuse is open. `arena quarantine resolve AGENT` lets an
    agent trade again.

    \b
    Example:
      arena flatten runs/mine-daemon --reason "leaving for the weekend"
    """
    who = operator_name(operator)
    with _trading(run, out) as trading:
        agents = trading.desk.flatten(f"flattened by {who}: {reason}")
    if as_json:
        emit({"agents": agents, "reason": reason, "operator": who})
    else:
        click.echo(f"{len(agents)} agents come home" if agents else "no agent has live capital")
    return 0


@click.command("arm")
@run_options
@click.option("--limit", required=True, help="Most capital at work at once, in the base asset.")
@operator_option
@json_option
def arm(run: Path | None, out: Path | None, db: str | None, limit: str, operator: str | None, as_json: bool) -> int:
    """Let a daemon's orders reach a real chain, after a confirmation that is typed: chain, address and limit.

    What the address holds at this moment is booked as the live capital.

    \b
    Example:
      arena arm runs/mine-daemon --limit 5000
    """
    who = operator_name(operator)
    with _trading(run, out) as trading:
        base = next(iter(trading.engine.planners.values())).base
        limit_raw = base.to_raw(_amount(limit))
        identities = trading.client.identities()
        genesis = {identity.genesis.lower() for identity in identities}
        if len(genesis) != 1 or any(one.chain_id != trading.client.chain_id for one in identities):
            raise ValidationError("the nodes do not agree on which chain they serve; nothing was armed")
        address = trading.signer.address
        wanted = f"chain {trading.client.chain_id} address {address} limit {base.to_text(limit_raw)} {base.symbol}"
        say(f"To arm live trading type exactly:\n  {wanted}")
        if click.prompt("confirmation", err=True).strip() != wanted:
            raise ValidationError("that is not the confirmation; nothing was armed")
        booked = None
        if not list(trading.store.read(event_type="CapitalBooked", tail=1)):
            booked = trading.desk.book(who)
        nonce = trading.client.counts(address).latest
        payload = o.LiveArmed(trading.client.chain_id, address.lower(), limit_raw, who, genesis.pop(), nonce)
        trading.store.append([Draft(payload, iso(WallClock().now()))])
    if as_json:
        emit({"armed": wanted, "booked_raw": booked, "operator": who})
    else:
        click.echo(f"armed: {wanted}")
    return 0


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise click.BadParameter(f"--limit {text!r} is no number") from error
    if not amount.is_finite() or amount <= 0:
        raise click.BadParameter(f"--limit {text!r}; expected an amount above 0")
    return amount
