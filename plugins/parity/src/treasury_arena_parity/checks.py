"""Which checks the accepted protocols offer, and running them one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.contracts.parity import GapCheck, GapResult, ParityCheck, ParityResult, Told
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.errors import (
    ChainUnavailableError,
    ConfigError,
    PluginCodeError,
    PluginError,
    TreasuryArenaError,
    nearest,
)
from treasury_arena.isolation import calling, describe

Check = ParityCheck | GapCheck
Begun = Callable[[Check], Told]
#: What keeps a check from running: its tools, its settings, or a node that is not there. Any other error is the engine's own.
NOT_RUN = (ConfigError, PluginError, ChainUnavailableError)


@attrs.frozen
class Failed:
    """A check that gave no result.

    Attributes:
        crashed: True when the check's own code broke, which is a difference like any other; False when it could not be run.
    """

    name: str
    reason: str
    crashed: bool = False
    ok: bool = False


Result = ParityResult | GapResult | Failed


def choose(protocols: Mapping[str, Protocol], names: Iterable[str]) -> list[Check]:
    """The checks of the named protocols, or of all; raises ConfigError for a protocol that is unknown or offers none."""
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in protocols:
            raise ConfigError(f"there is no protocol {name!r}: {nearest(name, protocols)}")
    chosen: list[Check] = []
    for name in asked or sorted(protocols):
        with calling(f"parity() of protocol {name!r}"):
            offered = list(protocols[name].parity())
        for check in offered:
            if not isinstance(check, ParityCheck | GapCheck):
                raise PluginError(f"parity() of protocol {name!r} offers {type(check).__name__}, which is no check")
        if asked and not offered:
            raise ConfigError(f"the protocol {name!r} offers no checks")
        chosen += offered
    if not chosen:
        raise ConfigError("no installed protocol offers checks: install treasury-arena-uniswap or treasury-arena-aave")
    return chosen


def run(checks: Iterable[Check], operations: int, seed: int, anvil: Path | None, begun: Begun) -> Iterator[Result]:
    """Run the checks in order; one that cannot be run is told and the others go on."""
    for check in checks:
        told = begun(check)
        try:
            if isinstance(check, ParityCheck):
                found: Result = _checked(check.run(operations, seed, anvil, told), ParityResult)
            else:
                found = _checked(check.run(operations, seed, told), GapResult)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # isolation: an engine that breaks is told, and the other checks run
            crashed = not isinstance(error, NOT_RUN) or isinstance(error, PluginCodeError)
            found = Failed(
                check.name, str(error) if isinstance(error, TreasuryArenaError) else describe(error), crashed
            )
        yield found


def _checked(result: Any, kind: type[Any]) -> Any:
    """A check's result; TypeError for anything that is none, or whose numbers are not."""
    if not isinstance(result, kind):
        raise TypeError(f"its result is {type(result).__name__}, not {kind.__name__}")
    numbers: list[Any] = []
    if isinstance(result, ParityResult):
        numbers = [result.operations, result.refused, *result.compared.values(), *result.differences.values()]
    if isinstance(result, GapResult):
        numbers = [result.cases]
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in numbers):
        raise TypeError(f"its counts are not whole numbers: {numbers}")
    return result


def document(results: list[Result], operations: int, seed: int) -> dict[str, Any]:
    """Everything that was found, as one JSON document."""
    return {
        "ok": bool(results) and all(result.ok for result in results),
        "operations": operations,
        "seed": seed,
        "bytecode": [_entry(result) for result in results if isinstance(result, ParityResult)],
        "models": [_entry(result) for result in results if isinstance(result, GapResult)],
        "failed": [_entry(result) for result in results if isinstance(result, Failed)],
    }


def _entry(result: Result) -> dict[str, Any]:
    entry = attrs.asdict(result)
    # Differences may have 60 digits, beyond what JSON numbers hold elsewhere.
    if isinstance(result, GapResult):
        # JSON has no NaN and no infinity; they are told as text.
        entry = {
            key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in entry.items()
        }
    if isinstance(result, ParityResult):
        entry["differences"] = {name: str(value) for name, value in result.differences.items()}
    return {**entry, "ok": result.ok}
