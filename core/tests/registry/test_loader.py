"""Discovery on real distributions on disk: each hostile one is rejected with its reason, the good one still works."""

from __future__ import annotations

import decimal
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treasury_arena.errors import PluginError
from treasury_arena.registry import PluginReport, Registry, load_registry

Install = Callable[..., None]

GOOD = """
from treasury_arena.markers import hookimpl

@hookimpl
def arena_sources():
    return {"steady": lambda section, context: None}
"""
FITNESS = """
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.markers import hookimpl

class Score(FitnessFunction):
    name = "{name}"
    summary = "s"

    def score(self, records):
        return records.trades

@hookimpl
def arena_fitness():
    return [Score()]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path that distributions are laid into."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("TREASURY_ARENA_PLUGINS", raising=False)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def install(site: Path) -> Install:
    """Lay a distribution `dist-<module>` with one module and one entry point into the folder."""

    def lay(module: str, code: str, entry: str = "", needs: tuple[str, ...] = ()) -> None:
        (site / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = site / f"dist_{module}-1.2.dist-info"
        info.mkdir()
        requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{module}\nVersion: 1.2\n{requires}", "utf-8")
        (info / "entry_points.txt").write_text(f"[treasury_arena]\n{entry or module} = {module}\n", "utf-8")
        importlib.invalidate_caches()

    return lay


def load(*names: str) -> tuple[Registry, dict[str, PluginReport]]:
    """The registry of these plugins and `good`, which must have survived."""
    registry = load_registry(only=[*names, "good"])
    reports = {report.distribution or report.name: report for report in registry.plugins}
    assert reports["dist-good"].status == "accepted"
    assert list(registry.sources) == ["steady"]
    return registry, reports


def test_a_good_plugin_is_accepted_with_what_it_offers(install: Install) -> None:
    install("good", GOOD, needs=("treasury-arena-core>=0.1,<0.2", "numpy"))
    registry, _ = load()
    assert registry.plugins == (
        PluginReport("good", "dist-good", "1.2", "accepted", "", {"arena_sources": ("steady",)}),
    )
    assert registry.warnings == []
    assert registry.require("plugins", "good").to_dict()["offers"] == {"arena_sources": ["steady"]}


HOSTILE = {
    "import_error": ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    "syntax_error": ("def broken(:\n    pass", "SyntaxError: "),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises_base": ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
    "no_text": (
        "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E()",
        "E: its message cannot",
    ),
    "unknown_hook": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_strategie():\n    return []",
        "unknown hook 'arena_strategie': did you mean 'arena_strategies'?",
    ),
    "wrong_arguments": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_fitness(config):\n    return []",
        "PluginValidationError: ",
    ),
    "wrapper": (
        "from treasury_arena.markers import hookimpl\n@hookimpl(wrapper=True)\ndef arena_fitness():\n    return (yield)",
        "arena_fitness is a hook wrapper",
    ),
    "not_a_list": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_fitness():\n    return 'sharpe'",
        "arena_fitness returned an object of type str; expected a list of FitnessFunction objects",
    ),
    "none": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_operators():\n    pass",
        "arena_operators returned an object of type NoneType; expected a mapping",
    ),
    "wrong_items": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_strategies():\n    return [3]",
        "arena_strategies offers an object of type int; expected Strategy objects",
    ),
    "class_not_object": (
        "from treasury_arena.markers import hookimpl\nfrom treasury_arena.contracts.runtime import Reporter\n"
        "@hookimpl\ndef arena_reporters():\n    return [Reporter]",
        "arena_reporters offers the class Reporter; expected Reporter objects",
    ),
    "plain_operator": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_operators():\n    return {'x': dict}",
        "arena_operators offers the class dict; expected attrs classes of operators",
    ),
    "nameless": (FITNESS.replace("{name}", " "), "under the name ' '; expected a text that is not empty"),
    "bad_path": (
        "import attrs\nfrom treasury_arena.markers import hookimpl\n@attrs.frozen\nclass S:\n    x: int = 1\n"
        "@hookimpl\ndef arena_config_sections():\n    return {'source..x': S}",
        "offers the key path 'source..x'; expected names separated by dots",
    ),
    "not_commands": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_commands():\n    return [print]",
        "arena_commands offers an object of type builtin_function_or_method; expected click commands",
    ),
    "raising_hook": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_fitness():\n    return {}['x']",
        "KeyError: 'x'",
    ),
    "two_lines": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_executors():\n    return {'a\\nb': print}",
        "under the name 'a\\nb'; expected one printable line of at most 64 characters",
    ),
    "long_name": (
        "from treasury_arena.markers import hookimpl\n@hookimpl\ndef arena_executors():\n    return {'a' * 65: print}",
        "expected one printable line of at most 64 characters",
    ),
    "bad_gene": (
        """
from typing import Annotated, NamedTuple
from treasury_arena import hookimpl
from treasury_arena.contracts.strategy import Choice, Role, Strategy

class Genes(NamedTuple):
    window: Annotated[float, Choice((24, 72), default=72)]

class Empty(NamedTuple):
    pass

class Target(NamedTuple):
    usd: float
    band: float

def decide(f, g, book, s):
    return Target(1.0, 0.1), s

@hookimpl
def arena_strategies():
    return [Strategy("idle", {"usd": Role("lending", "usdc_lending")}, Genes, Empty, Empty, Target, Empty, decide)]
""",
        "strategy 'idle': gene 'window' of bad_gene.Genes: default 72 is not an index of its 2 values",
    ),
    "bad_requirement": (GOOD, "its requirement 'treasury arena core !!' cannot be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_plugin_is_rejected_alone(install: Install, name: str) -> None:
    code, reason = HOSTILE[name]
    install("good", GOOD)
    install(name, code, needs=("treasury arena core !!",) if name == "bad_requirement" else ())
    registry, reports = load(name)
    report = reports[f"dist-{name}"]
    assert report.status == "rejected"
    assert reason in report.reason
    assert "\n" not in report.reason
    assert report.offers == {}
    assert any(report.reason in warning for warning in registry.warnings)
    with pytest.raises(PluginError) as caught:
        registry.require("plugins", name)
    assert report.reason in str(caught.value)


DISTURBING = {
    "walks_off": ("import os\nos.chdir('/')", "the working directory"),
    "rounds": ("import decimal\ndecimal.getcontext().prec = 3", "the context of decimal"),
    "digs": ("import sys\nsys.setrecursionlimit(150_000)", "the recursion limit"),
    "hurries": ("import sys\nsys.setswitchinterval(1.0)", "the switch interval of threads"),
    "raises_on_overflow": ("import numpy\nnumpy.seterr(all='raise')", "how numpy treats errors"),
    "silences": ("import sys\nsys.stderr = None", "standard error"),
    "locks_out": ("import os\nos.umask(0o777)", "the mask of new files' permissions"),
    "hears_no_end": ("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)", "the handlers of signals"),
    "all_of_it": (
        "import os, sys\nos.chdir('/')\nsys.setrecursionlimit(99_999)",
        "the working directory and the recursion limit",
    ),
}


def shared() -> tuple[Any, ...]:
    precision = decimal.getcontext().prec
    mask = os.umask(0o077)
    os.umask(mask)
    handler = signal.getsignal(signal.SIGTERM)
    return os.getcwd(), precision, sys.getrecursionlimit(), sys.getswitchinterval(), np.geterr(), mask, handler


@pytest.mark.parametrize("name", DISTURBING)
@pytest.mark.parametrize("end", ["", "\nraise OSError('no')"], ids=["fine", "fails"])
def test_what_a_plugin_changes_for_all_is_put_back_and_told(install: Install, name: str, end: str) -> None:
    code, changed = DISTURBING[name]
    install("good", GOOD)
    install(name, code + end)
    before = shared()
    registry, reports = load(name)
    assert shared() == before
    said = f"plugin {name!r} of dist-{name} 1.2 changed {changed} when it was loaded; that was put back"
    assert registry.warnings[-1] == said
    assert len(registry.warnings) == (2 if end else 1)
    if not end:
        assert reports[f"dist-{name}"].to_dict()["changed"] == changed.split(" and ")
        assert reports["dist-good"].changed == ()


def test_a_folder_that_is_gone_is_no_change(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good", GOOD)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load()[0].warnings == []


@pytest.mark.parametrize(
    ("name", "line"), [("import_error", 1), ("exits", 2), ("syntax_error", 1), ("raising_hook", 4)]
)
def test_the_reason_names_file_and_line_of_the_plugin(install: Install, site: Path, name: str, line: int) -> None:
    install("good", GOOD)
    install(name, HOSTILE[name][0])
    _, reports = load(name)
    assert reports[f"dist-{name}"].reason.endswith(f"({site / name}.py:{line})")


@pytest.mark.parametrize(
    ("needs", "accepted"),
    [
        ("treasury-arena-core>=0.1,<0.2", True),
        ("Treasury_Arena.Core>=0.1", True),
        ("treasury-arena-core", True),
        ("treasury-arena-core>=0.2", False),
        ("treasury-arena-core<0.1", False),
        ("treasury-arena-core>=0.2; python_version < '3'", True),
        ("treasury-arena-core>=0.2; extra == 'new'", True),
    ],
)
def test_the_declared_range_on_core_is_checked_before_the_import(
    install: Install, site: Path, needs: str, accepted: bool
) -> None:
    install("good", GOOD)
    install("picky", f"open({str(site / 'imported')!r}, 'w').close()", needs=(needs,))
    _, reports = load("picky")
    assert reports["dist-picky"].status == ("accepted" if accepted else "rejected")
    assert (site / "imported").exists() is accepted
    if not accepted:
        assert reports["dist-picky"].reason.endswith("but 0.1.0 is installed")


def test_every_claimant_of_a_doubled_entry_name_is_refused_and_never_imported(install: Install, site: Path) -> None:
    install("good", GOOD)
    touch = f"open({str(site / 'imported')!r}, 'w').close()"
    install("honest", touch, entry="pendle")
    install("impostor", touch, entry="pendle")
    _, reports = load("pendle")
    way_out = (
        ", and no claim is preferred; uninstall the one you do not want: `pip uninstall dist-honest` or `pip uninstall "
        "dist-impostor`"
    )
    assert reports["dist-honest"].reason == f"the name 'pendle' is also claimed by dist-impostor{way_out}"
    assert reports["dist-impostor"].reason == f"the name 'pendle' is also claimed by dist-honest{way_out}"
    assert not (site / "imported").exists()


def test_every_claimant_of_a_doubled_object_name_is_refused_for_that_name_only(install: Install) -> None:
    install("good", GOOD)
    install("first", FITNESS.replace("{name}", "sharpe"))
    install("second", FITNESS.replace("{name}", "sharpe"))
    install("third", FITNESS.replace("{name}", "sortino"))
    registry, reports = load("first", "second", "third")
    assert list(registry.fitness) == ["sortino"]
    for name in ("first", "second"):
        assert reports[f"dist-{name}"].status == "accepted"
        assert "(plugins first of dist-first 1.2, second of dist-second 1.2)" in reports[f"dist-{name}"].reason
        assert "`pip uninstall dist-first` or `pip uninstall dist-second`" in reports[f"dist-{name}"].reason
        assert reports[f"dist-{name}"].offers == {}
    with pytest.raises(PluginError, match="'sharpe' is refused: more than one claim to that name"):
        registry.require("fitness", "sharpe")


def test_an_unknown_name_gets_the_nearest_and_the_rejected_plugins(install: Install) -> None:
    install("good", GOOD)
    install("third", FITNESS.replace("{name}", "sortino"))
    install("exits", "raise SystemExit(1)")
    registry, _ = load("third", "exits")
    assert registry.require("fitness", "sortino").name == "sortino"
    with pytest.raises(
        PluginError, match=r"unknown fitness function 'sortin': did you mean 'sortino'.*exits: SystemExit: 1"
    ):
        registry.require("fitness", "sortin")
    with pytest.raises(PluginError, match=r"strategy 'exits': the plugin of that name of dist-exits 1\.2 was rejected"):
        registry.require("strategies", "exits")
    with pytest.raises(PluginError, match="unknown kind of plugin object 'strategy': did you mean 'strategies'"):
        registry.require("strategy", "x")
    with pytest.raises(PluginError, match="unknown plugin 'goood': did you mean 'good'"):
        registry.require("plugins", "goood")


def test_many_rejected_plugins_are_named_without_their_reasons(install: Install) -> None:
    install("good", GOOD)
    for name in ("one", "two", "three"):
        install(name, "raise SystemExit(1)")
    registry, _ = load("one", "two", "three")
    with pytest.raises(PluginError) as caught:
        registry.require("sources", "stead")
    assert str(caught.value) == (
        "unknown source 'stead': did you mean 'steady'? (rejected plugins may have offered it: one; three; two)"
    )
    assert len(registry.warnings) == 3


def test_the_environment_lists_plugins_and_traces_hooks(
    install: Install, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install("good", "print('hello')\n" + GOOD)
    install("exits", "raise SystemExit(1)")
    monkeypatch.setenv("TREASURY_ARENA_PLUGINS", "good, gone")
    monkeypatch.setenv("TREASURY_ARENA_TRACE", "1")
    registry = load_registry()
    assert [(one.name, one.status) for one in registry.plugins] == [("gone", "rejected"), ("good", "accepted")]
    assert "is not installed" in registry.plugins[0].reason
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["hello", "good: arena_sources -> steady"]
    monkeypatch.setenv("TREASURY_ARENA_PLUGINS", "")
    assert load_registry().plugins == ()


def test_all_installed_plugins_are_loaded_by_default(install: Install) -> None:
    install("good", GOOD)
    registry = load_registry()
    assert "good" in [report.name for report in registry.plugins]
    assert [one.name for one in registry.plugins] == sorted(one.name for one in registry.plugins)


def test_an_object_handed_in_is_a_plugin_and_can_double_a_name(install: Install) -> None:
    install("good", GOOD)

    class Nothing:
        pass

    registry = load_registry(only=["good"], extra={"extra": Nothing()})
    assert [(one.name, one.distribution) for one in registry.plugins] == [
        ("extra", "(in process)"),
        ("good", "dist-good"),
    ]
    doubled = load_registry(only=["good"], extra={"good": Nothing()})
    assert {one.status for one in doubled.plugins} == {"rejected"}
    assert doubled.sources == {}


def test_listing_plugins_imports_nothing_heavy(install: Install, site: Path) -> None:
    install("good", GOOD)
    install("third", FITNESS.replace("{name}", "sortino"))
    code = (
        "import json, sys\nfrom treasury_arena.registry import load_registry\n"
        "r = load_registry(only=['good', 'third'])\n"
        "heavy = ['numba', 'matplotlib', 'pandas', 'sqlalchemy', 'click', 'alembic', 'pyarrow']\n"
        "print(json.dumps([sorted(r.fitness), [n for n in heavy if n in sys.modules]]))"
    )
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [["sortino"], []]


def test_a_person_who_interrupts_while_plugins_are_imported_is_heard(install: Install) -> None:
    install("good", GOOD)
    install("patient", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True:\n    pass")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            load("patient")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler])
def test_a_plugin_that_interrupts_itself_is_rejected_whoever_hears_signals(install: Install, handler: Any) -> None:
    install("good", GOOD)
    install("interrupts", "raise KeyboardInterrupt")
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert load("interrupts")[1]["dist-interrupts"].status == "rejected"
    finally:
        signal.signal(signal.SIGINT, before)
