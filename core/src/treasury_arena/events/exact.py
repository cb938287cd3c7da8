"""Reading stored data that must be, to the letter, what the codec writes: proven canonical and decoded in one pass.

Most events are read by `treasury_arena.events.usual`; here is how any event is. Canonical JSON is proven by writing what was read
again. The fields of a payload are known, so their order is compared and their values are written into a frame, which is several
times as fast as a general encoder that sorts keys.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from typing import Any

from treasury_arena.events.codec import Plan, free_in, plan_named
from treasury_arena.events.event import Line, Transfer
from treasury_arena.events.usual import TEXT, UNREADABLE, read_usual

_read = json.JSONDecoder().raw_decode
_CONTENT = ("payload", "transfers")
_TRANSFER = ("lines", "reason")


def read_exact(
    event_type: str, version: int, data: str, wanted: bool = True
) -> tuple[Any, tuple[Transfer, ...]] | None:
    """Payload and transfers of `data` as `decode_data` gives them, or None unless `encode_data` writes exactly this text.

    None says that this pass does not vouch for it, not that it is wrong: so are events of earlier versions. A payload that is
    not `wanted` is proven all the same, but not made: None stands in its place.
    """
    plan = plan_named(event_type)
    if plan is None or version != plan.version:
        return None
    return read_usual(plan, data, wanted) or read_any(plan, data, wanted)


def read_any(plan: Plan, data: str, wanted: bool) -> tuple[Any, tuple[Transfer, ...]] | None:
    """`read_exact` for text of every shape."""
    try:
        content, end = _read(data)
        values, moved = content["payload"], content["transfers"]
        if end != len(data) or (*content,) != _CONTENT or (*values,) != plan.ordered:
            return None
        texts = [TEXT[type(value)](value) for value in values.values()]
        text = plan.frame % tuple(texts)
        if not moved:
            if data != f'{{"payload":{text},"transfers":[]}}' or type(moved) is not list:
                return None
            transfers: tuple[Transfer, ...] = ()
        else:
            transfers, told = _transfers(moved)
            if data != f'{{"payload":{text},"transfers":[{told}]}}':
                return None
        for place, name, into in plan.readers:
            if into is not free_in or '_raw":' in texts[place]:  # without such a key nothing below a free field changes
                values[name] = into(values[name])
    except UNREADABLE:
        return None
    return (plan.cls(**values) if wanted else None), transfers


def _transfers(moved: list[dict[str, Any]]) -> tuple[tuple[Transfer, ...], str]:
    """The transfers, and their canonical JSON without the brackets around them; raises for what has another shape."""
    quoted = encode_basestring_ascii
    found, texts = [], []
    for item in moved:
        if tuple(item) != _TRANSFER:
            raise ValueError("a transfer has other keys")
        lines, told = [], []
        for account, asset, text in item["lines"]:
            amount = int(text)
            if str(amount) != text:
                raise ValueError("an amount is not decimal text")
            lines.append(Line(account, asset, amount))
            told.append(f'[{quoted(account)},{quoted(asset)},"{text}"]')
        reason = item["reason"]
        found.append(Transfer(reason, tuple(lines)))
        texts.append(f'{{"lines":[{",".join(told)}],"reason":{quoted(reason)}}}')
    return tuple(found), ",".join(texts)
