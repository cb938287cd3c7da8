"""The signals with which a person, a supervisor or a closed terminal ends a program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def hearing(hear: Callable[[signal.Signals], None], numbers: Collection[signal.Signals] = ENDING) -> Iterator[None]:
    """Give these signals to `hear` while the block lasts, which must take no lock: it may be called within itself.

    A hangup that the program was told to ignore (`nohup`) stays ignored. Outside of the main thread nothing is heard.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, lambda got, _: hear(signal.Signals(got)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
