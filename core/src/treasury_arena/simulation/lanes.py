"""What a block's lanes need that numba cannot say of an array: a row gathered by vectors, and which lanes wait for a trade.

Each is LLVM's own instructions where generated modules name it; importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types as nb_types
from numba.extending import intrinsic

from treasury_arena.simulation.layout import LANES

nb: Any = nb_types
IR: Any = ir
DOUBLE, LONG, INT, BIT = IR.DoubleType(), IR.IntType(64), IR.IntType(32), IR.IntType(1)
#: Values that are put side by side before they are stored: four scalar stores cost as much as four vectors.
WIDTH = 4


def _data(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Pointer to element `at` of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@intrinsic
def gather_row(typing: Any, st: Any, row: Any, picks: Any, first: Any, table: Any, at: Any) -> Any:
    """`st[row + j] = table[at + picks[first + j]]` for every lane j. Positions are not checked, as nowhere in a kernel."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        to = _data(context, builder, kinds[0], arguments[0], arguments[1])
        index = _data(context, builder, kinds[2], arguments[2], arguments[3])
        source = _data(context, builder, kinds[4], arguments[4], arguments[5])
        vector = IR.VectorType(DOUBLE, WIDTH)
        for lane in range(0, LANES, WIDTH):
            values = IR.Constant(vector, IR.Undefined)
            for k in range(WIDTH):
                pick = builder.load(builder.gep(index, [LONG(lane + k)]))
                values = builder.insert_element(values, builder.load(builder.gep(source, [pick])), INT(k))
            builder.store(values, builder.bitcast(builder.gep(to, [LONG(lane)]), vector.as_pointer()), align=8)
        return context.get_dummy_value()

    return nb.void(st, row, picks, first, table, at), generate


@intrinsic
def waiting(typing: Any, st: Any, row: Any) -> Any:
    """Bit j is set where `st[row + j] != 0.0`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _data(context, builder, signature.args[0], *arguments)
        vector = IR.VectorType(DOUBLE, LANES)
        values = builder.load(builder.bitcast(start, vector.as_pointer()), align=8)
        set_ = builder.fcmp_unordered("!=", values, IR.Constant(vector, [0.0] * LANES))
        return builder.zext(builder.bitcast(set_, IR.IntType(LANES)), LONG)

    return nb.uint64(st, row), generate


@intrinsic
def first_lane(typing: Any, lanes: Any) -> Any:
    """Number of the lowest bit that is set; one is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], BIT(1))

    return nb.int64(nb.uint64), generate


@intrinsic
def without_first(typing: Any, lanes: Any) -> Any:
    """The bits but the lowest that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(arguments[0], builder.sub(arguments[0], LONG(1)))

    return nb.uint64(nb.uint64), generate
