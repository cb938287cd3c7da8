"""The fixtures as a third party's tests meet them: found by pytest, isolated, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = """
import os
from pathlib import Path

HERE = Path(__file__).parent


def note(chain):
    with open(HERE / "pids", "a") as file:
        print(chain.node.pid, file=file)


def test_changes_the_market(local_market):
    note(local_market.chain)
    local_market.fund("USDC", "0x" + "ab" * 20, 5)


def test_sees_nothing_of_it(local_market):
    note(local_market.chain)
    assert local_market.balance("USDC", "0x" + "ab" * 20) == 0


def test_another_market(make_local_market):
    market = make_local_market(usdc_first=False, liquid=False)
    note(market.chain)
    assert market is make_local_market(usdc_first=False, liquid=False)
    assert market.session.chain.local


def test_power_cut(local_chain):
    note(local_chain)
    local_chain.node.kill()


def test_after_the_power_cut(local_chain):
    note(local_chain)
    assert local_chain.height == 0


def test_fails(local_chain):
    note(local_chain)
    assert False, "on purpose"
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_third_party.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    return subprocess.run(
        [*command, str(folder / "test_third_party.py")],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def running(pid: int) -> bool:
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as status:
                if status.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.01)
    return True


def test_found_by_pytest_and_nothing_is_left_though_a_test_fails(anvil_path, tmp_path):
    done = run(tmp_path)
    assert "1 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 6
    assert pids[0] == pids[1]  # one process for the session
    assert pids[3] != pids[4]  # one that died is replaced
    assert not any(running(pid) for pid in pids)


def test_asked_for_where_entry_points_are_switched_off(anvil_path, tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["treasury_arena_evm.local.pytest_plugin"]\n')
    done = run(tmp_path, "-k", "nothing", "--anvil", str(anvil_path), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_asked_for_though_it_was_found_already(anvil_path, tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["treasury_arena_evm.local.pytest_plugin"]\n')
    done = run(tmp_path, "-k", "nothing")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_missing_npm_fails_in_one_sentence_and_skips_nothing(tmp_path):
    done = run(tmp_path, "-k", "nothing", PATH="/nowhere", TREASURY_ARENA_CACHE=str(tmp_path / "cache"))
    said = "the local chain needs npm, which was not found in PATH; install Node.js 18 or later, which brings it"
    assert done.stdout.count(said) == 1
    assert "During handling" not in done.stdout
    assert "1 error" in done.stdout
    assert "skipped" not in done.stdout


def test_an_anvil_that_is_none(tmp_path):
    done = run(tmp_path, "-k", "nothing", "--anvil", str(tmp_path))
    assert f"anvil is not a program at {tmp_path}" in done.stdout
    assert "1 error" in done.stdout


def test_the_plugin_costs_a_run_that_does_not_use_it_nothing():
    code = (
        "import sys, treasury_arena_evm.local.pytest_plugin\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('web3', 'eth_abi', 'numpy', 'treasury_arena')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["abi", "chains", "tokens", "fees", "receipts", "session", "erc20", "interfaces.aave"]
)
def test_no_module_imports_web3_by_itself(module):
    code = f"import sys, treasury_arena_evm.{module}\nprint('web3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
