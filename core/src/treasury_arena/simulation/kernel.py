"""The search kernel of one strategy: thousands of agents through market history, compiled from the plugins' own functions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.genes import CHOICE, GeneSpace
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Column, Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import PluginError, ValidationError
from treasury_arena.simulation.generate import Generated, generate
from treasury_arena.simulation.layout import LANES, OUTPUT, Layout
from treasury_arena.simulation.lint import check_functions, compile_alone
from treasury_arena.simulation.outcome import Outcome, finish
from treasury_arena.simulation.tables import Tables, build_tables
from treasury_arena.simulation.wiring import check_wiring

__all__ = ["Kernel", "Outcome", "Run", "Tables", "lay_out", "prepare"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Kind = Literal["blocked", "scalar"]

PAGE = 4096
INDEX = np.uint64
"""Type of what indexes the tables: numba looks at every signed index for one counted from the end, at two instructions a load."""


@attrs.frozen(eq=False)
class Run:
    """Checked and shaped arguments of one simulation, shared by kernels and the interpreter.

    Attributes:
        genomes: (N, genes); starts: (N,) absolute rows; cash: (N,) USD; limits: (N, roles); coin_limit: (N,).
        low, high: rows simulated, `high` exclusive; sample: rows per point of the curve.
    """

    genomes: FloatArray
    low: int
    high: int
    starts: IntArray
    cash: FloatArray
    limits: FloatArray
    coin_limit: FloatArray
    sample: int

    @property
    def agents(self) -> int:
        return int(self.genomes.shape[0])

    @property
    def points(self) -> int:
        """Columns of the curve."""
        return -(-(self.high - self.low) // self.sample)

    @property
    def active(self) -> IntArray:
        """(N,) rows each agent is active."""
        return np.asarray(self.high - self.starts, dtype=np.int64)


@attrs.frozen(eq=False)
class Kernel:
    """A checked strategy with its models and markets, and its generated module (compiled at the first run)."""

    strategy: Strategy
    models: Mapping[str, PositionModel]
    specs: Mapping[str, MarketSpec]
    layout: Layout
    generated: Generated

    @cached_property
    def _space(self) -> GeneSpace:
        return self.strategy.space

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return self.strategy.columns

    def tables(self, frame: MarketFrame) -> Tables:
        """Market and feature tables of a frame; compute once per frame, then run any span of its rows."""
        return build_tables(self.layout, self.specs, frame)

    def features(self, tables: Tables, genome: ArrayLike, row: int) -> Any:
        """The strategy's `Features` for one genome at one row: what a live agent decides on."""
        return self.strategy.features(*(float(tables.features[row, c]) for c in self.feature_columns(tables, genome)))

    def feature_columns(self, tables: Tables, genome: ArrayLike) -> list[int]:
        """Column of the feature table per feature, for one genome."""
        picks = dict(
            zip(self.layout.gathered, self._picks(tables, np.asarray(genome)[None, :])[0].tolist(), strict=True)
        )
        return [picks.get(name, int(tables.feature_columns[i])) for i, name in enumerate(self._columns)]

    def _picks(self, tables: Tables, genomes: FloatArray) -> IntArray:
        """(N, gathered) column of every feature whose window is a gene."""
        genes, columns = self.strategy.genes._fields, self._columns
        picks = np.zeros((genomes.shape[0], len(self.layout.gathered)), dtype=np.int64)
        for i, name in enumerate(self.layout.gathered):
            base = tables.feature_columns[list(columns).index(name)]
            picks[:, i] = base + genomes[:, genes.index(columns[name].window)].astype(np.int64)
        return picks

    def arguments(
        self,
        tables: Tables,
        genomes: ArrayLike,
        *,
        low: int,
        high: int,
        starts: ArrayLike | None = None,
        cash: ArrayLike,
        limits: ArrayLike | None = None,
        coin_limit: ArrayLike = 1.0,
        sample: int,
    ) -> Run:
        """Check and shape a run's arguments (see `run`); raises ValidationError."""
        space = self._space
        genes = np.array(genomes, dtype=np.float64, order="C")  # a copy: numba compiles again for a read-only array
        where = f"strategy {self.strategy.name!r}"
        if genes.ndim != 2 or genes.shape[1] != space.size:
            raise ValidationError(f"{where}: genomes have shape {genes.shape}, expected (N, {space.size})")
        if not 0 <= low < high <= tables.rows:
            raise ValidationError(f"{where}: rows {low} to {high} are not inside tables of {tables.rows} rows")
        if sample < 1:
            raise ValidationError(f"{where}: the curve is sampled every {sample} rows, at least 1 is needed")
        _check_genomes(genes, space.kind == CHOICE, space.high, where)
        count = genes.shape[0]
        begin = np.array(np.broadcast_to(np.asarray(low if starts is None else starts, dtype=np.int64), (count,)))
        roles = len(self.layout.roles)
        run = Run(
            genomes=genes,
            low=low,
            high=high,
            starts=begin,
            cash=_filled(cash, (count,)),
            limits=_filled(1.0 if limits is None else limits, (count, roles)),
            coin_limit=_filled(coin_limit, (count,)),
            sample=sample,
        )
        for name, bad, wanted in (
            ("start", (begin < low) | (begin > high), f"a row from {low} to {high}"),
            ("cash", ~(np.isfinite(run.cash) & (run.cash > 0.0)), "positive and finite"),
            ("limit", ~(np.isfinite(run.limits) & (run.limits >= 0.0)).all(axis=1), "finite and not negative"),
            ("coin limit", ~(np.isfinite(run.coin_limit) & (run.coin_limit >= 0.0)), "finite and not negative"),
        ):
            if bad.any():
                raise ValidationError(f"{where}: the {name} of agent {int(np.argmax(bad))} must be {wanted}")
        return run

    def run(
        self,
        tables: Tables,
        genomes: ArrayLike,
        *,
        low: int,
        high: int,
        starts: ArrayLike | None = None,
        cash: ArrayLike,
        limits: ArrayLike | None = None,
        coin_limit: ArrayLike = 1.0,
        sample: int,
        workers: int = 1,
        kind: Kind = "blocked",
    ) -> Outcome:
        """Run N agents over rows `low` to `high` (exclusive) of the tables.

        At each row from its start on an agent settles the target it decided at the row before (sales first, purchases
        scaled to its cash), is valued, decides, and accrues towards the next row. A decided target is cut to `limits`,
        then its coin roles together to `coin_limit`; what is cut goes to the first role that is not a coin's. What prices have
        carried beyond these limits is traded back whatever the band (past `decision.LIMIT_TOLERANCE`). Results do not
        depend on `workers`, `kind` or the agents' order.

        Args:
            tables: from `tables(frame)`.
            genomes: (N, genes), inside the bounds where a gene is a choice.
            low, high: absolute rows of the tables.
            starts: (N,) first row of each agent, default `low`.
            cash: USD each agent opens with, one value or (N,).
            limits: (N, roles) largest share of equity per role, default 1.
            coin_limit: largest share in coin markets together, one value or (N,), default 1.
            sample: rows per point of the curve.
            workers: threads; whole blocks of agents are spread over them.
            kind: ``blocked`` (64 agents side by side) or ``scalar`` (one by one, several times slower).

        Raises ValidationError for arguments that do not fit, PluginCodeError when a plugin function does not compile.
        """
        run = self.arguments(
            tables,
            genomes,
            low=low,
            high=high,
            starts=starts,
            cash=cash,
            limits=limits,
            coin_limit=coin_limit,
            sample=sample,
        )
        raw = np.zeros((run.agents, len(OUTPUT) + 2 * len(self.layout.roles)))
        curve = np.zeros((run.agents, run.points))
        blocks = -(-run.agents // LANES)
        parts = max(1, min(workers, blocks))
        cuts = [min(run.agents, blocks * part // parts * LANES) for part in range(parts + 1)]
        spans = list(itertools.pairwise(cuts))

        def work(span: tuple[int, int]) -> None:
            self._call(kind, tables, run, span, raw, curve)

        work(spans[0]) if parts == 1 else self._spread(work, spans)
        idle = run.active == 0  # never entered: the kernels leave their lanes as they were
        raw[idle] = 0.0
        raw[idle, OUTPUT.index("EQUITY")] = run.cash[idle]
        raw[idle, OUTPUT.index("FAILED")] = -1.0
        return finish(raw, curve, run.active)

    def compile(self) -> None:
        """Compile the blocked kernel (or load it from the cache) without running an agent."""
        roles, genes = len(self.layout.roles), self._space.size
        arguments = empty_arguments(roles, genes, len(self.layout.rows), len(self.layout.gathered))
        self._first_call(self._entry("blocked"), arguments)

    def _spread(self, work: Any, spans: list[tuple[int, int]]) -> None:
        self.compile()  # once, before threads would wait for each other's compilation
        with ThreadPoolExecutor(len(spans)) as pool:
            list(pool.map(work, spans))

    def _call(
        self, kind: Kind, tables: Tables, run: Run, span: tuple[int, int], raw: FloatArray, curve: FloatArray
    ) -> None:
        entry = self._entry(kind)
        params = [value for role in self.layout.roles for value in build_params(self.models[role], self.specs[role])]
        picks = self._picks(tables, run.genomes)
        state, index = _scratch(len(self.layout.rows), max(1, len(self.layout.gathered)))
        arguments = (
            *(tables.market.reshape(-1), INDEX(tables.market.shape[1])),
            *(tables.features.reshape(-1), INDEX(tables.features.shape[1])),
            *(
                run.genomes,
                picks.astype(INDEX),
                tables.market_columns.astype(INDEX),
                tables.feature_columns.astype(INDEX),
            ),
            np.array(params or [0.0]),
            *(run.cash, run.starts, run.limits, run.coin_limit, -0.0, run.low, run.high, run.sample, *span),
            *(state, index, raw, curve),
        )
        if getattr(entry, "signatures", True):
            entry(*arguments)
        else:
            self._first_call(entry, arguments)

    def _entry(self, kind: Kind) -> Any:
        return getattr(self.generated.load(), f"run_{kind}")

    def _first_call(self, entry: Any, arguments: tuple[Any, ...]) -> None:
        """The call that compiles: when numba refuses, each function is tried alone to find the author's line."""
        try:
            entry(*arguments)
        except Exception as error:
            for f in self.layout.functions:
                compile_alone(f)
            raise PluginError(
                f"strategy {self.strategy.name!r}: its functions compile one by one but not together: {error}"
            ) from error


def empty_arguments(roles: int, genes: int, rows: int, gathered: int) -> tuple[Any, ...]:
    """Arguments of a kernel's entry for no agents: they only carry types, so a call with them just compiles."""
    floats, columns = np.ones(1), np.zeros(1, dtype=INDEX)
    none = np.zeros(0)
    return (
        *(floats, INDEX(1), floats, INDEX(1)),
        *(np.zeros((0, genes)), np.zeros((0, gathered), dtype=INDEX), columns, columns, floats),
        *(none, np.zeros(0, dtype=np.int64), np.zeros((0, roles)), none, -0.0, 0, 1, 1, 0, 0),
        *(*_scratch(rows, max(1, gathered)), np.zeros((0, len(OUTPUT) + 2 * roles)), np.zeros((0, 1))),
    )


def compile_generated(generated: Generated, roles: int, genes: int, rows: int, gathered: int) -> None:
    """Compile a generated module's blocked kernel into its cache, without the strategy it came from."""
    generated.load().run_blocked(*empty_arguments(roles, genes, rows, gathered))


def _check_genomes(genes: FloatArray, choice: NDArray[np.bool_], highest: FloatArray, where: str) -> None:
    """A choice gene indexes the feature table, so a value outside its list would read foreign memory."""
    bad = ~np.isfinite(genes)
    picks = genes[:, choice]
    bad[:, choice] |= ~((picks >= 0.0) & (picks <= highest[choice]) & (picks == np.floor(picks)))
    if bad.any():
        agent, gene = (int(i) for i in np.argwhere(bad)[0])
        raise ValidationError(f"{where}: gene {gene} of agent {agent} is {genes[agent, gene]}, outside its declaration")


def _filled(value: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """A writable array of `shape` (numba types read-only arrays apart, which would compile again)."""
    return np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), shape))


def _scratch(rows: int, gathered: int) -> tuple[FloatArray, NDArray[np.uint64]]:
    """Buffers of one block; the state starts at a page, so that its speed does not depend on luck with aliasing."""
    page = np.zeros(rows * LANES + PAGE // 8)
    skip = (-page.ctypes.data % PAGE) // 8
    return page[skip : skip + rows * LANES], np.zeros(gathered * LANES, dtype=INDEX)


def prepare(
    strategy: Strategy,
    models: Mapping[str, PositionModel],
    specs: Mapping[str, MarketSpec],
    *,
    cache: Path | None = None,
) -> Kernel:
    """Check a strategy against the models and markets of its roles, lint every function, write its kernel module.

    Args:
        strategy: the declaration.
        models: role -> position model, of the kind the role asks for.
        specs: role -> market the role is bound to.
        cache: folder of generated modules, default `generate.cache_folder()`.

    Raises PluginError for names that do not fit, PluginCodeError for a mistake in a function (file, line, column, hint).
    numba is not imported: that happens at the first run.
    """
    layout = lay_out(strategy, models, specs)
    return Kernel(strategy, dict(models), dict(specs), layout, generate(layout, cache))


def lay_out(strategy: Strategy, models: Mapping[str, PositionModel], specs: Mapping[str, MarketSpec]) -> Layout:
    """What `prepare` does before any code is generated; takes and raises the same."""
    check_wiring(strategy, models, specs)
    layout = Layout(strategy, dict(models), tuple(specs[role].coin for role in strategy.roles))
    check_functions(layout.functions)
    return layout
