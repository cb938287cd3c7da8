"""What the configuration asks of the plugins; the registry fits this shape without knowing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.strategy import Strategy


class Offered(Protocol):
    """Plugin objects by name."""

    @property
    def strategies(self) -> Mapping[str, Strategy]: ...

    @property
    def models(self) -> Mapping[str, PositionModel]: ...

    @property
    def sources(self) -> Mapping[str, Callable[..., Any]]: ...

    @property
    def fitness(self) -> Mapping[str, FitnessFunction]: ...

    @property
    def operators(self) -> Mapping[str, type[Any]]: ...

    @property
    def executors(self) -> Mapping[str, Callable[..., Any]]: ...

    @property
    def sections(self) -> Mapping[str, type[Any]]: ...

    @property
    def warnings(self) -> list[str]:
        """A sentence per plugin or name that was refused."""
        ...

    def require(self, kind: str, name: str) -> Any:
        """The object of that name; raises PluginError with the reason when there is none."""
        ...
