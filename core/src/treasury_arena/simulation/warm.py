"""Compiles several kernels at once, each in a process of its own, so that a cold start waits for half of them.

The processes are plain `python -m treasury_arena.simulation.warm` and import the generated module by name: strategy objects
need not be picklable and the caller's main module is not run again, as multiprocessing would.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from treasury_arena.simulation.generate import Generated
from treasury_arena.simulation.kernel import Kernel, compile_generated


def compile_kernels(kernels: Sequence[Kernel], processes: int = 2) -> list[str]:
    """Fill the cache of every kernel that is not compiled yet, up to `processes` at a time; returns their module names."""
    with Compilation(kernels, processes) as compilation:
        return compilation.wait()


class Compilation:
    """Kernels being compiled while the caller does something else; leaving the context ends the processes.

    A kernel whose process fails (its plugin is not importable in a new process, the cache cannot be written) is compiled by
    its first run instead, which then also tells what is wrong with it. So is a single cold kernel.

    Args:
        kernels: those that are compiled already are left alone.
        processes: how many compile side by side.

    Attributes:
        cold: how many kernels are not compiled yet.
    """

    def __init__(self, kernels: Sequence[Kernel], processes: int = 2) -> None:
        cold = {kernel.generated.name: kernel for kernel in kernels if not kernel.generated.compiled}
        self.cold = len(cold)
        self._cold = cold if len(cold) > 1 and processes > 1 else {}
        self._waiting: queue.SimpleQueue[Kernel] = queue.SimpleQueue()
        # The largest first, so that no process ends long before the other.
        for kernel in sorted(cold.values(), key=lambda k: (-len(k.layout.rows), k.generated.name)):
            self._waiting.put(kernel)
        self._running: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self._processes = min(processes, len(self._cold))

    def __enter__(self) -> Compilation:
        for _ in range(self._processes):
            try:
                process = _start()
            except OSError:
                break  # no further process can be had: the kernels are compiled by their first runs
            thread = threading.Thread(target=self._feed, args=(process,), name="arena-compile", daemon=True)
            self._running.append(process)
            self._threads.append(thread)
            thread.start()
        return self

    def wait(self) -> list[str]:
        """Wait until nothing is left to compile; returns the names of the kernel modules compiled."""
        for thread in self._threads:
            thread.join()
        return [name for name, kernel in self._cold.items() if kernel.generated.compiled]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.kill()
        for thread in self._threads:
            thread.join()

    def _feed(self, process: subprocess.Popen[str]) -> None:
        """Give one process kernel after kernel, until none is left or it ends."""
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            try:
                print(json.dumps(sys.path), file=process.stdin, flush=True)
                while process.stdout.readline():
                    print(_order(self._waiting.get_nowait()), file=process.stdin, flush=True)
            except (queue.Empty, OSError):
                return


def _start() -> subprocess.Popen[str]:
    # Colouring the refusals that numba collects while it tries signatures costs a twentieth of the compilation.
    return subprocess.Popen(
        [sys.executable, "-m", "treasury_arena.simulation.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING": "1"},
    )


def _order(kernel: Kernel) -> str:
    return json.dumps(
        {
            "name": kernel.generated.name,
            "folder": str(kernel.generated.folder),
            "roles": len(kernel.layout.roles),
            "genes": kernel.strategy.space.size,
            "rows": len(kernel.layout.rows),
            "gathered": len(kernel.layout.gathered),
        }
    )


def main() -> None:
    """Compile the kernel modules named on standard input, a line each; a line on standard output asks for the next."""
    gc.disable()  # numba's many small objects live as long as this process anyway
    path = json.loads(sys.stdin.readline())
    sys.path[:] = [*sys.path, *(entry for entry in path if entry not in sys.path)]
    print(flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        generated = Generated(order["name"], Path(order["folder"]))
        compile_generated(generated, order["roles"], order["genes"], order["rows"], order["gathered"])
        print(flush=True)


if __name__ == "__main__":
    main()
