"""Writes the text of one kernel module: loops that call the plugin functions. The functions themselves are not rewritten.

A block holds 32 agents side by side, one row of 32 float64 per quantity, all rows in one buffer (two buffers made the speed
depend on their distance: 4 KiB aliasing). A few vector loops per market row value, keep statistics, decide and then accrue
with the next row; what a decision set pending is settled in a scalar pass at the next row, before the vector loops. The
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


def _stored(ref: Reference, value: str) -> str:
    """A choice between a row's own value and another, none of them -0.0, on its way back to the row.

    LLVM makes a masked store of a choice that goes to where one of its two came from, and processors without AVX-512 take a
    dozen cycles or more for each. It may not leave out an addition of 0.0.
    """
    return f"{value} + 0.0" if ref is _lane else value


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
            'NAN = float("nan")',
            f"LANES = {LANES}",
            f"ROWS = {len(self.rows)}",
            f"GATHERED = {max(1, len(self.gathered))}",
        ]
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
        rows = [f"gather_row(st, F_{name}, ix, {i} * LANES, ft, fat)" for i, name in enumerate(self.gathered)]
        return ["@inner", "def gather(st, ix, ft, fat):", *indent(rows)]

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
        lane = ["while waits != 0:", "    j = first_lane(waits)", "    waits = without_first(waits)"]
        return [
            "@inner",
            "def settle(st, mk, at, mcol, prm, waits):",
            *indent([*self._rows_of("m", "at"), *self._params(), *lane, *indent(self._settle_lines(_lane))]),
        ]

    # ---------------------------------------------------------------- the vector pass, loop by loop
    def _valuation(self, ref: Reference) -> Lines:
        """What the agent is worth and has gained."""
        return [
            f"cash = {ref('CASH')}",
            *self._states(ref),
            *self._values("v"),
            f"equity = cash + {self._sum('v{i}')}",
            f"gain = (equity - {ref('EQUITY')}) * {ref('INV')}",
            f"{ref('SUM')} += gain",
            f"{ref('SQUARES')} += gain * gain",
            f"{ref('EQUITY')} = equity",
            f"{ref('INV')} = 1.0 / equity if equity > 0.0 else 0.0",
            *(f"{ref(f'VALUE{i}')} = v{i}" for i, _, _ in self.positions),
        ]

    def _standing(self, ref: Reference) -> Lines:
        """Drawdown and shares."""
        lines = [
            *self._valued(ref),
            f"peak = {ref('PEAK')}",
            f"inverse_peak = {ref('INV_PEAK')}",
            "higher = equity > peak",
            f"peak = {_stored(ref, '(equity if higher else peak)')}",
            f"inverse_peak = {_stored(ref, '(inverse if higher else inverse_peak)')}",
            f"{ref('PEAK')} = peak",
            f"{ref('INV_PEAK')} = inverse_peak",
            "drawdown = (peak - equity) * inverse_peak",
            f"{ref('DRAWDOWN')} = drawdown",
            f"deepest = {ref('DEEPEST')}",
            f"{ref('DEEPEST')} = {_stored(ref, '(drawdown if drawdown > deepest else deepest)')}",
        ]
        for i, _, _ in self.positions:
            lines += [f"{ref(f'SHARE{i}')} += h{i}", f"top = {ref(f'SHARE{i}_MAX')}"]
            lines += [f"{ref(f'SHARE{i}_MAX')} = {_stored(ref, f'(h{i} if h{i} > top else top)')}"]
        return lines

    def _decision(self, ref: Reference, gene: Reference | None, feature: Reference) -> Lines:
        """What the strategy asks for."""
        s = self.strategy
        known = {"equity": "equity", "cash": "cash", "drawdown": "drawdown", "step": f"now - {ref('START')}"}
        for i, role, m in self.positions:
            known[role] = f"v{i}"
            known |= {f"{role}_{name}": f"view{i}_{name}(s{i}, m{i}, p{i})" for name in m.views}
        controls = [f"{role}_{k}" for _, role, _ in self.positions for k in self.layout.controls(role)]
        checks = [
            f"(abs(equity) <= {FLOAT_MAX!r})",
            f"({self._sum('t.{role}')} <= {SHARES_HIGH!r})",
            *(f"(t.{role} >= {SHARE_LOW!r})" for _, role, _ in self.positions),
            *(f"(abs(t.{k}) <= {FLOAT_MAX!r})" for k in controls),
        ]
        return [
            *[f"cash = {ref('CASH')}", *self._states(ref), *self._valued(ref), f"drawdown = {ref('DRAWDOWN')}"],
            f"book = Book({', '.join(known[k] for k in s.book._fields)})",
            f"f = Features({', '.join(feature(k) for k in s.features._fields)})",
            *([f"g = Genes({', '.join(gene(k) for k in s.genes._fields)})"] if gene is not None else []),
            f"own = Own({', '.join(ref(f'OWN_{k}') for k in s.state._fields)})",
            "t, own = decide(f, g, book, own)",
            f"{ref('BAND')} = t.band if {' & '.join(checks)} else NAN",
            *(f"{ref(f'T_{role}')} = t.{role}" for _, role, _ in self.positions),
            *(f"{ref(f'T_{k}')} = t.{k}" for k in controls),
            *(f"{ref(f'OWN_{k}')} = own.{k}" for k in s.state._fields),
        ]

    def _clipping(self, ref: Reference) -> Lines:
        """What of it the limits allow, and how far what is held is beyond them."""
        lines = [*self._valued(ref), f"holds = {ref('BAND')} > {DRIFT_HIGH!r}", "over = 0.0"]
        for i, role, _ in self.positions:
            lines += [f"limit = {ref(f'LIMIT{i}')}", f"more = h{i} - limit", "over = more if more > over else over"]
            lines += [f"a{i} = {ref(f'T_{role}')}", f"a{i} = h{i} if holds else a{i}"]
            lines += [f"a{i} = 0.0 if a{i} < 0.0 else a{i}"]
            lines += [f"w{i} = limit if a{i} > limit else a{i}"]
        coins = [i for i, coin in enumerate(self.layout.coins) if coin]
        if coins:
            lines += [f"coin_cap = {ref('COIN_LIMIT')}", f"more = {' + '.join(f'h{i}' for i in coins)} - coin_cap"]
            lines += ["over = more if more > over else over", f"coins = {' + '.join(f'w{i}' for i in coins)}"]
            lines += ["scale = coin_cap / coins if coins > coin_cap else 1.0", *(f"w{i} = w{i} * scale" for i in coins)]
        lines += [f"spare = ({self._sum('a{i}')}) - ({self._sum('w{i}')})"]
        for i in [i for i, coin in enumerate(self.layout.coins) if not coin][:1]:
            lines += [f"limit = {ref(f'LIMIT{i}')}", f"more = w{i} + spare", f"w{i} = limit if more > limit else more"]
        lines += [f"{ref('OVER')} = over"]
        return [*lines, *(f"{ref(f'T_{role}')} = w{i}" for i, role, _ in self.positions)]

    def _movement(self, ref: Reference) -> Lines:
        """Whether the target is worth a trade, and whether the agent has failed."""
        moves = f"((drift > band * equity) | (over > {LIMIT_TOLERANCE!r}))"
        trades = f"alive & valid & {moves} & (drift < {DRIFT_HIGH!r}) & (equity > 0.0)"
        drift = " + ".join(f"abs({ref(f'T_{role}')} * equity - {ref(f'VALUE{i}')})" for i, role, _ in self.positions)
        return [
            *[f"equity = {ref('EQUITY')}", f"band = {ref('BAND')}", f"over = {ref('OVER')}", f"drift = {drift}"],
            *[f"failed = {ref('FAILED')}", "alive = failed == -1.0", "valid = band == band"],
            f"{ref('FAILED')} = {_stored(ref, '(now if alive & (not valid) else failed)')}",
            f"{ref('PENDING')} = 1.0 if {trades} else 0.0",
        ]

    def _accrual(self, ref: Reference) -> Lines:
        lines: Lines = []
        for i, _, m in self.positions:
            if m.accrue is not None:
                lines += [f"s{i} = accrue{i}(s{i}, n{i}, p{i})", *self._store(i, m.state._fields, ref)]
        return [*self._states(ref), *lines] if lines else []

    def _valued(self, ref: Reference) -> Lines:
        """`equity`, `inverse`, and of every role `v` and its share `h`, as the valuation left them."""
        lines = [f"equity = {ref('EQUITY')}", f"inverse = {ref('INV')}"]
        for i, _, _ in self.positions:
            lines += [f"v{i} = {ref(f'VALUE{i}')}", f"h{i} = v{i} * inverse"]
        return lines

    def _step(self, ref: Reference, gene: Reference | None, feature: Reference) -> list[Lines]:
        """The loops of one step, in order. An earlier one hands its numbers on in rows.

        One loop alone would be a chain of some 200 instructions: a processor looks far enough ahead to begin the next vector
        while it waits for one of 50, not of 200 (AVX2: two thirds of the time).
        """
        loops = [self._valuation(ref), self._standing(ref), self._decision(ref, gene, feature)]
        loops += [self._clipping(ref), self._movement(ref), self._accrual(ref)]
        return [lines for lines in loops if lines]

    def _advance(self) -> Lines:
        shared = [n for n in self.features if n not in self.gathered]
        lines = [*self._rows_of("m", "at"), *self._rows_of("n", "nx", accruing=True), *self._params()]
        lines += [f"shared_{n} = ft[fat + fcol[{self.features[n]}]]" for n in shared]
        for loop in self._step(
            _lane, lambda n: _lane(f"G_{n}"), lambda n: _lane(f"F_{n}") if n in self.gathered else f"shared_{n}"
        ):
            lines += ["for j in range(LANES):", *indent(loop)]
        return ["@inner", "def advance(st, mk, at, nx, mcol, ft, fat, fcol, prm, now):", *indent(lines)]

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
        last = ["if left == 0:", "    left = sample", "    for j in range(count):"]
        last += [f"        waits = {_lane('FAILED')} == -2.0"]
        last += [
            f"        curve[begin + j, point] = {_lane('CASH0')} if waits else {_lane('EQUITY')}",
            "    point += 1",
        ]
        loop = ["at = index(row) * nm", "nx = at + nm if row + 1 < high else at", "fat = index(row) * nf"]
        loop += ["if float(row) == entering:", *indent(enter)]
        loop += ["pending = waiting(st, PENDING)", "if pending != 0:", "    settle(st, mk, at, mcol, prm, pending)"]
        loop += ["gather(st, ix, ft, fat)"] if self.gathered else []
        loop += ["advance(st, mk, at, nx, mcol, ft, fat, fcol, prm, float(row))", *last, "left -= 1"]
        body = ["count = LANES if last - begin > LANES else last - begin", "for j in range(LANES):", *indent(lanes)]
        body += ["entering = float(low)", "left = 0", "point = 0", "for row in range(low, high):", *indent(loop)]
        body += ["for j in range(count):", *indent(["a = begin + j", *self._output(_lane)])]
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
        loop += ["if x_PENDING != 0.0:", *indent(self._settle_lines(_local))]
        loop += [line for lines in self._step(_local, None, feature) for line in lines]
        loop += ["if left == 0:", "    left = sample", "    curve[a, point] = x_EQUITY", "    point += 1", "left -= 1"]
        body += ["for row in range(starts[a], high):", *indent(loop), *self._output(_local)]
        return ["@entry", f"def run_scalar({ARGUMENTS}):", "    for a in range(first, last):", *indent(body, 2)]
