"""One agent's trouble is its own: it fails, dies, gives its capital back, and nobody else notices. So is one plugin's."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena import assembly
from treasury_arena.config.load import load_config
from treasury_arena.events.event import Event
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import audit, open_store

CYCLE = 4
"""The cycle in whose interval the victim starts to misbehave."""


def raising(target: Any, state: Any) -> Any:
    raise ZeroDivisionError("float division by zero")


def looping(target: Any, state: Any) -> Any:
    while True:
        state = (*state[:1],)


def nan(target: Any, state: Any) -> Any:
    return target._replace(eth=math.nan), state


def infinite(target: Any, state: Any) -> Any:
    return target._replace(usd=math.inf), state


def over_sized(target: Any, state: Any) -> Any:
    return target._replace(eth=0.7, usd=0.7), state


def negative(target: Any, state: Any) -> Any:
    return target._replace(btc=-0.5), state


def memory_lost(target: Any, state: Any) -> Any:
    return target, state._replace(eth=math.nan)


def not_a_target(target: Any, state: Any) -> Any:
    return None, state


FAULTS: dict[str, tuple[Callable[[Any, Any], Any], str, str]] = {
    "raising": (raising, "raised", "ZeroDivisionError: float division by zero"),
    "looping": (looping, "loop", "ran longer than 0.3 s"),
    "nan": (nan, "target", "target.eth is nan"),
    "infinite": (infinite, "target", "target.usd is inf"),
    "over_sized": (over_sized, "target", "sum to"),
    "negative": (negative, "target", "must not be negative"),
    "memory_lost": (memory_lost, "target", "its state is not finite"),
    "not_a_target": (not_a_target, "target", "not its Target"),
}


@pytest.fixture(scope="module")
def honest(finished: Path) -> list[Event]:
    """The events of the run in which nobody misbehaves."""
    with open_store(finished / "arena.db", readonly=True) as store:
        return list(store.read())


@pytest.fixture(scope="module")
def victim(honest: list[Event]) -> str:
    """A trend follower that lives in the arena before, in and after the cycle."""
    start = next(e.seq for e in honest if e.event_type == "EvolutionCycleStarted" and e.payload.cycle == CYCLE)
    arena = [
        e.agent_id
        for e in honest[:start]
        if e.event_type == "AgentGraduated" and e.payload.to_stage == "arena" and "trend" in str(e.agent_id)
    ]
    dead = {e.agent_id for e in honest if e.event_type in {"AgentKilled", "AgentRetired"}}
    return str(next(agent for agent in arena if agent not in dead))


@pytest.fixture(scope="module")
def misbehaved(small_config: Path, victim: str) -> dict[str, list[Event]]:
    """The events of the run with each fault."""
    registry = load_registry()
    assembled = assembly.assemble(load_config(small_config, registry, {}), registry)
    assembled = attrs.evolve(assembled, arena=attrs.evolve(assembled.arena, decision_seconds_max=0.3))
    out: dict[str, list[Event]] = {}
    for name, (fault, _, _) in FAULTS.items():
        with open_store("sqlite://") as store:
            manager = assembled.manager(store)
            spoil(manager.cycle.runner, victim, manager.schedule()[CYCLE - 1] + 20, fault)
            manager.run()
            manager.verify_capital_conservation()
            assert audit(store).ok
            assert not [amount for amount in store.balances(f"agent:{victim}:").values() if amount]
            manager.close()
            out[name] = list(store.read())
    return out


def spoil(runner: Any, victim: str, row: int, fault: Callable[[Any, Any], Any]) -> None:
    """Make the victim's decisions go wrong from `row` on; the others share its strategy and are not touched."""
    desk = runner.desks["trend"]
    decide, step = desk.strategy.decide, runner.step
    now: list[tuple[str, int]] = []

    def stepping(account: Any, at: int) -> None:
        now[:] = [(account.agent_id, at)]
        step(account, at)

    def deciding(*given: Any) -> Any:
        decided = decide(*given)
        who, at = now[0]
        return fault(*decided) if who == victim and at >= row else decided

    runner.step = stepping
    runner.desks["trend"] = attrs.evolve(desk, strategy=attrs.evolve(desk.strategy, decide=deciding))


def interval(events: list[Event], cycle: int) -> list[Event]:
    """Events of a cycle up to the last record, deaths and births not included."""
    start = next(e.seq for e in events if e.event_type == "EvolutionCycleStarted" and e.payload.cycle == cycle)
    records = [e.seq for e in events if e.event_type == "PerformanceRecorded" and e.payload.cycle == cycle]
    return events[start : max(records)]


def told(events: list[Event], without: str) -> list[tuple[str | None, str, str]]:
    return [(event.agent_id, event.event_type, event.data) for event in events if event.agent_id != without]


@pytest.mark.parametrize("fault", FAULTS)
def test_it_fails_dies_and_gives_its_capital_back(misbehaved: dict[str, list[Event]], victim: str, fault: str) -> None:
    events = [event for event in misbehaved[fault] if event.agent_id == victim]
    _, kind, reason = FAULTS[fault]
    (failed,) = [event for event in events if event.event_type == "AgentFailed"]
    assert failed.payload.kind == kind
    assert reason in failed.payload.reason
    (killed,) = [event for event in events if event.event_type == "AgentKilled"]
    assert killed.payload.rule == "failed"
    returned = [event for event in events if event.event_type == "CapitalReturned" and event.seq > killed.seq]
    assert sum(event.payload.amount_raw for event in returned) > 0
    assert events[-1].seq == returned[-1].seq


@pytest.mark.parametrize("fault", FAULTS)
def test_the_others_live_through_the_same_interval_unchanged(
    misbehaved: dict[str, list[Event]], honest: list[Event], victim: str, fault: str
) -> None:
    found, expected = interval(misbehaved[fault], CYCLE), interval(honest, CYCLE)
    assert told(found, victim) == told(expected, victim)
    start = found[0].seq - 1
    assert [event.hash for event in misbehaved[fault][:start]] == [event.hash for event in honest[:start]]


def test_how_it_fails_makes_no_difference_to_anyone(misbehaved: dict[str, list[Event]], victim: str) -> None:
    first = told(misbehaved["raising"], victim)
    assert len({agent for agent, _, _ in first if agent}) > 5
    for fault, events in misbehaved.items():
        assert told(events, victim) == first, fault


# -- plugins on disk

FRAGILE = '''
"""A lender whose arithmetic breaks on the five hundredth hour: infinite in a kernel, an exception in plain Python."""
from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import Column, Real, Role, Strategy
from treasury_arena.markers import hookimpl


class Genes(NamedTuple):
    share: Annotated[float, Real(0.1, 1.0, 0.8, "share of equity")]


class Features(NamedTuple):
    rate: Annotated[float, Column("raw", 1, of="usd", field="rate")]


class Book(NamedTuple):
    step: float


class Target(NamedTuple):
    usd: float
    band: float


class State(NamedTuple):
    pass


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    cliff = 1.0 / (500.0 - book.step)
    return Target(g.share + 0.0 * cliff, 0.05), s


@hookimpl
def arena_strategies():
    return [
        Strategy(
            name="fragile",
            roles={"usd": Role("lending", "usdc_lending")},
            genes=Genes,
            features=Features,
            book=Book,
            target=Target,
            state=State,
            decide=decide,
            summary="breaks after five hundred hours",
        )
    ]
'''
OFFER = """
from treasury_arena.markers import hookimpl

@hookimpl
def arena_strategies():
    return []
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path that distributions are laid into."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


def install(site: Path, module: str, code: str, entry: str = "", needs: str = "treasury-arena-core>=0.1,<0.2") -> None:
    """Lay a distribution `outside-<module>` with one module and one entry point into the folder."""
    (site / f"{module}.py").write_text(code)
    info = site / f"outside_{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: outside-{module}\nVersion: 1.0\nRequires-Dist: {needs}\n"
    )
    (info / "entry_points.txt").write_text(f"[treasury_arena]\n{entry or module} = {module}\n")
    importlib.invalidate_caches()


def hostile(site: Path) -> dict[str, str]:
    """Three distributions that cannot be accepted; distribution -> what its report must say."""
    install(site, "broken_import", "import nothing_of_that_name\n")
    install(site, "impostor", OFFER, entry="voltarget")
    install(site, "from_the_future", "raise SystemExit('must not be imported')\n", needs="treasury-arena-core>=9")
    return {
        "outside-broken_import": "No module named 'nothing_of_that_name'",
        "outside-impostor": "the name 'voltarget' is also claimed by treasury-arena-voltarget",
        "outside-from_the_future": "needs treasury-arena-core>=9, but",
    }


def test_plugins_that_cannot_be_accepted_are_reported(house: Any, site: Path) -> None:
    expected = hostile(site)
    done = house.arena("plugins", "--json")
    assert done.code == 1
    reports = {report["distribution"]: report for report in done.json["plugins"]}
    for distribution, reason in expected.items():
        assert reports[distribution]["status"] == "rejected"
        assert reason in reports[distribution]["reason"]
    assert reports["treasury-arena-voltarget"]["status"] == "rejected"
    for distribution in ("treasury-arena-trend", "treasury-arena-reports", "treasury-arena-simulation"):
        assert reports[distribution]["status"] == "accepted"
    text = house.arena("plugins")
    assert text.code == 1
    assert all(reason in text.out for reason in expected.values())


def test_a_run_that_does_not_ask_for_them_warns_and_goes_on(
    house: Any, site: Path, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    expected = hostile(site)
    done = house.process(
        "run", small_config, "--out", tmp_path / "run", "--json", "--quiet", env={"PYTHONPATH": str(site)}
    )
    assert done.code == 0, done.err
    for reason in expected.values():
        assert reason in done.err
    assert "Traceback" not in done.err
    # The list of plugins is on the record, so the digest differs; nothing else does.
    assert {**house.outcome(done.json), "digest": ""} == {**house.outcome(finished_json), "digest": ""}


def test_a_run_that_asks_for_a_rejected_plugin_is_refused(house: Any, site: Path, tmp_path: Path) -> None:
    hostile(site)
    config = house.write(tmp_path / "asks.toml", {"strategies.enabled": ["trend", "voltarget"]})
    done = house.arena("run", config, "--out", tmp_path / "run")
    assert done.code == 2
    assert "voltarget" in done.err
    assert "also claimed by" in done.err
    assert not (tmp_path / "run").exists()


def test_a_strategy_that_breaks_one_day_costs_its_agents_only(house: Any, site: Path, tmp_path: Path) -> None:
    install(site, "fragile", FRAGILE)
    config = house.write(tmp_path / "fragile.toml", {"strategies.enabled": ["fragile", "trend"]})
    done = house.arena("run", config, "--out", tmp_path / "run", "--json", "--quiet").ok()
    agents = done.json["agents"]
    fragile = [agent for agent in agents if agent["strategy"] == "fragile" and agent["born"] < "2024-01-15"]
    assert fragile
    assert {agent["stage"] for agent in fragile} == {"dead"}
    failed = house.arena("events", tmp_path / "run", "--type", "AgentFailed", "--json").json
    assert {event["agent_id"].split("-")[0] for event in failed} == {"fragile"}
    assert "raised" in {event["data"]["payload"]["kind"] for event in failed}
    assert any("ZeroDivisionError" in event["data"]["payload"]["reason"] for event in failed)
    trend = [agent for agent in agents if agent["strategy"] == "trend"]
    assert "arena" in {agent["stage"] for agent in trend}
    assert house.arena("audit", tmp_path / "run", "--json").ok().json["ok"]


# -- observers, validators and reporters that raise

WATCHERS = """
from treasury_arena.contracts.runtime import Observer
from treasury_arena.markers import hookimpl

SEEN, CALLS = [], []


class Fragile(Observer):
    name = "fragile-watcher"

    def observe(self, events):
        CALLS.append(len(events))
        if len(CALLS) == 3:
            raise RuntimeError("out of ink")


class Steady(Observer):
    name = "steady-watcher"

    def observe(self, events):
        SEEN.extend(event.seq for event in events)


@hookimpl
def arena_observers():
    return {kind.name: lambda section, context, kind=kind: kind() for kind in (Fragile, Steady)}
"""
CENSOR = """
from treasury_arena.contracts.validation import Validator
from treasury_arena.markers import hookimpl


class Censor(Validator):
    name = "censor"

    def refuse(self, order):
        if order.agent_id.startswith("trend"):
            raise LookupError("no opinion of " + order.market)
        return None


@hookimpl
def arena_validators():
    return [Censor()]
"""
PRINTERS = '''
from treasury_arena.contracts.runtime import Reporter
from treasury_arena.markers import hookimpl


class Jammed(Reporter):
    """Fails before the house's own reporter has its turn."""

    name = "a-jammed-printer"

    def table(self, result):
        return "never shown"

    def write(self, result, folder):
        raise RuntimeError("out of paper")


class Late(Reporter):
    """Comes after it, and writes one file."""

    name = "z-late-printer"

    def table(self, result):
        return "the late table"

    def write(self, result, folder):
        (folder / "late.txt").write_text(result.digest)
        return [folder / "late.txt"]


@hookimpl
def arena_reporters():
    return [Jammed(), Late()]
'''


def test_an_observer_that_raises_is_told_of_and_told_no_more(
    house: Any, site: Path, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    install(site, "watchers", WATCHERS)
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--json", "--quiet").ok()
    assert house.outcome(done.json) == house.outcome(finished_json)
    told = [line for line in done.err.splitlines() if "watcher" in line]
    assert told == ["arena: observer 'fragile-watcher' failed and is told no more: RuntimeError: out of ink"]
    watchers = sys.modules["watchers"]
    assert len(watchers.CALLS) == 3
    events = house.arena("status", tmp_path / "run", "--json").json["events"]
    assert list(range(1, events + 1)) == watchers.SEEN


def test_a_validator_that_raises_refuses_that_order_alone(
    house: Any, site: Path, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    install(site, "censor", CENSOR)
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--json", "--quiet").ok()
    events = house.arena("events", tmp_path / "run", "--json").json
    orders = {kind: [event for event in events if event["type"] == kind] for kind in ("OrderSettled", "OrderRejected")}
    assert finished_json["counts"]["orders"] > 0
    assert {str(event["agent_id"]).split("-")[0] for event in orders["OrderSettled"]} == {"tactical"}
    refused = [event for event in orders["OrderRejected"] if event["data"]["payload"]["code"] == "censor"]
    assert refused
    assert {event["agent_id"].split("-")[0] for event in refused} == {"trend"}
    for event in refused:
        payload = event["data"]["payload"]
        assert payload["reason"] == f"the validator raised LookupError: no opinion of {payload['market']}"
    assert done.json["counts"]["failures"] == 0
    assert house.arena("audit", tmp_path / "run", "--json").ok().json["ok"]


def test_a_reporter_that_raises_leaves_the_run_and_the_other_reports_whole(
    house: Any, site: Path, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    install(site, "printers", PRINTERS)
    folder = tmp_path / "run"
    done = house.arena("run", small_config, "--out", folder, "--quiet")
    assert done.code == 2
    assert "Traceback" not in done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("arena: ")]
    for words in (
        "'a-jammed-printer' failed",
        "RuntimeError: out of paper",
        f"`arena resume {folder}` reports it again",
    ):
        assert words in sentence
    assert {"report.html", "results.json", "late.txt"} <= {path.name for path in folder.iterdir()}
    assert (folder / "late.txt").read_text() == finished_json["digest"]
    assert "the late table" in done.out
    assert finished_json["digest"][:12] in done.out
    status = house.arena("status", folder, "--json").json
    assert (status["completed"], status["digest"]) == (True, finished_json["digest"])


def test_a_reporter_that_raises_is_in_the_one_json_document(
    house: Any, site: Path, copy_of_finished: Any, finished_json: dict[str, Any]
) -> None:
    install(site, "printers", PRINTERS)
    folder = copy_of_finished()
    done = house.arena("resume", folder, "--json", "--quiet")
    assert done.code == done.json["exit_code"] == 2
    assert "out of paper" in done.json["error"]
    assert f"arena: {done.json['error']}" in done.err
    assert done.json["digest"] == finished_json["digest"]
    assert {Path(path).name for path in done.json["files"]} == {"report.html", "results.json", "late.txt"}
