"""Writes the text of one kernel module: loops that call the plugin functions. The functions themselves are not rewritten.

A block holds 32 agents side by side, one row of 32 float64 per quantity, all rows in one buffer (two buffers made the speed
depend on their distance: 4 KiB aliasing). One vector pass per market row values, keeps statistics, decides and then accrues
with the next row; what a decision set pending is settled in a scalar pass at the next row, before its vector pass. The
scalar kernel is written from the same lines with local variables in place of the block's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from treasury_arena.contracts.decision import DRIFT_HIGH, FLOAT_MAX, LIMIT_TOLERANCE, SHARE_LOW, SHARES_HIGH
from treasury_arena.simulation.layout import LANES, OUTPUT, Layout

Lines = list[str]
Reference = Callable[[str], str]

SHARED = "mk, nm, ft, nf, genome, picks, mcol, fcol, prm, cash0, starts, limits, coin_limit, low, high, sample"
ARGUMENTS = f"{SHARED}, first, last, st, ix, out, curve"


def indent(lines: Iterable[str], depth: int = 1) -> Lines:
    return ["    " * depth + line for line in lines]


def _lane(row: str) -> str:
    return f"st[{row} + j]"


def _local(row: str) -> str:
    return f"x_{row}"


class Writer:
    """Turns a layout into module text; `text()` is the only thing others need."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
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
            "from treasury_arena.simulation.compiling import Compiler, entry, inner, load",
            "",
            *(f"{name} = load({c.__module__!r}, {c.__qualname__!r})" for name, c in classes.items()),
            "compiler = Compiler()",
        ]
        lines += [
            f"{f.name} = compiler(load({f.function.__module__!r}, {f.function.__qualname__!r}))"
            for f in self.layout.functions
        ]
        lines += ["", f"LANES = {LANES}", f"ROWS = {len(self.rows)}", f"GATHERED = {max(1, len(self.gathered))}"]
        lines += [f"{name} = {i} * LANES" for i, name in enumerate(self.rows)]
        return lines

    def _call(self, name: str, *arguments: str) -> str:
        return f"{name}({', '.join(arguments)})"

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

    def _states(self, ref: Reference) -> Lines:
        return [f"s{i} = S{i}({', '.join(ref(f'S{i}_{k}') for k in m.state._fields)})" for i, _, m in self.positions]

    def _store(self, i: int, fields: Iterable[str], ref: Reference) -> Lines:
        return [f"{ref(f'S{i}_{k}')} = s{i}.{k}" for k in fields]

    def _values(self, name: str) -> Lines:
        return [f"{name}{i} = value{i}(s{i}, m{i}, p{i})" for i, _, _ in self.positions]

    def _sum(self, term: str) -> str:
        return " + ".join(term.format(i=i, role=role) for i, role, _ in self.positions)

    # ---------------------------------------------------------------- an agent's first moment
    def _opening_lines(self, ref: Reference) -> Lines:
        zero = ["PENDING", "DEEPEST", "SUM", "SQUARES", "TRADES", "COSTS", "TURNOVER"]
        lines = [f"{ref(row)} = {ref('CASH0')}" for row in ("CASH", "EQUITY", "PEAK")]
        lines += [f"{ref(row)} = 1.0 / {ref('CASH0')}" for row in ("INV", "INV_PEAK")]
        for i, _, m in self.positions:
            lines += [f"{ref(f'S{i}_{k}')} = {float(m.state._field_defaults[k])!r}" for k in m.state._fields]
            zero += [f"SHARE{i}", f"SHARE{i}_MAX"]
        own = self.strategy.state
        lines += [f"{ref(f'OWN_{k}')} = {float(own._field_defaults[k])!r}" for k in own._fields]
        zero += [row for row in self.rows if row.startswith("T_")]
        return [*lines, *(f"{ref(row)} = 0.0" for row in zero), f"{ref('FAILED')} = -1.0"]

    def _opening(self) -> Lines:
        return ["@inner", "def opening(st, j):", *indent(self._opening_lines(_lane))]

    # ---------------------------------------------------------------- features whose window is a gene
    def _gather(self) -> Lines:
        lines = ["@inner", "def gather(st, ix, ft, fat):"]
        for i, name in enumerate(self.gathered):
            lines += indent(["for j in range(LANES):", f"    st[F_{name} + j] = ft[fat + ix[{i} * LANES + j]]"])
        return lines

    # ---------------------------------------------------------------- trades
    def _settle_lines(self, ref: Reference) -> Lines:
        """Move to the pending target at this row: sales first, purchases scaled to the cash there is."""
        lines = [f"cash = {ref('CASH')}", *self._states(ref), *self._values("v")]
        lines += [f"equity = cash + {self._sum('v{i}')}", f"{ref('PENDING')} = 0.0", "if equity > 0.0:"]
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
        body += self._values("w")
        body += [
            f"moved = {self._sum('abs(w{i} - v{i})')}",
            f"{ref('COSTS')} += equity - (cash + {self._sum('w{i}')})",
            f"{ref('TURNOVER')} += moved / equity",
            f"{ref('TRADES')} += 1.0 if (moved > 0.0) | (cash != {ref('CASH')}) else 0.0",
        ]
        for i, _, m in self.positions:
            body += self._store(i, m.state._fields, ref)
        return [*lines, *indent([*body, f"{ref('CASH')} = cash"])]

    def _settle(self) -> Lines:
        return [
            "@inner",
            "def settle(st, mk, at, mcol, prm):",
            *indent([*self._rows_of("m", "at"), *self._params(), "for j in range(LANES):"]),
            f"        if {_lane('PENDING')} != 0.0:",
            *indent(self._settle_lines(_lane), 3),
        ]

    # ---------------------------------------------------------------- the vector pass
    def _statistics(self, ref: Reference) -> Lines:
        lines = [f"cash = {ref('CASH')}", *self._states(ref), *self._values("v")]
        lines += [
            f"equity = cash + {self._sum('v{i}')}",
            f"gain = (equity - {ref('EQUITY')}) * {ref('INV')}",
            f"{ref('SUM')} += gain",
            f"{ref('SQUARES')} += gain * gain",
            "inverse = 1.0 / equity if equity > 0.0 else 0.0",
            f"{ref('EQUITY')} = equity",
            f"{ref('INV')} = inverse",
            f"peak = {ref('PEAK')}",
            f"inverse_peak = {ref('INV_PEAK')}",
            "higher = equity > peak",
            "peak = equity if higher else peak",
            "inverse_peak = inverse if higher else inverse_peak",
            f"{ref('PEAK')} = peak",
            f"{ref('INV_PEAK')} = inverse_peak",
            "drawdown = (peak - equity) * inverse_peak",
            f"deepest = {ref('DEEPEST')}",
            f"{ref('DEEPEST')} = drawdown if drawdown > deepest else deepest",
        ]
        for i, _, _ in self.positions:
            lines += [f"h{i} = v{i} * inverse", f"{ref(f'SHARE{i}')} += h{i}", f"top = {ref(f'SHARE{i}_MAX')}"]
            lines += [f"{ref(f'SHARE{i}_MAX')} = h{i} if h{i} > top else top"]
        return lines

    def _decision(self, ref: Reference, gene: Reference | None, feature: Reference) -> Lines:
        s = self.strategy
        known = {"equity": "equity", "cash": "cash", "drawdown": "drawdown", "step": f"now - {ref('START')}"}
        for i, role, m in self.positions:
            known[role] = f"v{i}"
            known |= {f"{role}_{name}": f"view{i}_{name}(s{i}, m{i}, p{i})" for name in m.views}
        lines = [f"book = Book({', '.join(known[k] for k in s.book._fields)})"]
        lines += [f"f = Features({', '.join(feature(k) for k in s.features._fields)})"]
        if gene is not None:
            lines += [f"g = Genes({', '.join(gene(k) for k in s.genes._fields)})"]
        lines += [
            f"own = Own({', '.join(ref(f'OWN_{k}') for k in s.state._fields)})",
            "t, own = decide(f, g, book, own)",
        ]
        controls = [f"{role}_{k}" for _, role, _ in self.positions for k in self.layout.controls(role)]
        checks = [
            f"(abs(equity) <= {FLOAT_MAX!r})",
            f"({self._sum('t.{role}')} <= {SHARES_HIGH!r})",
            "(t.band == t.band)",
        ]
        checks += [f"(t.{role} >= {SHARE_LOW!r})" for _, role, _ in self.positions]
        checks += [f"(abs(t.{k}) <= {FLOAT_MAX!r})" for k in controls]
        lines += [f"valid = {' & '.join(checks)}"]
        lines += [f"holds = t.band > {DRIFT_HIGH!r}", "over = 0.0"]
        for i, role, _ in self.positions:
            lines += [f"limit = {ref(f'LIMIT{i}')}", f"more = h{i} - limit", "over = more if more > over else over"]
            lines += [f"a{i} = h{i} if holds else t.{role}", f"a{i} = 0.0 if a{i} < 0.0 else a{i}"]
            lines += [f"w{i} = limit if a{i} > limit else a{i}"]
        coins = [i for i, coin in enumerate(self.layout.coins) if coin]
        if coins:
            lines += [f"coin_cap = {ref('COIN_LIMIT')}", f"more = {' + '.join(f'h{i}' for i in coins)} - coin_cap"]
            lines += ["over = more if more > over else over", f"coins = {' + '.join(f'w{i}' for i in coins)}"]
            lines += ["scale = coin_cap / coins if coins > coin_cap else 1.0", *(f"w{i} = w{i} * scale" for i in coins)]
        lines += [f"spare = ({self._sum('a{i}')}) - ({self._sum('w{i}')})"]
        for i in [i for i, coin in enumerate(self.layout.coins) if not coin][:1]:
            lines += [f"limit = {ref(f'LIMIT{i}')}", f"more = w{i} + spare", f"w{i} = limit if more > limit else more"]
        moves = f"((drift > t.band * equity) | (over > {LIMIT_TOLERANCE!r}))"
        trades = f"alive & valid & {moves} & (drift < {DRIFT_HIGH!r}) & (equity > 0.0)"
        lines += [
            f"drift = {self._sum('abs(w{i} * equity - v{i})')}",
            f"failed = {ref('FAILED')}",
            "alive = failed == -1.0",
            f"{ref('FAILED')} = now if alive & (not valid) else failed",
            f"{ref('PENDING')} = 1.0 if {trades} else 0.0",
        ]
        lines += [f"{ref(f'T_{role}')} = w{i}" for i, role, _ in self.positions]
        lines += [f"{ref(f'T_{k}')} = t.{k}" for k in controls]
        return [*lines, *(f"{ref(f'OWN_{k}')} = own.{k}" for k in s.state._fields)]

    def _accrual(self, ref: Reference) -> Lines:
        lines: Lines = []
        for i, _, m in self.positions:
            if m.accrue is not None:
                lines += [f"s{i} = accrue{i}(s{i}, n{i}, p{i})", *self._store(i, m.state._fields, ref)]
        return lines

    def _advance(self) -> Lines:
        shared = [n for n in self.features if n not in self.gathered]
        before = [*self._rows_of("m", "at"), *self._rows_of("n", "nx", accruing=True), *self._params()]
        before += [f"shared_{n} = ft[fat + fcol[{self.features[n]}]]" for n in shared]
        step = self._statistics(_lane)
        step += self._decision(
            _lane, lambda n: _lane(f"G_{n}"), lambda n: _lane(f"F_{n}") if n in self.gathered else f"shared_{n}"
        )
        return [
            "@inner",
            "def advance(st, mk, at, nx, mcol, ft, fat, fcol, prm, now):",
            *indent(before),
            "    for j in range(LANES):",
            *indent([*step, *self._accrual(_lane)], 2),
        ]

    # ---------------------------------------------------------------- time
    def _run_blocked(self) -> Lines:
        lanes = ["a = begin + (j if j < count else 0)", f"{_lane('CASH0')} = cash0[a]", f"{_lane('START')} = starts[a]"]
        lanes += [f"{_lane('COIN_LIMIT')} = coin_limit[a]"]
        lanes += [f"{_lane(f'LIMIT{i}')} = limits[a, {i}]" for i, _, _ in self.positions]
        lanes += [f"{_lane(f'G_{n}')} = genome[a, {i}]" for n, i in self.genes.items()]
        lanes += [f"ix[{i} * LANES + j] = picks[a, {i}]" for i in range(len(self.gathered))]
        lanes += [f"{_lane('FAILED')} = -2.0", f"{_lane('PENDING')} = 0.0"]
        enter = ["now = entering", "entering = float(high)", "for j in range(LANES):", f"    start = {_lane('START')}"]
        enter += ["    if start == now:", "        opening(st, j)", "    elif start > now and start < entering:"]
        enter += ["        entering = start"]
        last = ["if (row - low) % sample == 0:", "    for j in range(count):"]
        last += [f"        waits = {_lane('FAILED')} == -2.0", "        curve[begin + j, (row - low) // sample] = ("]
        last += [f"            {_lane('CASH0')} if waits else {_lane('EQUITY')}", "        )"]
        loop = ["at = row * nm", "nx = at + nm if row + 1 < high else at", "if float(row) == entering:", *indent(enter)]
        loop += [
            "waiting = False",
            "for j in range(LANES):",
            f"    waiting |= {_lane('PENDING')} != 0.0",
            "if waiting:",
        ]
        loop += ["    settle(st, mk, at, mcol, prm)"]
        loop += ["gather(st, ix, ft, row * nf)"] if self.gathered else []
        loop += ["advance(st, mk, at, nx, mcol, ft, row * nf, fcol, prm, float(row))", *last]
        body = ["count = LANES if last - begin > LANES else last - begin", "for j in range(LANES):", *indent(lanes)]
        body += ["entering = float(low)", "for row in range(low, high):", *indent(loop), "for j in range(count):"]
        body += indent(["a = begin + j", *self._output(_lane)])
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
            *self._opening_lines(_local),
        ]
        body += [
            "for i in range(curve.shape[1]):",
            "    if low + i * sample < starts[a]:",
            "        curve[a, i] = x_CASH0",
        ]

        def feature(n: str) -> str:
            return f"ft[fat + ix_{n}]" if n in self.gathered else f"ft[fat + fcol[{self.features[n]}]]"

        loop = ["at = row * nm", "nx = at + nm if row + 1 < high else at", "fat = row * nf", "now = float(row)"]
        loop += [*self._rows_of("m", "at"), *self._rows_of("n", "nx", accruing=True), "if x_PENDING != 0.0:"]
        loop += [*indent(self._settle_lines(_local)), *self._statistics(_local)]
        loop += [*self._decision(_local, None, feature), *self._accrual(_local)]
        loop += ["if (row - low) % sample == 0:", "    curve[a, (row - low) // sample] = x_EQUITY"]
        body += ["for row in range(starts[a], high):", *indent(loop), *self._output(_local)]
        return ["@entry", f"def run_scalar({ARGUMENTS}):", "    for a in range(first, last):", *indent(body, 2)]
