"""Line numbers: in generated documents every value is the number of its own line, so tomli itself is the oracle."""

from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.config.scanner import KeyPath, key_lines

LEAVES = [
    "LINE",
    "[LINE, LINE]",
    "[\n  LINE, # ] }\n  LINE,\n]",
    "{ in = LINE, dot.ted = LINE }",
    "[{ a = LINE }, { a = LINE }]",
]
NOISE = ["", "# [comment] x = 1", "  # 'quote", "\t"]
STRINGS = [
    '"x = 1 # \\" ]"',
    "'[no.table]'",
    '"""\n[not.a.table]\nkey = 1 \\"""\n"""',
    "'''\nkey = \"\"\n'''",
    '"""two quotes at the end"""""',
    "'''one quote at the end''''",
    "1979-05-27 07:32:00",
    "1979-05-27T07:32:00Z",
    "-1.5e3",
    "true",
]


def leaves(value: Any, path: KeyPath = ()) -> dict[KeyPath, Any]:
    if isinstance(value, dict):
        return {leaf: one for key, item in value.items() for leaf, one in leaves(item, (*path, key)).items()}
    if isinstance(value, list):
        return {leaf: one for at, item in enumerate(value) for leaf, one in leaves(item, (*path, at)).items()}
    return {path: value}


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines: list[str] = []

    def add(text: str) -> None:
        for line in text.split("\n"):
            while "LINE" in line:
                line = line.replace("LINE", str(len(lines) + 1), 1)
            lines.append(line)

    def body() -> None:
        for at in range(draw(st.integers(0, 3))):
            add(draw(st.sampled_from(NOISE)))
            shape = draw(st.sampled_from(["k{}", '"quoted {} . #"', "'literal {}'", "dotted{}.inner", 'd{} . "e\\t"']))
            add(f"{shape.format(at)} = {draw(st.sampled_from(LEAVES))}")
            add(f"s{at} = {draw(st.sampled_from(STRINGS))} # end")

    body()
    for at in range(draw(st.integers(0, 4))):
        kind = draw(
            st.sampled_from(
                ["[t{}]", "[t{}.deep.er]", '[ "q {}" . x ]', "[[rows]]", "[[rows]]\n[rows.sub]", "[[r{}.s]]"]
            )
        )
        add(kind.format(at))
        body()
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))


@settings(deadline=None)
@given(documents())
def test_every_value_is_found_on_its_line(text: str) -> None:
    lines = key_lines(text)
    wanted = {path: value for path, value in leaves(tomli.loads(text)).items() if type(value) is int}
    assert {path: lines[path] for path in wanted} == wanted


def test_tables_are_found_on_the_line_of_their_header() -> None:
    text = "a = 1\n[b.c]\nd = 2\n[[e]]\n[[e]]\nf = [\n 1,\n 2]\n"
    lines = key_lines(text)
    assert (lines["b",], lines["b", "c"], lines["e", 0], lines["e", 1], lines["e", 1, "f"]) == (2, 2, 4, 5, 6)
    assert (lines["e", 1, "f", 0], lines["e", 1, "f", 1]) == (7, 8)


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        key_lines("a = 1\nb = 'x\n")
