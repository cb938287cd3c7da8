"""What a data source's factory learns beside its own configuration section."""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen
class SourceContext:
    """The circumstances of a run.

    Attributes:
        data: folder that relative file paths of a source are relative to, or None.
        seed: the run's seed.
        cache: folder for cached frames, or None for the user's cache folder.
        step_seconds: the grid step the frames must have.
    """

    data: Path | None
    seed: int
    cache: Path | None
    step_seconds: int
