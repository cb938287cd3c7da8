"""The command line as scripts see it: help with examples, one JSON document on stdout, exit codes that mean something."""

from __future__ import annotations

import json
import re
import shlex
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from treasury_arena import assembly
from treasury_arena.cli.main import BUILT_IN, arena
from treasury_arena.events import catalog
from treasury_arena.simulation import warm
from treasury_arena.simulation.generate import Generated
from treasury_arena.simulation.kernel import Kernel
from treasury_arena_trend.strategy import State, Target


def commands() -> list[tuple[str, ...]]:
    """Every command's words, groups' commands included."""
    found: list[tuple[str, ...]] = []

    def walk(group: click.Group, words: tuple[str, ...]) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                walk(command, (*words, name))
            else:
                found.append((*words, name))

    walk(arena, ())
    return found


COMMANDS = commands()


def test_the_commands_of_the_house_are_all_there() -> None:
    assert {words[0] for words in COMMANDS} >= {*BUILT_IN, "data"}
    assert {words for words in COMMANDS if words[0] == "config"} == {
        ("config", "check"),
        ("config", "schema"),
        ("config", "show"),
    }
    assert ("data", "check") in COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_the_command_understands(
    house: Any, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(house.root)
    done = house.arena(*words, "--help").ok()
    assert "--json" in done.out or words == ("keys", "serve")  # it ends with no document
    example = re.search(r"Example:\n\s+arena (.+)", done.out)
    assert example is not None
    arguments = shlex.split(example.group(1).split(" > ")[0])
    assert tuple(arguments[: len(words)]) == words
    command: click.Command = arena
    context = click.Context(arena, **arena.context_settings)
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
    command.make_context(words[-1], arguments[len(words) :], parent=context)


@pytest.mark.parametrize("words", [(), ("chain",), ("config",), ("data",), ("fuse",), ("quarantine",), ("keys",)])
def test_groups_have_an_example_too(house: Any, words: tuple[str, ...]) -> None:
    assert "Example:" in house.arena(*words, "--help").ok().out


def looking(finished: Path, config: Path) -> dict[str, list[object]]:
    """A command line of every command that only looks."""
    return {
        "status": ["status", finished],
        "agents": ["agents", finished],
        "events": ["events", finished],
        "audit": ["audit", finished],
        "replay": ["replay", finished],
        "plugins": ["plugins"],
        "fuse status": ["fuse", "status", finished],
        "check": ["check", finished],
        "config check": ["config", "check", config],
        "config schema": ["config", "schema"],
        "config show": ["config", "show", config],
    }


LOOKING = (
    "status",
    "agents",
    "events",
    "audit",
    "replay",
    "plugins",
    "fuse status",
    "check",
    "config check",
    "config schema",
    "config show",
)


@pytest.mark.parametrize("name", LOOKING)
def test_json_is_one_document_and_nothing_else(house: Any, finished: Path, small_config: Path, name: str) -> None:
    arguments = looking(finished, small_config)[name]
    done = house.arena(*arguments, "--json").ok()
    json.loads(done.out)
    text = house.arena(*arguments).ok()
    assert text.out.strip()


@pytest.mark.parametrize(
    "words",
    [
        ["orders"],
        ["quarantine", "list"],
        ["quarantine", "resolve", "sender", "--reason", "why"],
        ["correct", "--reason", "why"],
        ["flatten", "--reason", "why"],
        ["arm", "--limit", "5"],
    ],
)
def test_a_run_of_history_has_no_orders_on_a_chain(house: Any, finished: Path, words: list[str]) -> None:
    done = house.arena(*words, "--out", finished)
    assert done.code == 2
    assert "has no orders on a chain" in done.err


def test_strategies_that_a_file_has_no_markets_for_are_left_out_and_named(house: Any, tmp_path: Path) -> None:
    tree = {key: value for key, value in house.small.items() if key != "strategies"}
    (tmp_path / "small.toml").write_text(house.toml(tree))
    done = house.arena("config", "check", tmp_path / "small.toml").ok()
    assert "note: strategy harvester is left out, it trades in dai_lending, eth_range, usdt_lending, vault" in done.err
    assert "trend is left out" not in done.err


def test_every_command_is_covered_here(finished: Path, small_config: Path) -> None:
    covered = set(looking(finished, small_config)) | {
        "run",
        "resume",
        "backtest",
        "evolve",
        "stop",
        "release",
        "fuse reset",
        # Of a daemon: tests/test_daemon_local.py, tests/test_chaos.py.
        "daemon",
        "chaos",
        "orders",
        "quarantine list",
        "quarantine resolve",
        "correct",
        "flatten",
        "arm",
    }
    assert {" ".join(words) for words in COMMANDS if words[0] not in {"chain", "data", "keys", "parity"}} == covered


def test_what_run_prints(finished_json: dict[str, Any], finished: Path) -> None:
    assert {"digest", "run_id", "capital", "benchmarks", "agents", "trials", "timings"} <= set(finished_json)
    assert re.fullmatch("[0-9a-f]{64}", finished_json["digest"])
    assert finished_json["run_id"] == finished.name
    assert finished_json["timings"]["agent_steps_per_second"] > 0
    assert finished_json["trials"] > 0
    assert float(finished_json["capital"]["initial"]) == 373_261.0
    assert float(finished_json["capital"]["final"]) > 0
    for row in ("lend_everything", "hold_eth", "sixty_forty", "passive_mean_weight", "weekly_weights_index"):
        assert float(finished_json["benchmarks"][row]["final"]) > 0
    for agent in finished_json["agents"]:
        assert {"id", "strategy", "stage", "born", "parents", "genome", "fitness"} <= set(agent)
    assert {Path(path).name for path in finished_json["files"]} == {"report.html", "results.json"}


def test_a_run_shows_its_progress_on_stderr_and_its_table_on_stdout(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    done = house.process("run", small_config, "--out", tmp_path / "run").ok()
    assert "cycle 9/9" in done.err
    assert "agent-steps/s" in done.err
    for word in ("alive", "capital", "ETA"):
        assert word in done.err
    assert finished_json["digest"][:12] in done.out
    assert str(finished_json["trials"]) in done.out
    assert "report.html" in done.out


def test_the_state_of_a_run(house: Any, finished: Path, finished_json: dict[str, Any]) -> None:
    status = house.arena("status", finished, "--json").json
    assert status["digest"] == finished_json["digest"]
    assert status["completed"]
    assert status["trials"] == finished_json["trials"]
    assert status["capital"] == finished_json["capital"]["final"]
    agents = house.arena("agents", finished, "--json").json
    assert [agent["id"] for agent in agents] == [agent["id"] for agent in finished_json["agents"]]
    dead = house.arena("agents", finished, "--stage", "dead", "--json").json
    assert {agent["stage"] for agent in dead} == {"dead"}
    assert len(dead) == finished_json["counts"]["deaths"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["agents", "--stage", "provng"], "there is no stage 'provng'; did you mean 'proving'?"),
        (["agents", "--stage", ""], "there is no stage ''; known: arena, dead, proving, retired, simulation"),
        (["agents", "--stage", "Arena"], "there is no stage 'Arena'; did you mean 'arena'?"),
        (["events", "--type", "AgentKiled"], "there is no event type 'AgentKiled'; did you mean 'AgentKilled'?"),
        (["events", "--agent", "trend-001"], "there is no agent 'trend-001' in this run; did you mean 'trend-0001'?"),
        (["events", "--agent", "trend-001", "--type", "AgentKilled", "--tail", "3"], "did you mean 'trend-0001'?"),
    ],
)
def test_a_filter_that_names_nothing_is_refused(
    house: Any, finished: Path, arguments: list[str], sentence: str
) -> None:
    done = house.arena(arguments[0], finished, *arguments[1:], "--json")
    assert done.code == done.json["exit_code"] == 2
    assert sentence in done.json["error"]
    assert done.err.startswith("arena: ")


def test_a_filter_that_finds_nothing_of_a_known_name_is_an_empty_list(house: Any, finished: Path) -> None:
    for stage in ("simulation", "proving", "arena", "dead", "retired"):
        assert house.arena("agents", finished, "--stage", stage, "--json").ok()
    assert house.arena("events", finished, "--agent", "trend-0001", "--type", "RunCompleted", "--json").ok().json == []


def test_events_by_tail_type_and_agent(house: Any, finished: Path) -> None:
    events = house.arena("events", finished, "--json").json
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert house.arena("events", finished, "--tail", 3, "--json").json == events[-3:]
    spawned = [event for event in events if event["type"] == "AgentSpawned"]
    assert house.arena("events", finished, "--type", "AgentSpawned", "--json").json == spawned
    agent = spawned[1]["agent_id"]
    assert house.arena("events", finished, "--agent", agent, "--json").json == [
        event for event in events if event["agent_id"] == agent
    ]
    both = house.arena("events", finished, "--agent", agent, "--type", "AgentSpawned", "--tail", 1, "--json").json
    assert both == [spawned[1]]
    assert len(house.arena("events", finished, "--tail", 3).out.splitlines()) == 3
    unknown = house.arena("events", finished, "--type", "AgentSpwaned")
    assert unknown.code == 2
    assert "did you mean 'AgentSpawned'?" in unknown.err
    assert {event["type"] for event in events} <= {name for name in dir(catalog) if name[0].isupper()}


def test_an_event_of_another_moment_than_its_commit_shows_that_moment(house: Any, finished: Path) -> None:
    """The small run's rows are hours: an order's own hour lies within the week before the cycle that committed it."""
    (opened,) = house.arena("events", finished, "--type", "ArenaOpened", "--json").ok().json
    assert opened["row_time"] is None
    start = datetime.fromisoformat(opened["data"]["payload"]["start"])
    first = house.arena("events", finished, "--type", "EvolutionCycleStarted", "--json").ok().json[0]
    settled = house.arena("events", finished, "--type", "OrderSettled", "--json").ok().json
    lines = house.arena("events", finished, "--type", "OrderSettled").ok().out.splitlines()
    between = 0
    for event, line in zip(settled, lines, strict=True):
        hours = event["data"]["payload"]["row"] - first["data"]["payload"]["row"]
        own = datetime.fromisoformat(event["row_time"])
        assert own == start + timedelta(hours=hours)
        assert timedelta() <= datetime.fromisoformat(event["timestamp"]) - own < timedelta(days=7)
        assert line.endswith(f", at {event['row_time']}") == (event["row_time"] != event["timestamp"])
        between += event["row_time"] != event["timestamp"]
    assert between > 0


def test_runs_are_found_by_the_newest_folder(
    house: Any, finished: Path, finished_json: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = house.arena("status")
    assert empty.code == 2
    assert "no run found under runs/" in empty.err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(finished)
    assert house.arena("status", "--json").ok().json["digest"] == finished_json["digest"]
    assert house.arena("status", "--out", "runs/mine", "--json").ok().json["digest"] == finished_json["digest"]
    assert house.arena("status", "runs/mine", "--out", "runs/other").code == 2
    missing = house.arena("status", "runs/other")
    assert missing.code == 2
    assert "is not a run's folder" in missing.err


def test_what_evolve_prints_run_accepts(house: Any, small_config: Path, tmp_path: Path) -> None:
    found = house.arena("evolve", small_config, "--best", 2, "--json").ok().json
    assert {entry["strategy"] for entry in found["agents"]} == {"tactical", "trend"}
    assert found["trials"] > 0
    text = house.arena("evolve", small_config, "--best", 2).ok().out
    house.arena("evolve", small_config, "--best", 2, "--out", tmp_path / "best.toml").ok()
    assert (tmp_path / "best.toml").read_text().strip() == text.strip()
    config = house.write(tmp_path / "seeded.toml", {"end": "2024-01-16"})
    config.write_text(config.read_text() + "\n" + text)
    done = house.arena("run", config, "--out", tmp_path / "run", "--json", "--quiet").ok()
    spawned = house.arena("events", tmp_path / "run", "--type", "AgentSpawned", "--json").json
    seeds = [event["data"]["payload"] for event in spawned if event["data"]["payload"]["origin"] == "seed"]
    assert [seed["genes"] for seed in seeds] == [entry["genome"] for entry in found["agents"]]
    assert done.json["counts"]["births"] >= len(seeds)
    untold = tmp_path / "untold.toml"
    untold.write_text(
        "".join(line for line in config.read_text().splitlines(True) if not line.startswith(("trials =", "search =")))
    )
    fewer = house.arena("run", untold, "--out", tmp_path / "untold", "--json", "--quiet").ok().json["trials"]
    assert done.json["trials"] == fewer + found["trials"]  # what found the agents counts, and once
    result = house.arena("backtest", config, "--json").ok().json
    assert result["timings"]["agent_steps_per_second"] > 0


@pytest.mark.parametrize("command", ["run", "backtest", "evolve"])
def test_compilation_is_told_before_it_begins(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    out = tmp_path
    told = "compiling 2 strategies to machine code, some seconds each; later runs start at once\n"
    assert "compiling" not in house.arena(command, small_config, "--json", "--out", out / "warm").err
    monkeypatch.setattr(Generated, "compiled", property(lambda _: False))
    monkeypatch.setattr(warm.Compilation, "__enter__", lambda compilation: compilation)  # starts no process
    assert house.arena(command, small_config, "--json", "--out", out / "cold").err.startswith(told)
    if command == "run":
        assert "compiling" not in house.arena("run", small_config, "--quiet", "--json", "--out", out / "quiet").ok().err


def test_the_speed_of_a_backtest_counts_no_compilation(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = Kernel._entry

    def slowly(kernel: Any, kind: Any) -> Any:
        if kernel.strategy.name not in seen:
            seen.append(kernel.strategy.name)
            time.sleep(1.0)
        return entered(kernel, kind)

    seen: list[str] = []
    monkeypatch.setattr(Kernel, "_entry", slowly)
    timings = house.arena("backtest", small_config, "--json").ok().json["timings"]
    assert sorted(seen) == ["tactical", "trend"]
    assert timings["seconds"] < 1.0


def greedy(f: Any, g: Any, book: Any, s: Any) -> Any:
    """Wants twice its equity lent."""
    return Target(0.0, 0.0, 2.0, g.band), State(s.eth, s.btc, s.reference, s.blown)


def test_a_backtest_names_the_agent_that_failed(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A trend follower whose decision wants twice its equity, in the kernel and in plain Python alike."""
    known = assembly.bound_strategies

    def spoiled(settings: Any, registry: Any) -> Any:
        found = known(settings, registry)
        return {**found, "trend": attrs.evolve(found["trend"], decide=greedy)}

    monkeypatch.setattr(assembly, "bound_strategies", spoiled)
    out = tmp_path / "backtest.json"
    done = house.arena("backtest", small_config, "--json", "--out", out)
    assert done.code == 1
    failures = {agent["id"]: agent["failure"] for agent in done.json["agents"]}
    sentence = (
        "agent trend-1 failed at 2024-01-01T00:00:00Z and traded no more: the target's shares sum to 2.0, more than 1"
    )
    assert failures == {"tactical-1": None, "trend-1": sentence}
    assert {agent["id"]: agent["failure"] for agent in json.loads(out.read_text())["agents"]} == failures
    text = house.arena("backtest", small_config)
    assert text.code == 1
    assert text.out.count(sentence) == 1
    assert "tactical-1 failed" not in text.out
    rows = {
        line.split()[0]: line.split()[1:] for line in text.out.splitlines() if line.startswith(("tactical", "trend"))
    }
    assert rows["trend-1"] == ["trend", *["\u2013"] * 6, "failed"]
    good = next(agent for agent in done.json["agents"] if agent["id"] == "tactical-1")
    assert rows["tactical-1"][1:5] == [
        f"{good['total_return']:z.2%}",
        f"{good['sharpe']:z.2f}",
        f"{good['floored_sharpe']:z.2f}",
        f"{good['max_drawdown']:z.2%}",
    ]
    assert re.search(r"lending everything over the same days: \d\.\d\d%\n", text.out)
    assert re.match(r"2024-01-01 to 2024-\d\d-\d\d, [0-9,]+\.[0-9]{2} USD each, costs in USD:\n", text.out)


def dividing(f: Any, g: Any, book: Any, s: Any) -> Any:
    return Target(1.0 / (book.equity - book.equity), 0.0, 0.0, g.band), State(s.eth, s.btc, s.reference, s.blown)


def test_a_backtest_names_the_line_that_failed(house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = assembly.bound_strategies

    def spoiled(settings: Any, registry: Any) -> Any:
        found = known(settings, registry)
        return {**found, "trend": attrs.evolve(found["trend"], decide=dividing)}

    monkeypatch.setattr(assembly, "bound_strategies", spoiled)
    text = house.arena("backtest", small_config)
    place = f"{__file__}:{dividing.__code__.co_firstlineno + 1}"
    assert text.code == 1
    assert f"ZeroDivisionError: float division by zero ({place})" in text.out


def test_a_strategy_of_which_no_genome_can_be_simulated_is_told(
    house: Any, small_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = assembly.bound_strategies

    def spoiled(settings: Any, registry: Any) -> Any:
        found = known(settings, registry)
        return {**found, "trend": attrs.evolve(found["trend"], decide=greedy)}

    monkeypatch.setattr(assembly, "bound_strategies", spoiled)
    told = "not one genome of trend could be simulated, it bred no agents: the target's shares sum to 2.0, more than 1"
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--quiet", "--workers", 1).ok()
    assert told in done.err
    said = "No agents were bred of trend: not one genome could be simulated"
    assert said in " ".join(done.out.split())
    assert said in (tmp_path / "run" / "report.html").read_text()
    found = house.arena("evolve", small_config, "--json", "--best", 1)
    assert found.code == 1
    assert [told in sentence for sentence in found.json["without"]] == [True]
    assert {agent["strategy"] for agent in found.json["agents"]} == {"tactical"}
    text = house.arena("evolve", small_config, "--best", 1)
    assert (text.code, told in text.err) == (1, True)


def test_backtest_of_random_genomes(house: Any, small_config: Path, tmp_path: Path) -> None:
    out = tmp_path / "backtest.json"
    done = house.arena("backtest", small_config, "--agents", 3, "--json", "--out", out).ok()
    json.loads(out.read_text())
    again = house.arena("backtest", small_config, "--agents", 3, "--json", "--workers", 2).ok()
    assert {**again.json, "timings": 0} == {**done.json, "timings": 0}
    assert "lending everything" in house.arena("backtest", small_config).ok().out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["run"], "CONFIG"),
        (["status", "--jsn"], "--json"),
        (["events", "--tail", "none"], "--tail"),
        (["config", "chek"], "check"),
        (["run", "x.toml", "--seed", "-1"], "--seed"),
        (["run", "x.toml", "--workers", "0"], "--workers"),
    ],
)
def test_mistyped_command_lines(house: Any, arguments: list[str], hint: str) -> None:
    done = house.arena(*arguments)
    assert done.code == 2
    assert hint in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_usage_error_is_json_too_when_json_was_asked_for(house: Any) -> None:
    done = house.arena("status", "--tial", "3", "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    assert "--tial" in done.json["error"]


def test_exit_code_one_means_something_was_found(house: Any, copy_of_interrupted: Any) -> None:
    refused = house.arena("release", copy_of_interrupted(), "--reason", "x", "--operator", "ann", "--json")
    assert refused.code == 1
    assert refused.json == {"error": "no emergency stop is engaged; there is nothing to release", "exit_code": 1}


def test_the_version(house: Any) -> None:
    assert re.fullmatch(r"arena, version \d+\.\d+\.\d+", house.arena("--version").ok().out.strip())
