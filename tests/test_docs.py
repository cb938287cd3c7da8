"""The documentation says what the program does: generated pages are current, commands run, examples work."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from treasury_arena import hookspecs
from treasury_arena.arena.phases import CycleReport
from treasury_arena.cli.main import arena, execute
from treasury_arena.config.load import load_config
from treasury_arena.config.resolve import bound_strategies, market_specs
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.parity import GapCheck, ParityCheck
from treasury_arena.contracts.results import RunResult
from treasury_arena.events import catalog, daemon, live
from treasury_arena.registry.loader import load_registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)(?P<target>[^)#\s]+)")
FIRST = "runs/first"
#: A run that is not complete yet.
UNDER_WAY = "runs/year"
SAVINGS = ROOT / "examples" / "third_party_protocol"


READMES = sorted((ROOT / "protocols").glob("*/README.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, kind: str) -> list[str]:
    return [match["text"] for match in FENCE.finditer(page.read_text()) if match["kind"] == kind]


def commands(page: Path) -> list[list[str]]:
    """Every `$ arena ...` line of the page's console blocks, without `arena`."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    split = [shlex.split(line.removeprefix("$ ")) for line in lines]
    assert all(words[0] == "arena" for words in split), f"{name_of(page)}: a console block holds another command"
    return [words[1:] for words in split]


def pages_with(kind: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, kind)]


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    spec = spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("page", ["hooks", "commands", "events", "tables", "configuration"])
def test_generated_pages_are_current(generator: ModuleType, page: str) -> None:
    written = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
    made: str = generator.PAGES[page]()
    assert written.rstrip("\n") == made.rstrip("\n"), "run `python docs/generate.py`"


def test_every_hook_is_documented_with_its_signature() -> None:
    text = (ROOT / "docs/reference/hooks.md").read_text()
    hooks = [name for name in vars(hookspecs) if name.startswith("arena_")]
    assert len(hooks) >= 12
    for hook in hooks:
        returned = str(vars(hookspecs)[hook].__annotations__["return"])
        assert f"def {hook}() -> {returned}" in text


def test_every_event_is_documented() -> None:
    text = (ROOT / "docs/reference/events.md").read_text()
    events = [
        name
        for module in (catalog, live, daemon)
        for name, item in vars(module).items()
        if isinstance(item, type) and item.__module__ == module.__name__
    ]
    assert len(events) >= 40
    for event in events:
        assert f"## {event}\n" in text


def test_every_key_of_the_configuration_is_documented() -> None:
    from treasury_arena.config.keys import key_fields

    text = (ROOT / "docs/reference/configuration.md").read_text()
    keys = [key.name for key in key_fields(Settings)]
    assert {"start", "end", "capital", "rules"} <= set(keys)
    for key in keys:
        assert f"`{key}`" in text or f"[{key}" in text, f"the key {key} is not in the reference"


def test_settings_that_guides_name_in_passing_exist() -> None:
    reference = (ROOT / "docs/reference/configuration.md").read_text()
    named = set()
    for page in (ROOT / "README.md", *(ROOT / "docs/how-to").glob("*.md"), *(ROOT / "docs/tutorial").glob("*.md")):
        named |= set(re.findall(r'`(\w+) = "[^`]*"`', page.read_text()))
    assert "reserve_use" in named
    assert not [key for key in named if f"`{key}`" not in reference]


def test_every_command_has_help_with_an_example(generator: ModuleType) -> None:
    text = (ROOT / "docs/reference/commands.md").read_text()
    found = dict(generator.commands(arena, "arena"))
    assert {"arena run", "arena resume", "arena audit", "arena config check", "arena data check"} <= set(found)
    for path, command in found.items():
        assert f"## {path}\n" in text
        assert command.help, f"{path} has no help"
        if not getattr(command, "commands", None):
            assert f"{path} " in command.help or command.help.rstrip().endswith(path), f"{path}: no example in its help"


def test_no_plugin_of_the_repository_is_rejected() -> None:
    assert load_registry().warnings == []


@pytest.mark.parametrize("example", ["history", "defi"])
def test_an_example_on_history_loads_no_column_that_nothing_reads(example: str) -> None:
    registry = load_registry()
    settings = load_config(ROOT / "examples" / f"{example}.toml", registry)
    series = settings.sections["source.history"].series
    read = {column for spec in market_specs(settings, registry).values() for column in spec.columns.values()}
    for strategy in bound_strategies(settings, registry).values():
        read |= {column.of for column in strategy.columns.values() if "." in column.of}
    read |= {entry.times for entry in series if entry.times}
    assert {entry.column for entry in series} == read


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text()):
        assert (page.parent / match["target"]).exists(), f"{name_of(page)} links to {match['target']}"


def test_the_strategy_on_the_page_is_that_of_the_example() -> None:
    """Copied, not included: where the code is hosted a reader sees the page as it is written."""
    (shown,) = blocks(ROOT / "docs/how-to/write-a-strategy.md", "python")
    assert shown == (ROOT / "examples/third_party_strategy/arena_reversion.py").read_text()
    assert not [name_of(page) for page in PAGES if "--8<--" in page.read_text()]


def test_the_protocol_on_the_page_is_that_of_the_example() -> None:
    page = ROOT / "docs/how-to/write-a-protocol.md"
    names = [f"src/example_savings/{name}.py" for name in ("exact", "model", "market", "chain", "parity", "plugin")]
    assert blocks(page, "python") == [(SAVINGS / name).read_text() for name in (*names, "tests/test_suites.py")]
    assert blocks(page, "solidity") == [(SAVINGS / "src/example_savings/Savings.sol").read_text()]
    files = ["Savings.sol", "exact.py", "model.py", "market.py", "chain.py", "parity.py", "plugin.py", "__init__.py"]
    for name in (*(f"src/example_savings/{name}" for name in files), "tests/test_suites.py", "README.md"):
        assert f"`{name}`" in page.read_text(), f"the page does not say that {name} is to be written"


@pytest.mark.parametrize("page", ["docs/how-to/write-a-protocol.md", "examples/third_party_protocol/README.md"])
def test_what_is_installed_has_the_commands_that_are_shown(page: str) -> None:
    lines = [line.strip() for line in (ROOT / page).read_text().splitlines()]
    installed = " ".join(line for line in lines if line.startswith("pip install")).split()
    assert any(line.startswith("arena parity") for line in lines)
    for part in ("./core", "./protocols/evm", "./plugins/parity"):
        assert part in installed
        assert (ROOT / part / "pyproject.toml").is_file()


def checks() -> list[ParityCheck | GapCheck]:
    return [check for protocol in load_registry().protocols.values() for check in protocol.parity()]


def test_the_output_of_parity_on_the_page_has_every_check() -> None:
    """When a check is new: run `COLUMNS=132 arena parity` again and put what it printed on the page."""
    page = (ROOT / "docs/how-to/check-the-arithmetic.md").read_text()
    (shown,) = re.findall(r"<!-- parity-output -->\n```text\n(.*?)```", page, re.DOTALL)
    words = set(shown.replace(",", "").split())
    for check in checks():
        if not check.name.lower().startswith("savings"):
            assert set(check.name.replace(",", "").split()) <= words, f"{check.name} is not in the output on the page"
    assert "no difference" in shown
    for check in checks():
        if isinstance(check, GapCheck) and not check.name.startswith("savings"):
            now = check.run(500, 1, lambda done, whole: None)
            figures = [f"{value:.1e}" for value in (now.median, now.high, now.largest, now.bound)]
            (row,) = [row for row in shown.splitlines() if row.split()[1:2] == [check.name]]
            assert row.replace("│", " ").split() == [check.name, f"{now.cases:,}", *figures]


def test_published_bounds_are_those_that_are_asserted() -> None:
    page = (ROOT / "docs/explanation/three-fidelities.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for check in checks():
        if isinstance(check, GapCheck) and not check.name.startswith("savings"):
            (row,) = [row for row in rows if f"`{check.name}`" in row]
            assert row.split("|")[-2].split()[0].rstrip(",") == f"{check.bound:.0e}".replace("e-0", "e-"), check.name


def test_how_to_see_the_documentation_is_said_with_what_it_needs() -> None:
    needed = re.findall(r"^    (mkdocs\S*)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    assert len(needed) == 3
    (command,) = [
        line
        for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()
        if "pip install" in line and "mkdocs" in line
    ]
    assert shlex.split(command)[2:] == needed


@pytest.mark.parametrize("page", pages_with("toml"), ids=name_of)
def test_toml_blocks_can_be_read(page: Path) -> None:
    import tomllib

    for block in blocks(page, "toml"):
        assert tomllib.loads(block)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, the quickstart cut to a month and a handful of agents, and one finished run."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    quickstart = folder / "examples" / "quickstart.toml"
    text = quickstart.read_text()
    for pattern, value in (
        (r"^end = .*$", 'end = "2024-02-01"'),
        (r"^agents = \d+", "agents = 8"),
        (r"^training_days = \d+", "training_days = 14"),
        (r"^population = \d+", "population = 8"),
        (r"^generations = \d+", "generations = 2"),
    ):
        text, count = re.subn(pattern, value, text, flags=re.MULTILINE)
        assert count == 1, f"the quickstart has no line {pattern}"
    quickstart.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert execute(["run", "examples/quickstart.toml", "--out", FIRST, "--quiet"]) == 0
    return folder


@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_commands_on_the_page_run(
    page: Path,
    workspace: Path,
    interrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(workspace, tmp_path, dirs_exist_ok=True)
    shutil.copytree(interrupted, tmp_path / UNDER_WAY)
    monkeypatch.chdir(tmp_path)
    found = commands(page)
    assert found
    if any(words[0] == "run" and FIRST in words for words in found):
        shutil.rmtree(tmp_path / FIRST)
    for words in found:
        code = execute(words)
        captured = capsys.readouterr()
        assert code == 0, f"arena {shlex.join(words)}: {captured.err}"
        if not {"--type", "--stage"} & set(words):  # a short run may hold none of these
            assert captured.out, f"arena {shlex.join(words)} printed nothing"


@pytest.mark.parametrize(
    "page", [page for page in pages_with("python") if "reference/hooks" not in str(page)], ids=name_of
)
def test_python_on_the_page_runs(page: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.syspath_prepend(SAVINGS / "src")  # modules of a page may import each other
    for block in blocks(page, "python"):
        module = ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", module)
        exec(compile(block, name_of(page), "exec"), vars(module))
        for hook in (name for name in vars(module) if name.startswith("arena_")):
            assert vars(module)[hook](), f"{hook} offers nothing"


def test_the_output_on_the_page_is_what_the_python_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page of the Python API shows is printed before its second `print`, and every agent has a record by then."""
    page = ROOT / "docs" / "reference" / "python-api.md"
    (code,), (shown,) = blocks(page, "python"), blocks(page, "text")
    monkeypatch.chdir(ROOT)
    module = ModuleType("page")
    exec(compile("print".join(code.split("print")[:2]), name_of(page), "exec"), vars(module))
    module.manager.close()
    module.manager.store.close()
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines()] == [line.rstrip() for line in shown.splitlines()]
    assert "NaN" not in printed


OWN_DATA = ROOT / "docs" / "how-to" / "run-on-your-own-data.md"


def test_the_example_on_own_data_works_on_the_files_that_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that begin as the page's do, hour by hour until the end of January, and its blocks put together."""
    prices, rates = blocks(OWN_DATA, "text")
    (tmp_path / "prices").mkdir()
    first = datetime(2023, 6, 1)
    hours = [first + timedelta(hours=hour) for hour in range(24 * 246)]
    for name, shown, form, row in (
        ("prices/eth.csv", prices, "%Y-%m-%d %H:%M:%S", "1874.1,1880.0,1871.3,1876.{}"),
        ("rates.csv", rates, "%Y-%m-%dT%H:%M:%SZ", "2.4{}"),
    ):
        header, line = shown.splitlines()
        assert line.split(",")[0] == first.strftime(form)
        rows = [f"{when.strftime(form)},{row.format(when.hour % 7)}" for when in hours]
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
    config = tmp_path / "my.toml"
    head = 'name = "mine"\nstart = "2024-01-01"\nend = "2024-01-31"\n'
    config.write_text("\n".join([head, *blocks(OWN_DATA, "toml")]))
    for words in (
        ["data", "check", str(config), "--data", str(tmp_path)],
        ["config", "check", str(config)],
        ["backtest", str(config), "--data", str(tmp_path)],
    ):
        assert execute(words) == 0, capsys.readouterr()
    page = OWN_DATA.read_text()
    assert "`time_format" in page
    assert 'time_format = "naive_utc"' in page


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in READMES for number in range(len(blocks(page, "python")))]
)
def test_python_of_a_protocols_readme_runs_by_itself(
    page: Path, number: int, local_market: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SAVINGS / "src")
    module = ModuleType("snippet")
    exec(compile(blocks(page, "python")[number], f"{name_of(page)} {number}", "exec"), vars(module))
    for name in [name for name in vars(module) if name.startswith("test_")]:
        vars(module)[name](local_market)


def test_what_a_protocols_readme_shows_as_python_is_run() -> None:
    """A part of a program would be shown under another name of the language, and never be run."""
    kinds = {page.parent.name: {match["kind"] for match in FENCE.finditer(page.read_text())} for page in READMES}
    assert set().union(*kinds.values()) <= {"python", "toml", "console", "text"}
    assert {name for name, found in kinds.items() if "python" in found} == {"aave", "evm", "uniswap"}


def test_it_is_said_from_where_cycles_are_counted() -> None:
    """From 0 in data, from 1 in what people read: said where the data are explained."""
    events = (ROOT / "docs" / "reference" / "events.md").read_text()
    assert "`cycle` counts from 0, while progress display, tables and sentences count from 1" in " ".join(
        events.split()
    )
    for told in (RunResult.__doc__, CycleReport.__doc__, (ROOT / "plugins" / "reports" / "README.md").read_text()):
        assert "counts from 0" in " ".join((told or "").split())
