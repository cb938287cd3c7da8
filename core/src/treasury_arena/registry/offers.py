"""One table of the hooks: what each returns, how its objects are named, and what counts as the wrong type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.fuse import Action, Guard
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.contracts.position import PositionModel
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.contracts.runtime import Reporter
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.contracts.validation import Validator
from treasury_arena.errors import PluginError

NAME_MAX = 64
_SECTION = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@attrs.frozen
class Kind:
    """What one hook registers: `plural` is the registry's attribute, `accepts` tells a right object from a wrong one."""

    hook: str
    plural: str
    singular: str
    mapping: bool
    expected: str
    accepts: Callable[[Any], bool]


def _instance(of: type) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, of)


def _operator(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, Selection | Crossover | Mutation) and attrs.has(item)


def _section(item: Any) -> bool:
    return isinstance(item, type) and attrs.has(item)


def _command(item: Any) -> bool:
    import click  # only a plugin that offers commands pays for it, and it has imported click itself

    return isinstance(item, click.Command)


KINDS = (
    Kind("arena_strategies", "strategies", "strategy", False, "Strategy objects", _instance(Strategy)),
    Kind("arena_protocols", "protocols", "protocol", False, "Protocol objects", _instance(Protocol)),
    Kind("arena_sources", "sources", "source", True, "factories (callables)", callable),
    Kind("arena_fitness", "fitness", "fitness function", False, "FitnessFunction objects", _instance(FitnessFunction)),
    Kind("arena_operators", "operators", "operator", True, "attrs classes of operators", _operator),
    Kind("arena_validators", "validators", "validator", False, "Validator objects", _instance(Validator)),
    Kind("arena_executors", "executors", "executor", True, "factories (callables)", callable),
    Kind("arena_schedulers", "schedulers", "scheduler", True, "factories (callables)", callable),
    Kind("arena_chains", "chains", "chain client", True, "factories (callables)", callable),
    Kind("arena_signers", "signers", "signer", True, "factories (callables)", callable),
    Kind("arena_fuses", "fuses", "fuse", True, "factories (callables)", callable),
    Kind("arena_guards", "guards", "guard", False, "Guard objects", _instance(Guard)),
    Kind("arena_fuse_actions", "actions", "fuse action", False, "Action objects", _instance(Action)),
    Kind("arena_observers", "observers", "observer", True, "factories (callables)", callable),
    Kind("arena_reporters", "reporters", "reporter", False, "Reporter objects", _instance(Reporter)),
    Kind("arena_config_sections", "sections", "configuration section", True, "attrs classes", _section),
    Kind("arena_commands", "commands", "command", False, "click commands", _command),
)
#: Position models come with their protocol, not by a hook of their own.
MODELS = Kind("arena_protocols", "models", "position model", False, "PositionModel objects", _instance(PositionModel))

Offer = tuple[Kind, str, Any]


def read_offers(kind: Kind, returned: Any) -> list[Offer]:
    """Name the objects a hook returned; raises PluginError when it returned anything else than the hook's contract."""
    if kind.mapping:
        if not isinstance(returned, Mapping):
            raise PluginError(f"{kind.hook} returned {_type(returned)}; expected a mapping of name to {kind.expected}")
        pairs = list(returned.items())
    else:
        if not isinstance(returned, list | tuple):
            raise PluginError(f"{kind.hook} returned {_type(returned)}; expected a list of {kind.expected}")
        pairs = [(getattr(item, "name", None), item) for item in returned if _check(kind, item)]
    offers: list[Offer] = []
    for name, item in pairs:
        _check(kind, item)
        if not isinstance(name, str) or not name.strip():
            raise PluginError(
                f"{kind.hook} offers {_type(item)} under the name {name!r:.80}; expected a text that is not empty"
            )
        if len(name) > NAME_MAX or not name.isprintable():
            raise PluginError(
                f"{kind.hook} offers {_type(item)} under the name {name!r:.80}; expected one printable line of at most "
                f"{NAME_MAX} characters"
            )
        if kind.plural == "sections" and not _SECTION.fullmatch(name):
            raise PluginError(f"{kind.hook} offers the key path {name!r}; expected names separated by dots")
        offers.append((kind, name, item))
        if kind.plural == "protocols":
            offers += [(MODELS, model.name, model) for model in item.models if _check(MODELS, model)]
    return offers


def _check(kind: Kind, item: Any) -> bool:
    if not kind.accepts(item):
        raise PluginError(f"{kind.hook} offers {_type(item)}; expected {kind.expected}")
    return True


def _type(value: Any) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"
