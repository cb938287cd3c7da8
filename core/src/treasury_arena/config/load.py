"""One call from a configuration file to checked settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from treasury_arena.config.checks import check
from treasury_arena.config.offered import Offered
from treasury_arena.config.read import read_toml, taken_sections
from treasury_arena.config.settings import Settings
from treasury_arena.errors import ConfigError

#: Short names of overrides that commands offer as options.
ALIASES = {"workers": "executor.workers", "db": "store.url"}


def load_config(path: Path | str, registry: Offered, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read and check a configuration.

    Args:
        path: the file as a Path, or the TOML text itself as a str.
        registry: the plugins to check against.
        overrides: values by dotted key path that replace the file's (``{"seed": 3}``); ``workers`` and ``db`` are short
            for ``executor.workers`` and ``store.url``. None leaves the file's value.

    Raises ConfigError with one line per mistake: ``file:line: key.path: what is wrong; expected ...``.
    """
    replaced = {ALIASES.get(key, key): value for key, value in (overrides or {}).items() if value is not None}
    reading = read_toml(path, Settings, registry.sections, replaced)
    problems = [*reading.problems, *check(reading, registry)]
    if problems:
        problems.sort(key=lambda problem: (problem.line is None, problem.line or 0, problem.key))
        lines = list(dict.fromkeys(str(problem) for problem in problems))
        if any("unknown key" in problem.text or "rejected plugins" in problem.text for problem in problems):
            refused = taken_sections(Settings, registry.sections).values()
            lines += [f"note: {warning}" for warning in (*registry.warnings, *refused)]
        raise ConfigError("\n".join(lines))
    settings: Settings = reading.settings
    return settings
