"""Exit codes beside 0 (fine), 1 (something was found wrong) and 2 (usage, configuration or input)."""

from __future__ import annotations

INTERRUPTED = 130
UNREAD = 1
"""What click itself exits with when its output has lost its reader."""
