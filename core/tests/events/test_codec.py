"""Payloads to canonical JSON and back, hashing, upcasters."""

from __future__ import annotations

import inspect
import json
import math
import time
import typing
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import IntegrityError, StoreError, ValidationError
from treasury_arena.events import catalog, codec, daemon, live, upcasters
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.events.exact import read_any, read_exact
from treasury_arena.events.hashing import GENESIS, digests, encode_drafts, seal
from treasury_arena.events.usual import read_usual

NOON = "2024-01-01T12:00:00Z"
PAYLOADS = [cls for module in (catalog, live, daemon) for _, cls in inspect.getmembers(module, attrs.has)]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5).map(lambda s: s + "x"), inner, max_size=3)
    ),
    max_leaves=6,
)


PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=8)


def values(hint: Any, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    simple = {
        str: text,
        int: st.integers(-(2**90), 2**90),
        float: FINITE,
        Any: JSON,
        type(None): st.none(),
    }
    if hint in simple:
        return simple[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return st.lists(values(args[0], text), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5).map(lambda s: s + "x"), values(args[1], text), max_size=3)
    return st.one_of([values(arg, text) for arg in args])


@st.composite
def payloads(draw: st.DrawFn, text: st.SearchStrategy[str] = st.text(max_size=8)) -> Any:  # noqa: B008 (a strategy holds no state)
    cls = draw(st.sampled_from(PAYLOADS))
    hints = typing.get_type_hints(cls)
    return cls(**{field.name: draw(values(hints[field.name], text)) for field in attrs.fields(cls)})


def floats(value: Any) -> list[float]:
    """Every float in a payload, dicts by sorted key: equality alone would let a negative zero pass."""
    if attrs.has(type(value)):
        return [x for field in attrs.fields(type(value)) for x in floats(getattr(value, field.name))]
    if isinstance(value, dict):
        return [x for key in sorted(value) for x in floats(value[key])]
    if isinstance(value, list):
        return [x for item in value for x in floats(item)]
    return [value] if isinstance(value, float) else []


TRANSFERS = st.lists(
    st.builds(
        Transfer,
        st.text(max_size=5),
        st.lists(st.builds(Line, st.text(max_size=5), st.text(max_size=4), st.integers()), max_size=3).map(tuple),
    ),
    max_size=2,
).map(tuple)


def test_every_payload_of_the_catalog_has_a_version_and_nothing_else_has() -> None:
    assert set(codec.VERSIONS) == {cls.__name__ for cls in PAYLOADS}
    assert codec.names() == sorted(codec.VERSIONS)


@given(payloads(), TRANSFERS)
def test_what_is_encoded_is_decoded_exactly_and_canonically(payload: Any, transfers: tuple[Transfer, ...]) -> None:
    name, version, data = codec.encode_data(payload, transfers)
    assert (name, version) == (type(payload).__name__, codec.VERSIONS[name])
    again, moved = codec.decode_data(name, version, data)
    assert again == payload
    assert [str(sign) for sign in floats(again)] == [str(sign) for sign in floats(payload)]
    assert moved == transfers
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
    assert data.isascii()
    _, _, fields = codec.encode(payload)
    assert codec.canonical_json(json.loads(data)["payload"]) == codec.canonical_json(fields)


def test_base_units_are_text_wherever_they_stand() -> None:
    mark = catalog.AgentMarked(1, 2, 2**70, -1, {"r": ["5"]}, {"peak_raw": [3, {"a": 4}], "n": 3}, [1, 2], {}, 1, 0)
    _, _, data = codec.encode_data(mark, (Transfer("x", (Line("gas", "ETH", -(2**64)),)),))
    stored = json.loads(data)
    assert stored["payload"]["equity_raw"] == str(2**70)
    assert stored["payload"]["daily_raw"] == ["1", "2"]
    assert stored["payload"]["memory"] == {"peak_raw": ["3", {"a": "4"}], "n": 3}
    assert stored["transfers"] == [{"lines": [["gas", "ETH", str(-(2**64))]], "reason": "x"}]
    assert codec.decode_data("AgentMarked", 1, data)[0] == mark


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_place(value: float) -> None:
    payload = catalog.AgentSpawned("s", 1, 2, [0.5, value], {}, [], None, {}, "seed")
    with pytest.raises(ValidationError, match=r"AgentSpawned\.genome\[1\] cannot be stored: .* not a finite number"):
        codec.encode_data(payload, ())


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (catalog.CapitalAllocated("p", 1.5, "r"), r"CapitalAllocated.amount_raw: float 1.5 is not a whole number"),
        (catalog.CapitalAllocated("p", True, "r"), r"bool True is not a whole number"),
        (catalog.AgentFailed("k", b"bytes"), r"AgentFailed.reason .*bytes"),
        (catalog.AgentKilled("k", "r", {1: 2.0, "a": 1.0}), r"key 1 is not text"),
        (catalog.AgentMarked(1, 2, 1, 1, {}, {"a_raw": "12"}, [], {}, 1, 1), "would come back as a number"),
        ("text", "str is not an event of the catalog"),
    ],
)
def test_payloads_that_cannot_be_stored(payload: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        codec.encode_data(payload, ())


def test_a_line_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="not a whole number"):
        codec.encode_data(catalog.AgentFailed("k", "r"), (Transfer("x", (Line("gas", "ETH", 0.5),)),))  # type: ignore[arg-type]


GOOD = '{"payload":{"kind":"k","reason":"r"},"transfers":[]}'


@pytest.mark.parametrize(
    ("name", "version", "data", "error", "message"),
    [
        ("AgentFaild", 1, GOOD, IntegrityError, "did you mean 'AgentFailed'"),
        ("AgentFailed", 2, GOOD, StoreError, "version 2 but this program knows versions up to 1"),
        ("AgentFailed", 0, GOOD, IntegrityError, "no upcaster leads to version 1"),
        ("AgentFailed", 1, "{", IntegrityError, "cannot be read"),
        ("AgentFailed", 1, "[]", IntegrityError, "cannot be read"),
        ("AgentFailed", 1, '{"payload":[],"transfers":[]}', IntegrityError, "cannot be read"),
        ("AgentFailed", 1, '{"payload":{"kind":"k"},"transfers":[]}', IntegrityError, r"lacks \['reason'\]"),
        (
            "RunCompleted",
            1,
            '{"payload":{"cycle":1,"row":1,"capital_raw":"01"},"transfers":[]}',
            IntegrityError,
            "decimal text",
        ),
    ],
)
def test_stored_data_that_is_not_what_the_codec_writes(
    name: str, version: int, data: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        codec.decode_data(name, version, data)


def test_upcasters_chain_from_the_oldest_version() -> None:
    upcasters.register("AgentFailed", -1, lambda old: {"what": old["text"]})
    upcasters.register("AgentFailed", 0, lambda old: {"kind": "raised", "reason": old["what"]})
    try:
        payload, _ = codec.decode_data("AgentFailed", -1, '{"payload":{"text":"boom"},"transfers":[]}')
        assert payload == catalog.AgentFailed("raised", "boom")
        with pytest.raises(ValueError, match="registered already"):
            upcasters.register("AgentFailed", 0, lambda old: old)
    finally:
        upcasters.unregister("AgentFailed", -1)
        upcasters.unregister("AgentFailed", 0)


def test_equal_drafts_have_equal_ids_and_every_field_changes_the_hash() -> None:
    base = Draft(catalog.AgentFailed("k", "r"), NOON, "a1", (), None)
    others = [
        attrs.evolve(base, timestamp="2024-01-01T12:00:01Z"),
        attrs.evolve(base, agent_id=None),
        attrs.evolve(base, agent_id="~"),
        attrs.evolve(base, caused_by="00"),
        attrs.evolve(base, payload=catalog.AgentFailed("k", "s")),
        attrs.evolve(base, transfers=(Transfer("x", ()),)),
    ]

    def sealed(draft: Draft, seq: int = 0, prev: str = GENESIS) -> tuple[str, str]:
        event = seal([draft], encode_drafts([draft]), seq, prev)[0]
        row = (
            event.event_type,
            event.version,
            event.agent_id,
            event.timestamp,
            event.data,
            event.caused_by,
            event.prev_hash,
        )
        assert digests(event.seq, *row) == (event.event_id, event.hash)
        return event.event_id, event.hash

    assert sealed(base) == sealed(attrs.evolve(base))
    every = [sealed(draft) for draft in (base, *others)] + [sealed(base, 1), sealed(base, 0, "0" * 64)]
    assert len({event_id for event_id, _ in every}) == len({own for _, own in every}) == len(every)


@given(st.lists(payloads().map(lambda payload: Draft(payload, NOON)), min_size=1, max_size=5), st.data())
def test_a_chain_does_not_depend_on_where_it_is_cut(drafts: list[Draft], data: st.DataObject) -> None:
    whole = seal(drafts, encode_drafts(drafts), 0, GENESIS)
    cut = data.draw(st.integers(0, len(drafts)))
    first = seal(drafts[:cut], encode_drafts(drafts[:cut]), 0, GENESIS)
    last = (first[-1].seq, first[-1].hash) if first else (0, GENESIS)
    assert repr(first + seal(drafts[cut:], encode_drafts(drafts[cut:]), *last)) == repr(whole)


@pytest.mark.parametrize(
    ("timestamp", "good"),
    [
        (NOON, True),
        ("2024-01-01T12:00:00.5Z", True),
        ("2024-01-01T12:00:00.123456Z", True),
        ("2024-01-01T12:00:00.1234567Z", False),
        ("2024-01-01T12:00:00+00:00", False),
        ("2024-01-01T12:00:00Z\n", False),
        ("2024-01-01", False),
        ("", False),
    ],
)
def test_timestamps_have_one_form(timestamp: str, good: bool) -> None:
    drafts = [Draft(catalog.AgentFailed("k", "r"), timestamp)]
    if good:
        assert seal(drafts, encode_drafts(drafts), 0, GENESIS)[0].timestamp == timestamp
    else:
        with pytest.raises(ValidationError, match="draft 0: timestamp"):
            encode_drafts(drafts)


# -- reading exactly

LINES = st.builds(Line, st.text(max_size=6), st.text(max_size=4), st.integers(-(2**90), 2**90))
TRANSFERS = st.lists(st.builds(Transfer, st.text(max_size=6), st.lists(LINES, max_size=3).map(tuple)), max_size=2).map(
    tuple
)


@given(payload=payloads(), transfers=TRANSFERS)
def test_whatever_is_written_is_read_as_the_codec_reads_it(payload: Any, transfers: tuple[Transfer, ...]) -> None:
    name, version, data = codec.encode_data(payload, transfers)
    read = read_exact(name, version, data)
    assert read is not None
    assert repr(read) == repr(codec.decode_data(name, version, data))
    assert read_exact(name, version, data, wanted=False) == (None, transfers)


@given(payload=payloads(), transfers=TRANSFERS, data=st.data())
def test_any_changed_character_is_read_as_the_codec_reads_it_or_not_at_all(
    payload: Any, transfers: tuple[Transfer, ...], data: st.DataObject
) -> None:
    name, version, text = codec.encode_data(payload, transfers)
    place = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from([*' "\\,:{}[]0123456789eE+-.ntfu/_', "", "ä", "\n", "\u0661"]))
    other = text[:place] + sign + text[place + data.draw(st.integers(0, 2)) :]
    read = read_exact(name, version, other)
    if read is not None:
        assert codec.canonical_json(json.loads(other)) == other
        assert repr(read) == repr(codec.decode_data(name, version, other))


# -- reading what is usual

PAIR = st.tuples(*[st.builds(Line, PLAIN, PLAIN, st.integers(-(2**90), 2**90))] * 2)
PAIRS = st.lists(st.builds(Transfer, PLAIN, PAIR), max_size=3).map(tuple)


@given(payload=payloads(PLAIN), transfers=PAIRS, wanted=st.booleans())
def test_what_is_usual_is_read_at_once_and_as_everything_is(
    payload: Any, transfers: tuple[Transfer, ...], wanted: bool
) -> None:
    name, _, data = codec.encode_data(payload, transfers)
    plan = codec.plan_named(name)
    assert plan is not None
    read = read_usual(plan, data, wanted)
    assert read is not None
    assert repr(read) == repr(read_any(plan, data, wanted))


@given(payload=payloads(PLAIN), transfers=PAIRS, data=st.data())
def test_what_was_changed_anywhere_is_never_read_as_something_else(
    payload: Any, transfers: tuple[Transfer, ...], data: st.DataObject
) -> None:
    name, _, text = codec.encode_data(payload, transfers)
    plan = codec.plan_named(name)
    assert plan is not None
    for _ in range(5):
        place = data.draw(st.integers(0, len(text) - 1))
        sign = data.draw(
            st.sampled_from([*' "\\,:{}[]0123456789eE+-.ntfu/_', "", "ä", "\n", "\x7f", "null", "-0", "[]"])
        )
        other = text[:place] + sign + text[place + data.draw(st.integers(0, 4)) :]
        read = read_usual(plan, other, True)
        if read is not None:
            assert repr(read) == repr(read_any(plan, other, True))


@given(payload=payloads(PLAIN), data=st.data())
def test_a_value_of_another_type_is_read_as_everything_is(payload: Any, data: st.DataObject) -> None:
    name, _, text = codec.encode_data(payload, ())
    plan = codec.plan_named(name)
    assert plan is not None
    content = json.loads(text)
    content["payload"][data.draw(st.sampled_from(plan.fields))] = data.draw(JSON)
    other = codec.canonical_json(content)
    read = read_usual(plan, other, True)
    if read is not None:
        assert repr(read) == repr(read_any(plan, other, True))


def test_text_that_almost_fits_is_given_up_at_once() -> None:
    plan = codec.plan_named("IntentReserved")
    assert plan is not None
    begun = time.perf_counter()
    for part in ('{"payload":{"chain_id":' + "1" * 10**6, '{"payload":{"chain_id":1,"control":[' + "1.5," * 10**5):
        assert read_exact("IntentReserved", 1, part) is None
    for much in ("x" * 10**6, '\\"' * 10**5):
        read_exact("AgentFailed", 1, '{"payload":{"kind":"' + much + '","reason":"' + much)
    assert time.perf_counter() - begun < 5
