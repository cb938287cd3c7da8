"""ThreadExecutor maps work over threads: compiled kernels run side by side, they release the lock. And a guard for others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from treasury_arena.contracts.runtime import Executor
from treasury_arena.errors import ValidationError
from treasury_arena.isolation import calling

Item = TypeVar("Item")
Out = TypeVar("Out")


class ThreadExecutor(Executor):
    """Results come in the order of the items, whatever finishes first. One worker runs in the caller's thread."""

    name = "threads"

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise ValidationError(f"an executor needs at least 1 worker, not {workers}")
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="arena") if workers > 1 else None

    def map(self, function: Callable[[Item], Out], items: Iterable[Item]) -> list[Out]:
        if self._pool is None:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class GuardedExecutor(Executor):
    """An executor of a plugin, named in whatever it raises beyond the house's own errors."""

    def __init__(self, name: str, factory: Callable[[int], Executor], workers: int) -> None:
        self.name = name
        with calling(f"executor {name!r}"):
            self._inner = factory(workers)

    def map(self, function: Callable[[Item], Out], items: Iterable[Item]) -> list[Out]:
        with calling(f"executor {self.name!r}"):
            return list(self._inner.map(function, items))

    def close(self) -> None:
        with calling(f"executor {self.name!r}"):
            self._inner.close()
