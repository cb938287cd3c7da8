"""A transaction tried in a node, with questions to contracts before and behind it, all in one simulated block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from treasury_arena.contracts.chain import Unsigned
from treasury_arena.errors import ChainUnavailableError
from treasury_arena_evm.live.nodes import Nodes
from treasury_arena_evm.reverts import revert_data, revert_reason
from treasury_arena_evm.transport import NodeError


def word_of(answer: str, place: int = 0) -> int:
    """One word of an answer in hex; ValueError when it is not there."""
    text = answer.removeprefix("0x")[64 * place : 64 * (place + 1)]
    if len(text) != 64:
        raise ValueError("a word is missing")
    return int(text, 16)


#: Questions to contracts, by the first four bytes of their signatures' hashes.
QUESTIONS = {
    "balanceOf(address)": "70a08231",
    "allowance(address,address)": "dd62ed3e",
    "decimals()": "313ce567",
    "asset()": "38d52e0f",
    "getPool()": "026b1d5f",
    "getUserAccountData(address)": "bf92857c",
    "ownerOf(uint256)": "6352211e",
    "positions(uint256)": "99fbab88",
    "latestRoundData()": "feaf968c",
}


class Asked:
    """A question to a contract: one of `QUESTIONS`, arguments that are addresses or whole numbers, and which word counts."""

    def __init__(self, to: str, question: str, *arguments: str | int, place: int = 0) -> None:
        self.to, self.place = to, place
        words = (item.removeprefix("0x").lower() if isinstance(item, str) else f"{item:x}" for item in arguments)
        self.question, self.data = question, "0x" + QUESTIONS[question] + "".join(word.rjust(64, "0") for word in words)


@attrs.define
class Trial:
    """One try on the latest block.

    Attributes:
        reason: why it was refused, None when it went through.
        before, after: the answers, by name.
        unanswered: names of the questions that contracts refused, or answered with less than a word.
    """

    _nodes: Nodes
    _transaction: Unsigned
    _before: Mapping[str, Asked]
    _after: Mapping[str, Asked]
    reason: str | None = attrs.field(default=None, init=False)
    before: dict[str, int] = attrs.field(factory=dict, init=False)
    after: dict[str, int] = attrs.field(factory=dict, init=False)
    unanswered: list[str] = attrs.field(factory=list, init=False)

    def run(self) -> None:
        """Ask a node. Raises ChainUnavailableError when none can try it."""
        t = self._transaction
        exact = {"from": t.sender, "to": t.to, "input": t.data, "value": hex(t.value_raw), "gas": hex(t.gas)}
        questions = [{"from": t.sender, "to": asked.to, "input": asked.data} for asked in self._before.values()]
        later = [{"from": t.sender, "to": asked.to, "input": asked.data} for asked in self._after.values()]
        block = {"blockStateCalls": [{"calls": [*questions, exact, *later]}], "validation": False}
        count = len(questions) + 1 + len(later)

        def read(answer: Any) -> list[Any]:
            (only,) = answer
            calls: list[Any] = only["calls"]
            if len(calls) != count:
                raise ValueError("not as many answers as questions")
            self._take(calls)
            return calls

        try:
            self._nodes.ask("eth_simulateV1", block, "latest", read=read)
        except NodeError as error:
            raise ChainUnavailableError(f"the transaction cannot be tried: {error}") from error

    def _take(self, calls: list[Any]) -> None:
        split = len(self._before)
        mine = calls[split]
        data = str(mine.get("returnData") or "0x")
        failed = int(mine["status"], 16) != 1
        self.unanswered = []
        self.before = self._answers(self._before, calls[:split])
        self.after = {} if failed else self._answers(self._after, calls[split + 1 :])
        self.reason = self._why(mine, data) if failed else None

    @staticmethod
    def _why(call: Mapping[str, Any], data: str) -> str:
        failure = call.get("error") or {}
        return revert_reason(revert_data(data) or revert_data(failure)) or str(failure.get("message", ""))

    def _answers(self, asked: Mapping[str, Asked], calls: list[Any]) -> dict[str, int]:
        found = {}
        for (name, question), call in zip(asked.items(), calls, strict=True):
            told = str(call["returnData"])
            if int(call["status"], 16) == 1 and len(told) >= 2 + 64 * (question.place + 1):
                found[name] = word_of(told, question.place)
            else:
                self.unanswered.append(name)
        return found
