"""Whatever a plugin raises, prints or exits with: the run goes on, or one sentence names the plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import attrs
import click
import pytest

from treasury_arena.cli import config as config_module
from treasury_arena.cli import main
from treasury_arena.cli import run as run_module
from treasury_arena.cli import search as search_module
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.contracts.runtime import Executor, Observer, Reporter
from treasury_arena.contracts.strategy import Column, Role
from treasury_arena.contracts.validation import Validator
from treasury_arena.markers import hookimpl
from treasury_arena.registry.loader import load_registry
from treasury_arena.testing.strategies import (
    HOLDER,
    HolderBook,
    HolderFeatures,
    HolderGenes,
    HolderState,
    HolderTarget,
)


class MuteError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "exit": (lambda: SystemExit(0), "SystemExit: 0"),
    "base": (lambda: BaseException("from below"), "BaseException: from below"),
    "mute": (MuteError, "MuteError: its message cannot be shown (RuntimeError)"),
    "odd": (lambda: RuntimeError("a\0b\ud800\nsecond line"), "RuntimeError: a?b?"),
}


def hostile(act: Callable[[], Any]) -> dict[str, object]:
    """A plugin for each kind of object that is called during a run, each of which does `act` when it is called."""

    class Watcher(Observer):
        name = "hostile-watcher"

        def observe(self, events: Any) -> None:
            act()

    class Judge(Validator):
        name = "hostile-judge"

        def refuse(self, order: Any) -> str | None:
            return act()

    class Printer(Reporter):
        name = "hostile-printer"

        def table(self, result: Any) -> str:
            return "a table"

        def write(self, result: Any, folder: Path) -> list[Path]:
            act()
            return []

    class Taste(FitnessFunction):
        name = "hostile-taste"
        summary = "does as it likes"

        def score(self, records: Any) -> Any:
            return act()

    @attrs.frozen
    class Chooser(Selection):
        name = "hostile-chooser"

        def select(self, scores: Any, count: int, rng: Any) -> Any:
            return act()

    @attrs.frozen
    class Crosser(Crossover):
        name = "hostile-crosser"

        def cross(self, first: Any, second: Any, space: Any, rng: Any) -> Any:
            return act()

    @attrs.frozen
    class Mutator(Mutation):
        name = "hostile-mutator"

        def mutate(self, genomes: Any, space: Any, rng: Any) -> Any:
            return act()

    class Mapper(Executor):
        name = "hostile-mapper"

        def __init__(self, workers: int) -> None: ...

        def map(self, function: Any, items: Any) -> Any:
            return act()

        def close(self) -> None: ...

    def source(section: Any, context: Any) -> Any:
        return act()

    return {
        "observers": {"hostile-watcher": lambda section, context: Watcher()},
        "validators": [Judge()],
        "reporters": [Printer()],
        "fitness": [Taste()],
        "operators": {"hostile-chooser": Chooser, "hostile-crosser": Crosser, "hostile-mutator": Mutator},
        "executors": {"hostile-mapper": Mapper},
        "sources": {"hostile-source": source},
    }


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """Offers the hostile objects of one kind to the next commands."""

    def install(kind: str, act: Callable[[], Any]) -> None:
        offered = hostile(act)[kind]
        plugin = SimpleNamespace(**{f"arena_{kind}": hookimpl(lambda: offered)})
        for module in (run_module, search_module):
            monkeypatch.setattr(module, "load_registry", lambda: load_registry(extra={"hostile": plugin}))

    return install


def failing(raised: str) -> Callable[[], Any]:
    make = RAISED[raised][0]

    def act() -> Any:
        raise make()

    return act


@pytest.mark.parametrize("raised", RAISED)
def test_an_observer_ends_nothing_but_itself(
    house: Any, copy_of_interrupted: Any, with_plugin: Any, finished_json: dict[str, Any], raised: str
) -> None:
    with_plugin("observers", failing(raised))
    done = house.arena("resume", copy_of_interrupted(), "--json", "--quiet").ok()
    assert done.json["digest"] == finished_json["digest"]
    told = [line for line in done.err.splitlines() if "watcher" in line]
    assert told == [f"arena: observer 'hostile-watcher' failed and is told no more: {RAISED[raised][1]}"]


@pytest.mark.parametrize("raised", RAISED)
def test_a_validator_that_raises_anything_refuses(
    house: Any, copy_of_interrupted: Any, with_plugin: Any, raised: str
) -> None:
    with_plugin("validators", failing(raised))
    folder = copy_of_interrupted()
    house.arena("resume", folder, "--json", "--quiet").ok()
    reasons = [
        event["data"]["payload"]["reason"]
        for event in house.arena("events", folder, "--type", "OrderRejected", "--json").json
        if event["data"]["payload"]["code"] == "hostile-judge"
    ]
    assert reasons
    assert set(reasons) == {f"the validator raised {RAISED[raised][1]}"}


@pytest.mark.parametrize("raised", RAISED)
def test_a_reporter_that_raises_anything_is_told_in_the_result(
    house: Any, copy_of_finished: Any, with_plugin: Any, finished_json: dict[str, Any], raised: str
) -> None:
    with_plugin("reporters", failing(raised))
    done = house.arena("resume", copy_of_finished(), "--json", "--quiet")
    assert done.code == done.json["exit_code"] == 2
    assert "the reporter 'hostile-printer' failed in" in done.json["error"]
    assert RAISED[raised][1] in done.json["error"]
    assert done.json["digest"] == finished_json["digest"]
    assert len(done.json["files"]) == 2


ASKED = {
    "fitness": ({"fitness": {"search": [{"name": "hostile-taste"}]}}, "fitness 'hostile-taste' failed: "),
    "judge": ({"fitness": {"judge": [{"name": "hostile-taste"}]}}, "fitness 'hostile-taste' failed: "),
    "selection": ({"evolution.selection": {"name": "hostile-chooser"}}, "selection 'hostile-chooser' failed: "),
    "crossover": ({"evolution.crossover": {"name": "hostile-crosser"}}, "crossover 'hostile-crosser' failed: "),
    "mutation": ({"evolution.mutation": {"name": "hostile-mutator"}}, "mutation 'hostile-mutator' failed: "),
    "executor": ({"executor": {"name": "hostile-mapper"}}, "executor 'hostile-mapper' failed: "),
    "source": ({"source": {"name": "hostile-source"}}, "source 'hostile-source' failed: "),
}
KINDS = {"judge": "fitness", "executor": "executors", "source": "sources", "fitness": "fitness"}


@pytest.mark.parametrize("raised", ["exit", "odd"])
@pytest.mark.parametrize("asked", ASKED)
def test_what_a_run_cannot_do_without_is_named(
    house: Any, with_plugin: Any, tmp_path: Path, asked: str, raised: str
) -> None:
    with_plugin(KINDS.get(asked, "operators"), failing(raised))
    changes, start = ASKED[asked]
    config = house.write(tmp_path / "asks.toml", changes)
    done = house.arena("run", config, "--out", tmp_path / "run", "--json", "--quiet")
    assert done.code == done.json["exit_code"] == 2
    assert done.json["error"] == start + RAISED[raised][1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize("kind", ["observers", "validators", "reporters"])
def test_what_a_plugin_prints_is_not_in_the_document(
    house: Any, copy_of_interrupted: Any, with_plugin: Any, finished_json: dict[str, Any], kind: str
) -> None:
    with_plugin(kind, lambda: print("hello from a plugin"))
    done = house.arena("resume", copy_of_interrupted(), "--json", "--quiet").ok()
    assert done.json["digest"] == finished_json["digest"]
    assert "hello from a plugin" in done.err


def test_an_exit_from_anywhere_else_is_a_sentence(
    house: Any, copy_of_interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "build_result", lambda *_: sys.exit(0))
    done = house.arena("resume", copy_of_interrupted(), "--json", "--quiet")
    assert done.code == done.json["exit_code"] == 2
    assert done.json["error"].startswith("code of a plugin ended the program (SystemExit: 0); nothing is lost")


def test_help_goes_to_stdout_whatever_else_is_asked(house: Any) -> None:
    assert "Example:" in house.arena("run", "--json", "--help").ok().out


def test_a_plugins_own_command_exits_as_it_likes(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("leave")
    def leave() -> None:
        print("own words")
        sys.exit(3)

    monkeypatch.setattr(main.arena, "_plugins", {"leave": leave})
    done = house.arena("leave")
    assert (done.code, done.out) == (3, "own words\n")


class MisspeltFeatures(NamedTuple):
    """A feature that there is not."""

    dear: Annotated[float, Column("log_ratio_smaa", "window", of="coin")]


def endless(f: HolderFeatures, g: HolderGenes, book: HolderBook, s: HolderState) -> tuple[HolderTarget, HolderState]:
    """What no kernel compiles."""
    while g.share > 2.0:
        pass
    return HolderTarget(g.share, 1.0 - g.share, g.band), s


def test_a_check_of_a_configuration_reads_the_code_of_its_strategies(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"coin": Role("spot", "eth"), "usd": Role("lending", "usdc_lending")}
    looping = attrs.evolve(HOLDER, name="looping", roles=roles, decide=endless)
    misspelt = attrs.evolve(HOLDER, name="misspelt", roles=roles, features=MisspeltFeatures)
    good = attrs.evolve(HOLDER, name="good", roles=roles)
    plugin = SimpleNamespace(arena_strategies=hookimpl(lambda: [looping, misspelt, good]))
    monkeypatch.setattr(config_module, "load_registry", lambda: load_registry(extra={"own": plugin}))
    for named, says in (
        (["good"], []),
        (["good", "looping", "misspelt"], [f"{Path(__file__).name}:", "while", "log_ratio_sma'"]),
    ):
        config = house.write(tmp_path / "own.toml", {"strategies.enabled": named})
        done = house.arena("config", "check", config, "--json")
        assert done.code == (2 if says else 0), done.err
        for text in says:
            assert text in done.json["error"]
        assert "good" not in done.json.get("error", "")
