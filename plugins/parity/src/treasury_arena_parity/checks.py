"""Which checks the accepted protocols offer, and running them one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.contracts.parity import GapCheck, GapResult, ParityCheck, ParityResult, Told
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.errors import ConfigError, TreasuryArenaError, nearest

Check = ParityCheck | GapCheck
Begun = Callable[[Check], Told]


@attrs.frozen
class Failed:
    """A check that could not be run."""

    name: str
    reason: str
    ok: bool = False


Result = ParityResult | GapResult | Failed


def choose(protocols: Mapping[str, Protocol], names: Iterable[str]) -> list[Check]:
    """The checks of the named protocols, or of all; raises ConfigError for a protocol that is unknown or offers none."""
    offered = {name: list(protocol.parity()) for name, protocol in sorted(protocols.items())}
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in offered:
            raise ConfigError(f"there is no protocol {name!r}: {nearest(name, offered)}")
        if not offered[name]:
            able = [known for known, checks in offered.items() if checks]
            raise ConfigError(f"the protocol {name!r} offers no checks; those that do: {', '.join(able) or 'none'}")
    chosen = [check for name in (asked or offered) for check in offered[name]]
    if not chosen:
        raise ConfigError("no installed protocol offers checks: install treasury-arena-uniswap or treasury-arena-aave")
    return chosen


def run(checks: Iterable[Check], operations: int, seed: int, anvil: Path | None, begun: Begun) -> Iterator[Result]:
    """Run the checks in order; one that cannot be run is told and the others go on."""
    for check in checks:
        told = begun(check)
        try:
            if isinstance(check, ParityCheck):
                yield check.run(operations, seed, anvil, told)
            else:
                yield check.run(operations, seed, told)
        except TreasuryArenaError as error:
            yield Failed(check.name, str(error))
        except Exception as error:  # isolation: a protocol's check that raises is told like one that cannot be run
            yield Failed(check.name, f"{type(error).__name__}: {error}")


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
