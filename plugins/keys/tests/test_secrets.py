"""The canary: neither key nor passphrase shows itself anywhere, whatever fails."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from treasury_arena.clock import WallClock
from treasury_arena.errors import ConfigError, TreasuryArenaError
from treasury_arena_keys.book import NonceBook
from treasury_arena_keys.desk import Desk, Rate
from treasury_arena_keys.hidden import Hidden, passphrase, referenced
from treasury_arena_keys.settings import read_settings
from treasury_arena_keys.transactions import payload
from treasury_arena_keys.vault import Vault


def forms(house: Any) -> list[str]:
    """The canaries as hex, number, bytes and text."""
    key = bytes.fromhex(house.CANARY)
    return [house.CANARY, house.CANARY.upper(), str(int(house.CANARY, 16)), repr(key)[2:-1], house.PASSPHRASE]


def seen(house: Any, text: str) -> list[str]:
    return [form for form in forms(house) if form in text]


def everything(error: BaseException) -> str:
    """Tracebacks with locals of an error and of all that it hangs on, suppressed ones as well."""
    out, waiting, known = io.StringIO(), [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        out.write("".join(traceback.format_exception(one, chain=False)) + repr(one) + repr(vars(one)))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            for name, value in frame.f_locals.items():
                out.write(f"{frame.f_code.co_filename} {name} = {shown(value)}\n")
        waiting += [linked for linked in (one.__cause__, one.__context__) if linked is not None]
    return out.getvalue()


def shown(value: object) -> str:
    """A local as a traceback shows it; half-made objects of the libraries have no representation."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(error).__name__}>"


def test_representations_show_nothing(house: Any) -> None:
    vault, hidden = Vault.of_hex(Hidden(house.CANARY)), Hidden(house.PASSPHRASE)
    settings = read_settings(house.file)
    (house.folder / "run").mkdir()
    book = NonceBook(house.folder / "run" / "b", WallClock())
    desk = Desk(vault, settings.policy(), book, Rate(1), house.stop_file)
    shown = f"{vault} {vault!r} {hidden} {hidden!r} {desk!r} {settings!r} {[vault]} {book!r} {house.client!r}"
    assert seen(house, shown) == []
    assert not hasattr(vault, "__dict__")
    assert not hasattr(hidden, "__dict__")


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secrets_are_not_copied(house: Any, copied: Callable[[Any], Any]) -> None:
    for secret in (Vault.of_hex(Hidden(house.CANARY)), Hidden(house.PASSPHRASE)):
        with pytest.raises(TypeError, match="not pickled"):
            copied(secret)


class InjectedError(Exception):
    """What is raised at a place."""


def operations(house: Any, desk: Desk) -> dict[str, Callable[[], Any]]:
    """What handles a secret, each as a call whose own frame holds none."""
    key, word = Hidden(house.CANARY), Hidden(house.PASSPHRASE)
    vault = Vault.of_hex(key)
    locked = vault.locked(word, 2)
    data = payload(house.transaction())
    return {
        "of_hex": lambda: Vault.of_hex(key),
        "locked": lambda: vault.locked(word, 2),
        "unlock": lambda: Vault.unlock(locked, word, "it"),
        "sign": lambda: vault.sign(house.transaction()),
        "desk": lambda: desk.sign(data, house.address),
    }


def raising(number: int, count: list[int]) -> Callable[[FrameType, str, Any], Any]:
    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        # Python itself swallows what is raised in a destructor and in the import of a module.
        swallowed = frame.f_code.co_name == "__del__" or frame.f_code.co_filename.startswith("<frozen importlib")
        if event == "call" and not swallowed:
            count[0] += 1
            if count[0] == number:
                raise InjectedError("here")
        return None

    return trace


def broken_at(number: int, call: Callable[[], Any], count: list[int]) -> BaseException | None:
    """The error of a call in which the function called as the `number`-th raises; None when it came to no harm."""
    before = sys.gettrace()
    sys.settrace(raising(number, count))
    try:
        call()
    except (TreasuryArenaError, InjectedError) as error:
        return error
    finally:
        sys.settrace(before)
    return None


@pytest.mark.parametrize("name", ["of_hex", "locked", "unlock", "sign", "desk"])
def test_an_error_at_any_place_shows_no_secret(house: Any, name: str) -> None:
    """Raised in every function that is called on the way, up to a few hundred, those of the libraries included."""
    (house.folder / "run").mkdir()
    book = NonceBook(house.folder / "run" / "b", WallClock())
    desk = Desk(
        Vault.of_hex(Hidden(house.CANARY)), read_settings(house.file).policy(), book, Rate(10**6), house.stop_file
    )
    call = operations(house, desk)[name]
    total = [0]
    assert broken_at(0, call, total) is None
    places = range(1, total[0] + 1, max(1, total[0] // 150))
    caught = 0
    for place in places:
        error = broken_at(place, call, [0])
        if error is not None:
            caught += 1
            assert seen(house, everything(error)) == [], f"{name}, call {place}"
    assert caught >= min(25, total[0] // 2), (caught, total)
    assert call() is not None


def test_together_they_are_more_than_a_hundred_places(house: Any) -> None:
    (house.folder / "run").mkdir()
    book = NonceBook(house.folder / "run" / "b", WallClock())
    desk = Desk(
        Vault.of_hex(Hidden(house.CANARY)), read_settings(house.file).policy(), book, Rate(10**6), house.stop_file
    )
    counts = {}
    for name, call in operations(house, desk).items():
        total = [0]
        broken_at(0, call, total)
        counts[name] = min(total[0], 150)
    assert sum(counts.values()) > 100, counts


def test_the_canary_would_be_found(house: Any) -> None:
    """The test of the test: a careless function is caught by the same net."""

    def careless(text: str) -> None:
        raise InjectedError(len(text))

    with pytest.raises(InjectedError) as caught:
        careless(house.CANARY)
    assert seen(house, everything(caught.value))


@pytest.mark.parametrize(
    "reference", ["canary-passphrase-never-seen", "env:", "file:", "ENV:X", "c0ffee" * 10 + "beef"]
)
def test_a_secret_in_place_of_a_reference_is_refused_without_being_repeated(house: Any, reference: str) -> None:
    with pytest.raises(ConfigError, match="never the secret itself") as refused:
        referenced(reference, "passphrase")
    assert seen(house, str(refused.value)) == []


def test_a_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("ARENA_TEST_WORD", "hush hush")
    assert passphrase("env:ARENA_TEST_WORD").reveal() == "hush hush"
    assert "ARENA_TEST_WORD" not in os.environ
    with pytest.raises(ConfigError, match="ARENA_TEST_WORD is not set"):
        passphrase("env:ARENA_TEST_WORD")


def test_a_passphrase_file_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("hush\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="0644; expected 0600"):
        passphrase(f"file:{file}")
    file.chmod(0o600)
    assert passphrase(f"file:{file}").reveal() == "hush"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        passphrase(f"file:{file}")


def test_the_process_writes_no_secret_down_whatever_happens_to_it(house: Any) -> None:
    house.start()
    house.client.sign(house.transaction())
    for garbage in (b"\xff" * 100, b"{}\n", b'{"do": "sign"}\n', house.CANARY.encode()[:10] + b"\n"):
        house.raw(garbage)
    house.end()
    (house.folder / "passphrase").write_text("wrong passphrase")
    assert house.begin(TREASURY_ARENA_TRACE="1").wait(60) == 1
    house.write(passphrase="env:ARENA_TEST_WORD")
    assert house.begin(ARENA_TEST_WORD=house.PASSPHRASE + "x").wait(60) == 1
    house.begin()
    assert house.running[-1].wait(60) == 2
    assert "the passphrase does not fit" in house.diary
    assert "ARENA_TEST_WORD is not set" in house.diary
    for path in house.folder.rglob("*"):
        if path.is_file() and path.name != "passphrase":
            assert seen(house, path.read_text(errors="replace")) == [], path
            assert bytes.fromhex(house.CANARY) not in path.read_bytes(), path


def test_an_unexpected_error_of_the_process_shows_its_kind_and_place_only(house: Any) -> None:
    program = (
        "import sys; from treasury_arena_keys.hidden import harden; harden()\n"
        "def f(secret):\n    raise KeyError(secret)\n"
        "import threading\n"
        "t = threading.Thread(target=f, args=(sys.argv[1],)); t.start(); t.join()\n"
        "f(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", program, house.CANARY], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("the signer failed with KeyError") == 2
    assert seen(house, done.stdout + done.stderr) == []


def test_a_signer_that_dies_by_a_signal_leaves_no_core(house: Any) -> None:
    import signal

    house.start()
    before = set(house.folder.rglob("*"))
    assert house.end(signal.SIGABRT) == -signal.SIGABRT
    assert {path.name for path in set(house.folder.rglob("*")) - before} == set()
