"""The result of a run, in plain data: what `results.json` holds and reporters draw."""

from __future__ import annotations

import html
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
import numpy as np
import pandas as pd

#: Of `RunResult.to_dict` and `results.json`. In schema 1 `series.dates` named the day after the one that had closed.
SCHEMA = 2


class Curves(pd.DataFrame):
    """A DataFrame that may also be called, which gives the same data: `result.curves` was `result.curves()` once."""

    def __call__(self, *_: object) -> pd.DataFrame:
        return pd.DataFrame(self)


def plot_curves(curves: pd.DataFrame, title: str, options: Mapping[str, Any]) -> Any:
    """Draw curves in USD with pandas' plotting; `options` are pandas' and win. A figure of its own keeps all labels inside."""
    axes = pd.DataFrame(curves).plot(**{"title": title, "xlabel": "close of the day, UTC", "ylabel": "USD", **options})
    if "ax" not in options:
        np.ravel(np.asarray(axes, dtype=object))[0].figure.set_layout_engine("constrained")
    return axes


#: Columns of `RunResult.comparison`.
COMPARED = ("final", "return", "annual_return", "sharpe", "sortino", "max_drawdown")


def as_html(line: str, table: pd.DataFrame) -> str:
    """A line and a table under it, for a notebook; large figures as money, others to four places."""

    def shown(value: float) -> str:
        return f"{value:,.2f}" if abs(value) >= 1_000.0 else f"{value:.4f}"

    return f"<p>{html.escape(line)}</p>{table.to_html(float_format=shown, na_rep='')}"


@attrs.frozen(eq=False)
class RunResult:
    """Everything a run says at its end. Money is decimal text of the base asset; shares and returns are fractions.

    Attributes:
        run_id, name, profile, seed, digest, start, end: identity; dates are ``YYYY-MM-DD``, `end` the last whole day.
        capital: ``initial, final, reserve, proving, arena, available, allocated, costs, idle_cost`` as decimal text, and
            ``reserve_lent``, the part of the reserve that is lent, where the configuration lends it.
        treasury: metrics of the whole treasury: ``return, annual_return, sharpe, excess_sharpe, sortino, volatility,
            max_drawdown, win_rate`` (fractions; drawdown negative).
        managed: the same metrics for the pools without the reserve.
        benchmarks: name -> ``{label, final, return, annual_return, sharpe, sortino, max_drawdown, ...}``, in display order.
            Names at least ``lend_everything, hold_eth, sixty_forty, passive_mean_weight, weekly_weights_index``.
        verdict: ``{text, skill, difference, low, high, significant}``: the words, the annual difference of the managed capital
            to the control row and its bootstrap interval.
        agents: one dict per agent ever born: ``id, strategy, stage, born, ended, reason, parents (ids), genome (by name),
            fitness, sharpe, total_return, return_until_promotion, return_since_promotion, max_drawdown, coin_share, capital,
            earned, deflated_sharpe, pbo, trials, fidelity_bps, gap_bps, gap_unmeasured, promoted (bool), label``; None where
            it does not apply. `total_return` is that of its whole life, `return_until_promotion` that of the record which
            promoted it to proving, `return_since_promotion` the part after it, all with the capital of an arena agent; `earned`
            is what its own capital came to by the ledger, USD, after every cost. `fidelity_bps` is its return in proving less
            what simulation gives for the same days and its slot's capital, basis points; `gap_bps` the same with the capital
            of an arena agent and without emergency stops: exact books less search model (see
            `treasury_arena.arena.gap`); `gap_unmeasured` why a promoted agent has no `gap_bps`.
        counts: ``births, deaths, retirements, graduations_proving, graduations_arena, failures, orders, rejected``.
        trials: genomes evaluated over the whole run.
        series: ``dates`` and equally long lists: ``treasury``, every benchmark's name, and ``allocation`` a dict of
            name -> list (``reserve, pool_cash, pool_lent`` and each strategy), all in USD. A date is the day that closed with
            the value; the first one is the day before `start`, whose close is what the run began with, the last one is `end`.
        generations: dicts ``cycle, date, strategy, generation, best, median, diversity, restarts``.
        cycles: dicts ``cycle, date, alive, simulation, proving, arena, dead, graduated, best, median, capital, trials``.
            `cycle` counts from 0 in all data, as in events; progress display, tables and sentences count from 1.
            Cycles run at midnight (UTC): `date`, like that of `generations` and like `born`, `ended` and the dates of `stops`,
            is the day that begins there, and `capital` is that of the close of the day before, as are `series`.
        data: facts on the data source.
        timings: ``seconds, agent_steps, agent_steps_per_second, search_seconds, live_seconds, store_seconds, events,
            peak_memory_mib``.
        stops: emergency stops that held during the run, dicts ``level, start, end, operator, reason, released_by,
            release_reason, refused``; None where it does not apply (see `treasury_arena.arena.incidents`).
        failures: why agents' own code failed, dicts ``reason, deaths``, the most frequent first.
    """

    run_id: str
    name: str
    profile: str
    seed: int
    digest: str
    start: str
    end: str
    capital: dict[str, str]
    treasury: dict[str, float]
    managed: dict[str, float]
    benchmarks: dict[str, dict[str, Any]]
    verdict: dict[str, Any]
    agents: list[dict[str, Any]]
    counts: dict[str, int]
    trials: int
    series: dict[str, Any]
    generations: list[dict[str, Any]]
    cycles: list[dict[str, Any]]
    data: dict[str, str]
    timings: dict[str, float]
    stops: list[dict[str, Any]] = attrs.field(factory=list)
    failures: list[dict[str, Any]] = attrs.field(factory=list)

    def __repr__(self) -> str:
        return (
            f"<RunResult {self.run_id}: {self.name}, {self.profile}, seed {self.seed}, {self.start} to {self.end}, "
            f"{self.capital.get('initial')} to {self.capital.get('final')}, {len(self.agents)} agents, "
            f"digest {self.digest[:12]}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict with a schema number."""
        return {"schema": SCHEMA, **attrs.asdict(self)}

    @property
    def curves(self) -> Curves:
        """Treasury and benchmarks in USD, one row a day: its close. The first row, the day before the run, is its beginning."""
        names = ["treasury", *self.benchmarks]
        index = pd.DatetimeIndex(pd.to_datetime(self.series["dates"], utc=True), name="date")
        return Curves({name: self.series[name] for name in names}, index=index)

    def plot(self, **options: Any) -> Any:
        """Draw the curves with pandas' plotting, whose options it takes; returns the axes."""
        return plot_curves(self.curves, f"{self.name}: treasury and benchmarks", options)

    def allocation(self) -> pd.DataFrame:
        """Where the capital was, in USD, one row a day, as `curves`."""
        index = pd.DatetimeIndex(pd.to_datetime(self.series["dates"], utc=True), name="date")
        return pd.DataFrame(self.series["allocation"], index=index)

    @property
    def barren(self) -> list[str]:
        """Strategies of whose genomes no search could simulate even one: they bred no agents."""
        best: dict[str, bool] = {}
        for entry in self.generations:
            best[entry["strategy"]] = best.get(entry["strategy"], False) or entry["best"] is not None
        return sorted(name for name, any_one in best.items() if not any_one)

    @property
    def managed_final(self) -> Decimal | None:
        """USD outside the reserve at the end; None where the result does not tell the reserve."""
        reserve = self.capital.get("reserve")
        return None if reserve is None else Decimal(self.capital["final"]) - Decimal(reserve)

    def comparison(self) -> pd.DataFrame:
        """Treasury, managed capital and benchmarks, one row each: ``final`` in USD, the rest as in `treasury`."""
        ours = {"final": Decimal(self.capital["final"]), **self.treasury}, {"final": self.managed_final, **self.managed}
        rows = {"treasury": ours[0], "managed": ours[1], **self.benchmarks}
        return pd.DataFrame.from_dict(rows, orient="index")[list(COMPARED)].astype("float64")

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return as_html(repr(self), self.comparison())

    def agent_table(self) -> pd.DataFrame:
        """One row per agent ever born, indexed by id."""
        return pd.DataFrame(self.agents).set_index("id")

    def generation_table(self) -> pd.DataFrame:
        """Best and median training score by cycle, strategy and generation."""
        return pd.DataFrame(self.generations)
