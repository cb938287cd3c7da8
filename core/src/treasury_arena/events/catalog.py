"""The catalog of event payloads. Names and fields are public; a change of meaning is a new version with an upcaster.

Fields ending in ``_raw`` are integers in base units of the base asset unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class ArenaOpened:
    """The arena exists: its resolved configuration, its data and its first capital."""

    name: str
    seed: int
    profile: str
    config: dict[str, Any]
    config_hash: str
    base_asset: str
    assets: dict[str, int]  # symbol -> decimals
    plugins: dict[str, str]  # distribution -> version
    data_fingerprint: str
    start: str
    end: str


@attrs.frozen
class EvolutionCycleStarted:
    """A cycle begins at market row `row`."""

    cycle: int  # from 0; progress display and sentences count from 1
    row: int


@attrs.frozen
class AgentSpawned:
    """An agent is born; its genome never changes afterwards."""

    strategy: str
    cycle: int
    row: int
    genome: list[float]
    genes: dict[str, float]
    parents: list[str]
    replaces: str | None  # the ended agent of its strategy whose place it takes
    training: dict[str, float]  # score, sharpe, total_return, coin_share on the training window
    origin: str  # search, seed, manual or mutation


@attrs.frozen
class PerformanceRecorded:
    """An agent's record up to this cycle, on days its search had not seen; the fitness was computed from the newest day first."""

    cycle: int
    days: int
    metrics: dict[
        str, float
    ]  # fitness, sharpe, floored_sharpe, psr, psr_zero, total_return, max_drawdown, win_rate, coin_share
    label: str  # "", "lender"


@attrs.frozen
class AgentGraduated:
    """An agent moves up, with everything the decision knew."""

    from_stage: str
    to_stage: str
    reason: str
    metrics: dict[str, float]
    deflated_sharpe: float
    pbo: float | None
    trials: int
    limits: dict[str, float]  # role -> largest share of equity it may hold from now on
    label: str


@attrs.frozen
class AgentKilled:
    """An agent dies by a rule."""

    rule: str
    reason: str
    metrics: dict[str, float]


@attrs.frozen
class AgentRetired:
    """An agent leaves by age or by the limit on its time in proving."""

    rule: str
    reason: str
    metrics: dict[str, float]


@attrs.frozen
class AgentFailed:
    """An agent's own code failed: it raised, looped beyond its limit, or gave an impossible target."""

    kind: str
    reason: str


@attrs.frozen
class CapitalAllocated:
    """A pool gives capital to an agent."""

    pool: str
    amount_raw: int
    reason: str


@attrs.frozen
class CapitalReturned:
    """An agent gives capital back to a pool."""

    pool: str
    amount_raw: int
    reason: str


@attrs.frozen
class IdleCapitalMoved:
    """A pool or the reserve lends out its idle cash (`amount_raw` > 0) or takes it back (< 0)."""

    pool: str
    market: str
    amount_raw: int
    cost_raw: int
    state: list[str]  # exact position state afterwards, integers as decimal text


@attrs.frozen
class OrderReserved:
    """C1: an order passed every validator and its worst case is reserved."""

    intent_id: str
    market: str
    role: str
    row: int
    value_raw: int  # of the position before
    target_raw: int
    reserved_raw: int


@attrs.frozen
class OrderSettled:
    """C6: an order is final; its postings come from the fill."""

    intent_id: str
    market: str
    role: str
    row: int
    status: str  # FINAL
    path: list[str]  # step states passed through
    notional_raw: int
    cost_raw: int
    cash_raw: int
    slippage_bps: float
    state: list[str]  # exact position state afterwards


@attrs.frozen
class OrderFailed:
    """A reserved order that its market did not execute: the reservation is released, only what the attempt cost is gone."""

    intent_id: str
    market: str
    role: str
    row: int
    reason: str
    cost_raw: int


@attrs.frozen
class OrderQuarantined:
    """A reserved order whose outcome is unknown: it stays reserved, and its position takes no other, until that is known."""

    intent_id: str
    market: str
    role: str
    row: int
    reason: str


@attrs.frozen
class OrderRejected:
    """An order that a validator, the emergency stop or the market refused; nothing moved."""

    intent_id: str
    market: str
    role: str
    row: int
    code: str
    reason: str
    notional_raw: int


@attrs.frozen
class AgentMarked:
    """A funded agent at a cycle's end: interest posted, and everything needed to carry on from here."""

    cycle: int
    row: int
    equity_raw: int
    cash_raw: int
    positions: dict[str, list[str]]  # role -> exact state
    memory: dict[str, Any]  # strategy state, pending target, peak, previous equity: exact floats
    daily_raw: list[int]  # equity at each day's close since the last mark
    shares: dict[str, float]  # role -> mean share of equity since the last mark
    orders: int
    costs_raw: int


@attrs.frozen
class PoolMarked:
    """A pool's lent capital at a cycle's end: interest posted."""

    pool: str
    row: int
    cash_raw: int
    lent_raw: int
    state: list[str]
    daily_raw: list[int]


@attrs.frozen
class CapitalConservationChecked:
    """The ledger was summed inside the cycle's transaction: per asset, everything is zero."""

    cycle: int
    totals: dict[str, str]  # asset -> sum over all accounts, "0"
    pools_raw: dict[str, str]  # pool -> cash + lent + allocated, base units as decimal text


@attrs.frozen
class EvolutionCycleComplete:
    """A cycle is done and committed."""

    cycle: int  # from 0, as everywhere in the log
    row: int
    trials: int  # genomes evaluated in this cycle; in the first also those that found the configured agents
    trial_sharpes: dict[str, list[float]]  # strategy -> [count, mean, sum of squared deviations] of per-day Sharpes
    generations: list[dict[str, Any]]  # strategy, generation, best, median, diversity, restarts
    population: dict[str, int]  # stage -> agents
    best: float
    median: float
    capital_raw: int
    agent_steps: int


@attrs.frozen
class RunCompleted:
    """The replay reached its end."""

    cycle: int
    row: int
    capital_raw: int


@attrs.frozen
class EmergencyStopEngaged:
    """No new risk (SOFT) or nothing at all (HARD) until a person releases it."""

    level: str
    reason: str
    operator: str


@attrs.frozen
class EmergencyStopReleased:
    """A person released the emergency stop."""

    reason: str
    operator: str


@attrs.frozen
class FuseArmed:
    """A fuse watches over this arena from now on."""

    fuse: str
    guards: list[str]  # names of everything it judges


@attrs.frozen
class FuseChecked:
    """A fuse has judged its readings: until `valid_until` its state may be relied on, after that nobody watches."""

    fuse: str
    state: str
    valid_until: str
    restarted: bool  # true when nobody watched for a while or the clock went back: every wait begins anew
    triggers: list[dict[str, str]]  # those that hold at this moment
    warnings: list[dict[str, str]]


@attrs.frozen
class FuseWarned:
    """Readings have come near a limit."""

    fuse: str
    warnings: list[dict[str, str]]  # the new ones: guard, reading, why, value, limit, text


@attrs.frozen
class FuseTriggered:
    """Readings are at or beyond a limit, or cannot be relied on; recorded whatever the state is."""

    fuse: str
    triggers: list[dict[str, str]]  # the new ones: guard, reading, why, value, limit, text
    actions: list[str]  # what is to be done about them beside what the trip asks for already


@attrs.frozen
class FuseCleared:
    """Triggers or warnings hold no more."""

    fuse: str
    triggers: list[dict[str, str]]
    warnings: list[dict[str, str]]


@attrs.frozen
class FuseTripped:
    """No new risk from now on. Committed before any of its actions begins."""

    fuse: str
    trip: int  # trips so far, this one included
    reason: str
    actions: list[str]
    trips: list[str]  # moments of the trips that count towards LOCKED, this one included


@attrs.frozen
class FuseLocked:
    """Only a person ends this: trips were too many, or something happened that no machine may pass over."""

    fuse: str
    reason: str


@attrs.frozen
class FuseCooling:
    """The halt is over; still no new risk, until every reading has kept its distance for the time of cooling."""

    fuse: str
    trip: int


@attrs.frozen
class FuseRearmed:
    """All readings kept their distance long enough: new risk is allowed again."""

    fuse: str
    reason: str


@attrs.frozen
class FuseReset:
    """A person armed the fuse. No new risk all the same until it has judged its readings again."""

    fuse: str
    from_state: str
    reason: str
    operator: str
    unfinished: list[str]  # actions of the trip that were not done


@attrs.frozen
class FuseActionBegun:
    """What an action of a trip is to reach, measured once, before it first acts."""

    fuse: str
    trip: int
    action: str
    target_raw: int


@attrs.frozen
class FuseActionTaken:
    """One try of an action of a trip."""

    fuse: str
    trip: int
    action: str
    attempt: int
    done: bool  # whether its postcondition holds
    reason: str  # why not
