"""Compiles several kernels at once, each in a process of its own, so that a cold start waits for half of them.

The processes are plain `python -m treasury_arena.simulation.warm` and import the generated module by name: strategy objects
need not be picklable and the caller's main module is not run again, as multiprocessing would.
"""

from __future__ import annotations

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
    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(_compile_apart, cold.values()))
    return [name for name, ok in zip(cold, done, strict=True) if ok]


def _compile_apart(kernel: Kernel) -> bool:
    order = {
        "path": sys.path,
        "name": kernel.generated.name,
        "folder": str(kernel.generated.folder),
        "roles": len(kernel.layout.roles),
        "genes": kernel.strategy.space.size,
        "rows": len(kernel.layout.rows),
        "gathered": len(kernel.layout.gathered),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "treasury_arena.simulation.warm"],
            input=json.dumps(order),
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main() -> None:
    """Compile the kernel module described on standard input."""
    order = json.load(sys.stdin)
    sys.path[:] = [*sys.path, *(entry for entry in order["path"] if entry not in sys.path)]
    generated = Generated(order["name"], Path(order["folder"]))
    compile_generated(generated, order["roles"], order["genes"], order["rows"], order["gathered"])


if __name__ == "__main__":
    main()
