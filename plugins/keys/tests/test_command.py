"""`arena keys` as a person uses it, and the configuration sections as the arena reads them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.config.read import read_toml
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.chain import TransactionSigner
from treasury_arena.errors import ConfigError
from treasury_arena.registry.loader import load_registry
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.settings import read_settings
from treasury_arena_keys.vault import Vault

ARENA = ("-c", "from treasury_arena.cli.main import run; run()")
WORD = "a passphrase of the tests"


@pytest.fixture
def arena(tmp_path: Path) -> Any:
    """Runs the command in a folder of its own; the passphrase is in ARENA_WORD."""

    def run(*arguments: object, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *ARENA, *map(str, arguments)],
            input=stdin,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "ARENA_WORD": WORD, **variables},
            start_new_session=True,
            check=False,
            timeout=120,
        )

    return run


REFERENCE = ("--passphrase", "env:ARENA_WORD")


def test_create_list_address(arena: Any, tmp_path: Path) -> None:
    made = arena("keys", "create", "--mode", "live", *REFERENCE, "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    assert key["mode"] == "live"
    listed = arena("keys", "list", "--json")
    assert json.loads(listed.stdout) == [key]
    assert key["address"] in arena("keys", "list").stdout
    assert arena("keys", "address").stdout.strip() == key["address"]
    unlocked = arena("keys", "address", key["address"], "--unlock", *REFERENCE, "--json")
    assert json.loads(unlocked.stdout) == key | {"unlocked": True}
    wrong = arena("keys", "address", "--unlock", *REFERENCE, ARENA_WORD="another")
    assert wrong.returncode == 1
    assert "the passphrase does not fit" in wrong.stderr
    assert WORD not in made.stdout + made.stderr + (tmp_path / key["file"]).read_text()


def test_import_of_hex_and_of_a_keystore(arena: Any, house: Any, tmp_path: Path) -> None:
    by_hex = arena("keys", "import", "--mode", "local", *REFERENCE, "--json", stdin=f"0x{house.CANARY}\n")
    assert by_hex.returncode == 0, by_hex.stderr
    assert json.loads(by_hex.stdout)["address"] == house.address
    again = arena("keys", "import", "--mode", "local", *REFERENCE, stdin=house.CANARY)
    assert again.returncode == 1
    assert "never overwritten" in again.stderr
    source = next((house.folder / "keys").glob("*.json"))
    more = ("--from", source, "--source-passphrase", "env:ARENA_OLD", "--folder", "other", "--json")
    by_file = arena("keys", "import", "--mode", "paper", *REFERENCE, *more, ARENA_OLD=house.PASSPHRASE)
    assert by_file.returncode == 0, by_file.stderr
    assert json.loads(by_file.stdout)["address"] == house.address
    opened = arena("keys", "address", "--folder", "other", "--unlock", *REFERENCE)
    assert opened.stdout.strip() == house.address
    for done in (by_hex, again, by_file, opened):
        assert house.CANARY not in done.stdout + done.stderr
        assert house.PASSPHRASE not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("create", "--mode", "live", "--passphrase", "hunter2-hunter2"), "", "never the secret itself"),
        (("create", "--mode", "live", "--passphrase", "env:ARENA_GONE"), "", "ARENA_GONE is not set"),
        (("import", "--mode", "live", *REFERENCE), "not a key", "this is no private key"),
        (("import", "--mode", "live", *REFERENCE, "--source-passphrase", "env:X"), "11" * 32, "has no passphrase"),
        (("import", "--mode", "live", *REFERENCE, "--source-passphrase", "env:ARENA_WORD"), "{}", "it is no keystore"),
        (("import", "--mode", "live", *REFERENCE, "--from", "gone"), "", "gone cannot be read"),
        (("import", "--mode", "live", *REFERENCE), "1" * 70_000, "more than 65536 characters"),
        (("address",), "", "holds 0 keys"),
        (("address", *REFERENCE), "", "holds 0 keys"),
        (("create", "--mode", "lively"), "", "lively"),
        (("create",), "", "Missing option '--mode'"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arena: Any, arguments: tuple[str, ...], stdin: str, told: str) -> None:
    done = arena("keys", *arguments, stdin=stdin)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert "11" * 32 not in done.stderr


def test_a_source_that_others_may_read_is_refused(arena: Any, tmp_path: Path) -> None:
    source = tmp_path / "key"
    source.write_text("11" * 32)
    source.chmod(0o644)
    done = arena("keys", "import", "--mode", "live", *REFERENCE, "--from", "key")
    assert done.returncode == 2
    assert "0644; expected 0600" in done.stderr


def test_serve_is_a_process_without_plugins(house: Any) -> None:
    """The command's own process, with all plugins in it, is gone: what serves is another program under the same number."""
    process = subprocess.Popen(
        [sys.executable, *ARENA, "keys", "serve", str(house.file)],
        stderr=subprocess.PIPE,
        text=True,
    )
    house.running.append(process)
    assert process.stderr is not None
    assert "ready: " in process.stderr.readline()
    line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    assert line[1:4] == [b"-I", b"-m", b"treasury_arena_keys.serve"]
    assert house.client.sign(house.transaction()).raw
    assert house.end(signal.SIGTERM) == 0
    process.stderr.close()


def test_the_signer_s_process_imports_no_plugin_and_no_node_client() -> None:
    program = (
        "import sys\n"
        "import treasury_arena_keys.serve, treasury_arena_keys.book, treasury_arena_keys.desk, treasury_arena_keys.server\n"
        "import treasury_arena_keys.settings, treasury_arena_keys.keystore\n"
        "print('\\n'.join(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in told.split()}
    arena = {name for name in loaded if name.startswith("treasury_arena")}
    assert arena == {"treasury_arena", "treasury_arena_keys"}
    assert loaded & {"web3", "requests", "aiohttp", "sqlalchemy", "numba", "pandas"} == set()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mode": "paper"}, "expected"),
        ({"mode": "live"}, "a live key does not sign for chain 31337"),
        ({"chain_id": 1}, "a local key does not sign for chain 1"),
        ({"address": "0x12"}, "expected an address"),
        ({"address": "0x" + "1" * 40}, "holds no key of mode local of 0x1111"),
        ({"keystore": "nowhere"}, "holds no key"),
        ({"socket": "x" * 200}, "more than 70 bytes"),
        ({"sockets": "s"}, "unknown key; did you mean 'socket'"),
        ({"passphrase": "hunter2"}, "must not hold the secret itself"),
        ({"stop_file": ""}, "stop_file"),
    ],
)
def test_a_file_that_cannot_be_served_is_told(house: Any, changes: dict[str, Any], told: str) -> None:
    house.write(**changes)
    assert house.begin().wait(60) == 2
    assert told in house.diary
    assert "hunter2" not in house.diary
    assert not house.socket.exists()


@pytest.mark.parametrize("permissions", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(house: Any, permissions: int) -> None:
    house.file.chmod(permissions)
    with pytest.raises(ConfigError, match=f"{permissions:04o}; expected none that let others write"):
        read_settings(house.file)


@pytest.mark.parametrize("place", ["keys", "run"])
def test_a_folder_open_to_others_is_not_served_from(house: Any, place: str) -> None:
    (house.folder / place).mkdir(exist_ok=True)
    (house.folder / place).chmod(0o755)
    assert house.begin().wait(60) == 2
    assert "0755; expected 0700" in house.diary


def test_what_lies_in_the_place_of_the_socket_is_left_alone(house: Any) -> None:
    (house.folder / "run").mkdir(mode=0o700)
    house.socket.write_text("mine")
    assert house.begin().wait(60) == 2
    assert "exists and is no socket" in house.diary
    assert house.socket.read_text() == "mine"


def test_a_damaged_nonce_book_is_not_served_with(house: Any) -> None:
    (house.folder / "run").mkdir(mode=0o700)
    book = house.folder / "run" / "s.nonces"
    book.write_bytes(b"garbage" * 1_000)
    book.chmod(0o600)
    assert house.begin().wait(60) == 2
    assert "nonce book" in house.diary


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('functions = ["transfer(address,uint256)"]', "nothing here would bound"),
        ('functions = ["f(self)", "f(address)"]', "the same selector"),
        ('functions = []\nallowances = { "0x12" = 1 }', "is no address"),
        (f'functions = []\nallowances = {{ "0x{"a" * 40}" = -1 }}', "may be allowed -1"),
        (f'functions = []\nallowances = {{ "0x{"a" * 40}" = 1, "0x{"A" * 40}" = 1 }}', "named twice"),
        ("functions = []\nvalue_raw_max = -1", "value_raw_max"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_with_its_line(house: Any, rule: str, told: str) -> None:
    with open(house.file, "a") as file:
        file.write(f'\n[contracts.more]\naddress = "0x{"d" * 40}"\n{rule}\n')
    with pytest.raises(ConfigError, match=told) as refused:
        read_settings(house.file)
    assert f"{house.file}:" in str(refused.value)


def test_the_sender_and_twins_are_no_contracts(house: Any) -> None:
    text = house.file.read_text()
    house.file.write_text(text + f'\n[contracts.me]\naddress = "{house.address}"\nfunctions = []\n')
    with pytest.raises(ConfigError, match="the sender itself is no contract"):
        read_settings(house.file)
    house.file.write_text(
        text + f'\n[contracts.twin]\naddress = "{house.POOL.upper().replace("X", "x")}"\nfunctions = []\n'
    )
    with pytest.raises(ConfigError, match="an address has two entries"):
        read_settings(house.file)


def test_the_arena_knows_the_signers_by_name_and_makes_them_of_their_sections(house: Any) -> None:
    registry = load_registry()
    assert {"process", "web3signer", "clef"} <= set(registry.signers)
    reading = read_toml(
        f'[signer.process]\nsocket = "{house.socket}"\n[signer.clef]\nurl = "http://127.0.0.1:8550"\n',
        Settings,
        registry.sections,
    )
    assert [str(one) for one in reading.problems if "signer" in str(one)] == []
    for name in ("process", "clef"):
        made = registry.signers[name](reading.sections[f"signer.{name}"], house.context)
        assert isinstance(made, TransactionSigner)
        assert made.address == house.address
    assert "signer.web3signer" not in reading.sections, "a section without its url is not made up"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[signer.process]\nsocket = "s"\ntimeout = 1', "did you mean 'timeout_s'"),
        ("[signer.process]\ntimeout_s = 1", "socket: is missing"),
        ('[signer.process]\nsocket = "s"\ntimeout_s = 0', "timeout_s"),
        ('[signer.web3signer]\nurl = "http://example.org"', "expected https"),
        ('[signer.clef]\nurl = "https://a"\nauthorization = "hunter2"', "must not hold the secret itself"),
    ],
)
def test_a_mistake_in_a_section_is_told(text: str, told: str) -> None:
    reading = read_toml(text, Settings, load_registry().sections)
    assert [str(one) for one in reading.problems if told in str(one)]


def test_a_signer_that_answers_nonsense_gives_no_signature(house: Any) -> None:
    """What listens at the socket is not trusted either."""
    import threading

    from treasury_arena.errors import SignerError

    (house.folder / "run").mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(house.socket))
    listener.listen()
    answers = [
        b"",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"ok": true}\n',
        b'{"ok": true, "raw": "0x02"}\n',
        b'{"ok": 1, "raw": "0x02"}\n',
    ]
    answers += [b'{"ok": false, "code": 5}\n', b"[" * 100_000 + b"\n", b"x" * 200_000]

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                try:
                    connection.sendall(answer)
                except OSError:
                    continue  # the client had enough

    thread = threading.Thread(target=serve)
    thread.start()
    for _ in answers:
        with pytest.raises(SignerError, match=r"no answer|no signed transaction|without a reason|does not answer"):
            house.client.sign(house.transaction())
    thread.join()
    listener.close()


def test_a_signer_that_keeps_silent_is_not_waited_for(house: Any) -> None:
    from treasury_arena.clock import Stopwatch
    from treasury_arena.errors import SignerError
    from treasury_arena_keys.client import at

    (house.folder / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(house.socket))
        listener.listen()
        watch = Stopwatch()
        with pytest.raises(SignerError, match=r"no whole line within|does not answer"):
            at(house.socket, house.context, 0.2).sign(house.transaction())
        assert watch.seconds() < 60


def test_another_user_is_not_answered(served: Any) -> None:
    """The socket's permissions keep others out; who gets in all the same, as root does, is refused by the kernel's word."""
    import threading

    from treasury_arena.clock import WallClock
    from treasury_arena_keys.book import NonceBook
    from treasury_arena_keys.desk import Desk, Rate
    from treasury_arena_keys.server import Server

    path = served.folder / "run" / "t"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    book = NonceBook(served.folder / "run" / "t.nonces", WallClock())
    vault = Vault.of_hex(Hidden(served.CANARY))
    desk = Desk(vault, read_settings(served.file).policy(), book, Rate(1), served.stop_file)
    server = Server(listener, desk, WallClock(), uid=os.geteuid() + 1)
    thread = threading.Thread(target=server.run)
    thread.start()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        answer = json.loads(connection.recv(65_536))
    server.stop()
    thread.join(20)
    server.stop()  # a second signal finds nothing to end, which is no error
    assert answer == {"ok": False, "code": "peer", "reason": f"user {os.geteuid()} may not ask this signer"}
