"""A live store's past, in any length: what a daemon with orders on a chain writes, through the store's own appends.

A round is what happens around one order of two steps: its thirteen events, a check of the fuse, a reconciliation, marks of two
agents, interest, and every so often capital that follows. All amounts balance, every nonce is used once, and nothing is left
open, so that a live engine goes on where the past ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from treasury_arena.clock import from_epoch, iso
from treasury_arena.contracts.chain import Effect, StepKind
from treasury_arena.events import catalog as c
from treasury_arena.events import live as o
from treasury_arena.events.daemon import LeaseReleased, LeaseTaken
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.store import EventStore
from treasury_arena.testing.chain import TREASURY
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.desk import POOL

BEGIN, ROUND_SECONDS = 1_500_000_000, 120
CHAIN, CASH, GAS = 31337, 10**15, 10**24
FEE, GAS_MAX, SIZE = 10**15, 10**16, 10**6
AGENTS = 50
BATCH = 1_000
USDC, ETH = "USDC", "ETH"


def _hash(kind: str, number: int) -> str:
    return f"0x{kind.encode().hex():0<8}{number:056x}"


def _step(name: str, number: int, step: int, kind: StepKind, nonce: int, block: int, agent: str) -> Iterator[tuple]:  # type: ignore[type-arg]
    slot = (CHAIN, TREASURY, nonce)
    tx = _hash("tx", nonce)
    data = "0x617ba037" + f"{number:064x}" + "aa" * 32 + f"{SIZE:064x}"
    call = {
        "kind": str(kind),
        "asset": USDC,
        "to": "0x" + "bb" * 20,
        "data": data,
        "value": "0",
        "gas_max": 90_000,
        "expects": [["amount_raw", str(SIZE), True], ["asset", USDC, False]],
        "spends": [[USDC, str(SIZE)]],
    }
    signed = "0x02f8b2827a69" + f"{nonce:016x}" + data[2:] + "cc" * 65
    effects = [] if kind is StepKind.APPROVE else [Effect(3, USDC, -SIZE if kind is StepKind.SUPPLY else SIZE)]
    told = [{"log_index": e.log_index, "asset": e.asset, "amount_raw": e.amount_raw} for e in effects]
    reserved, position = accounts.agent_reserved(agent), accounts.agent_position(agent, "only")
    moves = [Transfer("fee", postings.moved(reserved, accounts.GAS, ETH, FEE))]
    if effects:
        way = (reserved, position) if kind is StepKind.SUPPLY else (position, reserved)
        moves.append(Transfer(str(kind), postings.moved(*way, USDC, SIZE)))
    yield o.NonceAllocated(name, step, str(kind), *slot), ()
    yield (
        o.AttemptSigned(
            name, step, *slot, 0, "original", tx, signed, 90_000, 3 * 10**9, 10**9, call, _hash("dg", nonce)[2:], block
        ),
        (),
    )
    yield o.SendObserved(name, *slot, tx, "node-a", "ok", "", block), ()
    yield o.IncludedObserved(name, *slot, tx, block, _hash("bk", block), True), ()
    yield (
        o.StepFinal(name, step, str(kind), *slot, tx, block, _hash("bk", block), True, FEE, told),
        tuple(moves),
    )


def _order(number: int, agent: str, at: int) -> Iterator[tuple]:  # type: ignore[type-arg]
    """In and out again by turns, so that the books stay where they are."""
    name = f"{number:064x}"
    into = (number // AGENTS) % 2 == 0
    kinds = (StepKind.APPROVE, StepKind.SUPPLY) if into else (StepKind.WITHDRAW,)
    steps = [
        {"kind": str(kind), "asset": USDC, "amount": str(SIZE), "gas_max": 90_000, "details": {}} for kind in kinds
    ]
    cash = SIZE if into else 0
    yield (
        o.IntentReserved(
            name, "market", "only", "strategy", CHAIN, TREASURY, [0.5], 0 if into else SIZE, SIZE if into else 0, SIZE,
            cash, GAS_MAX, not into, at + 600, steps,
        ),
        postings.reserve(agent, USDC, cash, ETH, GAS_MAX),
    )  # fmt: skip
    first = number // (2 * AGENTS) * 3 * AGENTS + (number % AGENTS * 2 if into else 2 * AGENTS + number % AGENTS)
    for step, kind in enumerate(kinds):
        yield from _step(name, number, step, kind, first + step, 1, agent)
    left, gas = (0 if into else SIZE), GAS_MAX - FEE * len(kinds)
    yield (
        o.IntentEnded(name, "SETTLED", "", "", cash, gas),
        postings.release(agent, USDC, left, ETH, gas),
    )


def _round(number: int) -> Iterator[Draft]:
    at = BEGIN + number * ROUND_SECONDS
    stamp, agent = iso(from_epoch(at)), f"agent-{number % AGENTS:02d}"
    for payload, transfers in _order(number, agent, at):
        yield Draft(payload, stamp, agent, transfers)
    until = iso(from_epoch(at + 180))
    yield Draft(c.FuseChecked("survival", "ARMED", until, False, [], []), stamp)
    yield Draft(o.ReconciliationCompleted(CHAIN, 1, _hash("bk", 1), []), stamp)
    for one in (agent, f"agent-{(number + 1) % AGENTS:02d}"):
        equity, nav = 10**9 + number, 1.0 + number * 1e-7
        yield Draft(o.LiveMarked(number, 0, equity, nav, nav - 3e-8, 0.25), stamp, one)
    interest = Transfer(
        "interest", (Line("world:market", USDC, -3), Line(accounts.agent_position(agent, "only"), USDC, 3))
    )
    yield Draft(o.HoldingsAdjusted("market", "only", USDC, 3, "interest", 1), stamp, agent, (interest,))
    if number % 10 == 0:
        lines = postings.moved(accounts.pool(POOL), accounts.agent_available(agent), USDC, 50)
        yield Draft(o.CapitalFollowed(number, 50), stamp, agent, (Transfer("live capital", lines),))


def _first() -> list[Draft]:
    stamp = iso(from_epoch(BEGIN - 60))
    owner = accounts.world("owner")
    transfers = (
        Transfer("capital", postings.moved(owner, accounts.pool(POOL), USDC, CASH)),
        Transfer("gas", postings.moved(owner, postings.GAS_POOL, ETH, GAS)),
    )
    drafts = [
        Draft(LeaseTaken("writer", "one", "box", 7, 1), stamp),
        Draft(c.FuseArmed("survival", ["drawdown_breach"]), stamp),
        Draft(o.CapitalBooked(TREASURY, 0, _hash("bk", 0), "ann"), stamp, None, transfers),
    ]
    for agent in range(AGENTS):
        name = f"agent-{agent:02d}"
        lines = postings.moved(accounts.pool(POOL), accounts.agent_available(name), USDC, 10**9)
        drafts.append(Draft(o.CapitalFollowed(0, 10**9), stamp, name, (Transfer("live capital", lines),)))
    return drafts


def _last() -> list[Draft]:
    return [Draft(LeaseReleased("writer", "one", 1), iso(from_epoch(BEGIN)))]


def make(store: EventStore, events: int) -> int:
    """Write at least `events` events, whole turns of all agents; the number of nonces they used."""
    pending, number, written = _first(), 0, 0
    while written + len(pending) < events or number % (2 * AGENTS):
        pending += _round(number)
        number += 1
        if len(pending) >= BATCH:
            written += len(store.append(pending))
            pending = []
    store.append(pending + _last())
    return number // (2 * AGENTS) * 3 * AGENTS
