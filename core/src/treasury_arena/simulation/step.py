"""What an agent does at one row, as lines of a kernel module: loops that value, measure, decide, clip, and carry on.

Every line is written once; `Reference` says whether a number lies in a lane of a block's row or in a local variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from treasury_arena.contracts.decision import DRIFT_HIGH, FLOAT_MAX, LIMIT_TOLERANCE, SHARE_LOW, SHARES_HIGH
from treasury_arena.simulation.layout import Layout

Lines = list[str]
Reference = Callable[[str], str]


def indent(lines: Iterable[str], depth: int = 1) -> Lines:
    return ["    " * depth + line for line in lines]


def lane(row: str) -> str:
    return f"st[{row} + j]"


def local(row: str) -> str:
    return f"x_{row}"


def _stored(ref: Reference, value: str) -> str:
    """What may be a row's own value, on its way back to the row.

    LLVM makes a masked store of a choice that goes to where one of its two came from, and processors without AVX-512 take a
    dozen cycles or more for each. It may not leave out an addition, and -0.0 given at run time changes no bit of any number.
    """
    return f"{value} + minus_zero" if ref is lane else value


class Step:
    """The lines of one step; `loops` is the whole of it, the rest is shared with settling."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.strategy = layout.strategy
        self.positions = layout.positions

    def states(self, ref: Reference) -> Lines:
        return [f"s{i} = S{i}({', '.join(ref(f'S{i}_{k}') for k in m.state._fields)})" for i, _, m in self.positions]

    def values(self, name: str) -> Lines:
        return [f"{name}{i} = value{i}(s{i}, m{i}, p{i})" for i, _, _ in self.positions]

    def sum(self, term: str) -> str:
        return " + ".join(term.format(i=i, role=role) for i, role, _ in self.positions)

    def loops(self, ref: Reference, gene: Reference | None, feature: Reference) -> list[Lines]:
        """The loops of one step, in order. An earlier one hands its numbers on in rows.

        One loop alone would be a chain of some 200 instructions: a processor looks far enough ahead to begin the next vector
        while it waits for one of 50, not of 200 (AVX2: two thirds of the time).
        """
        loops = [self._valuation(ref), self._standing(ref), self._decision(ref, gene, feature)]
        loops += [self._clipping(ref), self._movement(ref), self._accrual(ref)]
        return [lines for lines in loops if lines]

    def _valuation(self, ref: Reference) -> Lines:
        """What the agent is worth and has gained."""
        return [
            f"cash = {ref('CASH')}",
            *self.states(ref),
            *self.values("v"),
            f"equity = cash + {self.sum('v{i}')}",
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
            f"({self.sum('t.{role}')} <= {SHARES_HIGH!r})",
            *(f"(t.{role} >= {SHARE_LOW!r})" for _, role, _ in self.positions),
            *(f"(abs(t.{k}) <= {FLOAT_MAX!r})" for k in controls),
        ]
        return [
            *[f"cash = {ref('CASH')}", *self.states(ref), *self._values(ref), f"drawdown = {ref('DRAWDOWN')}"],
            f"book = Book({', '.join(known[k] for k in s.book._fields)})",
            f"f = Features({', '.join(feature(k) for k in s.features._fields)})",
            *([f"g = Genes({', '.join(gene(k) for k in s.genes._fields)})"] if gene is not None else []),
            f"own = Own({', '.join(ref(f'OWN_{k}') for k in s.state._fields)})",
            "t, own = decide(f, g, book, own)",
            f"{ref('BAND')} = t.band if {' & '.join(checks)} else NAN",
            *(f"{ref(f'T_{role}')} = t.{role}" for _, role, _ in self.positions),
            *(f"{ref(f'T_{k}')} = t.{k}" for k in controls),
            *(f"{ref(f'OWN_{k}')} = {_stored(ref, f'own.{k}')}" for k in s.state._fields),
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
        lines += [f"spare = ({self.sum('a{i}')}) - ({self.sum('w{i}')})"]
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
                lines += [f"s{i} = accrue{i}(s{i}, n{i}, p{i})"]
                lines += [f"{ref(f'S{i}_{k}')} = {_stored(ref, f's{i}.{k}')}" for k in m.state._fields]
        return [*self.states(ref), *lines] if lines else []

    def _valued(self, ref: Reference) -> Lines:
        """`_values`, `inverse`, and the share `h` of every role."""
        shares = [f"h{i} = v{i} * inverse" for i, _, _ in self.positions]
        return [*self._values(ref), f"inverse = {ref('INV')}", *shares]

    def _values(self, ref: Reference) -> Lines:
        """`equity` and the value `v` of every role, as the valuation left them."""
        return [f"equity = {ref('EQUITY')}", *(f"v{i} = {ref(f'VALUE{i}')}" for i, _, _ in self.positions)]
