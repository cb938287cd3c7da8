"""The node's process and the chain under a test's control."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.errors import ChainError, RevertError, ToolError
from treasury_arena_evm.interfaces.tokens import ERC20, WRAPPED_NATIVE
from treasury_arena_evm.interfaces.uniswap import V3_POOL
from treasury_arena_evm.local import install
from treasury_arena_evm.local.accounts import account
from treasury_arena_evm.local.anvil import GENESIS_TIME, Anvil, RpcError
from treasury_arena_evm.local.artifacts import artifact
from treasury_arena_evm.local.deploy import contract_address, deploy_token
from treasury_arena_evm.transport import LostError

ALICE, BOB = account("alice").address, account("bob").address


def gone(pid: int) -> bool:
    """Whether a process has ended (one that nobody has waited for yet counts as ended)."""
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as status:
                if status.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


class TestProcess:
    def test_listens_on_the_loopback_alone_and_stops_by_itself(self, anvil_path):
        with Anvil(anvil_path) as node:
            assert node.alive
            assert node.url.startswith("http://127.0.0.1:")
            assert node.rpc("eth_chainId") == hex(31337)
            pid = node.pid
        assert gone(pid)
        assert not node.alive
        with pytest.raises(ChainError, match="does not answer"):
            node.rpc("eth_chainId")
        node.stop()

    def test_two_nodes_have_ports_of_their_own(self, anvil_path):
        with Anvil(anvil_path) as one, Anvil(anvil_path) as other:
            assert one.port != other.port

    def test_is_stopped_when_the_block_fails(self, anvil_path):
        with pytest.raises(ZeroDivisionError), Anvil(anvil_path) as node:
            raise ZeroDivisionError
        assert gone(node.pid)

    def test_ends_with_a_program_that_was_killed(self, anvil_path, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from treasury_arena_evm.local.anvil import Anvil\n"
            "node = Anvil(Path(sys.argv[1])); print(node.pid, flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", code, str(anvil_path)]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
            pid = int(program.stdout.readline())
            os.kill(pid, 0)
            program.send_signal(signal.SIGKILL)
        assert gone(pid)
        for _ in range(200):
            if not list(tmp_path.iterdir()):
                break
            time.sleep(0.01)
        assert list(tmp_path.iterdir()) == []  # the node's home is gone as well

    def test_a_killed_node_is_known_to_be_dead(self, anvil_path):
        node = Anvil(anvil_path)
        node.kill()
        assert not node.alive

    def test_writes_nothing_into_the_home_folder(self, anvil_path, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        with Anvil(anvil_path) as node:
            node.rpc("evm_mine")
        assert list(tmp_path.iterdir()) == []

    def test_output_beyond_a_pipe_is_drained(self, anvil_path):
        with Anvil(anvil_path) as node:
            for _ in range(400):  # about 300 bytes are printed for each, a pipe holds 65,536
                node.rpc("evm_mine")
            assert int(node.rpc("eth_blockNumber"), 16) == 400

    def test_a_program_in_this_folder_is_not_looked_for_in_path(self, anvil_path, tmp_path, monkeypatch):
        (tmp_path / "anvil").symlink_to(anvil_path)
        strange = tmp_path / "path"
        strange.mkdir()
        (strange / "anvil").write_text("#!/bin/sh\necho another program\n")
        (strange / "anvil").chmod(0o755)
        monkeypatch.setenv("PATH", str(strange), prepend=os.pathsep)
        monkeypatch.chdir(tmp_path)
        with Anvil(Path("anvil")) as node:
            assert int(node.rpc("eth_chainId"), 16) == 31337

    def test_one_that_cannot_start_says_so_in_a_sentence(self, tmp_path):
        program = tmp_path / "anvil"
        program.write_text("#!/bin/sh\necho 'no such luck'\nexit 3\n")
        program.chmod(0o755)
        with pytest.raises(ToolError, match="anvil did not start: no such luck"):
            Anvil(program)

    def test_answers_other_clients_too(self, local_chain):
        request = urllib.request.Request(
            local_chain.url,
            b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert b"0x7a69" in answer.read()


class TestManyAtOnce:
    def test_results_are_in_the_order_of_the_calls(self, local_chain):
        who = account("alice").address
        calls = [("eth_getBalance", [who, "latest"]), ("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        expected = [local_chain.rpc(method, *params) for method, params in calls]
        assert local_chain.rpc_many(calls * 150) == expected * 150

    def test_a_refusal_is_told(self, local_chain):
        with pytest.raises(RpcError, match=r"^eth_nothing: Method not found") as caught:
            local_chain.rpc_many([("eth_blockNumber", []), ("eth_nothing", []), ("eth_blockNumber", [])])
        assert caught.value.code == -32601

    def test_reads_are_as_one_by_one(self, local_market):
        chain, token, who = local_market.chain, local_market.token("USDC").address, local_market.maker.address
        reads = [(ERC20.function("balanceOf"), (who,)), (ERC20.function("decimals"), ())]
        assert chain.call_many(token, reads) == [chain.call(token, entry, *given) for entry, given in reads]
        with pytest.raises(RevertError, match=r"^one of several reads was refused"):
            chain.call_many(token, [*reads, (V3_POOL.function("liquidity"), ())])

    def test_none_are_none(self, local_chain):
        assert local_chain.rpc_many([]) == []

    @pytest.mark.parametrize(
        ("answer", "kind", "said"),
        [
            ({"error": {"code": -32600, "message": "too large"}}, RpcError, "too large"),
            ([{"id": 0, "result": "0x1"}], LostError, "of 2 calls the local chain answered 1"),
            ("words", LostError, "of 2 calls the local chain answered 0"),
        ],
    )
    def test_an_answer_that_is_not_one_for_each_call(self, local_chain, monkeypatch, answer, kind, said):
        monkeypatch.setattr(Anvil, "_answer", lambda *given: answer)
        with pytest.raises(kind, match=said):
            local_chain.rpc_many([("eth_blockNumber", []), ("eth_chainId", [])])


class TestTime:
    def test_blocks_are_evenly_spaced_whatever_the_clock_says(self, local_chain):
        start = local_chain.now
        local_chain.mine(3)
        assert local_chain.now == start + 36
        assert start >= GENESIS_TIME

    def test_next_block_at_a_chosen_time(self, local_chain):
        start = local_chain.now
        assert local_chain.advance(86_400) == start + 86_400
        local_chain.next_time(start + 90_000)
        local_chain.mine()
        assert local_chain.now == start + 90_000
        local_chain.mine()
        assert local_chain.now == start + 90_012

    def test_time_does_not_run_backwards(self, local_chain):
        with pytest.raises(ChainError, match="must be later than"):
            local_chain.next_time(local_chain.now)

    @pytest.mark.parametrize("blocks", [0, -1, 10_001])
    def test_a_number_of_blocks_within_reason(self, local_chain, blocks):
        with pytest.raises(ChainError, match="cannot be mined at once"):
            local_chain.mine(blocks)

    def test_isolation_undoes_blocks_balances_and_time(self, local_chain):
        before = local_chain.now, local_chain.height, local_chain.balance(ALICE)
        with local_chain.isolated():
            local_chain.advance(1_000_000)
            local_chain.set_balance(ALICE, 5)
            with local_chain.isolated():
                local_chain.mine()
        assert (local_chain.now, local_chain.height, local_chain.balance(ALICE)) == before
        local_chain.mine()
        assert local_chain.now == before[0] + 12

    def test_isolation_undoes_what_waits_in_the_pool(self, local_chain):
        with local_chain.isolated():
            local_chain.rpc("evm_setAutomine", False)
            local_chain.rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1", "gas": "0x5208"})
        height = local_chain.height
        local_chain.mine()
        block = local_chain.rpc("eth_getBlockByNumber", "latest", False)
        assert local_chain.height == height + 1
        assert block["transactions"] == []

    def test_isolation_undoes_transactions_that_nobody_waited_for(self, local_market):
        # The node answers before it mines: a block that came after the state was brought back would be every later test's.
        before = local_market.chain.height, local_market.chain.balance(BOB)
        for _ in range(10):
            with local_market.chain.isolated():
                for _ in range(4):
                    local_market.chain.rpc(
                        "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1", "gas": "0x5208"}
                    )
            time.sleep(0.02)
            assert (local_market.chain.height, local_market.chain.balance(BOB)) == before

    def test_isolation_undoes_the_base_fee(self, local_chain):
        def fee() -> str:
            local_chain.mine()
            return local_chain.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]

        with local_chain.isolated():
            expected = fee()
        with local_chain.isolated():
            local_chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**12))
            fee()
        assert fee() == expected

    def test_isolation_undoes_more_blocks_than_are_kept(self, local_chain):
        height = local_chain.height
        local_chain.set_balance(ALICE, 77)
        with local_chain.isolated():
            local_chain.set_balance(ALICE, 5)
            local_chain.mine(250)
            assert local_chain.height == height + 250
            home = Path(local_chain.node._home)
            assert (
                sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) < 10_000
            )  # nothing spills to disk
        assert local_chain.height == height
        assert local_chain.balance(ALICE) == 77

    def test_a_snapshot_serves_once(self, local_chain):
        snapshot = local_chain.snapshot()
        local_chain.revert(snapshot)
        with pytest.raises(ChainError, match="returned to already"):
            local_chain.revert(snapshot)


class TestCallsAndTransactions:
    def test_a_refusal_carries_the_contracts_reason(self, local_chain):
        token = deploy_token(local_chain, ALICE, "TOK", 18)
        transfer = ERC20.function("transfer")
        for act in (
            lambda: local_chain.send(ALICE, token, transfer, BOB, 1),
            lambda: local_chain.call(token, transfer, BOB, 1, sender=ALICE),
        ):
            with pytest.raises(RevertError, match=r"transfer\(address,uint256\) was refused: ERC20") as caught:
                act()
            assert caught.value.reason == "ERC20: transfer amount exceeds balance"

    def test_a_refusal_without_reason(self, local_chain):
        weth = local_chain.deploy(ALICE, artifact("WETH9").code, WRAPPED_NATIVE.constructor)
        with pytest.raises(RevertError) as caught:
            local_chain.send(ALICE, weth, WRAPPED_NATIVE.function("withdraw"), 1)
        assert caught.value.reason == ""

    def test_one_output_comes_alone(self, local_chain):
        token = deploy_token(local_chain, ALICE, "TOK", 7)
        assert local_chain.call(token, ERC20.function("decimals")) == 7
        assert local_chain.call(token, ERC20.function("symbol")) == "TOK"

    def test_the_nodes_own_refusal_is_no_revert(self, local_chain):
        with pytest.raises(RpcError):
            local_chain.rpc("no_such_method")

    @pytest.mark.parametrize("nonce", [0, 1, 127, 128, 255, 256, 70_000])
    def test_address_of_a_contract_follows_from_sender_and_nonce(self, local_chain, nonce):
        if nonce:
            local_chain.rpc("anvil_setNonce", BOB, hex(nonce))
        empty = Interface("").constructor
        assert local_chain.deploy(BOB, "00", empty) == checksummed(contract_address(BOB, nonce))


class Forgetful:
    """A node that does not mine the next transaction it is given, as the real one may; it `loses` it, or keeps it in its pool."""

    def __init__(self, node, *, loses):
        self.node, self.loses, self.forgot = node, loses, []

    def rpc(self, method, *params):
        if method != "eth_sendTransactionSync" or self.forgot:
            return self.node.rpc(method, *params)
        self.node.rpc("evm_setAutomine", False)
        self.forgot.append(self.node.rpc("eth_sendTransaction", *params))
        if self.loses:
            self.node.rpc("anvil_dropTransaction", self.forgot[0])
            self.node.rpc("evm_setAutomine", True)
        raise RpcError(method, {"code": -32603, "message": "Transaction confirmation timeout"})


class TestForgottenTransactions:
    @pytest.mark.parametrize("loses", [False, True])
    def test_are_mined_all_the_same_and_once(self, local_chain, monkeypatch, loses):
        token = deploy_token(local_chain, ALICE, "DAI", 18)
        height = local_chain.height
        forgetful = Forgetful(local_chain.node, loses=loses)
        # The real one forgets while its blocks come by themselves, and says so.
        monkeypatch.setattr(
            local_chain, "rpc", lambda method, *more: method == "anvil_getAutomine" or forgetful.rpc(method, *more)
        )
        receipt = local_chain.send(ALICE, token, ERC20.function("approve"), BOB, 5)
        assert (receipt["status"], receipt["transactionHash"]) == ("0x1", forgetful.forgot[0])
        assert local_chain.call(token, ERC20.function("allowance"), ALICE, BOB) == 5
        assert local_chain.height == height + 1

    def test_where_blocks_do_not_come_by_themselves_the_node_is_right(self, local_chain, monkeypatch):
        forgetful = Forgetful(local_chain.node, loses=False)
        monkeypatch.setattr(local_chain, "rpc", forgetful.rpc)
        with pytest.raises(RpcError, match="confirmation timeout"):
            deploy_token(local_chain, ALICE, "DAI", 18)
        assert local_chain.rpc("txpool_status")["pending"] == "0x1"


class TestInstallation:
    def test_a_missing_npm_is_said_in_one_sentence(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ToolError, match=r"needs npm, which was not found in PATH; install Node\.js"):
            install.node_modules(tmp_path)

    def test_a_failing_npm_is_quoted_and_leaves_nothing(self, tmp_path, monkeypatch):
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
        with pytest.raises(ToolError, match="failed with exit code 1: npm error code E404"):
            install.node_modules(tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_npm_is_asked_for_no_scripts_and_no_lock_file(self, tmp_path, monkeypatch):
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text('#!/bin/sh\nmkdir node_modules\necho "$@" > node_modules/said\n')
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
        folder = install.node_modules(tmp_path / "cache")
        said = (folder / "said").read_text().split()
        assert {"--ignore-scripts", "--no-package-lock"} <= set(said)
        # By its own name: an npm below Node.js 20 leaves it out as an optional part of @foundry-rs/anvil.
        assert [word.split("@")[1].rsplit("-", 2)[0] for word in said if word.startswith("@")] == ["foundry-rs/anvil"]
        npm.unlink()
        assert install.node_modules(tmp_path / "cache") == folder  # installed once

    def test_every_version_is_pinned(self):
        import json

        versions = json.loads(install.package_json())["dependencies"]
        assert all(version[0].isdigit() for version in versions.values()), versions

    def test_another_anvil_must_be_a_program(self, tmp_path, monkeypatch):
        (tmp_path / "anvil").write_text("")
        for path in (tmp_path / "none", tmp_path / "anvil", tmp_path):
            monkeypatch.setenv("TREASURY_ARENA_ANVIL", str(path))
            with pytest.raises(ToolError, match="anvil is not a program at"):
                install.anvil_path()

    def test_the_installation_by_hand_says_where(self, anvil_path, capsys):
        assert install.main() == 0
        assert str(install.node_modules().parent) in capsys.readouterr().out

    def test_the_installation_by_hand_fails_with_a_sentence(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("TREASURY_ARENA_CACHE", str(tmp_path))
        monkeypatch.setenv("PATH", "")
        assert install.main() == 2
        assert "needs npm" in capsys.readouterr().err

    def test_the_cache_is_the_cores(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TREASURY_ARENA_CACHE", str(tmp_path))
        assert install.cache_folder() == Path(tmp_path) / "evm"
