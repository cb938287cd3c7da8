"""The README's key and unit reference is complete, and its example works."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from treasury_arena_history.config import HistorySection, Series
from treasury_arena_history.units import UNITS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Series)])
def test_every_key_has_its_row_and_help(field: str) -> None:
    help = attrs.fields_dict(Series)[field].metadata["help"]
    row = re.search(rf"^\| `{field}` \|.*$", README, re.MULTILINE)
    assert row is not None
    assert help in row.group()


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_every_unit_has_its_row(unit: str) -> None:
    assert re.search(rf"^\| .*`{unit}`.* \|", README, re.MULTILINE)


def test_nothing_but_the_keys_is_in_the_key_table() -> None:
    table = README.split("## Keys of a series")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {field.name for field in attrs.fields(Series)}


def test_the_series_of_the_readme_are_a_valid_section() -> None:
    import tomli

    blocks = [block for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "source.history" in block]
    assert blocks
    for block in blocks:
        entries = tomli.loads(block)["source"]["history"]["series"]
        assert HistorySection(series=[Series(**entry) for entry in entries]).ordered()
