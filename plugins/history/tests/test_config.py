"""The section's own refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from treasury_arena_history.config import HistorySection, Series

Price = Callable[..., Series]
NO_FILE: dict[str, Any] = {"file": None, "value": None, "label": None}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"file": None}, "needs either file or constant"),
        ({"constant": 1.0}, "needs either file or constant"),
        ({"value": None}, "file needs value"),
        ({"label": None}, "file needs label"),
        ({"bar": "1h"}, "bar goes with label = 'open'"),
        ({"label": "open", "bar": "0s"}, "bar goes with label = 'open' and is longer than 0s"),
        ({"file": "/elsewhere/p.parquet"}, "must be relative to the data folder"),
        ({"max_age": "soon"}, "'soon' is not a duration"),
        ({"unit": "usdd"}, "unknown unit 'usdd': did you mean 'usd'"),
        ({"sha256": "12ab"}, "'12ab' is not a sha256"),
        ({"resample": "sum"}, "a sum over time of usd means nothing"),
        ({"gas_units": 1e5}, "needs both gas_units and times"),
        ({"column": "gas.usd", "unit": "gwei"}, "needs both gas_units and times"),
        ({"column": "gas.usd", "unit": "gwei", "gas_units": 1e5}, "needs both gas_units and times"),
        ({"column": "gas.usd", "unit": "gwei", "gas_units": 0.0, "times": "WETH.price"}, "gas_units must be positive"),
        ({"minimum": 2.0, "maximum": 1.0}, "minimum 2.0 is above maximum 1.0"),
        ({"maximum": float("nan")}, "maximum is nan; expected a finite number"),
        ({**NO_FILE, "constant": float("inf")}, "constant is inf; expected a finite number"),
        ({"column": "weth"}, "'weth' is not a column name; expected for example WETH.price"),
        ({"label": "close"}, "label"),
        ({"resample": "median"}, "resample"),
        ({"time_format": "iso"}, "time_format"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(price: Price, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + says.replace("(", r"\(")):
        price(**keys)


def test_a_section_refuses_nothing_two_of_one_and_unknown_factors(price: Price) -> None:
    with pytest.raises(ValueError, match="needs at least one"):
        HistorySection(series=[])
    with pytest.raises(ValueError, match=r"'WETH.price' is made by more than one series"):
        HistorySection(series=[price(), price()])
    with pytest.raises(ValueError, match=r"times = 'WETH.prise' is not a column here; did you mean 'WETH.price'\?"):
        HistorySection(series=[price(), price(column="A.price", times="WETH.prise")])


def test_factors_come_first_and_a_circle_is_refused(price: Price) -> None:
    chain = [
        price(column="C.price", times="B.price"),
        price(column="B.price", times="A.price"),
        price(column="A.price"),
    ]
    assert [series.column for series in HistorySection(series=chain).ordered()] == ["A.price", "B.price", "C.price"]
    with pytest.raises(ValueError, match=r"goes round in a circle: A.price, B.price"):
        HistorySection(series=[price(column="A.price", times="B.price"), price(column="B.price", times="A.price")])
