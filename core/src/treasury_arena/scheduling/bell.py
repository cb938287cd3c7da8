"""What wakes a scheduler's loop from any thread, and from a signal handler."""

from __future__ import annotations

import queue


class Bell:
    """A bell that is heard by one waiting loop. Ringing never blocks and takes no lock that a signal could find held."""

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stopped = False

    def ring(self) -> None:
        """Wake the loop."""
        self._rings.put(None)

    def stop(self) -> None:
        """Tell the loop to begin nothing more, and wake it."""
        self.stopped = True
        self.ring()

    def wait(self, seconds: float) -> None:
        """Return at the next ring, or after so many seconds of the machine's clock; several rings are heard as one."""
        try:
            self._rings.get(timeout=max(0.0, seconds))
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            return
