"""The stop: nothing is signed while the file is there, or while nobody can see whether it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.clock import Stopwatch, WallClock
from treasury_arena.errors import SignerError
from treasury_arena.store.stop import StopFile
from treasury_arena_keys.book import NonceBook
from treasury_arena_keys.desk import Desk, Rate
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.sentinel import why_stopped
from treasury_arena_keys.settings import read_settings
from treasury_arena_keys.transactions import payload
from treasury_arena_keys.vault import Vault


def test_every_form_of_the_name_stops(tmp_path: Path) -> None:
    file = tmp_path / "arena.db.stop"
    assert why_stopped(file) == ""
    file.touch()
    assert "exists" in why_stopped(file)
    file.unlink()
    file.mkdir()
    assert "exists" in why_stopped(file)
    file.rmdir()
    file.symlink_to(tmp_path / "nowhere")
    assert "exists" in why_stopped(file), "a link to nowhere"
    file.unlink()
    assert why_stopped(file) == ""


def test_a_folder_that_cannot_be_read_counts_as_stopped(tmp_path: Path) -> None:
    assert "counts as stopped" in why_stopped(tmp_path / "gone" / "arena.db.stop")
    (tmp_path / "file").touch()
    assert "counts as stopped" in why_stopped(tmp_path / "file" / "arena.db.stop")
    assert "counts as stopped" in why_stopped(tmp_path / ("x" * 300))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "counts as stopped" in why_stopped(loop / "arena.db.stop")


def test_a_folder_without_the_permission_to_read_counts_as_stopped(tmp_path: Path) -> None:
    """Asked by a program of its own; root may read everything, so it becomes another user first."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    program = (
        "import os, sys; from pathlib import Path; from treasury_arena_keys.sentinel import why_stopped\n"
        "folder = Path(sys.argv[1]); os.chmod(folder, 0o000)\n"
        "if os.geteuid() == 0: os.setresuid(65534, 65534, 65534)\n"
        "print(why_stopped(folder / 'arena.db.stop'))"
    )
    told = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    folder.chmod(0o700)
    assert "counts as stopped" in told.stdout


def desk_of(house: Any) -> Desk:
    settings = read_settings(house.file)
    vault = Vault.of_hex(Hidden(house.CANARY))
    (house.folder / "run").mkdir(exist_ok=True)
    return Desk(
        vault, settings.policy(), NonceBook(house.folder / "run" / "b", WallClock()), Rate(100), house.stop_file
    )


class Interrupted(Vault):
    """A key during whose work something happens."""

    __slots__ = ("happens",)

    def sign(self, transaction: Any) -> str:
        raw = super().sign(transaction)
        self.happens()
        return raw


def test_a_stop_during_the_signature_withholds_it(house: Any) -> None:
    desk = desk_of(house)
    vault = Interrupted(desk.vault._account)
    vault.happens = house.stop_file.touch
    desk.vault = vault
    transaction = house.transaction()
    with pytest.raises(SignerError, match="stopped") as refused:
        desk.sign(payload(transaction), house.address)
    assert refused.value.code == "stopped"


def test_a_stop_is_looked_for_after_the_book_and_before_the_key(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(house)
    claim = NonceBook.claim
    keyed: list[Any] = []

    def slow(self: NonceBook, *arguments: Any) -> None:
        claim(self, *arguments)
        house.stop_file.touch()

    monkeypatch.setattr(NonceBook, "claim", slow)
    monkeypatch.setattr(Vault, "sign", lambda self, transaction: keyed.append(transaction))
    with pytest.raises(SignerError, match="stopped"):
        desk.sign(payload(house.transaction()), house.address)
    assert keyed == []


def test_a_key_that_fails_leaves_the_nonce_to_the_same_transaction_alone(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(house)
    with monkeypatch.context() as broken:
        broken.setattr(Vault, "sign", lambda self, transaction: "0x02")
        with pytest.raises(SignerError, match="no signed transaction"):
            desk.sign(payload(house.transaction()), house.address)
    with pytest.raises(SignerError, match="another transaction was signed"):
        desk.sign(payload(house.transaction(gas=60_001)), house.address)
    assert desk.sign(payload(house.transaction()), house.address)[1].raw


def test_a_book_that_cannot_be_written_signs_nothing(house: Any) -> None:
    desk = desk_of(house)
    desk.book._connection.execute("PRAGMA max_page_count = 1")
    desk.book._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(SignerError, match="nothing is signed") as refused:
        desk.sign(payload(house.transaction()), house.address)
    assert refused.value.code == "book"
    desk.book._connection.execute("PRAGMA query_only = OFF")


def test_the_stop_command_s_file_stops_the_running_signer(served: Any) -> None:
    client, stop = served.client, StopFile(served.stop_file)
    assert client.sign(served.transaction()).raw
    stop.engage("a drill", "ann", WallClock())
    for nonce in range(3):
        with pytest.raises(SignerError, match="stopped") as refused:
            client.sign(served.transaction(nonce=nonce))
        assert refused.value.code == "stopped"
    assert "refused (stopped)" not in served.diary, "the client does not even ask"
    blind = Blind(served)
    assert blind.code(0) == "stopped", "nor does the signer believe one who asks all the same"
    assert "exists" in client.about()["stopped"]
    stop.remove()
    assert client.sign(served.transaction(nonce=1)).raw


class Blind:
    """An asker that does not look at the stop file itself."""

    def __init__(self, house: Any) -> None:
        self.house = house

    def code(self, nonce: int) -> str:
        import json

        request = {
            "do": "sign",
            "sender": self.house.address,
            "unsigned": "0x" + payload(self.house.transaction(nonce=nonce)).hex(),
            "stop_file": os.path.realpath(self.house.stop_file),
        }
        answer = json.loads(self.house.raw(json.dumps(request).encode() + b"\n"))
        return "signed" if answer["ok"] else str(answer["code"])


def test_a_restart_while_stopped_signs_nothing(house: Any) -> None:
    house.stop_file.touch()
    house.start()
    blind = Blind(house)
    assert [blind.code(nonce) for nonce in range(5)] == ["stopped"] * 5
    house.end()
    house.start()
    assert [blind.code(nonce) for nonce in range(5)] == ["stopped"] * 5
    assert "signed nonce" not in house.diary
    house.stop_file.unlink()
    assert blind.code(0) == "signed"


def test_no_signature_is_older_than_the_stop_under_load(served: Any) -> None:
    """Many ask while the stop comes; whatever was signed was signed for requests begun before it."""
    over = threading.Event()
    watch = Stopwatch()
    late: list[float] = []
    signed: list[int] = []
    stopped_at: list[float] = []

    def ask(first: int) -> None:
        blind, nonce = Blind(served), first
        while not over.is_set():
            begun = watch.seconds()
            code = blind.code(nonce)
            nonce += 1
            if code == "signed":
                signed.append(nonce)
                if stopped_at and begun > stopped_at[0]:
                    late.append(begun - stopped_at[0])
            if stopped_at and code == "stopped":
                return

    askers = [threading.Thread(target=ask, args=(1_000_000 * one,)) for one in range(4)]
    for one in askers:
        one.start()
    while len(signed) < 20:
        over.wait(0.01)
    StopFile(served.stop_file).engage("now", "ann", WallClock())
    stopped_at.append(watch.seconds())
    for one in askers:
        one.join(60)
    over.set()
    assert len(signed) >= 20
    assert late == []
