"""What the terminal table and the page both say: rows, sentences and the order of agents."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.formats import count, decimal, percent, plural, points, shorten, tiny, usd

STAGES = ("arena", "proving", "simulation", "retired", "dead")
#: Days below which a yearly rate or a ratio of daily returns says nothing.
DAYS_MIN = 30
#: Signs of a failure's reason that a sentence quotes.
REASON_SHOWN = 120
#: Names that a list of agents gives before it counts.
NAMES_SHOWN = 6
SPOKEN = {"lend_everything": "lending it all", "hold_eth": "holding ETH", "sixty_forty": "60/40"}


@attrs.frozen
class Row:
    """One line of the comparison. Money in USD; shares are fractions; the drawdown is negative; None is unknown."""

    name: str
    label: str
    kind: str  # treasury, managed or benchmark
    final: Decimal | None
    total_return: Decimal | None
    annual_return: Decimal | None
    sharpe: Decimal | None
    excess_sharpe: Decimal | None
    sortino: Decimal | None
    max_drawdown: Decimal | None
    costs: Decimal | None


def comparison(result: RunResult) -> list[Row]:
    """Whole treasury, managed capital, then the benchmarks and control rows in the result's own order."""
    lends, short = "reserve_lent" in result.capital, short_days(result) is not None
    label = "Managed capital (reserve left out)" if lends else "Managed capital (no reserve)"
    treasury = {"costs": result.capital.get("costs"), **result.treasury}
    rows = [
        _row("treasury", "Whole treasury", "treasury", result.capital["final"], treasury, short),
        _row("managed", label, "managed", result.managed_final, dict(result.managed), short),
    ]
    rows.extend(
        _row(name, str(row.get("label") or name), "benchmark", row.get("final"), row, short)
        for name, row in result.benchmarks.items()
    )
    return rows


def short_days(result: RunResult) -> int | None:
    """The days of a run too short for yearly rates and ratios; None for a longer one, and where no day was recorded."""
    days = len(result.series.get("dates", ())) - 1
    return days if 0 <= days < DAYS_MIN else None


def short_sentence(result: RunResult) -> str:
    """Why yearly rates and ratios are missing, where they are."""
    days = short_days(result)
    if days is None:
        return ""
    return (
        f"The record has {plural(days, 'day')}: yearly rates and ratios such as Sharpe's say nothing below {DAYS_MIN} days "
        "and are left out."
    )


def headline(result: RunResult) -> str:
    """The answer in one sentence."""
    against = [
        f"{words} ({usd(result.benchmarks[name].get('final'), cents=False)})"
        for name, words in SPOKEN.items()
        if name in result.benchmarks
    ]
    listed = against[0] if len(against) == 1 else f"{', '.join(against[:-1])}, and {against[-1]}" if against else ""
    return (
        f"Had this arena managed your {usd(result.capital['initial'], cents=False)} dollars "
        f"from {result.start} to {result.end}, you would have {usd(result.capital['final'], cents=False)}"
        + (f", against {listed}." if listed else ".")
    )


def idle_sentence(result: RunResult) -> str:
    """What it cost that the reserve lay still, or that it did not."""
    lent = decimal(result.capital.get("reserve_lent"), "capital.reserve_lent")
    if lent is not None:
        whole = usd(result.capital.get("reserve"), cents=False)
        return f"The reserve may be lent: it stands at {whole} USD, {usd(lent, cents=False)} of them lent at the end."
    cost = decimal(result.capital.get("idle_cost"), "capital.idle_cost")
    if cost is None:
        return "What an idle reserve costs was not measured in this run."
    reserve = usd(result.capital.get("reserve"), cents=False)
    if round(cost, 2) == 0:
        return f"The reserve of {reserve} USD cost nothing by lying still."
    if cost < 0:
        return f"Keeping the reserve of {reserve} USD idle saved {usd(-cost)} USD against lending it."
    initial = decimal(result.capital["initial"])
    share = f", {percent(cost / initial)} of the whole treasury" if initial else ""
    return f"Keeping the reserve of {reserve} USD idle cost {usd(cost)} USD against lending it{share}."


def stop_sentences(result: RunResult) -> list[str]:
    """Each emergency stop in words: from when to when, by whom and why, and what it refused."""
    said = []
    for stop in result.stops:
        what = "Stopped" if stop["level"] == "HARD" else "Stopped from taking new risk"
        by = f"by {stop['operator']} ({stop['reason']})" if stop["operator"] else "by the stop file alone"
        until = f"to {stop['end']}" if stop["end"] else "to the end of the run"
        released = f", released by {stop['released_by']} ({stop['release_reason']})" if stop["released_by"] else ""
        refused = plural(stop["refused"], "order")
        said.append(f"{what} from {stop['start']} {until} {by}{released}; {refused} refused.")
    return said


def life_sentence(result: RunResult) -> str:
    """Births, deaths (those by failure with their most frequent reason), retirements and graduations in words."""
    counts = result.counts
    failed = sum(entry["deaths"] for entry in result.failures)
    by_failure = f" ({count(failed)} by failure, most often: {_clause(result.failures[0]['reason'])})" if failed else ""
    return (
        f"{plural(counts.get('births', 0), 'birth')}, {plural(counts.get('deaths', 0), 'death')}{by_failure}, "
        f"{plural(counts.get('retirements', 0), 'retirement')}; "
        f"{plural(counts.get('graduations_proving', 0), 'graduation')} to proving, "
        f"{count(counts.get('graduations_arena', 0))} to the arena."
    )


def barren_sentence(result: RunResult) -> str:
    """Which strategies bred no agents because none of their genomes could be simulated; empty when there is none."""
    if not result.barren:
        return ""
    names = ", ".join(result.barren)
    return f"No agents were bred of {names}: not one genome could be simulated; `arena backtest` says why."


def _clause(text: str) -> str:
    return shorten(str(text).strip().rstrip("."), REASON_SHOWN)


def trials_sentence(result: RunResult) -> str:
    return f"{plural(result.trials, 'genome')} tried over the whole run; each one counts against those promoted."


def promoted(result: RunResult) -> list[dict[str, Any]]:
    """Promoted agents: highest stage first, then by fitness, then by id."""
    return [agent for agent in ranked(result.agents) if agent.get("promoted")]


def mean_returns(result: RunResult) -> tuple[Decimal, Decimal, int] | None:
    """Mean return of promoted agents until their promotion and since, and of how many; None when no record tells both."""
    lives = [
        (decimal(agent.get("return_until_promotion")), decimal(agent.get("return_since_promotion")))
        for agent in promoted(result)
    ]
    known = [(until, since) for until, since in lives if until is not None and since is not None]
    if not known:
        return None
    sums = (sum((part[which] for part in known), Decimal(0)) for which in (0, 1))
    return next(sums) / len(known), next(sums) / len(known), len(known)


def promotion_sentence(result: RunResult) -> str:
    """What promoted agents were chosen by, and what came of it; nothing without any."""
    means = mean_returns(result)
    if means is None:
        return ""
    before, since, agents = means
    left_out = len(promoted(result)) - agents
    without = f" ({left_out} without a whole record left out)" if left_out else ""
    return (
        f"Mean return of {plural(agents, 'promoted agent')}{without}: {percent(before)} until promotion, which is what the "
        f"promotion was decided by, and {percent(since)} since."
    )


def earned_sentence(result: RunResult) -> str:
    """What the capital of promoted agents earned; nothing where none was given, or the result does not say."""
    earned = [found for agent in promoted(result) if (found := decimal(agent.get("earned"))) is not None]
    if not earned:
        return ""
    total = sum(earned, Decimal(0))
    return (
        f"By the ledger, their own capital {'lost' if total < 0 else 'earned'} {usd(abs(total))} USD in all after every cost; "
        "the returns above are of records kept with an arena agent's capital."
    )


def gap(agent: dict[str, Any]) -> str:
    """The gap in basis points, or that it was not measured; a dash where there is none to tell."""
    return "not measured" if agent.get("gap_unmeasured") else tiny(agent.get("gap_bps"))


def gap_sentences(result: RunResult) -> list[str]:
    """Why gaps of promoted agents were not measured: one sentence a reason, in the order of the agents."""
    told: dict[str, list[str]] = {}
    for agent in promoted(result):
        if agent.get("gap_unmeasured"):
            told.setdefault(_clause(agent["gap_unmeasured"]), []).append(str(agent["id"]))
    return [f"Gap of {names(ids)} not measured: {reason}." for reason, ids in told.items()]


def names(listed: Sequence[Any]) -> str:
    """The first few of a list, and how many more there are."""
    text = ", ".join(str(name) for name in listed[:NAMES_SHOWN])
    more = len(listed) - NAMES_SHOWN
    return f"{text} and {more} more" if more > 0 else text


def ranked(agents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Promoted agents first, then by stage, by fitness (unknown last) and by id."""

    def key(agent: dict[str, Any]) -> tuple[bool, int, bool, float, str]:
        stage = agent.get("stage")
        fitness = agent.get("fitness")
        place = STAGES.index(stage) if stage in STAGES else len(STAGES)
        return (not agent.get("promoted"), place, fitness is None, -(fitness or 0.0), str(agent["id"]))

    return sorted(agents, key=key)


def lead(result: RunResult, against: str = "lend_everything") -> Decimal | None:
    """USD by which the treasury ended above (below: negative) a benchmark."""
    other = decimal(result.benchmarks.get(against, {}).get("final"))
    mine = decimal(result.capital["final"])
    return None if other is None or mine is None else mine - other


def interval_sentence(result: RunResult) -> str:
    """The verdict's figures, where its words leave them out: annual difference to the control row with its interval."""
    verdict = result.verdict
    said = " a year" in str(verdict.get("text"))
    if said or verdict.get("difference") is None or short_days(result) is not None:
        return ""
    words = f"Managed capital against the control row: {points(verdict['difference'])} points a year"
    if verdict.get("low") is not None and verdict.get("high") is not None:
        words += f" (interval {points(verdict['low'])} to {points(verdict['high'])})"
        if verdict.get("significant"):
            words += ", larger than its uncertainty"
        elif verdict["low"] <= 0.0 <= verdict["high"]:
            words += ", within its uncertainty"
        else:
            words += ", too small or too short a record to count"
    return words + "."


def _row(name: str, label: str, kind: str, final: Any, metrics: dict[str, Any], short: bool) -> Row:
    def get(key: str) -> Decimal | None:
        return decimal(metrics.get(key), f"{name}.{key}")

    def scaled(key: str) -> Decimal | None:
        found = get(key)
        return None if short else found

    return Row(
        name=name,
        label=label,
        kind=kind,
        final=decimal(final, f"{name}.final"),
        total_return=get("return"),
        annual_return=scaled("annual_return"),
        sharpe=scaled("sharpe"),
        excess_sharpe=scaled("excess_sharpe"),
        sortino=scaled("sortino"),
        max_drawdown=get("max_drawdown"),
        costs=get("costs"),
    )
