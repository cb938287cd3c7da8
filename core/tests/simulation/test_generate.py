"""Names of generated modules: everything that changes machine code changes them, nothing else does. And the cache folder."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import pytest
from kernel_plugins import build, farmer, minimal, six, tactical

from treasury_arena.contracts.strategy import Strategy
from treasury_arena.errors import DataError, PluginError
from treasury_arena.simulation import generate, source_hash
from treasury_arena.simulation.warm import Compilation, compile_kernels

SUPPORT = Path(build.__file__).parent


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A function that gives the farmer's kernel name after edits of its source, as a new process would see it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # Two edits of one size within one second look alike to the cache of compiled modules, wherever that is kept.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def name(*edits: tuple[str, str]) -> str:
        source = (SUPPORT / "farmer.py").read_text().replace("def decide", "CALM = 8.0\n\n\ndef decide")
        source = source.replace("f.gas > 8.0", "f.gas > CALM")
        for old, new in edits:
            assert old in source
            source = source.replace(old, new)
        (tmp_path / "edited_farmer.py").write_text(source)
        sys.modules.pop("edited_farmer", None)
        importlib.invalidate_caches()
        strategy: Strategy = importlib.import_module("edited_farmer").STRATEGY
        import linecache

        linecache.checkcache()
        return build.kernel(strategy, tmp_path / "cache").generated.name

    return name


CHANGES = {
    "decision": ("0.5 * eth", "0.4 * eth"),
    "helper": ("average + speed * (x - average)", "average + speed * (x - average) * 1.0"),
    "constant": ("CALM = 8.0", "CALM = 9.0"),
    "genes swapped": (
        "quick: Annotated[float, Real(0.02, 0.3)]\n    slow:",
        "slow: Annotated[float, Real(0.02, 0.3)]\n    quick:",
    ),
    "book swapped": ("step: float\n    cash: float", "cash: float\n    step: float"),
    "state swapped": ("quick: float = 0.0\n    slow: float = 0.0", "slow: float = 0.0\n    quick: float = 0.0"),
    "opening value": ("wait: float = 0.0", "wait: float = 1.0"),
    "features swapped": (
        'log_price: Annotated[float, Column("log_price", 1, "eth")]\n    vol: Annotated[float, Column("volatility", 72, "eth")]',
        'vol: Annotated[float, Column("volatility", 72, "eth")]\n    log_price: Annotated[float, Column("log_price", 1, "eth")]',
    ),
}
KEEPS = {
    "gene bounds": ("Real(1.0, 40.0)", "Real(2.0, 30.0, default=3.0)"),
    "feature window": ('"volatility", 72', '"volatility", 48'),
    "feature column": ('"volatility", 72, "eth"', '"volatility", 72, "WBTC.price"'),
    "comment elsewhere": ("class Book", "# a remark\nclass Book"),
    "default market": ('Role("spot", "eth")', 'Role("spot", "btc")'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_code_changes_the_name(edited: object, change: str) -> None:
    before, after = edited(), edited(CHANGES[change])  # type: ignore[operator]
    assert before != after
    assert edited() == before  # type: ignore[operator]


@pytest.mark.parametrize("change", KEEPS)
def test_what_is_an_argument_keeps_the_name(edited: object, change: str) -> None:
    assert edited() == edited(KEEPS[change])  # type: ignore[operator]


def test_parameters_and_columns_keep_the_name_and_coins_do_not(cache: Path) -> None:
    spec = build.SPECS["eth"]
    changed = attrs.evolve(spec, params={"fee": 0.5}, columns={"price": "WBTC.price", "gas": "gas.usd"})
    before = build.kernel(farmer.STRATEGY, cache).generated
    assert build.kernel(farmer.STRATEGY, cache, eth=changed).generated == before
    stable = attrs.evolve(spec, coin=not spec.coin)
    assert build.kernel(farmer.STRATEGY, cache, eth=stable).generated != before


def test_whatever_of_this_package_a_module_is_compiled_with_is_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.kernel(farmer.STRATEGY, tmp_path).generated
    used = set(re.findall(r"from treasury_arena\.simulation\.?(\w*) import (\w+)", before.path.read_text()))
    files = {f"{module or name}.py" for module, name in used}
    assert files == {path.name for path in source_hash.COMPILING}
    for changed in source_hash.COMPILING:
        copy = tmp_path / changed.name
        copy.write_text(changed.read_text() + "# changed\n")
        others = tuple(copy if path == changed else path for path in source_hash.COMPILING)
        with monkeypatch.context() as patch:
            patch.setattr(source_hash, "COMPILING", others)
            assert build.kernel(farmer.STRATEGY, tmp_path).generated != before
    assert build.kernel(farmer.STRATEGY, tmp_path).generated == before


def test_a_kernel_is_written_once(tmp_path: Path) -> None:
    first = build.kernel(six.STRATEGY, tmp_path).generated
    stamp = first.path.stat()
    assert build.kernel(six.STRATEGY, tmp_path).generated == first
    assert first.path.stat().st_ino == stamp.st_ino
    assert [path.name for path in tmp_path.glob("*.py")] == [f"{first.name}.py"]
    assert not list(tmp_path.glob("*.part"))


def test_a_function_that_cannot_be_imported_by_name_is_refused(tmp_path: Path) -> None:
    def decide(*arguments: object) -> object:
        return farmer.decide(*arguments)  # type: ignore[arg-type]

    with pytest.raises(PluginError, match=r"strategy 'farmer': .*decide must be defined at module level"):
        build.kernel(attrs.evolve(farmer.STRATEGY, decide=decide), tmp_path)


def test_pruning_takes_only_what_was_not_used_for_long(tmp_path: Path) -> None:
    old = build.kernel(farmer.STRATEGY, tmp_path).generated
    (tmp_path / "__pycache__").mkdir()
    compiled = tmp_path / "__pycache__" / f"{old.name}.run_blocked-1.py311.nbi"
    compiled.touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "other.used").touch()
    fresh = build.kernel(tactical.STRATEGY, tmp_path).generated
    long_ago = time.time() - 61 * generate.DAY_SECONDS
    for marker in (old.path.with_suffix(".used"), tmp_path / "other.used"):
        os.utime(marker, (long_ago, long_ago))
    assert generate.prune(tmp_path, unused_days=62) == []
    assert generate.prune(tmp_path) == [old.name]
    assert not old.path.exists()
    assert not compiled.exists()
    assert fresh.path.exists()
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "other.used").exists()


def test_use_renews_a_module(tmp_path: Path) -> None:
    generated = build.kernel(farmer.STRATEGY, tmp_path).generated
    long_ago = time.time() - 61 * generate.DAY_SECONDS
    os.utime(generated.path.with_suffix(".used"), (long_ago, long_ago))
    build.kernel(farmer.STRATEGY, tmp_path)
    assert generate.prune(tmp_path) == []


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREASURY_ARENA_CACHE", str(tmp_path / "own"))
    assert generate.cache_folder() == tmp_path / "own" / "kernels"
    monkeypatch.delenv("TREASURY_ARENA_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert generate.cache_folder() == tmp_path / "xdg" / "treasury-arena" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert generate.cache_folder() == tmp_path / "home" / ".cache" / "treasury-arena" / "kernels"


def test_an_unusable_cache_falls_back_to_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("TREASURY_ARENA_CACHE", str(blocked))
    monkeypatch.setattr(generate.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    folder = generate.cache_folder()
    assert folder.parent.parent == tmp_path / "temporary"
    assert folder.is_dir()


def test_a_new_process_finds_the_compiled_kernel(cache: Path) -> None:
    kernel = build.kernel(farmer.STRATEGY, cache)
    kernel.compile()
    assert kernel.generated.compiled
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\nfrom kernel_plugins import build, farmer\n"
        "kernel = build.kernel(farmer.STRATEGY, Path(sys.argv[2]))\nkernel.compile()\n"
        "stats = kernel.generated.load().run_blocked.stats\nprint(sum(stats.cache_hits.values()))\n"
    )
    arguments = [sys.executable, "-c", script, str(SUPPORT.parent), str(cache)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_several_kernels_compile_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = [build.kernel(strategy, tmp_path) for strategy in (minimal.COIN, minimal.LENT)]
    assert compile_kernels(kernels[:1]) == []
    assert compile_kernels(kernels, processes=1) == []
    assert not any(kernel.generated.compiled for kernel in kernels)
    assert (Compilation(kernels).cold, Compilation(kernels[:1]).cold, Compilation(kernels * 2).cold) == (2, 1, 2)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    assert compile_kernels(kernels) == []
    monkeypatch.undo()
    assert sorted(compile_kernels(kernels)) == sorted(kernel.generated.name for kernel in kernels)
    assert all(kernel.generated.compiled for kernel in kernels)
    assert compile_kernels(kernels) == []
    assert Compilation(kernels).cold == 0


def test_compilation_is_given_up_when_what_goes_on_beside_it_fails(tmp_path: Path) -> None:
    kernels = [build.kernel(strategy, tmp_path) for strategy in (minimal.COIN, minimal.LENT)]
    seen: list[str] = []

    def load() -> None:
        seen.extend(thread.name for thread in threading.enumerate())
        raise DataError("no rows")

    with pytest.raises(DataError), Compilation(kernels):
        load()
    assert seen.count("arena-compile") == 2
    # A thread ends when its process has.
    assert "arena-compile" not in [thread.name for thread in threading.enumerate()]
    assert not any(kernel.generated.compiled for kernel in kernels)
