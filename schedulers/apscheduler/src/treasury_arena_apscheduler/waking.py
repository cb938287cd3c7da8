"""What a persistent job calls: it finds the running scheduler that has a job of that name, and wakes it.

Persisted is a name and nothing else. A process without such a job lets the wake-up pass: its own slots tell it what is due.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from treasury_arena.scheduling.bell import Bell

_lock = threading.Lock()
_live: list[tuple[Bell, frozenset[str]]] = []


@contextmanager
def listening(bell: Bell, jobs: Collection[str]) -> Iterator[None]:
    """Let wake-ups of these jobs ring the bell for as long as the block lasts."""
    entry = (bell, frozenset(jobs))
    with _lock:
        _live.append(entry)
    try:
        yield
    finally:
        with _lock:
            _live[:] = [one for one in _live if one is not entry]


def wake(job: str) -> None:
    """Wake every running scheduler of this process that has a job of that name."""
    with _lock:
        bells = [bell for bell, jobs in _live if job in jobs]
    for bell in bells:
        bell.ring()
