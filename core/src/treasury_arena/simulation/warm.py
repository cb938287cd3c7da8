"""Compiles several kernels at once, each in a process of its own, so that a cold start waits for half of them.

The processes are plain `python -m treasury_arena.simulation.warm` and import the generated module by name: strategy objects
need not be picklable and the caller's main module is not run again, as multiprocessing would.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from treasury_arena.simulation.generate import Generated
from treasury_arena.simulation.kernel import Kernel, compile_generated

TIMEOUT_SECONDS = 300


def compile_kernels(kernels: Sequence[Kernel], processes: int = 2) -> list[str]:
    """Fill the cache of every kernel that is not compiled yet, up to `processes` at a time.

    A kernel whose process fails (its plugin is not importable in a new process, the cache cannot be written) is compiled by
    its first run instead, which then also tells what is wrong with it.

    Returns the names of the kernel modules compiled here.
    """
    cold = {k.generated.name: k for k in kernels if not k.generated.compiled}
    if len(cold) < 2 or processes < 2:
        return []
    order = list(cold.values())
    groups = [order[first::processes] for first in range(min(processes, len(order)))]
    with ThreadPoolExecutor(len(groups)) as pool:
        list(pool.map(_compile_apart, groups))
    return [name for name, kernel in cold.items() if kernel.generated.compiled]


def _compile_apart(kernels: Sequence[Kernel]) -> None:
    """Compile kernels one after the other in one process: numba is imported once. What fails is compiled by its first run."""
    order = {
        "path": sys.path,
        "kernels": [
            {
                "name": kernel.generated.name,
                "folder": str(kernel.generated.folder),
                "roles": len(kernel.layout.roles),
                "genes": kernel.strategy.space.size,
                "rows": len(kernel.layout.rows),
                "gathered": len(kernel.layout.gathered),
            }
            for kernel in kernels
        ],
    }
    # A failure or a timeout shows as a kernel that is still not compiled.
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-m", "treasury_arena.simulation.warm"],
            input=json.dumps(order),
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )


def main() -> None:
    """Compile the kernel modules described on standard input."""
    order = json.load(sys.stdin)
    sys.path[:] = [*sys.path, *(entry for entry in order["path"] if entry not in sys.path)]
    for kernel in order["kernels"]:
        generated = Generated(kernel["name"], Path(kernel["folder"]))
        compile_generated(generated, kernel["roles"], kernel["genes"], kernel["rows"], kernel["gathered"])


if __name__ == "__main__":
    main()
