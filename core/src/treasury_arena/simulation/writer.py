"""Writes the text of one kernel module: loops that call the plugin functions. The functions themselves are not rewritten.

A block holds 64 agents side by side, one row of 64 float64 per quantity, all rows in one buffer (two buffers made the speed
depend on their distance: 4 KiB aliasing). A few vector loops per market row value, keep statistics, decide and then accrue
with the next row; what a decision set pending is settled in a scalar pass at the next row, before the vector loops. The
scalar kernel is written from the same lines with local variables in place of the block's rows.
"""

from __future__ import annotations

from typing import Any

from treasury_arena.simulation.layout import LANES, OUTPUT, Layout
from treasury_arena.simulation.step import Lines, Reference, Step, indent, lane, local

SHARED = (
    "mk, nm, ft, nf, genome, picks, mcol, fcol, prm, cash0, starts, limits, coin_limit, minus_zero, low, high, sample"
)
ARGUMENTS = f"{SHARED}, first, last, st, ix, out, curve"


def _number(value: float) -> str:
    """A number as the module has it; Python has no word of its own for those beyond all numbers."""
    return repr(float(value)).replace("inf", "INF").replace("nan", "NAN")


class Writer:
    """Turns a layout into module text; `text()` is the only thing others need."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.step = Step(layout)
        self.strategy = layout.strategy
        self.positions = layout.positions
        self.rows = layout.rows
        self.gathered = layout.gathered
        self.genes = {name: i for i, name in enumerate(self.strategy.genes._fields)}
        self.features = {name: i for i, name in enumerate(self.strategy.features._fields)}
        self.market_at = {key: i for i, key in enumerate(layout.market)}
        self.params_at = {key: i for i, key in enumerate(layout.params)}

    def text(self) -> str:
        parts = [
            self._header(),
            self._opening(),
            *([self._gather()] if self.gathered else []),
            self._settle(),
            self._advance(),
            self._run_blocked(),
            self._run_scalar(),
        ]
        return "\n\n\n".join("\n".join(part) for part in parts) + "\n"

    # ---------------------------------------------------------------- names, constants, plugin functions
    def _header(self) -> Lines:
        s = self.strategy
        classes: dict[str, Any] = {"Features": s.features, "Genes": s.genes, "Book": s.book, "Own": s.state}
        for i, _, m in self.positions:
            classes |= {f"S{i}": m.state, f"M{i}": m.market, f"P{i}": m.params}
            if m.control is not None:
                classes[f"C{i}"] = m.control
        lines = [
            f'"""Search kernel of {s.name!r}, generated; safe to delete."""',
            "",
            "from treasury_arena.simulation.compiling import Compiler, entry, index, inner, load",
            "from treasury_arena.simulation.lanes import first_lane, gather_row, waiting, without_first",
            "",
            *(f"{name} = load({c.__module__!r}, {c.__qualname__!r})" for name, c in classes.items()),
            "compiler = Compiler()",
        ]
        lines += [
            f"{f.name} = compiler(load({f.function.__module__!r}, {f.function.__qualname__!r}))"
            for f in self.layout.functions
        ]
        lines += [
            "",
            'NAN, INF = float("nan"), float("inf")',
            f"LANES = {LANES}",
            f"ROWS = {len(self.rows)}",
            f"GATHERED = {max(1, len(self.gathered))}",
        ]
        lines += [f"{name} = {i} * LANES" for i, name in enumerate(self.rows)]
        return lines

    def _rows_of(self, prefix: str, at: str, accruing: bool = False) -> Lines:
        return [
            f"{prefix}{i} = M{i}({', '.join(f'mk[{at} + mcol[{self.market_at[role, k]}]]' for k in m.market._fields)})"
            for i, role, m in self.positions
            if m.accrue is not None or not accruing
        ]

    def _params(self) -> Lines:
        return [
            f"p{i} = P{i}({', '.join(f'prm[{self.params_at[role, k]}]' for k in m.params._fields)})"
            for i, role, m in self.positions
        ]

    # ---------------------------------------------------------------- an agent's first moment
    def _opening_lines(self, ref: Reference) -> Lines:
        zero = ["PENDING", "DEEPEST", "SUM", "SQUARES", "TRADES", "COSTS", "TURNOVER"]
        lines = [f"{ref(row)} = {ref('CASH0')}" for row in ("CASH", "EQUITY", "PEAK")]
        lines += [f"{ref(row)} = 1.0 / {ref('CASH0')}" for row in ("INV", "INV_PEAK")]
        for i, _, m in self.positions:
            lines += [f"{ref(f'S{i}_{k}')} = {_number(m.state._field_defaults[k])}" for k in m.state._fields]
            zero += [f"SHARE{i}", f"SHARE{i}_MAX"]
        own = self.strategy.state
        lines += [f"{ref(f'OWN_{k}')} = {_number(own._field_defaults[k])}" for k in own._fields]
        zero += [row for row in self.rows if row.startswith("T_")]
        return [*lines, *(f"{ref(row)} = 0.0" for row in zero), f"{ref('FAILED')} = -1.0"]

    def _opening(self) -> Lines:
        return ["@inner", "def opening(st, j):", *indent(self._opening_lines(lane))]

    # ---------------------------------------------------------------- features whose window is a gene
    def _gather(self) -> Lines:
        rows = [f"gather_row(st, F_{name}, ix, {i} * LANES, ft, fat)" for i, name in enumerate(self.gathered)]
        return ["@inner", "def gather(st, ix, ft, fat):", *indent(rows)]

    # ---------------------------------------------------------------- trades
    def _settle_lines(self, ref: Reference) -> Lines:
        """Move to the pending target at this row: sales first, purchases scaled to the cash there is."""
        lines = [f"cash = {ref('CASH')}", *self.step.states(ref), *self.step.values("v")]
        lines += [f"equity = cash + {self.step.sum('v{i}')}", f"{ref('PENDING')} = 0.0", "if equity > 0.0:"]
        body = ["buys = 0.0"]
        for i, role, m in self.positions:
            controls = ", ".join(ref(f"T_{role}_{k}") for k in m.control._fields) if m.control is not None else ""
            body += [f"c{i} = C{i}({controls})" if m.control is not None else f"c{i} = None"]
            body += [f"goal{i} = {ref(f'T_{role}')} * equity", f"d{i} = goal{i} - v{i}", f"if d{i} < 0.0:"]
            body += [f"    s{i}, move = trade{i}(s{i}, goal{i}, m{i}, p{i}, c{i})", "    cash += move"]
            body += ["else:", f"    buys += d{i}"]
        body += ["share = 1.0 if buys <= cash else (cash / buys if cash > 0.0 else 0.0)"]
        for i, _, _ in self.positions:
            body += [f"if d{i} >= 0.0:", f"    s{i}, move = trade{i}(s{i}, v{i} + d{i} * share, m{i}, p{i}, c{i})"]
            body += ["    cash += move"]
        body += self.step.values("w")
        body += [
            f"moved = {self.step.sum('abs(w{i} - v{i})')}",
            f"{ref('COSTS')} += equity - (cash + {self.step.sum('w{i}')})",
            f"{ref('TURNOVER')} += moved / equity",
            f"{ref('TRADES')} += 1.0 if (moved > 0.0) | (cash != {ref('CASH')}) else 0.0",
        ]
        for i, _, m in self.positions:
            body += [f"{ref(f'S{i}_{k}')} = s{i}.{k}" for k in m.state._fields]
        return [*lines, *indent([*body, f"{ref('CASH')} = cash"])]

    def _settle(self) -> Lines:
        each = ["while waits != 0:", "    j = first_lane(waits)", "    waits = without_first(waits)"]
        return [
            "@inner",
            "def settle(st, mk, at, mcol, prm, waits):",
            *indent([*self._rows_of("m", "at"), *self._params(), *each, *indent(self._settle_lines(lane))]),
        ]

    # ---------------------------------------------------------------- the vector loops
    def _advance(self) -> Lines:
        shared = [n for n in self.features if n not in self.gathered]
        lines = [*self._rows_of("m", "at"), *self._rows_of("n", "nx", accruing=True), *self._params()]
        lines += [f"shared_{n} = ft[fat + fcol[{self.features[n]}]]" for n in shared]
        for loop in self.step.loops(
            lane, lambda n: lane(f"G_{n}"), lambda n: lane(f"F_{n}") if n in self.gathered else f"shared_{n}"
        ):
            lines += ["for j in range(LANES):", *indent(loop)]
        return ["@inner", "def advance(st, mk, at, nx, mcol, ft, fat, fcol, prm, minus_zero, now):", *indent(lines)]

    # ---------------------------------------------------------------- time
    def _run_blocked(self) -> Lines:
        lanes = ["a = begin + (j if j < count else 0)", f"{lane('CASH0')} = cash0[a]", f"{lane('START')} = starts[a]"]
        lanes += [f"{lane('COIN_LIMIT')} = coin_limit[a]"]
        lanes += [f"{lane(f'LIMIT{i}')} = limits[a, {i}]" for i, _, _ in self.positions]
        lanes += [f"{lane(f'G_{n}')} = genome[a, {i}]" for n, i in self.genes.items()]
        lanes += [f"ix[{i} * LANES + j] = picks[a, {i}]" for i in range(len(self.gathered))]
        lanes += [f"{lane('FAILED')} = -2.0", f"{lane('PENDING')} = 0.0"]
        enter = ["now = entering", "entering = float(high)", "for j in range(LANES):", f"    start = {lane('START')}"]
        enter += ["    if start == now:", "        opening(st, j)", "    elif start > now and start < entering:"]
        enter += ["        entering = start"]
        last = ["if left == 0:", "    left = sample", "    for j in range(count):"]
        last += [f"        waits = {lane('FAILED')} == -2.0"]
        last += [
            f"        curve[begin + j, point] = {lane('CASH0')} if waits else {lane('EQUITY')}",
            "    point += 1",
        ]
        loop = ["at = index(row) * nm", "nx = at + nm if row + 1 < high else at", "fat = index(row) * nf"]
        loop += ["if float(row) == entering:", *indent(enter)]
        loop += [
            "pending = waiting(st, PENDING)",
            "if pending != 0:",
            "    settle(st, mk, at, mcol, prm, pending)",
        ]
        loop += ["gather(st, ix, ft, fat)"] if self.gathered else []
        loop += ["advance(st, mk, at, nx, mcol, ft, fat, fcol, prm, minus_zero, float(row))", *last, "left -= 1"]
        body = ["count = LANES if last - begin > LANES else last - begin", "for j in range(LANES):", *indent(lanes)]
        body += ["entering = float(low)", "left = 0", "point = 0", "for row in range(low, high):", *indent(loop)]
        body += ["for j in range(count):", *indent(["a = begin + j", *self._output(lane)])]
        return [
            "@entry",
            f"def run_blocked({ARGUMENTS}):",
            "    for begin in range(first, last, LANES):",
            *indent(body, 2),
        ]

    def _output(self, ref: Reference) -> Lines:
        lines = [f"out[a, {i}] = {ref(row)}" for i, row in enumerate(OUTPUT)]
        roles, base = len(self.positions), len(OUTPUT)
        for i in range(roles):
            lines += [
                f"out[a, {base + i}] = {ref(f'SHARE{i}')}",
                f"out[a, {base + roles + i}] = {ref(f'SHARE{i}_MAX')}",
            ]
        return lines

    def _run_scalar(self) -> Lines:
        body = [*self._params(), "x_CASH0 = cash0[a]", "x_START = float(starts[a])"]
        body += ["x_COIN_LIMIT = coin_limit[a]", *(f"x_LIMIT{i} = limits[a, {i}]" for i, _, _ in self.positions)]
        body += [f"ix_{n} = picks[a, {i}]" for i, n in enumerate(self.gathered)]
        body += [
            f"g = Genes({', '.join(f'genome[a, {i}]' for i in self.genes.values())})",
            *self._opening_lines(local),
        ]
        body += ["point = 0", "left = 0", "for row in range(low, starts[a]):"]
        body += [
            "    if left == 0:",
            "        left = sample",
            "        curve[a, point] = x_CASH0",
            "        point += 1",
            "    left -= 1",
        ]

        def feature(n: str) -> str:
            return f"ft[fat + ix_{n}]" if n in self.gathered else f"ft[fat + fcol[{self.features[n]}]]"

        loop = [
            "at = index(row) * nm",
            "nx = at + nm if row + 1 < high else at",
            "fat = index(row) * nf",
            "now = float(row)",
        ]
        loop += [*self._rows_of("m", "at"), *self._rows_of("n", "nx", accruing=True)]
        loop += ["if x_PENDING != 0.0:", *indent(self._settle_lines(local))]
        loop += [line for lines in self.step.loops(local, None, feature) for line in lines]
        loop += ["if left == 0:", "    left = sample", "    curve[a, point] = x_EQUITY", "    point += 1", "left -= 1"]
        body += ["for row in range(starts[a], high):", *indent(loop), *self._output(local)]
        return ["@entry", f"def run_scalar({ARGUMENTS}):", "    for a in range(first, last):", *indent(body, 2)]
