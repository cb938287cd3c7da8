"""Live orders: journaled before they are signed, found again after any crash. docs/explanation/orders.md tells the protocol."""

from treasury_arena.trading.live.engine import OrderEngine
from treasury_arena.trading.live.limits import LiveLimits
from treasury_arena.trading.live.points import CrashPoint

__all__ = ["CrashPoint", "LiveLimits", "OrderEngine"]
