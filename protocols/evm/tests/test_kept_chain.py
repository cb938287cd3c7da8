"""A local chain in a folder: what was on it is there again, one process runs it, and its files are the user's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from treasury_arena.errors import ConfigError
from treasury_arena_evm.errors import ToolError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.accounts import account
from treasury_arena_evm.local.command import chain
from treasury_arena_evm.local.kept import COINS_RAW, NOTES, STATE, VAULTS, Beginning, kept_chain, shortened
from treasury_arena_evm.local.written import Wishes, arena_text, write_files

WHO = account("erin").address
FUNDS_RAW = 5_000 * 10**6


def begin(folder: Path, anvil: Path, address: str = "0x" + "ab" * 20, port: int = 0) -> Any:
    return kept_chain(folder, Beginning(address, FUNDS_RAW, port), anvil=anvil)


def test_a_chain_goes_on_where_it_was_stopped(tmp_path: Path, anvil_path: Path) -> None:
    owner = account("owner").address
    with begin(tmp_path / "c", anvil_path) as kept:
        market, address = kept.market, kept.address
        assert market.balance("USDC", address) == FUNDS_RAW
        assert market.chain.balance(address) == COINS_RAW
        assert set(kept.vaults) == set(VAULTS)
        assert len({*kept.vaults.values(), market.vault}) == len(VAULTS) + 1
        usdc, vault = market.token("USDC").address, kept.vaults["dai_lending"]
        receipt = market.chain.send(owner, usdc, ERC20.function("approve"), vault, 77)
        before = (market.url, market.chain.height, market.chain.now, kept.vaults)
    for beginning in (None, Beginning(address, 1, 1)):  # money and port are those it was begun with
        with kept_chain(tmp_path / "c", beginning, anvil=anvil_path) as kept:
            market = kept.market
            assert (market.url, market.chain.height, market.chain.now, kept.vaults) == before
            assert market.balance("USDC", address) == FUNDS_RAW
            assert market.chain.call(usdc, ERC20.function("allowance"), owner, vault) == 77
            assert market.chain.rpc("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
            assert market.chain.rpc("eth_getBlockByNumber", hex(before[1] - 5), False) is not None


def test_what_was_kept_is_there_after_a_power_cut(tmp_path: Path, anvil_path: Path) -> None:
    with begin(tmp_path / "c", anvil_path) as kept:
        kept.chain.mine(3)
        kept.keep()
        written, height = (tmp_path / "c" / STATE).stat().st_mtime_ns, kept.chain.height
        kept.keep()
        assert (tmp_path / "c" / STATE).stat().st_mtime_ns == written  # nothing new, nothing written
        kept.chain.mine(3)
        kept.chain.node.kill()
    with kept_chain(tmp_path / "c", None, anvil=anvil_path) as kept:
        assert kept.chain.height == height


def test_only_the_newest_blocks_are_kept(tmp_path: Path, anvil_path: Path) -> None:
    with begin(tmp_path / "c", anvil_path) as kept:
        chain, owner, usdc = kept.chain, account("owner").address, kept.market.token("USDC").address
        for amount in range(5):
            chain.send(owner, usdc, ERC20.function("approve"), WHO, amount)
        state = shortened(str(chain.rpc("anvil_dumpState")), 3)
        height = chain.height
    numbers = [int(block["header"]["number"], 16) for block in state["blocks"]]
    assert sorted(numbers) == [height - 2, height - 1, height]
    assert sorted(one["block_number"] for one in state["transactions"]) == sorted(numbers)


def test_what_a_folder_refuses(tmp_path: Path, anvil_path: Path) -> None:
    folder = tmp_path / "c"
    with (
        pytest.raises(ConfigError, match="holds no chain yet: give --address"),
        kept_chain(folder, None, anvil=anvil_path),
    ):
        pass
    with begin(folder, anvil_path) as kept:
        with pytest.raises(ConfigError, match="another process runs this chain"), begin(folder, anvil_path):
            pass
        port = kept.chain.node.port
        with pytest.raises(ToolError, match="anvil did not start"), begin(tmp_path / "d", anvil_path, port=port):
            pass
        assert not (tmp_path / "d" / NOTES).exists()
    with pytest.raises(ConfigError, match="whose treasury is"), begin(folder, anvil_path, WHO):
        pass
    (folder / NOTES).write_text("{}")
    with pytest.raises(ConfigError, match="damaged: it lacks address"), begin(folder, anvil_path):
        pass
    (folder / NOTES).write_text("no")
    with pytest.raises(ConfigError, match=r"chain\.json is damaged"), begin(folder, anvil_path):
        pass


def test_the_files_name_what_is_there_and_stay_as_they_were_edited(tmp_path: Path, anvil_path: Path) -> None:
    wishes = Wishes(tmp_path / "keys", "file:secret", tmp_path / "runs" / "x" / "arena.db.stop", "env:LIVE_DB")
    with begin(tmp_path / "c", anvil_path) as kept:
        arena, signer = write_files(kept, wishes)
        url = kept.market.url
        vaults = kept.vaults
        plain = tomllib.loads(arena_text(kept))
    tree = tomllib.loads(arena.read_text())
    assert tree["chain"]["evm"]["endpoints"] == {"anvil": url}
    assert tree["chain"]["evm"]["vaults"] == vaults
    assert tree["live"]["markets"] == {name: {"vault": vault} for name, vault in vaults.items()}
    assert (tree["live"]["store"], tree["live"]["address"]) == ("env:LIVE_DB", kept.address)
    assert "store" not in plain["live"]
    rules = tomllib.loads(signer.read_text())
    assert rules["passphrase"] == f"file:{Path('secret').absolute()}"
    assert rules["stop_file"] == str(tmp_path / "runs" / "x" / "arena.db.stop")
    assert (tmp_path / "runs" / "x").is_dir()  # a folder that cannot be read would count as stopped
    assert rules["contracts"]["usdc"]["allowances"] == dict.fromkeys(vaults.values(), FUNDS_RAW)
    assert {name: rules["contracts"][name]["address"] for name in vaults} == vaults
    assert signer.stat().st_mode & 0o777 == 0o600
    signer.write_text("# mine\n")
    arena.unlink()
    with kept_chain(tmp_path / "c", None, anvil=anvil_path) as kept:
        write_files(kept, wishes)
    assert signer.read_text() == "# mine\n"
    assert tomllib.loads(arena.read_text()) == tree


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--funds", "much"], "is no number"),
        (["--funds", "0"], "expected an amount above 0"),
        (["--funds", "1.0000001"], "has 6 decimals"),
        (["--passphrase", "only for tests"], "never the passphrase itself"),
    ],
)
def test_what_the_command_refuses(tmp_path: Path, more: list[str], said: str) -> None:
    done = CliRunner().invoke(chain, ["local", "--folder", str(tmp_path / "c"), "--address", WHO, *more])
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "c").exists()


def test_a_mistyped_address_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(chain, ["local", "--folder", str(tmp_path / "c"), "--address", "0x12"])
    assert isinstance(done.exception, ConfigError)
    assert "--address = '0x12' must be an address" in str(done.exception)


@pytest.fixture
def started(tmp_path: Path, anvil_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = "from treasury_arena.cli.main import run; run()"
    words = ["chain", "local", "--address", WHO, "--funds", "12.5", "--port", "0", "--anvil", str(anvil_path), "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_says_where_the_chain_is_and_ends_with_its_node(
    tmp_path: Path, started: subprocess.Popen[str], number: int
) -> None:
    assert started.stdout is not None
    text = ""
    for line in started.stdout:
        text += line
        if line.startswith("}"):
            break
    found = json.loads(text)
    assert (found["address"], found["usdc_raw"], found["chain_id"]) == (WHO, 1_000_000 * 10**6 + 12_500_000, 31337)
    os.kill(found["pid"], 0)  # it runs
    os.kill(started.pid, number)
    _, said = started.communicate(timeout=30)
    assert (started.returncode, said) == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(found["pid"], 0)
    assert (tmp_path / "chain" / STATE).is_file()


IMPATIENT = """
import contextlib, signal, sys, types
from treasury_arena_evm.local import command, kept, written

left = [40]

def again(frame, event, arg):
    if left[0] and frame.f_code.co_filename.endswith(("threading.py", "bell.py", "signals.py", "command.py")):
        left[0] -= 1
        signal.raise_signal(signal.SIGTERM)
    return again

def tell(*_):
    sys.settrace(again)  # from now on a signal comes between any two lines, also of what hears a signal
    signal.raise_signal(signal.SIGTERM)

kept.kept_chain = lambda *_, **__: contextlib.nullcontext(types.SimpleNamespace())
written.write_files = lambda *_: (None, None)
command._tell = tell
command.chain(["local"])
"""


def test_signals_within_signals_end_it_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", IMPATIENT], timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "goes on with it" in done.stdout


def test_the_command_stops_by_itself_and_says_how_to_go_on(
    tmp_path: Path, anvil_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["local", "--address", WHO, "--port", "0", "--anvil", str(anvil_path), "--seconds", "0.1"]
    done = CliRunner().invoke(chain, words)
    assert done.exit_code == 0, done.output
    for said in (
        "chain 31337 at http://127.0.0.1:",
        "arena keys serve chain/signer.toml",
        "arena daemon chain/arena.toml",
    ):
        assert said in done.output
    again = CliRunner().invoke(chain, ["local", "--anvil", str(anvil_path), "--seconds", "0.1"])
    assert again.exit_code == 0, again.output
