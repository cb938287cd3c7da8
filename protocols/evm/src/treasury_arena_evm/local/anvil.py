"""One anvil process: started on a free port of the loopback, spoken to in JSON-RPC, stopped by its own process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from treasury_arena_evm.direct import DirectConnection
from treasury_arena_evm.errors import ChainError, ToolError
from treasury_arena_evm.transport import LostError

CHAIN_ID = 31337
#: 2024-01-01 00:00 UTC: the local chain's time never depends on the day it is run.
GENESIS_TIME = 1_704_067_200
#: States of earlier blocks that can be read; without a limit anvil writes 2 MB a block to disk, and becomes five times slower.
BLOCKS_KEPT = 100
START_SECONDS_MAX = 20.0
CALL_SECONDS_MAX = 60.0
#: More in one request would only wait for each other.
CALLS_AT_ONCE_MAX = 200
_LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
#: A keeper outlives us by one breath: when our end of its standard input closes, however we died, it ends anvil by its id and
#: removes the folder that served it as home.
_KEEPER = """
home=$1; shift
"$@" </dev/null & node=$!
echo "node $node"
read -r _
kill -9 "$node" 2>/dev/null
wait "$node" 2>/dev/null
rm -rf -- "$home"
"""


class RpcError(ChainError):
    """The node refused a request; `code` and `data` are its own."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message', 'no message')}")
        self.code = int(error.get("code", 0))
        self.message = str(error.get("message", ""))
        self.data = error.get("data")


def _call(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _result(method: str, answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise RpcError(method, answer["error"])
    return answer["result"]


class Anvil:
    """A running node. Use as a context manager, or call `stop`; it also ends with this process, even a killed one."""

    def __init__(
        self,
        program: Path,
        *,
        state: Path | None = None,
        time: int = GENESIS_TIME,
        port: int = 0,
        blocks_kept: int = BLOCKS_KEPT,
        arguments: Sequence[str] = (),
    ) -> None:
        """Start `program` with a dumped `state`; `time` is its latest block's, from which the next ones are counted. `port` 0
        is any free one. States of `blocks_kept` blocks can be read; a block that was undone and mined again counts twice.
        """
        shell = shutil.which("sh")
        if shell is None:
            raise ToolError("the local chain needs a POSIX shell to keep its node; sh was not found in PATH")
        self._home = tempfile.mkdtemp(prefix="arena-anvil-")
        command = [
            str(program.absolute()),  # a bare name would be looked for in PATH
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--chain-id",
            str(CHAIN_ID),
            "--accounts",
            "1",
        ]
        command += ["--timestamp", str(time), "--auto-impersonate", "--order", "fifo"]
        command += ["--prune-history", str(blocks_kept), *arguments]
        if state is not None:
            command += ["--load-state", str(state)]
        self._connection: DirectConnection | None = None
        self._keeper = subprocess.Popen(
            [shell, "-c", _KEEPER, "anvil-keeper", self._home, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": self._home, "NO_COLOR": "1"},
            start_new_session=True,  # an interrupt in the terminal is ours to handle, not the keeper's
        )
        self.pid = 0
        try:
            self.port = self._started()
        except BaseException:
            self.stop()
            raise
        self._drain = threading.Thread(target=self._drained, name=f"anvil-{self.port}", daemon=True)
        self._drain.start()

    @property
    def url(self) -> str:
        """The node's address for any client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the node still runs."""
        if not self.pid or self._keeper.poll() is not None:
            return False
        try:
            with open(f"/proc/{self.pid}/stat") as status:
                return status.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except FileNotFoundError:
            if os.path.isdir("/proc/self"):
                return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises RpcError with the node's refusal, LostError when the node is gone."""
        return _result(method, self._answer(method, _call(1, method, params)))

    def rpc_many(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of several JSON-RPC calls ``(method, params)``, in their order. RpcError with the first refusal.

        They travel together, which is many times faster than one after another. The node takes them in their order and does not
        wait for one before it begins with the next: none may need what another changes.
        """
        results: list[Any] = []
        for start in range(0, len(calls), CALLS_AT_ONCE_MAX):
            some = calls[start : start + CALLS_AT_ONCE_MAX]
            answers = self._answer(some[0][0], [_call(number, *call) for number, call in enumerate(some)])
            if isinstance(answers, dict):  # one refusal for all, as of a request that is too long
                _result(some[0][0], answers)
            by_number = {answer.get("id"): answer for answer in answers} if isinstance(answers, list) else {}
            if len(by_number) < len(some):
                raise LostError(f"{some[0][0]}: of {len(some)} calls the local chain answered {len(by_number)}")
            results += [_result(method, by_number[number]) for number, (method, _) in enumerate(some)]
        return results

    def _answer(self, method: str, asked: Any) -> Any:
        if self._connection is None:
            self._connection = DirectConnection("127.0.0.1", self.port)
        try:
            return json.loads(self._connection.post("/", json.dumps(asked).encode(), CALL_SECONDS_MAX)[1])
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            self._connection = None
            raise LostError(f"{method}: the local chain at {self.url} does not answer ({error})") from error

    def kill(self) -> None:
        """End the node at once, as a power cut would."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End the node and forget its files; harmless when it has ended already."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()  # the keeper takes this for the end
        self._keeper.wait()
        drain = getattr(self, "_drain", None)
        if drain is not None:
            drain.join()
        self._keeper.stdout.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> int:
        """Port of the node, read from what it prints."""
        output = self._keeper.stdout
        assert output is not None
        deadline, buffered = monotonic() + START_SECONDS_MAX, ""
        while monotonic() < deadline:
            if select.select([output], [], [], 0.05)[0]:
                chunk = os.read(output.fileno(), 65536).decode(errors="replace")
                if not chunk:
                    break
                buffered += chunk
            elif self.pid and not self.alive:
                break
            if not self.pid and (match := re.search(r"^node (\d+)$", buffered, re.MULTILINE)):
                self.pid = int(match.group(1))
            if match := _LISTENING.search(buffered):
                return int(match.group(1))
        said = " | ".join(line for line in buffered.splitlines()[1:] if line.strip())[-400:]
        raise ToolError(f"anvil did not start: {said or 'it said nothing'}")

    def _drained(self) -> None:
        """Read what the node prints, for otherwise it would stop when the pipe is full."""
        output = self._keeper.stdout
        assert output is not None
        while os.read(output.fileno(), 65536):
            pass
