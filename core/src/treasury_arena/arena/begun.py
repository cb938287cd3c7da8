"""What a store already holds, before a run is begun in it or goes on in it."""

from __future__ import annotations

from collections.abc import Callable

from treasury_arena.arena.desk import World
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.errors import ConfigError, PluginError
from treasury_arena.store import EventStore


class BegunError(ConfigError):
    """A run was to begin where one is already."""


def holds(
    store: EventStore, settings: ArenaSettings, world: World, require: Callable[[str], object], advice: str
) -> bool:
    """Whether `store` holds this run; False when it holds none.

    Args:
        require: raises PluginError with the reason when there is no strategy of a name.
        advice: what to do about another run, at the end of a sentence.

    Raises ConfigError when the store holds a run of another configuration or other data, PluginError when it holds agents of
    a strategy that is not there now.
    """
    opened = next((event.payload for event in store.read(event_type="ArenaOpened", tail=1)), None)
    if opened is None:
        return False
    if opened.config_hash != settings.config_hash:
        theirs, ours = opened.config_hash[:12], settings.config_hash[:12]
        if opened.seed != settings.seed:
            theirs, ours = f"{theirs}, seed {opened.seed}", f"{ours}, seed {settings.seed}"
        raise ConfigError(
            f"{store.url} holds a run of another configuration (hash {theirs}; this one is {ours}): {advice}"
        )
    if opened.data_fingerprint != world.data_fingerprint:
        raise ConfigError(
            f"{store.url} was begun on other market data (fingerprint {opened.data_fingerprint[:12]}, now "
            f"{world.data_fingerprint[:12]}): give the same --data"
        )
    for name in sorted({event.payload.strategy for event in store.read(event_type="AgentSpawned")}):
        if name not in world.desks:
            raise PluginError(
                f"{store.url} holds agents of a strategy that is not there now: {_why_missing(name, require)}"
            )
    return True


def already(store: EventStore, advice: str) -> BegunError:
    """The refusal to begin a run where this very run is."""
    cycles = sum(event.payload.cycle + 1 for event in store.read(event_type="EvolutionCycleComplete", tail=1))
    complete = list(store.read(event_type="RunCompleted", tail=1))
    return BegunError(
        f"{store.url} already holds this very run ({'complete' if complete else f'{cycles} cycles of it'}), so nothing was "
        f"run: `arena resume` with the folder it was begun in goes on with it, or reports it again; {advice}"
    )


def _why_missing(name: str, require: Callable[[str], object]) -> str:
    try:
        require(name)
    except PluginError as error:
        return str(error)
    return f"strategy {name!r} is not enabled"
