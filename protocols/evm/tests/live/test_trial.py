"""A try and its questions, answered by a node made of words: what counts as an answer, and why a try was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.errors import ChainUnavailableError
from treasury_arena_evm.live.trial import Asked, Trial, word_of
from treasury_arena_evm.transport import NodeError

ME, TOKEN = "0x" + "11" * 20, "0x" + "22" * 20
TRIED = Unsigned(1, ME, 7, TOKEN, 3, "0xabcd", 90_000, Fees(9, 1))
OK, NO = "0x1", "0x0"


def words(*values: int) -> str:
    return "0x" + "".join(f"{value:064x}" for value in values)


def told(data: str, status: str = OK, **more: Any) -> dict[str, Any]:
    return {"status": status, "returnData": data, **more}


@attrs.define
class Spoken:
    """Nodes that give these answers one after another, until one can be read."""

    answers: list[Any]
    asked: list[tuple[Any, ...]] = attrs.field(factory=list)

    def ask(self, *call: Any, read: Callable[[Any], Any]) -> Any:
        self.asked.append(call)
        for answer in self.answers:
            if isinstance(answer, Exception):
                raise answer
            try:
                return read(answer)
            except (KeyError, TypeError, ValueError):
                continue
        raise ChainUnavailableError("no node answers")


BEFORE = {"held": Asked(TOKEN, "balanceOf(address)", ME), "token1": Asked(TOKEN, "positions(uint256)", 5, place=3)}
AFTER = {"held": BEFORE["held"]}


def tried(*calls: list[dict[str, Any]]) -> tuple[Trial, Spoken]:
    nodes = Spoken([[{"calls": one}] for one in calls])
    trial = Trial(nodes, TRIED, BEFORE, AFTER)  # type: ignore[arg-type]
    trial.run()
    return trial, nodes


GOOD = [told(words(9)), told(words(1, 2, 3, 4)), told("0x"), told(words(6))]


def test_questions_stand_before_and_behind_the_exact_transaction() -> None:
    trial, nodes = tried(GOOD)
    assert (trial.reason, trial.before, trial.after, trial.unanswered) == (
        None,
        {"held": 9, "token1": 4},
        {"held": 6},
        [],
    )
    ((method, block, tag),) = nodes.asked
    balance = "0x70a08231" + "00" * 12 + "11" * 20
    assert (method, tag, block["validation"]) == ("eth_simulateV1", "latest", False)
    assert block["blockStateCalls"][0]["calls"] == [
        {"from": ME, "to": TOKEN, "input": balance},
        {"from": ME, "to": TOKEN, "input": "0x99fbab88" + f"{5:064x}"},
        {"from": ME, "to": TOKEN, "input": "0xabcd", "value": "0x3", "gas": hex(90_000)},
        {"from": ME, "to": TOKEN, "input": balance},
    ]


@pytest.mark.parametrize(
    ("place", "answer"),
    [(0, told("0x")), (0, told(words(9)[:-2])), (0, told(words(9), NO)), (1, told(words(1, 2, 3)))],
)
def test_a_contract_that_does_not_say_is_named(place: int, answer: dict[str, Any]) -> None:
    calls = [*GOOD]
    calls[place] = answer
    trial, _ = tried(calls)
    name = list(BEFORE)[place]
    assert trial.unanswered == [name]
    assert name not in trial.before


def test_what_one_node_did_not_say_does_not_count_when_the_next_one_does() -> None:
    broken = [told("0x"), told(words(1, 2, 3, 4)), told("0x"), {"status": OK}]
    trial, _ = tried(broken, GOOD)
    assert (trial.unanswered, trial.before, trial.after) == ([], {"held": 9, "token1": 4}, {"held": 6})


@pytest.mark.parametrize("calls", [GOOD[:-1], [*GOOD, GOOD[0]]], ids=["too few", "too many"])
def test_another_number_of_answers_is_none(calls: list[dict[str, Any]]) -> None:
    with pytest.raises(ChainUnavailableError):
        tried(calls)


def test_a_node_that_cannot_try_is_no_judgement() -> None:
    trial = Trial(
        Spoken([NodeError("eth_simulateV1", {"code": -32601, "message": "no such method"})]), TRIED, BEFORE, AFTER
    )  # type: ignore[arg-type]
    with pytest.raises(ChainUnavailableError, match="cannot be tried"):
        trial.run()


REVERT = "0x08c379a0" + f"{32:064x}" + f"{2:064x}" + b"no".hex().ljust(64, "0")


@pytest.mark.parametrize(
    ("mine", "reason"),
    [
        (told(REVERT, NO), "no"),
        (told("0x", NO, error={"message": "out of gas"}), "out of gas"),
        (told("0x", NO, error={"message": "execution reverted", "data": REVERT}), "no"),
        (told("0x", NO), ""),
        (told("0x", NO, error=None), ""),
    ],
)
def test_why_it_was_refused(mine: dict[str, Any], reason: str) -> None:
    trial, _ = tried([*GOOD[:2], mine, GOOD[3]])
    assert (trial.reason, trial.after) == (reason, {})
    assert trial.before == {"held": 9, "token1": 4}


def test_a_word_is_whole() -> None:
    assert [word_of(words(5, 6), place) for place in (0, 1)] == [5, 6]
    for short in ("0x", words(5)[:-1], words(5)[2:-2]):
        with pytest.raises(ValueError, match="a word is missing"):
            word_of(short)
    with pytest.raises(ValueError, match="a word is missing"):
        word_of(words(5, 6), 2)
