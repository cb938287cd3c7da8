"""Treasury Arena: breed treasury strategies on market history, prove them out of sample, let the proven manage capital."""

from __future__ import annotations

__version__ = "0.1.0"
