"""Reading events that are written as most are: text without escapes, whole numbers, transfers of two lines each.

What a type says of its fields makes a regular expression that proves and takes apart canonical JSON in one pass, several times
as fast as JSON is read and written again. A field of any other type is read as JSON where it stands, and written again.
Whatever has not this shape is left to `treasury_arena.events.exact`, which knows every shape; what is found here is what that
would have found, to the last bit, and where that refuses, nothing is found here.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any

import attrs

from treasury_arena.errors import IntegrityError, ValidationError
from treasury_arena.events.codec import Plan, canonical_json, free_in
from treasury_arena.events.event import Line, Transfer

Match = Callable[..., re.Match[str] | None]
Make = Callable[[Any], Any]

UNREADABLE = (LookupError, TypeError, ValueError, IntegrityError, ValidationError)
"""What taking apart text of another shape may raise."""

TEXT: dict[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    float: float.__repr__,  # of what is no number JSON has no form: it differs from whatever was stored
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
    list: lambda value: canonical_json(value) if value else "[]",
    dict: lambda value: canonical_json(value) if value else "{}",
}
"""Type of a value that was read as JSON -> what writes it as canonical JSON."""

_read = json.JSONDecoder().raw_decode

# Possessive: text of another shape is given up at once, however long it is.
_PLAIN = r"[ !#-\[\]-~]*+"  # ASCII but quote, backslash and control characters: JSON holds it as it is
_WHOLE = r"0|-?[1-9][0-9]{0,98}+"  # far below the number of digits at which Python refuses to read one
_REAL = r"-?[0-9][-+.0-9e]*+"
_LINE = rf'\["({_PLAIN})","({_PLAIN})","({_WHOLE})"\]'
_OVER = r"\]\}\Z"

_transfer = re.compile(rf'\{{"lines":\[{_LINE},{_LINE}\],"reason":"({_PLAIN})"\}}(?:,|({_OVER}))').match


def _real(text: str | None) -> float | None:
    if text is None:
        return None
    number = float(text)
    if float.__repr__(number) != text:
        raise ValueError(f"{text} is not the shortest form of a float")
    return number


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


_FORMS: dict[Any, tuple[str, Make | None]] = {
    str: (f'"({_PLAIN})"', None),
    str | None: (f'(?:"({_PLAIN})"|null)', None),
    int: (f"({_WHOLE})", int),
    int | None: (f"(?:({_WHOLE})|null)", _whole),
    float: (f"({_REAL})", _real),
    float | None: (f"(?:({_REAL})|null)", _real),
    bool: ("(true|false)", "true".__eq__),
}
"""Type of a field -> what its JSON matches, with one group, and what makes the value of what the group holds, if not that."""


@attrs.frozen
class _Shape:
    """How payloads of one class are written.

    Attributes:
        first: matches up to the first field that is JSON of its own, or to the first transfer.
        rest: for each of those fields its reader, None where JSON is all, and what matches from its end on.
        reals: (place, maker) of the fields whose text proves nothing before it was converted.
        others: (place, maker) of those that need not be converted where no payload is made.
        arranged: values in the order of the text -> in the order of the class.
    """

    first: Match
    rest: tuple[tuple[Make | None, Match], ...]
    reals: tuple[tuple[int, Make], ...]
    others: tuple[tuple[int, Make], ...]
    arranged: Callable[[Any], Any]


def _shape(plan: Plan) -> _Shape:
    hints, readers = typing.get_type_hints(plan.cls), {name: into for _, name, into in plan.readers}
    begun, parts, nested = r'\{"payload":\{', [], []
    reals: list[tuple[int, Make]] = []
    others: list[tuple[int, Make]] = []
    for place, name in enumerate(plan.ordered):
        form, make = _FORMS.get(hints[name], (None, None))
        if name in readers:  # base units, which are text, and free fields
            form, make = (f'"({_WHOLE})"', int) if hints[name] is int else (None, None)
        begun += f'{"," if place else ""}"{name}":{form or ""}'
        if form is None:
            parts.append(begun)
            nested.append(readers.get(name))
            begun = ""
        elif make is not None:
            (reals if make is _real else others).append((place, make))
    parts.append(rf'{begun}\}},"transfers":\[({_OVER})?+')
    first, *later = (re.compile(part).match for part in parts)
    order = [plan.ordered.index(name) for name in plan.fields]
    arranged = itemgetter(*order) if len(order) > 1 else tuple
    return _Shape(first, tuple(zip(nested, later, strict=True)), tuple(reals), tuple(others), arranged)


_shapes: dict[type, _Shape] = {}


def read_usual(plan: Plan, data: str, wanted: bool) -> tuple[Any, tuple[Transfer, ...]] | None:
    """Payload and transfers of `data` as `read_exact` gives them, or None for what that must look at."""
    shape = _shapes.get(plan.cls)
    if shape is None:
        shape = _shapes[plan.cls] = _shape(plan)
    try:
        found = shape.first(data)
        if found is None:
            return None
        values = [*found.groups()]
        for into, match in shape.rest:
            start = found.end()
            value, end = _read(data, start)
            text = data[start:end]
            if TEXT[type(value)](value) != text:
                return None
            if into is not None and (into is not free_in or '_raw":' in text):
                value = into(value)
            found = match(data, end)
            if found is None:
                return None
            values += value, *found.groups()
        for place, make in shape.reals:
            values[place] = make(values[place])
    except UNREADABLE:
        return None
    transfers = () if values.pop() else _transfers(data, found.end())
    if transfers is None:
        return None
    if not wanted:
        return None, transfers
    for place, make in shape.others:
        values[place] = make(values[place])
    return plan.cls(*shape.arranged(values)), transfers


def _transfers(data: str, place: int) -> tuple[Transfer, ...] | None:
    transfers = []
    while (found := _transfer(data, place)) is not None:
        account, asset, amount, other, its_asset, its_amount, reason, over = found.groups()
        transfers.append(Transfer(reason, (Line(account, asset, int(amount)), Line(other, its_asset, int(its_amount)))))
        if over is not None:
            return tuple(transfers)
        place = found.end()
    return None
