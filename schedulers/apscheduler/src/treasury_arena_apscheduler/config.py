"""The configuration section ``[scheduler.apscheduler]``."""

from __future__ import annotations

import attrs
from attrs.validators import gt, le

from treasury_arena.config.keys import key


@attrs.frozen(kw_only=True)
class ApschedulerSection:
    """APScheduler: persistent jobs in the arena's database."""

    poll_seconds: float = key(
        1.0,
        "Seconds between looks at the clock beside the wake-ups, so that one that jumps is noticed.",
        gt(0.0),
        le(60.0),
        local=True,
    )
