"""`arena status`, `agents`, `events`, `audit` and `replay`: looking without touching."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import click

from treasury_arena.arena.state import ALIVE, DEAD, RETIRED, ArenaState
from treasury_arena.cli.common import emit, find_stop_file, find_store, json_option, run_options
from treasury_arena.cli.lines import event_line, row_clock, standing_line
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, nearest
from treasury_arena.store import audit as audit_store
from treasury_arena.store import replay as replay_store
from treasury_arena.store import stop as emergency

STAGES = (*ALIVE, DEAD, RETIRED)


@click.command("status")
@run_options
@json_option
def status(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Say where a run stands: cycle, population, capital, stop level, digest.

    Cycles are counted from 1, as the progress display counts them: `cycle` of `cycles` are done.

    \b
    Example:
      arena status runs/second
    """
    with find_store(run, out, db) as store:
        state, _ = ArenaState.of(store.read())
        seq, digest = store.last()
        place = store.url
        sentinel = find_stop_file(run, out, db)
        level, stop = emergency.level(store, sentinel), emergency.standing(store, sentinel)
    opened = state.opened
    capital = state.capital_raw
    document = {
        "store": place,
        "name": opened.name if opened else None,
        "profile": opened.profile if opened else None,
        "seed": opened.seed if opened else None,
        "cycle": state.cycle + 1 if opened else None,
        "cycles": _cycles(state),
        "completed": state.completed,
        "population": {stage: len(state.living(stage)) for stage in ("simulation", "proving", "arena")},
        "counts": dict(sorted(state.counts.items())),
        "trials": state.trials,
        "capital": state.base.to_text(capital) if opened and capital is not None else None,
        "emergency_stop": level,
        "stop": None if stop is None else attrs.asdict(stop),
        "events": seq,
        "digest": digest,
    }
    if as_json:
        emit(document)
    else:
        cycles, _ = document.pop("cycles"), document.pop("stop")
        document["emergency_stop"] = level if stop is None else f"{level} {stop}"
        document["cycle"] = f"{document['cycle']} of {cycles}" if cycles else document["cycle"]
        for key, value in document.items():
            click.echo(f"{key:15} {standing_line(value)}")
    return 0


def _cycles(state: ArenaState) -> int | None:
    """How many cycles the whole run has, the one at its last moment included; None where its configuration does not say."""
    days = state.opened.config.get("population", {}).get("cycle_days") if state.opened else None
    if not days or state.opened is None:
        return None
    start, end = (datetime.fromisoformat(text) for text in (state.opened.start, state.opened.end))
    return math.ceil((end - start) / timedelta(days=days)) + 1


@click.command("agents")
@run_options
@click.option("--stage", help=f"Only agents in this stage ({', '.join(STAGES)}).")
@json_option
def agents(run: Path | None, out: Path | None, db: str | None, stage: str | None, as_json: bool) -> int:
    """List the agents of a run with their newest record.

    \b
    Example:
      arena agents runs/second --stage arena
    """
    if stage is not None and stage not in STAGES:
        raise ConfigError(f"there is no stage {stage!r}; {nearest(stage, STAGES)}")
    with find_store(run, out, db) as store:
        state, _ = ArenaState.of(store.read())
    chosen = [agent for _, agent in sorted(state.agents.items()) if stage is None or agent.stage == stage]
    rows = [
        {
            "id": agent.agent_id,
            "strategy": agent.strategy,
            "stage": agent.stage,
            "label": agent.label,
            "born": agent.born_at,
            "ended": agent.ended_at,
            "reason": agent.reason,
            "parents": list(agent.parents),
            "genes": agent.genes,
            "metrics": agent.metrics,
        }
        for agent in chosen
    ]
    if as_json:
        emit(rows)
        return 0
    for agent in chosen:
        metrics = agent.metrics
        click.echo(
            f"{agent.agent_id:18} {agent.stage:11} {agent.label:7} born {agent.born_at[:10]}  "
            f"return {metrics.get('total_return', 0.0):+8.2%}  fitness {metrics.get('fitness', 0.0):7.3f}  {agent.reason}"
        )
    return 0


@click.command("events")
@run_options
@click.option("--tail", type=click.IntRange(min=1, max=10**9), help="Only the last N.")
@click.option("--type", "event_type", help="Only this event type.")
@click.option("--agent", help="Only events of this agent.")
@json_option
def events(
    run: Path | None,
    out: Path | None,
    db: str | None,
    tail: int | None,
    event_type: str | None,
    agent: str | None,
    as_json: bool,
) -> int:
    """Print the event log, a line for each event: number, time, type, agent, reason, and the few fields that matter.

    The time is that of the cycle whose commit wrote the event. Where the market's moment that it tells of is another,
    as of an order between two cycles, the line ends with it ("at ..."); --json has it as `row_time`.

    --json has events whole. Cycles are counted from 1 here and from 0 there.

    \b
    Example:
      arena events runs/second --tail 5 --type AgentGraduated
    """
    with find_store(run, out, db) as store:
        found = list(store.read(event_type=event_type, agent_id=agent, tail=tail))
        if agent is not None and not found:
            born = {event.agent_id or "" for event in store.read(event_type="AgentSpawned")}
            if agent not in born:
                raise ConfigError(f"there is no agent {agent!r} in this run; {nearest(agent, born)}")
        opened = next((event.payload for event in store.read(event_type="ArenaOpened", tail=1)), None)
        first = next((event.payload.row for event in store.read(event_type="EvolutionCycleStarted")), None)
    clock = row_clock(opened, first)
    if as_json:
        emit(
            [
                {
                    "seq": event.seq,
                    "event_id": event.event_id,
                    "type": event.event_type,
                    "version": event.version,
                    "agent_id": event.agent_id,
                    "timestamp": event.timestamp,
                    "row_time": clock.of(event.payload) if clock is not None else None,
                    "data": json.loads(event.data),
                    "caused_by": event.caused_by,
                    "hash": event.hash,
                }
                for event in found
            ]
        )
        return 0
    base = None if opened is None else Asset(opened.base_asset, opened.assets[opened.base_asset], stable=True)
    for event in found:
        click.echo(event_line(event, base, clock))
    return 0


@click.command("audit")
@run_options
@json_option
def audit(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Prove from SQL alone that the books are whole: sequence, hash chain, sums, balances, projections.

    Of a SQLite file also that its pages, indexes and definitions are whole. Exit code 1 names the first bad event.

    \b
    Example:
      arena audit runs/second
    """
    with find_store(run, out, db) as store:
        report = audit_store(store)
    findings = [{"seq": f.seq, "check": f.check, "message": f.message} for f in report.findings]
    if as_json:
        emit(
            {
                "ok": report.ok,
                "checks": report.checks,
                "skipped": report.skipped,
                "findings": findings,
                "first_bad_seq": report.first_bad_seq,
                "last_seq": report.last_seq,
                "digest": report.digest,
            }
        )
    else:
        for name, count in report.checks.items():
            told = "      not checked: what it rests on is wrong" if name in report.skipped else f"{count:9,} checked"
            click.echo(f"{name:22} {told}")
        for finding in report.findings:
            click.echo(str(finding))
        first = "none" if report.first_bad_seq is None else report.first_bad_seq
        click.echo("the books are whole" if report.ok else f"first bad seq: {first}")
    return 0 if report.ok else 1


@click.command("replay")
@run_options
@json_option
def replay(run: Path | None, out: Path | None, db: str | None, as_json: bool) -> int:
    """Rebuild every projection from the events in memory and compare it with the stored one, value by value.

    \b
    Example:
      arena replay runs/second
    """
    with find_store(run, out, db) as store:
        report = replay_store(store)
    if as_json:
        emit(
            {
                "ok": report.ok,
                "events": report.events,
                "digest": report.digest,
                "differences": [str(difference) for difference in report.differences],
            }
        )
    else:
        for difference in report.differences:
            click.echo(str(difference))
        click.echo(f"{report.events} events replayed, {len(report.differences)} differences, digest {report.digest}")
    return 0 if report.ok else 1
