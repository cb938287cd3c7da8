# ruff: noqa: RUF009  the calls in class bodies make attrs fields
"""The generic reader: every supported type on both sides, secrets, files, syntax errors, plugin sections."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.config.keys import Secret, database_url, dereference, key
from treasury_arena.config.read import read_toml, taken_sections
from treasury_arena.errors import ConfigError


@attrs.frozen
class Inner:
    x: int = 1
    y: float = key(0.5, "y", attrs.validators.lt(1.0))


@attrs.frozen(kw_only=True)
class Everything:
    whole: int = 0
    number: float = 0.0
    flag: bool = False
    text: str = ""
    path: Path = Path()
    day: datetime.date = datetime.date(2024, 1, 1)
    money: Decimal = Decimal(0)
    word: Literal["one", "two", 3] = "one"
    maybe: float | None = None
    either: int | Literal["off"] = 0
    anything: Any = None
    inner: Inner = attrs.Factory(Inner)
    inners: list[Inner] = attrs.Factory(list)
    words: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    numbers: dict[str, float] = attrs.Factory(dict)
    named: dict[str, Inner] = attrs.Factory(dict)
    token: Secret | None = key(None, "A token.", secret=True)


RIGHT: list[tuple[str, Any]] = [
    ("whole = 3", 3),
    ("number = 3", 3.0),
    ("number = 2.5", 2.5),
    ("flag = true", True),
    ('text = "a"', "a"),
    ('path = "a/b"', Path("a/b")),
    ("day = 2024-02-29", datetime.date(2024, 2, 29)),
    ('day = "2024-02-29"', datetime.date(2024, 2, 29)),
    ("money = 0.1", Decimal("0.1")),
    ('money = "0.10"', Decimal("0.10")),
    ("money = 12", Decimal(12)),
    ("word = 3", 3),
    ('word = "two"', "two"),
    ("maybe = 1", 1.0),
    ('either = "off"', "off"),
    ("either = 7", 7),
    ("anything = [1, 2.5, { a = 0.5 }]", [1, 2.5, {"a": 0.5}]),
    ("inner.x = 2", Inner(2)),
    ("inners = [{ x = 2 }, {}]", [Inner(2), Inner()]),
    ('words = ["a", "b"]', ("a", "b")),
    ('pair = [1, "a"]', (1, "a")),
    ("numbers = { a = 1, b = 2.5 }", {"a": 1.0, "b": 2.5}),
    ("[named.a]\nx = 5", {"a": Inner(5)}),
    ('token = "env:TOKEN"', Secret("env:TOKEN")),
]


@pytest.mark.parametrize(("text", "value"), RIGHT, ids=[text for text, _ in RIGHT])
def test_right_values(text: str, value: Any) -> None:
    reading = read_toml(text, Everything)
    assert reading.problems == []
    read = getattr(reading.settings, text.strip("[").split(" ", 1)[0].split(".")[0])
    assert read == value
    assert type(read) is type(value)


WRONG = [
    ("whole = true", "whole: is true; expected a whole number"),
    ("whole = 1.0", "whole: is the number 1.0; expected a whole number"),
    ('number = "1"', 'number: is the text "1"; expected a number'),
    ("number = true", "number: is true; expected a number"),
    ("number = inf", "number: is Infinity; expected a finite number"),
    ("number = 1e400", "number: is 1E+400; expected a finite number"),
    ("number = nan", "number: is NaN; expected a finite number"),
    ("flag = 1", "flag: is the number 1; expected true or false"),
    ("text = 1", "text: is the number 1; expected a text"),
    ('path = ""', 'path: is the text ""; expected a file path'),
    ("day = 12:00:00", "day: is time; expected a day as YYYY-MM-DD"),
    ("money = true", "money: is true; expected an amount, as a number or decimal text"),
    ('money = "1,000"', 'money: is the text "1,000"; expected an amount, as a number or decimal text'),
    ('word = "tow"', 'word: is the text "tow"; expected one of "one", "two", the number 3; did you mean \'two\'?'),
    ("word = true", 'word: is true; expected one of "one", "two", the number 3'),
    ('maybe = "x"', 'maybe: is the text "x"; expected a number'),
    ('either = "on"', 'either: is the text "on"; expected a whole number or "off"'),
    ("anything = [nan]", "anything[0]: is NaN; expected a finite number"),
    ("inner = 3", "inner: is the number 3; expected a table of x, y"),
    ("inner.z = 3", "inner.z: unknown key; known: x, y"),
    ("inner.y = 1", "inner.y: is 1.0; expected < 1.0"),
    ("inners = {}", "inners: is a table; expected a list"),
    ("inners = [{ x = 'a' }]", 'inners[0].x: is the text "a"; expected a whole number'),
    ("words = [1]", "words[0]: is the number 1; expected a text"),
    ("pair = [1]", "pair: has 1 items; expected 2"),
    ('pair = ["a", 1]', 'pair[0]: is the text "a"; expected a whole number'),
    ("numbers = { a = 'x' }", 'numbers.a: is the text "x"; expected a number'),
    ("numbers = []", "numbers: is a list; expected a table of name = a number"),
    ("named = { a = 1 }", "named.a: is the number 1; expected a table of x, y"),
    ('token = "hunter2"', 'token: must not hold the secret itself; expected a reference, "env:NAME" or "file:PATH"'),
    ("token = 5", 'token: must not hold the secret itself; expected a reference, "env:NAME" or "file:PATH"'),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text for text, _ in WRONG])
def test_wrong_values(text: str, said: str) -> None:
    assert str(read_toml(text, Everything).problems[0]) == f"<text>:1: {said}"


def test_a_key_that_could_not_be_read_keeps_its_default_beside_the_others() -> None:
    reading = read_toml("whole = 'x'\nnumber = 2\ninner.y = 3", Everything)
    assert (reading.settings.whole, reading.settings.number, reading.settings.inner.y) == (0, 2.0, 0.5)
    assert len(reading.problems) == 2


@settings(deadline=None)
@given(st.dates())
def test_every_date_reads_as_date_and_as_text(day: datetime.date) -> None:
    assert read_toml(f"day = {day.isoformat()}", Everything).settings.day == day
    assert read_toml(f'day = "{day.isoformat()}"', Everything).settings.day == day


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_amounts_are_exact_as_numbers_and_as_text(amount: Decimal) -> None:
    assert read_toml(f"money = {amount:f}", Everything).settings.money == amount
    assert read_toml(f'money = "{amount:f}"', Everything).settings.money == amount


def test_impossible_dates_are_told_beside_other_mistakes() -> None:
    text = "day = 2023-02-29\nwhole = 1.5\n[inner]\nx = 2024-13-01T00:00:00Z"
    assert (
        read_toml("day=2024-1-1", Everything).problems[0].text == 'is the text "2024-1-1"; expected a day as YYYY-MM-DD'
    )
    assert [problem.line for problem in read_toml(text, Everything).problems] == [1, 2, 4]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = \nb = 1", "1:5"),
        ("a = 1\na = 2", "2:"),
        ("[a\n", "1:3"),
        ("a = [1,\n", "2:1"),
        ("a = '\n", "2:1"),
        ("= 1", "1:1"),
    ],
)
def test_syntax_errors_name_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"^<text>:{place}.*: not TOML: "):
        read_toml(text, Everything)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "arena.toml").write_bytes(b"text = '\xff'")
    with pytest.raises(ConfigError, match=r"there is no such file; did you mean 'arena\.toml'\?"):
        read_toml(tmp_path / "arnea.toml", Everything)
    with pytest.raises(ConfigError, match=r"there is no such file; did you mean 'arena\.toml'\?"):
        read_toml(tmp_path / "arena", Everything)
    for name in ("nope.toml", "a.toml", "quickstart.toml"):  # of which .toml alone is like
        with pytest.raises(ConfigError, match=r"there is no such file$"):
            read_toml(tmp_path / name, Everything)
    with pytest.raises(ConfigError, match=r"arena\.toml: byte 8 is not UTF-8 text"):
        read_toml(tmp_path / "arena.toml", Everything)
    with pytest.raises(ConfigError, match="is a folder; expected a file"):
        read_toml(tmp_path, Everything)
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbfwhole = 4\r\nflag = true\r\n")
    assert read_toml(tmp_path / "bom.toml", Everything).settings.whole == 4


def test_numbers_beyond_every_limit_are_refused_in_one_sentence() -> None:
    (problem,) = read_toml("number = 1" + "0" * 400, Everything).problems
    assert problem.text.endswith("expected a finite number")
    with pytest.raises(ConfigError, match="<text>: not TOML: exceeds the limit"):
        read_toml("number = 1" + "0" * 5000, Everything)


def test_deeply_nested_text_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="not TOML"):
        read_toml("anything = " + "[" * 5000 + "]" * 5000, Everything)


@attrs.frozen
class Section:
    size: int = 1


@attrs.frozen
class Needy:
    size: int


def test_plugin_sections_are_read_by_key_path() -> None:
    sections = {"inner.more": Section, "alerts.mail.to": Section, "needy": Needy}
    reading = read_toml("[inner.more]\nsize = 2\n[alerts.mail.to]\nsize = 3", Everything, sections)
    assert reading.problems == []
    assert reading.sections == {"inner.more": Section(2), "alerts.mail.to": Section(3)}
    assert read_toml("", Everything, sections).sections == {"inner.more": Section(), "alerts.mail.to": Section()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[alerts.mial]", "alerts.mial: unknown key; did you mean 'mail'?"),
        ("alerts = 3", "alerts: is the number 3; expected a table"),
        ("alert = 3", "alert: unknown key; did you mean 'alerts'?"),
        ("[inner.mroe]", "inner.mroe: unknown key; did you mean 'more'?"),
        ("inner.more.sise = 3", "inner.more.sise: unknown key; did you mean 'size'?"),
        ("[needy]", "needy.size: is missing; expected a whole number"),
    ],
)
def test_mistakes_in_plugin_sections(text: str, said: str) -> None:
    sections = {"inner.more": Section, "alerts.mail.to": Section, "needy": Needy}
    assert [str(problem) for problem in read_toml(text, Everything, sections).problems] == [f"<text>:1: {said}"]


@pytest.mark.parametrize("path", ["inner", "inner.x", "inner.x.deep", "numbers.more"])
def test_a_plugin_cannot_claim_a_key_of_the_core_and_harms_nobody(path: str) -> None:
    sections = {path: Section, "good": Section}
    assert list(taken_sections(Everything, sections)) == [path]
    reading = read_toml("inner.x = 2\nnumbers.more = 3\ngood.size = 4", Everything, sections)
    assert reading.problems == []
    assert (reading.settings.inner.x, reading.settings.numbers, reading.sections) == (
        2,
        {"more": 3.0},
        {"good": Section(4)},
    )


@attrs.frozen
class Refusing:
    size: int = 1

    def __attrs_post_init__(self) -> None:
        raise ValueError("no size is right")


def test_a_section_that_refuses_its_own_defaults_is_a_problem_of_its_key() -> None:
    (problem,) = read_toml("", Everything, {"bad": Refusing}).problems
    assert str(problem) == "<text>: bad: no size is right"


def test_secrets_are_read_when_asked_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_TOKEN", "hunter2")
    (tmp_path / "token").write_text("hunter3\n", encoding="utf-8")
    settings = read_toml('token = "env:ARENA_TOKEN"', Everything).settings
    assert settings.token.reveal() == "hunter2"
    assert "hunter2" not in repr(settings) + str(settings.token)
    assert Secret(f"file:{tmp_path / 'token'}").reveal() == "hunter3"
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfhunter4\n")
    assert Secret(f"file:{tmp_path / 'marked'}").reveal() == "hunter4"
    assert dereference("sqlite:///x.db") == "sqlite:///x.db"
    with pytest.raises(ConfigError, match="env:ARENA_GONE: the environment variable ARENA_GONE is not set"):
        Secret("env:ARENA_GONE").reveal()
    with pytest.raises(ConfigError, match="the file cannot be read"):
        Secret(f"file:{tmp_path / 'gone'}").reveal()


def test_a_secret_given_in_the_clear_is_not_repeated_in_the_error() -> None:
    assert "hunter2" not in str(read_toml('token = "hunter2"', Everything).problems[0])


@attrs.frozen
class Url:
    url: str = key("", "A database.", database_url)


@pytest.mark.parametrize(
    "url", ["", "sqlite:///a.db", "postgresql://host/db", "postgresql://me@host/db", "env:DB", "file:x"]
)
def test_database_urls_without_a_plain_password_are_taken(url: str) -> None:
    assert read_toml(f'url = "{url}"', Url).settings == Url(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@host/db", "holds a plain password; expected a reference"),
        ("postgresql://me:@host/db", "holds a plain password"),
        ("postgresql://host/db?user=me&password=hunter2", "holds a plain password"),
        ("postgresql://[bad", "is not a database URL"),
        ("arena.db", "expected a database URL, for example sqlite:///arena.db"),
    ],
)
def test_database_urls_that_are_refused(url: str, said: str) -> None:
    (problem,) = read_toml(f'url = "{url}"', Url).problems
    assert said in problem.text
    assert "hunter2" not in str(problem)
