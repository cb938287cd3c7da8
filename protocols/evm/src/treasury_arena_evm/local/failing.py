"""A node that fails on purpose, for tests of whatever reads a chain.

>>> for fault in FAULTS:                                                # doctest: +SKIP
...     with failing(session, fault), pytest.raises(TreasuryArenaError):
...         market.value(state, row)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from treasury_arena.errors import ValidationError, nearest
from treasury_arena_evm.transport import LostError, NodeError

if TYPE_CHECKING:
    from treasury_arena_evm.session import Session


def _raised(error: Exception) -> Any:
    raise error


FAULTS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "gone": lambda method: _raised(LostError(f"{method}: the node does not answer")),
        "busy": lambda method: _raised(NodeError(method, {"code": -32005, "message": "too many requests"})),
        "reverts": lambda method: _raised(
            NodeError(method, {"code": 3, "message": "execution reverted", "data": "0x"})
        ),
        "empty": lambda method: "0x",
        "short": lambda method: "0x01",
        "nothing": lambda method: None,
    }
)
"""What a node does or answers to any request, by name."""


@contextmanager
def failing(session: Session, fault: str) -> Iterator[None]:
    """Let every request of a session fail as `FAULTS` says; ValidationError for a fault that is not known."""
    if fault not in FAULTS:
        raise ValidationError(f"unknown fault {fault!r}; {nearest(fault, FAULTS)}")

    def request(method: str, *_: Any) -> Any:
        return FAULTS[fault](method)

    real, ahead = session.request, session.read_ahead
    session.request, session.read_ahead = request, lambda reads: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        session.request, session.read_ahead = real, ahead  # type: ignore[method-assign]
