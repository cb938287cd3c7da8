"""What persons decide about orders on a chain: `arena quarantine`, `correct`, `flatten` and `arm`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import attrs
import click

from treasury_arena.cli.common import emit, json_option, run_options, say
from treasury_arena.cli.live import chain_trading, told_order
from treasury_arena.cli.stop import operator_name, operator_option, reason_option
from treasury_arena.clock import WallClock, iso
from treasury_arena.errors import ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.codec import canonical_json, encode
from treasury_arena.events.event import Draft
from treasury_arena.ledger import accounts
from treasury_arena.store import prove
from treasury_arena.store.lease import Lease
from treasury_arena.trading.live.correcting import Correction, Corrector
from treasury_arena.trading.live.desk import POOL

OUTCOMES = ("SETTLED", "FAILED", "CANCELLED")


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
    with chain_trading(run, out, db, readonly=True) as trading:
        records = trading.engine.records
        waiting = [told_order(records, one) for one in records.open_intents() if one.state == "QUARANTINED"]
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
    with chain_trading(run, out, db) as trading:
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


@click.command("correct")
@run_options
@click.option("--dry-run", is_flag=True, help="Only print the events that would be appended.")
@reason_option
@operator_option
@json_option
def correct(
    run: Path | None, out: Path | None, db: str | None, dry_run: bool, reason: str, operator: str | None, as_json: bool
) -> int:
    """Bring the books to what the chain has, by new events that carry your reason. Nothing that was written is changed.

    The daemon must be stopped, and no order under way. Exit code 1 when differences are left that no event can settle.

    \b
    Example:
      arena correct runs/mine-daemon --dry-run --reason "topped up the gas by hand"
    """
    who = operator_name(operator)
    with chain_trading(run, out, db, readonly=dry_run) as trading:
        prove(trading.store)
        corrector = Corrector(trading.engine.context, trading.engine.reconciler.believable)
        if dry_run:
            found = corrector.correction(accounts.pool(POOL), reason, who)
        else:
            lease = Lease(trading.store, WallClock())
            lease.acquire()
            try:
                trading.engine.reconcile()  # what interest explains is booked as interest
                found = corrector.correction(accounts.pool(POOL), reason, who)
                if found.drafts:
                    lease.guarded().append(list(found.drafts))
            finally:
                lease.release()
    _tell_correction(found, dry_run, as_json)
    return 1 if found.left else 0


def _tell_correction(found: Correction, dry_run: bool, as_json: bool) -> None:
    events = [_told_draft(draft) for draft in found.drafts]
    if as_json:
        emit({"dry_run": dry_run, "block": found.block.number, "events": events, "left": list(found.left)})
        return
    for event in events:
        click.echo(f"{event['type']} {event['agent'] or ''} {canonical_json(event['fields'])}")
        for line in event["lines"]:
            click.echo(f"    {line['account']}  {line['amount_raw']} base units of {line['asset']}")
    for text in found.left:
        click.echo(f"left as it is: {text}")
    done = "would be appended" if dry_run else "appended"
    click.echo(f"{len(events)} events {done}, {len(found.left)} differences left, at block {found.block.number}")


def _told_draft(draft: Draft) -> dict[str, Any]:
    name, _, fields = encode(draft.payload)
    lines = [attrs.asdict(line) for transfer in draft.transfers for line in transfer.lines]
    return {"type": name, "agent": draft.agent_id, "fields": fields, "lines": lines}


@click.command("flatten")
@run_options
@reason_option
@operator_option
@json_option
def flatten(
    run: Path | None, out: Path | None, db: str | None, reason: str, operator: str | None, as_json: bool
) -> int:
    """Bring every live agent home: sell all positions, return the cash to the pool, and take no new risk.

    The daemon carries it out at its next look at the market, also while a fuse is open and after the market's end. What an order
    did not sell is asked for again with the next row of the market, or an hour later. `arena quarantine resolve AGENT` lets an
    agent trade again. Agents that are funded later trade as ever: stop the arena first (`arena stop --soft`) for nobody to be
    funded.

    \b
    Example:
      arena flatten runs/mine-daemon --reason "leaving for the weekend"
    """
    who = operator_name(operator)
    with chain_trading(run, out, db) as trading:
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
    with chain_trading(run, out, db) as trading:
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
