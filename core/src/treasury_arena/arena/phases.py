"""The phases of a cycle, who is told of them, and what comes out of a cycle and of its searches."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from treasury_arena.evolution.trials import TrialStats

#: The phases of a cycle in order; a listener is told on reaching each, with the cycle's number.
PHASES = ("observe", "live", "judge", "breed", "allocate", "record", "commit", "committed")

Listener = Callable[[str, int], None]


def silent(phase: str, cycle: int) -> None:
    """The listener that does nothing."""


@attrs.define
class CycleReport:
    """What a progress display shows after a cycle.

    `cycle` counts from 0, as in events and results; what people read counts from 1. `date` is the day that begins with it.
    """

    cycle: int
    row: int
    date: str
    alive: int
    simulation: int
    proving: int
    arena: int
    dead: int
    graduated: int
    best: float
    median: float
    capital_raw: int
    trials: int
    agent_steps: int


@attrs.define
class Bred:
    """What the searches of one cycle tried: every genome evaluated, failed ones too, is a trial. So is, in the first cycle, what
    was tried to find the agents that the configuration brings along.
    """

    generations: list[dict[str, object]] = attrs.field(factory=list)
    sharpes: dict[str, TrialStats] = attrs.field(factory=dict)
    trials: int = 0


def known_score(score: float) -> float | None:
    """A score for the record; None when every genome of the generation had failed."""
    return score if np.isfinite(score) else None
