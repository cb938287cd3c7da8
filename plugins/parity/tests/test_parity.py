"""`arena parity`: which checks run, what is told, and what the exit code says. The protocols' own suites run real checks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from treasury_arena.contracts.parity import GapCheck, GapResult, ParityCheck, ParityResult, Tally, Told
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.errors import (
    ChainUnavailableError,
    ConfigError,
    PluginCodeError,
    PluginError,
    TreasuryArenaError,
    ValidationError,
)
from treasury_arena_parity import command
from treasury_arena_parity.checks import choose


@attrs.define
class Bytecode(ParityCheck):
    name: str = "box"
    differences: dict[str, int] = attrs.field(factory=dict)
    raises: BaseException | None = None

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        if self.raises is not None:
            raise self.raises
        told(operations, operations)
        first = "operation 3: balance is 5, the contract has 7" if self.differences else ""
        compared = {"balance": operations, "index": 2 * operations}
        return ParityResult(self.name, "box 1.0", operations, seed, compared, self.differences, first, 0.5)


@attrs.define
class Model(GapCheck):
    largest: float = 1e-9
    name: str = "box.model"

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        return GapResult(self.name, cases, 1e-12, 1e-10, self.largest, 1e-6)


@attrs.define
class Box(Protocol):
    checks: Sequence[ParityCheck | GapCheck]
    name: str = "box"
    version: str = "1"
    models = ()

    def exact(self, *given: Any) -> ExactMarket:
        raise ConfigError("none")

    def parity(self) -> Sequence[ParityCheck | GapCheck]:
        return self.checks


class Registry:
    def __init__(self, **protocols: Protocol) -> None:
        self.protocols = protocols


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def arena_like(arguments: tuple[str, ...]) -> None:
    """Run the command as `arena` does: its exit code is what it returns, errors of the house are told in a sentence."""
    try:
        sys.exit(command.parity.main(list(arguments), standalone_mode=False))
    except TreasuryArenaError as error:
        click.echo(f"arena: {error}", err=True)
        sys.exit(error.exit_code)


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str, **protocols: Protocol) -> Any:
    monkeypatch.setattr(command, "load_registry", lambda: Registry(**protocols))
    return CliRunner().invoke(arena_like, arguments)


def test_equal_to_the_wei_is_exit_code_0_and_tells_what_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "--operations", "20", box=Box([Bytecode(), Model()]))
    assert done.exit_code == 0, done.output
    for said in ("box 1.0", "0 wei", "balance", "index", "40", "1.0e-09", "no difference"):
        assert said in done.stdout


@pytest.mark.parametrize("columns", [80, 100, 132])
def test_no_name_is_cut_in_a_narrow_window(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    against = "@aave-dao/aave-v3-origin 3.6.0, compiled with solc 0.8.27"

    class Later(Bytecode):
        def run(self, *given: Any) -> ParityResult:
            return ParityResult(self.name, against, 2_000, 0, {"x": 148_311}, {"y": 10**18}, "first", 100.1)

    monkeypatch.setenv("COLUMNS", str(columns))
    done = invoke(monkeypatch, box=Box([Later("Uniswap v3, USDC token1, protocol fee")]))
    lines = done.stdout.splitlines()
    assert "…" not in done.stdout
    assert all(word in done.stdout for word in ("Operations", "Refused", "Compared", "difference", "Seconds"))
    assert max(len(line) for line in lines) <= columns
    rows = [[cell.strip() for cell in line.split("│")[1:]] for line in lines if line.startswith("│")]
    names = 1 if columns < 100 else 2
    told = ["".join(row[place] for row in rows if len(row) == names + 6) for place in range(names)]
    assert "".join(told).replace(" ", "") == f"Uniswap v3, USDC token1, protocol fee{against}".replace(" ", "")


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Bytecode(differences={"balance": 2}), "operation 3: balance is 5, the contract has 7"),
        (Model(largest=2e-6), "2.00e-06 is beyond the bound 1e-06"),
        (Model(largest=float("nan")), "beyond the bound"),
    ],
)
def test_a_difference_is_exit_code_1_and_named(monkeypatch: pytest.MonkeyPatch, check: Any, said: str) -> None:
    done = invoke(monkeypatch, box=Box([check, Bytecode("other")]))
    assert done.exit_code == 1
    assert said in done.stdout
    assert "NOT EQUAL" in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("npm is not there"), 2, "NOT CHECKED: 1 of 2 checks could not be run"),
        (PluginError("no compiler"), 2, "NOT CHECKED: 1 of 2 checks could not be run"),
        (ChainUnavailableError("the node is gone"), 2, "NOT CHECKED: 1 of 2 checks could not be run"),
        (ValidationError("the engine refuses what the contract does"), 1, "NOT EQUAL"),
        (PluginCodeError("a wrong signature"), 1, "NOT EQUAL"),
        (ZeroDivisionError("by zero"), 1, "NOT EQUAL"),
        (SystemExit(0), 1, "NOT EQUAL"),
    ],
)
def test_a_check_without_a_result_is_told_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    checks = Box([Bytecode(raises=error), Bytecode("other")])
    done = invoke(monkeypatch, "--json", box=checks)
    found = json.loads(done.stdout)
    assert done.exit_code == code
    assert [entry["name"] for entry in found["bytecode"]] == ["other"]
    told = str(error) if isinstance(error, TreasuryArenaError) else type(error).__name__
    assert told in found["failed"][0]["reason"]
    assert not found["ok"]
    assert said in invoke(monkeypatch, box=checks).stdout


@pytest.mark.parametrize("check", [Bytecode(differences={"balance": 2}), Bytecode(raises=ZeroDivisionError())])
def test_a_difference_is_told_though_another_check_could_not_be_run(
    monkeypatch: pytest.MonkeyPatch, check: Any
) -> None:
    done = invoke(monkeypatch, box=Box([Bytecode("lame", raises=ConfigError("no npm")), check, Bytecode("other")]))
    assert done.exit_code == 1
    assert "NOT EQUAL" in done.stdout
    assert "NOT CHECKED: 1 of 3 checks could not be run" in done.stdout


@pytest.mark.parametrize("result", [None, 5, ParityResult("box", "b", 1, 0, {"x": "y"}, {}, "", 0.1)])  # type: ignore[dict-item]
def test_a_result_that_is_none_is_no_success(monkeypatch: pytest.MonkeyPatch, result: Any) -> None:
    class Odd(Bytecode):
        def run(self, *given: Any) -> ParityResult:
            return result  # type: ignore[no-any-return]

    done = invoke(monkeypatch, "--json", box=Box([Odd(), Bytecode("other")]))
    found = json.loads(done.stdout)
    assert (done.exit_code, len(found["bytecode"]), found["failed"][0]["crashed"]) == (1, 1, True)


def test_a_protocol_whose_offer_raises_is_named_and_asked_only_when_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Box):
        def parity(self) -> Any:
            raise RuntimeError("boom")

    protocols = {"box": Box([Bytecode()]), "broken": Broken([])}
    assert invoke(monkeypatch, "--protocol", "box", **protocols).exit_code == 0
    done = invoke(monkeypatch, **protocols)
    assert done.exit_code == 2
    assert "parity() of protocol 'broken' failed: RuntimeError: boom" in done.stderr


def test_json_is_one_document_that_holds_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = 10**60
    done = invoke(
        monkeypatch,
        "--json",
        "--operations",
        "7",
        "--seed",
        "3",
        box=Box([Bytecode(differences={"index": huge}), Model()]),
    )
    found = json.loads(done.stdout)
    assert (found["operations"], found["seed"], found["ok"]) == (7, 3, False)
    (entry,) = found["bytecode"]
    assert (entry["operations"], entry["refused"], entry["differences"]) == (7, 3, {"index": str(huge)})
    assert found["models"][0] | {"cases": 7, "bound": 1e-6, "ok": True} == found["models"][0]


@pytest.mark.parametrize("largest", [float("nan"), float("inf")])
def test_json_is_a_document_also_of_an_error_that_is_no_number(monkeypatch: pytest.MonkeyPatch, largest: float) -> None:
    done = invoke(monkeypatch, "--json", box=Box([Model(largest=largest)]))
    (gap,) = json.loads(done.stdout)["models"]
    assert (done.exit_code, gap["largest"], gap["ok"]) == (1, str(largest), False)


def test_the_node_of_ones_own_reaches_the_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Path | None] = []

    class Asks(Bytecode):
        def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
            seen.append(anvil)
            return super().run(operations, seed, anvil, told)

    program = tmp_path / "anvil"
    program.write_text("")
    invoke(monkeypatch, "--anvil", str(program), box=Box([Asks()]))
    invoke(monkeypatch, box=Box([Asks()]))
    assert seen == [program, None]


def test_a_tally_keeps_the_largest_difference_and_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    for number, (ours, theirs) in enumerate([(5, 5), (10, 7), (10, 1), (3, 4)], 1):
        tally.note(number, "deposit", "balance", ours, theirs)
    tally.note(5, "deposit", "reason", "a", "b")
    assert tally.differences == {"balance": 9, "reason": 1}
    assert tally.compared == {"balance": 4, "reason": 1}
    assert tally.first == "operation 2, deposit: balance is 10, the contract has 7"
    result = tally.result("box", "box 1.0", 5, 0.1)
    assert not result.ok
    assert dict(result.differences) == tally.differences


def test_protocols_can_be_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    protocols = {"box": Box([Bytecode()]), "crate": Box([Bytecode("crate")]), "plain": Box([])}
    assert [check.name for check in choose(protocols, [])] == ["box", "crate"]
    assert [check.name for check in choose(protocols, ["crate"])] == ["crate"]
    for name, said in (("crates", "did you mean 'crate'"), ("plain", "'plain' offers no checks")):
        done = invoke(monkeypatch, "--protocol", name, **protocols)
        assert done.exit_code == 2
        assert said in done.stderr
        assert done.stdout == ""


def test_nothing_to_check_is_an_error_not_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, plain=Box([]))
    assert done.exit_code == 2
    assert "no installed protocol offers checks" in done.stderr


def test_a_check_that_compared_nothing_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty(Bytecode):
        def run(self, *given: Any) -> ParityResult:
            return ParityResult("empty", "box 1.0", 0, 0, {}, {}, "", 0.1)

    done = invoke(monkeypatch, box=Box([Empty()]))
    assert done.exit_code == 1
    assert "nothing was compared" in done.stdout


@pytest.mark.parametrize("arguments", [("--operations", "0"), ("--seed", "-1"), ("--anvil", "/no/such/file")])
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert invoke(monkeypatch, *arguments, box=Box([Bytecode()])).exit_code == 2
