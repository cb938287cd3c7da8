"""The settings of a daemon: how it wakes, and how it trades on a chain. None of them changes what a run computes."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, min_len, optional

from treasury_arena.config.keys import database, key, section

#: The ways a daemon can trade.
PAPER, LOCAL, LIVE = "paper", "local", "live"
AUTO = "auto"


def _seconds(default: int, help: str) -> Any:
    return key(default, help, ge(1), le(30 * 86_400))


@attrs.frozen(kw_only=True)
class Daemon:
    """How the daemon wakes and watches."""

    mode: Literal["paper", "local", "live"] = key(
        PAPER,
        'Where orders go: "paper" keeps them in the books, at exact prices of the market as it comes in; "local" also sends '
        'them to a test chain; "live" to a real one, once it is armed.',
    )
    speed: float = key(
        1.0,
        "Seconds of the arena that pass in one second of the wall, from its first start on; above 1 for a rehearsal, never live.",
        ge(1.0),
        le(86_400.0),
    )
    scheduler: str = key("apscheduler", "Name of the scheduler.", min_len(1))
    fuses: tuple[str, ...] = key(
        (), "Names of the fuses that must be closed before any new risk is taken; in live mode at least one."
    )
    mark_seconds: int = _seconds(
        3_600, "Between two looks at the market and the treasury's worth, in the arena's time."
    )
    heartbeat_seconds: int = _seconds(60, "Between two signs of life and checks of the fuses, in wall time.")
    reconcile_seconds: int = _seconds(60, "Between two comparisons of journal, ledger and chain, in wall time.")
    order_seconds: int = _seconds(2, "Between two looks at open orders, in wall time.")
    lease_seconds: int = _seconds(
        30, "How long the one daemon that may write holds the store after its last sign of life."
    )
    cycle_grace_seconds: int = _seconds(86_400, "How late a cycle may still begin, in the arena's time.")


@attrs.frozen(kw_only=True)
class LiveOrders:
    """Limits of live orders in the base asset; absent ones do not limit."""

    order: Decimal | None = key(None, "Largest single order.", optional(gt(Decimal(0))))
    hourly: Decimal | None = key(None, "All orders of an hour.", optional(gt(Decimal(0))))
    daily: Decimal | None = key(None, "All orders of a day.", optional(gt(Decimal(0))))
    agent_daily: Decimal | None = key(None, "All orders of one agent in a day.", optional(gt(Decimal(0))))
    arena: Decimal | None = key(None, "All capital at work at once.", optional(gt(Decimal(0))))


@attrs.frozen(kw_only=True)
class Live:
    """How agents trade on a chain."""

    chain: str = key("evm", "Name of the chain client; its keys are in the table `chain.<name>`.", min_len(1))
    signer: str = key("process", "Name of the signer; its keys are in the table `signer.<name>`.", min_len(1))
    address: str = key("", "The treasury's address.")
    store: str = key(
        "",
        "Database of live orders without a password, or a reference to it; empty for a SQLite file of its own in the folder.",
        database,
    )
    scale: Decimal = key(Decimal(1), "Live capital for one unit of the arena's own.", gt(Decimal(0)), le(Decimal(1)))
    band: float = key(
        0.01, "Smallest change of a position worth an order, as a share of the agent's equity.", gt(0.0), le(1.0)
    )
    fidelity_bps: float = key(
        100.0,
        "Largest difference between an agent's live result and the simulation's of the same days; beyond it the agent stops.",
        gt(0.0),
    )
    limits: LiveOrders = section(LiveOrders, "Limits of live orders.")
    markets: dict[str, dict[str, Any]] = attrs.field(
        factory=dict,
        metadata={"help": "Contracts of each market on the chain, by market and role; see the protocol's page."},
    )
