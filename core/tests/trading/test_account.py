"""A funded agent's account: a mark gives back all of it, and the next interval begins with nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs

from treasury_arena.trading.account import Account

#: Every field with a value that it does not begin with.
LIVED = {
    "agent_id": "a-0001",
    "strategy": "holder",
    "stage": "proving",
    "genome": (0.25,),
    "limits": {"coin": 0.5},
    "coin_limit": 0.5,
    "row": 17,
    "first_row": 3,
    "cash_raw": 700,
    "reserved_raw": 200,
    "positions": {"coin": (5, 7)},
    "accrued_row": {"coin": 16},
    "own": (0.1, -0.0),
    "target": {"coin": 0.5, "band": math.inf},
    "nav": 1.25,
    "base_nav": 1.125,
    "base_raw": 2**80,
    "peak_nav": 1.5,
    "orders_day": 19_000,
    "orders_today": 4,
    "orders": 2,
    "costs_raw": 9,
    "daily_raw": [690, 700],
    "daily_nav": [1.2, 1.25],
    "share_sum": {"coin": 0.9},
    "share_steps": 2,
    "closing": True,
    "fresh": True,
    "told_of_stop": True,
}
#: What counts from one mark to the next.
INTERVAL = {
    "orders": 0,
    "costs_raw": 0,
    "daily_raw": [],
    "daily_nav": [],
    "share_sum": {},
    "share_steps": 0,
    "told_of_stop": False,
}


def marked(account: Account) -> Account:
    """Another process takes the account up from its mark, as the store keeps it; what its agent is, the log says."""
    memory = json.loads(json.dumps(account.memory(), allow_nan=False))
    found = Account("a-0001", "holder", "proving", (0.25,), {"coin": 0.5}, 0.5, -1, 0)
    found.orders, found.costs_raw, found.share_steps, found.told_of_stop = 1, 1, 1, True
    found.daily_raw, found.daily_nav, found.share_sum = [1], [1.0], {"coin": 1.0}
    found.restore(account.cash_raw, account.positions, memory)
    return found


def fields(account: Account) -> dict[str, Any]:
    return {field.name: getattr(account, field.name) for field in attrs.fields(Account)}


def test_a_mark_gives_back_all_of_an_account() -> None:
    account = Account(**LIVED)  # type: ignore[arg-type]
    found = marked(account)
    # Orders under way and a failure are not a mark's: there are none at a cycle's end.
    assert fields(found) == {**fields(account), **INTERVAL, "reserved_raw": 0}
    assert math.copysign(1.0, (found.own or ())[1]) == -1.0
    assert found.positions is not account.positions


def test_only_what_json_does_not_have_is_stored_as_text() -> None:
    memory = Account(**LIVED).memory()  # type: ignore[arg-type]
    assert memory["target"] == {"coin": 0.5, "band": "inf"}


def test_a_mark_of_an_account_that_has_decided_nothing_yet() -> None:
    account = Account("a-0001", "holder", "proving", (0.25,), {"coin": 0.5}, 0.5, 8, 9, cash_raw=50, base_raw=50)
    assert fields(marked(account)) == fields(account)


def test_an_interval_begins_with_nothing() -> None:
    account = Account(**LIVED)  # type: ignore[arg-type]
    account.start_interval()
    assert fields(account) == {**LIVED, **INTERVAL, "interest": {}, "failed": None}


def test_what_is_reserved_is_not_available() -> None:
    assert Account(**LIVED).available_raw == 500  # type: ignore[arg-type]
