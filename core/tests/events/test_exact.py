"""Reading exactly: what the codec does not write is not accepted. That it reads what the codec reads is in test_codec."""

from __future__ import annotations

import pytest

from treasury_arena.events import catalog as c
from treasury_arena.events.codec import decode_data, encode_data
from treasury_arena.events.exact import read_exact

FAILED = '{"payload":{"kind":"raised","reason":"r"},"transfers":[]}'
MOVED = '{"payload":{"kind":"raised","reason":"r"},"transfers":[{"lines":[["gas","USDC","5"]],"reason":"x"}]}'
NOT_WRITTEN = {
    "a space": FAILED.replace(",", ", "),
    "a space at the end": FAILED + " ",
    "something after it": FAILED + "{}",
    "nothing": "",
    "no object": "[]",
    "no payload": '{"transfers":[]}',
    "another order": '{"transfers":[],"payload":{"kind":"raised","reason":"r"}}',
    "fields in another order": FAILED.replace('"kind":"raised","reason":"r"', '"reason":"r","kind":"raised"'),
    "a field too many": FAILED.replace('"r"', '"r","s":1'),
    "a field too few": FAILED.replace(',"reason":"r"', ""),
    "a field twice": FAILED.replace('"r"', '"r","reason":"r"'),
    "a key too many": FAILED.replace("[]}", '[],"zzz":1}'),
    "a letter that is escaped": FAILED.replace('"r"', '"\\u0072"'),
    "a slash that is escaped": FAILED.replace('"r"', '"\\/"'),
    "a letter beyond ASCII": FAILED.replace('"r"', '"ä"'),
    "not a number": FAILED.replace('"r"', "NaN"),
    "infinity": FAILED.replace('"r"', "-Infinity"),
    "a float in another form": FAILED.replace('"r"', "1.50"),
    "an exponent in another form": FAILED.replace('"r"', "1e16"),
    "minus nothing": FAILED.replace('"r"', "-0"),
    "nested keys in another order": FAILED.replace('"r"', '{"b":1,"a":2}'),
    "nested space": FAILED.replace('"r"', "[1, 2]"),
    "transfers are an object": FAILED.replace("[]", "{}"),
    "transfers are null": FAILED.replace("[]", "null"),
    "transfers are empty text": FAILED.replace("[]", '""'),
    "an amount that is a number": MOVED.replace('"5"', "5"),
    "an amount with a zero before it": MOVED.replace('"5"', '"05"'),
    "an amount with a plus": MOVED.replace('"5"', '"+5"'),
    "minus zero": MOVED.replace('"5"', '"-0"'),
    "an amount with an underscore": MOVED.replace('"5"', '"1_0"'),
    "an amount of other digits": MOVED.replace('"5"', '"\\u0665"'),
    "a line too short": MOVED.replace(',"5"', ""),
    "a line of text": MOVED.replace('["gas","USDC","5"]', '"abc"'),
    "a transfer's keys in another order": MOVED.replace(
        '{"lines":[["gas","USDC","5"]],"reason":"x"}', '{"reason":"x","lines":[["gas","USDC","5"]]}'
    ),
    "a reason that is none": MOVED.replace('"x"', "null"),
    "an asset that is none": MOVED.replace('"USDC"', "null"),
}


@pytest.mark.parametrize("case", NOT_WRITTEN)
def test_what_the_codec_does_not_write_is_not_vouched_for(case: str) -> None:
    assert read_exact("AgentFailed", 1, FAILED) == (c.AgentFailed("raised", "r"), ())
    assert read_exact("AgentFailed", 1, MOVED) is not None
    assert read_exact("AgentFailed", 1, NOT_WRITTEN[case]) is None


def test_base_units_are_decimal_text_and_nothing_else() -> None:
    name, version, data = encode_data(c.CapitalAllocated("arena", 2**80, "rank"), ())
    assert read_exact(name, version, data) == (c.CapitalAllocated("arena", 2**80, "rank"), ())
    for other in ("5", '"05"', "null", '"five"', '["5",1]', "1.5"):
        assert read_exact(name, version, data.replace(f'"{2**80}"', other)) is None, other


def test_a_key_that_only_looks_like_base_units_stays_text() -> None:
    for config in ({"a_raw": 7}, {"x": '_raw":'}, {"x": "a_raw"}, {"deep": [{"b_raw": [2**70, {"c": -1}]}]}):
        opened = c.ArenaOpened("t", 7, "owner", config, "h", "USDC", {"USDC": 6}, {}, "f", "a", "b")
        name, version, data = encode_data(opened, ())
        assert read_exact(name, version, data) == (opened, ()) == decode_data(name, version, data)


def test_other_names_and_versions_are_not_vouched_for() -> None:
    assert read_exact("AgentFailed", 2, FAILED) is None
    assert read_exact("AgentFailed", 0, FAILED) is None
    assert read_exact("Nothing", 1, FAILED) is None
